//! Closing prepared statements: on the nodes at once. One that the open transaction has run stays for as long as that may have to run
//! again, since many drivers prepare a statement, run it and close it, within the transaction.

use crate::wire::command::{self, STMT_CLOSE};

use super::desk::{Desk, Peer, Slot};
use super::machine::Machine;
use super::prepared::{Statement, statement_id};

impl Machine {
    /// COM_STMT_CLOSE, which has no answer.
    pub(super) fn close_statement(&mut self, packet: &[u8], desk: &mut Desk) {
        let Some(id) = statement_id(packet).and_then(|id| self.prepared.resolve(id)) else { return };
        let places = self.prepared.close(id);
        self.close_on_nodes(&places, desk);
        if let Some(journal) = self.journal.as_mut().filter(|journal| journal.names(id)) {
            let like = self.prepared.closed_like(id).filter(|_| !journal.has_effects);
            match like {
                // Settings that could tell the two apart have not changed.
                Some(like) => journal.rename(id, like),
                None => {
                    let bytes = self.prepared.get(id).map_or(0, Statement::memory);
                    journal.keep_statement(bytes, desk.settings.replay_bytes_max);
                }
            }
        }
        if self.journal.as_ref().is_none_or(|journal| !journal.names(id)) {
            self.prepared.remove(id);
        }
    }

    /// The transaction has run again, so that the nodes can do without what the client has closed.
    pub(super) fn close_again(&mut self, desk: &mut Desk) {
        for id in self.prepared.closed() {
            let places = self.prepared.close(id);
            self.close_on_nodes(&places, desk);
        }
    }

    /// Where these are prepared, and under which ids.
    pub(super) fn close_on_nodes(&self, places: &[(Slot, u32)], desk: &mut Desk) {
        for (slot, id) in places {
            if self.conns.get(usize::from(*slot)).is_some_and(|conn| conn.is_ready()) {
                desk.write(Peer::Node(*slot), |out| command::put(out, STMT_CLOSE, &id.to_le_bytes()));
            }
        }
    }
}
