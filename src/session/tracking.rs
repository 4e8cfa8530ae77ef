//! What a session asks its node connections to tell it of beyond what the client has asked for, and what it makes of that.
//!
//! A connection is asked once, in the same write as the first statement that may change something; most readers never are. What the
//! client sees of session tracking stays what it has asked for itself.

use crate::gtid::Gtid;
use crate::sql::effect::{self, Change, is_off};
use crate::sql::statement::{Class, Traits};
use crate::wire::capability::Status;
use crate::wire::ok::{self, Ok as OkPacket, Untold};
use crate::wire::packet::HEADER;

use super::desk::{Desk, Peer, Slot};
use super::loss::commits;
use super::machine::Machine;
use super::state::Pins;
use super::work::After;

/// The GTID under which the connection's last transaction was committed.
pub(super) const LAST_GTID: &[u8] = b"last_gtid";
/// The list of tracked variables, as a key of a session effect.
const LIST: &[u8] = b"@@session_track_system_variables";
/// Whether to be told that something in the session has changed, as a key of a session effect.
const STATE_CHANGE: &[u8] = b"@@session_track_state_change";
/// Asks for what the session needs. Refused where the list is `*`, which has most of it.
pub(super) const ASK: &[u8] = b"SET SESSION session_track_state_change=1,\
    session_track_system_variables=CONCAT(@@session_track_system_variables,',last_gtid')";

/// What the session knows of its own writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// The last GTID in the cluster's domain.
    pub(super) last: Option<Gtid>,
    /// The last statement was committed under a GTID that will be told with the next OK packet.
    pub(super) untold: bool,
    /// It wrote something that only one node has: in a domain that is not the cluster's.
    pub(super) strays: bool,
    /// The client itself asks to be told of GTIDs.
    pub(super) told_to_client: bool,
    /// It asks to be told that something in the session has changed.
    pub(super) changes_told_to_client: bool,
}

impl Written {
    /// The client has changed a session setting by this statement.
    pub(super) fn changed(&mut self, change: &Change, text: &[u8]) -> bool {
        let (lists, of_changes) = (change.keys.contains(LIST), change.keys.contains(STATE_CHANGE));
        if lists {
            let named = |name: &[u8]| memchr::memmem::find(&text.to_ascii_lowercase(), name).is_some();
            self.told_to_client = named(LAST_GTID) || named(b"*");
        }
        if of_changes {
            self.changes_told_to_client = turns_on(text, &STATE_CHANGE[2..]);
        }
        lists || of_changes
    }

    /// The session is as new, but for what it has written.
    pub(super) fn reset(self) -> Self {
        Self { told_to_client: false, changes_told_to_client: false, ..self }
    }

    fn untold(&self) -> Untold<'static> {
        Untold {
            variable: Some(LAST_GTID).filter(|_| !self.told_to_client),
            state_change: !self.changes_told_to_client,
        }
    }
}

impl Machine {
    /// What the client has not asked to be told once the command under way, which succeeds, is in force.
    fn untold(&self) -> Untold<'static> {
        let mut written = self.state.written;
        if let Some(work) = self.work.as_ref().filter(|work| matches!(work.after, After::Effect(_))) {
            let text = work.packet.get(HEADER + 1..).unwrap_or_default();
            written.changed(&effect::change(text, self.state.mode), text);
        }
        written.untold()
    }

    /// An OK packet of the client's command with tracking data has come: takes note of it, and writes to the client what it may see of it.
    pub(super) fn take_tracking(&mut self, slot: Slot, ok: &OkPacket<'_>, sequence: u8, desk: &mut Desk) -> Seen {
        if ok.tells_state_change() {
            self.note_state_change(slot, ok.tracked_schema().is_some());
        }
        if let Some(gtid) = ok.tracked_variable(LAST_GTID) {
            self.note_gtid(slot, gtid, desk);
            self.note_lasting(slot);
        }
        let untold = self.untold();
        if !self.tracks() {
            desk.write(Peer::Client, |out| ok.put_untracked(out, sequence));
        } else if ok.tells(untold) {
            desk.write(Peer::Client, |out| ok.put_without(untold, out, sequence));
        } else {
            return Seen::AsItIs;
        }
        Seen::Rewritten
    }

    /// Something in the session has changed on this connection. Where the text does not say what, stored code has done it: what a trigger
    /// leaves are user variables, as a rule; a procedure or a function may leave anything. Stored code of another schema goes there
    /// and comes back, which is all that has changed as a rule.
    fn note_state_change(&mut self, slot: Slot, came_back: bool) {
        let Some(work) = &self.work else { return };
        let (After::Statement(verdict) | After::Execute(verdict)) = work.after else { return };
        let said = Traits::TAINTS_VARIABLES
            | Traits::TEMPORARY_TABLE
            | Traits::UNREPEATABLE
            | Traits::IMPLICIT_COMMIT
            | Traits::OWN_SETTINGS;
        let stored = Traits::MAY_COMMIT | Traits::LEAVES_UNKNOWN;
        // Rows that end without an OK packet have left it to this one to tell of what they have changed.
        let late = self.state.written.untold;
        if !came_back && (late || verdict.traits.intersects(stored)) {
            self.state.pin(Pins::SETTINGS, slot);
        } else if late || (verdict.class == Class::Write && !verdict.traits.intersects(said)) {
            self.state.leave_variables(slot);
        }
    }

    fn note_gtid(&mut self, slot: Slot, text: &[u8], desk: &mut Desk) {
        self.trail.told = true;
        let written = &mut self.state.written;
        written.untold = false;
        let Some(gtid) = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Gtid>().ok()) else { return };
        // Where nodes don't number alike, none can be asked for it.
        let Some(domain) = desk.view.gtid_domain else { return };
        if gtid.domain != domain {
            written.strays |= desk.view.nodes.len() > 1;
            return;
        }
        if written.last.is_none_or(|last| last.domain != gtid.domain || last.sequence < gtid.sequence) {
            written.last = Some(gtid);
        }
        let node = self.conns.get(usize::from(slot)).map(|conn| conn.node);
        if let Some(load) = node.and_then(|node| desk.load(node)) {
            load.progress.reached(gtid.sequence);
        }
    }

    /// A statement within a transaction was logged under a GTID of its own: it has changed a table without transactions, and no rollback
    /// takes that back (measured on a server by itself; one of a cluster tells only with COMMIT).
    fn note_lasting(&mut self, slot: Slot) {
        let within = self.state.transaction == Some(slot) && !self.work.as_ref().is_some_and(commits);
        if let Some(journal) = self.journal.as_mut().filter(|_| within) {
            journal.spoil();
        }
    }

    /// The client's command has ended. A transaction that the node has aborted within its commit, and has committed after all by
    /// running it again, is answered without its GTID.
    pub(super) fn note_silence(&mut self, slot: Slot, desk: &Desk) {
        let over = self.state.transaction != Some(slot);
        if over && self.trail.is_silent() && desk.view.gtid_domain.is_some() {
            self.state.written.untold = true;
        }
        self.trail.changed &= !over;
    }

    /// Takes from an EOF packet of the client's command that something has changed, if that is only what the client has not asked to be
    /// told: the GTID, which comes with the next OK packet, or what SET STATEMENT sets.
    pub(super) fn untrack_eof(&self, slot: Slot, payload: &mut [u8]) {
        let asked = self.conns.get(usize::from(slot)).is_some_and(|conn| conn.asked.is_some());
        let (Some(work), written) = (&self.work, &self.state.written) else { return };
        let sets = work.verdict().is_some_and(|verdict| verdict.traits.contains(Traits::OWN_SETTINGS));
        let gtid = work.may_change_data() && !written.told_to_client;
        if !self.tracks() || gtid || (asked && sets && !written.changes_told_to_client) {
            ok::untrack_eof(payload);
        }
    }

    /// The rows of a client's command end with this status, which can't say under which GTID something was committed.
    pub(super) fn note_untold(&mut self, status: Status) {
        self.state.written.untold |= status.contains(Status::SESSION_STATE_CHANGED);
    }
}

/// Whether a SET turns this on.
fn turns_on(text: &[u8], name: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let Some(at) = memchr::memmem::rfind(&text, name) else { return false };
    let mut words = text[at + name.len()..].split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    !words.next().is_some_and(is_off)
}

/// What became of a packet with tracking data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The client may get it as it is.
    AsItIs,
    /// The client has got it without what it must not see.
    Rewritten,
}
