//! What clients and sites notice of a loss: the longest pause of each, beside that of a client on a node that survives.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;

use oarlock::lab::{Lab, Site};

use super::gauge::Gauge;
use super::{Outcome, Sites};

const WRITE: &str = "INSERT INTO demo.marks (site) VALUES (@@server_id)";

/// Pauses in milliseconds, and errors.
pub struct Pauses {
    stall: f64,
    proxy: f64,
    to_dr: f64,
    to_dc: f64,
    errors: u64,
}

/// What is watched.
pub struct Watched {
    survivor: Gauge,
    proxy: Gauge,
    at_dr: Gauge,
    at_dc: Gauge,
    /// Set when all ends.
    ends: AtomicBool,
}

impl Watched {
    pub fn new() -> Self {
        let [survivor, proxy, at_dr, at_dc] = std::array::from_fn(|_| Gauge::new());
        Self { survivor, proxy, at_dr, at_dc, ends: AtomicBool::new(false) }
    }

    /// Starts what is watched: rows written at both sites, by a survivor's own client too, and rows of each site arriving at the other.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, sites: &Sites<'_>) -> Outcome<()> {
        // The last node of a site is the last to be its writer.
        let last = |site| sites.lab.nodes_of(site).last().map(|node| node.address()).ok_or("a site without servers");
        let (survivor, dr) = (last(Site::Primary)?, last(Site::Dr)?);
        let (dc_proxy, dr_proxy) = (sites.dc.applications, sites.dr.applications);
        let of = |site| {
            let domain = sites.lab.domain(site);
            format!("SELECT REGEXP_SUBSTR(@@gtid_binlog_pos, '\\\\b{domain}-[0-9]+-[0-9]+')")
        };
        let writes = |gauge: &'scope Gauge, address: SocketAddrV4| {
            scope.spawn(move || gauge.of_writes(address, WRITE, &self.ends));
        };
        writes(&self.survivor, survivor);
        writes(&self.proxy, dc_proxy);
        scope.spawn(move || Gauge::new().of_writes(dr_proxy, WRITE, &self.ends));
        let (from_dc, from_dr) = (of(Site::Primary), of(Site::Dr));
        scope.spawn(move || self.at_dr.of_changes(dr, &from_dc, &self.ends));
        scope.spawn(move || self.at_dc.of_changes(survivor, &from_dr, &self.ends));
        Ok(())
    }

    /// From here on pauses count.
    pub fn reset(&self) {
        for gauge in [&self.survivor, &self.proxy, &self.at_dr, &self.at_dc] {
            gauge.take_ms();
        }
    }

    pub fn end(&self) -> Pauses {
        self.ends.store(true, Ordering::Relaxed);
        Pauses {
            stall: self.survivor.take_ms(),
            proxy: self.proxy.take_ms(),
            to_dr: self.at_dr.take_ms(),
            to_dc: self.at_dc.take_ms(),
            errors: self.proxy.errors(),
        }
    }
}

impl Pauses {
    pub fn table(&self) -> String {
        let line = |what: &str, ms: f64| format!("{what:<52}{:>7.2} s{:>+9.2} s\n", ms / 1e3, (ms - self.stall) / 1e3);
        format!(
            "{:<52}{:>9}{:>11}\n{}{}{}{}errors of the client through the proxy: {}",
            "the longest pause of",
            "",
            "added",
            line("writes on a surviving node (Galera's own)", self.stall),
            line("writes through the proxy", self.proxy),
            line("what the cluster writes, arriving at the DR site", self.to_dr),
            line("what the DR site writes, arriving at the cluster", self.to_dc),
            self.errors,
        )
    }
}

/// Waits until every node of both sites has the same, and compares all tables.
pub fn compare(lab: &Lab, tables: &[&str]) -> Outcome<usize> {
    let mut rows = 0;
    for table in tables {
        let columns = if table.starts_with("demo") { "id, site" } else { "id, k, c, pad" };
        let sql = format!(
            "SELECT CONCAT(COUNT(*), ' ', COALESCE(BIT_XOR(CRC32(CONCAT_WS(',', {columns}))), 0)) FROM {table}"
        );
        let sums = lab.nodes().iter().map(|node| node.value(&sql)).collect::<Result<Vec<_>, _>>()?;
        if sums.iter().any(|sum| *sum != sums[0]) {
            return Err(format!("{table} is not the same everywhere: {sums:?}").into());
        }
        let count = sums[0].as_deref().and_then(|sum| sum.split(' ').next()?.parse::<usize>().ok());
        rows += count.unwrap_or_default();
    }
    Ok(rows)
}
