//! Binary prepared statements of a session: the client's own ids, and what each is called on which node connection (pure).
//!
//! A client may leave the parameter types out of an execute after its first one; a connection that has not seen them gets them added.
//! A statement that the client has closed stays for as long as a transaction may have to run it again.

use std::collections::BTreeMap;

use crate::sql::statement::Verdict;
use crate::wire::capability::Status;
use crate::wire::command::{Command, STMT_EXECUTE};
use crate::wire::packet::{self, HEADER, Header};
use crate::wire::reply::Shape;

use super::desk::Slot;
use super::mark::Mark;

/// The id that means "the one prepared last" (MariaDB's direct execution).
pub(super) const LAST: u32 = u32::MAX;
/// Where the statement id stands in a packet: behind header and command.
const ID_AT: usize = HEADER + 1;
/// Where the cursor flags of an execute stand.
const CURSOR_AT: usize = ID_AT + 4;
/// Where the null bitmap of an execute starts.
const BITMAP_AT: usize = ID_AT + 9;
/// Where the flags of a bulk execute stand, and the one that says that types follow (server: STMT_BULK_FLAG_CLIENT_SEND_TYPES).
const BULK_FLAGS_AT: usize = ID_AT + 4;
const BULK_TYPED: u8 = 128;

/// One statement.
pub(super) struct Statement {
    /// COM_STMT_PREPARE as the client sent it.
    pub(super) packet: Box<[u8]>,
    pub(super) verdict: Verdict,
    /// How its text is marked on every node.
    pub(super) mark: Option<Mark>,
    pub(super) parameters: u16,
    types: Box<[u8]>,
    places: Vec<Place>,
    held: Held,
    data: Data,
    /// For the client it is gone.
    closed: bool,
}

/// The long data for the next execute, as the client has sent it.
#[derive(Default)]
struct Data {
    packets: Vec<u8>,
    /// Some of it was not kept.
    cut: bool,
    /// The rest of a packet is to come.
    open: bool,
}

/// What one connection holds for a statement, besides the statement itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Nothing,
    /// Long data for the next execute.
    LongData(Slot),
    /// The same, which is on no connection any more, but all of it was kept.
    Kept,
    /// An open cursor.
    Cursor(Slot),
    /// One of these, on a connection that was lost; the client has not been told yet.
    Lost,
}

impl Held {
    pub(super) fn slot(self) -> Option<Slot> {
        match self {
            Self::LongData(slot) | Self::Cursor(slot) => Some(slot),
            Self::Nothing | Self::Kept | Self::Lost => None,
        }
    }
}

struct Place {
    slot: Slot,
    id: u32,
    /// The connection has seen the current types.
    typed: bool,
}

/// All statements of a session.
#[derive(Default)]
pub(super) struct Prepared {
    statements: BTreeMap<u32, Statement>,
    /// How many of them the client has closed.
    closed: usize,
    /// How many of them have data or a cursor on some connection.
    holding: usize,
    /// Bytes of long data that are kept.
    data_bytes: usize,
    last: u32,
    /// The last PREPARE succeeded.
    last_valid: bool,
}

impl Prepared {
    /// Bytes that it keeps besides itself.
    pub(super) fn memory(&self) -> usize {
        self.data_bytes + self.statements.values().map(Statement::memory).sum::<usize>()
    }

    /// How many the client has.
    pub(super) fn len(&self) -> usize {
        self.statements.len() - self.closed
    }

    /// A new statement that has just been prepared on a connection. Returns the client's id for it.
    pub(super) fn add(
        &mut self,
        packet: &[u8],
        (verdict, mark): (Verdict, Option<Mark>),
        parameters: u16,
        slot: Slot,
        id: u32,
    ) -> u32 {
        self.last = self.last.wrapping_add(1);
        if self.last == LAST || self.last == 0 {
            self.last = 1;
        }
        let places = vec![Place { slot, id, typed: false }];
        let statement = Statement {
            packet: packet.into(),
            verdict,
            mark,
            parameters,
            types: Box::default(),
            places,
            held: Held::Nothing,
            data: Data::default(),
            closed: false,
        };
        self.statements.insert(self.last, statement);
        self.last_valid = true;
        self.last
    }

    /// A PREPARE has failed: there is no last statement now.
    pub(super) fn failed(&mut self) {
        self.last_valid = false;
    }

    /// The client's id in a command, [`LAST`] resolved.
    pub(super) fn resolve(&self, id: u32) -> Option<u32> {
        let id = if id == LAST && self.last_valid { self.last } else { id };
        self.statements.get(&id).filter(|statement| !statement.closed).map(|_| id)
    }

    pub(super) fn get(&self, id: u32) -> Option<&Statement> {
        self.statements.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Statement> {
        self.statements.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.release(id);
        let removed = self.statements.remove(&id);
        self.closed -= usize::from(removed.is_some_and(|statement| statement.closed));
    }

    /// The client has closed a statement that may have to run again. Returns where it was prepared.
    pub(super) fn close(&mut self, id: u32) -> Vec<(Slot, u32)> {
        self.release(id);
        let Some(statement) = self.statements.get_mut(&id) else { return Vec::new() };
        self.closed += usize::from(!std::mem::replace(&mut statement.closed, true));
        std::mem::take(&mut statement.places).into_iter().map(|place| (place.slot, place.id)).collect()
    }

    /// One of those that the client has closed which is the same as this one.
    pub(super) fn closed_like(&self, id: u32) -> Option<u32> {
        let like = self.statements.get(&id).filter(|_| self.closed > 0)?;
        let same = |other: &Statement| other.closed && other.packet == like.packet;
        self.statements.iter().find(|(other, statement)| **other != id && same(statement)).map(|(other, _)| *other)
    }

    /// The ids of those that the client has closed.
    pub(super) fn closed(&self) -> Vec<u32> {
        if self.closed == 0 {
            return Vec::new();
        }
        self.statements.iter().filter(|(_, statement)| statement.closed).map(|(id, _)| *id).collect()
    }

    /// Nothing runs again: those that the client has closed are gone.
    pub(super) fn forget_closed(&mut self) {
        if self.closed > 0 {
            self.statements.retain(|_, statement| !statement.closed);
            self.closed = 0;
        }
    }

    /// Something is held for a statement on a connection now, or nothing any more.
    pub(super) fn hold(&mut self, id: u32, held: Held) {
        if let Some(statement) = self.statements.get_mut(&id) {
            let before = std::mem::replace(&mut statement.held, held);
            self.holding -= usize::from(before.slot().is_some());
            self.holding += usize::from(held.slot().is_some());
            if !matches!(held, Held::LongData(_) | Held::Kept) {
                self.data_bytes -= std::mem::take(&mut statement.data).packets.len();
            }
        }
    }

    /// Long data for a statement goes to this connection, this part of a packet next; `ends` if it is the last. It is kept as well, as
    /// long as all that is kept for the session has no more than `bytes_max`.
    pub(super) fn send_data(&mut self, id: u32, slot: Slot, part: &[u8], ends: bool, bytes_max: usize) {
        let Some(Statement { data, .. }) = self.statements.get_mut(&id) else { return };
        data.open = !ends;
        data.cut |= self.data_bytes + part.len() > bytes_max;
        if !data.cut {
            data.packets.extend_from_slice(part);
            self.data_bytes += part.len();
        }
        self.hold(id, Held::LongData(slot));
    }

    /// An execute with long data has failed: only its node knows what it has of that now.
    pub(super) fn cut_data(&mut self, id: u32) {
        if let Some(statement) = self.statements.get_mut(&id) {
            let cut = Data { cut: true, ..Data::default() };
            self.data_bytes -= std::mem::replace(&mut statement.data, cut).packets.len();
        }
    }

    /// Whether any connection has data or a cursor for a statement.
    pub(super) fn holds_data(&self) -> bool {
        self.holding > 0
    }

    /// Nothing is held for a statement any more.
    pub(super) fn release(&mut self, id: u32) {
        self.hold(id, Held::Nothing);
    }

    /// The ids of those that a connection has.
    pub(super) fn on(&self, slot: Slot) -> impl Iterator<Item = u32> {
        self.statements.values().filter_map(move |statement| statement.id_on(slot))
    }

    /// An execute has run again, or another command for its cursor: what that leaves open. Long data is the next one's.
    pub(super) fn reopen(&mut self, id: u32, slot: Slot, shape: Shape, status: Status) {
        let held = self.get(id).map_or(Held::Kept, Statement::held);
        match shape {
            Shape::Rows => {}
            _ if matches!(held, Held::Kept | Held::LongData(_)) => {}
            Shape::Cursor if status.contains(Status::CURSOR_EXISTS) => self.hold(id, Held::Cursor(slot)),
            _ => self.release(id),
        }
    }

    /// The connection of this slot is gone.
    pub(super) fn forget(&mut self, slot: Slot) {
        for statement in self.statements.values_mut() {
            statement.places.retain(|place| place.slot != slot);
            if statement.held.slot() == Some(slot) {
                let kept = statement.keeps_data() && matches!(statement.held, Held::LongData(_));
                statement.held = if kept { Held::Kept } else { Held::Lost };
                self.holding -= 1;
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Statement {
    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.packet.len() + self.types.len()
    }

    /// What a connection holds for it.
    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// The packets of long data for its next execute, as the client has sent them.
    pub(super) fn data(&self) -> &[u8] {
        &self.data.packets
    }

    /// Whether all its long data is kept.
    pub(super) fn keeps_data(&self) -> bool {
        !self.data.cut && !self.data.open
    }

    /// Its id on a connection, if it is prepared there.
    pub(super) fn id_on(&self, slot: Slot) -> Option<u32> {
        self.places.iter().find(|place| place.slot == slot).map(|place| place.id)
    }

    /// It has been prepared on one more connection.
    pub(super) fn prepared_on(&mut self, slot: Slot, id: u32) {
        self.places.retain(|place| place.slot != slot);
        self.places.push(Place { slot, id, typed: false });
    }

    /// The client has sent an execute, and takes its types for known from now on, whatever becomes of it. The front of the packet
    /// will do, if it holds the types.
    pub(super) fn learn_types(&mut self, execute: &[u8]) {
        if let Some(types) = self.types_in(execute).filter(|types| *self.types != **types) {
            self.types = types.into();
            self.places.iter_mut().for_each(|place| place.typed = false);
        }
    }

    /// An execute goes to this connection: whether it needs the types added. It may be an earlier one, with other types.
    pub(super) fn needs_types(&mut self, execute: &[u8], slot: Slot) -> bool {
        let brought = self.types_in(execute).map(|types| *types == *self.types);
        let Some(place) = self.places.iter_mut().find(|place| place.slot == slot) else { return false };
        let knew = std::mem::replace(&mut place.typed, brought.unwrap_or(true));
        brought.is_none() && !knew && !self.types.is_empty()
    }

    fn types_in<'a>(&self, execute: &'a [u8]) -> Option<&'a [u8]> {
        let layout = self.layout(execute).filter(|layout| layout.typed && self.parameters > 0)?;
        execute.get(layout.types_at..layout.types_at + 2 * usize::from(self.parameters))
    }

    /// Whether an execute has the types of its parameters in it. The front of the packet will do.
    pub(super) fn brings_types(&self, execute: &[u8]) -> bool {
        self.layout(execute).is_none_or(|layout| layout.typed)
    }

    /// Whether this connection has not seen the types that an earlier execute brought.
    pub(super) fn lacks_types(&self, slot: Slot) -> bool {
        !self.types.is_empty() && self.places.iter().any(|place| place.slot == slot && !place.typed)
    }

    /// Appends an execute without types as one with types.
    pub(super) fn put_typed(&self, execute: &[u8], out: &mut Vec<u8>) {
        let Some(layout) = self.layout(execute) else { return out.extend_from_slice(execute) };
        packet::put(out, 0, |out| {
            let start = out.len();
            out.extend_from_slice(&execute[HEADER..layout.types_at]);
            out[start + layout.flag_at - HEADER] |= layout.flag;
            out.extend_from_slice(&self.types);
            out.extend_from_slice(&execute[layout.types_at..]);
        });
    }

    /// Appends an execute that has types and no values: the node notes the types, and refuses it with 1210 before anything runs.
    pub(super) fn put_types(&mut self, slot: Slot, out: &mut Vec<u8>) {
        let Some(place) = self.places.iter_mut().find(|place| place.slot == slot) else { return };
        place.typed = true;
        packet::put(out, 0, |out| {
            out.push(STMT_EXECUTE);
            out.extend_from_slice(&place.id.to_le_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0]);
            out.resize(out.len() + usize::from(self.parameters).div_ceil(8), 0);
            out.push(1);
            out.extend_from_slice(&self.types);
        });
    }

    fn layout(&self, execute: &[u8]) -> Option<Layout> {
        let (flag_at, flag, types_at) = match Command::from_byte(*execute.get(HEADER)?) {
            Command::StmtBulkExecute => (BULK_FLAGS_AT, BULK_TYPED, BULK_FLAGS_AT + 2),
            _ => {
                let flag_at = BITMAP_AT + usize::from(self.parameters).div_ceil(8);
                (flag_at, 1, flag_at + 1)
            }
        };
        let typed = execute.get(flag_at)? & flag != 0;
        (types_at <= execute.len()).then_some(Layout { flag_at, flag, typed, types_at })
    }
}

/// Where an execute says whether it brings types, and where they stand or would stand.
struct Layout {
    flag_at: usize,
    flag: u8,
    typed: bool,
    types_at: usize,
}

/// Whether an execute asks for a cursor.
pub(super) fn wants_cursor(execute: &[u8]) -> bool {
    execute.get(CURSOR_AT).is_some_and(|flags| *flags != 0)
}

/// The statement id in a command's packet.
pub(super) fn statement_id(packet: &[u8]) -> Option<u32> {
    packet.get(ID_AT..ID_AT + 4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Puts another statement id into a command's packet.
pub(super) fn set_statement_id(packet: &mut [u8], id: u32) {
    if let Some(place) = packet.get_mut(ID_AT..ID_AT + 4) {
        place.copy_from_slice(&id.to_le_bytes());
    }
}

/// Packets of commands that name one statement, under another id.
pub(super) fn with_statement_id(packets: &[u8], id: u32) -> Vec<u8> {
    let mut named = packets.to_vec();
    let mut rest = &mut named[..];
    let mut chained = false;
    while let Some(header) = Header::parse(rest) {
        if !std::mem::replace(&mut chained, header.continued()) {
            set_statement_id(rest, id);
        }
        rest = rest.get_mut(header.total()..).unwrap_or_default();
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statement::{Class, Traits};

    const READ: Verdict = Verdict { class: Class::Read, traits: Traits::empty(), why: "" };

    fn execute(types: Option<&[u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        packet::put(&mut out, 0, |out| {
            out.extend_from_slice(&[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
            out.push(u8::from(types.is_some()));
            out.extend_from_slice(types.unwrap_or_default());
            out.extend_from_slice(&[42, 0, 0, 0]);
        });
        out
    }

    #[test]
    fn types_are_added_once_where_they_are_missing() {
        let mut prepared = Prepared::default();
        let id = prepared.add(b"", (READ, None), 1, 0, 7);
        let statement = prepared.get_mut(id).unwrap();
        statement.learn_types(&execute(Some(&[3, 0])));
        assert!(!statement.needs_types(&execute(Some(&[3, 0])), 0));
        assert!(!statement.needs_types(&execute(None), 0));
        statement.prepared_on(1, 9);
        assert!(statement.needs_types(&execute(None), 1));
        let mut out = Vec::new();
        statement.put_typed(&execute(None), &mut out);
        assert_eq!(out, execute(Some(&[3, 0])));
        assert!(!statement.needs_types(&execute(None), 1));
        statement.learn_types(&execute(Some(&[8, 0])));
        assert!(!statement.needs_types(&execute(Some(&[8, 0])), 1));
        assert!(statement.needs_types(&execute(None), 0), "new types must reach the first connection too");
        assert!(!statement.needs_types(&execute(Some(&[3, 0])), 1));
        assert!(statement.needs_types(&execute(None), 1), "one that ran again has told old types");
    }

    #[test]
    fn bulk_executes_have_their_types_elsewhere() {
        let bulk = |flags: u8, types: &[u8]| {
            let mut out = Vec::new();
            let parts = [&[0xfa, 1, 0, 0, 0, flags, 0], types, &[0, 42, 0, 0, 0]].concat();
            packet::put(&mut out, 0, |out| out.extend_from_slice(&parts));
            out
        };
        let mut prepared = Prepared::default();
        let id = prepared.add(b"", (READ, None), 1, 0, 7);
        let statement = prepared.get_mut(id).unwrap();
        statement.learn_types(&bulk(128, &[3, 0]));
        assert!(!statement.needs_types(&bulk(128, &[3, 0]), 0));
        statement.prepared_on(1, 9);
        assert!(statement.lacks_types(1) && !statement.lacks_types(0));
        assert!(statement.needs_types(&bulk(0, &[]), 1));
        let mut out = Vec::new();
        statement.put_typed(&bulk(0, &[]), &mut out);
        assert_eq!(out, bulk(128, &[3, 0]));
        assert!(!statement.needs_types(&execute(None), 1), "one kind of execute has told the node for the other");
    }

    #[test]
    fn a_node_can_be_told_the_types_alone() {
        let mut prepared = Prepared::default();
        let id = prepared.add(b"", (READ, None), 1, 0, 7);
        let statement = prepared.get_mut(id).unwrap();
        statement.learn_types(&execute(Some(&[3, 0])));
        statement.prepared_on(1, 1);
        assert!(statement.lacks_types(1));
        let mut out = Vec::new();
        statement.put_types(1, &mut out);
        assert_eq!(out[HEADER..], execute(Some(&[3, 0]))[HEADER..out.len()]);
        assert!(!statement.lacks_types(1));
    }

    #[test]
    fn the_last_one() {
        let mut prepared = Prepared::default();
        assert_eq!(prepared.resolve(LAST), None);
        let id = prepared.add(b"", (READ, None), 0, 0, 7);
        assert_eq!(prepared.resolve(LAST), Some(id));
        prepared.failed();
        assert_eq!((prepared.resolve(LAST), prepared.resolve(id)), (None, Some(id)));
    }

    #[test]
    fn a_closed_one_stays_until_nothing_runs_again() {
        let mut prepared = Prepared::default();
        let [first, second, other] = [(b"one", 7), (b"one", 8), (b"two", 9)]
            .map(|(text, on_node)| prepared.add(text, (READ, None), 0, 0, on_node));
        assert_eq!((prepared.close(first), prepared.closed_like(second), prepared.closed_like(other)), {
            (vec![(0, 7)], Some(first), None)
        });
        assert_eq!((prepared.len(), prepared.resolve(first), prepared.closed()), (2, None, vec![first]));
        prepared.get_mut(first).unwrap().prepared_on(1, 3);
        assert_eq!((prepared.close(first), prepared.len()), (vec![(1, 3)], 2));
        prepared.forget_closed();
        assert_eq!((prepared.len(), prepared.get(first).is_none(), prepared.resolve(second)), (2, true, Some(second)));
    }

    #[test]
    fn a_lost_connection_is_forgotten() {
        let mut prepared = Prepared::default();
        let id = prepared.add(b"", (READ, None), 0, 0, 7);
        prepared.hold(id, Held::Cursor(0));
        assert!(prepared.holds_data());
        prepared.forget(0);
        assert!(!prepared.holds_data());
        let statement = prepared.get(id).unwrap();
        assert_eq!((statement.id_on(0), statement.held()), (None, Held::Lost));
    }

    #[test]
    fn long_data_is_kept_up_to_a_limit() {
        let mut prepared = Prepared::default();
        let (one, other) = (prepared.add(b"", (READ, None), 1, 0, 7), prepared.add(b"", (READ, None), 1, 0, 8));
        let data = [&execute(None)[..], &execute(None)].concat();
        prepared.send_data(one, 0, &data, true, 100);
        prepared.forget(0);
        let statement = prepared.get_mut(one).unwrap();
        assert_eq!(statement.held(), Held::Kept);
        statement.prepared_on(1, 9);
        let sent = with_statement_id(statement.data(), 9);
        let (first, second) = sent.split_at(data.len() / 2);
        assert_eq!((statement_id(first), statement_id(second)), (Some(9), Some(9)));
        for (ends, bytes_max) in [(true, data.len() + 1), (false, 200)] {
            prepared.send_data(other, 0, &data, ends, bytes_max);
            assert_eq!(prepared.get(other).unwrap().held(), Held::LongData(0));
            prepared.forget(0);
            assert_eq!(prepared.get(other).unwrap().held(), Held::Lost, "{ends} {bytes_max}");
            prepared.release(other);
        }
        prepared.release(one);
        assert_eq!(prepared.data_bytes, 0);
    }

    #[test]
    fn ids_in_packets() {
        let mut packet = execute(None);
        assert_eq!(statement_id(&packet), Some(1));
        set_statement_id(&mut packet, 0x0102_0304);
        assert_eq!(statement_id(&packet), Some(0x0102_0304));
        assert_eq!(statement_id(&packet[..6]), None);
        set_statement_id(&mut packet[..6], 1);
    }
}
