//! The machine of the cluster: the control plane, the kubelet and containerd, and what they are told.

use anyhow::{Context, Result};
use e2e::command::{self, Foreground, read};
use e2e::hosts::cluster::KUBERNETES;
use e2e::hosts::containerd::{self, SOCKET};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;
use xshell::{Shell, cmd};

/// What the node is called.
pub const NAME: &str = "node";

/// Its address. A node's must not be a loopback one.
const ADDRESS: &str = "10.98.0.1";

/// The configuration of whoever may do everything.
pub const ADMINISTRATOR: &str = "/tmp/administrator.yaml";

/// How long the kubelet may take until it collects what nobody needs: it looks once a minute.
pub const COLLECTION: Duration = Duration::from_secs(150);

/// Where the kernel's settings are, with nothing mounted over them. A container in a user namespace gets a proc of its
/// own only where there is one of these: `mnt_already_visible` in
/// <https://github.com/torvalds/linux/blob/v6.12/fs/namespace.c>
const PROC: &str = "/run/proc";

/// The kernel's settings that the kubelet changes for the whole machine, with the values that it wants:
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.0/staging/src/k8s.io/component-helpers/node/util/sysctl/sysctl.go>
const SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// The pods' network: an address each, and no way out.
const NETWORK: &str = r#"{
    "cniVersion": "1.0.0", "name": "pods", "plugins": [{
        "type": "bridge", "bridge": "pods", "ipam": { "type": "host-local", "subnet": "10.99.0.0/24" }
    }]
}"#;

/// The runtimes that a pod may name.
const RUNTIMES: &str = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]
BinaryName = 'crun'
";

/// Who may do what: the administrator everything, the kubelet what a node's may.
const TOKENS: &str =
    "administrator,administrator,administrator,system:masters\nkubelet,system:node:node,kubelet,system:nodes\n";

/// The daemons, each with a log of its own.
pub struct Node<'a> {
    shell: &'a Shell,
    containerd: Foreground,
    kubelet: Foreground,
}

/// How much room for images the kubelet finds.
#[derive(Clone, Copy)]
pub enum Disk {
    /// Enough.
    Large,
    /// So little that images that nobody uses have to go.
    Small,
}

impl<'a> Node<'a> {
    /// Starts everything, with this sandbox image. The images of these archives are there.
    ///
    /// # Errors
    /// Where a daemon does not come up.
    pub fn start(shell: &'a Shell, sandbox_image: &str, archives: &[&Path]) -> Result<Self> {
        protect_settings()?;
        read(cmd!(shell, "ip link add node type bridge"))?;
        read(cmd!(shell, "ip addr add {ADDRESS}/24 dev node"))?;
        read(cmd!(shell, "ip link set node up"))?;
        start_control_plane(shell)?;
        fs::create_dir_all("/etc/cni/net.d")?;
        fs::write("/etc/cni/net.d/pods.conflist", NETWORK)?;
        let containerd = containerd::start_version_2(shell, sandbox_image, RUNTIMES)?;
        for archive in archives {
            import(shell, archive)?;
        }
        let kubelet = start_kubelet(shell, Disk::Large)?;
        Ok(Self { shell, containerd, kubelet })
    }

    /// Ends containerd by a signal and starts it, with this sandbox image.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn restart_containerd(&mut self, signal: Signal, sandbox_image: &str) -> Result<()> {
        self.containerd.end(signal)?;
        self.containerd = containerd::start_version_2(self.shell, sandbox_image, RUNTIMES)?;
        Ok(())
    }

    /// Ends the kubelet and starts it.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn restart_kubelet(&mut self, disk: Disk) -> Result<()> {
        self.kubelet.end(Signal::SIGTERM)?;
        self.kubelet = start_kubelet(self.shell, disk)?;
        Ok(())
    }

    /// What the kubelet says, from its end.
    pub fn last_words(&self) -> String {
        let log = self.kubelet.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        lines.join("\n")
    }
}

/// Gives containerd an image.
///
/// # Errors
/// Where it does not take it.
pub fn import(shell: &Shell, archive: &Path) -> Result<()> {
    read(cmd!(shell, "ctr --namespace k8s.io images import {archive}"))?;
    Ok(())
}

/// Shows the kubelet settings of its own, so that it does not change those of the machine.
fn protect_settings() -> Result<()> {
    fs::create_dir(PROC)?;
    mount(Some("proc"), PROC, Some("proc"), MsFlags::empty(), None::<&str>)?;
    for (name, value) in SETTINGS {
        let own = format!("/run/{}", name.replace('/', "."));
        fs::write(&own, format!("{value}\n"))?;
        let place = format!("/proc/sys/{name}");
        mount(Some(own.as_str()), place.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .with_context(|| format!("can't protect {place}"))?;
    }
    Ok(())
}

/// Starts etcd and what serves, controls and schedules.
fn start_control_plane(shell: &Shell) -> Result<()> {
    let etcd = cmd!(
        shell,
        "etcd --data-dir /tmp/etcd --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379
         --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380"
    );
    Foreground::start(etcd, "etcd")?;
    read(cmd!(shell, "openssl genrsa -out /tmp/accounts.key 2048"))?;
    fs::write("/tmp/tokens.csv", TOKENS)?;
    let server = cmd!(
        shell,
        "{KUBERNETES}/kube-apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address {ADDRESS}
         --bind-address {ADDRESS} --cert-dir /tmp/server --token-auth-file /tmp/tokens.csv
         --authorization-mode Node,RBAC --service-cluster-ip-range 10.97.0.0/24
         --service-account-issuer https://kubernetes.default.svc --service-account-key-file /tmp/accounts.key
         --service-account-signing-key-file /tmp/accounts.key --kubelet-preferred-address-types InternalIP"
    );
    let server = Foreground::start(server, "kube-apiserver")?;
    // It makes a certificate for its address, signed by an authority that stands beside it in the file.
    let certificate = Path::new("/tmp/server/apiserver.crt");
    server.wait_until_up(|| certificate.exists())?;
    for (user, file) in [("administrator", ADMINISTRATOR), ("kubelet", "/tmp/kubelet-client.yaml")] {
        let content = format!(
            "apiVersion: v1
kind: Config
current-context: cluster
contexts: [{{name: cluster, context: {{cluster: cluster, user: {user}}}}}]
clusters: [{{name: cluster, cluster: {{server: 'https://{ADDRESS}:6443', certificate-authority: {}}}}}]
users: [{{name: {user}, user: {{token: {user}}}}}]
",
            certificate.display()
        );
        fs::write(file, content)?;
    }
    let is_up = || command::succeeds(cmd!(shell, "kubectl --kubeconfig {ADMINISTRATOR} get --raw /readyz"));
    server.wait_until_up(is_up)?;
    let manager = cmd!(
        shell,
        "{KUBERNETES}/kube-controller-manager --kubeconfig {ADMINISTRATOR} --leader-elect=false
         --root-ca-file {certificate} --service-account-private-key-file /tmp/accounts.key
         --use-service-account-credentials=false --kube-api-qps 200 --kube-api-burst 400"
    );
    Foreground::start(manager, "kube-controller-manager")?;
    let scheduler = cmd!(
        shell,
        "{KUBERNETES}/kube-scheduler --kubeconfig {ADMINISTRATOR} --leader-elect=false --kube-api-qps 200
         --kube-api-burst 400"
    );
    Foreground::start(scheduler, "kube-scheduler")?;
    Ok(())
}

/// Starts the kubelet.
fn start_kubelet(shell: &Shell, disk: Disk) -> Result<Foreground> {
    let images = match disk {
        Disk::Large => "1Ki",
        Disk::Small => "1Pi",
    };
    let content = format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://{SOCKET}
enforceNodeAllocatable: []
evictionHard: {{memory.available: 1Mi, nodefs.available: 1Ki, imagefs.available: {images}}}
failCgroupV1: false
failSwapOn: false
imageMinimumGCAge: 1s
makeIPTablesUtilChains: false
oomScoreAdj: 0
"
    );
    fs::write("/tmp/kubelet.yaml", content)?;
    let kubelet = cmd!(
        shell,
        "{KUBERNETES}/kubelet --config /tmp/kubelet.yaml --kubeconfig /tmp/kubelet-client.yaml
         --hostname-override {NAME} --node-ip {ADDRESS}"
    );
    Foreground::start(kubelet, "kubelet")
}
