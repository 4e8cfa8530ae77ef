//! Long data of prepared statements (COM_STMT_SEND_LONG_DATA), which a node keeps for the next execute, and so does the session: what
//! was lost with its connection is sent to the next one before the execute goes there.

use crate::wire::command::Command;

use super::desk::{Desk, Peer, Slot};
use super::machine::Machine;
use super::prepared::{Held, with_statement_id};
use super::work::Target;

impl Machine {
    /// A part of a packet of long data is on its way to a connection; the last one if it `ends`.
    pub(super) fn keep_data(&mut self, slot: Slot, part: &[u8], ends: bool, desk: &Desk) {
        let bytes_max = if desk.settings.replay { desk.settings.replay_bytes_max } else { 0 };
        if let Some(id) = self.work.as_ref().and_then(|work| work.statement) {
            self.prepared.send_data(id, slot, part, ends, bytes_max);
        }
    }

    /// Before an execute, or more data for it: what no connection has any more.
    pub(super) fn send_kept_data(&mut self, slot: Slot, desk: &mut Desk) {
        let work =
            self.work.as_ref().filter(|work| work.command.executes() || work.command == Command::StmtSendLongData);
        let Some(id) = work.and_then(|work| work.statement) else { return };
        let Some(statement) = self.prepared.get(id).filter(|statement| statement.held() == Held::Kept) else { return };
        let data = with_statement_id(statement.data(), statement.id_on(slot).unwrap_or_default());
        desk.write(Peer::Node(slot), |out| out.extend_from_slice(&data));
        self.prepared.hold(id, Held::LongData(slot));
    }

    /// The connection is gone to which the execute under way was tied by its data: any writer's will do, as the data was kept.
    pub(super) fn free_kept_data(&mut self) {
        let Some(work) = self.work.as_mut().filter(|work| matches!(work.target, Target::Slot(_))) else { return };
        let statement = work.statement.filter(|_| work.command.executes()).and_then(|id| self.prepared.get(id));
        if statement.is_some_and(|statement| statement.held() == Held::Kept) {
            work.target = Target::Writer;
        }
    }

    /// Whether the execute under way takes long data with it.
    pub(super) fn takes_data(&self) -> bool {
        let work = self.work.as_ref().filter(|work| work.command.executes());
        let statement = work.and_then(|work| work.statement).and_then(|id| self.prepared.get(id));
        statement.is_some_and(|statement| matches!(statement.held(), Held::LongData(_) | Held::Kept))
    }

    /// The execute that is about to be sent belongs to a transaction: its long data does, too.
    pub(super) fn record_data(&mut self, desk: &Desk) {
        if !self.takes_data() {
            return;
        }
        let (Some(journal), Some(work)) = (&mut self.journal, &self.work) else { return };
        let Some(statement) = work.statement.and_then(|id| self.prepared.get(id)) else { return };
        if !statement.keeps_data() || work.upload.is_some() {
            return journal.spoil();
        }
        journal.upload(statement.data(), desk.settings.replay_bytes_max);
        // A node that refuses the execute may still have it.
        journal.has_effects = true;
    }
}
