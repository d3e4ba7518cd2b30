//! TLS over a socket whose two directions belong to two threads.
//!
//! Both need the state of the connection, which is under a lock that nobody holds while waiting for the socket.

use crate::cli::Trust;
use crate::endpoint::{CONNECT_WITHIN, Sink};
use crate::error::Error;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The protocol's name in ALPN (section 5.1).
const ALPN: &[u8] = b"chatwire/1";
/// Bytes that are read at once.
const READ: usize = 32 * 1024;

/// Shakes hands, so that what is wrong with a certificate is told here and not at the first byte.
pub(crate) fn connect(
    mut socket: TcpStream,
    host: &str,
    config: ClientConfig,
) -> io::Result<(Reader, Writer)> {
    let name = ServerName::try_from(host.to_string())
        .map_err(|_| io::Error::other("no certificate could have such a name"))?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    socket.set_read_timeout(Some(CONNECT_WITHIN))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).map_err(advised)?;
    }
    socket.set_read_timeout(None)?;
    let shared = Arc::new(Shared { tls: Mutex::new(tls), socket: Mutex::new(socket.try_clone()?) });
    let writer = Writer(Arc::clone(&shared));
    Ok((Reader { shared, socket, raw: vec![0; READ], rest: 0..0 }, writer))
}

/// The same error, and what to do about it.
fn advised(error: io::Error) -> io::Error {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref());
    let advice = match rustls {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "nobody that is trusted has signed it; --ca FILE trusts those in the file, --insecure takes any"
        }
        Some(rustls::Error::InvalidCertificate(_)) => "--insecure takes it all the same",
        Some(rustls::Error::InvalidMessage(_)) => {
            "what answers there does not speak TLS; try it without tls://"
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it ended while hands were shaken; perhaps it does not speak TLS"
        }
        None if error.kind() == io::ErrorKind::WouldBlock => {
            "it says nothing; perhaps it waits for something that is not TLS"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error} ({advice})"))
}

/// What is trusted, and the protocol's name.
pub(crate) fn config(trust: &Trust) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Usage(error.to_string()))?;
    let mut config = if trust.insecure {
        let verifier = Arc::new(Anybody(provider));
        versions.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    } else {
        versions.with_root_certificates(roots(trust)?).with_no_client_auth()
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn roots(trust: &Trust) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &trust.ca else {
        // What cannot be read of the system's certificates is missing then, and who needs it is told by its name.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let bad = |error: &dyn std::fmt::Display| Error::Usage(format!("{}: {error}", path.display()));
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(&error))? {
        roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() {
        return Err(bad(&"there is no certificate in it"));
    }
    Ok(roots)
}

/// What both halves have. Who holds both locks took the socket's first.
struct Shared {
    tls: Mutex<ClientConnection>,
    /// To write to; whoever holds it writes all that waits, so records keep their order.
    socket: Mutex<TcpStream>,
}

impl Shared {
    fn tls(&self) -> MutexGuard<'_, ClientConnection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn socket(&self) -> MutexGuard<'_, TcpStream> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the records that wait.
    fn send(&self, socket: &mut TcpStream) -> io::Result<()> {
        let mut records = Vec::new();
        let mut tls = self.tls();
        while tls.wants_write() {
            tls.write_tls(&mut records)?;
        }
        drop(tls);
        socket.write_all(&records)
    }
}

/// The receiving half.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    socket: TcpStream,
    raw: Vec<u8>,
    /// What of `raw` has come and was not taken apart yet.
    rest: Range<usize>,
}

impl Reader {
    /// Takes more records apart. The end of the socket is told to the TLS connection, which knows whether it is one.
    fn advance(&mut self) -> io::Result<()> {
        if self.rest.is_empty() {
            let n = self.socket.read(&mut self.raw)?;
            self.rest = 0..n;
        }
        let mut rest = &self.raw[self.rest.clone()];
        let mut tls = self.shared.tls();
        tls.read_tls(&mut rest)?;
        tls.process_new_packets().map_err(io::Error::other)?;
        let has_answer = tls.wants_write();
        drop(tls);
        self.rest.start = self.rest.end - rest.len();
        // If the other half is writing, it takes the answer along.
        if let (true, Ok(mut socket)) = (has_answer, self.shared.socket.try_lock()) {
            self.shared.send(&mut socket)?;
        }
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.shared.tls().reader().read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.advance()?;
        }
    }
}

/// The sending half.
pub(crate) struct Writer(Arc<Shared>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self.0.socket();
        let n = self.0.tls().writer().write(bytes)?;
        self.0.send(&mut socket)?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.send(&mut self.0.socket())
    }
}

impl Sink for Writer {
    fn finish(&mut self) -> io::Result<()> {
        let mut socket = self.0.socket();
        self.0.tls().send_close_notify();
        self.0.send(&mut socket)?;
        socket.shutdown(Shutdown::Write)
    }
}

/// Takes any certificate, for `--insecure`: that the server has the certificate's key is checked all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
