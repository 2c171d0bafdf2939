//! Stand-ins between a client and a registry: one that is in the way, and a registry that is not like others.

use anyhow::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::spawn;

/// Passes on what a client says to a registry, up to so many bytes, and all that the registry says.
pub struct Passage {
    /// What the registry is called here.
    pub host: String,
    passed: Arc<AtomicU64>,
    /// Hears when the last byte was passed on.
    pub full: Receiver<()>,
}

impl Passage {
    /// Opens one.
    pub fn open(registry: &str, limit: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let host = listener.local_addr()?.to_string();
        let passed = Arc::new(AtomicU64::new(0));
        let (sender, full) = channel();
        let (registry, count) = (registry.to_owned(), passed.clone());
        // They end with the process.
        spawn(move || {
            for client in listener.incoming().flatten() {
                let (registry, count, sender) = (registry.clone(), count.clone(), sender.clone());
                spawn(move || pass(&client, &registry, &count, limit, &sender));
            }
        });
        Ok(Self { host, passed, full })
    }

    /// How many bytes were passed on.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

/// Passes on what one connection brings.
fn pass(mut client: &TcpStream, registry: &str, count: &AtomicU64, limit: u64, full: &Sender<()>) -> Result<()> {
    let mut server = TcpStream::connect(registry)?;
    // Or each piece would wait for what comes after it.
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    spawn(move || std::io::copy(&mut answers, &mut back).is_ok() && back.shutdown(Shutdown::Both).is_ok());
    let mut buffer = [0; 512];
    loop {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Ok(server.shutdown(Shutdown::Write)?);
        }
        // The client has one connection at a time.
        let rest = limit.saturating_sub(count.load(Ordering::SeqCst));
        let part = read.min(usize::try_from(rest)?);
        server.write_all(&buffer[..part])?;
        count.fetch_add(part as u64, Ordering::SeqCst);
        if part < read {
            full.send(())?;
            // Until the client is gone.
            while client.read(&mut buffer)? > 0 {}
            return Ok(server.shutdown(Shutdown::Both)?);
        }
    }
}

/// What a client asks for.
pub struct Request {
    pub method: String,
    pub path: String,
    pub media_type: String,
}

/// An answer: the status, headers, and the content.
pub type Answer = (u16, &'static str, &'static str);

/// Starts a registry that has nothing and takes everything, except where `differ` answers for it. Returns its name.
pub fn registry(differ: fn(&Request) -> Option<Answer>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let host = listener.local_addr()?.to_string();
    // It ends with the process.
    spawn(move || {
        for client in listener.incoming().flatten() {
            // One that is gone needs no answer.
            let _ = answer(&client, differ);
        }
    });
    Ok(host)
}

fn answer(mut client: &TcpStream, differ: fn(&Request) -> Option<Answer>) -> Result<()> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(String::from);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut length, mut media_type) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => media_type = value.trim().into(),
            Some(_) => {}
            None => break,
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let request = Request { method, path, media_type };
    let (status, headers, content) = differ(&request).unwrap_or(match request.method.as_str() {
        "POST" => (202, "Location: /v2/pause/blobs/uploads/1\r\n", ""),
        "PUT" => (201, "Location: /v2/pause/1\r\n", ""),
        _ if request.path == "/v2/" => (200, "", ""),
        _ => (404, "", ""),
    });
    let length = content.len();
    write!(client, "HTTP/1.1 {status} x\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{content}")?;
    Ok(())
}
