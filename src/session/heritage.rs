//! Going on with a node connection that another session has left.
//!
//! It is as after its login, or will be once it has answered its reset; or the other session has only read there, and has left a row
//! count, which is overwritten before anybody asks for it. For its schema the node is asked again, unless that was seen a
//! moment ago.

use crate::backend::pool::{Kept, Reset};
use crate::wire::command::{self, Command, INIT_DB, QUERY};
use crate::wire::reply::ReplyTracker;

use super::conn::{Phase, Purpose};
use super::desk::{Desk, Peer, Slot};
use super::machine::Machine;
use super::work::{Stage, Target, Work};

/// Leaves a row count of 0.
const OVERWRITE: &[u8] = b"DO 0";

impl Machine {
    /// Instead of a new connection there is one that another session has left. It serves at once.
    pub fn on_taken_over(&mut self, slot: Slot, kept: Kept, desk: &mut Desk) {
        let capabilities = self.client.capabilities.towards_node(true, true);
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return };
        conn.kept = Kept { reset: Reset::Done, ..kept };
        conn.phase = Phase::Ready;
        conn.tracker = ReplyTracker::idle(capabilities);
        match kept.reset {
            Reset::Unneeded => conn.foreign = true,
            Reset::Sent(answers) => {
                (0..answers).for_each(|_| conn.owe(Purpose::Reset, Command::ResetConnection.shape()));
            }
            Reset::Done => {}
        }
        if !kept.schema_seen.holds(desk.sighting()) {
            self.confirm_schema(slot, desk);
        }
        if self.is_greeting() {
            self.state.observe(kept.status, slot);
        }
        self.advance(None, desk);
    }

    /// Before a session's first command asks for the row count of the previous one: that must not be another session's.
    pub(super) fn overwrite_foreign(&mut self, slot: Slot, desk: &mut Desk) {
        let asks = self.work.as_ref().is_some_and(Work::asks_row_counts);
        let Some(conn) = self.conns.get_mut(usize::from(slot)).filter(|conn| asks && conn.foreign) else { return };
        conn.foreign = false;
        desk.write(Peer::Node(slot), |out| command::put(out, QUERY, OVERWRITE));
        conn.owe(Purpose::Setting, Command::Query.shape());
    }

    /// Puts a connection into the schema that it is in already, as that may be gone.
    fn confirm_schema(&mut self, slot: Slot, desk: &mut Desk) {
        let (Some(schema), Some(conn)) = (&self.client.schema, self.conns.get_mut(usize::from(slot))) else { return };
        conn.kept.schema_seen = desk.sighting();
        desk.write(Peer::Node(slot), |out| command::put(out, INIT_DB, schema));
        conn.owe(Purpose::Reset, Command::InitDb.shape());
    }

    /// A connection that another session had has ended while nobody had it, or can't be reset: there may be another.
    pub(super) fn renounce(&mut self, slot: Slot, desk: &mut Desk) {
        if let Some(work) = self.work.as_mut().filter(|work| work.slot == Some(slot)) {
            if matches!(work.target, Target::Slot(_)) {
                work.target = Target::Home;
            }
            match work.stage {
                Stage::Running => self.take_back(desk),
                _ => work.slot = None,
            }
        }
        self.drop_conn(slot, desk);
        self.advance(None, desk);
    }
}
