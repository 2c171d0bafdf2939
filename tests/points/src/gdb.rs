//! A client of gdb's remote protocol, as far as the stub of qemu-user takes part in it. The crates that are kept well
//! are for stubs, not for clients.
//!
//! The protocol: <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html>; the stub:
//! <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/gdbstub/gdbstub.c>

use anyhow::{Context, Result, bail, ensure};
use harness::wait;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to a stub.
pub struct Client {
    stream: UnixStream,
    /// What has come and has not been looked at.
    received: Vec<u8>,
}

/// What a stub says of a program that it has let run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It has done a step or come to a breakpoint.
    Trap,
    /// It is about to get this signal, by gdb's number.
    Signal(u8),
    /// It has ended.
    End,
}

/// gdb's number of SIGTRAP: 5, as Linux's.
const TRAP: u8 = 5;

impl Client {
    /// Connects to the stub that listens there.
    ///
    /// # Errors
    /// Where there is none.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(wait::patience()))?;
        let mut client = Self { stream, received: Vec::new() };
        // The stub tells a single register only to who has asked what there are: `gdb_has_xml`.
        let description = client.ask("qXfer:features:read:target.xml:0,1")?;
        ensure!(description.starts_with(['m', 'l']), "the stub describes no registers: {description:?}");
        Ok(client)
    }

    /// A register, as the bytes of the program's machine.
    ///
    /// # Errors
    /// Where there is none of that number.
    pub fn register(&mut self, number: usize) -> Result<Vec<u8>> {
        self.bytes(&format!("p{number:x}"))
    }

    /// What is in memory.
    ///
    /// # Errors
    /// Where nothing is.
    pub fn memory(&mut self, address: u64, length: usize) -> Result<Vec<u8>> {
        self.bytes(&format!("m{address:x},{length:x}"))
    }

    /// Sets a breakpoint. The program's memory stays as it is.
    ///
    /// # Errors
    /// Where that is refused.
    pub fn set_breakpoint(&mut self, address: u64) -> Result<()> {
        self.order(&format!("Z0,{address:x},1"))
    }

    /// Removes a breakpoint.
    ///
    /// # Errors
    /// Where there is none.
    pub fn remove_breakpoint(&mut self, address: u64) -> Result<()> {
        self.order(&format!("z0,{address:x},1"))
    }

    /// Has the program go on, with the signal of its last stop if it is given that. It then stops, sleeps or ends.
    ///
    /// # Errors
    /// Where the stub is gone.
    pub fn go_on(&mut self, signal: Option<u8>) -> Result<()> {
        match signal {
            Some(signal) => self.send(&format!("C{signal:02x}")),
            None => self.send("c"),
        }
    }

    /// Has the program execute an instruction. It then stops.
    ///
    /// # Errors
    /// Where the stub is gone.
    pub fn step(&mut self) -> Result<()> {
        self.send("s")
    }

    /// Whether there is something to receive: a packet, or that the stub is gone. Waits for that for a millisecond.
    ///
    /// # Errors
    /// Where that can't be known.
    pub fn has_news(&mut self) -> Result<bool> {
        let is_readable = |stream: &UnixStream| {
            poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], PollTimeout::from(1u8)).map(|count| count > 0)
        };
        while first_packet(&self.received)?.is_none() {
            if !is_readable(&self.stream)? {
                return Ok(false);
            }
            if !self.read()? {
                break;
            }
        }
        Ok(true)
    }

    /// Receives why the program has stopped.
    ///
    /// # Errors
    /// Where it has not, for too long.
    pub fn stop(&mut self) -> Result<Stop> {
        let Some(news) = self.receive()? else { return Ok(Stop::End) };
        match (news.get(..1), news.get(1..3).map(|digits| u8::from_str_radix(digits, 16))) {
            (Some("T"), Some(Ok(TRAP))) => Ok(Stop::Trap),
            (Some("T"), Some(Ok(signal))) => Ok(Stop::Signal(signal)),
            (Some("W" | "X"), _) => Ok(Stop::End),
            _ => bail!("the stub says {news:?} of the program"),
        }
    }

    /// Leaves the program to itself, from where it has stopped. The stub is told even if a process that is being started
    /// still has a copy of the connection.
    ///
    /// # Errors
    /// Where that can't be.
    pub fn leave(self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Both).or_else(gone)?)
    }

    fn order(&mut self, packet: &str) -> Result<()> {
        let answer = self.ask(packet)?;
        ensure!(answer == "OK", "the stub answers {packet:?} with {answer:?}");
        Ok(())
    }

    fn bytes(&mut self, packet: &str) -> Result<Vec<u8>> {
        let answer = self.ask(packet)?;
        let byte = |index: usize| u8::from_str_radix(answer.get(index..index + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..answer.len()).step_by(2).map(byte).collect();
        bytes.filter(|bytes| !bytes.is_empty()).with_context(|| format!("the stub answers {packet:?} with {answer:?}"))
    }

    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        self.receive()?.with_context(|| format!("the stub is gone without an answer to {packet:?}"))
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        Ok(self.stream.write_all(format!("${packet}#{sum:02x}").as_bytes())?)
    }

    /// The content of the next packet, and its acknowledgement; nothing where the stub is gone.
    fn receive(&mut self) -> Result<Option<String>> {
        loop {
            if let Some((packet, length)) = first_packet(&self.received)? {
                self.received.drain(..length);
                self.stream.write_all(b"+").or_else(gone)?;
                return Ok(Some(packet));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Reads what has come. Returns whether the stub is there.
    fn read(&mut self) -> Result<bool> {
        let mut buffer = [0; 256];
        let count = self.stream.read(&mut buffer).or_else(|error| gone(error).map(|()| 0));
        let count = count.context("the stub does not answer")?;
        self.received.extend(&buffer[..count]);
        Ok(count > 0)
    }
}

/// That the other end is gone is no error.
fn gone(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Ok(()),
        _ => Err(error),
    }
}

/// The first whole packet in what was received: its content, and how many bytes it ends after. Before it may be
/// acknowledgements.
fn first_packet(received: &[u8]) -> Result<Option<(String, usize)>> {
    let Some(start) = received.iter().position(|&byte| byte == b'$') else { return Ok(None) };
    let Some(length) = received[start..].iter().position(|&byte| byte == b'#') else { return Ok(None) };
    // Two digits of a sum follow. A socket of this machine loses nothing, so nobody looks at them.
    let end = start + length + 3;
    if received.len() < end {
        return Ok(None);
    }
    Ok(Some((String::from_utf8(received[start + 1..start + length].to_vec())?, end)))
}

#[cfg(test)]
mod tests {
    use super::first_packet;

    #[test]
    fn a_packet_is_taken_when_it_is_whole() {
        for part in ["", "+", "+$T05thread:1;", "+$T05#", "+$T05#b"] {
            assert_eq!(first_packet(part.as_bytes()).unwrap(), None);
        }
        assert_eq!(first_packet(b"+$T05#b9+$OK#9a").unwrap(), Some(("T05".into(), 8)));
        assert_eq!(first_packet(b"$#00").unwrap(), Some((String::new(), 4)));
    }
}
