//! `cargo xtask mutants`: proves that the tests bite. Each mutant of the program has to fail the case, or
//! the link, that is there to catch it.

use crate::install;
use crate::mutant::{self, DEAF, Mutant, NO_REAPING};
use anyhow::{Result, bail, ensure};
use xshell::{Shell, cmd};

/// Break the program on purpose, in every way that the tests claim to notice
#[derive(clap::Args)]
pub struct Arguments {}

/// What catches a mutant.
enum Caught {
    /// Every case whose name contains this fails.
    ByCase(&'static str),
    /// The link fails, and the linker's message contains this.
    ByLink(&'static str),
}

use Caught::{ByCase, ByLink};

/// How many seconds a case waits for something that a mutant never does.
const PATIENCE: &str = "5";

const MAIN: &str = "src/main.rs";
const MESSAGE: &str = "src/message.rs";
const SYS: &str = "src/sys.rs";

#[rustfmt::skip]
static MUTANTS: &[(&Mutant, Caught)] = &[
    (&NO_REAPING, ByCase("reaps a single orphan")),
    (&DEAF, ByCase("says so and exits with 0 on SIGTERM")),
    (&Mutant { name: "reaping one child at a time", file: MAIN, from: "while sys::reap_one() {}", to: "sys::reap_one();" },
     ByCase("reaps orphans that died while it was stopped")),
    (&Mutant { name: "not reaping at start", file: MAIN, from: "    handle(SIGCHLD as c_int);\n\n", to: "" },
     ByCase("reaps at start the children that died before")),
    (&Mutant { name: "waking up when a child stops", file: SYS, from: "SA_NOCLDSTOP.into()", to: "(SA_NOCLDSTOP & 0).into()" },
     ByCase("is not woken by a child that merely stops")),
    (&Mutant { name: "writing without asking", file: MESSAGE, from: "if poll.revents == POLLOUT as _ {", to: "if poll.revents == POLLOUT as _ || true {" },
     ByCase("if the pipe that is its stderr is full")),
    (&Mutant { name: "mask not cleared", file: MAIN, from: "    sys::set_signal_mask(&action.sa_mask);\n", to: "" },
     ByCase("if started with every signal blocked")),
    (&Mutant { name: "SIGINT before SIGTERM", file: MAIN, from: "(SIGTERM, action) != 0 {\n        return 2;\n    }\n    if sys::sigaction(SIGINT, action) != 0 {\n        return 1;", to: "(SIGINT, action) != 0 {\n        return 1;\n    }\n    if sys::sigaction(SIGTERM, action) != 0 {\n        return 2;" },
     ByCase("installs SIGTERM's handler by its first system call")),
    (&Mutant { name: "ending if getpid fails", file: MAIN, from: "    if sys::getpid() != 1 {", to: "    if sys::getpid() < 0 {\n        return 1;\n    }\n    if sys::getpid() != 1 {" },
     ByCase("SIGTERM if getpid fails")),
    (&Mutant { name: "statuses mixed up", file: MAIN, from: "return 1;", to: "return 2;" },
     ByCase("exits with 1 if SIGINT's handler can't be installed")),
    (&Mutant { name: "busy", file: MAIN, from: "        sys::pause();", to: "        sys::getpid();" },
     ByCase("sleeps and never wakes up")),
    (&Mutant { name: "exiting once and for all", file: SYS, from: "loop {\n        // SAFETY: the call does not return, unless a filter makes it fail; then it is tried again.\n        unsafe { raw_syscall!(Sysno::exit, status) };\n    }", to: "unsafe { raw_syscall!(Sysno::exit, status) };\n    loop {}" },
     ByCase("if exit fails once")),
    (&Mutant { name: "asking itself for the version", file: MAIN, from: "(1..argc)", to: "(0..argc)" },
     ByCase("does not take its own name for an argument")),
    (&Mutant { name: "particular about case", file: MAIN, from: " || word == *b\"-V\\0\\0\"", to: "" },
     ByCase("prints its name and version on -v and -V")),
    (&Mutant { name: "one relocation left in", file: MAIN, from: "        say(&WARNING);", to: "        static TEXTS: [&str; 2] = [\"1\\n\", \"some\\n\"];\n        let text = TEXTS[sys::getpid() as usize & 1];\n        unsafe { sys::write(2, text.as_ptr(), text.len()) };" },
     ByLink("the program needs a relocation")),
    (&Mutant { name: "writable data", file: MAIN, from: "        sys::pause();", to: "        static WAKES: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);\n        WAKES.fetch_add(1, core::sync::atomic::Ordering::Relaxed);\n        sys::pause();" },
     ByLink("the program has writable data")),
    (&Mutant { name: "a panic within reach", file: MAIN, from: "        say(&WARNING);", to: "        say([&WARNING, &WARNING][sys::getpid() as usize]);" },
     ByLink("pause_must_not_contain_a_panic")),
];

/// Runs the command.
///
/// # Errors
/// Where a mutant gets away.
pub fn run(shell: &Shell, _: &Arguments) -> Result<()> {
    install::ensure(shell, "/usr/bin/strace", &["strace"], "make system calls fail")?;
    let mut survivors = Vec::new();
    for (mutant, caught) in MUTANTS {
        match catch(shell, mutant, caught) {
            Ok(()) => println!("caught: {}", mutant.name),
            Err(error) => {
                println!("got away: {}: {error:#}", mutant.name);
                survivors.push(mutant.name);
            }
        }
    }
    println!("{} passed, {} failed", MUTANTS.len() - survivors.len(), survivors.len());
    ensure!(survivors.is_empty(), "the tests did not catch: {}", survivors.join(", "));
    Ok(())
}

/// Fails where the mutant is not caught by what should catch it.
fn catch(shell: &Shell, mutant: &Mutant, caught: &Caught) -> Result<()> {
    match caught {
        ByLink(message) => match mutant::build(shell, mutant) {
            Ok(_) => bail!("it links"),
            Err(error) => {
                ensure!(format!("{error:#}").contains(message), "the link fails for another reason: {error:#}")
            }
        },
        ByCase(name) => {
            let program = mutant::build(shell, mutant)?;
            let output = cmd!(shell, "cargo test --quiet --package pause --test behaviour -- {name}")
                .env("PAUSE_PROGRAMS", format!("mutant={}", program.display()))
                .env("PAUSE_PATIENCE", PATIENCE)
                .ignore_status()
                .output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let results: Vec<_> = text.lines().filter(|line| line.starts_with("test [mutant]")).collect();
            ensure!(!results.is_empty(), "there is no case \"{name}\": {}", String::from_utf8_lossy(&output.stderr));
            ensure!(results.iter().all(|line| line.ends_with("FAILED")), "it passes: {text}");
        }
    }
    Ok(())
}
