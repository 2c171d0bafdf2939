//! Kubernetes' container runtime interface, called with protoc and curl.

use crate::busybox::{BUSYBOX, MAKE_ORPHANS, ORPHANS};
use crate::command;
use crate::host::Fixture;
use crate::pause::{self, Visible};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;
use xshell::{Shell, cmd};

/// Debian's packages of these programs.
pub const PACKAGES: [&str; 2] = ["protobuf-compiler", "curl"];

/// Prepares this sandbox and starts the daemon that is its `$0`.
pub const SETUP: &str = include_str!("cri.sh");

/// The runtimes' sockets.
const SOCKETS: [&str; 2] = ["/run/containerd/containerd.sock", "/run/crio/crio.sock"];

/// The PID namespaces of a pod's containers.
pub const SHARED: i32 = 0;
pub const SEPARATE: i32 = 1;

/// Calls a method (`RuntimeService/RunPodSandbox`). The messages are cri.proto's, in protobuf's text format.
pub fn call(method: &str, request: &str) -> Result<String> {
    xtask::status!("> {method} {request}");
    call_quietly(method, request)
}

/// Does the same without printing it.
pub fn call_quietly(method: &str, request: &str) -> Result<String> {
    let shell = Shell::new()?;
    let socket = SOCKETS.into_iter().find(|socket| Path::new(socket).exists()).context("no runtime runs")?;
    let (headers, proto) = ("/tmp/cri.headers", "/tmp/cri.proto");
    fs::write(proto, include_str!("cri.proto"))?;
    let message = format!("runtime.v1.{}", method.rsplit('/').next().unwrap_or_default());
    let protoc = |action| cmd!(shell, "protoc --proto_path=/tmp {action} {proto}").quiet();
    let request = protoc(format!("--encode={message}Request")).stdin(request).output()?.stdout;
    // gRPC's frame: not compressed, and the length.
    let frame = [&[0], u32::try_from(request.len())?.to_be_bytes().as_slice(), &request].concat();
    let curl = cmd!(
        shell,
        "curl --silent --show-error --max-time 60 --http2-prior-knowledge --unix-socket {socket} --dump-header {headers}
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

/// Waits until the runtime serves the CRI. containerd serves other clients earlier.
pub fn wait_until_served() -> Result<()> {
    let serves = || Ok(call_quietly("RuntimeService/ListPodSandbox", "").is_ok());
    ensure!(command::becomes_so(serves)?, "the runtime does not serve the CRI");
    Ok(())
}

/// An image's ID, and whether it is pinned, as the kubelet sees it.
pub fn find_image(name: &str) -> Result<Option<(String, bool)>> {
    let status = call_quietly("ImageService/ImageStatus", &format!("image {{ image: '{name}' }}"))?;
    let id = field(&status, "id");
    Ok((!id.is_empty()).then(|| (id.into(), field(&status, "pinned") == "true")))
}

fn pod(name: &str, pids: i32) -> String {
    format!(
        "metadata {{ name: '{name}' uid: '{name}' namespace: 'default' }}
         linux {{ security_context {{ namespace_options {{ pid: {pids} }} }} }}"
    )
}

/// Runs a pod sandbox. Returns its ID.
pub fn run_sandbox(name: &str, pids: i32) -> Result<String> {
    let response = call("RuntimeService/RunPodSandbox", &format!("config {{ {} }}", pod(name, pids)))?;
    Ok(field(&response, "pod_sandbox_id").into())
}

/// Replaces all pod sandboxes by a new one, if there is an image for it.
pub fn renew_sandbox() -> Result<()> {
    wait_until_served()?;
    for id in fields(&call("RuntimeService/ListPodSandbox", "")?, "id") {
        for method in ["Stop", "Remove"] {
            call(&format!("RuntimeService/{method}PodSandbox"), &format!("pod_sandbox_id: '{id}'"))?;
        }
    }
    run_sandbox("page", SHARED).map(drop).unwrap_or_else(|error| xtask::status!("{error:#}"));
    Ok(())
}

pub fn stop_sandbox(id: &str) -> Result<()> {
    call("RuntimeService/StopPodSandbox", &format!("pod_sandbox_id: '{id}'")).map(drop)
}

pub fn is_ready(sandbox: &str) -> Result<bool> {
    let status = call_quietly("RuntimeService/PodSandboxStatus", &format!("pod_sandbox_id: '{sandbox}'"))?;
    Ok(field(&status, "state").is_empty())
}

/// Checks that a sandbox's process reaps the orphans of a container in the same pod, of this name.
pub fn check_reaping(fixture: &mut Fixture, (sandbox, pid): (&str, i32), name: &str) -> Result<()> {
    let shared = "linux { security_context { namespace_options {} } }";
    let create = format!(
        "pod_sandbox_id: '{sandbox}' config {{ metadata {{ name: 'busybox' }} image {{ image: '{BUSYBOX}' }} {shared} }}
         sandbox_config {{ {} }}",
        pod(name, SHARED)
    );
    let container = call("RuntimeService/CreateContainer", &create)?;
    let container = format!("container_id: '{}'", field(&container, "container_id"));
    call("RuntimeService/StartContainer", &container)?;
    pause::check_reaping(fixture, &Visible(pid), ORPHANS, || {
        let exec = format!("{container} timeout: 10 cmd: {MAKE_ORPHANS:?}");
        let result = call("RuntimeService/ExecSync", &exec)?;
        ensure!(field(&result, "exit_code").is_empty(), "making orphans failed: {result}");
        Ok(())
    })
}
