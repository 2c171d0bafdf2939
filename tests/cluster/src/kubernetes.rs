//! Kubernetes' API, as the checks use it: one call after the other.

use anyhow::{Context, Result};
use e2e::command;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use xtask::note;

/// How long Kubernetes may take for what it does in a few seconds when it is not busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The one namespace, but for a few checks.
pub const NAMESPACE: &str = "default";

/// An object that is in a namespace, and can be sent and read.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug
{
}

impl<Kind> Object for Kind where
    Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + Debug
{
}

/// A connection to an API server.
pub struct Kubernetes {
    tokio: Runtime,
    client: Client,
}

impl Kubernetes {
    /// Prepares for it; nobody needs to listen yet.
    ///
    /// # Errors
    /// Where the file is no configuration of a client.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        provide_cryptography()?;
        let tokio = Builder::new_current_thread().enable_all().build()?;
        let file = Kubeconfig::read_from(kubeconfig)?;
        let client = tokio.block_on(async {
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
            anyhow::Ok(Client::try_from(config)?)
        })?;
        Ok(Self { tokio, client })
    }

    /// Waits for an answer.
    pub fn ask<Answer>(&self, question: impl Future<Output = kube::Result<Answer>>) -> kube::Result<Answer> {
        self.tokio.block_on(question)
    }

    /// The objects of a kind in a namespace.
    pub fn of<Kind: Object>(&self, namespace: &str) -> Api<Kind> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The objects of a kind that is in no namespace.
    pub fn all<Kind: Resource<DynamicType = ()>>(&self) -> Api<Kind> {
        Api::all(self.client.clone())
    }

    /// The pods of the namespace.
    pub fn pods(&self) -> Api<Pod> {
        self.of(NAMESPACE)
    }

    /// Makes an object.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub fn create<Kind>(&self, api: &Api<Kind>, object: Value) -> Result<Kind>
    where
        Kind: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        let object: Kind = serde_json::from_value(object)?;
        let name = object.meta().name.clone().unwrap_or_default();
        note!("> create {} {name}", Kind::kind(&()));
        self.ask(api.create(&PostParams::default(), &object)).with_context(|| format!("can't create {name}"))
    }

    /// Makes a pod of the namespace, with this specification, and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn run(&self, name: &str, spec: Value) -> Result<()> {
        self.create(&self.pods(), json!({ "metadata": { "name": name }, "spec": spec }))?;
        self.wait_until_ready(&self.pods(), name)
    }

    /// Waits until a pod is ready.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn wait_until_ready(&self, pods: &Api<Pod>, name: &str) -> Result<()> {
        self.wait(&format!("pod {name} is ready"), || {
            Ok(self.ask(pods.get_opt(name))?.is_some_and(|pod| is_ready(&pod)))
        })
    }

    /// Deletes an object, and waits until it is gone.
    ///
    /// # Errors
    /// Where it stays.
    pub fn delete<Kind>(&self, api: &Api<Kind>, name: &str) -> Result<()>
    where
        Kind: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        note!("> delete {} {name}", Kind::kind(&()));
        self.ask(api.delete(name, &DeleteParams::foreground()))?;
        self.wait(&format!("{name} is gone"), || Ok(self.ask(api.get_opt(name))?.is_none()))
    }

    /// Makes a deployment of the namespace, of pods with this specification, and waits until it is as it should be.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn deploy(&self, name: &str, replicas: usize, spec: Value) -> Result<()> {
        let deployment = json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": replicas,
                "strategy": { "rollingUpdate": { "maxSurge": "50%", "maxUnavailable": "50%" } },
                "selector": { "matchLabels": { "app": name } },
                "template": { "metadata": { "labels": { "app": name } }, "spec": spec },
            },
        });
        self.create(&self.of::<Deployment>(NAMESPACE), deployment)?;
        self.wait_until_complete(name)
    }

    /// Changes a deployment of the namespace, and waits until it is as it should be.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn change(&self, name: &str, change: Value) -> Result<()> {
        let deployments: Api<Deployment> = self.of(NAMESPACE);
        self.ask(deployments.patch(name, &PatchParams::default(), &Patch::Merge(change)))?;
        self.wait_until_complete(name)
    }

    /// Waits until a deployment has all its pods, and they are ready, and no others.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn wait_until_complete(&self, name: &str) -> Result<()> {
        let deployments: Api<Deployment> = self.of(NAMESPACE);
        self.wait(&format!("deployment {name} is complete"), || {
            let deployment = self.ask(deployments.get(name))?;
            let wanted = deployment.spec.and_then(|spec| spec.replicas);
            let Some(status) = deployment.status else { return Ok(false) };
            let counts = [status.replicas, status.updated_replicas, status.available_replicas];
            let is_seen = status.observed_generation == deployment.metadata.generation;
            Ok(is_seen && counts.iter().all(|count| count.or(Some(0)) == wanted))
        })
    }

    /// Deletes a deployment of the namespace, and waits until no pod is there.
    ///
    /// # Errors
    /// Where one stays.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.delete(&self.of::<Deployment>(NAMESPACE), name)?;
        self.wait_until_empty()
    }

    /// Waits until the namespace has no pods.
    ///
    /// # Errors
    /// Where one stays.
    pub fn wait_until_empty(&self) -> Result<()> {
        self.wait("all pods are gone", || Ok(self.ask(self.pods().list(&ListParams::default()))?.items.is_empty()))
    }

    /// Waits until a namespace has the account that its pods run under.
    ///
    /// # Errors
    /// Where it does not get it.
    pub fn wait_for_account(&self, namespace: &str) -> Result<()> {
        let accounts = self.of::<ServiceAccount>(namespace);
        self.wait("there is a service account", || Ok(self.ask(accounts.get_opt("default"))?.is_some()))
    }

    /// Waits until a node is ready.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn wait_until_node_is_ready(&self, name: &str) -> Result<()> {
        let nodes: Api<Node> = self.all();
        self.wait("the node is ready", || {
            let conditions = self.ask(nodes.get_opt(name))?.and_then(|node| node.status?.conditions);
            Ok(conditions.unwrap_or_default().iter().any(|one| one.type_ == "Ready" && one.status == "True"))
        })
    }

    /// Waits until something is so. `what` ends the sentence "gave up waiting until".
    ///
    /// # Errors
    /// Where it does not become so, or that can't be known.
    pub fn wait(&self, what: &str, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        command::within(PATIENCE, is_so)?.then_some(()).with_context(|| format!("gave up waiting until {what}"))
    }
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What containerd calls the containers of a pod.
pub fn containers(pod: Pod) -> impl Iterator<Item = String> {
    let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
    let names = statuses.into_iter().filter_map(|status| status.container_id);
    names.map(|name| name.trim_start_matches("containerd://").into())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on other machines")]
fn provide_cryptography() -> Result<()> {
    // It may be there already.
    let _ = rustls_graviola::default_provider().install_default();
    Ok(())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn provide_cryptography() -> Result<()> {
    anyhow::bail!("there is no TLS for this machine's processor here, and an API server speaks nothing else")
}
