//! A machine under qemu that boots a kernel, and what is to be learnt from its serial line.

use crate::fetch::{Emulator, Equipment};
use crate::kernels::Kernel;
use crate::protocol::{CLOSING, FAILED, KERNEL, PASSED, RUN};
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use xshell::{Shell, cmd};
use xtask::note;

/// How long a machine may take. On an idle computer it takes 3 to 12 s.
const BOUND: Duration = Duration::from_secs(240);

/// What the kernel says when PID 1 has exited with status 0.
const SUCCESS: &str = "Attempted to kill init! exitcode=0x00000000";

/// The files of one boot alone.
pub struct Files {
    /// The initial file system.
    pub initramfs: PathBuf,
    /// Where a copy of the serial line's output goes.
    pub log: PathBuf,
}

/// What a machine has shown.
#[derive(Default)]
pub struct Transcript {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// The page size in bytes.
    pub page_size: u32,
    /// How many rows passed.
    pub passed: usize,
    /// The rows that failed, with details.
    pub failed: Vec<String>,
    /// How long it all took.
    pub time: Duration,
    /// The row that runs, or what comes before the first and after the last.
    waiting_for: String,
    /// Whether the driver has said that it is done.
    is_complete: bool,
    /// Whether PID 1 has said its last word.
    is_terminated: bool,
    /// The kernel's last word.
    panic: Option<String>,
}

/// Boots a kernel and reads along until it panics, which is how every boot ends.
///
/// # Errors
/// Where the machine can't be started.
pub fn boot(shell: &Shell, kernel: &Kernel, equipment: &Equipment, files: &Files) -> Result<Transcript> {
    let start = Instant::now();
    let mut machine = MachineProcess::start(shell, kernel, equipment, &files.initramfs)?;
    let log = &files.log;
    let mut log = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    let mut transcript = Transcript { waiting_for: "the driver's first line".into(), ..Transcript::default() };
    loop {
        match machine.lines.recv_timeout(BOUND.saturating_sub(start.elapsed())) {
            Ok(line) => {
                writeln!(log, "{line}")?;
                transcript.read(&line);
                if transcript.panic.is_some() {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                let seconds = BOUND.as_secs();
                transcript
                    .failed
                    .push(format!("hang: after {seconds} s, still waiting for {}", transcript.waiting_for));
                break;
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = machine.process.wait()?;
                transcript.failed.push(format!("the emulator ended ({status}) before {} came", transcript.waiting_for));
                break;
            }
        }
    }
    transcript.time = start.elapsed();
    transcript.conclude(kernel);
    Ok(transcript)
}

impl Transcript {
    /// Takes note of a line.
    fn read(&mut self, line: &str) {
        if let Some(sentence) = line.strip_prefix(RUN) {
            self.waiting_for = format!("the row \"{sentence}\"");
        } else if line.starts_with(PASSED) {
            self.passed += 1;
        } else if let Some(failure) = line.strip_prefix(FAILED) {
            self.failed.push(failure.into());
        } else if let Some((release, pages)) = line.strip_prefix(KERNEL).and_then(|line| line.split_once(", ")) {
            self.release = release.into();
            self.page_size = pages.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        } else if line.starts_with(CLOSING) {
            self.is_complete = true;
            self.waiting_for = "the last word of the machine's PID 1".into();
        } else if line.ends_with(contract::TERMINATED.trim_end()) {
            self.is_terminated = true;
            self.waiting_for = "the end of the machine's PID 1".into();
        } else if let Some((_, reason)) = line.split_once("Kernel panic - not syncing: ") {
            self.panic = Some(reason.into());
        }
    }

    /// Judges the end, which is as much a row as the others, and what the driver can't know.
    fn conclude(&mut self, kernel: &Kernel) {
        let expected = kernel.page_size * 1024;
        if self.page_size != expected {
            self.failed.push(format!("the page size is {} bytes instead of {expected}", self.page_size));
        }
        let Some(panic) = &self.panic else { return };
        if !self.is_complete {
            self.failed.push(format!("kernel panic: {panic} (before {} came)", self.waiting_for));
            return;
        }
        match self.is_terminated {
            true => self.passed += 1,
            false => self.failed.push("SIGTERM to the machine's PID 1: no message on the console".into()),
        }
        match panic.starts_with(SUCCESS) {
            true => self.passed += 1,
            false => self.failed.push(format!("SIGTERM to the machine's PID 1: kernel panic: {panic}")),
        }
    }

    /// Whether the driver ran at all.
    pub fn has_begun(&self) -> bool {
        !self.release.is_empty()
    }

    /// Whether all is well: everything ran to its end, and nothing failed.
    ///
    /// # Errors
    /// Where not, with everything that is wrong.
    pub fn verdict(&self) -> Result<()> {
        if !self.failed.is_empty() {
            bail!("{}", self.failed.join("\n  "));
        }
        ensure!(self.is_complete, "the driver's closing line is missing");
        ensure!(self.passed > 0, "no row ran");
        Ok(())
    }
}

/// A running emulator. It ends with this, and with this process.
struct MachineProcess {
    process: Child,
    lines: Receiver<String>,
}

impl MachineProcess {
    fn start(shell: &Shell, kernel: &Kernel, equipment: &Equipment, initramfs: &Path) -> Result<Self> {
        let machine = kernel.machine;
        let Equipment { kernel: image, device_tree, emulator: Emulator { program, root } } = equipment;
        let arguments = machine.arguments.split(' ');
        // Under KVM the guest never speaks on some computers, and foreign ones need the emulation anyway.
        let everywhere = "-accel tcg -smp 1 -display none -monitor none -serial stdio -net none -no-reboot".split(' ');
        // A panic ends the machine at once: how else could pause end it?
        let append = format!("console={} panic=-1 quiet loglevel=4 {}", machine.console, machine.append);
        let mut command = cmd!(
            shell,
            "setpriv --pdeathsig KILL {program} {arguments...} {everywhere...} -kernel {image} -initrd {initramfs}"
        )
        .arg("-append")
        .arg(append.trim());
        if let Some(tree) = device_tree {
            command = command.arg("-dtb").arg(tree);
        }
        if let Some(root) = root {
            command = command.arg("-L").arg(root.join("usr/share/qemu"));
        }
        note!("$ {command}");
        let mut command = Command::from(command);
        if let Some(root) = root {
            let libraries: Vec<_> = library_folders(&root.join("usr/lib"))?;
            command.env("LD_LIBRARY_PATH", std::env::join_paths(&libraries)?);
            command.env("QEMU_MODULE_DIR", libraries.iter().map(|folder| folder.join("qemu")).collect::<PathBuf>());
        }
        let (reader, writer) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let process = command.spawn()?;
        // Its copies of the writing end would keep the pipe open.
        drop(command);
        Ok(Self { process, lines: read_lines(reader) })
    }
}

impl Drop for MachineProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The folders of an unpacked tree that hold shared libraries: one, named after the machine's architecture.
fn library_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(entries.filter(|path| path.to_string_lossy().ends_with("-linux-gnu")).collect())
}

/// Lines as they come, without what ends them.
fn read_lines(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
