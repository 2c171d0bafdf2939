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
}

pub fn run(shell: &Shell, Arguments { upstream, kubernetes }: &Arguments) -> Result<()> {
    let [glibc, musl] = ["upstream-glibc", "upstream-musl"].map(|name| upstream.join(name));
    let proof = "prove --mutants 999";
    let pairs = "inject --pairs --platform linux/arm64 --platform linux/arm/v7 --platform linux/s390x";
    // The digests come first: each measured table names the program by them. The documents repeat all tables.
    let hosts = ["hosts --debian bookworm", "hosts --debian trixie", "hosts --debian sid"];
    for line in ["test", "disasm", proof, "inject", pairs, "mutation --systematic", "kernels"].into_iter().chain(hosts)
    {
        let arguments = line.split(' ');
        command::run(cmd!(shell, "cargo xtask {arguments...} --bless"))?;
    }
    let cluster = "hosts --host cluster --debian sid --kubernetes".split(' ');
    command::run(cmd!(shell, "cargo xtask {cluster...} {kubernetes} --bless"))?;
    command::run(cmd!(shell, "cargo xtask bench --install --against {glibc} --against {musl} --bless"))?;
    command::run(cmd!(shell, "cargo xtask docs --bless"))
}
