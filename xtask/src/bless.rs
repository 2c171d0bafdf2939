//! `cargo xtask bless`: rewrites every golden file.

use crate::command;
use anyhow::Result;
use std::path::PathBuf;
use xshell::{Shell, cmd};

/// Rewrite every golden file and generated table; takes hours and needs root
#[derive(clap::Args)]
pub struct Arguments {
    /// Directory with upstream's program, as upstream-glibc and upstream-musl, to measure next to this one
    #[arg(long, value_name = "DIR")]
    upstream: PathBuf,
    /// Directory with kube-apiserver, kube-controller-manager, kube-scheduler and kubelet
    #[arg(long, value_name = "DIR")]
    kubernetes: PathBuf,
    /// Directory with crio and pinns
    #[arg(long, value_name = "DIR")]
    cri_o: PathBuf,
}

pub fn run(shell: &Shell, Arguments { upstream, kubernetes, cri_o }: &Arguments) -> Result<()> {
    let [glibc, musl] = ["upstream-glibc", "upstream-musl"].map(|name| upstream.join(name));
    let pairs = "inject --pairs --platform linux/arm64 --platform linux/arm/v7 --platform linux/s390x";
    // The digests come first: each measured table names the program by them. The documents repeat all tables.
    let lines = ["test", "disasm", "prove --mutants 999", "inject", pairs, "mutation --systematic", "kernels"];
    let hosts = ["hosts --debian bookworm", "hosts --debian trixie", "hosts --debian sid"];
    for line in lines.into_iter().chain(hosts) {
        let arguments = line.split(' ');
        command::run(cmd!(shell, "cargo xtask {arguments...} --bless"))?;
    }
    command::run(cmd!(shell, "cargo xtask hosts --debian trixie --host cri-o --cri-o {cri_o} --bless"))?;
    let sid = "hosts --debian sid --host cri-o --host cluster --bless".split(' ');
    command::run(cmd!(shell, "cargo xtask {sid...} --cri-o {cri_o} --kubernetes {kubernetes}"))?;
    command::run(cmd!(shell, "cargo xtask bench --install --against {glibc} --against {musl} --bless"))?;
    command::run(cmd!(shell, "cargo xtask docs --bless"))
}
