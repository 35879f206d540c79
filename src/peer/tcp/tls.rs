//! Mutual TLS between nodes: whoever shows a certificate of the cluster's CA and holds its key is a node, and nobody
//! else is heard. TLS 1.3 alone, without resumption: each connection proves both sides anew.
//!
//! ```text
//!   the certificate   signed by the CA in --peer-ca, valid now, for servers and clients if it says for what
//!   its names         if any is node-N, it is good for those nodes alone; else for every node
//!   not looked at     host names and addresses: nodes move, and are dialled through whatever leads to them
//! ```
//!
//! The names are compared with the number that a peer says it has ([`Proven`]), so that a stolen certificate of node
//! 3 cannot pass for node 1.

use super::greeting::{self, Doorkeeper, GreetingError, Refusal};
use super::{Carrier, Stream};
use crate::pem::{PemError, certificates, private_key};
use crate::token::NodeId;
use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a TLS connection begins with; a greeting begins with another byte.
pub(super) const HANDSHAKE_BYTE: u8 = 0x16;
/// Time for a peer that is turned away to read why: closing at once could take the words back.
const LINGER: Duration = Duration::from_secs(1);
/// What is said of a peer that answers without TLS.
const PLAIN_PEER: &str = "this node talks to its peers over TLS, and the other side does not; start both with --peer-ca, --peer-cert and --peer-key";

/// Files in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the CA that signs for this cluster's nodes; several while one takes another one's place.
    pub ca: PathBuf,
    /// This node's certificate, and after it those between it and the CA, if any.
    pub cert: PathBuf,
    /// Its private key, without a password.
    pub key: PathBuf,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the files.
    #[error(transparent)]
    File(#[from] PemError),
    /// Peers would refuse it.
    #[error("no peer would accept the certificate in --peer-cert {}: it {fault}; make a new one with the CA of --peer-ca", path.display())]
    Unfit {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// Peers would refuse it.
    #[error("the certificate in --peer-cert {} is of {}, not of node {node}; give each node its own", path.display(), names(named))]
    OtherNode {
        /// The certificate's file.
        path: PathBuf,
        /// Whose it is.
        named: Vec<NodeId>,
        /// This node.
        node: NodeId,
    },
}

/// What is in the files.
pub(super) struct Proof {
    provider: Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<AnyAddress>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Proof {
    pub fn read(files: &TlsFiles) -> Result<Proof, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let no_ca = |reason| PemError::Malformed { option: "--peer-ca", path: files.ca.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("--peer-ca", &files.ca)? {
            roots.add(certificate).map_err(|error| no_ca(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let (chain, key) = (certificates("--peer-cert", &files.cert)?, private_key("--peer-key", &files.key)?);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let clients = clients.build().map_err(|error| no_ca(error.to_string()))?;
        let servers = Arc::new(AnyAddress { roots, algorithms: provider.signature_verification_algorithms });
        Ok(Proof { provider, clients, servers, chain, key })
    }

    /// Whether peers will take this node for `node`.
    fn judge(&self, files: &TlsFiles, node: NodeId) -> Result<(), TlsError> {
        let (own, between) = self.chain.split_first().expect("at least one, or it was missing");
        let now = UnixTime::now();
        let verified = self.clients.verify_client_cert(own, between, now);
        let verified = verified.and_then(|_| self.servers.verify(own, between, now));
        let named = verified.and_then(|()| named_in(Some(&self.chain))).map_err(|error| {
            let fault = match error {
                rustls::Error::InvalidCertificate(error) => fault(&error),
                other => format!("cannot be used ({other})"),
            };
            TlsError::Unfit { path: files.cert.clone(), fault }
        })?;
        if is_of(&named, node) { Ok(()) } else { Err(TlsError::OtherNode { path: files.cert.clone(), named, node }) }
    }

    /// Trusts the CA, and shows nothing itself.
    #[cfg(test)]
    pub fn anonymous(self) -> TlsConnector {
        let config = ClientConfig::builder_with_provider(self.provider).with_protocol_versions(&[&TLS13]).unwrap();
        let config = config.dangerous().with_custom_certificate_verifier(self.servers).with_no_client_auth();
        Arc::new(config).into()
    }

    pub fn used(self, files: &TlsFiles) -> Result<PeerTls, TlsError> {
        let Proof { provider, clients, servers, chain, key } = self;
        let unfit = |error| match error {
            rustls::Error::InconsistentKeys(_) => {
                PemError::OtherKey { option: "--peer", key: files.key.clone(), cert: files.cert.clone() }
            }
            other => PemError::Malformed { option: "--peer-key", path: files.key.clone(), reason: other.to_string() },
        };
        let connector = client(provider.clone(), servers, chain.clone(), key.clone_key()).map_err(unfit)?;
        let acceptor = server(provider, clients, chain, key).map_err(unfit)?;
        Ok(PeerTls { connector: Arc::new(connector).into(), acceptor: Arc::new(acceptor).into() })
    }
}

/// Both sides of TLS, as one node takes part in it.
#[derive(Clone)]
pub struct PeerTls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl PeerTls {
    /// Reads what `node` needs, and judges its certificate as its peers will.
    pub fn load(files: &TlsFiles, node: NodeId) -> Result<PeerTls, TlsError> {
        let proof = Proof::read(files)?;
        proof.judge(files, node)?;
        proof.used(files)
    }

    /// The dialer's side. That a peer refuses this node's certificate shows when something is read.
    pub(super) async fn dial(&self, stream: TcpStream) -> Result<(Stream, Vec<NodeId>), GreetingError> {
        // Neither sent nor compared, but the library wants one.
        let nobody = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let stream = self.connector.connect(nobody, stream).await?;
        let named = named_in(stream.get_ref().1.peer_certificates()).map_err(io::Error::other)?;
        Ok((boxed(stream), named))
    }

    /// The accepter's side.
    pub(super) async fn accept(
        &self,
        mut stream: TcpStream,
        this: NodeId,
    ) -> Result<(Stream, Vec<NodeId>), GreetingError> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if first[0] != HANDSHAKE_BYTE {
            let reason = format!(
                "node {this} talks to its peers over TLS, and this connection came without it; start all nodes with --peer-ca, --peer-cert and --peer-key"
            );
            let refusal = Refusal { reason, is_final: false };
            greeting::turn_away(&mut stream, &refusal).await?;
            linger(&mut stream).await;
            return Err(GreetingError::NotAdmitted(refusal.reason));
        }
        match self.acceptor.accept(stream).into_fallible().await {
            Ok(stream) => {
                let named = named_in(stream.get_ref().1.peer_certificates()).map_err(io::Error::other)?;
                Ok((boxed(stream), named))
            }
            Err((error, mut stream)) => {
                linger(&mut stream).await;
                Err(error.into())
            }
        }
    }
}

fn boxed(stream: impl Carrier + 'static) -> Stream {
    Box::new(stream)
}

/// Lets a peer read the last words before the connection is gone.
async fn linger(stream: &mut TcpStream) {
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    let _ = time::timeout(LINGER, async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} }).await;
}

fn client(
    provider: Arc<CryptoProvider>,
    servers: Arc<AnyAddress>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(servers)
        .with_client_auth_cert(chain, key)?;
    config.enable_sni = false;
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server(
    provider: Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Takes every server whose certificate the CA has signed, at whatever address.
#[derive(Debug)]
struct AnyAddress {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyAddress {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, between, now, self.algorithms.all)
    }
}

impl ServerCertVerifier for AnyAddress {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(end_entity, intermediates, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The nodes that a verified certificate names as `node-N`. That there is none to read must not look like one that
/// names nobody, and is good for all.
pub(super) fn named_in(chain: Option<&[CertificateDer<'_>]>) -> Result<Vec<NodeId>, rustls::Error> {
    let certificate = chain.and_then(|chain| chain.first()).ok_or(rustls::Error::NoCertificatesPresented)?;
    let certificate = webpki::EndEntityCert::try_from(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let number = |name: &str| name.to_ascii_lowercase().strip_prefix("node-")?.parse().ok();
    Ok(certificate.valid_dns_names().filter_map(number).collect())
}

fn is_of(named: &[NodeId], node: NodeId) -> bool {
    named.is_empty() || named.contains(&node)
}

fn names(named: &[NodeId]) -> String {
    named.iter().map(|node| format!("node-{node}")).collect::<Vec<_>>().join(", ")
}

/// A doorkeeper who also knows which nodes a peer's certificate names; none: any.
pub(super) struct Proven {
    pub door: Arc<dyn Doorkeeper>,
    pub named: Vec<NodeId>,
}

impl Doorkeeper for Proven {
    fn credentials(&self) -> Bytes {
        self.door.credentials()
    }

    fn admit(&self, peer: NodeId, credentials: &[u8]) -> Result<(), Refusal> {
        if !is_of(&self.named, peer) {
            let reason = format!(
                "the certificate of {} is no proof of being node {peer}; give each node its own with --peer-cert",
                names(&self.named)
            );
            return Err(Refusal { reason, is_final: false });
        }
        self.door.admit(peer, credentials)
    }

    /// A final word counts only of the peer itself, or of whoever answers if nobody in particular was asked.
    fn refused(&self, by: NodeId, refusal: &Refusal) {
        let is_final = refusal.is_final && (by == NodeId::default() || is_of(&self.named, by));
        self.door.refused(by, &Refusal { is_final, ..refusal.clone() });
    }
}

/// What is wrong with a certificate, as in "it has expired".
fn fault(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet, or a clock is wrong".into()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not signed by the CA that this node knows".into()
        }
        CertificateError::Other(rustls::OtherError(other)) => match other.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => "is the CA's own, and a node needs one of its own".into(),
            Some(webpki::Error::UnsupportedCertVersion) => {
                "has no names (subjectAltName), so it is not of version 3".into()
            }
            _ => format!("cannot be used ({other})"),
        },
        other => format!("cannot be used ({other})"),
    }
}

/// What TLS has to say, if it was TLS that ended a connection.
pub(super) fn complaint(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(error) => {
            format!("the other side's certificate {}; give it one of the same CA with --peer-cert", fault(error))
        }
        rustls::Error::NoCertificatesPresented => {
            "the other side shows no certificate; give it one of the same CA with --peer-cert".into()
        }
        rustls::Error::InvalidMessage(_) => PLAIN_PEER.into(),
        rustls::Error::AlertReceived(alert) => format!("the other side {}", refusal(alert)),
        other => format!("the two sides do not come to terms about TLS: {other}"),
    })
}

fn refusal(alert: &AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateExpired => {
            "says that this node's certificate is expired; give this node a new one with --peer-cert".into()
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "does not know the CA of this node's certificate; use certificates of one CA on both, and name it with --peer-ca".into()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::AccessDenied => {
            format!("refuses this node's certificate ({alert:?}); its log says why")
        }
        other => format!("ended the connection with TLS's {other:?}; its log says why"),
    }
}
