//! Who one is to a registry: from the environment, or from where `docker login` and `podman login` keep it.

use anyhow::{Result, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use oci_client::Reference;
use oci_client::secrets::RegistryAuth;
use std::env::{home_dir, var, var_os};
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The variables that stand above all files.
pub const VARIABLES: [&str; 2] = ["PAUSE_REGISTRY_USER", "PAUSE_REGISTRY_PASSWORD"];

/// A user and a password.
pub struct Credentials {
    /// Who, and with which password; or nobody.
    pub auth: RegistryAuth,
    /// Where they are from.
    pub origin: String,
}

/// Finds out who one is to the registry of an image.
///
/// # Errors
/// Where a file can't be read, or says something that is of no use.
pub fn find(image: &Reference) -> Result<Credentials> {
    match VARIABLES.map(|name| var(name).ok().filter(|value| !value.is_empty())) {
        [Some(user), Some(password)] => {
            return Ok(Credentials { auth: RegistryAuth::Basic(user, password), origin: VARIABLES.join(" and ") });
        }
        [None, None] => {}
        _ => bail!("of {} only one is set; set both or none", VARIABLES.join(" and ")),
    }
    for file in files(|name| var_os(name).filter(|value| !value.is_empty()), home_dir()) {
        if let Some(auth) = in_file(&file, image)? {
            return Ok(Credentials { auth, origin: file.display().to_string() });
        }
    }
    Ok(Credentials { auth: RegistryAuth::Anonymous, origin: String::new() })
}

/// Where the credentials can be, in the order in which podman looks.
fn files(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file.into()];
    }
    let home = |path: &str| home.as_ref().map(|home| home.join(path));
    let folder = |name, path| variable(name).map(|folder| Path::new(&folder).join(path));
    let podman = "containers/auth.json";
    let config = folder("XDG_CONFIG_HOME", podman).or_else(|| home(".config/containers/auth.json"));
    let docker = folder("DOCKER_CONFIG", "config.json").or_else(|| home(".docker/config.json"));
    [folder("XDG_RUNTIME_DIR", podman).or_else(runtime), config, docker].into_iter().flatten().collect()
}

/// Where podman keeps them for a user without a session, as root often is.
fn runtime() -> Option<PathBuf> {
    #[cfg(unix)]
    return Some(format!("/run/containers/{}/auth.json", nix::unistd::getuid()).into());
    #[cfg(not(unix))]
    None
}

/// What a file says of an image's registry, if there is the file and if it says something.
fn in_file(file: &Path, image: &Reference) -> Result<Option<RegistryAuth>> {
    for server in servers(image) {
        let reader = match File::open(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| anyhow::anyhow!("can't read {}: {error}", file.display()))?,
        };
        match get_credential_from_reader(reader, &server) {
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                return Ok(Some(RegistryAuth::Basic(user, password)));
            }
            Ok(DockerCredential::IdentityToken(_)) => bail!(
                "{} has an identity token for {server}, which only Docker can use; set {}",
                file.display(),
                VARIABLES.join(" and ")
            ),
            Err(CredentialRetrievalError::NoCredentialConfigured) => {}
            // The helper has none: what it says then is the helpers' protocol.
            Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            }
            Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
                let words = format!("{stdout} {stderr}");
                let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
                bail!("{helper}, which {} names, fails: {words}", file.display())
            }
            Err(error) => bail!("{} is of no use for {server}: {error}", file.display()),
        }
    }
    Ok(None)
}

/// What a file may call the registry of an image, or a part of it: the longest first.
fn servers(image: &Reference) -> Vec<String> {
    if image.registry() == "docker.io" {
        return vec!["https://index.docker.io/v1/".into()];
    }
    let whole = format!("{}/{}", image.registry(), image.repository());
    let ends = whole.match_indices('/').map(|(end, _)| end).chain([whole.len()]);
    ends.map(|end| whole[..end].into()).rev().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn podmans_files_come_before_dockers() {
        let files = |set: &[(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            let files = super::files(variable, Some("/home".into()));
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>()
        };
        assert!(
            files(&[]).ends_with(&["/home/.config/containers/auth.json", "/home/.docker/config.json"].map(Into::into))
        );
        let all = [("XDG_RUNTIME_DIR", "/run"), ("XDG_CONFIG_HOME", "/config"), ("DOCKER_CONFIG", "/docker")];
        let expected = ["/run/containers/auth.json", "/config/containers/auth.json", "/docker/config.json"];
        assert_eq!(files(&all), expected);
        assert_eq!(files(&[("REGISTRY_AUTH_FILE", "/file"), ("DOCKER_CONFIG", "/docker")]), ["/file"]);
    }

    #[test]
    fn a_part_of_a_registry_may_have_its_own() {
        let servers = |image: &str| super::servers(&image.parse().unwrap());
        assert_eq!(servers("a.example/b/c:1"), ["a.example/b/c", "a.example/b", "a.example"]);
        assert_eq!(servers("pause"), ["https://index.docker.io/v1/"]);
    }
}
