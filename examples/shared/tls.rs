//! `--tls` and `--ca FILE`, for every example that is a client.

use chatwire_client::{Error, Tls};
use std::path::PathBuf;

/// Whether to connect over TLS, and whom to take for the server.
#[derive(clap::Args)]
pub(crate) struct TlsArguments {
    /// Connect over TLS; the server has to have a certificate for its name that this machine trusts.
    #[arg(long)]
    tls: bool,
    /// Connect over TLS, and trust the certificates in this file alone, and whom they have signed.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl TlsArguments {
    /// For [`chatwire_client::Options::tls`].
    pub(crate) fn tls(&self) -> Result<Option<Tls>, Error> {
        match &self.ca {
            Some(file) => Tls::with_ca(file).map(Some),
            None if self.tls => Tls::system().map(Some),
            None => Ok(None),
        }
    }
}
