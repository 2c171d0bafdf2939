//! The compiler flags that `.cargo/config.toml` sets for the program. The program's build script includes this file, so
//! it uses `std` alone.

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
