//! The certificate of the door over TLS, and how its connections are encrypted. Read from two files, again at SIGHUP:
//! whoever comes from then on gets the new one, and nobody who is there notices.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};

/// What clients that offer ALPN must offer (section 5.1 of docs/PROTOCOL.md).
pub const ALPN: &[u8] = b"chatwire/1";

/// Why there is no TLS. Each names the file, and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{}: cannot read it: {}", .0.display(), .1)]
    Unreadable(PathBuf, io::Error),
    /// A file holds something else.
    #[error("{}: it has no {} in PEM form (-----BEGIN …)", .0.display(), .1)]
    Lacks(PathBuf, &'static str),
    /// A file is PEM and broken.
    #[error("{}: it is broken: {}", .0.display(), .1)]
    Broken(PathBuf, String),
    /// The two files do not fit together.
    #[error(
        "the key in {} is not that of the first certificate in {}; the server's own certificate must come first",
        .key.display(),
        .cert.display()
    )]
    Mismatch {
        /// `tls.cert`.
        cert: PathBuf,
        /// `tls.key`.
        key: PathBuf,
    },
    /// The library takes them not.
    #[error("TLS cannot be served with {}: {}", .0.display(), .1)]
    Refused(PathBuf, rustls::Error),
}

/// What a door over TLS goes by, now. All its connections hold it while they come in.
pub struct Keys(RwLock<Arc<ServerConfig>>);

impl Keys {
    /// Reads both files.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(cert: &Path, key: &Path) -> Result<Keys, Error> {
        let config = server_config(cert, key)?;
        Ok(Keys(RwLock::new(Arc::new(config))))
    }

    /// Goes by these from now on.
    pub fn replace(&self, new: Keys) {
        let new = new.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// For one connection that comes in.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

fn server_config(cert: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| unread(cert, error, "certificate"))?;
    if chain.is_empty() {
        return Err(Error::Lacks(cert.into(), "certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error, "private key"))?;
    let refused = |error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            Error::Mismatch { cert: cert.into(), key: key.into() }
        }
        error => Error::Refused(cert.into(), error),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(refused)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Who comes back need not be proven to again, and the server keeps nothing for that.
    config.ticketer = ring::Ticketer::new().map_err(refused)?;
    Ok(config)
}

fn unread(path: &Path, error: pem::Error, what: &'static str) -> Error {
    match error {
        pem::Error::Io(error) => Error::Unreadable(path.into(), error),
        pem::Error::NoItemsFound => Error::Lacks(path.into(), what),
        error => Error::Broken(path.into(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, in files of a folder.
    fn pair(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (cert, key)
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = pair(folder.path(), "one");
        let (_, other) = pair(folder.path(), "other");
        let (empty, broken) = (folder.path().join("empty"), folder.path().join("broken"));
        std::fs::write(&empty, "no certificate\n").unwrap();
        std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        let missing = folder.path().join("missing");
        Keys::read(&cert, &key).ok().unwrap();
        for (cert, key, at_fault, says) in [
            (&missing, &key, &missing, "cannot read it"),
            (&cert, &missing, &missing, "cannot read it"),
            (&empty, &key, &empty, "no certificate"),
            (&cert, &empty, &empty, "no private key"),
            (&cert, &cert, &cert, "no private key"),
            (&broken, &key, &broken, "broken"),
            (&cert, &other, &other, "is not that of the first certificate"),
        ] {
            let error = Keys::read(cert, key).err().unwrap().to_string();
            assert!(error.contains(&at_fault.display().to_string()) && error.contains(says), "{error}");
        }
    }
}
