//! Docker: the well-known walk-through of a pause container. A web server and an application share its namespaces.

use crate::busybox::{self, BUSYBOX};
use crate::command::{self, Daemon, GRACE, read};
use crate::host::{Check, Fixture, Host, check, host};
use crate::pause;
use crate::recipe::{GOES_BACK, INSTALLS, Page};
use anyhow::{Result, ensure};
use harness::process;
use xshell::cmd;
use xtask::seccomp;

pub const DOCKER: Host =
    host("docker", "Docker", &["docker.io", "runc", "nginx-light"], &["dockerd --version"], checks);

const PAGE: Check = check("nginx in one container serves the page of another, from localhost");
const WITHOUT: Check = check("without it, with sleep as process 1, a dead orphan stays a zombie");

const APPLICATION: &str = "/bin/busybox mkdir /www; echo 'A page from the other container' >/www/index.html
exec /bin/busybox httpd -f -p 127.0.0.1:2368 -h /www";

const ORPHAN: &str = "(/bin/busybox sleep 0.1 >/dev/null 2>&1 &)";

fn checks(fixture: &mut Fixture) -> Result<()> {
    let (shell, busybox, make_nginx) = (fixture.shell, busybox::pack(fixture.shell)?, include_str!("docker.sh"));
    // The sandbox has only its own network, so nothing is to be forwarded or filtered.
    let daemon = cmd!(shell, "dockerd --iptables=false --ip6tables=false --exec-opt native.cgroupdriver=cgroupfs");
    let daemon = Daemon::start(daemon, "dockerd")?;
    daemon.wait_until_up(|| command::succeeds(cmd!(shell, "docker version")))?;
    read(cmd!(shell, "docker load --quiet --input {busybox}"))?;
    cmd!(shell, "sh -ec {make_nginx}").quiet().read()?;
    let confined = format!("--name pause --security-opt seccomp=dist/{}", seccomp::FILE);
    let recipe = Page::of_host(fixture.repository, "docker")?.replace("--name pause", &confined);
    fixture.check(&INSTALLS, recipe.install(shell, || Ok(())));
    let shared = ["--net=container:pause", "--ipc=container:pause", "--pid=container:pause"];
    read(cmd!(shell, "docker run --detach --name application {shared...} {BUSYBOX} /bin/busybox sh -c {APPLICATION}"))?;
    // Both take a moment to listen.
    let get = || cmd!(shell, "busybox wget -q -O - http://127.0.0.1:8080/");
    command::becomes_so(|| Ok(command::succeeds(get())))?;
    let served = read(get()).and_then(|page| {
        ensure!(page == "A page from the other container", "the page is {page:?}");
        Ok(())
    });
    fixture.check(&PAGE, served);

    let engine = |arguments: &str| shell.cmd("docker").args(arguments.split(' '));
    let stop = format!("stop -t {} pause", GRACE.as_secs());
    pause::check_engine(fixture, &engine, ("pause", "application"), &stop)?;
    fixture.check(&GOES_BACK, recipe.go_back(shell, || Ok(())));

    // nginx would not do: as process 1 it reaps any child. `ngx_process_get_status` in
    // https://github.com/nginx/nginx/blob/release-1.22.1/src/os/unix/ngx_process.c
    read(cmd!(shell, "docker run --detach --name sleep {BUSYBOX}"))?;
    read(cmd!(shell, "docker run --detach --name other --pid=container:sleep {BUSYBOX}"))?;
    read(cmd!(shell, "docker exec other /bin/busybox sh -c {ORPHAN}"))?;
    let sleep = pause::inspect(&engine, "sleep", "Pid")?;
    let zombie = command::becomes_so(|| Ok(process::zombies(sleep)? == 1))?;
    fixture.expect(&WITHOUT, zombie, || "the orphan is not a zombie".into());
    Ok(())
}
