//! `cargo xtask release` in copies of the source, each a git repository with a tag, in a directory whose name no shell
//! likes.

use cyclonedx_bom::models::bom::SpecVersion;
use cyclonedx_bom::prelude::{Bom, Validate};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
use release::{Files, NOTICE, PROVENANCE, SBOM, SUMS, VERSION};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use xtask::digest::sha256;
use xtask::image::{LICENSES, air_gap_archive};
use xtask::platform::{self, PLATFORMS};
use xtask::sources;

/// The origin of a copy. User and password are secret.
const ORIGIN: &str = "https://me:secret@git.example/pause.git";

/// A copy of the sources.
struct Copy {
    folder: TempDir,
}

impl Copy {
    /// A copy that is ready to be released, but for its tag.
    fn new() -> Self {
        let copy = Self { folder: TempDir::new().unwrap() };
        sources::copy(checkout(), &copy.path("")).unwrap();
        copy.edit("CHANGELOG.md", |text| {
            let section = text.find(&format!("## {VERSION}")).expect("the changelog speaks of the version");
            let end = section + text[section..].find('\n').unwrap();
            text.replace_range(section..end, &format!("## {VERSION} - 2030-12-31"));
        });
        // The toolchain is installed once, and `core` built once.
        #[cfg(unix)]
        std::os::unix::fs::symlink(checkout().join("target"), copy.path("target")).unwrap();
        copy.git(&["init", "--quiet"]);
        copy.git(&["remote", "add", "origin", ORIGIN]);
        copy.commit();
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("a b ü").join(name)
    }

    fn edit(&self, name: &str, edit: impl FnOnce(&mut String)) {
        let mut text = fs::read_to_string(self.path(name)).unwrap();
        edit(&mut text);
        fs::write(self.path(name), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let mut git = Command::new("git");
        // Always the same person at the same time, so that copies of the same sources are the same commit.
        for (variable, value) in [("NAME", "me"), ("EMAIL", "me@git.example"), ("DATE", "2030-12-31T00:00:00Z")] {
            git.env(format!("GIT_AUTHOR_{variable}"), value).env(format!("GIT_COMMITTER_{variable}"), value);
        }
        let git = git.current_dir(self.path("")).env("GIT_CONFIG_GLOBAL", "/dev/null").args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "All"]);
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_release"));
        command.current_dir(self.path(""));
        command
    }

    fn release(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Releases, which has to work. Returns what was written.
    fn released(&self) -> Files {
        let output = self.release();
        assert!(output.status.success(), "{output:?}");
        self.written()
    }

    /// The files of the release.
    fn written(&self) -> Files {
        let directory = self.path("dist/release");
        let files = sources::list(&directory).unwrap().into_iter();
        files.map(|path| (path.display().to_string(), fs::read(directory.join(path)).unwrap())).collect()
    }

    /// Releases, which has to be refused for these reasons before any work.
    fn refuses(&self, reasons: &[&str]) {
        self.refuses_with(&[], reasons);
    }

    /// The same with other variables in the environment.
    fn refuses_with(&self, variables: &[(&str, &str)], reasons: &[&str]) {
        let output = self.command().envs(variables.iter().copied()).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert_eq!(output.stdout, b"");
        assert!(!self.path("dist").exists(), "something is left over");
        let (_, complaints) = errors.split_once(&format!("error: can't release {VERSION}:\n")).expect(&errors);
        let complaints: Vec<_> = complaints.lines().map(str::trim).collect();
        let is_same = complaints.len() == reasons.len()
            && complaints.iter().zip(reasons).all(|(complaint, reason)| complaint.starts_with(reason));
        assert!(is_same, "{complaints:#?}, not {reasons:#?}");
    }
}

/// The checkout that these tests belong to.
fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn tag() -> String {
    format!("v{VERSION}")
}

fn find<'a>(release: &'a Files, name: &str) -> &'a [u8] {
    release.get(name).unwrap_or_else(|| panic!("{name} is missing"))
}

fn json(release: &Files, name: &str) -> Value {
    serde_json::from_slice(find(release, name)).unwrap()
}

fn blob<'a>(release: &'a Files, descriptor: &Descriptor) -> &'a [u8] {
    let content = find(release, &format!("pause.oci/blobs/sha256/{}", descriptor.digest().digest()));
    assert_eq!(sha256(content), descriptor.digest().digest());
    assert_eq!(content.len() as u64, descriptor.size());
    content
}

/// The lists of the image's folder: the names of the image, and its referrers.
fn lists(release: &Files) -> (Vec<Descriptor>, Vec<Descriptor>) {
    let list = ImageIndex::from_reader(find(release, "pause.oci/index.json")).unwrap();
    list.manifests().iter().cloned().partition(|descriptor| descriptor.artifact_type().is_none())
}

/// One test, since what it takes is to build every platform.
#[test]
fn the_same_tag_gives_the_same_release_and_all_or_nothing_of_it() {
    let here = Copy::new();
    here.git(&["tag", &tag()]);
    let release = here.released();
    has_everything(&release);
    sums_are_right(&here);
    versions_agree(&here, &release);
    bill_is_complete(&release);
    provenance_is_complete(&release);
    referrers_are_the_files(&release);
    says_nothing_of_the_machine(&here, &release);

    // With a tag of the other kind.
    let there = Copy::new();
    there.git(&["tag", "--annotate", "--message", "Released", &tag()]);
    let again = there.released();
    let differ: Vec<_> =
        release.iter().zip(&again).filter(|(one, other)| one != other).map(|((name, _), _)| name).collect();
    assert!(differ.is_empty() && release.len() == again.len(), "{differ:?}");

    // A platform that can't be built, and what was released before.
    there.edit("src/arch/x86_64.rs", |text| text.push_str("compile_error!(\"no such machine\");\n"));
    there.commit();
    there.git(&["tag", "--force", "--annotate", "--message", "Broken", &tag()]);
    let output = there.release();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("error: can't build linux/amd64: no such machine"),
        "{output:?}"
    );
    assert!(there.written() == again, "the former release is another one");
    fs::remove_dir_all(there.path("dist")).unwrap();

    // A program that is not the tested one.
    there.git(&["revert", "--no-edit", "HEAD"]);
    there.edit("tests/image/digests.txt", |text| {
        let digest = text.lines().find_map(|line| line.strip_prefix("linux/s390x")).unwrap().trim().to_owned();
        *text = text.replace(&digest, &"0".repeat(64));
    });
    there.commit();
    there.git(&["tag", "--force", &tag()]);
    let output = there.release();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && errors.contains("error: linux/s390x (toolchain: "), "{errors}");
    assert!(!there.path("dist").exists(), "something is left over");
}

fn has_everything(release: &Files) {
    for name in [SBOM, PROVENANCE, SUMS, NOTICE, "pause.oci.tar", "pause.oci/oci-layout"] {
        find(release, name);
    }
    for platform in PLATFORMS {
        find(release, &format!("pause-{}", platform.file_name()));
        find(release, air_gap_archive(platform).strip_prefix("air-gap/").unwrap());
    }
}

fn sums_are_right(copy: &Copy) {
    let mut sums = Command::new("sha256sum");
    let output = sums.args(["--check", "--strict", SUMS]).current_dir(copy.path("dist/release")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let listed = String::from_utf8(output.stdout).unwrap().lines().count();
    assert_eq!(listed + 1, copy.written().len());
}

/// What the program says, the crate's version, the image's annotation, the tag, and the changelog.
fn versions_agree(copy: &Copy, release: &Files) {
    let manifest = fs::read_to_string(copy.path("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("\nversion = \"{VERSION}\"\n")), "the crate's version");
    let changelog = fs::read_to_string(copy.path("CHANGELOG.md")).unwrap();
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest, format!("{VERSION} - 2030-12-31"), "the changelog");
    let tags = Command::new("git").args(["tag", "--points-at", "HEAD"]).current_dir(copy.path("")).output().unwrap();
    assert_eq!(String::from_utf8(tags.stdout).unwrap().trim(), format!("v{VERSION}"), "the tag");
    let index = ImageIndex::from_reader(blob(release, &lists(release).0[0])).unwrap();
    assert_eq!(index.annotations().as_ref().unwrap()["org.opencontainers.image.version"], VERSION, "the annotation");
    let Ok(platform) = platform::native() else { return };
    let program = copy.path("dist/release").join(format!("pause-{}", platform.file_name()));
    let said = Command::new(program).arg("-v").output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("pause {VERSION}\n"), "the program");
}

fn bill_is_complete(release: &Files) {
    let bill = Bom::parse_from_json_v1_5(find(release, SBOM)).unwrap();
    assert!(bill.validate_version(SpecVersion::V1_5).passed());
    let bill = json(release, SBOM);
    assert_eq!(bill["metadata"]["component"]["version"], VERSION);
    let programs = bill["metadata"]["component"]["components"].as_array().unwrap();
    assert_eq!(programs.len(), PLATFORMS.len());
    for program in programs {
        let digest = sha256(find(release, program["name"].as_str().unwrap()));
        assert_eq!(program["hashes"][0]["content"], digest);
        assert!(program["properties"][1]["value"].as_str().unwrap().contains(" rustc 1."), "{program}");
    }
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<_> = components.iter().map(|component| component["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["core", "linux-raw-sys", "rustc", "syscalls"]));
    for component in components {
        let license = component["licenses"][0]["expression"].as_str().unwrap();
        let is_granted = license.split(" OR ").any(|alternative| LICENSES.contains(alternative));
        assert!(is_granted, "the image says that it is under {LICENSES}, and {component} is not");
        let is_crate = component["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"));
        assert_eq!(is_crate, component["hashes"][0]["content"].is_string(), "{component}");
    }
}

fn provenance_is_complete(release: &Files) {
    let statement = json(release, PROVENANCE);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let index = lists(release).0.remove(0);
    let image = format!("localhost/pause:{VERSION}");
    let subjects = statement["subject"].as_array().unwrap();
    for subject in subjects {
        let name = subject["name"].as_str().unwrap();
        let digest = if name == image { index.digest().digest().into() } else { sha256(find(release, name)) };
        assert_eq!(subject["digest"]["sha256"], digest, "{subject}");
    }
    // The image, and each file but the provenance itself and the sums.
    let files = release.keys().filter(|name| !name.contains('/')).count();
    assert_eq!(subjects.len(), 1 + files - 2);
    let materials = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let uris: Vec<_> = materials.as_array().unwrap().iter().map(|material| material["uri"].as_str().unwrap()).collect();
    assert_eq!(uris[0], format!("git+https://git.example/pause.git@refs/tags/v{VERSION}"));
    assert_eq!(materials[0]["digest"]["gitCommit"].as_str().unwrap().len(), 40);
    for linked in ["pkg:cargo/syscalls@", "pkg:cargo/linux-raw-sys@", "pkg:cargo/zopfli@"] {
        assert!(uris.iter().any(|uri| uri.starts_with(linked)), "{linked}");
    }
    for other in ["windows", "objc", "wasm", "libtest-mimic"] {
        assert!(!uris.iter().any(|uri| uri.starts_with(&format!("pkg:cargo/{other}"))), "{other} took no part");
    }
    for material in materials
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["name"].as_str().is_some_and(|name| name.starts_with("Debian's")))
    {
        assert!(material["annotations"]["packages"][0].as_str().unwrap().contains("rust"), "{material}");
    }
}

fn referrers_are_the_files(release: &Files) {
    let (names, referrers) = lists(release);
    assert_eq!(referrers.len(), 3);
    for (descriptor, name) in referrers.iter().zip([SBOM, PROVENANCE, NOTICE]) {
        assert_eq!(descriptor.annotations(), &None, "it has no name");
        let manifest = ImageManifest::from_reader(blob(release, descriptor)).unwrap();
        assert_eq!(manifest.artifact_type(), descriptor.artifact_type());
        assert_eq!(manifest.config().media_type(), &MediaType::EmptyJSON);
        assert_eq!(blob(release, manifest.config()), b"{}");
        let subject = manifest.subject().as_ref().unwrap();
        assert_eq!((subject.digest(), subject.size()), (names[0].digest(), names[0].size()));
        let [file] = &manifest.layers()[..] else { panic!("{manifest:?}") };
        assert_eq!(blob(release, file), find(release, name));
    }
    // What hosts load has the image alone.
    let archive = find(release, "pause.oci.tar");
    let digest = referrers[0].digest().digest().as_bytes();
    assert!(!archive.windows(digest.len()).any(|window| window == digest));
}

/// No path, no secret, and no time.
fn says_nothing_of_the_machine(copy: &Copy, release: &Files) {
    let home = std::env::home_dir().unwrap();
    let private =
        [copy.path("").display().to_string(), home.display().to_string(), "secret".into(), "timestamp".into()];
    for (name, content) in release {
        let text = String::from_utf8_lossy(content);
        for word in &private {
            assert!(!text.contains(word), "{name} contains {word}");
        }
    }
}

/// Each copy is tagged, and then something is done to it.
#[test]
fn what_is_not_a_release_is_refused() {
    let copy = Copy::new();
    copy.refuses(&[&format!("there is no tag v{VERSION}")]);

    copy.git(&["tag", "v77.0.0"]);
    copy.refuses(&["the commit's tag is v77.0.0, which is another version"]);

    copy.git(&["tag", &tag()]);
    copy.git(&["commit", "--quiet", "--allow-empty", "--message", "More"]);
    copy.refuses(&[&format!("the tag {0} is another commit's; run `git switch --detach {0}`", tag())]);

    copy.git(&["tag", "--force", &tag()]);
    fs::write(copy.path("src/new ü.rs"), "").unwrap();
    copy.refuses(&["the work tree has changes that are not committed, in src/new ü.rs"]);
    // Not even if git is told to look elsewhere.
    let other = Copy::new();
    other.git(&["tag", &tag()]);
    let [git, tree] = [".git", ""].map(|name| other.path(name).display().to_string());
    for variables in [vec![("GIT_DIR", git.as_str()), ("GIT_WORK_TREE", &tree)], vec![("GIT_INDEX_FILE", "none")]] {
        copy.refuses_with(&variables, &["the work tree has changes that are not committed, in src/new ü.rs"]);
    }
    fs::remove_file(copy.path("src/new ü.rs")).unwrap();
    copy.edit("src/main.rs", |text| text.push('\n'));
    for hide in ["--assume-unchanged", "--skip-worktree"] {
        copy.git(&["update-index", hide, "src/main.rs"]);
        copy.refuses(&["src/main.rs is not that of the commit, but git lists no change"]);
        copy.git(&["update-index", &hide.replace("--", "--no-"), "src/main.rs"]);
    }

    copy.edit("CHANGELOG.md", |text| *text = text.replace("2030-12-31", "unreleased"));
    copy.refuses(&[
        "the work tree has changes that are not committed, in CHANGELOG.md and 1 more",
        &format!("CHANGELOG.md has no date for {VERSION} (`## {VERSION} - 2030-12-31`)"),
    ]);

    copy.git(&["checkout", "--quiet", "src/main.rs"]);
    copy.edit("CHANGELOG.md", |text| *text = text.replace(&format!("## {VERSION} "), "## 77.0.0 "));
    copy.commit();
    copy.git(&["tag", "--force", &tag()]);
    copy.refuses(&[&format!("CHANGELOG.md has no section about {VERSION}")]);

    copy.git(&["revert", "--no-edit", "HEAD"]);
    fs::remove_file(copy.path("src/arch/s390x.rs")).unwrap();
    copy.commit();
    copy.git(&["tag", "--force", &tag()]);
    let missing = "a platform is missing: src/arch/mod.rs lists s390x, but there is no src/arch/s390x.rs";
    copy.refuses(&[missing]);
    let foreign = [("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")];
    copy.refuses_with(&foreign, &["git refuses: detected dubious ownership in repository at ", missing]);

    fs::remove_dir_all(copy.path(".git")).unwrap();
    copy.refuses(&["not a git repository", missing]);
}
