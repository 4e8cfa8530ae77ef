//! What an open transaction has done so far, so that it can be done again on another node (pure).
//!
//! Each statement is kept with what it was answered: when it runs again, rows, affected rows, insert ids and errors must be the same.
//! GTIDs, texts for people and tracking data may differ.

use xxhash_rust::xxh3::Xxh3Default;

use crate::fault::Fault;
use crate::wire::Malformed;
use crate::wire::err::Error;
use crate::wire::ok::Ok as OkPacket;
use crate::wire::packet::HEADER;
use crate::wire::reply::{Kind, Part, Shape};

use super::desk::Slot;
use super::work::Target;

/// The statements of one transaction.
#[derive(Default)]
pub(super) struct Journal {
    /// The commands, one behind the other, as the client has sent them; before each what was uploaded for it.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Bytes of the prepared statements that are kept for it alone.
    statement_bytes: usize,
    /// So many of them came before the transaction, and say how it is to be.
    announcements: usize,
    /// Of the answer that is coming in.
    digest: Xxh3Default,
    insert_id: u64,
    /// The session's effects up to this version were there before the transaction.
    pub(super) floor: u64,
    /// Where it runs.
    pub(super) target: Option<Target>,
    /// Something in it can't be repeated.
    spoiled: bool,
    /// The schema it began in, if it has left that.
    home: Option<Box<[u8]>>,
    /// The client has been told rows.
    told_rows: bool,
    /// It leaves on its connection what does not go when it is rolled back: settings, long data.
    pub(super) has_effects: bool,
    pub(super) replay: Option<Replay>,
}

/// A transaction is to run again, or does.
pub(super) struct Replay {
    /// What the client is told if that fails.
    pub(super) fault: Fault,
    /// The connection it is running on, the next statement, and whether that has its settings. Nothing is sent on the heels of
    /// anything else: the cluster may abort the transaction at any statement, and what comes behind would be committed by itself.
    pub(super) at: Option<(Slot, usize, bool)>,
    /// How often it was begun.
    pub(super) attempts: u16,
    /// When it was first due, in microseconds of the desk's clock.
    pub(super) since_us: u64,
}

/// One statement.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Where that begins which was uploaded for it.
    upload: usize,
    start: usize,
    end: usize,
    pub(super) shape: Shape,
    /// The client's id of the prepared statement that it names.
    pub(super) statement: Option<u32>,
    /// The id that it gave to a row it inserted, and what the node counts such ids by.
    pub(super) ids: Option<Ids>,
    /// When it was sent, in microseconds since 1970.
    pub(super) sent_us: u64,
    /// It begins the transaction, and looks at nothing.
    pub(super) begins: bool,
    told: u64,
}

/// AUTO_INCREMENT as a statement saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) first: u64,
    pub(super) increment: u16,
    pub(super) offset: u16,
}

impl Journal {
    /// Begins the journal of another transaction.
    pub(super) fn begin(&mut self, floor: u64, target: Target) {
        self.bytes.clear();
        self.entries.clear();
        (self.floor, self.target) = (floor, Some(target));
        self.home = None;
        (self.announcements, self.statement_bytes) = (0, 0);
        (self.spoiled, self.told_rows, self.has_effects, self.replay) = (false, false, false, None);
    }

    /// Something happens that can't be repeated.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
        self.bytes = Vec::new();
        self.entries.clear();
    }

    /// The session leaves this schema for another. Into none a connection can't be taken back.
    pub(super) fn leave_schema(&mut self, schema: Option<Box<[u8]>>) {
        match schema {
            None if self.home.is_none() => self.spoil(),
            left => self.home = self.home.take().or(left),
        }
    }

    /// The schema in which it must begin, where that is not the session's any more.
    pub(super) fn home(&self) -> Option<&[u8]> {
        self.home.as_deref()
    }

    /// Whether all of it can be repeated.
    pub(super) fn is_whole(&self) -> bool {
        !self.spoiled
    }

    /// It waits to be run again, or is running again.
    pub(super) fn is_due(&self) -> bool {
        self.replay.is_some()
    }

    /// Bytes that are not worth keeping when another transaction uses this journal.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// An answer begins.
    pub(super) fn listen(&mut self) {
        self.bytes.truncate(self.end());
        self.digest.reset();
        self.insert_id = 0;
    }

    /// Takes in a part of the answer.
    pub(super) fn hear(&mut self, part: Part, bytes: &[u8]) -> Result<(), Malformed> {
        match part.kind {
            Kind::Opaque => {
                self.told_rows = true;
                self.digest.update(bytes);
            }
            Kind::Ok(_) => {
                let ok = OkPacket::parse(&bytes[HEADER..])?;
                self.hear_ok(ok.affected_rows, ok.insert_id);
            }
            Kind::Err => self.digest.update(&Error::parse(&bytes[HEADER..])?.code.to_le_bytes()),
            Kind::ColumnsEnd | Kind::Eof(_) | Kind::Prepared | Kind::Infile => {}
        }
        Ok(())
    }

    fn hear_ok(&mut self, affected_rows: u64, insert_id: u64) {
        self.digest.update(&affected_rows.to_le_bytes());
        self.digest.update(&insert_id.to_le_bytes());
        self.insert_id = insert_id;
    }

    /// Before it began this command has said how it is to be, and was answered with a plain OK.
    pub(super) fn announce(&mut self, command: &[u8], sent_us: u64, bytes_max: usize) {
        self.listen();
        self.hear_ok(0, 0);
        self.keep(Entry::new(Shape::Results, None, sent_us).that_begins(true), command, bytes_max);
        self.announcements = self.entries.len();
    }

    /// Where the last statement ends; what stands behind that is uploaded for the one under way.
    fn end(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.end)
    }

    /// A part of what is uploaded for the statement under way, or of the statement itself.
    pub(super) fn upload(&mut self, bytes: &[u8], bytes_max: usize) {
        if self.spoiled || !self.has_room(bytes.len(), bytes_max) {
            return self.spoil();
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes.len() + self.statement_bytes + bytes <= bytes_max
    }

    /// A prepared statement that it names takes so many bytes, and is kept for it alone from now on.
    pub(super) fn keep_statement(&mut self, bytes: usize, bytes_max: usize) {
        if !self.has_room(bytes, bytes_max) {
            return self.spoil();
        }
        self.statement_bytes += bytes;
    }

    /// The statement whose answer was taken in has ended: keeps it, unless the transaction grows too long for that. An empty
    /// command is the one that was uploaded.
    pub(super) fn keep(&mut self, entry: Entry, command: &[u8], bytes_max: usize) {
        if self.spoiled {
            return;
        }
        if !self.has_room(command.len(), bytes_max) {
            return self.spoil();
        }
        let upload = self.end();
        let start = if command.is_empty() { upload } else { self.bytes.len() };
        self.bytes.extend_from_slice(command);
        let ids = entry.ids.filter(|_| self.insert_id != 0).map(|ids| Ids { first: self.insert_id, ..ids });
        self.entries.push(Entry { upload, start, end: self.bytes.len(), ids, told: self.digest.digest(), ..entry });
    }

    /// The statement of this number.
    pub(super) fn entry(&self, number: usize) -> Option<(Entry, &[u8])> {
        let entry = self.entries.get(number)?;
        Some((*entry, &self.bytes[entry.start..entry.end]))
    }

    /// What was uploaded for the statement of this number.
    pub(super) fn uploaded(&self, number: usize) -> &[u8] {
        self.entries.get(number).map_or(b"", |entry| &self.bytes[entry.upload..entry.start])
    }

    /// Whether any of its own statements is kept.
    pub(super) fn has_begun(&self) -> bool {
        self.entries.len() > self.announcements
    }

    /// Whether the answer that was taken in is the one that the statement of this number had.
    pub(super) fn is_confirmed(&self, number: usize) -> bool {
        self.entries.get(number).is_some_and(|entry| entry.told == self.digest.digest())
    }

    /// Whether it names the prepared statement of this id.
    pub(super) fn names(&self, statement: u32) -> bool {
        self.entries.iter().rev().any(|entry| entry.statement == Some(statement))
    }

    /// Another prepared statement will do for one that it names.
    pub(super) fn rename(&mut self, statement: u32, other: u32) {
        for entry in self.entries.iter_mut().filter(|entry| entry.statement == Some(statement)) {
            entry.statement = Some(other);
        }
    }

    /// Whether the client could tell at what time its statements ran: nothing else shows what they left.
    pub(super) fn is_timed(&self) -> bool {
        self.told_rows
    }

    /// Whether any statement gave ids to rows.
    pub(super) fn gave_ids(&self) -> bool {
        self.entries.iter().any(|entry| entry.ids.is_some())
    }
}

impl Entry {
    /// A statement that is about to be sent.
    pub(super) fn new(shape: Shape, statement: Option<u32>, sent_us: u64) -> Self {
        Self { upload: 0, start: 0, end: 0, shape, statement, ids: None, sent_us, begins: false, told: 0 }
    }

    /// It begins the transaction, if so.
    pub(super) fn that_begins(self, begins: bool) -> Self {
        Self { begins, ..self }
    }

    /// If it gives ids to rows, its node counts them like this.
    pub(super) fn with_ids(self, ids: Option<Ids>) -> Self {
        Self { ids, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::capability::Status;
    use crate::wire::ok;

    fn part(kind: Kind, bytes: &[u8]) -> Part {
        Part { length: bytes.len(), kind }
    }

    fn ok_packet(affected_rows: u64, insert_id: u64, info: &[u8]) -> Vec<u8> {
        let status = Status::IN_TRANS;
        let ok = OkPacket { marker: ok::OK, affected_rows, insert_id, status, warnings: 0, info, tracking: b"" };
        let mut out = Vec::new();
        ok.put_untracked(&mut out, 1);
        out
    }

    fn hear_ok(journal: &mut Journal, packet: &[u8]) {
        journal.listen();
        journal.hear(part(Kind::Ok(Status::IN_TRANS), packet), packet).unwrap();
    }

    #[test]
    fn only_what_matters_is_compared() {
        let mut journal = Journal::default();
        journal.begin(3, Target::Writer);
        hear_ok(&mut journal, &ok_packet(1, 7, b"one"));
        let ids = Ids { first: 0, increment: 3, offset: 2 };
        journal.keep(Entry::new(Shape::Results, None, 5).with_ids(Some(ids)), b"INSERT", 100);
        let (entry, command) = journal.entry(0).unwrap();
        assert_eq!((entry.ids, entry.sent_us, command), (Some(Ids { first: 7, ..ids }), 5, &b"INSERT"[..]));
        for (packet, same) in [
            (ok_packet(1, 7, b"another text"), true),
            (ok_packet(2, 7, b"one"), false),
            (ok_packet(1, 8, b"one"), false),
        ] {
            hear_ok(&mut journal, &packet);
            assert_eq!(journal.is_confirmed(0), same);
        }
    }

    #[test]
    fn rows_are_compared_however_they_come() {
        let mut journal = Journal::default();
        journal.begin(0, Target::Writer);
        journal.listen();
        journal.hear(part(Kind::Opaque, b"some rows"), b"some rows").unwrap();
        journal.keep(Entry::new(Shape::Results, None, 0), b"SELECT", 100);
        for (rows, same) in [(&b"some rows"[..], true), (b"some rowz", false), (b"some row", false)] {
            journal.listen();
            for byte in rows.chunks(3) {
                journal.hear(part(Kind::Opaque, byte), byte).unwrap();
            }
            assert_eq!(journal.is_confirmed(0), same, "{rows:?}");
        }
    }

    #[test]
    fn uploads_are_kept_with_their_statements() {
        let mut journal = Journal::default();
        journal.begin(0, Target::Writer);
        for (uploads, command) in [(&["12", "3"][..], &b"LOAD"[..]), (&["4"], b""), (&[], b"SELECT")] {
            journal.listen();
            uploads.iter().for_each(|part| journal.upload(part.as_bytes(), 100));
            journal.keep(Entry::new(Shape::Results, None, 0), command, 100);
        }
        // Of one that was not kept nothing stays.
        journal.listen();
        journal.upload(b"5", 100);
        journal.listen();
        journal.keep(Entry::new(Shape::Results, None, 0), b"DO 1", 100);
        let kept = |number| (journal.uploaded(number), journal.entry(number).unwrap().1);
        let expected = [(&b"123"[..], &b"LOAD"[..]), (b"", b"4"), (b"", b"SELECT"), (b"", b"DO 1")];
        assert_eq!([0, 1, 2, 3].map(kept), expected);
        journal.upload(&[0; 100], 100);
        assert!(!journal.is_whole());
    }

    #[test]
    fn a_long_transaction_is_not_kept() {
        let mut journal = Journal::default();
        journal.begin(0, Target::Writer);
        for _ in 0..3 {
            journal.listen();
            journal.keep(Entry::new(Shape::Results, None, 0), b"12345", 12);
        }
        assert!(!journal.is_whole() && journal.entry(0).is_none());
        journal.begin(0, Target::Writer);
        assert!(journal.is_whole());
    }
}
