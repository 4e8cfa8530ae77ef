//! Which hosts have logged in, and from which logins fail: the shell around [`crate::auth::hosts`], for all workers.
//!
//! Loopback addresses are never blocked: a tunnel or a proxy that comes from there comes for many. Neither are balancers, who say for whom they
//! come: what they bring is counted by the client's own address.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;

use crate::auth::hosts::{Hosts, Limit, blocked};
use crate::config::model::Limits;
use crate::fault::Fault;

/// All of them.
#[derive(Debug)]
pub struct HostWatch {
    begun: Instant,
    failing: Mutex<Hosts>,
    /// There are some: nobody waits for the lock otherwise.
    any_fail: AtomicBool,
    /// How many sessions of a host have logged in.
    present: DashMap<IpAddr, u32>,
}

/// A host that has failed, for operators.
#[derive(Clone, Copy, Debug)]
pub struct FailingHost {
    /// Where.
    pub address: IpAddr,
    /// Logins that have failed since the last that succeeded.
    pub failures: u32,
    /// How long it is blocked.
    pub blocked_for: Option<Duration>,
}

/// A session that has logged in. Dropped with it.
pub(super) struct Presence {
    watch: Arc<HostWatch>,
    address: IpAddr,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.watch.present.remove_if_mut(&self.address, |_, sessions| {
            *sessions -= 1;
            *sessions == 0
        });
    }
}

impl Default for HostWatch {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            failing: Mutex::default(),
            any_fail: AtomicBool::new(false),
            present: DashMap::new(),
        }
    }
}

impl HostWatch {
    /// A session from there has logged in.
    pub(super) fn admitted(self: &Arc<Self>, address: IpAddr) -> Presence {
        *self.present.entry(address).or_insert(0) += 1;
        self.forgive(address);
        Presence { watch: self.clone(), address }
    }

    /// A session from there has ended without having been let in.
    pub(super) fn refused(&self, address: IpAddr, limits: &Limits) {
        if address.is_loopback() {
            return;
        }
        let others = self.present.contains_key(&address);
        let is_blocked = self.failing().failed(address, self.now_us(), limit(limits), others);
        self.any_fail.store(true, Ordering::Relaxed);
        if is_blocked {
            let failures = limits.login_failures_max;
            tracing::warn!(%address, failures, block_time = ?limits.block_time, "logins from there fail again and again: it is blocked");
        }
    }

    /// What a client from there is told instead of a greeting.
    pub(super) fn blocked(&self, address: IpAddr) -> Option<Fault> {
        if !self.any_fail.load(Ordering::Relaxed) {
            return None;
        }
        let left_us = self.failing().blocked_for(address, self.now_us())?;
        Some(blocked(address, left_us))
    }

    /// Forgets what has failed from there. Was there anything?
    pub fn forgive(&self, address: IpAddr) -> bool {
        if !self.any_fail.load(Ordering::Relaxed) {
            return false;
        }
        let mut failing = self.failing();
        let was_known = failing.forgive(address);
        self.any_fail.store(!failing.is_empty(), Ordering::Relaxed);
        was_known
    }

    /// Those whose logins have failed lately.
    pub fn list(&self, limits: &Limits) -> Vec<FailingHost> {
        let now_us = self.now_us();
        let hosts = self.failing().list(now_us, limit(limits));
        let shown = |(address, host): (IpAddr, crate::auth::hosts::Host)| FailingHost {
            address,
            failures: host.failures,
            blocked_for: host.blocked_us.and_then(|until| until.checked_sub(now_us)).map(Duration::from_micros),
        };
        hosts.into_iter().map(shown).collect()
    }

    fn now_us(&self) -> u64 {
        self.begun.elapsed().as_micros() as u64
    }

    /// Whoever has panicked while he held it left it whole.
    fn failing(&self) -> MutexGuard<'_, Hosts> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limit(limits: &Limits) -> Limit {
    Limit { failures_max: limits.login_failures_max, block_us: limits.block_time.as_micros() as u64 }
}
