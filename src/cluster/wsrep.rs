//! What a node says of itself: typed facts out of rows of status and system variables (pure).
//!
//! The names and values are those of MariaDB 10.11 with Galera 26.4, measured in every state a node can be in. A server
//! without Galera has some of the rows too (wsrep_on = OFF, wsrep_cluster_status = Disconnected).

use std::fmt;

use super::values::{Unreadable, Values};
use crate::gtid::Position;

/// The one statement of a probe. Views of information_schema answer in every state of a node, also when it refuses
/// queries (1047), and need no grant.
pub const QUERY: &str = "SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
    WHERE VARIABLE_NAME IN ('wsrep_cluster_conf_id', 'wsrep_cluster_size', 'wsrep_cluster_state_uuid', 'wsrep_cluster_status', \
    'wsrep_flow_control_requested', 'wsrep_gcomm_uuid', 'wsrep_local_index', 'wsrep_local_recv_queue', 'wsrep_local_state', 'wsrep_ready') \
    UNION ALL SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES \
    WHERE VARIABLE_NAME IN ('auto_increment_increment', 'auto_increment_offset', 'binlog_annotate_row_events', 'gtid_binlog_pos', 'gtid_slave_pos', 'log_bin', 'log_slave_updates', \
    'proxy_protocol_networks', 'read_only', 'wsrep_desync', 'wsrep_gtid_domain_id', 'wsrep_gtid_mode', 'wsrep_on', 'wsrep_reject_queries', \
    'wsrep_sst_donor_rejects_queries', 'wsrep_sst_method') \
    UNION ALL SELECT 'defaults', BIT_XOR(CRC32(CONCAT(VARIABLE_NAME, '=', GLOBAL_VALUE))) \
    FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_SCOPE = 'SESSION'";

/// Facts of one server at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `read_only` is on in any form.
    pub read_only: bool,
    /// `auto_increment_increment` and `auto_increment_offset`.
    pub auto_increment: Option<(u16, u16)>,
    /// Per domain the higher of what it has written and what it has replicated.
    pub position: Position,
    /// Its part in a Galera cluster; `None` where wsrep_on is OFF.
    pub wsrep: Option<Wsrep>,
    /// The first setting that keeps its writes from being found in a binary log.
    pub untraced: Option<&'static str>,
    /// Differs where a new connection would begin with other settings: the global values of all session variables in one number.
    pub defaults: u32,
    /// `proxy_protocol_networks`: from where it believes a PROXY header; empty if it does not know of such.
    pub proxy_networks: Box<str>,
}

/// Facts of a Galera node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wsrep {
    /// `wsrep_cluster_status`: only in `Primary` the node's data is the cluster's.
    pub status: Box<str>,
    /// `wsrep_ready`: it takes queries.
    pub ready: bool,
    /// `wsrep_local_state`.
    pub state: LocalState,
    /// `wsrep_desync`: an operator lets it fall behind.
    pub desync: bool,
    /// `wsrep_reject_queries` is not NONE.
    pub rejects_queries: bool,
    /// `wsrep_sst_donor_rejects_queries`.
    pub donor_rejects_queries: bool,
    /// `wsrep_sst_method`.
    pub sst_method: Box<str>,
    /// Where it stands in the cluster.
    pub membership: Membership,
    /// `wsrep_local_recv_queue`: write sets it has received and not applied.
    pub receive_queue: u64,
    /// `wsrep_gtid_domain_id`, where `wsrep_gtid_mode` is on: the domain in which a GTID means the same on all nodes.
    pub gtid_domain: Option<u32>,
    /// `wsrep_flow_control_requested`: it asks the others to pause, as it can't keep up.
    pub requests_pause: bool,
}

impl Wsrep {
    /// Is it in the component that may write?
    pub fn is_primary(&self) -> bool {
        &*self.status == "Primary"
    }
}

/// Which cluster, and which view of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// `wsrep_cluster_state_uuid`: whose history it shares.
    pub state_uuid: Box<str>,
    /// `wsrep_cluster_conf_id`: number of the view; the same on all members.
    pub view: u64,
    /// `wsrep_cluster_size`: members of the view.
    pub size: u64,
    /// `wsrep_local_index`: its number among them; `None` outside a primary component.
    pub index: Option<u64>,
    /// `wsrep_gcomm_uuid`: who it is there.
    pub member: Box<str>,
}

/// `wsrep_local_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalState {
    /// 1: on its way in.
    Joining,
    /// 2: gives another node its data, or is desynced.
    Donor,
    /// 3: has the data, is catching up.
    Joined,
    /// 4: in step.
    Synced,
    /// Any other number.
    Other(u64),
}

impl fmt::Display for LocalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joining => f.write_str("Joining"),
            Self::Donor => f.write_str("Donor/Desynced"),
            Self::Joined => f.write_str("Joined"),
            Self::Synced => f.write_str("Synced"),
            Self::Other(number) => write!(f, "state {number}"),
        }
    }
}

impl Facts {
    /// Reads the rows of [`QUERY`].
    pub fn read(rows: &[(String, String)]) -> Result<Self, Unreadable> {
        let rows = Values::of(rows);
        let wsrep = if rows.get("wsrep_on").is_some_and(is_on) { Some(wsrep(&rows)?) } else { None };
        let position = rows.parse::<Position>("gtid_binlog_pos")?.max(&rows.parse("gtid_slave_pos")?);
        let number = |name| rows.parse::<u16>(name).ok();
        let auto_increment = number("auto_increment_increment").zip(number("auto_increment_offset"));
        let untraced = untraced(&rows, wsrep.is_some());
        let (read_only, defaults) = (is_on(rows.text("read_only")?), rows.parse("defaults")?);
        let proxy_networks = rows.get("proxy_protocol_networks").unwrap_or_default().into();
        Ok(Self { read_only, auto_increment, position, wsrep, untraced, defaults, proxy_networks })
    }
}

/// What must be on for a write to be found, on whichever node one looks.
fn untraced(rows: &Values<'_>, in_cluster: bool) -> Option<&'static str> {
    let needed: &[&str] = if in_cluster { &TRACED_IN_CLUSTER } else { &TRACED_ALONE };
    needed.iter().find(|name| !rows.get(name).is_some_and(is_on)).copied()
}

const TRACED_ALONE: [&str; 2] = ["log_bin", "binlog_annotate_row_events"];
const TRACED_IN_CLUSTER: [&str; 4] = ["log_bin", "binlog_annotate_row_events", "log_slave_updates", "wsrep_gtid_mode"];

fn wsrep(rows: &Values<'_>) -> Result<Wsrep, Unreadable> {
    Ok(Wsrep {
        status: rows.text("wsrep_cluster_status")?.into(),
        ready: is_on(rows.text("wsrep_ready")?),
        state: match rows.parse("wsrep_local_state")? {
            1 => LocalState::Joining,
            2 => LocalState::Donor,
            3 => LocalState::Joined,
            4 => LocalState::Synced,
            number => LocalState::Other(number),
        },
        desync: is_on(rows.text("wsrep_desync")?),
        rejects_queries: !rows.text("wsrep_reject_queries")?.eq_ignore_ascii_case("NONE"),
        donor_rejects_queries: is_on(rows.text("wsrep_sst_donor_rejects_queries")?),
        sst_method: rows.text("wsrep_sst_method")?.into(),
        membership: Membership {
            state_uuid: rows.text("wsrep_cluster_state_uuid")?.into(),
            view: rows.parse("wsrep_cluster_conf_id")?,
            size: rows.parse("wsrep_cluster_size")?,
            // Outside a primary component it is -1, printed as an unsigned number.
            index: Some(rows.parse("wsrep_local_index")?).filter(|index: &u64| *index < u64::from(u32::MAX)),
            member: rows.get("wsrep_gcomm_uuid").unwrap_or_default().into(),
        },
        receive_queue: rows.parse("wsrep_local_recv_queue")?,
        gtid_domain: match rows.get("wsrep_gtid_mode") {
            Some(mode) if is_on(mode) => Some(rows.parse("wsrep_gtid_domain_id")?),
            _ => None,
        },
        requests_pause: rows.text("wsrep_flow_control_requested")?.eq_ignore_ascii_case("true"),
    })
}

/// read_only has more values than ON in newer servers: what isn't plainly off is on.
fn is_on(value: &str) -> bool {
    !(value.eq_ignore_ascii_case("OFF") || value == "0" || value.is_empty())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Rows of a healthy node of three, with changes.
    pub(crate) fn rows(changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let healthy = [
            ("wsrep_cluster_conf_id", "3"),
            ("wsrep_cluster_size", "3"),
            ("wsrep_cluster_state_uuid", "cd595794-e6b4-11f1-aa45-cfb105f2a45e"),
            ("wsrep_cluster_status", "Primary"),
            ("wsrep_flow_control_requested", "false"),
            ("wsrep_gcomm_uuid", "d584666d-ea71-11f1-95c4-261b449664d9"),
            ("wsrep_local_index", "1"),
            ("wsrep_local_recv_queue", "0"),
            ("wsrep_local_state", "4"),
            ("wsrep_ready", "ON"),
            ("binlog_annotate_row_events", "ON"),
            ("defaults", "1"),
            ("gtid_binlog_pos", "70-7000-9"),
            ("gtid_slave_pos", "81-8000-12"),
            ("log_bin", "ON"),
            ("log_slave_updates", "ON"),
            ("read_only", "OFF"),
            ("wsrep_desync", "OFF"),
            ("wsrep_gtid_domain_id", "70"),
            ("wsrep_gtid_mode", "ON"),
            ("wsrep_on", "ON"),
            ("wsrep_reject_queries", "NONE"),
            ("wsrep_sst_donor_rejects_queries", "OFF"),
            ("wsrep_sst_method", "rsync"),
        ];
        let value = |name: &str, value: &str| {
            changes.iter().find(|(changed, _)| *changed == name).map_or(value, |(_, to)| to).to_owned()
        };
        healthy.iter().map(|(name, healthy)| ((*name).to_owned(), value(name, healthy))).collect()
    }

    /// Facts of a healthy node of three, with changes.
    pub(crate) fn facts(changes: &[(&str, &str)]) -> Facts {
        Facts::read(&rows(changes)).unwrap()
    }

    #[test]
    fn reads_a_healthy_node() {
        let facts = facts(&[]);
        let wsrep = facts.wsrep.unwrap();
        assert_eq!(facts.position.to_string(), "70-7000-9,81-8000-12");
        assert!(!facts.read_only && wsrep.ready && !wsrep.desync && !wsrep.rejects_queries && !wsrep.requests_pause);
        assert_eq!((wsrep.state, &*wsrep.status, wsrep.membership.index), (LocalState::Synced, "Primary", Some(1)));
    }

    #[test]
    fn a_server_without_galera_has_no_wsrep_facts() {
        let standalone: Vec<_> = rows(&[("wsrep_on", "OFF"), ("wsrep_cluster_status", "Disconnected")])
            .into_iter()
            .filter(|(name, _)| !name.starts_with("wsrep_local") && !name.starts_with("wsrep_flow"))
            .collect();
        assert_eq!(Facts::read(&standalone).unwrap().wsrep, None);
    }

    #[test]
    fn what_can_be_traced() {
        for (changes, missing) in [
            (&[][..], None),
            (&[("binlog_annotate_row_events", "OFF")], Some("binlog_annotate_row_events")),
            (&[("wsrep_gtid_mode", "OFF"), ("log_slave_updates", "OFF")], Some("log_slave_updates")),
            (&[("wsrep_on", "OFF"), ("log_slave_updates", "OFF"), ("wsrep_gtid_mode", "OFF")], None),
            (&[("wsrep_on", "OFF"), ("log_bin", "0")], Some("log_bin")),
        ] {
            assert_eq!(facts(changes).untraced, missing, "{changes:?}");
        }
    }

    #[test]
    fn read_only_has_many_words() {
        for (value, read_only) in [("OFF", false), ("0", false), ("ON", true), ("1", true), ("NO_LOCK", true)] {
            assert_eq!(facts(&[("read_only", value)]).read_only, read_only, "{value}");
        }
    }

    #[test]
    fn outside_a_component_there_is_no_index() {
        let wsrep =
            facts(&[("wsrep_local_index", "18446744073709551615"), ("wsrep_cluster_conf_id", "18446744073709551615")])
                .wsrep;
        assert_eq!(wsrep.unwrap().membership.index, None);
    }

    #[test]
    fn nonsense_is_named() {
        for (name, value) in [("wsrep_local_state", "four"), ("gtid_binlog_pos", "x"), ("wsrep_cluster_size", "-1")] {
            let error = Facts::read(&rows(&[(name, value)])).unwrap_err().to_string();
            assert_eq!(error, format!("its {name} is `{value}`"));
        }
        assert_eq!(Facts::read(&[]).unwrap_err().to_string(), "it has no gtid_binlog_pos");
        let mut short = rows(&[]);
        short.retain(|(name, _)| name != "wsrep_ready");
        assert_eq!(Facts::read(&short).unwrap_err().to_string(), "it has no wsrep_ready");
    }
}
