//! Host and schema patterns of grant tables (pure): what they match, and which of two is the more specific.
//!
//! Knows no accounts. Bytes, not characters: so does the server. Source of facts: MariaDB 10.11 `sql/sql_acl.cc`
//! (`wild_compare`, `compare_hostname`, `calc_ip`) and `sql/sql_acl_getsort.ic`.

use std::net::{IpAddr, Ipv4Addr};

/// Longest host of an account, in bytes (`mysql.global_priv.Host`); the server's order depends on it.
const HOST_BYTES_MAX: u32 = 255;

/// Longest schema name; the server's order depends on it.
pub const SCHEMA_CHARS_MAX: u32 = 64;

/// How specific a pattern is: the smaller, the more. The server packs the same numbers into one integer.
pub type Rank = [u32; 4];

/// Does `text` match a pattern of `%`, `_` and `\` escapes? `fold`: letters of ASCII match in either case.
pub fn wild_match(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let same = |a: u8, b: u8| a == b || (fold && a.eq_ignore_ascii_case(&b));
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: behind the last `%`, with one more byte given to it.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            None if t == text.len() => return true,
            None => None,
            Some(b'_') => text.get(t).map(|_| 1),
            Some(b'\\') if p + 1 < pattern.len() => text.get(t).filter(|&&b| same(b, pattern[p + 1])).map(|_| 2),
            Some(&literal) => text.get(t).filter(|&&b| same(b, literal)).map(|_| 1),
        };
        match (step, &mut retry) {
            (Some(width), _) => (p, t) = (p + width, t + 1),
            (None, Some((after, given))) if *given < text.len() => {
                *given += 1;
                (p, t) = (*after, *given);
            }
            (None, _) => return false,
        }
    }
}

/// The server's measure of a pattern whose text is at most `length_max` long.
///
/// L: how much the `%`s may swallow; K: their number; M: the number of `_`; P: length of what comes before the first of either.
pub fn rank(pattern: &[u8], length_max: u32) -> Rank {
    let (mut literal, mut singles, mut manys, mut prefix) = (0u32, 0u32, 0u32, 0u32);
    let mut rest = pattern;
    while let [first, after @ ..] = rest {
        rest = after;
        if matches!(first, b'%' | b'_') && manys == 0 && singles == 0 {
            prefix = literal;
        }
        match first {
            b'%' => {
                manys += 1;
                while let [b'%', after @ ..] = rest {
                    rest = after;
                }
            }
            b'_' => singles += 1,
            _ => {
                if let (b'\\', [_, after @ ..]) = (first, rest) {
                    rest = after;
                }
                literal += 1;
            }
        }
    }
    let swallowed = if manys == 0 { 0 } else { length_max.saturating_sub(literal + singles) };
    let (singles, manys) = (singles.min(31), manys.min(31));
    if swallowed > singles {
        [swallowed * 2 + 1, manys, singles, prefix]
    } else {
        [singles * 2, swallowed, manys, prefix]
    }
}

/// The host part of an account or grant: a pattern, a netmask, an address or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    text: Box<str>,
    net: Option<Net>,
    rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    address: u32,
    mask: u32,
}

impl HostPattern {
    /// Of a Host column; an empty one is `%`.
    pub fn new(text: &str) -> Self {
        let text = if text.is_empty() { "%" } else { text };
        let net = text.split_once('/').and_then(|(address, mask)| {
            let (address, mask): (Ipv4Addr, Ipv4Addr) = (address.parse().ok()?, mask.parse().ok()?);
            // The server takes 0.0.0.0 for "no netmask", and compares the text then.
            (!mask.is_unspecified()).then_some(Net { address: address.to_bits(), mask: mask.to_bits() })
        });
        Self { text: text.into(), net, rank: rank(text.as_bytes(), HOST_BYTES_MAX) }
    }

    /// As it stands in the table.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How specific it is.
    pub fn rank(&self) -> Rank {
        self.rank
    }

    /// Does it admit this peer?
    pub fn matches(&self, origin: &Origin) -> bool {
        if let (Some(net), IpAddr::V4(address)) = (self.net, origin.address) {
            return address.to_bits() & net.mask == net.address;
        }
        let pattern = self.text.as_bytes();
        origin.name.as_ref().is_some_and(|name| wild_match(pattern, name.as_bytes(), true))
            || wild_match(pattern, origin.text.as_bytes(), false)
    }
}

/// A peer as the server's access control sees it: an address, and a host name if one is known.
#[derive(Clone, Debug)]
pub struct Origin {
    address: IpAddr,
    text: String,
    name: Option<Box<str>>,
}

impl Origin {
    /// Of a peer. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn new(address: IpAddr, name: Option<Box<str>>) -> Self {
        let address = address.to_canonical();
        Self { address, text: address.to_string(), name }
    }

    /// What the server prints as the host: the name if it has one.
    pub fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("%", "abc", true),
            ("a%", "abc", true),
            ("a%", "b", false),
            ("%c", "abc", true),
            ("%bc%", "abcbcd", true),
            ("a%b%c", "aXbXbYc", true),
            ("a%b%c", "aXbXbY", false),
            ("_", "", false),
            ("_", "a", true),
            ("_%", "", false),
            ("%_", "abc", true),
            ("%_", "", false),
            ("a_c", "abc", true),
            ("a_c", "abbc", false),
            ("a\\_c", "a_c", true),
            ("a\\_c", "abc", false),
            ("a\\%", "a%", true),
            ("a\\%", "abc", false),
            ("a\\", "a\\", true),
            ("a\\\\b", "a\\b", true),
            ("%\\_%", "x_y", true),
            ("%\\_%", "xy", false),
            ("10.0.0.%", "10.0.0.7", true),
            ("10.0.0.%", "10.0.00.7", false),
            ("__", "ü", true),
        ] {
            assert_eq!(wild_match(pattern.as_bytes(), text.as_bytes(), false), matches, "{pattern} {text}");
        }
        assert!(wild_match(b"LocalH%", b"localhost", true));
        assert!(!wild_match(b"LocalH%", b"localhost", false));
    }

    #[test]
    fn hosts() {
        let origin = |text: &str| Origin::new(text.parse().unwrap(), None);
        for (pattern, address, matches) in [
            ("%", "10.1.2.3", true),
            ("", "10.1.2.3", true),
            ("10.1.%", "10.1.2.3", true),
            ("10.1.2._", "10.1.2.3", true),
            ("10.1.2._", "10.1.2.33", false),
            ("10.1.2.0/255.255.255.0", "10.1.2.3", true),
            ("10.1.2.0/255.255.255.0", "10.1.3.3", false),
            ("10.1.2.1/255.255.255.0", "10.1.2.1", false),
            ("10.1.2.3/255.255.255.255", "10.1.2.3", true),
            ("0.0.0.0/0.0.0.0", "10.1.2.3", false),
            ("10.1.2.0/24", "10.1.2.3", false),
            ("10.1.2.3", "::ffff:10.1.2.3", true),
            ("10.1.2.0/255.255.255.0", "::ffff:10.1.2.3", true),
            ("::1", "::1", true),
            ("fe80:%", "fe80::1", true),
            ("FE80:%", "fe80::1", false),
            ("localhost", "127.0.0.1", false),
        ] {
            assert_eq!(HostPattern::new(pattern).matches(&origin(address)), matches, "{pattern} {address}");
        }
        let local = Origin::new(Ipv4Addr::LOCALHOST.into(), Some("localhost".into()));
        assert!(HostPattern::new("LOCALHOST").matches(&local));
        assert!(HostPattern::new("127.0.0.1").matches(&local));
        assert_eq!((local.shown(), origin("127.0.0.2").shown()), ("localhost", "127.0.0.2"));
    }

    /// From the most specific to the least.
    #[test]
    fn order() {
        let order =
            ["10.1.2.3", "10.1.2._", "10._.2._", "10.1.2.%", "10.1.%", "%.2.3", "10.%.%", "10.%", "_%", "%1%", "%"];
        let ranks = order.map(|pattern| rank(pattern.as_bytes(), HOST_BYTES_MAX));
        assert!(ranks.is_sorted(), "{ranks:?}");
        assert_eq!(rank(b"a\\_b%%", 64), rank(b"axb%", 64), "an escaped wildcard is a letter, %% is %");
    }
}
