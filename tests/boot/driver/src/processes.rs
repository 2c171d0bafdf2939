//! The process table, read from /proc.

use crate::sys::{self, Pid};
use crate::text::{Result, Text, text};
use contract::HANDLED;
use core::ffi::{CStr, c_long};

/// How many seconds something may take that takes a millisecond on an idle machine. An emulated machine is
/// slow, and the one that emulates it may be busy.
const BOUND: c_long = 60;

/// Waits until the condition holds, but not forever. `what` ends the sentence "waited for".
pub fn eventually(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result {
    let end = sys::uptime() + BOUND;
    while !condition()? {
        if sys::uptime() > end {
            return Err(text!("waited {BOUND} seconds for {what}"));
        }
        sys::nap();
    }
    Ok(())
}

/// Whether pause has all its handlers in place, blocks no signal and sleeps.
pub fn is_ready(pid: Pid) -> bool {
    let mask = |key| u64::from_str_radix(status(pid, key).as_str(), 16).ok();
    mask("SigCgt:").is_some_and(|mask| mask & HANDLED == HANDLED)
        && mask("SigBlk:") == Some(0)
        && status(pid, "State:").as_str().starts_with('S')
}

/// A line of /proc/<pid>/status without its key, or nothing.
pub fn status(pid: Pid, key: &str) -> Text {
    let mut buffer = [0; 4096];
    let content = read(text!("/proc/{pid}/status\0"), &mut buffer);
    Text::new(content.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().as_bytes())
}

/// How many children a process has, zombies and all.
pub fn count_children(pid: Pid) -> usize {
    count_children_in_state(pid, "")
}

/// How many zombies a process has left lying about.
pub fn count_zombies(pid: Pid) -> usize {
    count_children_in_state(pid, "Z")
}

fn count_children_in_state(pid: Pid, state: &str) -> usize {
    let mut count = 0;
    for_each_process(|other| {
        let mut buffer = [0; 512];
        let stat = read(text!("/proc/{other}/stat\0"), &mut buffer);
        // <pid> (<name, which may hold anything>) <state> <parent> …
        let rest = stat.rsplit(") ").next().unwrap_or_default();
        let is_child = rest.split(' ').nth(1).is_some_and(|parent| parent.parse() == Ok(pid));
        count += usize::from(is_child && rest.starts_with(state));
    });
    count
}

/// Visits the number of every process.
fn for_each_process(mut visit: impl FnMut(Pid)) {
    let folder = sys::open(c"/proc").expect("/proc is mounted");
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = sys::read_folder(folder, &mut buffer) {
        let mut entries = &buffer[..length];
        // An entry is: inode, 8 bytes; offset, 8; its own length, 2; type, 1; name, ended by a zero.
        // https://man7.org/linux/man-pages/man2/getdents.2.html
        while !entries.is_empty() {
            let size = u16::from_ne_bytes([entries[16], entries[17]]);
            let (entry, rest) = entries.split_at(size.into());
            let name = CStr::from_bytes_until_nul(&entry[19..]).unwrap_or_default();
            if let Some(pid) = name.to_str().ok().and_then(|name| name.parse().ok()) {
                visit(pid);
            }
            entries = rest;
        }
    }
    sys::close(folder);
}

/// The beginning of a file, or nothing. `path` ends with a zero.
fn read(path: Text, buffer: &mut [u8]) -> &str {
    let path = CStr::from_bytes_until_nul(path.bytes()).expect("a path that ends");
    let Ok(file) = sys::open(path) else { return "" };
    let length = sys::read(file, buffer).unwrap_or_default();
    sys::close(file);
    str::from_utf8(&buffer[..length]).unwrap_or_default()
}
