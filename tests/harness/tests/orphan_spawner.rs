//! The harness's own claims about a program, checked on the real one.

use anyhow::{Context, Result, ensure};
use harness::{Child, Orphans, Program, Role, Spawn, orphan_spawner, process, wait};
use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    orphan_spawner::run_if_asked();
    // One case waits in vain.
    wait::set_timeout(30);
    let case = |name: &str, run: fn() -> Result<()>| Trial::test(name, move || Ok(run()?));
    let trials = vec![
        case("childless means that every orphan is reaped and the orphan spawner is alive", || {
            start()?.reap(100, Orphans::Mixed)
        }),
        case("a program whose orphan spawner was killed is not called childless", || {
            let mut child = start()?;
            let pid = child.orphan_spawner()?.pid;
            kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            wait::until("the orphan spawner is dead", Duration::ZERO, || Ok(!process::is_alive(pid)))?;
            let error = child.wait_until_childless().err().context("it is called so")?;
            ensure!(error.to_string().contains("its orphan spawner is gone"), error);
            Ok(())
        }),
        case("a program that leaves zombies is not called childless", || {
            let mut child = start()?;
            child.signal(nix::libc::SIGSTOP)?;
            ensure!(child.reap(3, Orphans::Dead).is_err_and(|error| wait::is_timeout(&error)), "it is called so");
            Ok(())
        }),
        case("a sleeping child of a program is gone when the program is", || {
            let child = Spawn { sleeping_children: 3, ..Spawn::new(Role::Ordinary) }.ready(&program()?)?;
            let children = process::children(child.pid)?;
            ensure!(children.len() == 3, "it has {} children", children.len());
            drop(child);
            let gone = || Ok(!children.iter().any(|&child| process::is_alive(child)));
            wait::until("they are gone", Duration::ZERO, gone)
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn start() -> Result<Child> {
    Spawn::new(Role::Init).assisted().ready(&program()?)
}

fn program() -> Result<Program> {
    Program::native(Path::new("../.."))
}
