//! What the harness says of a program has to be true, on the real program.

use harness::{Orphans, Program, Role, Running, Start, assistant, process, wait};
use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::ExitCode;
use std::time::Duration;
use xshell::Shell;
use xtask::{build, platform};

fn main() -> ExitCode {
    assistant::run_if_asked();
    // What is waited for in vain must not take a minute.
    wait::set_patience(5);
    let trials = vec![
        Trial::test("childless means that every orphan is reaped and the assistant lives", || {
            let mut running = start()?;
            running.assistant.as_mut().ok_or("asked for")?.make_orphans(100, Orphans::Mixed)?;
            Ok(running.wait_until_childless()?)
        }),
        Trial::test("a program whose assistant was killed is not called childless", || {
            let mut running = start()?;
            let pid = running.assistant.as_mut().ok_or("asked for")?.pid()?;
            kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            wait::until("the assistant is dead", Duration::ZERO, || Ok(!process::is_alive(pid)))?;
            match running.wait_until_childless() {
                Ok(()) => Err("it is".into()),
                Err(error) if error.to_string().contains("its assistant is gone") => Ok(()),
                Err(error) => Err(error.into()),
            }
        }),
        Trial::test("a program that leaves zombies is not called childless", || {
            let mut running = start()?;
            running.signal(nix::libc::SIGSTOP)?;
            running.assistant.as_mut().ok_or("asked for")?.make_orphans(3, Orphans::Dead)?;
            match running.wait_until_childless() {
                Ok(()) => Err("it is".into()),
                Err(_) => Ok(()),
            }
        }),
        Trial::test("what sleeps as a program's child is gone when the program is", || {
            let running = Start { sleeping_children: 3, ..Start::new(Role::Ordinary) }.ready(&program()?)?;
            let children = process::children(running.pid())?;
            if children.len() != 3 {
                return Err(format!("it has {} children", children.len()).into());
            }
            drop(running);
            let gone = || Ok(!children.iter().any(|&child| process::is_alive(child)));
            Ok(wait::until("they are gone", Duration::ZERO, gone)?)
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// This machine's pause, with an assistant.
fn start() -> anyhow::Result<Running> {
    Start::new(Role::Init).assisted().ready(&program()?)
}

/// This machine's pause.
fn program() -> anyhow::Result<Program> {
    let shell = Shell::new()?;
    shell.change_dir("../..");
    let platform = platform::native()?;
    Ok(Program::new(platform.name, build::program(&shell, platform)?))
}
