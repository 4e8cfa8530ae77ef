//! What becomes of a session whose writer is lost, or that needs one while there is none: `writer_loss` in the configuration.
//!
//! A move of the role by order is no loss.

use std::time::Duration;

use tracing::info;

use crate::cluster::view::Health;
use crate::fault::Fault;
use crate::routing::writer::WriterLoss;

use super::conn::NodeConn;
use super::desk::Desk;
use super::loss;
use super::machine::Machine;
use super::work::Target;

/// What becomes of a command that needs the writer.
pub(super) enum Lack {
    /// It waits for one.
    Waits,
    Fails(Fault),
    /// The session ends with it.
    Ends,
}

impl Machine {
    /// There is no writer, and the command under way needs one.
    pub(super) fn lacks_writer(&self, desk: &Desk) -> Lack {
        match desk.settings.writer_loss {
            _ if desk.view.successor.is_some() => Lack::Waits,
            WriterLoss::Wait => Lack::Waits,
            WriterLoss::ErrorOnWrite => Lack::Fails(loss::nowhere(Target::Writer, Duration::ZERO)),
            WriterLoss::Disconnect => Lack::Ends,
        }
    }

    /// Whether the session ends because of what has become of the node it was writing to. Notes which one it is now.
    pub(super) fn ends_with_writer(&mut self, desk: &Desk) -> bool {
        let lost = |conn: &NodeConn| {
            let node = desk.view.node(conn.node).filter(|_| conn.is_open() && conn.of_writer);
            node.is_some_and(|node| desk.view.writer != Some(node.id) && node.health != Health::Synced)
        };
        let ends = desk.settings.writer_loss == WriterLoss::Disconnect && self.conns.iter().any(lost);
        for conn in &mut self.conns {
            conn.of_writer = desk.view.writer == Some(conn.node);
        }
        if ends {
            info!(session = self.id, "the session ends with its writer (writer_loss)");
        }
        ends
    }
}
