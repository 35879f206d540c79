//! Certificates and private keys in files in PEM form, for TLS with clients (`wire`) and between nodes (`peer`).

use std::path::{Path, PathBuf};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The operating system does not give the file.
    #[error("cannot read {option} {}: {reason}; name a file in PEM form that this user may read", path.display())]
    Unreadable {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        reason: String,
    },
    /// Something else is in the file.
    #[error("{option} {} holds no {what} in PEM form; name the right file", path.display())]
    Missing {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// The file is damaged, or of a kind that is not known.
    #[error("{option} {} cannot be used: {reason}; make it anew", path.display())]
    Malformed {
        /// Which option names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key of another certificate.
    #[error("the key in {option}-key {} does not fit the certificate in {option}-cert {}; name the key that it was made with", key.display(), cert.display())]
    OtherKey {
        /// What both options begin with.
        option: &'static str,
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        cert: PathBuf,
    },
}

fn bytes_of(option: &'static str, path: &Path) -> Result<Vec<u8>, PemError> {
    std::fs::read(path).map_err(|error| PemError::Unreadable { option, path: path.into(), reason: error.to_string() })
}

/// All certificates of a file, at least one.
pub fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let bytes = bytes_of(option, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if all.is_empty() => Err(PemError::Missing { option, path: path.into(), what: "certificate" }),
        Ok(all) => Ok(all),
        Err(error) => Err(PemError::Malformed { option, path: path.into(), reason: error.to_string() }),
    }
}

/// The first private key of a file.
pub fn private_key(option: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(&bytes_of(option, path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            PemError::Missing { option, path: path.into(), what: "private key without a password" }
        }
        other => PemError::Malformed { option, path: path.into(), reason: other.to_string() },
    })
}
