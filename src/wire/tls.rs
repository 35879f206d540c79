//! TLS with clients: this server's certificate, and what a client may bind its proof of a password to.
//!
//! Clients show no certificates; who they are is a matter of passwords. Versions 1.2 and 1.3, without resumption: each
//! connection is made anew.

use super::stream::{Socket, Stream};
use crate::pem::{PemError, certificates, private_key};
use ring::digest;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig, crypto};

/// What a TLS connection begins with; a start-up packet begins with another byte.
pub(super) const HANDSHAKE_BYTE: u8 = 0x16;
/// The protocol inside, as clients name it that begin with TLS at once.
const ALPN: &[u8] = b"postgresql";

/// This server's side of TLS.
#[derive(Clone)]
pub struct ClientTls {
    acceptor: TlsAcceptor,
    end_point: Option<Arc<[u8]>>,
}

impl ClientTls {
    /// Reads a certificate, and those between it and its CA behind it, and its key. Both files are in PEM form.
    pub fn load(cert: &Path, key: &Path) -> Result<ClientTls, PemError> {
        let chain = certificates("--tls-cert", cert)?;
        let end_point = chain.first().and_then(|own| end_point(own)).map(Arc::from);
        let unfit = |error| match error {
            rustls::Error::InconsistentKeys(_) => {
                PemError::OtherKey { option: "--tls", key: key.into(), cert: cert.into() }
            }
            other => PemError::Malformed { option: "--tls-key", path: key.into(), reason: other.to_string() },
        };
        let own_key = private_key("--tls-key", key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS12, &TLS13])
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, own_key))
            .map_err(unfit)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(ClientTls { acceptor: Arc::new(config).into(), end_point })
    }

    /// The handshake. A client that begins with it `at_once` must name the protocol, so that nobody can make one that
    /// speaks another believe that it was understood.
    pub(super) async fn accept(&self, stream: TcpStream, at_once: bool) -> io::Result<Stream> {
        let stream = self.acceptor.accept(Socket::Here(stream)).await?;
        if at_once && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::other("a direct TLS connection without the protocol's name"));
        }
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// What a proof is bound to (`tls-server-end-point`, RFC 5929); `None` where the certificate's signature has no
    /// hash that would be known.
    pub(super) fn end_point(&self) -> Option<Arc<[u8]>> {
        self.end_point.clone()
    }
}

/// A certificate's hash, by the algorithm of its own signature; SHA-256 for the broken ones.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (body, _) = der(certificate, 0x30)?;
    let (_, rest) = der(body, 0x30)?;
    let (algorithm, _) = der(rest, 0x30)?;
    let (oid, _) = der(algorithm, 0x06)?;
    let algorithm = match oid {
        // ecdsa-with-SHA256, -384, -512 (RFC 5758).
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => &digest::SHA256,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => &digest::SHA384,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => &digest::SHA512,
        // With RSA (RFC 8017): MD5, SHA-1 and SHA-256, then the longer ones.
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04 | 0x05 | 0x0b] => &digest::SHA256,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c] => &digest::SHA384,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d] => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The content of a DER value with this tag, and what comes behind it.
fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = bytes.split_first_chunk::<2>()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    #[test]
    fn a_certificate_is_hashed_as_it_is_signed() {
        let made = |algorithm| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap()
        };
        let certificate = made(&PKCS_ECDSA_P256_SHA256);
        let hash = digest::digest(&digest::SHA256, certificate.der());
        assert_eq!(end_point(certificate.der()).as_deref(), Some(hash.as_ref()));
        let certificate = made(&PKCS_ECDSA_P384_SHA384);
        let hash = digest::digest(&digest::SHA384, certificate.der());
        assert_eq!(end_point(certificate.der()).as_deref(), Some(hash.as_ref()));
        assert_eq!(end_point(made(&PKCS_ED25519).der()), None);
        for length in 0..certificate.der().len() {
            assert_eq!(end_point(&certificate.der()[..length]), None);
        }
    }
}
