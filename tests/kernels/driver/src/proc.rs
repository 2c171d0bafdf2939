//! Processes and the kernel, as /proc shows them.

use crate::sys::{self, Pid};
use crate::{Result, Text, text};
use contract::HANDLED;
use core::ffi::CStr;

/// Waits until a condition holds. There is no time-out: `cargo xtask kernels` ends a machine that hangs.
pub fn wait_until(mut condition: impl FnMut() -> Result<bool>) -> Result {
    while !condition()? {
        sys::nap();
    }
    Ok(())
}

/// Whether pause has all its handlers in place, blocks no signal and sleeps.
pub fn is_ready(pid: Pid) -> bool {
    let mask = |key| u64::from_str_radix(&status(pid, key), 16).ok();
    mask("SigCgt:").is_some_and(|mask| mask & HANDLED == HANDLED)
        && mask("SigBlk:") == Some(0)
        && status(pid, "State:").starts_with('S')
}

/// Returns a field of /proc/<pid>/status, or an empty text.
pub fn status(pid: Pid, key: &str) -> Text {
    field(text!("/proc/{pid}/status\0"), key)
}

pub fn page_size_in_kib() -> u64 {
    let size = field(text!("/proc/self/smaps\0"), "KernelPageSize:");
    size.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Number of children of a process in a state; `Z` for zombies, empty for all.
pub fn count_children(pid: Pid, state: &str) -> usize {
    let directory = sys::open(c"/proc").expect("/proc is mounted");
    let (mut count, mut buffer) = (0, [0; 4096]);
    while let Ok(length @ 1..) = sys::read_directory(directory, &mut buffer) {
        let mut entries = &buffer[..length];
        // An entry: inode, 8 bytes; offset, 8; length of the entry, 2; type, 1; name, terminated by a zero.
        // https://man7.org/linux/man-pages/man2/getdents.2.html
        while !entries.is_empty() {
            let size = u16::from_ne_bytes([entries[16], entries[17]]);
            let (entry, rest) = entries.split_at(size.into());
            let name = CStr::from_bytes_until_nul(&entry[19..]).unwrap_or_default();
            let is_process = |name: &&str| name.starts_with(|first: char| first.is_ascii_digit());
            count += usize::from(name.to_str().ok().filter(is_process).is_some_and(|name| is_child(name, pid, state)));
            entries = rest;
        }
    }
    sys::close(directory);
    count
}

fn is_child(process: &str, pid: Pid, state: &str) -> bool {
    let mut buffer = [0; 512];
    let stat = read(text!("/proc/{process}/stat\0"), &mut buffer);
    // <pid> (<name>) <state> <parent> …
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    rest.starts_with(state) && rest.split(' ').nth(1).is_some_and(|parent| parent.parse() == Ok(pid))
}

/// Returns the rest of the first line that starts with `key`.
pub fn field(path: Text, key: &str) -> Text {
    let mut buffer = [0; 4096];
    let content = read(path, &mut buffer);
    let value = content.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    Text::from(value.trim()).unwrap_or_default()
}

/// Reads the start of a file; empty if that fails. `path` ends with a zero.
fn read(path: Text, buffer: &mut [u8]) -> &str {
    let path = CStr::from_bytes_until_nul(path.as_bytes()).expect("it ends with a zero");
    let Ok(file) = sys::open(path) else { return "" };
    let length = sys::read(file, buffer).unwrap_or_default();
    sys::close(file);
    str::from_utf8(&buffer[..length]).unwrap_or_default()
}
