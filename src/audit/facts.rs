//! Settings of a server, out of rows of its variables (pure). The names are those of MariaDB 10.4 to 11.8.

use crate::cluster::values::{Unreadable, Values};
use crate::gtid::Position;

/// What every server is asked. Needs no grant.
pub const QUERY: &str = "SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME IN \
    ('version', 'server_id', 'log_bin', 'log_slave_updates', 'binlog_format', 'binlog_annotate_row_events', 'binlog_expire_logs_seconds', \
    'expire_logs_days', 'max_binlog_total_size', 'gtid_domain_id', 'gtid_ignore_duplicates', 'gtid_binlog_pos', 'auto_increment_offset', \
    'auto_increment_increment', 'innodb_autoinc_lock_mode', 'wsrep_on', 'wsrep_gtid_mode', 'wsrep_gtid_domain_id', \
    'wsrep_auto_increment_control', 'wsrep_load_data_splitting')";

const DAY_S: u64 = 86_400;

/// Settings of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its version as it says it.
    pub version: Box<str>,
    /// `server_id`
    pub server_id: u32,
    /// `log_bin`
    pub logs: bool,
    /// `log_slave_updates`
    pub logs_replicated: bool,
    /// `binlog_format`
    pub format: Box<str>,
    /// `binlog_annotate_row_events`
    pub annotates: bool,
    /// After so many seconds binary logs are thrown away; `None` for never.
    pub retention_s: Option<u64>,
    /// Above so many bytes the oldest are, however young; 0 for never. Servers before 11.4 don't have it.
    pub logs_bytes_max: u64,
    /// `gtid_domain_id`: of what the server does not share with a cluster.
    pub own_domain: u32,
    /// `gtid_ignore_duplicates`
    pub ignores_duplicates: bool,
    /// `gtid_binlog_pos`
    pub position: Position,
    /// What its AUTO_INCREMENT values are.
    pub counter: Counter,
    /// `innodb_autoinc_lock_mode`
    pub counter_lock_mode: u32,
    /// Of a node with `wsrep_on`.
    pub wsrep: Option<Wsrep>,
}

/// Settings that only nodes of a cluster have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wsrep {
    /// `wsrep_gtid_mode`
    pub gtid_mode: bool,
    /// `wsrep_gtid_domain_id`
    pub domain: u32,
    /// `wsrep_auto_increment_control`
    pub controls_counter: bool,
    /// `wsrep_load_data_splitting`
    pub splits_loads: bool,
}

/// AUTO_INCREMENT gives `offset`, `offset + increment`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// `auto_increment_offset`
    pub offset: u64,
    /// `auto_increment_increment`
    pub increment: u64,
}

impl Counter {
    /// Can both give the same value? An offset above the increment is ignored by the server.
    pub fn meets(self, other: Self) -> bool {
        let start = |counter: Self| if counter.offset > counter.increment { 1 } else { counter.offset };
        start(self).abs_diff(start(other)) % divisor(self.increment, other.increment) == 0
    }
}

/// The greatest common divisor; 1 where one is 0.
fn divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

impl Facts {
    /// Reads the rows of [`QUERY`].
    pub fn read(rows: &[(String, String)]) -> Result<Self, Unreadable> {
        let rows = Values::of(rows);
        let on = |name| rows.is(name, "ON") || rows.is(name, "1");
        let number = |name: &str| rows.get(name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        // Servers before 10.6 know days only.
        let kept_s = number("binlog_expire_logs_seconds").max(number("expire_logs_days") * DAY_S as f64) as u64;
        let wsrep = Wsrep {
            gtid_mode: on("wsrep_gtid_mode"),
            domain: rows.parse("wsrep_gtid_domain_id").unwrap_or(0),
            controls_counter: on("wsrep_auto_increment_control"),
            splits_loads: on("wsrep_load_data_splitting"),
        };
        Ok(Self {
            version: rows.text("version")?.into(),
            server_id: rows.parse("server_id")?,
            logs: on("log_bin"),
            logs_replicated: on("log_slave_updates"),
            format: rows.text("binlog_format")?.into(),
            annotates: on("binlog_annotate_row_events"),
            retention_s: Some(kept_s).filter(|kept_s| *kept_s > 0),
            logs_bytes_max: number("max_binlog_total_size") as u64,
            own_domain: rows.parse("gtid_domain_id")?,
            ignores_duplicates: on("gtid_ignore_duplicates"),
            position: rows.parse("gtid_binlog_pos")?,
            counter: Counter {
                offset: rows.parse("auto_increment_offset")?,
                increment: rows.parse("auto_increment_increment")?,
            },
            counter_lock_mode: rows.parse("innodb_autoinc_lock_mode")?,
            wsrep: on("wsrep_on").then_some(wsrep),
        })
    }

    /// The domain in which the server's site writes.
    pub fn site_domain(&self) -> u32 {
        self.wsrep.map_or(self.own_domain, |wsrep| wsrep.domain)
    }

    /// Such as `10.11`.
    pub fn series(&self) -> &str {
        let end = self.version.match_indices('.').nth(1).map_or(self.version.len(), |(at, _)| at);
        &self.version[..end]
    }

    /// SUPER holds what are privileges of their own, too. From 11.0 on it does not.
    pub fn super_holds_all(&self) -> bool {
        self.version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major < 11)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A node of the guide, with changes.
    pub(crate) fn facts(changes: &[(&str, &str)]) -> Facts {
        let guide = [
            ("version", "10.11.19-MariaDB-log"),
            ("server_id", "7000"),
            ("log_bin", "ON"),
            ("log_slave_updates", "ON"),
            ("binlog_format", "ROW"),
            ("binlog_annotate_row_events", "ON"),
            ("binlog_expire_logs_seconds", "0"),
            ("expire_logs_days", "0.000000"),
            ("max_binlog_total_size", "0"),
            ("gtid_domain_id", "71"),
            ("gtid_ignore_duplicates", "ON"),
            ("gtid_binlog_pos", "70-7000-9,81-8000-3"),
            ("auto_increment_offset", "1"),
            ("auto_increment_increment", "4"),
            ("innodb_autoinc_lock_mode", "2"),
            ("wsrep_on", "ON"),
            ("wsrep_gtid_mode", "ON"),
            ("wsrep_gtid_domain_id", "70"),
            ("wsrep_auto_increment_control", "OFF"),
            ("wsrep_load_data_splitting", "OFF"),
        ];
        let value = |name: &str, value: &str| {
            changes.iter().find(|(changed, _)| *changed == name).map_or(value, |(_, to)| to).to_owned()
        };
        let rows: Vec<_> = guide.iter().map(|(name, guide)| ((*name).to_owned(), value(name, guide))).collect();
        Facts::read(&rows).unwrap()
    }

    #[test]
    fn settings_are_read() {
        let node = facts(&[]);
        assert_eq!((node.site_domain(), node.own_domain, node.series()), (70, 71, "10.11"));
        assert!(node.logs && node.logs_replicated && node.ignores_duplicates && node.annotates);
        assert_eq!(facts(&[("wsrep_on", "OFF")]).site_domain(), 71);
        for (changes, kept_s) in [
            (&[][..], None),
            (&[("expire_logs_days", "2.500000")], Some(216_000)),
            (&[("binlog_expire_logs_seconds", "60")], Some(60)),
        ] {
            assert_eq!(facts(changes).retention_s, kept_s);
        }
        assert!(Facts::read(&[]).is_err());
    }

    #[test]
    fn counters_meet() {
        let counter = |offset, increment| Counter { offset, increment };
        for (one, other, meets) in [
            (counter(1, 4), counter(2, 4), false),
            (counter(1, 4), counter(1, 4), true),
            (counter(1, 1), counter(3, 4), true),
            (counter(1, 4), counter(2, 3), true),
            (counter(1, 2), counter(2, 4), false),
            (counter(1, 2), counter(3, 4), true),
            (counter(7, 4), counter(1, 4), true),
            (counter(1, 0), counter(1, 0), true),
        ] {
            assert_eq!((one.meets(other), other.meets(one)), (meets, meets), "{one:?} {other:?}");
        }
    }
}
