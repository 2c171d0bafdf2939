//! A machine under qemu that boots a kernel, and the results on its serial line.

use crate::fetch::Equipment;
use crate::kernels::Kernel;
use crate::protocol::{END, FAILED, KERNEL, PASSED, RUN};
use anyhow::{Context, Result};
use harness::wait;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader, Split, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use xshell::{Shell, cmd};
use xtask::status;

/// Printed by the kernel if PID 1 exits with status 0.
const SUCCESS: &str = "Attempted to kill init! exitcode=0x00000000";

#[derive(Default)]
pub struct Results {
    /// The kernel's release, as `uname -r` prints it; empty if the driver never started.
    pub release: String,
    /// As the driver prints it: `4 KiB`.
    pub page_size: String,
    pub passed: usize,
    pub failed: Vec<String>,
    pub time: Duration,
    waiting_for: String,
    is_complete: bool,
    /// Whether PID 1 has written its message.
    is_terminated: bool,
    panic: Option<String>,
}

/// Boots a kernel and reads its output, which is also written to a log, until it panics. Every boot ends with that.
pub fn boot(shell: &Shell, kernel: &Kernel, equipment: &Equipment, initramfs: &Path, log: &Path) -> Result<Results> {
    let started = Instant::now();
    let (mut emulator, mut lines) = start(shell, kernel, equipment, initramfs)?;
    let mut log = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    let mut results = Results { waiting_for: "the driver's first line".into(), ..Results::default() };
    while results.panic.is_none() {
        let Some(line) = lines.next() else {
            let (seconds, status) = (started.elapsed().as_secs(), emulator.wait()?);
            let end = format!("the emulator ended after {seconds} s ({status}; 137 is a time-out)");
            results.failed.push(format!("{end}, waiting for {}", results.waiting_for));
            break;
        };
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches('\r');
        writeln!(log, "{line}")?;
        results.read(line);
    }
    results.time = started.elapsed();
    emulator.kill().ok();
    emulator.wait()?;
    results.conclude(kernel);
    Ok(results)
}

impl Results {
    fn read(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix(RUN) {
            self.waiting_for = format!("the case \"{name}\"");
        } else if line.starts_with(PASSED) {
            self.passed += 1;
        } else if let Some(failure) = line.strip_prefix(FAILED) {
            self.failed.push(failure.into());
        } else if let Some((release, pages)) = line.strip_prefix(KERNEL).and_then(|line| line.split_once(", ")) {
            self.release = release.into();
            self.page_size = pages.trim_end_matches(" pages").into();
        } else if line.starts_with("signals: ") {
            status!("{line}");
        } else if line.starts_with(END) {
            self.is_complete = true;
            self.waiting_for = "the message of the machine's PID 1".into();
        } else if line.ends_with(contract::TERMINATED.trim_end()) {
            self.is_terminated = true;
            self.waiting_for = "the end of the machine's PID 1".into();
        } else if let Some((_, reason)) = line.split_once("Kernel panic - not syncing: ") {
            self.panic = Some(reason.into());
        }
    }

    /// Adds the last cases, which the driver can't check: the message and the exit status of the machine's PID 1.
    fn conclude(&mut self, kernel: &Kernel) {
        let expected = format!("{} KiB", kernel.page_size_in_kib);
        if self.page_size != expected {
            self.failed.push(format!("the page size is {:?} instead of {expected}", self.page_size));
        }
        let Some(panic) = &self.panic else { return };
        if !self.is_complete {
            self.failed.push(format!("kernel panic: {panic} (waiting for {})", self.waiting_for));
            return;
        }
        let message = (self.is_terminated, "no message on the console".into());
        let status = (panic.starts_with(SUCCESS), format!("kernel panic: {panic}"));
        for (is_right, failure) in [message, status] {
            if is_right {
                self.passed += 1;
            } else {
                self.failed.push(format!("SIGTERM to the machine's PID 1: {failure}"));
            }
        }
    }
}

type Lines = Split<BufReader<PipeReader>>;

/// Starts an emulator, which ends with this process at the latest. Returns its output, too.
fn start(shell: &Shell, kernel: &Kernel, equipment: &Equipment, initramfs: &Path) -> Result<(Child, Lines)> {
    let machine = kernel.machine;
    let Equipment { kernel: image, device_tree, emulator, root } = equipment;
    let arguments = machine.arguments.split(' ');
    // KVM would help one architecture only, and doesn't work on every host.
    let common = "-accel tcg -smp 1 -display none -monitor none -serial stdio -net none -no-reboot".split(' ');
    // A panic ends the machine.
    let append = format!("{} panic=-1 quiet loglevel=4", machine.append);
    let device_tree = device_tree.iter().flat_map(|tree| ["-dtb".as_ref(), tree.as_path()]);
    let data = root.as_ref().map(|root| root.join("usr/share/qemu"));
    let data = data.iter().flat_map(|data| ["-L".as_ref(), data.as_path()]);
    // A boot takes 3 to 12 s on an idle host.
    let seconds = (4 * wait::timeout()).as_secs_f64().to_string();
    let command = cmd!(
        shell,
        "setpriv --pdeathsig KILL timeout --foreground --signal KILL {seconds}
         setpriv --pdeathsig KILL {emulator} {arguments...} {common...} -kernel {image} -initrd {initramfs}
         -append {append} {device_tree...} {data...}"
    );
    status!("$ {command}");
    let mut command = Command::from(command);
    if let Some(root) = root {
        // The directory is named after the host's architecture.
        let mut entries = fs::read_dir(root.join("usr/lib"))?.filter_map(|entry| Some(entry.ok()?.path()));
        let libraries = entries.find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        let libraries = libraries.context("the emulator's packages have no libraries")?;
        command.env("QEMU_MODULE_DIR", libraries.join("qemu")).env("LD_LIBRARY_PATH", libraries);
    }
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let process = command.spawn()?;
    // Closes its copies of the writing end.
    drop(command);
    Ok((process, BufReader::new(reader).split(b'\n')))
}
