//! The programs that are measured, and how each is started and told to be at rest.

use anyhow::{Context, Result, bail, ensure};
use harness::{Program, Role, Running, Start, Stream, process, wait};
use nix::unistd::{AccessFlags, access};
use object::Object;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;
use xshell::Shell;
use xtask::command::Misuse;
use xtask::needs::{self, Needs};
use xtask::{build, floor, platform, test};

/// A program that is measured.
pub struct Contender {
    /// What it is called, and its file.
    pub program: Program,
    /// What makes it the PID 1 of a container.
    arguments: Vec<String>,
    /// What makes it print its version and exit.
    pub version: &'static str,
    /// How many children it needs to have.
    own_children: usize,
    /// Whether the kernel shows when it is ready to handle signals.
    shows_handlers: bool,
    /// What else one should know.
    pub notes: Vec<&'static str>,
}

/// An init program that Debian packages.
struct Packaged {
    package: &'static str,
    path: &'static str,
    arguments: &'static [&'static str],
    version: &'static str,
    /// Whether it takes a command, which is its child.
    takes_command: bool,
    /// Whether the kernel shows when it is ready to handle signals: not of a program that is in sigtimedwait.
    shows_handlers: bool,
}

static PACKAGED: [Packaged; 3] = [
    Packaged {
        package: "catatonit",
        path: "/usr/bin/catatonit",
        arguments: &["-P"],
        version: "-V",
        takes_command: false,
        shows_handlers: true,
    },
    Packaged {
        package: "tini",
        path: "/usr/bin/tini-static",
        arguments: &["--"],
        version: "--version",
        takes_command: true,
        shows_handlers: false,
    },
    Packaged {
        package: "dumb-init",
        path: "/usr/bin/dumb-init",
        arguments: &["--"],
        version: "--version",
        takes_command: true,
        shows_handlers: true,
    },
];

/// The packages that `--install` installs.
pub fn need_packages(needs: &mut Needs) {
    PACKAGED.iter().for_each(|packaged| needs.file(packaged.path, packaged.package, "measure it too"));
}

/// What `--against` accepts.
///
/// # Errors
/// Where there is no such program.
pub fn program(path: &str) -> Result<PathBuf> {
    let path = test::existing_file(path)?;
    access(&path, AccessFlags::X_OK).context("it can't be executed")?;
    Ok(path)
}

/// What is measured, the program first; and what is not, with the reason.
///
/// # Errors
/// Where the program or the floor can't be built, or two programs have one name.
pub fn all(shell: &Shell, against: &[PathBuf]) -> Result<(Vec<Contender>, Vec<String>)> {
    let pause = build::program(shell, platform::native()?)?;
    let mut contenders = vec![Contender::drop_in("pause", pause.clone())];
    let mut missing = Vec::new();
    if floor::is_native() {
        contenders.push(Contender::drop_in("floor", floor::build(shell)?));
    } else {
        missing.push("floor: written for x86-64, which this machine is not".into());
    }
    for path in against {
        let name = path.file_name().context("a file has a name")?.to_string_lossy();
        contenders.push(Contender::drop_in(name, path.clone()));
    }
    for packaged in &PACKAGED {
        if needs::exists(packaged.path) {
            contenders.push(Contender::packaged(packaged, &pause)?);
        } else {
            missing.push(format!("{}: not installed; --install does that", packaged.package));
        }
    }
    for (index, contender) in contenders.iter().enumerate() {
        let name = &contender.program.name;
        if contenders[..index].iter().any(|other| other.program.name == *name) {
            bail!(Misuse(format!("two of the programs are called {name}; the file of one needs another name")));
        }
    }
    Ok((contenders, missing))
}

impl Contender {
    /// A pause program.
    pub fn drop_in(name: impl Into<String>, file: PathBuf) -> Self {
        Self {
            program: Program::new(name, file),
            arguments: Vec::new(),
            version: "-v",
            own_children: 0,
            shows_handlers: true,
            notes: Vec::new(),
        }
    }

    /// An init program that may take `pause` for its command.
    fn packaged(packaged: &Packaged, pause: &Path) -> Result<Self> {
        let mut arguments: Vec<String> = packaged.arguments.iter().map(|&argument| argument.into()).collect();
        let mut notes = Vec::new();
        if packaged.takes_command {
            arguments.push(pause.to_str().context("a path in UTF-8")?.into());
            notes.push("has to have a child, here pause, which is counted in what is charged to its cgroup alone");
        }
        if is_dynamic(packaged.path)? {
            notes.push("needs a C library beside it, which the sizes do not include");
        }
        Ok(Self {
            program: Program::new(packaged.package, packaged.path.into()),
            arguments,
            version: packaged.version,
            own_children: packaged.takes_command.into(),
            shows_handlers: packaged.shows_handlers,
            notes,
        })
    }

    /// How it is started as what a container has for its PID 1: with no environment and no place to write to.
    ///
    /// # Errors
    /// Where there is no /dev/null.
    pub fn condition(&self, role: Role) -> Result<Start> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let stream = || -> Result<Stream> { Ok(Stream::File(null.try_clone()?.into())) };
        Ok(Start {
            // Programs of different paths get a stack of the same size.
            name: Some("pause"),
            stdin: stream()?,
            stdout: stream()?,
            stderr: stream()?,
            ..Start::new(role).arguments(&self.arguments)
        })
    }

    /// Starts it as PID 1 of a new namespace, and waits until it is at rest.
    ///
    /// # Errors
    /// Where that can't be done.
    pub fn start(&self) -> Result<Running> {
        self.start_so(self.condition(Role::Init)?)
    }

    /// The same in another condition.
    ///
    /// # Errors
    /// Where that can't be done.
    pub fn start_so(&self, condition: Start) -> Result<Running> {
        let mut running = condition.spawn(&self.program)?;
        self.settle(&mut running)?;
        Ok(running)
    }

    /// Waits until its handlers are in place, and looks all the time.
    ///
    /// # Errors
    /// Where that does not happen, or does not show.
    pub fn wait_until_ready(&self, running: &mut Running) -> Result<()> {
        ensure!(self.shows_handlers, "it fetches signals with sigtimedwait, and nothing shows when it is ready to");
        wait::until("it is ready", Duration::ZERO, || {
            let status = running.poll_status()?;
            ensure!(status.is_none(), "it ended: {}", status.unwrap_or_default());
            is_ready(running.pid())
        })
    }

    /// Waits until it is ready, sleeps, and stays asleep.
    ///
    /// # Errors
    /// Where that does not happen.
    pub fn settle(&self, running: &mut Running) -> Result<()> {
        if self.shows_handlers {
            self.wait_until_ready(running)?;
        }
        let pid = running.pid();
        let mut before = None;
        wait::until("it sleeps", Duration::from_millis(5), || {
            let now = Some(wake_ups(pid)?);
            let asleep = now == before && process::is_asleep(pid)?;
            before = now;
            // A child of its own is pause, which SIGTERM has to find ready. Until it is executed, it has the handlers of
            // its parent.
            let is_pause = |child| process::signals(child).is_ok_and(|signals| signals.caught == contract::HANDLED);
            let ready = process::children(pid)?.into_iter().filter(|&child| is_pause(child)).count();
            Ok(asleep && ready >= self.own_children)
        })
    }
}

/// Whether a process has a handler for each of pause's signals, or blocks it to fetch it.
///
/// # Errors
/// Where there is no such process.
pub fn is_ready(pid: i32) -> Result<bool> {
    let signals = process::signals(pid)?;
    Ok((signals.caught | signals.blocked) & contract::HANDLED == contract::HANDLED)
}

/// How often a process has been switched to another one.
///
/// # Errors
/// Where there is no such process.
pub fn wake_ups(pid: i32) -> Result<u64> {
    let (voluntary, other) = process::switches(pid)?;
    Ok(voluntary + other)
}

/// Whether a program takes functions from libraries.
fn is_dynamic(path: &str) -> Result<bool> {
    let content = fs::read(path)?;
    Ok(object::File::parse(content.as_slice())?.imports()?.next().is_some())
}
