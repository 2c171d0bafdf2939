//! Docker: the walk-through by which people learn what a pause container is. A web server and an application
//! are two containers, and with pause's namespaces they are one machine.

use crate::busybox::{self, BUSYBOX, MAKE_ORPHANS};
use crate::command::{self, Foreground, GRACE, read, read_errors};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::recipe::{GOES_BACK, INSTALLS, Page};
use crate::{archive, pause};
use anyhow::{Context, Result, ensure};
use harness::process;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::note;
use xtask::seccomp;

/// One row of the table.
pub const HOST: Host = Host {
    name: "docker",
    title: "Docker",
    packages: &["docker.io", "runc", "nginx-light"],
    absent_from: &[],
    crates: &[],
    version: &[&["dockerd", "--version"]],
    stand_ins: STAND_INS,
    checks,
};

/// The page's name of it.
const NGINX: &str = "nginx:latest";

const PAGE: Check =
    Check { name: "nginx in one container shows the page of another, which it finds on localhost", broken_by: &[] };
const WITHOUT: Check =
    Check { name: "without it, with sleep as process 1, a dead orphan stays a zombie", broken_by: &[] };

/// nginx passes on what the application says.
const CONFIGURATION: &str = "user root; daemon off; pid /tmp/pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path /tmp/client; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server { listen 80; location / { proxy_pass http://127.0.0.1:2368; } }
}
";

/// The application, as a command of the small container.
const APPLICATION: [&str; 4] = [
    "/bin/busybox",
    "sh",
    "-c",
    "/bin/busybox mkdir /www; echo 'A page from the other container' >/www/index.html; exec /bin/busybox httpd -f -p 127.0.0.1:2368 -h /www",
];

fn checks(scene: &mut Scene) -> Result<()> {
    let (shell, busybox, nginx) = (scene.shell, busybox::pack()?, nginx(scene.shell)?);
    // The sandbox has no network beside its own, so there is nothing to forward and to filter.
    let daemon = cmd!(shell, "dockerd --iptables=false --ip6tables=false --exec-opt native.cgroupdriver=cgroupfs");
    let daemon = Foreground::start(daemon, "dockerd")?;
    daemon.wait_until_up(|| command::succeeds(cmd!(shell, "docker version")))?;
    for archive in [busybox, nginx] {
        read(cmd!(shell, "docker load --quiet --input {archive}"))?;
    }
    let confined = format!("--name pause --security-opt seccomp=dist/{}", seccomp::FILE);
    let recipe = Page::of_host(scene.repository, "docker")?.replace("--name pause", &confined);
    scene.check(&INSTALLS, recipe.install(shell, || Ok(())));
    let shared = ["--net=container:pause", "--ipc=container:pause", "--pid=container:pause"];
    read(cmd!(shell, "docker run --detach --name application {shared...} {BUSYBOX} {APPLICATION...}"))?;
    // Each of the two takes a moment to listen.
    let get = || cmd!(shell, "busybox wget -q -O - http://127.0.0.1:8080/");
    command::becomes_so(|| Ok(command::succeeds(get())))?;
    let page = read(get());
    note!("{}", page.as_deref().unwrap_or_default());
    let page = page.and_then(|page| {
        ensure!(page == "A page from the other container", "the page is {page:?}");
        Ok(())
    });
    scene.check(&PAGE, page);
    print_processes(shell, "application")?;

    let pid = read(cmd!(shell, "docker inspect --format {PID} pause"))?.parse()?;
    pause::check_reaping(scene, pid, || {
        read(cmd!(shell, "docker exec application {MAKE_ORPHANS...}"))?;
        print_processes(shell, "application")
    })?;
    print_processes(shell, "application")?;

    let begin = Instant::now();
    let grace = GRACE.as_secs().to_string();
    read(cmd!(shell, "docker stop -t {grace} pause"))?;
    let duration = begin.elapsed();
    let status = read(cmd!(shell, "docker inspect --format {STATUS} pause"))?.parse().ok();
    let log = read_errors(cmd!(shell, "docker logs pause"))?;
    pause::check_stop(scene, duration, status, &log);
    scene.check(&GOES_BACK, recipe.go_back(shell, || Ok(())));

    // nginx would not do here: as process 1 it reaps whatever dies.
    // `ngx_process_get_status` in https://github.com/nginx/nginx/blob/release-1.22.1/src/os/unix/ngx_process.c
    read(cmd!(shell, "docker run --detach --name sleep {BUSYBOX}"))?;
    read(cmd!(shell, "docker run --detach --name other --pid=container:sleep {BUSYBOX}"))?;
    read(cmd!(shell, "docker exec other /bin/busybox sh -c {ORPHAN}"))?;
    let sleep = read(cmd!(shell, "docker inspect --format {PID} sleep"))?.parse()?;
    let zombie = command::becomes_so(|| Ok(process::zombies(sleep)? == 1))?;
    print_processes(shell, "other")?;
    scene.check(&WITHOUT, zombie.then_some(()).context("there is none"));
    Ok(())
}

/// What `docker inspect` is asked for.
const PID: &str = "{{.State.Pid}}";
const STATUS: &str = "{{.State.ExitCode}}";

/// An orphan that dies soon.
const ORPHAN: &str = "(/bin/busybox sleep 0.1 >/dev/null 2>&1 &)";

/// Prints what a container sees of its PID namespace.
fn print_processes(shell: &Shell, container: &str) -> Result<()> {
    note!("{}", read(cmd!(shell, "docker exec {container} /bin/busybox ps -o pid,ppid,stat,args"))?);
    Ok(())
}

/// Packs this machine's nginx, with the libraries that it loads. Returns the archive.
fn nginx(shell: &Shell) -> Result<&'static str> {
    fs::write("/tmp/nginx.conf", CONFIGURATION)?;
    fs::write("/tmp/passwd", "root:x:0:0:root:/:/bin/sh\n")?;
    fs::write("/tmp/group", "root:x:0:\n")?;
    let libraries = cmd!(shell, "ldd /usr/sbin/nginx").quiet().read()?;
    let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    let mut files: Vec<(&str, &Path)> = vec![
        ("nginx.conf", Path::new("/tmp/nginx.conf")),
        ("bin/cat", busybox::program()?),
        ("etc/passwd", Path::new("/tmp/passwd")),
        ("etc/group", Path::new("/tmp/group")),
        // The folder is what counts.
        ("tmp/group", Path::new("/tmp/group")),
    ];
    let programs = std::iter::once("/usr/sbin/nginx").chain(libraries);
    files.extend(programs.map(|path| (path.trim_start_matches('/'), Path::new(path))));
    let config = json!({ "Cmd": ["/usr/sbin/nginx", "-c", "/nginx.conf"], "StopSignal": "SIGKILL" });
    archive::write(Path::new("/tmp/nginx.tar"), NGINX, &config, &files)?;
    Ok("/tmp/nginx.tar")
}
