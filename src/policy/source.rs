//! What counts as one address where connections, guests or failures of an address are counted.

use super::bans::Network;
use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

/// Bits of an IPv6 address behind those that one customer is usually given: whoever has one of these has them all.
const IPV6_OWN_BITS: u32 = 64;

/// An IPv4 address, or the /64 of an IPv6 address.
///
/// An IPv4 address is kept as the /64 of the same number, which lies in a block that nobody is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(u64);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Source(address.to_bits().into()),
            IpAddr::V6(address) => {
                Source(u64::try_from(address.to_bits() >> IPV6_OWN_BITS).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Addresses that the limits for each address do not count: this machine, a proxy, an office behind one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt(Vec<Network>);

impl Exempt {
    /// What this address counts as; `None`: it is not counted.
    #[must_use]
    pub fn source(&self, address: IpAddr) -> Option<Source> {
        let is_exempt = self.0.iter().any(|network| network.contains(address));
        (!is_exempt).then(|| address.into())
    }

    /// As they are written.
    pub fn networks(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Network::to_string)
    }
}

impl FromStr for Exempt {
    type Err = &'static str;

    /// With commas between; nothing: none is exempt.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let networks = text.split(',').map(str::trim).filter(|network| !network.is_empty());
        networks.map(str::parse).collect::<Result<_, _>>().map(Exempt)
    }
}

impl fmt::Display for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.networks().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_a_mapped_address_is_its_ipv4() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.7"), source("192.0.2.7"));
        assert_ne!(source("192.0.2.8"), source("192.0.2.7"));
        assert_ne!(source("::1"), source("127.0.0.1"));
    }

    #[test]
    fn only_what_is_listed_is_exempt() {
        let exempt: Exempt = "127.0.0.0/8, ::1,2001:db8::/32".parse().unwrap();
        for address in ["127.0.0.1", "::ffff:127.9.9.9", "::1", "2001:db8:7::1"] {
            assert_eq!(exempt.source(address.parse().unwrap()), None, "{address}");
        }
        for address in ["192.0.2.7", "::2", "2001:db9::1"] {
            assert_eq!(exempt.source(address.parse().unwrap()), Some(source(address)), "{address}");
        }
        assert_eq!(Exempt::default().source("127.0.0.1".parse().unwrap()), Some(source("127.0.0.1")));
        assert_eq!(exempt.to_string().parse(), Ok(exempt));
        assert!("localhost".parse::<Exempt>().is_err());
    }
}
