//! Replication positions (pure): one GTID, and a position of at most one GTID a domain.
//!
//! Sequence numbers are compared as numbers and only within a domain. The server id tells who wrote an event; it does
//! not order anything. Source: MariaDB's manual, "Global Transaction ID".

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// `domain-server-sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gtid {
    /// The replication domain: an independent stream of events.
    pub domain: u32,
    /// The server_id of the server that first wrote it.
    pub server: u32,
    /// Its number in the domain.
    pub sequence: u64,
}

/// A text that is no GTID or no position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidGtid(Box<str>);

impl fmt::Display for InvalidGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a GTID position such as `70-7000-6,81-8000-12`", self.0)
    }
}

impl std::error::Error for InvalidGtid {}

impl FromStr for Gtid {
    type Err = InvalidGtid;

    fn from_str(text: &str) -> Result<Self, InvalidGtid> {
        let mut parts = text.trim().split('-');
        let gtid = (|| {
            let domain = number(parts.next()?)?;
            let server = number(parts.next()?)?;
            let sequence = number(parts.next()?)?;
            parts.next().is_none().then_some(Gtid { domain, server, sequence })
        })();
        gtid.ok_or_else(|| InvalidGtid(text.into()))
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

/// Digits only: `u64::from_str` would also take a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// How far somebody is: the last GTID of each domain. Empty before the first event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    domains: BTreeMap<u32, Gtid>,
}

impl Position {
    /// The entry of a domain.
    pub fn get(&self, domain: u32) -> Option<Gtid> {
        self.domains.get(&domain).copied()
    }

    /// The number of a domain's last transaction; 0 for none.
    pub fn sequence(&self, domain: u32) -> u64 {
        self.get(domain).map_or(0, |gtid| gtid.sequence)
    }

    /// Whether it is at this transaction, or behind it in its domain's order.
    pub fn holds(&self, gtid: Gtid) -> bool {
        self.get(gtid.domain).is_some_and(|own| own.sequence >= gtid.sequence)
    }

    /// The entries, by domain.
    pub fn iter(&self) -> impl Iterator<Item = Gtid> + '_ {
        self.domains.values().copied()
    }

    /// No event yet.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Moves the entry of the GTID's domain up to it; never backwards.
    pub fn raise(&mut self, gtid: Gtid) {
        let entry = self.domains.entry(gtid.domain).or_insert(gtid);
        if entry.sequence < gtid.sequence {
            *entry = gtid;
        }
    }

    /// The entry of the GTID's domain is this one from now on, whatever it was.
    pub fn set(&mut self, gtid: Gtid) {
        self.domains.insert(gtid.domain, gtid);
    }

    /// Per domain the higher of the two.
    pub fn max(mut self, other: &Position) -> Position {
        other.iter().for_each(|gtid| self.raise(gtid));
        self
    }

    /// Is every event up to `other` also below this position?
    pub fn covers(&self, other: &Position) -> bool {
        other.iter().all(|gtid| self.holds(gtid))
    }
}

impl FromStr for Position {
    type Err = InvalidGtid;

    /// Reads what a server prints: entries between commas, perhaps with white space or a comma at the end.
    fn from_str(text: &str) -> Result<Self, InvalidGtid> {
        let mut position = Position::default();
        let entries = text.trim();
        let entries = entries.strip_suffix(',').unwrap_or(entries);
        for entry in entries.split(',').filter(|_| !entries.is_empty()) {
            let gtid: Gtid = entry.parse()?;
            if position.domains.insert(gtid.domain, gtid).is_some() {
                return Err(InvalidGtid(text.into()));
            }
        }
        Ok(position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(n, gtid)| write!(f, "{}{gtid}", if n == 0 { "" } else { "," }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn reads_what_a_server_prints() {
        for (text, printed) in [
            ("", ""),
            ("  \n", ""),
            ("70-7000-6", "70-7000-6"),
            ("70-7000-6,", "70-7000-6"),
            ("81-8000-12,\n70-7000-18536", "70-7000-18536,81-8000-12"),
            ("0-1-18446744073709551615", "0-1-18446744073709551615"),
        ] {
            assert_eq!(position(text).to_string(), printed, "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_position() {
        for text in [
            "x",
            "1-2",
            "1-2-",
            "1-2-3-4",
            "-1-2-3",
            "1-+2-3",
            "1-2-3,,4-5-6",
            ",,",
            "1-1-1,1-1-2",
            "4294967296-1-1",
            "1-1-18446744073709551616",
            "4f9a-1-1",
            "1-2-3 4-5-6",
        ] {
            assert!(text.parse::<Position>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_higher_number_wins_not_the_longer_text() {
        for (a, b, max) in [
            ("1-1-9", "1-1-10", "1-1-10"),
            ("1-1-10", "1-2-9", "1-1-10"),
            ("", "1-1-1", "1-1-1"),
            ("70-7000-5,81-8000-1", "70-7000-4,81-8000-3,82-1-1", "70-7000-5,81-8000-3,82-1-1"),
        ] {
            assert_eq!(position(a).max(&position(b)).to_string(), max);
            assert_eq!(position(b).max(&position(a)).to_string(), max);
        }
    }

    #[test]
    fn covers_needs_every_domain() {
        for (a, b, covers) in [
            ("1-1-9", "1-1-9", true),
            ("1-1-10", "1-1-9", true),
            ("1-1-9", "1-1-10", false),
            ("1-1-9,2-1-1", "1-7-9", true),
            ("1-1-9", "1-1-9,2-1-1", false),
            ("", "", true),
            ("", "1-1-1", false),
        ] {
            assert_eq!(position(a).covers(&position(b)), covers, "{a:?} covers {b:?}");
        }
    }
}
