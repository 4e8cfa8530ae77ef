//! What a node has refused: done elsewhere, or once more, as long as the client has heard nothing of it.

use crate::fault::{Fault, Retry};
use crate::wire::err::Error;

use super::desk::{Desk, Slot};
use super::loss::{DEADLOCK, Refusal, commits, fault_of, refusal, refusal_within};
use super::machine::Machine;
use super::replay::ATTEMPTS_MAX;
use super::resume::Loss;
use super::work::Target;

/// What a read gets whose node waits by itself until it has applied what came before, and did not get so far in time.
pub(super) const LATE: u16 = 1205;
/// A read that is aborted more often than this gets the error.
const ABORTED_MAX: u8 = 8;

impl Machine {
    /// Whether the command is done elsewhere or again, so that the client need not hear of this error, which has that place in the
    /// reply.
    pub(super) fn runs_again(&mut self, slot: Slot, error: &Error, sequence: u8, desk: &mut Desk) -> bool {
        let Some(work) = self.work.as_ref().filter(|work| work.runs_on(slot)) else { return false };
        if work.answered {
            return self.is_refused(slot, error, desk)
                && self.resume(Loss { fault: fault_of(error), sequence: Some(sequence) })
                && self.refused_again(slot, error, true, desk);
        }
        let fresh = work.is_kept() && !work.is_sending_file();
        self.is_uncertain(slot, error, desk) || self.refused_again(slot, error, fresh, desk)
    }

    /// Whether this error says that it certainly did not happen, and may be done again.
    fn is_refused(&self, slot: Slot, error: &Error, desk: &Desk) -> bool {
        let Some(work) = &self.work else { return false };
        match self.state.transaction == Some(slot) || work.journaled {
            true => refusal_within(error).is_some() && self.is_replayable(desk),
            false => unfit(error) || (error.code == DEADLOCK && work.aborted < ABORTED_MAX),
        }
    }

    /// The same, where it is certain that it did not happen. One that has not been `fresh` any more is not done again.
    fn refused_again(&mut self, slot: Slot, error: &Error, fresh: bool, desk: &mut Desk) -> bool {
        let Some(work) = &self.work else { return false };
        let within = self.state.transaction == Some(slot) || work.journaled;
        let refusal = if within && !commits(work) { refusal_within(error) } else { refusal(error) };
        let refusal = refusal.filter(|_| fresh);
        match refusal {
            Some(refusal) if within => {
                if self.is_replayable(desk) && !work.killed {
                    self.replay_aborted(slot, refusal, fault_of(error), desk);
                    return true;
                }
                if refusal != Refusal::Outrun {
                    // The node has rolled it back.
                    self.end_journal(desk);
                    self.state.end_transaction();
                }
                false
            }
            Some(refusal) if work.redo && desk.settings.replay && !work.killed => self.redo(slot, refusal, desk),
            _ if work.retry => self.reads_again(slot, error, desk),
            _ => false,
        }
    }

    /// Runs a write again that did not happen.
    fn redo(&mut self, slot: Slot, refusal: Refusal, desk: &mut Desk) -> bool {
        let Some(work) = &mut self.work else { return false };
        let late = desk.now_us >= work.first_us.saturating_add(desk.settings.writer_wait.as_micros() as u64);
        let stays = refusal == Refusal::Aborted || (work.target == Target::Writer && desk.view.nodes.len() > 1);
        if late || !stays || u16::from(work.aborted) >= ATTEMPTS_MAX {
            return false;
        }
        work.aborted += 1;
        let takes_data = self.takes_data();
        self.leave(slot, refusal, takes_data, desk);
        true
    }

    fn reads_again(&mut self, slot: Slot, error: &Error, desk: &mut Desk) -> bool {
        let Some(work) = &mut self.work else { return false };
        if unfit(error) {
            self.lose(slot, desk);
            return true;
        }
        let moves = (lacks(error) || error.code == LATE) && work.may_move_to(desk.view.writer);
        if !moves && (error.code != DEADLOCK || work.aborted == ABORTED_MAX) {
            return false;
        }
        work.aborted += u8::from(!moves);
        self.take_back(desk);
        true
    }

    /// The prepared statement that the command under way needs, or a transaction that is to run again before it, can't be prepared.
    pub(super) fn not_prepared(&mut self, slot: Slot, error: &Error, desk: &mut Desk) {
        if self.replay_is_due() {
            self.replay_refused = refusal_within(error);
            self.replay_unprepared(slot, desk);
            return self.advance(None, desk);
        }
        if self.refused_again(slot, error, true, desk) {
            return self.advance(None, desk);
        }
        self.fail(Fault::node(Retry::Never, error.code, &error.state, String::from_utf8_lossy(error.message)), desk);
    }
}

/// Whether a node says that it can't run anything now: it is shutting down, has had the connection killed, or is not ready. Code 1047
/// is that of an unknown command too.
fn unfit(error: &Error) -> bool {
    matches!(error.code, 1053 | 1927) || (error.code == 1047 && error.message.starts_with(b"WSREP"))
}

/// Whether a node misses what a statement names: schema, column, table, routine, tables below a MERGE table. A reader may be behind,
/// or the writer has it for this session alone: a temporary table that a procedure has made.
pub(super) fn lacks(error: &Error) -> bool {
    matches!(error.code, 1049 | 1054 | 1146 | 1168 | 1305)
}
