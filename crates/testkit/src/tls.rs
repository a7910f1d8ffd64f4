//! Certificates made for a test, and a blocking client that speaks TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
pub use rustls;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::client::{encode, socket_from, words};
use crate::{Reply, Result, reply};

/// A server that says nothing for so long is stuck.
const TIMEOUT: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 64 << 10;

/// An authority that issues certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    pub fn cert(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for this machine, of a server or a client.
    pub fn issue(&self, name: &str) -> Result<Identity> {
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { cert: cert.pem(), key: key.serialize_pem() })
    }
}

impl Identity {
    /// Writes both files; the certificate's and the key's path.
    pub fn write(&self, dir: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (cert, key) = (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")));
        fs::write(&cert, &self.cert)?;
        fs::write(&key, &self.key)?;
        Ok((cert, key))
    }

    /// The certificate as it is shown to a peer.
    pub fn der(&self) -> Result<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_slice(self.cert.as_bytes())?)
    }
}

/// How a client speaks: whom it trusts, who it is, and with which versions of TLS.
pub fn client_config(
    trusted: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.issuer.der().clone())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(
            vec![identity.der()?],
            PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?,
        )?,
    };
    Ok(Arc::new(config))
}

/// A client's side of TLS, without a socket.
pub fn session(config: &Arc<ClientConfig>) -> Result<ClientConnection> {
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    Ok(ClientConnection::new(config.clone(), name)?)
}

/// A client like [`crate::Client`], through TLS.
pub struct TlsClient {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
    input: Vec<u8>,
    taken: usize,
}

impl TlsClient {
    /// Connects. The handshake comes with the first command.
    pub fn connect(addr: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self> {
        Self::over(TcpStream::connect(addr)?, config)
    }

    /// Connects as another peer: from an address of this machine.
    pub fn connect_from(from: IpAddr, addr: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self> {
        Self::over(socket_from(from, addr)?, config)
    }

    fn over(socket: TcpStream, config: &Arc<ClientConfig>) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: StreamOwned::new(session(config)?, socket), input: Vec::new(), taken: 0 })
    }

    pub fn send<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result {
        let mut bytes = Vec::new();
        encode(command, &mut bytes);
        self.send_raw(&bytes)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    pub fn call<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result<Reply> {
        self.send(command)?;
        self.receive()
    }

    /// Like [`Self::call`], for a command that needs no quoting.
    pub fn line(&mut self, line: &str) -> Result<Reply> {
        self.call(&words(line))
    }

    /// The next reply.
    pub fn receive(&mut self) -> Result<Reply> {
        loop {
            let rest = self.input.get(self.taken..).unwrap_or_default();
            if let Some((reply, len)) = reply::parse(rest)? {
                self.taken += len;
                return Ok(reply);
            }
            self.input.drain(..self.taken);
            self.taken = 0;
            if self.fill()? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    fn fill(&mut self) -> Result<usize> {
        let old = self.input.len();
        self.input.resize(old + READ_BYTES.max(old), 0);
        let read = self.stream.read(self.input.get_mut(old..).unwrap_or_default());
        self.input.truncate(old + read.as_ref().copied().unwrap_or(0));
        Ok(read?)
    }

    /// Says that no more commands come; replies still do.
    pub fn finish(&mut self) -> Result {
        self.stream.conn.send_close_notify();
        Ok(self.stream.flush()?)
    }

    /// Whether the server says good-bye, after all that has been received.
    pub fn is_closed(&mut self) -> Result<bool> {
        Ok(self.fill()? == 0)
    }

    /// What the server has shown.
    pub fn server_cert(&self) -> Option<&CertificateDer<'static>> {
        self.stream.conn.peer_certificates()?.first()
    }
}
