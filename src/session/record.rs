//! Keeping what a transaction does, so that it can run again: each command with what it was answered, from the one that opens it to its end.

use crate::sql::statement::{Class, Traits, Verdict};
use crate::wire::command::Command;

use super::desk::{Desk, Slot};
use super::journal::{Entry, Ids};
use super::loss::commits;
use super::machine::Machine;
use super::state::Left;
use super::work::{After, Target, Work};

/// What a statement may have left that a second run would not find or would leave again.
const UNREPEATABLE: Traits = Traits::TEMPORARY_TABLE
    .union(Traits::TABLE_LOCK)
    .union(Traits::USER_LOCK)
    .union(Traits::XA_START)
    .union(Traits::UNREPEATABLE)
    .union(Traits::TAINTS_VARIABLES)
    .union(Traits::MULTI)
    .union(Traits::MAY_COMMIT)
    .union(Traits::LEAVES_UNKNOWN);

impl Machine {
    /// A command is about to be sent: notes it if it belongs to a transaction, or may open one.
    pub(super) fn record(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(work) = &mut self.work else { return };
        work.journaled = false;
        // What is prepared, and long data, come with what is run.
        if matches!(work.after, After::Prepare(_)) || work.command == Command::StmtSendLongData {
            return;
        }
        if self.journal.is_none() {
            let opens = self.state.transaction.is_none() && opens(work, self.state.autocommits());
            let tied = self.state.pinned.is_some() || self.replica.is_some();
            if !opens || tied || !desk.settings.replay {
                return;
            }
            let target =
                if matches!(work.target, Target::Slot(_) | Target::Node(_)) { Target::Writer } else { work.target };
            let mut journal = desk.spare_journal();
            journal.begin(self.state.version(), target);
            for command in self.state.upcoming.commands() {
                journal.announce(command, desk.unix_us(desk.now_us), desk.settings.replay_bytes_max);
            }
            self.state.floor = Some(self.state.version());
            self.journal = Some(journal);
        }
        let Some(journal) = &mut self.journal else { return };
        let reads_variables = |verdict: Verdict| verdict.traits.contains(Traits::READS_VARIABLE);
        let left = self.state.left == Left::At(slot) && work.verdict().is_some_and(reads_variables);
        if is_unrepeatable(work) || self.state.pinned == Some(slot) || left {
            return journal.spoil();
        }
        if journal.is_whole() {
            journal.has_effects |= matches!(work.after, After::Effect(_) | After::Schema | After::Option);
            journal.listen();
            work.journaled = true;
            self.record_data(desk);
        }
    }

    /// The client's reply has ended: keeps the command, or forgets the transaction with its end.
    pub(super) fn keep_record(&mut self, slot: Slot, desk: &mut Desk) {
        let (Some(work), Some(journal)) = (&self.work, &mut self.journal) else { return };
        if self.state.transaction != Some(slot) {
            return self.end_journal(desk);
        }
        if !work.journaled {
            return;
        }
        let begins = matches!(work.class(), Some(Class::Begin { .. }));
        if commits(work) && (journal.has_begun() || !begins) {
            // What was open before is committed. A chained transaction begins in a way that can't be repeated.
            self.prepared.forget_closed();
            let (floor, target) = (self.state.version(), journal.target.unwrap_or(Target::Writer));
            journal.begin(floor, target);
            self.state.floor = Some(floor);
            if !begins {
                return journal.spoil();
            }
        }
        self.record_file(desk);
        let (Some(work), Some(journal)) = (&self.work, &mut self.journal) else { return };
        let node = self.conns.get(usize::from(slot)).and_then(|conn| desk.view.node(conn.node));
        let ids = node.and_then(|node| node.auto_increment);
        let ids = ids.map(|(increment, offset)| Ids { first: 0, increment, offset });
        let sent_us = desk.unix_us(work.begun_us);
        let entry = Entry::new(work.shape, work.statement, sent_us).with_ids(ids).that_begins(begins);
        let bytes_max = desk.settings.replay_bytes_max;
        let statement = work.statement.filter(|_| work.command.executes()).and_then(|id| self.prepared.get_mut(id));
        match statement {
            Some(statement) if !statement.brings_types(&work.packet) => {
                let mut typed = desk.spare();
                statement.put_typed(&work.packet, &mut typed);
                journal.keep(entry, &typed, bytes_max);
                desk.put_back(typed);
            }
            _ => journal.keep(entry, &work.packet, bytes_max),
        }
    }

    /// The transaction is over.
    pub(super) fn end_journal(&mut self, desk: &mut Desk) {
        self.state.floor = None;
        if let Some(journal) = self.journal.take() {
            desk.put_back_journal(journal);
            self.close_again(desk);
            self.prepared.forget_closed();
        }
    }
}

/// Whether a command opens a transaction that its own end does not commit.
fn opens(work: &Work, autocommits: bool) -> bool {
    match work.class() {
        Some(Class::Begin { .. }) => true,
        Some(Class::Read | Class::Write) => !autocommits,
        _ => false,
    }
}

/// Whether a second run could do something else than the first, or leave something twice.
fn is_unrepeatable(work: &Work) -> bool {
    let traits = work.verdict().map_or(Traits::empty(), |verdict| verdict.traits);
    let known = matches!(
        work.after,
        After::Statement(_) | After::Execute(_) | After::Effect(_) | After::Schema | After::Option
    );
    !(known || work.command.is_harmless()) || traits.intersects(UNREPEATABLE) || work.untyped
}
