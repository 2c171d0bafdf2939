//! The compiler flags that `.cargo/config.toml` sets for the program, and its link arguments. The program's build script
//! includes this file, so it uses `std` alone.

pub const LINK: [&str; 8] = [
    // Cargo runs the linker in the workspace's root, so this is right for every checkout that shares a target directory:
    // cargo may reuse another one's output of build.rs. `path_args` in
    // https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/util/workspace.rs
    "-Tlinker.ld",
    // Position-independent: the kernel chooses the address…
    "-pie",
    // …and starts the program itself, without a dynamic linker.
    "--no-dynamic-linker",
    // Nothing is relocated at run time, so there is nothing to protect afterwards: no PT_GNU_RELRO.
    "-znorelro",
    // Symbols are for debuggers.
    "--strip-all",
    // Section tables are for linkers and debuggers. The kernel reads program headers only.
    "-znosectionheader",
    // A build ID identifies debug information, which the program doesn't have.
    "--build-id=none",
    // A section that linker.ld doesn't place would make a segment larger.
    "--orphan-handling=error",
];

/// The flags for an architecture (`target_arch`), in the order of the file. They are the quoted lines of its sections.
pub fn parse(config: &str, architecture: &str) -> Vec<String> {
    let sections = ["[target.'cfg(all())']".into(), format!("[target.'cfg(target_arch = \"{architecture}\")']")];
    let mut applies = false;
    let mut flags = Vec::new();
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            applies = sections.iter().any(|section| section == line);
        } else if applies && let Some(flag) = line.strip_prefix('"').and_then(|line| line.strip_suffix("\",")) {
            flags.push(flag.to_owned());
        }
    }
    flags
}
