//! What all cases have at hand: an image, and the two commands.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use xshell::Shell;
use xtask::build;
use xtask::image::{self, Contents};
use xtask::output::Staged;
use xtask::platform::{self, PLATFORMS, Platform};

/// The platforms of the image that most cases are about: two, as one would hide what is mixed up.
const FEW: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// What a releaser chose.
const ANNOTATION: (&str, &str) = ("org.opencontainers.image.source", "https://example.com/pause");

/// Variables that would change what the commands do.
const FOREIGN: [&str; 10] = [
    "PAUSE_REGISTRY_USER",
    "PAUSE_REGISTRY_PASSWORD",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "DOCKER_CONFIG",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What all cases have at hand.
pub struct Scene {
    folder: TempDir,
    /// Where the toolchain is, wherever the home is.
    toolchain: Vec<(&'static str, PathBuf)>,
}

impl Scene {
    pub fn new() -> Result<Self> {
        let folder = TempDir::with_prefix("a b ü")?;
        let shell = Shell::new()?;
        // Cargo runs a test in the folder of its package.
        shell.change_dir("../..");
        let few = FEW.map(platform::parse).into_iter().collect::<Result<Vec<_>>>()?;
        let mut chosen = Contents::named("registry.example/pause:1");
        chosen.annotations.push((ANNOTATION.0.into(), ANNOTATION.1.into()));
        let images: [(&str, Vec<&'static Platform>, Contents); 4] = [
            ("whole", PLATFORMS.iter().collect(), Contents::usual()),
            ("few", few, chosen),
            ("one", vec![&PLATFORMS[0]], Contents::usual()),
            ("linked", vec![&PLATFORMS[0]], Contents { links: vec!["usr/bin/pod".into()], ..Contents::usual() }),
        ];
        for (name, platforms, contents) in images {
            let mut staged = Staged::new(folder.path().join(name))?;
            image::pack(&build::build(&shell, &platforms)?, &contents)?.stage(&mut staged)?;
            staged.commit()?;
        }
        let home = std::env::home_dir().context("a home")?;
        let toolchain = [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")];
        let toolchain =
            toolchain.map(|(name, path)| (name, std::env::var_os(name).map_or(home.join(path), Into::into)));
        fs::create_dir(folder.path().join("home"))?;
        Ok(Self { folder, toolchain: toolchain.into() })
    }

    /// A path in the folder of the cases.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The layout folder of one of the images.
    pub fn image(&self, name: &str) -> PathBuf {
        self.path(name).join("pause.oci")
    }

    /// Writes a file there.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().context("a file in a folder")?)?;
        fs::write(&path, content)?;
        Ok(path)
    }

    /// One of the two commands, for a user who has logged in nowhere.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        FOREIGN.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.toolchain.iter().cloned()).env("HOME", self.path("home"));
        command
    }

    /// `cargo xtask push`.
    pub fn push(&self, image: &Path, references: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_push"));
        command.arg("--image").arg(image).args(references);
        command
    }

    /// `cargo xtask verify`.
    pub fn verify(&self, image: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_verify"));
        command.arg(image);
        command
    }
}

/// What a command wrote, and how it ended.
pub struct Said {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// Fails unless it succeeded with this one line.
    pub fn expect(&self, line: &str) -> Result<()> {
        ensure!(self.status == Some(0) && self.stdout == format!("{line}\n"), "{}", self.all());
        Ok(())
    }

    /// Fails unless it ended with that status and a last line that holds all of this, the only one about an error.
    pub fn expect_error(&self, status: i32, words: &[&str]) -> Result<()> {
        let last = self.stderr.lines().last().unwrap_or_default();
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        let right = self.status == Some(status) && errors == 1 && last.starts_with("error: ") && self.stdout.is_empty();
        ensure!(right && words.iter().all(|word| last.contains(word)), "not {status} and {words:?}: {}", self.all());
        Ok(())
    }

    fn all(&self) -> String {
        format!("{:?}, {}{}", self.status, self.stdout, self.stderr)
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Result<Said> {
    let Output { status, stdout, stderr } = command.output().context("can't start the command")?;
    let (stdout, stderr) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    Ok(Said { status: status.code(), stdout, stderr })
}
