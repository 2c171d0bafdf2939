//! Bad input of every option, and help.

use crate::Case;
use crate::place::{Place, run};
use anyhow::{Result, ensure};

pub const CASES: &[Case] = &[
    ("bad input is one message and exit status 2, and nothing is built", bad_input),
    ("outside of a checkout, that is said", outside),
    ("help lists all commands, and each has its own", help),
    ("a proof's own arguments, help and exit status pass through", proof),
];

/// What one may type wrongly, and what the line has to say.
const BAD: &[(&[&str], &str)] = &[
    (&["fly"], "'fly'"),
    (&["imgae"], "unrecognized subcommand 'imgae'; a similar subcommand exists: 'image'"),
    (&["build", "--platfrom", "x"], "unexpected argument '--platfrom' found; a similar argument exists: '--platform'"),
    (&["--fly"], "'--fly'"),
    (&["build", "--fly"], "'--fly'"),
    (&["build", "amd64"], "'amd64'"),
    (&["build", "--platform"], "'--platform <OS/ARCH>'"),
    (&["build", "--platform", "x"], "unknown platform; there are linux/{amd64,"),
    (&["image", "--platform", "linux/AMD64"], "unknown platform"),
    (&["image", "--name", "UPPER"], "an image's name looks like"),
    (&["image", "--name", ""], "'--name <NAME[:TAG]>'"),
    (&["image", "--name", "pause@sha256:0000"], "an image's name looks like"),
    (&["image", "--tag", "-x"], "'-x'"),
    (&["image", "--tag", "a b"], "a tag is up to 128 letters"),
    (&["image", "--tag", ""], "'--tag <TAG>'"),
    (&["image", "--annotation", "x"], "an annotation looks like"),
    (&["image", "--annotation", "=x"], "an annotation looks like"),
    (&["image", "--annotation", "x=\n\n\u{1b}[2J"], "an annotation looks like"),
    (&["image", "--link", "usr/bin/pod"], "a link is a path like"),
    (&["image", "--link", "/usr/../pod"], "a link is a path like"),
    (&["image", "--link", "/.wh.pause"], "a link is a path like"),
    (&["image", "--link", "/pause"], "the image has /pause already"),
    (&["image", "--link", "/pause/x"], "/pause and /pause/x can't both be the program"),
    (&["image", "--link", "/a", "--link", "/a/b"], "/a and /a/b can't both be the program"),
    (&["image", "--user", "root"], "a user is UID or UID:GID"),
    (&["image", "--air-gap=yes"], "--air-gap"),
    (&["test", "--platform", "linux/arm"], "unknown platform"),
    (&["test", "--against", "."], "there is no such file"),
    (&["test", "--against", "nowhere"], "there is no such file"),
    (&["test", "--bless", "a case"], "cannot be used with"),
    (&["test", "--floor", "--platform", "linux/amd64"], "cannot be used with"),
    (&["test", "--release", "Trixie"], "a release of Debian has a name like trixie or sid"),
    (&["test", "--release", "sid", "--floor"], "cannot be used with"),
    (&["test", "one", "two"], "'two'"),
];

fn bad_input(place: &Place) -> Result<()> {
    for (words, part) in BAD {
        let bad = run(&mut place.xtask(words))?.fails(2, &[part])?;
        ensure!(bad.stdout.is_empty() && bad.stderr.starts_with("error: "), "{words:?}: {}{}", bad.stdout, bad.stderr);
    }
    Ok(())
}

fn outside(place: &Place) -> Result<()> {
    let folder = place.folder("no checkout")?;
    run(place.xtask(&place.image()).current_dir(folder))?.fails(1, &["could not find `Cargo.toml`", "no checkout"])?;
    Ok(())
}

/// The commands.
const COMMANDS: [&str; 9] = ["build", "image", "test", "boot", "e2e", "mutants", "bench", "disasm", "docs"];

fn help(place: &Place) -> Result<()> {
    let all = run(&mut place.xtask(&["--help"]))?.passes()?.stdout;
    for command in COMMANDS {
        ensure!(
            all.lines().any(|line| line.trim_start().split(' ').next() == Some(command)),
            "no {command} in:\n{all}"
        );
    }
    for command in &COMMANDS[..3] {
        let help = run(&mut place.xtask(&[command, "--help"]))?.passes()?.stdout;
        ensure!(help.contains(&format!("Usage: cargo xtask {command} [OPTIONS]")), "{help}");
    }
    // Without a command, help is what one gets for bad input.
    let none = run(&mut place.xtask(&[]))?;
    ensure!(none.status.code() == Some(2) && none.stderr.contains("Usage: cargo xtask <COMMAND>"), "{}", none.stderr);
    Ok(())
}

/// One stands for all: they have one main function.
fn proof(place: &Place) -> Result<()> {
    let help = run(&mut place.xtask(&["docs", "--help"]))?.passes()?.stdout;
    ensure!(help.contains("Usage: cargo xtask docs [OPTIONS]"), "{help}");
    run(&mut place.xtask(&["docs", "--fly"]))?.fails(2, &["'--fly'"])?;
    Ok(())
}
