//! Leaving node connections: for good, or to other sessions, between two transactions of this one or at its end.
//!
//! With `multiplex` a session lends what it does not need. Its effects and prepared statements are repeated on the next connection, as
//! after the loss of a node. LAST_INSERT_ID() is asked for before the connection goes, and set on the next one. What can't be had
//! elsewhere keeps the connection: a transaction, pins, cursors and long data, whatever stored code may have left. What the
//! previous statement left (warnings, FOUND_ROWS(), ROW_COUNT()) keeps it for a while where it is likely to be asked for; who
//! asks too late is told so.

use std::time::Duration;

use crate::backend::pool::{Kept, Reset};
use crate::cluster::view::NodeId;
use crate::fault::{Fault, Retry};
use crate::sql::statement::{Class, Traits, Verdict};
use crate::wire::capability::Capabilities;
use crate::wire::command::{self, INIT_DB, QUERY, QUIT, RESET_CONNECTION, STMT_CLOSE};
use crate::wire::ok::{OK, Ok as OkPacket};
use crate::wire::packet::{HEADER, Header};
use crate::wire::reply::Shape;

use super::conn::{NodeConn, Phase as ConnPhase, Purpose};
use super::desk::{Action, Desk, Peer, Slot};
use super::kill::Sentence;
use super::machine::Machine;
use super::state::Left;

/// How long a connection stays for the sake of what the previous statement left on it.
const FOLLOW_UP: Duration = Duration::from_millis(500);
/// More prepared statements than this are left to a reset.
const CLOSES_MAX: usize = 16;
/// Tells what LAST_INSERT_ID() is.
const ASK_INSERT_ID: &[u8] = b"SELECT LAST_INSERT_ID()";
/// How a statement sets it.
const LAST_INSERT_ID: &[u8] = b"last_insert_id";
/// Traits of statements whose OK packets don't tell what they have made of it.
const UNTOLD_IDS: Traits = Traits::MAY_COMMIT.union(Traits::LEAVES_UNKNOWN).union(Traits::MULTI);

impl Machine {
    /// From when on the session can do without this connection, in microseconds of the desk's clock. None: not as things are.
    pub fn spare_from(&self, slot: Slot) -> Option<u64> {
        let conn = self.conns.get(usize::from(slot))?;
        // A command that waits for another node must not keep this one from whoever waits here.
        let idle = self.is_serving() && conn.is_quiet() && !conn.tied && self.is_free(slot);
        let bound = self.state.upcoming.is_set() || self.prepared.holds_data() || self.sentence != Sentence::None;
        (idle && !bound).then_some(conn.spare_from_us)
    }

    /// Others wait for a connection to this node: the session gives its own back, if it can.
    pub fn on_asked_for(&mut self, node: NodeId, desk: &mut Desk) {
        let Some(place) = self.conns.iter().position(|conn| conn.is_open() && conn.node == node) else { return };
        let slot = place as Slot;
        if self.spare_from(slot).is_none_or(|from_us| from_us > desk.now_us) {
            return;
        }
        if self.state.insert_id_at != Some(slot) {
            return self.part(slot, desk);
        }
        desk.write(Peer::Node(slot), |out| command::put(out, QUERY, ASK_INSERT_ID));
        self.state.forget_previous(slot);
        let conn = &mut self.conns[place];
        conn.answer.clear();
        conn.owe(Purpose::InsertId, Shape::Results);
    }

    /// All of the node's word of LAST_INSERT_ID() has been read. If the client has not sent a command meanwhile, the connection goes.
    pub(super) fn keep_insert_id(&mut self, slot: Slot, desk: &mut Desk) {
        let limit = desk.settings.history_bytes_max;
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return };
        let Some(id) = insert_id(&std::mem::take(&mut conn.answer)) else {
            conn.tied = true;
            return;
        };
        let current = conn.sent == self.state.version();
        self.state.keep_insert_id(id, slot, limit);
        if current {
            conn.sent = self.state.version();
        }
        if self.spare_from(slot).is_some() {
            self.part(slot, desk);
        }
    }

    /// A command is about to run on a connection: what it may leave there. It is `fresh` from the client, or was kept.
    pub(super) fn note_traces(&mut self, slot: Slot, fresh: Option<&[u8]>, desk: &Desk) {
        let (Some(work), Some(conn)) = (&self.work, self.conns.get_mut(usize::from(slot))) else { return };
        conn.spotless &= work.is_spotless();
        conn.foreign = false;
        let Some(verdict) = work.statement_verdict() else { return };
        conn.tied |= verdict.traits.intersects(Traits::MAY_COMMIT | Traits::LEAVES_UNKNOWN);
        if verdict.class == Class::Write {
            let known = self.state.insert_id_at.is_none() && work.upload.is_none();
            self.state.insert_id_at = Some(slot);
            let tells = known && desk.settings.multiplex && !verdict.traits.intersects(UNTOLD_IDS);
            let tells = tells && tells_insert_id(self.text(fresh));
            if let Some(work) = &mut self.work {
                work.tells_insert_id = tells;
            }
        }
    }

    /// The statement text of a command that is about to be sent.
    fn text<'a>(&'a self, fresh: Option<&'a [u8]>) -> &'a [u8] {
        let statement = self.work.as_ref().and_then(|work| work.statement).and_then(|id| self.prepared.get(id));
        let kept = || self.work.as_ref().map(|work| &*work.packet);
        let packet = statement.map(|statement| &*statement.packet).or(fresh).or_else(kept);
        packet.and_then(|packet| packet.get(HEADER + 1..)).unwrap_or_default()
    }

    /// An OK packet of the client's command has come. If that would have told of a new LAST_INSERT_ID(), and does not, it is as it was.
    pub(super) fn note_insert_id(&mut self, packet: &[u8]) {
        let told = |payload| OkPacket::parse(payload).is_ok_and(|ok| ok.marker == OK && ok.insert_id == 0);
        if self.work.as_ref().is_some_and(|work| work.tells_insert_id) && told(&packet[HEADER..]) {
            self.state.insert_id_at = None;
        }
    }

    /// The client's command has run on a connection: how long it stays for the sake of what will be asked of it.
    pub(super) fn note_aftermath(&mut self, slot: Slot, desk: &Desk) {
        let (Some(work), Some(conn)) = (&self.work, self.conns.get_mut(usize::from(slot))) else { return };
        // A statement without tables leaves the warnings of the one before it.
        conn.spotless &= !work.warned;
        let counts = work.asks_row_counts();
        let asked_for = work.warned || counts || self.state.asks_row_counts;
        conn.spare_from_us = if asked_for { desk.after(FOLLOW_UP) } else { desk.now_us };
        self.state.previous_warned = work.warned;
    }

    /// What a statement asks of earlier ones, if the connection that knew it is gone.
    pub(super) fn forgotten(&mut self, verdict: Verdict) -> Option<Fault> {
        if self.state.left == Left::Gone && verdict.traits.contains(Traits::READS_VARIABLE) {
            self.state.left = Left::Nothing;
            let text = "User variables that stored code has set were lost with its node connection; set them again";
            return Some(Fault::proxy(Retry::Never, 1105, b"HY000", text));
        }
        let counts = verdict.class == Class::Diagnostics && verdict.traits.contains(Traits::ROW_COUNTS);
        self.state.asks_row_counts |= counts;
        let warnings = self.state.previous_warned && verdict.traits.contains(Traits::WARNINGS);
        let gone = self.state.previous_gone && verdict.class == Class::Diagnostics && (counts || warnings);
        gone.then(|| {
            let text = "Row counts and warnings of the previous statement are gone with its node connection; run the statement again";
            Fault::proxy(Retry::Never, 1105, b"HY000", text)
        })
    }

    /// Leaves a connection that is not needed any more to others, or ends it.
    pub(super) fn part(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(conn) = self.conns.get(usize::from(slot)).filter(|conn| conn.is_open()) else { return };
        if !conn.is_quiet() {
            return self.drop_conn(slot, desk);
        }
        let clean =
            conn.spotless && self.state.transaction != Some(slot) && self.prepared.on(slot).count() <= CLOSES_MAX;
        // What a handshake alone sets, a reset does not bring back.
        let keeps = desk.settings.keeps_connections
            && (clean || !desk.settings.galera)
            && self.state.is_resettable(conn.sent)
            && !self.client.capabilities.intersects(Capabilities::ONLY_AT_LOGIN)
            && desk.accounts.keeps_connections();
        let mut tell = |byte| desk.write(Peer::Node(slot), |out| command::put(out, byte, b""));
        if !keeps {
            // A node logs a connection that just vanishes as aborted.
            tell(QUIT);
            self.forget_conn(slot, desk);
            return desk.act(Action::Close(slot));
        }
        let kept = if clean {
            for id in self.prepared.on(slot) {
                desk.write(Peer::Node(slot), |out| command::put(out, STMT_CLOSE, &id.to_le_bytes()));
            }
            Kept { reset: Reset::Unneeded, ..conn.kept }
        } else {
            tell(RESET_CONNECTION);
            let answers = 1 + self.client.schema.as_ref().map_or(0, |schema| {
                // A reset leaves the schema, but not its charset (`collation_database`), by which LOAD DATA reads files.
                desk.write(Peer::Node(slot), |out| command::put(out, INIT_DB, schema));
                1
            });
            Kept { reset: Reset::Sent(answers), schema_seen: desk.sighting(), defaults: desk.defaults(), ..conn.kept }
        };
        let fit = self.fit(conn.node, conn.introduced, kept.defaults);
        self.forget_conn(slot, desk);
        desk.act(Action::Keep { slot, fit, kept });
    }

    /// Closes a connection whose loss nobody feels.
    pub(super) fn drop_conn(&mut self, slot: Slot, desk: &mut Desk) {
        if self.conns.get(usize::from(slot)).is_some_and(NodeConn::is_open) {
            self.forget_conn(slot, desk);
            desk.act(Action::Abort(slot));
        }
    }

    pub(super) fn forget_conn(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return };
        conn.phase = ConnPhase::Closed;
        if let Some(load) = desk.load(conn.node) {
            load.connections = load.connections.saturating_sub(1);
        }
        self.prepared.forget(slot);
        self.state.lost(slot);
        if let Some(replay) = self.journal.as_mut().and_then(|journal| journal.replay.as_mut())
            && replay.at.is_some_and(|(place, ..)| place == slot)
        {
            replay.at = None;
        }
    }
}

/// Whether the OK packet of this statement tells of any new value of LAST_INSERT_ID() but one that the statement itself sets to 0
/// (server: `mysql_insert` and `mysql_update`; DELETE does not tell what LAST_INSERT_ID(expression) in it has set).
fn tells_insert_id(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let named =
        |at| text[at..].get(..LAST_INSERT_ID.len()).is_some_and(|name| name.eq_ignore_ascii_case(LAST_INSERT_ID));
    let sets = || memchr::memchr2_iter(b'l', b'L', text).any(named);
    (begins(b"update") || begins(b"insert") || begins(b"replace")) && !sets()
}

/// The value in the packets of a result of one row and one column, its end left out. None if there is no row.
fn insert_id(mut packets: &[u8]) -> Option<u64> {
    let mut last = &packets[..0];
    while let Some(header) = Header::parse(packets) {
        let (packet, rest) = packets.split_at_checked(header.total())?;
        (last, packets) = (&packet[HEADER..], rest);
    }
    let (length, digits) = last.split_first()?;
    let digits = (usize::from(*length) == digits.len()).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tells_of_an_insert_id() {
        for text in ["UPDATE t SET a = 1", " insert INTO t VALUES (1)", "REPLACE t VALUES (1)"] {
            assert!(tells_insert_id(text.as_bytes()), "{text}");
        }
        for text in
            ["DELETE FROM t", "DO 1", "UPDATE t SET a = Last_Insert_Id(a + 1)", "INSERT t SELECT last_insert_id(0)", ""]
        {
            assert!(!tells_insert_id(text.as_bytes()), "{text}");
        }
    }
}
