//! Which addresses are kept out. (Users are banned in the store, which knows them.)

use crate::error::Refusal;
use crate::id::Micros;
use chatwire_codec::Code;
use core::net::IpAddr;
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

/// An address or a network, as it is written: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpNet);

impl Network {
    /// Whether this address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = &'static str;

    /// Bits behind the prefix are cleared, and an IPv4 address in IPv6 clothes loses them.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "not an address (192.0.2.7, 2001:db8::1) or network (192.0.2.0/24)";
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Network(address.to_canonical().into()));
        }
        text.parse::<IpNet>().map(|net| Network(net.trunc())).map_err(|_| FORM)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// A ban's end and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// `None`: for ever.
    pub until: Option<Micros>,
    /// For whom it hits; may be empty.
    pub reason: Box<str>,
}

impl Ban {
    /// Whether it is in force.
    #[must_use]
    pub fn holds(&self, now: Micros) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// What whoever it hits is told. `whom`: the user or the address.
    #[must_use]
    pub fn refusal(&self, whom: &str, now: Micros) -> Refusal {
        let text = match &*self.reason {
            "" => format!("this {whom} is banned from this server"),
            reason => format!("this {whom} is banned from this server: {reason}"),
        };
        let left_ms = self.until.map_or(0, |until| until.saturating_sub(now).max(0) / 1000 + 1);
        Refusal { retry_ms: u32::try_from(left_ms).unwrap_or(u32::MAX), ..Refusal::new(Code::Banned, text) }
    }
}

/// The networks that are banned. A look costs one search for each length of prefix that is in use.
#[derive(Clone, Debug, Default)]
pub struct Bans {
    of: HashMap<IpNet, Ban>,
    prefixes: BTreeSet<u8>,
}

impl FromIterator<(Network, Ban)> for Bans {
    fn from_iter<T: IntoIterator<Item = (Network, Ban)>>(bans: T) -> Self {
        let of: HashMap<_, _> = bans.into_iter().map(|(network, ban)| (network.0, ban)).collect();
        let prefixes = of.keys().map(IpNet::prefix_len).collect();
        Bans { of, prefixes }
    }
}

impl Bans {
    /// Whether this address may come in.
    ///
    /// # Errors
    /// `banned`.
    pub fn admit(&self, address: IpAddr, now: Micros) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let nets = self.prefixes.iter().filter_map(|len| IpNet::new(address, *len).ok());
        let ban = nets.filter_map(|net| self.of.get(&net.trunc())).find(|ban| ban.holds(now));
        ban.map_or(Ok(()), |ban| Err(ban.refusal("address", now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bans(networks: &[(&str, Option<Micros>)]) -> Bans {
        let ban = |until| Ban { until, reason: "noise".into() };
        networks.iter().map(|(network, until)| (network.parse().unwrap(), ban(*until))).collect()
    }

    #[track_caller]
    fn check(bans: &Bans, address: &str, admitted: bool) {
        assert_eq!(bans.admit(address.parse().unwrap(), 1000).is_ok(), admitted, "{address}");
    }

    #[test]
    fn a_network_keeps_out_all_that_is_in_it_and_nobody_else() {
        let bans = bans(&[("192.0.2.7", None), ("198.51.100.99/24", None), ("2001:db8::/32", None)]);
        for address in ["192.0.2.7", "::ffff:192.0.2.7", "198.51.100.0", "198.51.100.255", "2001:db8:9::1"] {
            check(&bans, address, false);
        }
        for address in ["192.0.2.8", "198.51.101.0", "2001:db9::1", "::1", "127.0.0.1"] {
            check(&bans, address, true);
        }
        check(&Bans::default(), "192.0.2.7", true);
    }

    #[test]
    fn a_ban_ends_at_its_time_and_another_may_still_hold() {
        check(&bans(&[("192.0.2.7", Some(1000))]), "192.0.2.7", true);
        check(&bans(&[("192.0.2.7", Some(1001))]), "192.0.2.7", false);
        check(&bans(&[("192.0.2.7", Some(1000)), ("192.0.2.0/24", None)]), "192.0.2.7", false);
    }

    #[test]
    fn whoever_is_banned_learns_why_and_until_when() {
        let bans = bans(&[("0.0.0.0/0", Some(5_001_000))]);
        let refusal = bans.admit("192.0.2.7".parse().unwrap(), 1000).unwrap_err();
        assert_eq!((refusal.code, refusal.retry_ms), (Code::Banned, 5001));
        assert!(refusal.text.contains("noise"), "{refusal}");
    }

    #[test]
    fn networks_are_written_in_one_way() {
        for (text, want) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:DB8:0::1/32", "2001:db8::/32"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), want);
        }
        for text in ["", "ann", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "localhost"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
