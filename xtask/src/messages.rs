//! Lines on standard output and standard error, which never panic.

use std::fmt;
use std::io::{self, Write, stderr, stdout};
use std::sync::Mutex;
use xshell::Shell;

/// The longest line of a message, in characters.
const WIDTH: usize = 120;

/// The first error of standard output. Nothing is written after it.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes a line to standard output. After an error, the command goes on, and fails at its end.
pub fn outln(line: fmt::Arguments) {
    let mut lost = LOST.lock().expect("no panic while it is held");
    if lost.is_none() {
        *lost = writeln!(stdout(), "{line}").and_then(|()| stdout().flush()).err();
    }
}

/// Takes the error of standard output, unless its reader has closed the pipe.
pub fn take_output_error() -> Option<io::Error> {
    let error = LOST.lock().expect("no panic while it is held").take();
    error.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// Writes a line to standard error, and ignores errors.
pub fn status(line: fmt::Arguments) {
    let _ = writeln!(stderr(), "{line}");
}

/// Writes a line to standard output, as `println!` does, but never panics.
#[macro_export]
macro_rules! outln {
    ($($argument:tt)*) => { $crate::messages::outln(format_args!($($argument)*)) };
}

/// Writes a line to standard error, as `eprintln!` does, but never panics.
#[macro_export]
macro_rules! status {
    ($($argument:tt)*) => { $crate::messages::status(format_args!($($argument)*)) };
}

/// Wraps the first line of a message. The others are a command to type, or a table.
pub fn wrap(message: &str) -> String {
    let (first, rest) = message.split_at(message.find('\n').unwrap_or(message.len()));
    let mut lines = vec![String::new()];
    for word in first.split(' ') {
        let line = lines.last_mut().expect("it begins with one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.extend([" ", word]);
        } else {
            lines.push(word.into());
        }
    }
    lines.join("\n") + rest
}

/// Writes the output of another program to a file below target. Returns its path in the checkout, for a message.
pub fn log(shell: &Shell, name: &str, output: &[u8]) -> String {
    let path = format!("target/log/{name}.txt");
    match shell.write_file(&path, output) {
        Ok(()) => path,
        Err(error) => error.to_string(),
    }
}
