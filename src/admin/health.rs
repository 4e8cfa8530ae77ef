//! Whether the process lives, and whether it can serve writes (pure): for what starts it, and for what sends clients to it.

use crate::cluster::view::ClusterView;

/// How far the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No client is taken yet.
    Starting,
    /// Clients are taken.
    Serving,
    /// No more clients are taken.
    Draining,
}

/// Whether a client that comes now can write; if not, why.
pub fn ready(stage: Stage, view: &ClusterView) -> Result<&'static str, &'static str> {
    match (stage, view.write_target()) {
        (Stage::Starting, _) => Err("it starts: no client is taken yet"),
        (Stage::Draining, _) => Err("it drains: no client is taken any more"),
        (Stage::Serving, None) => Err("no node takes writes"),
        (Stage::Serving, Some(_)) => Ok("ready"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::view::NodeId;

    #[test]
    fn needs_a_writer_and_an_open_door() {
        let (with, without) =
            (ClusterView { writer: Some(NodeId(0)), ..ClusterView::default() }, ClusterView::default());
        for (stage, view, is_ready) in [
            (Stage::Starting, &with, false),
            (Stage::Serving, &with, true),
            (Stage::Serving, &without, false),
            (Stage::Draining, &with, false),
        ] {
            assert_eq!(ready(stage, view).is_ok(), is_ready, "{stage:?}");
        }
    }
}
