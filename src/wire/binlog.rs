//! Events of a binary log as a dump sends them (pure): headers, and of the bodies only what tells groups apart.
//!
//! Sources: server sql/log_event.h (types, lengths, flags), sql/sql_repl.cc (what a dump sends), sql/slave.cc (`queue_event`: where
//! a group ends).

pub mod rows;
pub mod writes;

use std::fmt::Display;

use flate2::Crc;

use super::Malformed;
use super::command::{self, BINLOG_DUMP};
use super::cursor::Cursor;

/// Length of an event's header in bytes.
pub const EVENT_HEADER: usize = 19;
/// What semi-synchronous replication puts between a packet's first byte and its event, in bytes: a magic number and a flag.
pub const SEMI_SYNC: usize = 2;
/// So much of a packet is enough for [`Event::parse`], with the first byte and semi-sync's two.
pub const EVENT_HEAD: usize = 1 + SEMI_SYNC + EVENT_HEADER + GTID_BODY;
/// The magic number of semi-synchronous replication, in both directions.
pub const SEMI_SYNC_MAGIC: u8 = 0xef;
/// The flag of a dump's request: at the end of the log it ends instead of waiting.
pub const DUMP_NON_BLOCK: u16 = 1;
/// The flag of a dump's request: it wants the texts of statements that wrote rows, too.
const DUMP_ANNOTATE: u16 = 2;

/// Sequence, domain, flags.
const GTID_BODY: usize = 13;
const QUERY_EVENT: u8 = 2;
const ROTATE_EVENT: u8 = 4;
const INTVAR_EVENT: u8 = 5;
const RAND_EVENT: u8 = 13;
const USER_VAR_EVENT: u8 = 14;
const FORMAT_EVENT: u8 = 15;
const XID_EVENT: u8 = 16;
const TABLE_MAP_EVENT: u8 = 19;
const HEARTBEAT_EVENT: u8 = 27;
const XA_PREPARE_EVENT: u8 = 38;
const ANNOTATE_EVENT: u8 = 160;
const GTID_EVENT: u8 = 162;
/// The group is one event without a COMMIT (after what only prepares it).
const FL_STANDALONE: u8 = 1;
/// The group is the second half of an XA transaction, one event too.
const FL_COMPLETED_XA: u8 = 128;
/// The longest Query event that can be a COMMIT or ROLLBACK, in bytes: status variables and a schema's name, no more.
pub const QUERY_END_MAX: usize = 4 << 10;
/// The longest GTID event, in bytes: what follows the first 13 bytes is a commit id, or the id of an XA transaction.
pub const GTID_MAX: usize = 512;
/// The longest Rotate event, in bytes: it names a file, too.
pub const ROTATE_MAX: usize = 1 << 10;
/// The longest heartbeat, in bytes: it names a file.
pub const HEARTBEAT_MAX: usize = 1 << 10;
/// Length of a checksum in bytes.
const CHECKSUM: usize = 4;

/// The GTID that begins a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupStart {
    /// Replication domain.
    pub domain: u32,
    /// The server that first wrote the group.
    pub server: u32,
    /// Number in the domain.
    pub sequence: u64,
    /// The group ends with the first event that is a statement, not with a COMMIT.
    pub standalone: bool,
}

/// What an event is to a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Begins a group.
    Gtid(GroupStart),
    /// Ends a group: XID, with the transaction's number, or XA PREPARE.
    Commit(Option<u64>),
    /// A statement: ends a group if its text is COMMIT or ROLLBACK, or if the group is standalone.
    Query,
    /// Tells that the source lives.
    Heartbeat,
    /// Names a file.
    Rotate,
    /// Describes the format of what follows.
    Format,
    /// Prepares the event behind it (values, table maps, annotations).
    Preparing,
    /// Anything else.
    Other,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes, header included.
    pub length: usize,
}

impl Event {
    /// Reads the event that begins here. Of its body the first 13 bytes must be there, or all if it is shorter.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(bytes);
        cursor.take(4)?;
        let kind = cursor.u8()?;
        let server = cursor.u32()?;
        let length = cursor.u32()? as usize;
        if length < EVENT_HEADER {
            return Err(Malformed("an event shorter than its header"));
        }
        cursor.take(6)?;
        let kind = match kind {
            GTID_EVENT => {
                let sequence = u64::from_le_bytes(cursor.array()?);
                let (domain, flags) = (cursor.u32()?, cursor.u8()?);
                let standalone = flags & (FL_STANDALONE | FL_COMPLETED_XA) != 0;
                Kind::Gtid(GroupStart { domain, server, sequence, standalone })
            }
            XID_EVENT => Kind::Commit(Some(u64::from_le_bytes(cursor.array()?))),
            XA_PREPARE_EVENT => Kind::Commit(None),
            QUERY_EVENT => Kind::Query,
            HEARTBEAT_EVENT => Kind::Heartbeat,
            ROTATE_EVENT => Kind::Rotate,
            FORMAT_EVENT => Kind::Format,
            INTVAR_EVENT | RAND_EVENT | USER_VAR_EVENT | TABLE_MAP_EVENT | ANNOTATE_EVENT => Kind::Preparing,
            _ => Kind::Other,
        };
        Ok(Self { kind, length })
    }
}

/// When this event was made, in seconds. Of a Format event that is when the file was, wherever in it a dump begins.
pub fn made_s(event: &[u8]) -> Result<u32, Malformed> {
    Cursor::new(event).u32()
}

/// The file that this whole Rotate event names, behind a position of 8 bytes. Whether it ends with a checksum depends on what was read
/// before it, so that is seen from the bytes.
pub fn file_of(event: &[u8]) -> Result<&str, Malformed> {
    let event = match event.split_last_chunk::<CHECKSUM>() {
        Some((rest, checksum)) if checksum_of(rest) == *checksum => rest,
        _ => event,
    };
    let name = event.get(EVENT_HEADER + 8..).and_then(|name| std::str::from_utf8(name).ok());
    name.ok_or(Malformed("a file of a binary log without a name"))
}

fn checksum_of(event: &[u8]) -> [u8; CHECKSUM] {
    let mut checksum = Crc::new();
    checksum.update(event);
    checksum.sum().to_le_bytes()
}

/// What a look-up says on its connection before [`put_look_up`]: from where.
pub fn look_up_setup(from: impl Display) -> String {
    format!("SET @mariadb_slave_capability = 4, @master_binlog_checksum = 'CRC32', @slave_connect_state = '{from}'")
}

/// COM_BINLOG_DUMP, to the end of the log, with the texts of statements. A server id of 0 is nobody's: no dump of another ends for it.
pub fn put_look_up(out: &mut Vec<u8>) {
    let mut body = 4u32.to_le_bytes().to_vec();
    body.extend((DUMP_NON_BLOCK | DUMP_ANNOTATE).to_le_bytes());
    body.extend(0u32.to_le_bytes());
    command::put(out, BINLOG_DUMP, &body);
}

/// Whether this whole Query event is COMMIT or ROLLBACK. Its text comes last, behind the 0 that ends the schema's name.
pub fn ends_transaction(event: &[u8], checksum: bool) -> bool {
    let end = event.len().saturating_sub(if checksum { CHECKSUM } else { 0 });
    let body = event.get(EVENT_HEADER..end).unwrap_or_default();
    [&b"\0COMMIT"[..], b"\0ROLLBACK"]
        .iter()
        .any(|text| body.len().checked_sub(text.len()).is_some_and(|start| body[start..].eq_ignore_ascii_case(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (EVENT_HEADER + body.len()) as u32;
        [&[0, 0, 0, 0, kind, 0x58, 0x1b, 0, 0][..], &length.to_le_bytes(), &[0; 6], body].concat()
    }

    fn gtid(flags: u8) -> Vec<u8> {
        event(GTID_EVENT, &[&300u64.to_le_bytes()[..], &70u32.to_le_bytes(), &[flags], &[0; 6]].concat())
    }

    #[test]
    fn kinds() {
        let start = |standalone| Kind::Gtid(GroupStart { domain: 70, server: 7000, sequence: 300, standalone });
        for (bytes, kind) in [
            (gtid(0), start(false)),
            (gtid(FL_STANDALONE), start(true)),
            (gtid(FL_COMPLETED_XA), start(true)),
            (gtid(4 | 8 | 64), start(false)),
            (event(XID_EVENT, &[7, 1, 0, 0, 0, 0, 0, 0]), Kind::Commit(Some(263))),
            (event(XA_PREPARE_EVENT, &[]), Kind::Commit(None)),
            (event(QUERY_EVENT, b""), Kind::Query),
            (event(28, b""), Kind::Other),
            (event(HEARTBEAT_EVENT, b"bin.000001"), Kind::Heartbeat),
            (event(TABLE_MAP_EVENT, b""), Kind::Preparing),
        ] {
            assert_eq!(Event::parse(&bytes), Ok(Event { kind, length: bytes.len() }));
        }
    }

    #[test]
    fn files_have_names() {
        let mut rotate = event(ROTATE_EVENT, b"\x04\0\0\0\0\0\0\0bin.000001");
        assert_eq!(file_of(&rotate), Ok("bin.000001"));
        rotate.extend(checksum_of(&rotate));
        assert_eq!(file_of(&rotate), Ok("bin.000001"));
        assert!(file_of(&event(ROTATE_EVENT, b"\x04\0\0")).is_err());
        assert!(file_of(&event(ROTATE_EVENT, b"\x04\0\0\0\0\0\0\0bin.000001\xff\0\0\0")).is_err());
        assert_eq!(made_s(&[1, 2, 0, 0, 9]), Ok(513));
    }

    #[test]
    fn what_is_no_event() {
        assert!(Event::parse(&event(XID_EVENT, b"")[..EVENT_HEADER - 1]).is_err());
        assert!(Event::parse(&gtid(0)[..EVENT_HEADER + 12]).is_err());
        assert!(Event::parse(&event(XID_EVENT, &[0; 7])).is_err());
        let mut short = event(XID_EVENT, b"");
        short[9] = 18;
        assert!(Event::parse(&short).is_err());
    }

    #[test]
    fn commits_are_known_by_their_text() {
        for (body, checksum, ends) in [
            (&b"status shop\0COMMIT"[..], false, true),
            (b"\0commit", false, true),
            (b"\0ROLLBACK", false, true),
            (b"shop\0COMMITcrc!", true, true),
            (b"shop\0COMMITcrc!", false, false),
            (b"shop\0COMMIT", true, false),
            (b"shop\0ROLLBACK TO a", false, false),
            (b"SELECT COMMIT", false, false),
            (b"COMMIT", false, false),
            (b"", true, false),
        ] {
            assert_eq!(ends_transaction(&event(QUERY_EVENT, body), checksum), ends, "{}", body.escape_ascii());
        }
    }
}
