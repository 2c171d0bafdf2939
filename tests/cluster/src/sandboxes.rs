//! The sandboxes of pods, as containerd knows them.

use anyhow::{Context, Result};
use e2e::hosts::containerd::SOCKET;
use e2e::hosts::cri::{
    Client, ListPodSandboxRequest, ListPodSandboxResponse, PodSandboxState, PodSandboxStatusRequest,
    PodSandboxStatusResponse,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A sandbox that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sandbox {
    /// The pod's name.
    pub pod: String,
    /// containerd's name for it.
    pub id: String,
    /// The number of its process.
    pub pid: i32,
}

impl Sandbox {
    /// Checks that its process runs this program.
    ///
    /// # Errors
    /// Where it is another one.
    pub fn check_program(&self, program: &Path) -> Result<()> {
        let is_this = fs::read(format!("/proc/{}/exe", self.pid))? == fs::read(program)?;
        is_this.then_some(()).with_context(|| format!("the sandbox of {} runs another program", self.pod))
    }
}

/// How many sandboxes there are, those that have ended among them.
///
/// # Errors
/// Where containerd does not say.
pub fn count() -> Result<usize> {
    Ok(list(&Client::connect(SOCKET)?)?.items.len())
}

/// The sandboxes that run, in order.
///
/// # Errors
/// Where containerd does not say.
pub fn running() -> Result<Vec<Sandbox>> {
    let client = Client::connect(SOCKET)?;
    let mut sandboxes = Vec::new();
    for item in list(&client)?.items {
        if item.state() != PodSandboxState::Ready {
            continue;
        }
        let id = item.id.clone();
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: true };
        // One that has gone since does not run.
        let Ok(status) = client.ask::<_, PodSandboxStatusResponse>("PodSandboxStatus", request) else { continue };
        let info: Value = serde_json::from_str(status.info.get("info").context("verbose")?)?;
        let pid = info["pid"].as_i64().context("containerd does not say which process the sandbox is")?;
        let pod = item.metadata.context("a sandbox has a name")?.name;
        sandboxes.push(Sandbox { pod, id, pid: pid.try_into()? });
    }
    sandboxes.sort();
    Ok(sandboxes)
}

/// The sandbox of a pod, if it runs.
///
/// # Errors
/// Where containerd does not say.
pub fn of(pod: &str) -> Result<Option<Sandbox>> {
    Ok(running()?.into_iter().find(|sandbox| sandbox.pod == pod))
}

fn list(client: &Client) -> Result<ListPodSandboxResponse> {
    client.ask("ListPodSandbox", ListPodSandboxRequest {})
}
