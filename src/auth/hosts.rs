//! Hosts from which login after login fails (pure), as the server's `max_connect_errors` has it, but kinder: a host is blocked for a time only,
//! never while anybody from there is logged in, and a login that succeeds makes up for all that have failed.
//!
//! Nobody who has not failed is known here, and of those not more than [`HOSTS_MAX`].

use std::collections::HashMap;
use std::net::IpAddr;

use crate::fault::Fault;

/// Hosts that are known, at most: one more, and the one that has not failed for longest is forgotten.
pub const HOSTS_MAX: usize = 10_000;

/// When a host is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// After so many logins that have failed; 0 for never.
    pub failures_max: u32,
    /// For so long, in microseconds. Failures that are further apart are no series.
    pub block_us: u64,
}

/// What is known of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Logins that have failed since the last that succeeded.
    pub failures: u32,
    /// When the last of them did, in microseconds of the caller's clock.
    pub failed_us: u64,
    /// Until when it is blocked.
    pub blocked_us: Option<u64>,
}

/// Those that have failed.
#[derive(Debug, Default)]
pub struct Hosts(HashMap<IpAddr, Host>);

impl Hosts {
    /// A login from there has failed. Is it blocked from now on? Not if others from there are logged in.
    pub fn failed(&mut self, address: IpAddr, now_us: u64, limit: Limit, others: bool) -> bool {
        if limit.failures_max == 0 {
            return false;
        }
        if !self.0.contains_key(&address) && self.0.len() >= HOSTS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, host)| host.failed_us).map(|(address, _)| *address);
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        let first = Host { failures: 0, failed_us: now_us, blocked_us: None };
        let host = self.0.entry(address).or_insert(first);
        if now_us.saturating_sub(host.failed_us) > limit.block_us {
            *host = first;
        }
        host.failures = host.failures.saturating_add(1);
        host.failed_us = now_us;
        if others || host.failures < limit.failures_max || host.blocked_us.is_some_and(|until| until > now_us) {
            return false;
        }
        host.blocked_us = Some(now_us.saturating_add(limit.block_us));
        true
    }

    /// It is forgotten what has failed: one from there has succeeded, or an operator wants it so. Was there anything?
    pub fn forgive(&mut self, address: IpAddr) -> bool {
        self.0.remove(&address).is_some()
    }

    /// How long it is still blocked, in microseconds.
    pub fn blocked_for(&self, address: IpAddr, now_us: u64) -> Option<u64> {
        self.0.get(&address)?.blocked_us?.checked_sub(now_us).filter(|left| *left > 0)
    }

    /// Nobody is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those whose failures still count, or who are still blocked.
    pub fn list(&self, now_us: u64, limit: Limit) -> Vec<(IpAddr, Host)> {
        let counts = |(_, host): &(&IpAddr, &Host)| now_us.saturating_sub(host.failed_us) <= limit.block_us;
        let mut hosts: Vec<_> = self.0.iter().filter(counts).map(|(address, host)| (*address, *host)).collect();
        hosts.sort_unstable_by_key(|(address, _)| *address);
        hosts
    }
}

/// The codes of those refusals that count: a bad handshake, a wrong password, and a way in that is none.
pub fn is_failure(code: u16) -> bool {
    [1043, 1045, 1698].contains(&code)
}

/// What a blocked host is told. The text goes on where the server's names its own remedy.
pub fn blocked(address: IpAddr, left_us: u64) -> Fault {
    let seconds = left_us.div_ceil(1_000_000);
    let text = format!(
        "Host '{address}' is blocked because of many connection errors; it may come again in {seconds} s, or unblock with \
         'oarlock clear host {address}'"
    );
    Fault::client(1129, b"HY000", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { failures_max: 3, block_us: 60 };
    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

    /// At each of these times a login fails; when the host is blocked last, and whether it is at 100.
    #[test]
    fn a_series_of_failures_blocks() {
        for (times, others, blocks_at, is_blocked) in [
            (&[0, 10][..], false, None, false),
            (&[0, 10, 50], false, Some(50), true),
            (&[0, 10, 50], true, None, false),
            (&[0, 1, 2], false, Some(2), false),
            (&[0, 10, 20, 60, 81], false, Some(81), true),
            (&[0, 10, 71], false, None, false),
            (&[0, 10, 20, 30, 40], false, Some(20), false),
            (&[0, 10, 20, 90], false, Some(20), false),
        ] {
            let mut hosts = Hosts::default();
            let blocks = times.iter().filter(|at| hosts.failed(HOST, **at, LIMIT, others)).last();
            assert_eq!(blocks.copied(), blocks_at, "{times:?}");
            assert_eq!(hosts.blocked_for(HOST, 100).is_some(), is_blocked, "{times:?}");
        }
        let mut hosts = Hosts::default();
        assert!(
            (0..100).all(|at| !hosts.failed(HOST, at, Limit { failures_max: 0, ..LIMIT }, false)) && hosts.is_empty()
        );
    }

    #[test]
    fn what_succeeds_makes_up_for_it() {
        let mut hosts = Hosts::default();
        assert_eq!([0, 1, 2].map(|at| hosts.failed(HOST, at, LIMIT, false)), [false, false, true]);
        assert_eq!((hosts.blocked_for(HOST, 3), hosts.list(3, LIMIT).len()), (Some(59), 1));
        assert_eq!(hosts.list(100, LIMIT), []);
        assert!(hosts.forgive(HOST) && !hosts.forgive(HOST) && hosts.blocked_for(HOST, 3).is_none());
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut hosts = Hosts::default();
        for number in 0..=HOSTS_MAX as u32 {
            hosts.failed(IpAddr::V4(number.into()), u64::from(number), LIMIT, false);
        }
        assert_eq!(hosts.0.len(), HOSTS_MAX);
        assert!(!hosts.forgive(IpAddr::V4(0.into())) && hosts.forgive(IpAddr::V4(1.into())));
    }

    #[test]
    fn who_is_blocked_is_told_for_how_long() {
        let fault = blocked(HOST, 1_500_000);
        assert!(fault.code == 1129 && fault.message.ends_with("in 2 s, or unblock with 'oarlock clear host 10.1.2.3'"));
    }
}
