//! Marking what a session writes, so that a binary log can tell whether it was committed.
//!
//! A unit is what is committed at once: a transaction, or a statement by itself. Every write in it is marked, since a mark is lost with a
//! statement that changes nothing. A binary prepared statement has one mark for all its executes: only what is newer than the base
//! counts, and the base is at or behind all that the session has been told of.

use std::sync::Arc;

use crate::cluster::view::{ClusterView, NodeId};
use crate::gtid::Position;
use crate::sql::marker::{self, MARKER_BYTES, Marker};
use crate::sql::statement::{Class, Traits, Verdict};
use crate::wire::command::Command;
use crate::wire::packet::{self, HEADER, PAYLOAD_MAX};

use super::desk::{Desk, Peer, Slot};
use super::machine::Machine;
use super::work::{After, Work};

/// Writes of one unit whose marks are kept; a longer one can't be decided.
const MARKS_MAX: usize = 1024;
/// Room for marks that a session keeps between units.
const MARKS_KEPT: usize = 16;

/// The marks of the unit under way.
#[derive(Default)]
pub(super) struct Trail {
    pub(super) marks: Vec<u64>,
    /// Something was written, or may have been, that no mark tells of.
    pub(super) unmarked: bool,
    /// A statement was sent that is not a SELECT of some kind.
    writes: bool,
    /// A statement says that it has changed rows.
    pub(super) changed: bool,
    /// A mark was used that may have been used before.
    pub(super) reuses: bool,
    /// A GTID was told since the unit began.
    pub(super) told: bool,
    /// The cluster when the unit began. As long as it is held, the writer of then is not left for another, up to a limit.
    view: Option<Arc<ClusterView>>,
    /// What is written in it is marked.
    is_marked: bool,
}

/// Where a statement text is marked, and by which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) number: u64,
    at: usize,
}

impl Trail {
    /// Another unit begins.
    fn begin(&mut self, view: &Arc<ClusterView>, is_marked: bool) {
        self.marks.clear();
        self.marks.shrink_to(MARKS_KEPT);
        (self.unmarked, self.writes, self.changed, self.reuses, self.told) = (false, false, false, false, false);
        (self.view, self.is_marked) = (Some(view.clone()), is_marked);
    }

    /// The unit is over.
    pub(super) fn end(&mut self) {
        self.view = None;
    }

    /// Notes what a command that is about to be sent may write.
    pub(super) fn note(&mut self, verdict: Verdict, mark: Option<Mark>, text: &[u8]) {
        let stored = Traits::LEAVES_UNKNOWN | Traits::MAY_COMMIT | Traits::MULTI;
        self.writes |= verdict.class == Class::Write && !is_select(text);
        let locks_only = mark.is_none() && is_select(text) && !verdict.traits.intersects(stored);
        if verdict.class == Class::Write && !locks_only {
            self.add(mark.map(|mark| mark.number));
        } else if verdict.traits.intersects(stored) {
            self.unmarked = true;
        }
    }

    /// Rows were changed, and nobody has said under which GTID.
    pub(super) fn is_silent(&self) -> bool {
        self.writes && self.changed && !self.told
    }

    fn add(&mut self, number: Option<u64>) {
        match number {
            Some(number) if self.marks.contains(&number) => {}
            Some(number) if self.marks.len() < MARKS_MAX => self.marks.push(number),
            _ => self.unmarked = true,
        }
    }

    /// What this node had when the unit began; none if that is not known.
    pub(super) fn base(&self, node: NodeId) -> Option<Position> {
        let position = &self.view.as_ref().filter(|_| self.is_marked)?.node(node)?.gtid;
        position.parse().ok().filter(|position: &Position| !position.is_empty())
    }
}

impl Machine {
    /// Whether what the session writes is marked.
    fn marks(&self, desk: &Desk) -> bool {
        desk.settings.outcome && desk.view.gtid_domain.is_some() && self.replica.is_none()
    }

    /// A command is about to be sent: a unit may begin with it.
    pub(super) fn begin_unit(&mut self, desk: &Desk) {
        let opens = !self.state.autocommits();
        let changes = opens || self.work.as_ref().is_some_and(Work::may_change_data);
        if changes && self.state.transaction.is_none() {
            self.begin_trail(desk);
        }
    }

    /// A unit begins, for the first time or again.
    pub(super) fn begin_trail(&mut self, desk: &Desk) {
        self.trail.begin(&desk.view, self.marks(desk));
    }

    /// The mark of a statement text that is about to be sent, if it is to have one.
    pub(super) fn mark_text(&mut self, text: &[u8], verdict: Verdict, desk: &Desk) -> Option<Mark> {
        if !self.marks(desk) || verdict.class != Class::Write || text.len() + 1 + MARKER_BYTES >= PAYLOAD_MAX {
            return None;
        }
        let at = marker::place(text, self.state.mode)?;
        self.statements += 1;
        Some(Mark { number: self.statements, at })
    }

    /// Notes what the command that is about to be sent may write. Returns its mark, if its text is to have one.
    pub(super) fn mark_work(&mut self, command: &[u8], desk: &Desk) -> Option<Mark> {
        let work = self.work.as_ref()?;
        let text = command.get(HEADER + 1..).unwrap_or_default();
        let mark = match work.after {
            After::Execute(verdict) => {
                let statement = work.statement.and_then(|id| self.prepared.get(id))?;
                let text = statement.packet.get(HEADER + 1..).unwrap_or_default();
                self.trail.note(verdict, statement.mark, text);
                self.trail.reuses |= statement.mark.is_some();
                None
            }
            After::Statement(verdict) if work.command == Command::Query => {
                let mark = self.mark_text(text, verdict, desk);
                self.trail.note(verdict, mark, text);
                mark
            }
            After::Effect(verdict) => {
                self.trail.note(verdict, None, text);
                None
            }
            After::Prepare(verdict) => self.mark_text(text, verdict, desk),
            _ => None,
        };
        if let Some(work) = &mut self.work {
            work.mark = mark;
        }
        mark
    }

    /// The marker of a number of this session.
    pub(super) fn marker(&self, number: u64, desk: &Desk) -> Marker {
        Marker { session: desk.marker_base ^ u128::from(self.id), statement: number }
    }

    /// Sends a command with its mark.
    pub(super) fn write_marked(&self, slot: Slot, command: &[u8], mark: Mark, desk: &mut Desk) {
        let marker = self.marker(mark.number, desk);
        desk.write(Peer::Node(slot), |out| put_marked(command, mark, marker, out));
    }
}

/// Appends a command of one packet with the marker behind its first keyword.
fn put_marked(command: &[u8], mark: Mark, marker: Marker, out: &mut Vec<u8>) {
    let Some((front, rest)) = command.get(HEADER..).and_then(|payload| payload.split_at_checked(1 + mark.at)) else {
        return out.extend_from_slice(command);
    };
    packet::put(out, 0, |out| {
        out.extend_from_slice(front);
        marker::put(marker, out);
        out.extend_from_slice(rest);
    });
}

/// Whether a text begins with SELECT, so that it is a write for its locks, its stored functions or its sequences alone.
fn is_select(text: &[u8]) -> bool {
    text.trim_ascii_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case(b"select"))
}
