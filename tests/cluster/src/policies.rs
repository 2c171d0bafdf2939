//! What a cluster may ask of a pod: little right, a user namespace, another runtime; and what kubeadm asks of the image.

use crate::life::{check_orphans, check_user, sleeper};
use crate::{Cluster, sandboxes};
use anyhow::{Context, Result, bail, ensure};
use e2e::host::{Check, Scene};
use e2e::images::REFERENCE;
use e2e::pause;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::api::{ListParams, LogParams};
use serde_json::{Value, json};

const RESTRICTED: Check = Check {
    name: "in a namespace that is \"restricted\" a pod runs, and one that asks for more is refused",
    broken_by: &[],
};
const USER: Check = Check { name: "a pod's runAsUser replaces the image's user for the sandbox, too", broken_by: &[] };
const CONTAINER: Check = Check {
    name: "in a namespace that is \"restricted\" it runs as a plain container, under runAsNonRoot",
    broken_by: &[],
};
const UPGRADE: Check =
    Check { name: "kubeadm's upgrade job completes: it says its version to the one argument -v", broken_by: &[] };

/// Pods in another place than usual: how the check's name ends, the pod, and what its specification has.
const PLACES: [(&str, &str, &str); 3] = [
    (", in a user namespace", "mapped", r#"{"hostUsers": false}"#),
    (", with crun", "crun", r#"{"runtimeClassName": "crun"}"#),
    (", with crun in a user namespace", "crun-mapped", r#"{"hostUsers": false, "runtimeClassName": "crun"}"#),
];

/// A user that is not the image's.
const OTHER_USER: u32 = 1000;

/// What kubeadm's job is called, and where it runs.
const JOB: &str = "upgrade-health-check";
const SYSTEM: &str = "kube-system";

/// Runs these checks.
pub fn check(cluster: &mut Cluster, scene: &mut Scene) -> Result<()> {
    check_restricted(cluster, scene)?;
    let class = json!({ "metadata": { "name": "crun" }, "handler": "crun" });
    cluster.kubernetes.create(&cluster.kubernetes.all::<RuntimeClass>(), class)?;
    for (setting, pod, fields) in PLACES {
        scene.setting = setting;
        check_orphans(cluster, scene, pod, serde_json::from_str(fields)?)?;
        cluster.kubernetes.delete(&cluster.kubernetes.pods(), pod)?;
    }
    scene.setting = "";
    scene.check(&UPGRADE, check_upgrade(cluster));
    Ok(())
}

/// A pod as the "restricted" standard wants it.
fn restricted(user: Value) -> Value {
    let mut spec = sleeper();
    spec["securityContext"] = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    if !user.is_null() {
        spec["securityContext"]["runAsUser"] = user;
    }
    spec["containers"][0]["securityContext"] =
        json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    spec
}

fn check_restricted(cluster: &Cluster, scene: &mut Scene) -> Result<()> {
    const NAME: &str = "restricted";
    let kubernetes = &cluster.kubernetes;
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    kubernetes.create(&kubernetes.all::<Namespace>(), json!({ "metadata": { "name": NAME, "labels": labels } }))?;
    kubernetes.wait_for_account(NAME)?;
    let pods = kubernetes.of::<Pod>(NAME);
    let run = |name: &str, spec: Value| {
        kubernetes.create(&pods, json!({ "metadata": { "name": name }, "spec": spec }))?;
        kubernetes.wait_until_ready(&pods, name)
    };
    let checked = run("other", restricted(json!(OTHER_USER))).and_then(|()| {
        let Err(refusal) = run("root", sleeper()) else { bail!("the one that asks for more runs") };
        let refusal = format!("{refusal:#}");
        ensure!(refusal.contains("violates PodSecurity"), "the other one is refused for something else: {refusal}");
        Ok(())
    });
    scene.check(&RESTRICTED, checked);
    let sandbox = sandboxes::of("other")?.context("the pod has no sandbox")?;
    scene.check(&USER, check_user(&sandbox, OTHER_USER));

    let mut plain = restricted(Value::Null);
    plain["containers"][0]["image"] = REFERENCE.into();
    scene.check(&CONTAINER, run("plain", plain));
    for pod in ["other", "plain"] {
        kubernetes.delete(&pods, pod)?;
    }
    Ok(())
}

/// Runs the job of
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.0/cmd/kubeadm/app/phases/upgrade/health.go#L145-L182>.
fn check_upgrade(cluster: &Cluster) -> Result<()> {
    let kubernetes = &cluster.kubernetes;
    kubernetes.wait_for_account(SYSTEM)?;
    let jobs = kubernetes.of::<Job>(SYSTEM);
    let spec = json!({
        "restartPolicy": "Never",
        "securityContext": { "runAsUser": 999, "runAsGroup": 999, "runAsNonRoot": true },
        "tolerations": [{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }],
        "containers": [{ "name": JOB, "image": REFERENCE, "args": ["-v"] }],
    });
    let job = json!({ "backoffLimit": 0, "ttlSecondsAfterFinished": 65, "activeDeadlineSeconds": 65 });
    let mut object = json!({ "metadata": { "name": JOB }, "spec": job });
    object["spec"]["template"] = json!({ "spec": spec });
    kubernetes.create(&jobs, object)?;
    kubernetes.wait("the job has completed", || {
        let conditions = kubernetes.ask(jobs.get(JOB))?.status.and_then(|status| status.conditions);
        let conditions = conditions.unwrap_or_default();
        ensure!(!conditions.iter().any(|one| one.type_ == "Failed"), "it has failed");
        Ok(conditions.iter().any(|one| one.type_ == "Complete" && one.status == "True"))
    })?;
    let pods = kubernetes.of::<Pod>(SYSTEM);
    let list = kubernetes.ask(pods.list(&ListParams::default().labels(&format!("job-name={JOB}"))))?;
    let pod = list.items.first().and_then(|pod| pod.metadata.name.as_deref()).context("the job has no pod")?;
    let said = kubernetes.ask(pods.logs(pod, &LogParams::default()))?;
    kubernetes.delete(&jobs, JOB)?;
    pause::check_version(said.trim_end())
}
