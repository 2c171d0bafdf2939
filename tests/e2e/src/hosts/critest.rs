//! critest, which validates a runtime by Kubernetes' container runtime interface: what comes of each of its specs on
//! containerd, with the image and with upstream's program in the pods' sandboxes.
//!
//! The images that it tests with are replaced by small equivalents, in a registry of the run to which containerd turns
//! for every name.

use super::cluster::{UPSTREAM, below_root};
use super::{containerd, registry};
use crate::archive::{self, Layer};
use crate::busybox;
use crate::command::read;
use crate::host::{Check, Host, Scene};
use crate::images::REFERENCE;
use anyhow::{Context, Result, bail, ensure};
use harness::wait;
use mutants::ENDING;
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::command::Misuse;
use xtask::table::Table;
use xtask::{note, platform};

/// One row of the table.
pub const HOST: Host = Host {
    name: "critest",
    title: "critest, on containerd",
    packages: &[
        ("containerd", "containerd"),
        ("runc", "runc"),
        ("/usr/lib/cni/bridge", "containernetworking-plugins"),
        ("iptables", "iptables"),
        ("ipcmk", "util-linux"),
        ("docker-registry", "docker-registry"),
        ("skopeo", "skopeo"),
    ],
    absent_from: &[("bookworm", OLDER), ("trixie", OLDER)],
    crates: &[],
    version: &[&[CRITEST, "-version"], &["containerd", "--version"]],
    // critest looks neither at reaping nor at SIGTERM: the other stand-ins pass.
    stand_ins: &[&ENDING],
    checks,
};

const OLDER: &str = "has a containerd before version 2";

/// Where the program is in a sandbox.
const CRITEST: &str = "/opt/critest";

/// What it says first of its version.
const VERSION: &str = "critest version: ";

/// The golden table of what comes of the specs, relative to the repository.
pub const OUTCOMES: &str = "tests/e2e/critest.txt";

/// Its headings: the program, and how many specs.
const HEADINGS: [&str; 5] = ["in the sandboxes", "specs", "passed", "failed", "skipped"];

const SAME: Check = Check { name: "each spec comes out as with upstream's program", broken_by: &[&ENDING] };
const MOST: Check =
    Check { name: "of the specs that are not skipped, nine in ten pass with upstream's program", broken_by: &[] };

/// What upstream's program is called as an image.
const CONTROL: &str = "localhost/upstream:e2e";

/// Specs that are about neither pods nor their sandboxes, but about the machine.
const LEFT_OUT: &str = "-ginkgo.skip=AppArmor";

/// How many specs may be races. If more come out otherwise, they do so for another reason.
const RACES: usize = 10;

/// How many seconds containerd may take to begin and to end. No stand-in makes it take all of them.
const PATIENCE: u64 = 60;

/// Where one gets the program.
const ADVICE: &str =
    "critest of version 1.36 is in an archive of https://github.com/kubernetes-sigs/cri-tools/releases";

/// The parser of `--critest`.
///
/// # Errors
/// Where that is no critest.
pub fn parse(path: &str) -> Result<PathBuf> {
    let path = Path::new(path);
    ensure!(path.is_file(), "there is no such file; {ADVICE}");
    let path = path.canonicalize()?;
    let output = Command::new(&path).arg("-version").stdin(Stdio::null()).output();
    let is_critest = output.is_ok_and(|output| output.stdout.starts_with(VERSION.as_bytes()));
    ensure!(is_critest, "it does not say to -version that it is critest; {ADVICE}");
    Ok(path)
}

/// What a sandbox is shown: the program, and the one to compare with.
///
/// # Errors
/// Where one is not given.
pub fn shown(critest: Option<&Path>, against: Option<&Path>) -> Result<Vec<(PathBuf, String)>> {
    let (Some(critest), Some(against)) = (critest, against) else {
        let options = [
            (critest, format!("--critest FILE ({ADVICE})")),
            (against, "--against PATH (the program of the image registry.k8s.io/pause)".into()),
        ];
        let missing = options.into_iter().filter(|(path, _)| path.is_none()).map(|(_, option)| option);
        let missing = missing.collect::<Vec<_>>().join(" and ");
        bail!(Misuse(format!("`cargo xtask e2e --host {}` takes {missing}", HOST.name)));
    };
    Ok(vec![(critest.into(), below_root(CRITEST)), (against.into(), below_root(UPSTREAM))])
}

/// The table of what came of the specs.
pub fn table(outcomes: Vec<Vec<String>>) -> Table {
    let mut table = Table::new(HEADINGS);
    table.rows = outcomes;
    table
}

fn checks(scene: &mut Scene) -> Result<()> {
    let shell = scene.shell;
    wait::set_patience(PATIENCE);
    let _registry = registry::start(shell)?;
    fill(shell)?;
    for (file, content) in [REGISTRY, ("/etc/cni/net.d/pods.conflist", NETWORK)] {
        shell.write_file(file, content)?;
    }
    let control = shell.current_dir().join("upstream.tar");
    archive::write(&control, CONTROL, &json!({ "Entrypoint": ["/pause"] }), &[("pause", Path::new(UPSTREAM))])?;
    let run = |specs: &[String]| -> Result<[Outcomes; 2]> {
        Ok([Outcomes::of(shell, scene.archive, REFERENCE, specs)?, Outcomes::of(shell, &control, CONTROL, specs)?])
    };

    let [mut image, mut upstream] = run(&[LEFT_OUT.into()])?;
    let mut different = image.different(&upstream);
    if (1..=RACES).contains(&different.len()) {
        note!("again, for it may have been a race: {}", Vec::from_iter(different.clone()).join(", "));
        let again: Vec<_> = different.iter().map(|spec| format!("-ginkgo.focus={}$", quote(spec))).collect();
        let [later, control] = run(&again)?;
        different.iter().for_each(|spec| scene.notes.push(format!("it came out otherwise once: {spec}")));
        image.0.extend(later.0);
        upstream.0.extend(control.0);
        different = image.different(&upstream);
    }
    note!("{} specs come out otherwise than with upstream's program", different.len());
    let explain =
        |spec: &String| format!("{spec}: {}, and {} with upstream's", image.describe(spec), upstream.describe(spec));
    let explained: Vec<_> = different.iter().map(explain).collect();
    scene.check(&SAME, explained.is_empty().then_some(()).with_context(|| explained.join("\n")));
    let [_, passed, failed, _] = upstream.counts();
    let most = passed > 0 && passed >= 9 * failed;
    scene.check(&MOST, most.then_some(()).with_context(|| format!("{passed} pass and {failed} fail")));
    for (name, outcomes) in [("pause", &image), ("upstream", &upstream)] {
        let counts = outcomes.counts().map(|count| count.to_string());
        scene.figures.push([vec![name.into()], counts.to_vec()].concat());
    }
    let fails = |spec: &&String| [&image, &upstream].iter().all(|outcomes| outcomes.state(spec) == Some(State::Failed));
    let failures = image.0.keys().filter(fails);
    scene.notes.extend(failures.map(|spec| format!("with both programs: {spec}: {}", image.describe(spec))));
    Ok(())
}

/// How a spec ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Passed,
    Skipped,
    /// In whichever of many ways.
    #[serde(other)]
    Failed,
}

/// What came of a spec.
struct Outcome {
    state: State,
    /// Why it failed or was skipped.
    message: String,
}

/// What came of each spec that was run.
struct Outcomes(BTreeMap<String, Outcome>);

impl Outcomes {
    /// Runs specs with this image in the pods' sandboxes.
    fn of(shell: &Shell, archive: &Path, image: &str, specs: &[String]) -> Result<Self> {
        let mut daemon = containerd::start_version_2(shell, image, REGISTRIES)?;
        read(cmd!(shell, "ctr --namespace k8s.io images import {archive}"))?;
        let report = shell.current_dir().join("critest.json");
        shell.remove_path(&report)?;
        // All runs have the same order, whichever it is.
        let critest = cmd!(shell, "{CRITEST} -ginkgo.seed=1 -ginkgo.no-color -ginkgo.json-report={report} {specs...}");
        note!("$ {critest}");
        let begin = Instant::now();
        // Its exit status says whether all specs pass, which is not what is asked.
        let output = critest.quiet().ignore_status().ignore_stderr().output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let content = fs::read(&report).with_context(|| format!("critest ended early: {said}"))?;
        let outcomes = Self::parse(&content)?;
        ensure!(!outcomes.0.is_empty(), "critest ran no spec: {said}");
        let [specs, passed, failed, skipped] = outcomes.counts();
        let seconds = begin.elapsed().as_secs();
        note!("with {image}, {specs} specs in {seconds} s: {passed} passed, {failed} failed, {skipped} skipped");
        daemon.end(Signal::SIGTERM)?;
        Ok(outcomes)
    }

    /// Reads a report of ginkgo's, which is the test framework:
    /// <https://github.com/onsi/ginkgo/blob/v2.28.1/types/types.go>
    fn parse(report: &[u8]) -> Result<Self> {
        let suites: Vec<Suite> = serde_json::from_slice(report).context("critest writes no report of ginkgo's")?;
        // What an option leaves out is in the report, too, without an attempt.
        let specs = suites.into_iter().flat_map(|suite| suite.spec_reports);
        let specs = specs.filter(|spec| spec.leaf_node_type == "It" && spec.num_attempts > 0);
        let outcomes = specs.map(|spec| {
            let texts = spec.container_hierarchy_texts.unwrap_or_default();
            let name = [texts, vec![spec.leaf_node_text]].concat().join(" ");
            let message = spec.failure.map(|failure| failure.message).unwrap_or_default();
            // What follows are the values in all detail.
            let message = message.lines().next().unwrap_or_default().into();
            (name, Outcome { state: spec.state, message })
        });
        Ok(Self(outcomes.collect()))
    }

    /// The specs of which something else comes in another run, or that only one of them has.
    fn different(&self, other: &Self) -> BTreeSet<String> {
        let specs = self.0.keys().chain(other.0.keys());
        specs.filter(|spec| self.state(spec) != other.state(spec)).cloned().collect()
    }

    /// How a spec ended, if it was run.
    fn state(&self, spec: &str) -> Option<State> {
        self.0.get(spec).map(|outcome| outcome.state)
    }

    fn describe(&self, spec: &str) -> String {
        match self.0.get(spec) {
            Some(Outcome { state, message }) if message.is_empty() => format!("{state:?}"),
            Some(Outcome { state, message }) => format!("{state:?} ({message})"),
            None => "not run".into(),
        }
    }

    /// How many specs there are, and how many of them pass, fail and are skipped.
    fn counts(&self) -> [usize; 4] {
        let count = |state| self.0.values().filter(|outcome| outcome.state == state).count();
        [self.0.len(), count(State::Passed), count(State::Failed), count(State::Skipped)]
    }
}

/// What is read of a report.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    spec_reports: Vec<Spec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    leaf_node_text: String,
    state: State,
    num_attempts: usize,
    failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

/// The regular expression of a text: <https://github.com/google/re2/wiki/Syntax>
fn quote(text: &str) -> String {
    text.chars().flat_map(|char| char.is_ascii_punctuation().then_some('\\').into_iter().chain([char])).collect()
}

/// The pods' network: an address each, which the machine reaches, and ports of the machine's that lead there.
const NETWORK: &str = r#"{
    "cniVersion": "1.0.0", "name": "pods", "plugins": [{
        "type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true,
        "ipam": { "type": "host-local", "subnet": "10.99.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] }
    }, {
        "type": "portmap", "capabilities": { "portMappings": true }
    }]
}"#;

/// Where containerd looks for registries, and what it finds there: one that stands for all.
const REGISTRIES: &str = "[plugins.'io.containerd.cri.v1.images'.registry]
config_path = '/etc/containerd/certs.d'
";
const REGISTRY: (&str, &str) = ("/etc/containerd/certs.d/_default/hosts.toml", "server = \"http://127.0.0.1:5000\"\n");

/// Users, and one who is in a group, by the names and the numbers that critest knows. Whoever may become root needs no
/// password.
const PASSWD: &str = "root::0:0::/:/bin/sh
www-data:x:33:33::/:/bin/sh
default-user:x:1000:1000::/:/bin/sh
nobody:x:65534:65534::/:/bin/sh
";
const GROUP: &str = "root:x:0:
www-data:x:33:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
nobody:x:65534:
";

/// Programs that a static busybox lacks, as far as critest needs them.
const SCRIPTS: [(&str, &str); 3] = [
    ("ipcs", "#!/bin/sh\ncat /proc/sysvipc/shm\n"),
    ("pgrep", "#!/bin/sh\npidof \"$1\"\n"),
    // Under the names by which critest looks for nginx. The last one tells busybox what to be.
    (
        "serve",
        "#!/bin/sh
echo httpd on port $1
echo $$ >/var/run/nginx.pid
exec -a 'nginx: master process /bin/httpd' /bin/nginx -f -p $1 -h /www
",
    ),
];

/// How a container begins.
#[derive(Clone, Copy)]
enum Start {
    Shell,
    /// The same, as a user.
    User(&'static str),
    /// A web server on a port.
    Server(&'static str),
    /// A program that says which user it has become.
    Escalation,
}

/// The images that critest asks for, each under all its names in a registry. They differ in nothing but how a container
/// begins: <https://github.com/kubernetes-sigs/cri-tools/blob/v1.36.0/pkg/validate/consts.go>
const IMAGES: [(&[&str], Start); 18] = [
    (&["e2e-test-images/busybox:1.29-2"], Start::Shell),
    (&["e2e-test-images/nginx:1.14-2"], Start::Server("80")),
    (&["e2e-test-images/httpd:2.4.39-4"], Start::Server("80")),
    (&["e2e-test-images/nonewprivs:1.3"], Start::Escalation),
    (&["pause:3.9"], Start::Shell),
    (&["k8s-staging-cri-tools/hostnet-nginx-{architecture}:latest"], Start::Server("12003")),
    (&["k8s-staging-cri-tools/test-image-user-uid:latest"], Start::User("1002")),
    (&["k8s-staging-cri-tools/test-image-user-username:latest"], Start::User("www-data")),
    (&["k8s-staging-cri-tools/test-image-user-uid-group:latest"], Start::User("1003:50000")),
    (&["k8s-staging-cri-tools/test-image-user-username-group:latest"], Start::User("www-data:50000")),
    (&["k8s-staging-cri-tools/test-image-predefined-group:latest"], Start::User("1000")),
    (&["k8s-staging-cri-tools/test-image-latest:latest"], Start::Shell),
    (&["k8s-staging-cri-tools/test-image-tag:test"], Start::Shell),
    (&["k8s-staging-cri-tools/test-image-tag:all"], Start::Shell),
    (&["k8s-staging-cri-tools/test-image-1:latest"], Start::Shell),
    (&["k8s-staging-cri-tools/test-image-2:latest"], Start::Shell),
    (&["k8s-staging-cri-tools/test-image-3:latest"], Start::Shell),
    (
        &[
            "k8s-staging-cri-tools/test-image-tags:1",
            "k8s-staging-cri-tools/test-image-tags:2",
            "k8s-staging-cri-tools/test-image-tags:3",
        ],
        Start::Shell,
    ),
];

impl Start {
    /// The configuration of an image of that name.
    fn config(self, name: &str) -> Value {
        // The label makes it an image of its own. Not all that is started here ends by SIGTERM.
        let mut config = json!({
            "Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": { "name": name }, "StopSignal": "SIGKILL",
        });
        match self {
            Self::Shell => {}
            Self::User(user) => config["User"] = json!(user),
            Self::Server(port) => config["Cmd"] = json!(["/bin/serve", port]),
            // busybox' su refuses where it has not become root.
            Self::Escalation => {
                let uid = "$(/setuid/su -c 'id -u' root 2>/dev/null || id -u)";
                config["Cmd"] = json!(["sh", "-c", format!("echo Effective uid: {uid}")]);
            }
        }
        config
    }
}

/// Gives the registry all images.
fn fill(shell: &Shell) -> Result<()> {
    let layer = layer(shell)?;
    let (_, architecture) = platform::native()?.name.split_once('/').context("a platform has an architecture")?;
    let architecture = architecture.split('/').next().unwrap_or(architecture);
    let archive = shell.current_dir().join("test-image.tar");
    let copy = ["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"];
    for (names, start) in IMAGES {
        archive::write_layer(&archive, "localhost/test-image:e2e", &start.config(names[0]), &layer)?;
        for name in names {
            let name = name.replace("{architecture}", architecture);
            read(cmd!(shell, "skopeo {copy...} docker-archive:{archive} docker://127.0.0.1:5000/{name}"))?;
        }
    }
    Ok(())
}

/// The one layer of all images: busybox under the names of all that it can be, and what critest looks for.
fn layer(shell: &Shell) -> Result<Vec<u8>> {
    let program = busybox::program()?;
    let content = fs::read(program)?;
    let names = cmd!(shell, "{program} --list").quiet().read()?;
    let scripts = SCRIPTS.map(|(name, _)| name);
    let mut layer = Layer::default();
    ["tmp", "var/run"].into_iter().try_for_each(|path| layer.folder(path))?;
    layer.file("bin/busybox", &content, 0o755)?;
    for name in names.lines().chain(["nginx"]).filter(|name| *name != "busybox" && !scripts.contains(name)) {
        layer.link(&format!("bin/{name}"), "bin/busybox")?;
    }
    for (name, script) in SCRIPTS {
        layer.file(&format!("bin/{name}"), script.as_bytes(), 0o755)?;
    }
    layer.file("setuid/su", &content, 0o4755)?;
    let texts = [("etc/passwd", PASSWD), ("etc/group", GROUP), ("www/index.html", "It works.\n")];
    texts.into_iter().try_for_each(|(path, text)| layer.file(path, text.as_bytes(), 0o644))?;
    layer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with a spec of each kind: its text, its state and how often it was tried.
    fn outcomes(specs: &[(&str, &str, usize)]) -> Outcomes {
        let spec = |(text, state, attempts): &(&str, &str, usize)| {
            json!({
                "ContainerHierarchyTexts": ["[k8s.io] Group"], "LeafNodeType": "It", "LeafNodeText": text,
                "State": state, "NumAttempts": attempts, "Failure": { "Message": "why" },
            })
        };
        let before = json!({
            "ContainerHierarchyTexts": null, "LeafNodeType": "BeforeSuite", "LeafNodeText": "", "State": "passed",
            "NumAttempts": 1,
        });
        let specs: Vec<_> = specs.iter().map(spec).chain([before]).collect();
        Outcomes::parse(json!([{ "SpecReports": specs }]).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_was_not_run_does_not_count() {
        let outcomes = outcomes(&[
            ("a", "passed", 1),
            ("b", "failed", 1),
            ("c", "panicked", 1),
            ("d", "skipped", 1),
            ("e", "skipped", 0),
        ]);
        assert_eq!(outcomes.counts(), [4, 1, 2, 1]);
        assert_eq!(outcomes.describe("[k8s.io] Group b"), "Failed (why)");
        assert_eq!(outcomes.describe("[k8s.io] Group e"), "not run");
    }

    #[test]
    fn a_spec_differs_by_its_state_or_by_being_absent() {
        let one = outcomes(&[("a", "passed", 1), ("b", "passed", 1), ("c", "passed", 1)]);
        let other = outcomes(&[("a", "passed", 1), ("b", "failed", 1), ("d", "passed", 1)]);
        let names = ["b", "c", "d"].map(|text| format!("[k8s.io] Group {text}"));
        assert_eq!(one.different(&other), BTreeSet::from(names.clone()));
        assert_eq!(other.different(&one), BTreeSet::from(names));
        assert!(one.different(&one).is_empty());
    }

    #[test]
    fn a_focus_means_the_text_and_nothing_else() {
        assert_eq!(quote("[k8s.io] a (b) c. ü"), r"\[k8s\.io\] a \(b\) c\. ü");
    }
}
