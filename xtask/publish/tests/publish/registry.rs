//! A registry of the run, and what it has, asked for in the plainest way.

use crate::scene::Scene;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xtask::digest::sha256;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who may do what, as the registry is told: "pause" with the password "a:secret".
const HTPASSWD: &str = "pause:$2b$04$abcdefghijklmnopqrstuua4N8fNiWEz07oDt5gQqvWR8Z.VJUoOm\n";

/// A user whom every registry with a password knows.
pub const USER: [&str; 2] = ["pause", "a:secret"];

/// A registry.
pub struct Registry {
    process: Child,
    folder: TempDir,
    /// Its name: host and port.
    pub host: String,
}

/// What a registry can be told.
#[derive(Default)]
pub struct Settings {
    /// Whether it wants a password.
    pub password: bool,
    /// Whether it takes nothing.
    pub read_only: bool,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// A folder with what it has.
    pub data: Option<PathBuf>,
}

impl Registry {
    /// Starts one.
    pub fn start(scene: &Scene, settings: &Settings) -> Result<Self> {
        let folder = TempDir::new_in(scene.path(""))?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        // Somebody else could take it in between; then this one does not start.
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let data = settings.data.as_ref().map_or(path("data"), |data| data.display().to_string());
        let mut configuration = format!(
            "version: 0.1\n\
             log: {{ level: warn }}\n\
             storage:\n  filesystem: {{ rootdirectory: '{data}' }}\n  maintenance: {{ readonly: {{ enabled: {} }} }}\n",
            settings.read_only
        );
        if settings.password {
            fs::write(path("htpasswd"), HTPASSWD)?;
            configuration += &format!("auth:\n  htpasswd: {{ realm: pause, path: '{}' }}\n", path("htpasswd"));
        }
        configuration += &format!("http:\n  addr: '{host}'\n");
        if settings.tls {
            certify(&folder)?;
            configuration +=
                &format!("  tls: {{ certificate: '{}', key: '{}' }}\n", path("server.pem"), path("server.key"));
        }
        fs::write(path("configuration.yaml"), configuration)?;
        let log = File::create(path("log"))?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path("configuration.yaml")).stdout(log.try_clone()?).stderr(log);
        let process = command.stdin(Stdio::null()).spawn().context("can't start docker-registry")?;
        let mut registry = Self { process, folder, host };
        let start = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            let ended = registry.process.try_wait()?.is_some();
            ensure!(!ended && start.elapsed() < PATIENCE, "the registry does not start: {}", registry.log()?);
            sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// A path in its folder: of `ca.pem`, where it speaks TLS, and of `data`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it logs: among others, a line for each request.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("log"))?)
    }

    /// How many requests of that method it has logged.
    pub fn count(&self, method: &str) -> Result<usize> {
        Ok(self.log()?.lines().filter(|line| line.contains(&format!("\"{method} /v2/"))).count())
    }

    /// What is at a path, if something is.
    pub fn get(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let mut stream = TcpStream::connect(&self.host)?;
        let types = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        // With 1.0 the answer comes in one piece and ends with the connection.
        write!(stream, "GET /v2/{path} HTTP/1.0\r\nHost: {}\r\nAccept: {types}\r\n\r\n", self.host)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").context("an answer has a head")?;
        let content = answer.split_off(head + 4);
        match String::from_utf8(answer)?.split(' ').nth(1) {
            Some("200") => Ok(Some(content)),
            Some("404") => Ok(None),
            status => bail!("{path}: the registry answers {status:?}"),
        }
    }

    /// What a tag leads to, after all that belongs to it was found there and right: the digest of the index, or
    /// nothing.
    pub fn tagged(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let Some(index) = self.get(&format!("{repository}/manifests/{tag}"))? else { return Ok(None) };
        let right = |kind: &str, descriptor: &Value| -> Result<Vec<u8>> {
            let digest = descriptor["digest"].as_str().context("a descriptor has a digest")?;
            let blob = self.get(&format!("{repository}/{kind}/{digest}"))?;
            let blob = blob.with_context(|| format!("{tag} leads to {digest}, which is not there"))?;
            ensure!(digest == format!("sha256:{}", sha256(&blob)), "{digest} is {}", sha256(&blob));
            Ok(blob)
        };
        let list = |value: &Value| value.as_array().cloned().context("a list");
        for descriptor in list(&serde_json::from_slice::<Value>(&index)?["manifests"])? {
            let manifest: Value = serde_json::from_slice(&right("manifests", &descriptor)?)?;
            right("blobs", &manifest["config"])?;
            list(&manifest["layers"])?.iter().try_for_each(|layer| right("blobs", layer).map(drop))?;
        }
        Ok(Some(format!("sha256:{}", sha256(&index))))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes a certificate authority and a certificate of its for this machine.
fn certify(folder: &TempDir) -> Result<()> {
    let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"];
    let authority = ["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"];
    let server =
        ["-subj", "/CN=server", "-keyout", "server.key", "-out", "server.pem", "-CA", "ca.pem", "-CAkey", "ca.key"];
    let name = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    for arguments in [[&key[..], &authority].concat(), [&key[..], &server, &name].concat()] {
        let output = Command::new("openssl").args(arguments).current_dir(folder).output()?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
