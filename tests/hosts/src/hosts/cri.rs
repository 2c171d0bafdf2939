//! Kubernetes' container runtime interface, called with protoc and curl.

use super::containerd::SOCKET;
use anyhow::{Result, bail};
use std::fs;
use xshell::{Shell, cmd};

/// Debian's packages of these programs.
pub const PACKAGES: [&str; 2] = ["protobuf-compiler", "curl"];

/// Calls a method (`RuntimeService/RunPodSandbox`). The messages are cri.proto's, in protobuf's text format.
pub fn call(method: &str, request: &str) -> Result<String> {
    xtask::status!("> {method} {request}");
    call_quietly(method, request)
}

/// Does the same without printing it.
pub fn call_quietly(method: &str, request: &str) -> Result<String> {
    let shell = Shell::new()?;
    let (headers, proto) = ("/tmp/cri.headers", "/tmp/cri.proto");
    fs::write(proto, include_str!("cri.proto"))?;
    let message = format!("runtime.v1.{}", method.rsplit('/').next().unwrap_or_default());
    let protoc = |action| cmd!(shell, "protoc --proto_path=/tmp {action} {proto}").quiet();
    let request = protoc(format!("--encode={message}Request")).stdin(request).output()?.stdout;
    // gRPC's frame: not compressed, and the length.
    let frame = [&[0], u32::try_from(request.len())?.to_be_bytes().as_slice(), &request].concat();
    let curl = cmd!(
        shell,
        "curl --silent --show-error --max-time 60 --http2-prior-knowledge --unix-socket {SOCKET} --dump-header {headers}
         --header content-type:application/grpc --header te:trailers --data-binary @-
         http://localhost/runtime.v1.{method}"
    );
    let response = curl.stdin(frame).quiet().output()?.stdout;
    let Some(response) = response.get(5..) else { bail!("{method} failed: {}", fs::read_to_string(headers)?) };
    let response = protoc(format!("--decode={message}Response")).stdin(response).output()?.stdout;
    Ok(String::from_utf8(response)?)
}

/// The values of the fields of this name, wherever they are in a message. A quoted value must have no escapes.
pub fn fields<'a>(message: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let prefix = format!("{name}: ");
    message.lines().filter_map(move |line| Some(line.trim().strip_prefix(&prefix)?.trim_matches('"')))
}

/// The first value of a field, or an empty one, which is protobuf's default.
pub fn field<'a>(message: &'a str, name: &str) -> &'a str {
    fields(message, name).next().unwrap_or_default()
}
