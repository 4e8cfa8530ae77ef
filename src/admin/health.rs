//! Whether the process lives, and whether it can serve writes: for what starts it, and for what sends clients to it.

use tokio::sync::{oneshot, watch};

use crate::cluster::view::ClusterView;

/// How far the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No client is taken yet.
    Starting,
    /// Clients are taken.
    Serving,
    /// Another process has taken over: clients and operators are there.
    Relieved,
    /// No more clients are taken.
    Draining,
}

/// Waits until the process is at this stage.
pub async fn reached(mut stages: watch::Receiver<Stage>, wanted: Stage) {
    if stages.wait_for(|stage| *stage == wanted).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until the place where operators are answered is given up, or another process answers them.
pub async fn ends(stages: watch::Receiver<Stage>, over: oneshot::Receiver<()>) {
    tokio::select! {
        () = reached(stages, Stage::Relieved) => {}
        // Whoever has opened it has let go of it.
        _ = over => {}
    }
}

/// Whether a client that comes now can write; if not, why.
pub fn ready(stage: Stage, view: &ClusterView) -> Result<&'static str, &'static str> {
    match (stage, view.write_target()) {
        (Stage::Starting, _) => Err("it starts: no client is taken yet"),
        (Stage::Relieved, _) => Err("another process has taken over"),
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
