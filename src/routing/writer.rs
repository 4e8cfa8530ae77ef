//! Which node is the writer, and what its loss means to sessions (pure).
//!
//! Every proxy of a site must come to the same answer from the same facts, so it is a function of them and of the
//! current writer only.

use serde::Deserialize;

use crate::cluster::view::NodeId;

/// What becomes of sessions when the writer is lost (`writer_loss` in the configuration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriterLoss {
    /// What needs a writer waits for the next one.
    #[default]
    Wait,
    /// What needs a writer gets an error as long as there is none.
    ErrorOnWrite,
    /// Those who were connected to the writer, or need one, end.
    Disconnect,
}

impl WriterLoss {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::ErrorOnWrite => "error-on-write",
            Self::Disconnect => "disconnect",
        }
    }
}

/// A node as far as this choice goes, in the order of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub id: NodeId,
    /// Synced, no duty against it, not read_only.
    pub fit: bool,
    /// 1 is first choice; 0 only if no positive one is fit; negative never.
    pub priority: i32,
    /// Its number in the cluster, which orders nodes of priority 0.
    pub index: Option<u64>,
}

impl Candidate {
    /// Less is better. `None` for one that must not be the writer.
    fn rank(&self, place: usize) -> Option<(bool, i32, u64, usize)> {
        let may = self.fit && self.priority >= 0;
        let index = if self.priority == 0 { self.index.unwrap_or(u64::MAX) } else { 0 };
        may.then_some((self.priority == 0, self.priority, index, place))
    }
}

/// Chooses the writer. The current one stays as long as it is fit, unless `failback` gives the role back to the best.
pub fn choose(candidates: &[Candidate], current: Option<NodeId>, failback: bool) -> Option<NodeId> {
    let ranked = || candidates.iter().enumerate().filter_map(|(place, node)| Some((node.rank(place)?, node.id)));
    let stays = ranked().map(|(_, id)| id).find(|id| !failback && Some(*id) == current);
    stays.or_else(|| ranked().min().map(|(_, id)| id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `priority index` for each node; `!` before it: not fit.
    fn candidates(nodes: &[&str]) -> Vec<Candidate> {
        let read = |(n, text): (usize, &&str)| {
            let fit = !text.starts_with('!');
            let (priority, index) = text.trim_start_matches('!').split_once(' ').unwrap();
            Candidate { id: NodeId(n as u16), fit, priority: priority.parse().unwrap(), index: index.parse().ok() }
        };
        nodes.iter().enumerate().map(read).collect()
    }

    #[test]
    fn chooses() {
        type Case<'a> = (&'a [&'a str], Option<u16>, bool, Option<u16>, &'a str);
        let cases: &[Case] = &[
            (&["1 2", "2 1", "3 0"], None, false, Some(0), "the lowest positive priority"),
            (&["3 0", "1 1", "2 2"], None, false, Some(1), "wherever it is"),
            (&["!1 0", "2 1", "3 2"], None, false, Some(1), "the next one if the first is not fit"),
            (&["1 0", "2 1", "3 2"], Some(2), false, Some(2), "the current one stays"),
            (&["1 0", "2 1", "3 2"], Some(2), true, Some(0), "unless failback"),
            (&["1 0", "2 1", "!3 2"], Some(2), false, Some(0), "or it is not fit any more"),
            (&["1 0", "2 1", "-1 2"], Some(2), false, Some(0), "or it must not be the writer"),
            (&["2 2", "1 1", "1 0"], None, false, Some(1), "a tie goes by the order of the configuration"),
            (&["0 0", "5 1", "0 2"], None, false, Some(1), "a positive one before 0"),
            (&["0 2", "!5 1", "0 1"], None, false, Some(2), "0 by the index in the cluster"),
            (&["0 -", "0 7", "0 -"], None, false, Some(1), "a node without an index comes last"),
            (&["0 -", "0 -"], None, false, Some(0), "then by order"),
            (&["0 1", "0 0"], Some(0), false, Some(0), "the current one stays, also with 0"),
            (&["-1 0", "-1 1"], None, false, None, "negative never"),
            (&["!1 0", "!2 1"], Some(0), false, None, "nobody is fit"),
            (&["1 0"], Some(7), false, Some(0), "a remembered writer that is gone"),
            (&[], None, false, None, "no node"),
        ];
        for (nodes, current, failback, expected, why) in cases {
            assert_eq!(choose(&candidates(nodes), current.map(NodeId), *failback), expected.map(NodeId), "{why}");
        }
    }

    #[test]
    fn a_restart_with_the_remembered_writer_changes_nothing() {
        let before_restart = choose(&candidates(&["!1 0", "2 1"]), Some(NodeId(0)), false);
        assert_eq!(before_restart, Some(NodeId(1)));
        assert_eq!(choose(&candidates(&["1 0", "2 1"]), before_restart, false), Some(NodeId(1)));
        assert_eq!(choose(&candidates(&["1 0", "2 1"]), None, false), Some(NodeId(0)), "without the memory it would");
    }
}
