//! From where a link goes on (pure).
//!
//! `gtid_slave_pos` is complete only on the node that ran the link; on the others Galera carries the remote's domain
//! over, but not our own. `gtid_binlog_pos` is the same on all. So, per domain, the higher of the two, by number. What
//! nodes keep in domains of their own is no part of it: no other node has it.

use super::status::Facts;
use crate::gtid::Position;

/// The position from which a node goes on. `local` are the domains of single nodes.
pub fn resume(facts: &Facts, local: &[u32]) -> Position {
    let mut position = Position::default();
    let shared = |domain| domain == facts.domain || !local.contains(&domain);
    let both = facts.slave_position.iter().chain(facts.binlog_position.iter());
    both.filter(|gtid| shared(gtid.domain)).for_each(|gtid| position.raise(gtid));
    position
}

/// What `gtid_slave_pos` must be set to before a link starts; `None` where it is already there.
pub fn to_set(facts: &Facts, local: &[u32]) -> Option<Position> {
    let position = resume(facts, local);
    (!facts.slave_position.covers(&position)).then_some(position)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Facts of a node of the guide's primary site.
    pub(crate) fn facts(slave: &str, binlog: &str) -> Facts {
        Facts {
            server_id: 7000,
            domain: 70,
            local_domain: Some(71),
            slave_position: slave.parse().unwrap(),
            binlog_position: binlog.parse().unwrap(),
            ignores_duplicates: true,
            shares_gtids: true,
            member: Some("71".into()),
            is_outside: false,
        }
    }

    #[test]
    fn the_higher_number_of_each_domain() {
        for (slave, binlog, expected) in [
            ("", "", ""),
            ("81-8000-9", "70-7000-5,81-8000-10", "70-7000-5,81-8000-10"),
            ("81-8000-10", "70-7000-5,81-8000-9", "70-7000-5,81-8000-10"),
            ("81-8000-99", "81-8000-100", "81-8000-100"),
            ("81-8000-100", "81-8000-99", "81-8000-100"),
            ("70-7000-99,81-8000-9", "70-7000-100,81-8000-10", "70-7000-100,81-8000-10"),
            ("", "70-7000-5,71-7000-3", "70-7000-5"),
            ("72-7000-4,90-9000-1", "70-7000-5", "70-7000-5,90-9000-1"),
        ] {
            assert_eq!(resume(&facts(slave, binlog), &[71, 72, 73]).to_string(), expected, "{slave} {binlog}");
        }
    }

    #[test]
    fn a_domain_all_share_is_nobodys_own() {
        assert_eq!(resume(&facts("", "70-7000-5"), &[70]).to_string(), "70-7000-5");
    }

    #[test]
    fn is_set_only_where_it_moves_forward() {
        for (slave, binlog, expected) in [
            ("70-7000-5,81-8000-9", "70-7000-5,81-8000-9", None),
            ("70-7000-6,81-8000-10", "70-7000-5,81-8000-9", None),
            ("70-7000-5,81-8000-9", "70-7000-5,71-7000-1,81-8000-9", None),
            ("81-8000-9", "70-7000-5,81-8000-9", Some("70-7000-5,81-8000-9")),
            ("81-8000-9", "81-8000-10", Some("81-8000-10")),
            ("70-7000-9,81-8000-100", "70-7000-10,81-8000-99", Some("70-7000-10,81-8000-100")),
        ] {
            let set = to_set(&facts(slave, binlog), &[71, 72, 73]);
            assert_eq!(set.as_ref().map(ToString::to_string).as_deref(), expected, "{slave} {binlog}");
            if let Some(set) = set {
                assert!(set.covers(&slave.parse().unwrap()), "backwards: {slave} to {set}");
            }
        }
    }
}
