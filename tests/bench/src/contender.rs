//! The programs that are measured, and how each is started.

use crate::baseline;
use anyhow::{Context, Result};
use harness::{Child, Program, Role, Spawn, Stream, process, wait};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;
use xshell::Shell;
use xtask::{build, platform, prerequisites, status};

pub struct Contender {
    pub program: Program,
    /// Arguments as PID 1 of a container.
    arguments: Vec<String>,
    pub version: &'static str,
    /// Number of children that it needs.
    children: usize,
    /// Whether signals reach a handler, instead of sigtimedwait.
    pub has_handlers: bool,
}

/// Debian's init programs: package, path, arguments, option for the version, and whether signals reach a handler.
pub static PACKAGED: [(&str, &str, &str, &str, bool); 3] = [
    ("catatonit", "/usr/bin/catatonit", "-P", "-V", true),
    ("tini", "/usr/bin/tini-static", "-- PAUSE", "--version", false),
    ("dumb-init", "/usr/bin/dumb-init", "-- PAUSE", "--version", true),
];

/// Lists the programs, pause first. The name of one of `--against` is its file's.
pub fn all(shell: &Shell, against: &[PathBuf]) -> Result<Vec<Contender>> {
    let pause = build::program(shell, platform::native()?)?;
    let mut contenders = vec![Contender::pause("pause", pause.clone())];
    if cfg!(target_arch = "x86_64") {
        contenders.push(Contender::pause("baseline", baseline::build(shell)?));
    }
    for path in against {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        contenders.push(Contender::pause(name, path.clone()));
    }
    for (package, path, arguments, version, has_handlers) in PACKAGED {
        if !prerequisites::exists(path) {
            status!("{package} isn't installed; --install installs it");
            continue;
        }
        let pause = pause.to_str().context("the path isn't UTF-8")?;
        let arguments: Vec<_> = arguments.split(' ').map(|argument| argument.replace("PAUSE", pause)).collect();
        let (program, children) = (Program::new(package, path.into()), arguments.len() - 1);
        contenders.push(Contender { program, arguments, version, children, has_handlers });
    }
    Ok(contenders)
}

impl Contender {
    /// A pause program: this one, or a replacement.
    pub fn pause(name: impl Into<String>, file: PathBuf) -> Self {
        let program = Program::new(name, file);
        Self { program, arguments: Vec::new(), version: "-v", children: 0, has_handlers: true }
    }

    /// How to start it as a container's PID 1: with no environment, and no place to write to.
    pub fn spawn(&self, role: Role) -> Result<Spawn> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let stream = || anyhow::Ok(Stream::File(null.try_clone()?.into()));
        let (stdin, stdout, stderr) = (Some(null.try_clone()?.into()), stream()?, stream()?);
        // With the same argv[0], the stacks of programs with different paths have the same size.
        Ok(Spawn { name: Some("pause"), stdin, stdout, stderr, ..Spawn::new(role).arguments(&self.arguments) })
    }

    /// Starts it as PID 1 of a new namespace, and waits until it is idle.
    pub fn start(&self, amend: impl FnOnce(Spawn) -> Spawn) -> Result<Child> {
        let mut child = amend(self.spawn(Role::Init)?).spawn(&self.program)?;
        self.settle(&mut child)?;
        Ok(child)
    }

    /// Waits until it is ready and stays asleep.
    pub fn settle(&self, child: &mut Child) -> Result<()> {
        let pid = child.pid;
        let mut before = None;
        wait::until("it sleeps", Duration::from_millis(5), || {
            let now = Some(wake_ups(pid)?);
            let stays_asleep = now == before && process::is_asleep(pid)?;
            before = now;
            // Its child is pause, which must be ready for SIGTERM. Until execve, it has its parent's handlers.
            let is_pause = |child| process::signals(child).is_ok_and(|signals| signals.caught == contract::HANDLED);
            let children = process::children(pid)?.into_iter().filter(|&child| is_pause(child)).count();
            Ok(stays_asleep && children >= self.children && (is_ready(pid)? || !self.has_handlers))
        })
    }
}

/// Whether a process handles each of pause's signals, or blocks it to fetch it.
pub fn is_ready(pid: i32) -> Result<bool> {
    let signals = process::signals(pid)?;
    Ok((signals.caught | signals.blocked) & contract::HANDLED == contract::HANDLED)
}

/// Number of context switches of a process.
pub fn wake_ups(pid: i32) -> Result<u64> {
    process::switches(pid).map(|(voluntary, involuntary)| voluntary + involuntary)
}
