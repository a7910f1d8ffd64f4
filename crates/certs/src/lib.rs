//! The files that TLS needs, and what is made of them: how a server shows itself and whom it lets in, and
//! how a client does.
//!
//! Invariant: it knows files and rustls, and no sockets.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::limits::TLS_FILE_BYTES_MAX;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, Error, RootCertStore, ServerConfig};

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    #[default]
    Off,
    /// They need not, but one that is shown has to be right.
    Optional,
    Required,
}

/// Where the certificates and the key are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its authority.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The authorities whose certificates clients show.
    pub client_ca: Option<PathBuf>,
    pub client_auth: ClientAuth,
}

/// What tells that a file has changed: its place on the disk, when it was written, and its size.
type Sign = (u64, i64, i64, u64);

/// How the files looked; nothing for one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen([Option<Sign>; 3]);

impl TlsFiles {
    pub fn look(&self) -> Seen {
        let sign = |path: &PathBuf| {
            let data = fs::metadata(path).ok()?;
            Some((data.ino(), data.mtime(), data.mtime_nsec(), data.len()))
        };
        Seen([sign(&self.cert), sign(&self.key), self.client_ca.as_ref().and_then(sign)])
    }

    /// Reads them. The error says which one is wrong and why.
    pub fn load(&self) -> Result<ServerConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let certificates = certificates(&self.cert)?;
        let key = private_key(&self.key)?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match self.verifier(provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        builder.with_single_cert(certificates, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                format!(
                    "{}: is not the key of the certificate in {}",
                    self.key.display(),
                    self.cert.display()
                )
            }
            Error::InvalidCertificate(_) => format!("{}: {error}", self.cert.display()),
            error => format!("{}: {error}", self.key.display()),
        })
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
        if self.client_auth == ClientAuth::Off {
            return Ok(None);
        }
        let Some(path) = &self.client_ca else {
            return Err("clients' certificates cannot be checked without the authority's".into());
        };
        let roots = roots(path)?;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if self.client_auth == ClientAuth::Optional {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Whom a client trusts, and what it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities whose certificates servers show. Without them, those that the machine trusts.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its key, if it is to show one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientFiles {
    /// Reads them. The error says which one is wrong and why.
    pub fn load(&self) -> Result<ClientConfig, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.ca.as_deref().map_or_else(native_roots, roots)?);
        let Some((cert, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(cert)?;
        let identity = builder.with_client_auth_cert(chain, private_key(key)?);
        identity.map_err(|error| format!("{} and {}: {error}", cert.display(), key.display()))
    }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

/// The authorities that the machine trusts; SSL_CERT_FILE and SSL_CERT_DIR say where they are, if it is elsewhere.
fn native_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some machines have a few that are not understood.
    let (count, _) = roots.add_parsable_certificates(found.certs);
    if count > 0 {
        return Ok(roots);
    }
    let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    Err(format!(
        "this machine has no certificates of authorities that it trusts{}",
        match &why[..] {
            [] => String::new(),
            why => format!(": {}", why.join("; ")),
        }
    ))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        format!("{}: has no private key in PEM without a passphrase: {error}", path.display())
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let explain = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| explain(&error))?;
    let count = file.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| explain(&error))?;
    match count as u64 {
        0 => Err(explain(&"is empty")),
        count if count > TLS_FILE_BYTES_MAX => Err(explain(&"is too large for what it should hold")),
        _ => Ok(bytes),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("{}: has no certificate in PEM", path.display())),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
