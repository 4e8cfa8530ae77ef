//! Do all nodes number their transactions alike (pure)?
//!
//! With wsrep_gtid_mode a transaction has one GTID, in the domain `wsrep_gtid_domain_id`, on all nodes, and what one has seen can be
//! looked for on another. A node that has another domain, as one does that comes back into a cluster whose nodes had all ended, gives the
//! same transactions other GTIDs: a dump that moved there would repeat some or leave some out.

use std::collections::BTreeMap;

/// The domain of a node's transactions; none where `wsrep_gtid_mode` is off.
pub type Numbering = Option<u32>;

/// The numbering of the cluster, by those of its nodes and whether that node is the writer: that of most nodes. Of two that as many have
/// it is one that was chosen, as 0 is what a node has that has lost it; and then that of the writer. None if there is no such.
pub fn common(nodes: impl Iterator<Item = (Numbering, bool)>) -> Option<Numbering> {
    let mut votes: BTreeMap<Numbering, (usize, bool)> = BTreeMap::new();
    for (numbering, is_writer) in nodes {
        let (count, has_writer) = votes.entry(numbering).or_default();
        *count += 1;
        *has_writer |= is_writer;
    }
    let all: usize = votes.values().map(|(count, _)| count).sum();
    let is_chosen = |numbering: Numbering| numbering.is_some_and(|domain| domain != 0);
    let best = votes.into_iter().max_by_key(|(own, (count, has_writer))| (*count, is_chosen(*own), *has_writer));
    best.filter(|(_, (count, _))| 2 * count >= all).map(|(numbering, _)| numbering)
}

/// Why a node of this numbering is not fit for work in a cluster of that one.
pub fn differs(own: Numbering, common: Numbering) -> Option<String> {
    let of = |numbering: Numbering| match numbering {
        Some(domain) => format!("wsrep_gtid_domain_id is {domain}"),
        None => "wsrep_gtid_mode is OFF".to_owned(),
    };
    (own != common)
        .then(|| format!("its GTIDs are not the cluster's: its {}, on the other nodes {}", of(own), of(common)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_nodes_decide() {
        let (lost, off) = (Some(0), None);
        for (nodes, writer, expected) in [
            (&[Some(70), Some(70), Some(70)][..], 0, Some(Some(70))),
            (&[lost, Some(70), Some(70)], 0, Some(Some(70))),
            (&[Some(70), lost, lost], 0, Some(lost)),
            (&[off, off, off], 0, Some(off)),
            (&[Some(70), off, Some(70)], 1, Some(Some(70))),
            // As many of each.
            (&[lost, Some(70)], 0, Some(Some(70))),
            (&[off, Some(70)], 0, Some(Some(70))),
            (&[Some(60), Some(70)], 0, Some(Some(60))),
            (&[Some(60), Some(70)], 1, Some(Some(70))),
            (&[Some(60), Some(70), lost, Some(60)], 1, Some(Some(60))),
            // No cluster that numbers alike at all.
            (&[Some(71), Some(72), Some(73)], 0, None),
            (&[], 0, None),
        ] {
            let found = common(nodes.iter().enumerate().map(|(place, own)| (*own, place == writer)));
            assert_eq!(found, expected, "{nodes:?} {writer}");
        }
    }

    #[test]
    fn the_reason_names_both() {
        assert_eq!(differs(Some(70), Some(70)), None);
        let why = differs(Some(0), Some(70)).unwrap();
        assert_eq!(
            why,
            "its GTIDs are not the cluster's: its wsrep_gtid_domain_id is 0, on the other nodes wsrep_gtid_domain_id is 70"
        );
    }
}
