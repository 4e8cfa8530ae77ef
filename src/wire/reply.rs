//! Where a reply ends: a small state machine over packet headers and first bytes, never over timing.
//!
//! It follows every reply shape of MariaDB: OK, ERR, EOF or its deprecated absence, column definitions, rows, several results,
//! LOCAL INFILE, prepare replies, cursors, bulk results, progress reports. Bytes it has no interest in come out as one
//! [`Part`] over as many packets as are there; the packets that carry status come out whole and alone.
//! Sources: server sql/protocol.cc, sql/sql_prepare.cc; MariaDB "Client/Server Protocol" pages.

use super::Malformed;
use super::capability::{Capabilities, Status};
use super::cursor::Cursor;
use super::err::{ERR, PROGRESS};
use super::ok::{EOF, EOF_LENGTH_MAX, OK, Ok as OkPacket, eof_status};
use super::packet::{HEADER, Header, PAYLOAD_MAX};

/// First byte of a LOCAL INFILE request.
const INFILE: u8 = 0xfb;
/// The longest packet that is held until it is whole, in bytes: status packets carry texts and tracking data, no rows.
pub const STATUS_PACKET_MAX: usize = 1 << 20;

/// What kind of answer a command gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// None.
    Nothing,
    /// One OK, EOF or ERR.
    Ok,
    /// One packet of text (COM_STATISTICS).
    Text,
    /// Any number of results, each OK, ERR, LOCAL INFILE or a result set.
    Results,
    /// The same of an execute that asks for a cursor: a result set whose definitions end with the flag of one has no rows.
    Cursor,
    /// The reply to COM_STMT_PREPARE.
    Prepare,
    /// Column definitions without a count (COM_FIELD_LIST).
    Fields,
    /// Rows of an open cursor (COM_STMT_FETCH).
    Rows,
}

/// What a [`Part`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes to pass on: whole packets, or pieces of them.
    Opaque,
    /// An OK packet, or one that ends rows where EOF is deprecated.
    Ok(Status),
    /// The EOF between columns and rows, if it says that something in the session has changed.
    ColumnsEnd,
    /// A classic EOF that ends rows.
    Eof(Status),
    /// An ERR packet.
    Err,
    /// The head of a prepare reply.
    Prepared,
    /// The node asks for a local file: the client uploads, then the reply goes on.
    Infile,
}

/// A piece at the front of what was scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its length in bytes; a whole packet with header unless it is opaque.
    pub length: usize,
    /// What it is.
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first packet of the answer, or of the next result.
    First,
    /// Column definitions of a result set.
    Columns {
        left: u64,
    },
    /// The EOF between columns and rows.
    ColumnsEnd,
    Rows,
    /// Definitions of a prepared statement: parameters, then columns.
    Definitions {
        left: u64,
        then: u64,
    },
    /// The EOF behind definitions of a prepared statement.
    DefinitionsEnd {
        then: u64,
    },
    Done,
}

/// Follows one reply of one node connection.
#[derive(Clone, Debug)]
pub struct ReplyTracker {
    shape: Shape,
    state: State,
    capabilities: Capabilities,
    /// Bytes of the current packet still to come.
    body_left: usize,
    /// The current payload goes on in the next packet.
    chained: bool,
    /// The sequence number of the last packet of either side; none if the client's is not known.
    sequence: Option<u8>,
}

impl ReplyTracker {
    /// A tracker with nothing to expect.
    pub fn idle(capabilities: Capabilities) -> Self {
        Self { shape: Shape::Nothing, state: State::Done, capabilities, body_left: 0, chained: false, sequence: None }
    }

    /// Expects a reply of this shape to a command of one packet.
    pub fn begin(&mut self, shape: Shape) {
        self.shape = shape;
        self.state = match shape {
            Shape::Nothing => State::Done,
            Shape::Rows => State::Rows,
            _ => State::First,
        };
        self.sequence = Some(0);
    }

    /// Whether the reply has ended (or none is expected).
    pub fn is_done(&self) -> bool {
        self.state == State::Done && self.body_left == 0 && !self.chained
    }

    /// Whether an ERR packet could come next: not within a packet, and not among definitions, where no client expects one.
    pub fn takes_error(&self) -> bool {
        self.body_left == 0 && !self.chained && matches!(self.state, State::First | State::Rows)
    }

    /// The sequence number that a packet in this place would have.
    pub fn next_sequence(&self) -> u8 {
        self.sequence.map_or(1, |last| last.wrapping_add(1))
    }

    /// The next sequence number is whatever the node sends: the client has sent packets in between.
    pub fn resume_after_upload(&mut self) {
        self.sequence = None;
    }

    /// The next part of `bytes`; `None` when more bytes are needed, or the reply has ended.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<Part>, Malformed> {
        let mut opaque = self.body_left.min(bytes.len());
        self.body_left -= opaque;
        while self.body_left == 0 && !self.is_done() {
            match self.packet(&bytes[opaque..]) {
                Ok(Seen::Opaque(length)) => {
                    let step = length.min(bytes.len() - opaque);
                    self.body_left = length - step;
                    opaque += step;
                }
                // The packet is looked at again once what is before it has been taken, whether it is well-formed or not.
                Ok(Seen::Status(..) | Seen::Incomplete) | Err(_) if opaque > 0 => break,
                Ok(Seen::Incomplete) => return Ok(None),
                Ok(Seen::Status(header, kind, next)) => {
                    self.accept(header)?;
                    self.state = next;
                    return Ok(Some(Part { length: header.total(), kind }));
                }
                Err(malformed) => return Err(malformed),
            }
        }
        Ok((opaque > 0).then_some(Part { length: opaque, kind: Kind::Opaque }))
    }

    fn accept(&mut self, header: Header) -> Result<(), Malformed> {
        if self.sequence.is_some_and(|last| last.wrapping_add(1) != header.sequence) {
            return Err(Malformed("packets out of order"));
        }
        self.sequence = Some(header.sequence);
        self.chained = header.continued();
        Ok(())
    }

    /// Looks at the packet at the front of `bytes`.
    fn packet(&mut self, bytes: &[u8]) -> Result<Seen, Malformed> {
        let Some(header) = Header::parse(bytes) else { return Ok(Seen::Incomplete) };
        if self.chained {
            return self.opaque(header, self.state);
        }
        let Some(&first) = bytes.get(HEADER) else {
            return if header.length == 0 { self.empty(header) } else { Ok(Seen::Incomplete) };
        };
        if header.length == 0 {
            return self.empty(header);
        }
        match self.state {
            State::First => self.first(header, first, bytes),
            State::Rows if first == ERR || (first == EOF && header.length < PAYLOAD_MAX) => {
                self.rows_end(header, first, bytes)
            }
            State::Rows => self.opaque(header, State::Rows),
            State::Columns { left } => {
                let next = if left > 1 { State::Columns { left: left - 1 } } else { self.after_columns() };
                self.opaque(header, next)
            }
            State::ColumnsEnd => {
                let Some(payload) = whole(header, bytes)? else { return Ok(Seen::Incomplete) };
                let status = eof_status(payload)?;
                if self.shape == Shape::Cursor && status.contains(Status::CURSOR_EXISTS) {
                    return Ok(Seen::Status(header, Kind::Eof(status), State::Done));
                }
                if status.contains(Status::SESSION_STATE_CHANGED) {
                    return Ok(Seen::Status(header, Kind::ColumnsEnd, State::Rows));
                }
                self.opaque(header, State::Rows)
            }
            State::Definitions { left, then } => {
                let next =
                    if left > 1 { State::Definitions { left: left - 1, then } } else { self.after_definitions(then) };
                self.opaque(header, next)
            }
            State::DefinitionsEnd { then } => self.opaque(header, definitions(then, 0)),
            State::Done => Ok(Seen::Incomplete),
        }
    }

    fn opaque(&mut self, header: Header, next: State) -> Result<Seen, Malformed> {
        self.accept(header)?;
        self.state = next;
        Ok(Seen::Opaque(header.total()))
    }

    /// Only rows of no columns and texts may be empty.
    fn empty(&mut self, header: Header) -> Result<Seen, Malformed> {
        match (self.state, self.shape) {
            (State::First, Shape::Text) => self.opaque(header, State::Done),
            (State::Rows, _) => self.opaque(header, State::Rows),
            _ => Err(Malformed("empty packet in a reply")),
        }
    }

    fn after_columns(&self) -> State {
        if self.capabilities.contains(Capabilities::DEPRECATE_EOF) { State::Rows } else { State::ColumnsEnd }
    }

    fn after_definitions(&self, then: u64) -> State {
        if self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            definitions(then, 0)
        } else {
            State::DefinitionsEnd { then }
        }
    }

    fn first(&mut self, header: Header, first: u8, bytes: &[u8]) -> Result<Seen, Malformed> {
        let Some(payload) = whole(header, bytes)? else { return Ok(Seen::Incomplete) };
        match (first, self.shape) {
            (ERR, shape) if shape != Shape::Text || header.length > 3 => self.error(header, payload, State::First),
            (_, Shape::Text) => self.opaque(header, State::Done),
            (OK, Shape::Prepare) => prepared(header, payload),
            (OK, Shape::Ok | Shape::Results | Shape::Cursor) => ok(header, payload),
            (EOF, Shape::Fields) => self.rows_end(header, first, bytes),
            (EOF, Shape::Ok) if header.length <= EOF_LENGTH_MAX && !self.deprecate_eof() => {
                Ok(Seen::Status(header, Kind::Eof(eof_status(payload)?), State::Done))
            }
            (EOF, Shape::Ok) => ok(header, payload),
            (_, Shape::Fields) => self.opaque(header, State::First),
            (INFILE, Shape::Results | Shape::Cursor) => Ok(Seen::Status(header, Kind::Infile, State::First)),
            (_, Shape::Results | Shape::Cursor) => self.result_set(header, payload),
            _ => Err(Malformed("unexpected packet at the start of a reply")),
        }
    }

    fn result_set(&mut self, header: Header, payload: &[u8]) -> Result<Seen, Malformed> {
        let mut cursor = Cursor::new(payload);
        let count = cursor.lenenc()?;
        let cached = self.capabilities.contains(Capabilities::CACHE_METADATA) && cursor.u8()? == 0;
        if count == 0 || !cursor.is_empty() {
            return Err(Malformed("column count expected"));
        }
        let next = if cached { self.after_columns() } else { State::Columns { left: count } };
        self.opaque(header, next)
    }

    /// ERR or the end of rows. A row can't start with 0xff; one that starts with 0xfe fills its packet.
    fn rows_end(&mut self, header: Header, first: u8, bytes: &[u8]) -> Result<Seen, Malformed> {
        let Some(payload) = whole(header, bytes)? else { return Ok(Seen::Incomplete) };
        if first == ERR {
            return self.error(header, payload, self.state);
        }
        if self.deprecate_eof() {
            return ok(header, payload);
        }
        if header.length > EOF_LENGTH_MAX {
            return Err(Malformed("EOF expected"));
        }
        let status = eof_status(payload)?;
        Ok(Seen::Status(header, Kind::Eof(status), after(status)))
    }

    fn error(&mut self, header: Header, payload: &[u8], state: State) -> Result<Seen, Malformed> {
        let progress = payload.get(1..3) == Some(&PROGRESS.to_le_bytes()[..]);
        if progress && self.capabilities.contains(Capabilities::PROGRESS) {
            return self.opaque(header, state);
        }
        Ok(Seen::Status(header, Kind::Err, State::Done))
    }

    fn deprecate_eof(&self) -> bool {
        self.capabilities.contains(Capabilities::DEPRECATE_EOF)
    }
}

enum Seen {
    Incomplete,
    /// A packet to pass on: its total length, which may not be all there.
    Opaque(usize),
    /// A whole packet of interest, and the state behind it.
    Status(Header, Kind, State),
}

/// The payload if all of the packet is there.
fn whole(header: Header, bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    if header.length > STATUS_PACKET_MAX {
        return Err(Malformed("status packet too long"));
    }
    Ok(bytes.get(HEADER..header.total()))
}

fn ok(header: Header, payload: &[u8]) -> Result<Seen, Malformed> {
    let status = OkPacket::parse(payload)?.status;
    Ok(Seen::Status(header, Kind::Ok(status), after(status)))
}

fn after(status: Status) -> State {
    if status.contains(Status::MORE_RESULTS) { State::First } else { State::Done }
}

fn prepared(header: Header, payload: &[u8]) -> Result<Seen, Malformed> {
    let mut cursor = Cursor::new(payload);
    cursor.take(5)?;
    let columns = u64::from(cursor.u16()?);
    let parameters = u64::from(cursor.u16()?);
    Ok(Seen::Status(header, Kind::Prepared, definitions(parameters, columns)))
}

fn definitions(left: u64, then: u64) -> State {
    match (left, then) {
        (0, 0) => State::Done,
        (0, columns) => State::Definitions { left: columns, then: 0 },
        (left, then) => State::Definitions { left, then },
    }
}

#[cfg(test)]
mod tests;
