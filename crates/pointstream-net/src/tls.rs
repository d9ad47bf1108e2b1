use core::fmt;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::{Endpoint, Stream, dial};

/// How connections are secured that this side opens: whom to trust, and who this side is.
///
/// Certificates are always verified, names included; there is no way round it. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// What a [`ClientTls`] is made of.
#[derive(Clone, Default)]
#[must_use]
pub struct ClientTlsBuilder {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    alpn: Vec<Vec<u8>>,
    server_name: Option<String>,
}

/// How connections are secured that this side accepts. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

/// What a [`ServerTls`] is made of.
#[derive(Clone)]
#[must_use]
pub struct ServerTlsBuilder {
    chain: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    alpn: Vec<Vec<u8>>,
}

/// Why TLS cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A text holds no certificate.
    #[error("there is no certificate in the {0}: expected PEM with BEGIN CERTIFICATE")]
    NoCertificate(&'static str),
    /// A text is not PEM.
    #[error("the {0} is not PEM")]
    Pem(&'static str, #[source] pem::Error),
    /// The private key is missing or not readable. What it holds is not told.
    #[error("the private key is not one: expected PEM with BEGIN PRIVATE KEY, unencrypted")]
    Key,
    /// A name to verify is neither a DNS name nor an address.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Name(String),
    /// The library refuses the certificates or the key, or the one does not go with the other.
    #[error("the certificates or the key cannot be used: {0}")]
    Refused(#[from] rustls::Error),
    /// The authorities for the other side's certificates cannot be used.
    #[error("the certificate authorities cannot be used: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

impl ClientTls {
    /// Starts with the authorities that Mozilla's browsers trust, no identity, and no ALPN.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// Secures `stream`, which leads to `host`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] with the reason when the other side's certificate does not
    /// stand for `host` or is not trusted, or what comes is not TLS; [`io::ErrorKind::TimedOut`] at
    /// `deadline`.
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call closes the stream.
    pub(crate) async fn connect(
        &self,
        stream: Stream,
        host: &str,
        deadline: Instant,
    ) -> io::Result<Stream> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(host)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match timeout_at(deadline, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Stream::tls(TlsStream::Client(stream))),
            Ok(Err(error)) => {
                Err(io::Error::new(error.kind(), format!("securing {host}: {error}")))
            }
            Err(_) => Err(timed_out(&format!("securing {host}"))),
        }
    }
}

/// Opens a stream to `endpoint` as [`dial`] does, and secures it, all within `timeout`.
///
/// # Errors
///
/// Those of [`dial`]; [`io::ErrorKind::InvalidData`] with the reason when the certificate does not
/// stand for the endpoint's host or is not trusted, or what comes is not TLS.
///
/// # Cancel safety
///
/// Safe: a dropped call leaves no stream open.
pub async fn dial_tls(
    endpoint: &Endpoint,
    tls: &ClientTls,
    timeout: Duration,
) -> io::Result<Stream> {
    let deadline = Instant::now() + timeout;
    let stream = dial(endpoint, timeout).await?;
    tls.connect(stream, endpoint.host(), deadline).await
}

impl ClientTlsBuilder {
    /// Trusts these authorities (PEM, one or more certificates) and no others. A server's own
    /// self-signed certificate can be given too, which pins it.
    pub fn ca_pem(mut self, pem: &[u8]) -> Self {
        self.ca = Some(pem.to_vec());
        self
    }

    /// Shows the server this certificate chain (PEM, own certificate first) with its private key
    /// (PEM, unencrypted).
    pub fn identity_pem(mut self, chain: &[u8], key: &[u8]) -> Self {
        self.identity = Some((chain.to_vec(), key.to_vec()));
        self
    }

    /// The application protocols to offer (RFC 7301), the preferred one first.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|p| p.as_ref().to_vec()).collect();
        self
    }

    /// The name that the server's certificate must stand for, where it is another than the host
    /// that is dialled.
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Reads the certificates and the key.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which says which of them is wrong.
    pub fn build(self) -> Result<ClientTls, TlsError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(pem) => add_all(&mut roots, pem, "certificate authorities")?,
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let provider = provider();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_webpki_verifier(verifier);
        let mut config = match &self.identity {
            Some((chain, key)) => config.with_client_auth_cert(
                certificates(chain, "client certificate")?,
                read_key(key)?,
            )?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        let server_name = self.server_name.as_deref().map(server_name).transpose()?;
        Ok(ClientTls { config: Arc::new(config), server_name })
    }
}

impl ServerTls {
    /// Starts with this certificate chain (PEM, own certificate first) and its private key (PEM,
    /// unencrypted).
    pub fn builder(chain_pem: &[u8], key_pem: &[u8]) -> ServerTlsBuilder {
        ServerTlsBuilder {
            chain: chain_pem.to_vec(),
            key: key_pem.to_vec(),
            client_ca: None,
            alpn: Vec::new(),
        }
    }

    /// Secures a stream that was accepted, within `timeout`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] with the reason when what comes is not TLS or shows no
    /// certificate where one is demanded; [`io::ErrorKind::TimedOut`].
    ///
    /// # Cancel safety
    ///
    /// Safe: a dropped call closes the stream.
    pub async fn accept(&self, stream: Stream, timeout: Duration) -> io::Result<Stream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        match timeout_at(Instant::now() + timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Ok(Stream::tls(TlsStream::Server(stream))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(timed_out("the TLS handshake")),
        }
    }
}

impl ServerTlsBuilder {
    /// Demands of every client a certificate of one of these authorities (PEM).
    pub fn client_ca_pem(mut self, pem: &[u8]) -> Self {
        self.client_ca = Some(pem.to_vec());
        self
    }

    /// The application protocols that are spoken (RFC 7301), the preferred one first. A client
    /// that offers some, none of them spoken, is refused.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|p| p.as_ref().to_vec()).collect();
        self
    }

    /// Reads the certificates and the key.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which says which of them is wrong.
    pub fn build(self) -> Result<ServerTls, TlsError> {
        let provider = provider();
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match &self.client_ca {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                add_all(&mut roots, pem, "client certificate authorities")?;
                let roots = Arc::new(roots);
                config.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(roots, provider).build()?,
                )
            }
            None => config.with_no_client_auth(),
        };
        let chain = certificates(&self.chain, "server certificate")?;
        let mut config = config.with_single_cert(chain, read_key(&self.key)?)?;
        config.alpn_protocols = self.alpn;
        Ok(ServerTls { config: Arc::new(config) })
    }
}

// Keys stand in these; none of them is printed.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientTlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTlsBuilder")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerTlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTlsBuilder").finish_non_exhaustive()
    }
}

/// Given to each configuration, so that no default of the process is needed or changed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Pem(what, error))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(what));
    }
    Ok(certificates)
}

fn add_all(roots: &mut RootCertStore, pem: &[u8], what: &'static str) -> Result<(), TlsError> {
    for certificate in certificates(pem, what)? {
        roots.add(certificate)?;
    }
    Ok(())
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::Key)
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what}: timed out"))
}
