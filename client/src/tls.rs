//! TLS, with the feature `tls`: whom a client takes for the server.

use crate::error::{Error, Problem, TlsProblem};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, InvalidMessage, RootCertStore};

/// What a client of this protocol offers (section 5.1 of docs/PROTOCOL.md).
const ALPN: &[u8] = b"chatwire/1";

/// Whom to take for the server: who has a certificate for its name, signed by somebody who is trusted. There is no
/// way to take anybody.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Trusts whom this machine trusts. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Storage`], if it trusts nobody.
    pub fn system() -> Result<Tls, Error> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some that cannot be used are found on many machines.
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 {
            let why = "no certificates of those whom this machine trusts were found";
            return Err(Error::Storage(Problem::from(&io::Error::new(io::ErrorKind::NotFound, why))));
        }
        Tls::trusting(roots)
    }

    /// Trusts the certificates of this PEM file, whom they have signed, and nobody else. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::File`], if it is no such file.
    pub fn with_ca(file: &Path) -> Result<Tls, Error> {
        let no_file = |error: io::Error| Error::file(file, &error);
        let pem = std::fs::read(file).map_err(no_file)?;
        let broken = |error: &dyn fmt::Display| {
            no_file(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("no certificate in PEM form: {error}"),
            ))
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|e| broken(&e))?).map_err(|e| broken(&e))?;
        }
        if roots.is_empty() { Err(broken(&"it has none")) } else { Tls::trusting(roots) }
    }

    fn trusting(roots: RootCertStore) -> Result<Tls, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::Invalid("this build has no version of TLS"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Tls(Arc::new(config)))
    }

    /// The handshake with the server at `host:port`.
    pub(crate) async fn connect(
        &self,
        address: &str,
        socket: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Error::Invalid("the server's address is no name that a certificate could be for"))?;
        let connected = TlsConnector::from(self.0.clone()).connect(name, socket).await;
        connected.map_err(|error| problem(host, &error))
    }
}

/// What went wrong, in words that say what to do.
fn problem(host: &str, error: &io::Error) -> Error {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Error::Unreachable(error.into());
    };
    Error::Tls(match tls {
        rustls::Error::InvalidCertificate(why) => certificate_problem(host, why),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsProblem::NotSpoken,
        other => TlsProblem::Other(other.to_string()),
    })
}

fn certificate_problem(host: &str, why: &CertificateError) -> TlsProblem {
    match why {
        CertificateError::NotValidForNameContext { presented, .. } => TlsProblem::OtherName {
            wanted: host.to_owned(),
            names: presented.iter().map(|name| plain(name)).collect(),
        },
        CertificateError::NotValidForName => {
            TlsProblem::OtherName { wanted: host.to_owned(), names: Vec::new() }
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsProblem::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsProblem::NotValidYet
        }
        other => TlsProblem::Other(other.to_string()),
    }
}

/// `DnsName("chat.example.org")` or `IpAddress(192.0.2.1)`, without what is for programmers.
fn plain(name: &str) -> String {
    let inside = name.split_once('(').map_or(name, |(_, inside)| inside);
    inside.trim_end_matches(')').trim_matches('"').to_owned()
}
