//! Which reader: by response time and load, or by connections.
//!
//! A session keeps its reader as long as no other is clearly better: a second node connection costs more than a small
//! gain, on the node too. How many statements are under way at one instant says little, since they come in bursts; so
//! a reader must also have become slow, or silent, for its sessions to leave.

use crate::cluster::view::{ClusterView, NodeId};

use super::causal::Progress;

/// How a reader is chosen (`readers` in the configuration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Least of mean response time times statements under way.
    #[default]
    Adaptive,
    /// Fewest node connections.
    LeastConnections,
}

/// What one worker knows of a node's load. Its own share stands for the whole: sessions are spread evenly over workers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Node connections.
    pub connections: u32,
    /// Statements under way.
    pub active: u32,
    /// When the last statement ended, or the first of those under way started.
    pub progress_us: u64,
    /// Moving mean of response times, in microseconds; 0 before the first.
    pub response_us: f32,
    /// A response time has been taken in since the mean was last aged.
    pub fresh: bool,
    /// How far the node is.
    pub progress: Progress,
}

/// Weight of a new response time in the moving mean.
const SAMPLE_WEIGHT: f32 = 1.0 / 64.0;
/// What is left of a mean that nothing has confirmed, each time it is aged.
const AGED: f32 = 0.8;
/// A session leaves its reader for one whose score and response time are this much better.
const LEAVE_FACTOR: f32 = 2.0;

impl Load {
    /// A statement starts.
    pub fn start(&mut self, now_us: u64) {
        if self.active == 0 {
            self.progress_us = now_us;
        }
        self.active += 1;
    }

    /// A statement has ended, or is given up.
    pub fn end(&mut self, now_us: u64) {
        self.active = self.active.saturating_sub(1);
        self.progress_us = now_us;
    }

    /// Takes in the response time of a statement that has ended.
    pub fn sample(&mut self, response_us: u64) {
        let sample = response_us as f32;
        self.fresh = true;
        if self.response_us == 0.0 {
            self.response_us = sample;
        } else {
            self.response_us += (sample - self.response_us) * SAMPLE_WEIGHT;
        }
    }

    /// To be called at a steady pace: a node that was slow once, and has had no statement since, must get a chance to show better.
    pub fn age(&mut self) {
        if !std::mem::take(&mut self.fresh) {
            self.response_us *= AGED;
        }
    }

    /// Response time to expect, in microseconds: at least as long as those under way have seen none of them end.
    fn response(&self, now_us: u64) -> f32 {
        let waiting = if self.active > 0 { now_us.saturating_sub(self.progress_us) } else { 0 };
        self.response_us.max(waiting as f32).max(1.0)
    }

    fn score(&self, policy: Policy, now_us: u64) -> f32 {
        match policy {
            Policy::Adaptive => self.response(now_us) * (self.active + 1) as f32,
            Policy::LeastConnections => self.connections as f32,
        }
    }
}

/// A set of nodes, small enough to copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSet(u64);

impl NodeSet {
    /// The most nodes a cluster may have here.
    pub const NODES_MAX: usize = 64;

    /// Adds a node.
    pub fn insert(&mut self, id: NodeId) {
        self.0 |= 1 << (id.0 & 63);
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: NodeSet) {
        self.0 |= other.0;
    }

    /// Whether there is none in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its nodes.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..Self::NODES_MAX as u16).map(NodeId).filter(move |id| self.contains(*id))
    }

    /// Whether the node is in it.
    pub fn contains(self, id: NodeId) -> bool {
        self.0 & 1 << (id.0 & 63) != 0
    }
}

/// Chooses a reader: a usable node that is not the writer, not mute and not `avoided`, the session's `current` one unless another is clearly
/// better. Without any, the writer reads; `None` if there is none either.
pub fn choose(
    view: &ClusterView,
    loads: &[Load],
    policy: Policy,
    current: Option<NodeId>,
    avoided: NodeSet,
    now_us: u64,
) -> Option<NodeId> {
    let load = |id: NodeId| loads.get(usize::from(id.0)).copied().unwrap_or_default();
    let score = |id: NodeId| load(id).score(policy, now_us);
    let usable = |id: NodeId| {
        view.node(id).is_some_and(|node| node.usable() && !node.mute)
            && Some(id) != view.writer
            && !avoided.contains(id)
    };
    let mut best: Option<(NodeId, f32, u32)> = None;
    for node in view.nodes.iter().filter(|node| usable(node.id)) {
        let candidate = (node.id, score(node.id), load(node.id).connections);
        if best.is_none_or(|(_, least, few)| (candidate.1, candidate.2) < (least, few)) {
            best = Some(candidate);
        }
    }
    let Some((best, least, _)) = best else { return view.writer };
    let leaves = |id: NodeId| {
        policy == Policy::Adaptive
            && score(id) > least * LEAVE_FACTOR
            && load(id).response(now_us) > load(best).response(now_us) * LEAVE_FACTOR
    };
    match current {
        Some(id) if usable(id) && !leaves(id) => Some(id),
        _ => Some(best),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::view::{Health, NodeView};

    fn view(writer: Option<u16>, healthy: &[bool]) -> ClusterView {
        let node = |(place, &healthy): (usize, &bool)| NodeView {
            id: NodeId(place as u16),
            name: "n".into(),
            address: "127.0.0.1:1".into(),
            health: if healthy { Health::Synced } else { Health::Down },
            collation: 8,
            ..NodeView::default()
        };
        let (nodes, writer) = (healthy.iter().enumerate().map(node).collect(), writer.map(NodeId));
        ClusterView { nodes, writer, ..ClusterView::default() }
    }

    const NOW_US: u64 = 5_000_000;

    fn load(connections: u32, active: u32, response_us: f32) -> Load {
        Load { connections, active, response_us, progress_us: NOW_US, ..Load::default() }
    }

    #[test]
    fn the_writer_reads_only_when_nobody_else_can() {
        let none = NodeSet::default();
        assert_eq!(
            choose(&view(Some(0), &[true, true, false]), &[], Policy::Adaptive, None, none, NOW_US),
            Some(NodeId(1))
        );
        assert_eq!(
            choose(&view(Some(0), &[true, false, false]), &[], Policy::Adaptive, None, none, NOW_US),
            Some(NodeId(0))
        );
        assert_eq!(choose(&view(None, &[false]), &[], Policy::Adaptive, None, none, NOW_US), None);
        let mut avoided = NodeSet::default();
        avoided.insert(NodeId(1));
        assert_eq!(
            choose(&view(Some(0), &[true, true]), &[], Policy::Adaptive, None, avoided, NOW_US),
            Some(NodeId(0))
        );
    }

    #[test]
    fn a_mute_node_is_not_asked() {
        let mut view = view(Some(0), &[true, true, true]);
        view.nodes[1].mute = true;
        let pick =
            |view: &ClusterView, current| choose(view, &[], Policy::Adaptive, current, NodeSet::default(), NOW_US);
        assert_eq!(pick(&view, Some(NodeId(1))), Some(NodeId(2)));
        view.nodes[2].mute = true;
        assert_eq!(pick(&view, Some(NodeId(1))), Some(NodeId(0)));
    }

    #[test]
    fn adaptive_takes_the_least_response_time_times_load() {
        let view = view(Some(0), &[true, true, true]);
        let loads = [load(0, 0, 0.0), load(9, 3, 100.0), load(9, 0, 300.0)];
        let pick = |current| choose(&view, &loads, Policy::Adaptive, current, NodeSet::default(), NOW_US);
        assert_eq!(pick(None), Some(NodeId(2)));
        assert_eq!(pick(Some(NodeId(1))), Some(NodeId(1)), "not worth a move");
        let moves = |at: Load, other: Load| {
            let loads = [Load::default(), at, other];
            choose(&view, &loads, Policy::Adaptive, Some(NodeId(1)), NodeSet::default(), NOW_US) == Some(NodeId(2))
        };
        let free = load(9, 0, 100.0);
        assert!(!moves(load(9, 20, 100.0), free), "a burst");
        assert!(moves(load(9, 0, 300.0), free), "slow");
        assert!(!moves(load(9, 0, 300.0), load(9, 2, 100.0)), "slow, but the other has its hands full");
        let silent = Load { progress_us: NOW_US - 1000, ..load(9, 1, 100.0) };
        assert!(moves(silent, free), "nothing has ended for a while");
        assert!(!moves(Load { active: 0, ..silent }, free), "nothing was to end");
    }

    #[test]
    fn a_slow_start_is_forgotten() {
        let view = view(Some(0), &[true, true, true]);
        let mut loads = [load(0, 0, 0.0), load(1, 0, 100.0), load(0, 0, 9000.0)];
        let pick = |loads: &[Load; 3]| choose(&view, loads, Policy::Adaptive, None, NodeSet::default(), NOW_US);
        assert_eq!(pick(&loads), Some(NodeId(1)));
        for _ in 0..50 {
            loads[1].sample(100);
            loads.iter_mut().for_each(Load::age);
        }
        assert_eq!((pick(&loads), loads[1].response_us), (Some(NodeId(2)), 100.0));
    }

    #[test]
    fn least_connections() {
        let view = view(Some(0), &[true, true, true]);
        let loads = [load(0, 0, 0.0), load(5, 0, 1.0), load(4, 9, 900.0)];
        assert_eq!(choose(&view, &loads, Policy::LeastConnections, None, NodeSet::default(), NOW_US), Some(NodeId(2)));
        assert_eq!(
            choose(&view, &loads, Policy::LeastConnections, Some(NodeId(1)), NodeSet::default(), NOW_US),
            Some(NodeId(1))
        );
    }

    #[test]
    fn the_mean_moves_slowly() {
        let mut load = Load::default();
        load.sample(100);
        assert_eq!(load.response_us, 100.0);
        load.sample(6500);
        assert_eq!(load.response_us, 200.0);
    }
}
