//! `chatwire cert`: a certificate to try TLS with. It is signed by itself, so clients must be told to trust it.

use super::{Error, say};
use chatwire::clock;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use clap::Args;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tokio_rustls::rustls::pki_types::ServerName;

const CERT: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Which certificate is to be made, and where.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertCommand {
    /// The names and addresses by which clients will reach the server.
    #[arg(value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    names: Vec<String>,
    /// The folder for cert.pem and key.pem.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// For how many days it is good.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,
}

impl CertCommand {
    pub(crate) fn run(&self) -> Result<(), Error> {
        let is_name = |name: &&String| ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok();
        if let Some(bad) = self.names.iter().find(|name| !is_name(name)) {
            return Err(Error::Cert(format!("{bad:?} is no name or address (a port does not belong to it)")));
        }
        let (cert, key) = (self.out.join(CERT), self.out.join(KEY));
        if let Some(there) = [&cert, &key].into_iter().find(|path| path.exists()) {
            return Err(Error::Cert(format!("{} exists already, and stays as it is", there.display())));
        }
        let (chain, private) = self.pair().map_err(|e| Error::Cert(e.to_string()))?;
        std::fs::create_dir_all(&self.out)?;
        write(&key, &private, 0o600)?;
        write(&cert, &chain, 0o644)?;
        say(&format!(
            "{cert} and {key} are good for {names}, for {days} days.\n\
             Serve with them:  chatwire serve --set listen.tls=0.0.0.0:8443 --set tls.cert={cert} --set tls.key={key}\n\
             Clients verify:   --tls --ca {cert}\n\
             For a server that others rely on, get a certificate that their machines trust.",
            cert = cert.display(),
            key = key.display(),
            names = self.names.join(", "),
            days = self.days,
        ))
    }

    /// The certificate and its private key, as PEM.
    fn pair(&self) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::new(self.names.clone())?;
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Chatwire, for trying: {}", self.names[0]));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_days(&mut params, self.days);
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
    }
}

/// Good from yesterday on, for clients whose clocks are behind.
fn set_days(params: &mut CertificateParams, days: u16) {
    let now = DateTime::<Utc>::from_timestamp_micros(clock::wall()).unwrap_or_default();
    let midnight = |day: DateTime<Utc>| {
        // A month and a day always fit.
        let [month, day_of_month] = [day.month(), day.day()].map(|number| u8::try_from(number).unwrap_or(1));
        rcgen::date_time_ymd(day.year(), month, day_of_month)
    };
    params.not_before = midnight(now - TimeDelta::days(1));
    params.not_after = midnight(now + TimeDelta::days(days.into()));
}

/// A new file: one that is there was not looked at, and may be another's.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
