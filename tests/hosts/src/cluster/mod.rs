//! A Kubernetes cluster of one node, with the image under every pod: a control plane and a kubelet over containerd 2.
//! The checks drive it with kubectl, as its users do.

mod images;
mod node;
mod pods;
mod workloads;

use crate::busybox::{self, BUSYBOX};
use crate::host::{Fixture, Host, Programs, host};
use crate::images::{PROGRAM, REFERENCE};
use anyhow::{Context, Result, ensure};
use harness::wait;
use node::Node;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use xshell::{Cmd, Shell, cmd};
use xtask::status;

pub const HOST: Host = Host {
    absent_from: &[
        ("bookworm", "has a containerd that is too old for current kubelets"),
        ("trixie", "has a containerd that is too old for current kubelets"),
    ],
    programs: Some(Programs {
        option: "--kubernetes",
        names: &[("kube-apiserver", V), ("kube-controller-manager", V), ("kube-scheduler", V), ("kubelet", V)],
        place: KUBERNETES,
        source: "the server archive of Kubernetes 1.36 (https://kubernetes.io/releases/download)",
    }),
    ..host(
        "cluster",
        "Kubernetes, over containerd",
        &["containerd", "runc", "crun", "containernetworking-plugins", "etcd-server", "kubernetes-client", "openssl"],
        &["/opt/kubernetes/kubelet --version", "containerd --version"],
        checks,
    )
};

/// The directory of Kubernetes' programs in a sandbox, and the beginning of their version.
const KUBERNETES: &str = "/opt/kubernetes";
const V: &str = "Kubernetes v";

/// Seconds for everything except kubectl's waits. A negative control uses all of them.
const TIMEOUT: u64 = 30;

struct Cluster<'a> {
    /// Its kubectl is the administrator's.
    shell: &'a Shell,
    node: Node<'a>,
    program: PathBuf,
}

fn checks(fixture: &mut Fixture) -> Result<()> {
    wait::set_timeout(TIMEOUT);
    let shell = fixture.shell;
    let node = Node::start(shell, &[fixture.archive, Path::new(busybox::pack(shell)?)])?;
    let mut cluster = Cluster { shell, node, program: fixture.archive.with_file_name(PROGRAM) };
    let result = pods::checks(&mut cluster, fixture).and_then(|()| {
        // The rest takes minutes, and has nothing that a negative control should fail.
        if fixture.control.is_empty() {
            workloads::checks(&cluster, fixture)?;
            images::checks(&mut cluster, fixture)?;
        }
        Ok(())
    });
    result.with_context(|| format!("the end of the kubelet's log:\n{}", cluster.node.end_of_log()))
}

impl Cluster<'_> {
    /// Runs kubectl with these arguments, none of which has a space. Returns its output.
    fn kubectl(&self, arguments: &str) -> Result<String> {
        run(cmd!(self.shell, "kubectl").args(arguments.split_whitespace()))
    }

    /// Creates the objects of a manifest that names the image IMAGE.
    fn create(&self, manifest: &str) -> Result<()> {
        // Validation needs the description of the whole API, which a new server may not have yet.
        let create = cmd!(self.shell, "kubectl create --validate=false --filename -");
        run(create.stdin(manifest.replace("IMAGE", REFERENCE))).map(drop)
    }

    /// Waits for a condition of an object, as `kubectl wait --for` takes it.
    fn wait_for(&self, condition: &str, object: &str) -> Result<()> {
        self.kubectl(&format!("wait --timeout=120s --for={condition} {object}")).map(drop)
    }

    fn deploy(&self, name: &str, image: &str, replicas: usize) -> Result<()> {
        self.kubectl(&format!("create deployment {name} --image {image} --replicas {replicas}"))?;
        self.wait_for_rollout(&format!("deployment/{name}"))
    }

    /// Waits until a Deployment or DaemonSet has all its pods, and no others.
    fn wait_for_rollout(&self, object: &str) -> Result<()> {
        self.kubectl(&format!("rollout status --timeout=120s {object}")).map(drop)
    }

    /// Deletes objects, and waits until they and their pods are gone.
    fn delete(&self, objects: &str) -> Result<()> {
        self.kubectl(&format!("delete --cascade=foreground --timeout=120s {objects}")).map(drop)
    }

    /// Runs a pod with these fields, and waits until it is ready. By default, its container sleeps.
    fn run_pod(&self, name: &str, spec: &Value) -> Result<()> {
        let overrides = json!({ "apiVersion": "v1", "spec": spec }).to_string();
        run(cmd!(self.shell, "kubectl run {name} --image {BUSYBOX} --overrides {overrides}"))?;
        self.wait_for("condition=Ready", &format!("pod/{name}"))
    }
}

/// Runs a command. If it fails, its standard error is the error.
fn run(command: Cmd) -> Result<String> {
    status!("$ {command}");
    let output = command.quiet().ignore_status().output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}
