//! A registry: what the crate `oci_client` does, step by step and with one line for each way to fail.

use crate::credentials::{self, Credentials, VARIABLES};
use crate::found::{Blob, Found, Store, describe};
use anyhow::{Context, Error, Result, anyhow, ensure};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use oci_spec::image::{Descriptor, MediaType};
use serde_json::Value;
use std::io::Cursor;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use xtask::command::Misuse;

/// How long a registry may take to accept a connection, and to say anything more.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a manifest or an index can be.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// How one speaks to a registry.
#[derive(clap::Args)]
pub struct Connection {
    /// Speak plain HTTP with the registry, not TLS [default: only where it is on this machine]
    #[arg(long)]
    plain_http: bool,

    /// Trust this certificate authority (PEM) beside the system's, and speak TLS on this machine, too
    #[arg(long, value_name = "FILE", conflicts_with = "plain_http")]
    ca_file: Option<PathBuf>,
}

/// A repository in a registry.
pub struct Registry {
    runtime: Runtime,
    client: Client,
    credentials: Credentials,
    reference: Reference,
    /// Whether it is spoken to without TLS.
    plain: bool,
}

impl Registry {
    /// Opens the repository of an image, for reading or for writing.
    ///
    /// # Errors
    /// Where the registry can't be reached, or does not let one in.
    pub fn open(reference: &Reference, connection: &Connection, operation: RegistryOperation) -> Result<Self> {
        let host = reference.resolve_registry();
        let plain = connection.plain_http || connection.ca_file.is_none() && is_loopback(host);
        let certificates = match &connection.ca_file {
            Some(file) => {
                let data = std::fs::read(file);
                let data = data.map_err(|error| Misuse(format!("can't read {}: {error}", file.display())))?;
                vec![Certificate { encoding: CertificateEncoding::Pem, data }]
            }
            None => Vec::new(),
        };
        prepare_tls()?;
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: certificates,
            // One request in place of two, and every registry knows it.
            use_monolithic_push: true,
            connect_timeout: Some(PATIENCE),
            read_timeout: Some(PATIENCE),
            user_agent: concat!("pause-publish/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| {
            let file = connection.ca_file.as_ref().map(|file| format!(" with {}", file.display()));
            anyhow!("can't speak TLS{}: {}", file.unwrap_or_default(), innermost(&error))
        })?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let registry =
            Self { runtime, client, credentials: credentials::find(reference)?, reference: reference.clone(), plain };
        registry.wait(registry.client.auth(reference, &registry.credentials.auth, operation))?;
        Ok(registry)
    }

    /// Waits for an answer. Says in one line what went wrong.
    fn wait<T>(&self, answer: impl Future<Output = oci_client::errors::Result<T>>) -> Result<T> {
        self.runtime.block_on(answer).map_err(|error| self.explain(&error))
    }

    /// The image of that digest. A digest in the place of a tag makes the same address, but where a registry
    /// does not say where a manifest is that it took, the client looks for the tag at the address's end, and panics.
    fn at(&self, descriptor: &Descriptor) -> Reference {
        let (registry, repository) = (self.reference.registry(), self.reference.repository());
        Reference::with_tag(registry.into(), repository.into(), descriptor.digest().to_string())
    }

    /// What the reference leads to.
    ///
    /// # Errors
    /// Where there is nothing, or it can't be had.
    pub fn image(&self) -> Result<Found> {
        let descriptor = self.top()?;
        Found::read(self, &descriptor)
    }

    /// Describes what the reference leads to.
    ///
    /// # Errors
    /// Where there is nothing, or it can't be had.
    pub fn top(&self) -> Result<Descriptor> {
        let pull = self.client.pull_manifest_raw(&self.reference, &self.credentials.auth, &MANIFESTS);
        let (content, _) = self.wait(pull)?;
        let media_type = serde_json::from_slice(&content).ok().and_then(|content: Value| {
            let media_type = content["mediaType"].as_str()?;
            Some(media_type.into())
        });
        Ok(describe(media_type.unwrap_or(MediaType::ImageIndex), &content))
    }

    /// Whether the registry has such a manifest in that place.
    fn has_manifest(&self, place: &Reference, blob: &Blob) -> Result<bool> {
        let digest = self.client.fetch_manifest_digest(place, &self.credentials.auth);
        match self.runtime.block_on(digest) {
            Ok(digest) => Ok(digest == blob.digest()),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Pushes a blob that is not there yet. Says whether that was so.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub fn push_blob(&self, blob: &Blob) -> Result<bool> {
        if self.wait(self.client.blob_exists(&self.reference, blob.digest()))? {
            return Ok(false);
        }
        self.wait(self.client.push_blob(&self.reference, blob.content.clone(), blob.digest()))?;
        Ok(true)
    }

    /// Pushes a manifest or an index that is not there yet, by its digest alone. Says whether that was so.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub fn push_manifest(&self, blob: &Blob) -> Result<bool> {
        self.put_manifest(&self.at(&blob.descriptor), blob)
    }

    /// Lets the reference's tag lead to a manifest or an index. Says whether it did not yet.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub fn tag(&self, blob: &Blob) -> Result<bool> {
        self.put_manifest(&self.reference, blob)
    }

    fn put_manifest(&self, place: &Reference, blob: &Blob) -> Result<bool> {
        if self.has_manifest(place, blob)? {
            return Ok(false);
        }
        let media_type = blob.descriptor.media_type().to_string();
        let put = self.client.push_manifest_raw(place, blob.content.clone(), media_type.parse()?);
        self.wait(put).with_context(|| format!("can't push {media_type}"))?;
        Ok(true)
    }

    /// Makes sure that one finds what is said about a manifest, by its digest: a registry that does not see to that
    /// itself keeps a list under a tag, which its clients write.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub fn list_referrers(&self, subject: &Descriptor, referrers: &[Descriptor]) -> Result<()> {
        let digest = subject.digest().to_string();
        let listed = self.wait(self.client.pull_referrers(&self.reference.clone_with_digest(digest.clone()), None))?;
        let is_listed =
            |referrer: &&Descriptor| listed.manifests.iter().any(|entry| entry.digest == referrer.digest().as_ref());
        if referrers.iter().all(|referrer| is_listed(&referrer)) {
            return Ok(());
        }
        // As it is, with all that others may have written into it.
        let (registry, repository) = (self.reference.registry(), self.reference.repository());
        let place = Reference::with_tag(registry.into(), repository.into(), digest.replace(':', "-"));
        let there = self.client.pull_manifest_raw(&place, &self.credentials.auth, &MANIFESTS[..1]);
        let mut list: Value = match self.runtime.block_on(there) {
            Ok((content, _)) => serde_json::from_slice(&content).with_context(|| format!("{place} is no index"))?,
            Err(error) if is_missing(&error) => {
                serde_json::json!({ "schemaVersion": 2, "mediaType": MANIFESTS[0], "manifests": [] })
            }
            Err(error) => return Err(self.explain(&error)),
        };
        let entries = list["manifests"].as_array_mut().with_context(|| format!("{place} is no index"))?;
        for referrer in referrers.iter().filter(|referrer| !is_listed(referrer)) {
            entries.push(serde_json::to_value(referrer)?);
        }
        let content = serde_json::to_vec(&list)?;
        self.put_manifest(&place, &Blob { descriptor: describe(MediaType::ImageIndex, &content), content })?;
        Ok(())
    }

    /// What went wrong, in one line.
    fn explain(&self, error: &OciDistributionError) -> Error {
        let host = self.reference.registry();
        let login = format!("`docker login {host}`, `podman login {host}`, or {}", VARIABLES.join(" and "));
        let denied = || match (&self.credentials.auth, &self.credentials.origin) {
            (RegistryAuth::Basic(user, _), origin) => {
                anyhow!("{host} does not let {user} do that, with the password of {origin}; try {login}")
            }
            _ => anyhow!("{host} does not let just anybody do that; try {login}"),
        };
        match error {
            _ if is_missing(error) => anyhow!("{host} has nothing there"),
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => denied(),
            OciDistributionError::ServerError { code: 401 | 403, .. } => denied(),
            OciDistributionError::ServerError { code, message, .. } => {
                let hint = if *code == 405 { ": it is read-only" } else { "" };
                anyhow!("{host} refuses that{hint} ({})", words(*code, message))
            }
            OciDistributionError::RegistryError { envelope, .. } => anyhow!("{host} refuses that ({})", said(envelope)),
            OciDistributionError::RequestError(request) => match request.status().map(|status| status.as_u16()) {
                Some(401 | 403) => denied(),
                Some(400) if self.plain => {
                    anyhow!("{host} refuses plain HTTP (400); if it speaks TLS, name its authority with --ca-file")
                }
                Some(code) => anyhow!("{host} refuses that ({code})"),
                None => anyhow!("can't reach {host}: {}", innermost(request)),
            },
            other => anyhow!("{host}: {}", one_line(&other.to_string())),
        }
    }
}

impl Store for Registry {
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let place = self.at(descriptor);
        let (content, _) = self.wait(self.client.pull_manifest_raw(&place, &self.credentials.auth, &MANIFESTS))?;
        Ok(content.into())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let digest = descriptor.digest().to_string();
        // A byte more would be too many.
        let mut content = vec![0; descriptor.size() as usize + 1];
        let mut writer = Cursor::new(content.as_mut_slice());
        let pull = self.client.pull_blob(&self.reference, digest.as_str(), &mut writer);
        match self.runtime.block_on(pull) {
            // Whether the bytes are right is for the caller to find out, who can say more about them.
            Ok(()) | Err(OciDistributionError::DigestError(_) | OciDistributionError::IoError(_)) => {}
            Err(error) => return Err(self.explain(&error)),
        }
        let size = writer.position() as usize;
        content.truncate(size);
        Ok(content)
    }
}

/// Whether the registry has no such thing.
fn is_missing(error: &OciDistributionError) -> bool {
    use OciErrorCode::{ManifestUnknown, NameUnknown, NotFound};
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().all(|error| matches!(error.code, ManifestUnknown | NameUnknown | NotFound))
        }
        _ => false,
    }
}

/// What a registry says in its own words.
fn words(code: u16, message: &str) -> String {
    match serde_json::from_str::<OciEnvelope>(message) {
        Ok(envelope) => format!("{code} {}", said(&envelope)),
        Err(_) => one_line(&format!("{code} {message}")),
    }
}

fn said(envelope: &OciEnvelope) -> String {
    let errors = envelope.errors.iter().map(|error| {
        let code = serde_json::to_value(&error.code).unwrap_or_default();
        let detail = match &error.detail {
            Value::Null => String::new(),
            detail => format!(" {detail}"),
        };
        format!("{}: {}{detail}", code.as_str().unwrap_or_default(), error.message)
    });
    one_line(&errors.collect::<Vec<_>>().join("; "))
}

/// A text in one line that is not too long.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// The last cause of an error, which says most.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    one_line(&cause.to_string())
}

/// Whether a registry is on this machine.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
}

/// Sees to it that the client finds what it takes for TLS, which it looks for in any case.
fn prepare_tls() -> Result<()> {
    provide_cryptography()?;
    #[cfg(all(unix, not(target_vendor = "apple")))]
    ensure!(
        !rustls_native_certs::load_native_certs().certs.is_empty(),
        "can't speak TLS: this system has no certificate authorities; Debian has them in ca-certificates"
    );
    Ok(())
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn provide_cryptography() -> Result<()> {
    let needed = "the processor has no instructions for AES, or on x86 none of AVX2, BMI and ADX";
    ensure!(graviola::util::is_cpu_supported(), "can't speak TLS: {needed}");
    // It may be there already.
    let _ = rustls_graviola::default_provider().install_default();
    Ok(())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn provide_cryptography() -> Result<()> {
    anyhow::bail!(
        "there is no TLS for this machine's processor here; `skopeo copy --all oci:dist/pause.oci` pushes, too"
    )
}

/// What a reference on the command line may be. Without a tag and a digest, the tag is the version.
///
/// # Errors
/// Where it is none.
pub fn parse(text: &str) -> Result<Reference> {
    let reference: Reference = text
        .parse()
        .ok()
        .filter(|_| text.is_ascii())
        .context("an image in a registry looks like registry.example/pause:3.10, in small letters")?;
    let tag = reference.tag().is_some_and(|tag| text.ends_with(&format!(":{tag}")));
    if tag || reference.digest().is_some() {
        return Ok(reference);
    }
    let (registry, repository) = (reference.registry(), reference.repository());
    Ok(Reference::with_tag(registry.into(), repository.into(), env!("CARGO_PKG_VERSION").into()))
}
