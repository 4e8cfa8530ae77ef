//! The state strings of nodes (pure). They are MaxScale's, in its order, because scripts and people know them.

use crate::cluster::view::{ClusterView, Duty, Health, NodeView};
use crate::config::model::Kind;

/// The state of a node, to which sessions have so many connections, in words.
pub fn state(view: &ClusterView, node: &NodeView, kind: Kind, connections: u64) -> &'static str {
    let is_writer = view.writer == Some(node.id);
    match (node.duty, node.health, kind) {
        (Duty::Maintenance, ..) => "Maintenance",
        (Duty::Draining | Duty::Leaving, ..) if connections == 0 => "Drained",
        (Duty::Draining | Duty::Leaving, ..) => "Draining",
        (Duty::Normal, Health::Down, _) => "Down",
        (Duty::Normal, Health::AuthError, _) => "Auth Error",
        (Duty::Normal, Health::Synced, Kind::Galera) if is_writer => "Master, Synced, Running",
        (Duty::Normal, Health::Synced, Kind::Galera) => "Slave, Synced, Running",
        (Duty::Normal, Health::Synced, Kind::Standalone) if is_writer => "Master, Running",
        (Duty::Normal, Health::Synced | Health::Running, _) => "Running",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::view::NodeId;

    #[test]
    fn are_the_known_ones() {
        use Kind::{Galera, Standalone};
        for (health, duty, is_writer, kind, expected) in [
            (Health::Synced, Duty::Normal, true, Galera, "Master, Synced, Running"),
            (Health::Synced, Duty::Normal, false, Galera, "Slave, Synced, Running"),
            (Health::Synced, Duty::Normal, true, Standalone, "Master, Running"),
            (Health::Synced, Duty::Normal, false, Standalone, "Running"),
            (Health::Running, Duty::Normal, false, Galera, "Running"),
            (Health::Down, Duty::Normal, false, Galera, "Down"),
            (Health::AuthError, Duty::Normal, false, Galera, "Auth Error"),
            (Health::Synced, Duty::Draining, true, Galera, "Draining"),
            (Health::Synced, Duty::Draining, false, Galera, "Drained"),
            (Health::Down, Duty::Maintenance, false, Galera, "Maintenance"),
        ] {
            let node = NodeView {
                id: NodeId(0),
                name: "a".into(),
                address: "a:1".into(),
                health,
                duty,
                ..NodeView::default()
            };
            let writer = is_writer.then_some(NodeId(0));
            let view = ClusterView { nodes: [node.clone()].into(), writer, ..ClusterView::default() };
            let connections = if expected == "Draining" { 1 } else { 0 };
            assert_eq!(state(&view, &node, kind, connections), expected);
        }
    }
}
