//! A client of gdb's remote protocol, for the stub of qemu-user. The maintained crates are for stubs, not for clients.
//!
//! The protocol: <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Remote-Protocol.html>; the stub:
//! <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/gdbstub/gdbstub.c>

use anyhow::{Context, Result, ensure};
use harness::wait;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub struct Client {
    stream: UnixStream,
    /// Received and not yet parsed.
    buffer: Vec<u8>,
}

/// In place of a packet: the stub has ended.
const END: &str = "W";

impl Client {
    pub fn connect(path: &Path) -> Result<Self> {
        let mut client = Self { stream: UnixStream::connect(path)?, buffer: Vec::new() };
        // The stub reads single registers only for a client that has asked for their description: `gdb_has_xml`.
        let description = client.request("qXfer:features:read:target.xml:0,1")?;
        ensure!(description.starts_with(['m', 'l']), "the stub does not describe its registers: {description:?}");
        Ok(client)
    }

    pub fn request(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        self.receive()
    }

    pub fn bytes(&mut self, packet: &str) -> Result<Vec<u8>> {
        let reply = self.request(packet)?;
        let byte = |index: usize| u8::from_str_radix(reply.get(index..index + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..reply.len()).step_by(2).map(byte).collect();
        bytes.filter(|bytes| !bytes.is_empty()).with_context(|| format!("the stub replies {reply:?} to {packet:?}"))
    }

    pub fn send(&mut self, packet: &str) -> Result<()> {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        Ok(self.stream.write_all(format!("${packet}#{sum:02x}").as_bytes())?)
    }

    pub fn receive(&mut self) -> Result<String> {
        wait::until_some("the stub replies", Duration::ZERO, || self.poll())
    }

    /// Receives and acknowledges a packet if one comes within a millisecond.
    pub fn poll(&mut self) -> Result<Option<String>> {
        loop {
            if let Some((packet, end)) = parse(&self.buffer) {
                self.buffer.drain(..end);
                self.stream.write_all(b"+").or_else(ignore_end)?;
                return Ok(Some(packet));
            }
            if poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], PollTimeout::from(1u8))? == 0 {
                return Ok(None);
            }
            let mut buffer = [0; 256];
            let count = self.stream.read(&mut buffer).or_else(|error| ignore_end(error).map(|()| 0))?;
            if count == 0 {
                return Ok(Some(END.into()));
            }
            self.buffer.extend(&buffer[..count]);
        }
    }

    /// Disconnects. The stub notices, even if a process that is being started still has a copy of the socket.
    pub fn disconnect(self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Both).or_else(ignore_end)?)
    }
}

fn ignore_end(error: std::io::Error) -> std::io::Result<()> {
    let is_end = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
    if is_end { Ok(()) } else { Err(error) }
}

/// Returns the content of the first complete packet and the length up to its end. Acknowledgements may precede it.
fn parse(received: &[u8]) -> Option<(String, usize)> {
    let position = |wanted| received.iter().position(|&byte| byte == wanted);
    let (start, end) = position(b'$').zip(position(b'#'))?;
    // Two digits of a checksum follow, which a local socket does not need.
    let is_complete = received.len() >= end + 3;
    is_complete.then(|| (String::from_utf8_lossy(&received[start + 1..end]).into(), end + 3))
}
