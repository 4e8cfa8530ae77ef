//! What the events of a group tell of the statements that wrote it (pure).
//!
//! Events are read without their checksums. Sources: server sql/log_event.h (types and layouts), sql/log_event_server.cc.

use super::super::Malformed;
use super::super::cursor::Cursor;
use super::{
    ANNOTATE_EVENT, CHECKSUM, EVENT_HEADER, FL_COMPLETED_XA, FL_STANDALONE, FORMAT_EVENT, GTID_EVENT, GroupStart,
    QUERY_EVENT, TABLE_MAP_EVENT, XA_PREPARE_EVENT, XID_EVENT,
};

const QUERY_COMPRESSED_EVENT: u8 = 165;
/// Written, updated and deleted rows, as MariaDB writes them and as MySQL does, each also compressed.
const ROWS_EVENTS: [u8; 12] = [23, 24, 25, 30, 31, 32, 166, 167, 168, 169, 170, 171];
const WRITE_ROWS_EVENT: u8 = 23;
/// The longest Format_description event, in bytes: one for each type there may be, and what is before and behind.
const FORMAT_MAX: usize = 512;
/// Thread, duration, length of the schema's name, error, length of the status variables.
const QUERY_POST_HEADER: usize = 13;

/// Of an event so many bytes are enough for [`Write::parse`] and the beginning of a text, by its type.
pub fn enough(kind: u8, text_bytes: usize) -> usize {
    match kind {
        GTID_EVENT => EVENT_HEADER + 13,
        FORMAT_EVENT => FORMAT_MAX,
        ANNOTATE_EVENT => EVENT_HEADER + text_bytes,
        // Status variables have a length of two bytes, a schema's name one of one.
        QUERY_EVENT => EVENT_HEADER + QUERY_POST_HEADER + (1 << 16) + (1 << 8) + text_bytes,
        _ => EVENT_HEADER,
    }
}

/// Whether the events behind this whole Format_description event end with checksums; none if it is another event. Who asks for none
/// gets them all the same, if the log has them.
pub fn checksums(event: &[u8]) -> Option<bool> {
    // The last that it says is the algorithm: 1 is CRC32. A checksum of its own, or the room for one, follows.
    let said = event.len().checked_sub(CHECKSUM + 1).and_then(|at| event.get(at));
    (event.get(4) == Some(&FORMAT_EVENT)).then_some(said == Some(&1))
}

/// A whole event without the checksum it ends with. Events of the type for gaps have none.
pub fn without_checksum(event: &[u8]) -> &[u8] {
    let end = event.len().checked_sub(CHECKSUM).filter(|end| *end >= EVENT_HEADER);
    end.map_or(event, |end| &event[..end])
}

/// Whether an event of this type tells of the rows of an INSERT.
pub fn is_of_insert(kind: u8) -> bool {
    matches!(kind, TABLE_MAP_EVENT | WRITE_ROWS_EVENT)
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write<'a> {
    /// A group begins.
    Begin(GroupStart),
    /// The text of a statement that wrote the rows behind it.
    Annotation(&'a [u8]),
    /// A statement as it was, or what ends a group.
    Statement(&'a [u8]),
    /// The group is committed.
    Commit,
    /// The group is prepared, and what becomes of it is elsewhere.
    Prepare,
    /// A table whose rows follow.
    Table,
    /// Rows that were inserted.
    Inserted,
    /// Rows of another kind, or in another form.
    Rows,
    /// A statement in a form that is not read here.
    Hidden,
    /// Nothing of a write.
    Other,
}

impl<'a> Write<'a> {
    /// Reads the event that begins here, of which [`enough`] must be there.
    pub fn parse(event: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(event);
        cursor.take(4)?;
        let kind = cursor.u8()?;
        let server = cursor.u32()?;
        cursor.take(EVENT_HEADER - 9)?;
        Ok(match kind {
            GTID_EVENT => {
                let sequence = u64::from_le_bytes(cursor.array()?);
                let (domain, flags) = (cursor.u32()?, cursor.u8()?);
                let standalone = flags & (FL_STANDALONE | FL_COMPLETED_XA) != 0;
                Self::Begin(GroupStart { domain, server, sequence, standalone })
            }
            ANNOTATE_EVENT => Self::Annotation(cursor.rest()),
            QUERY_EVENT => Self::Statement(statement(cursor)?),
            QUERY_COMPRESSED_EVENT => Self::Hidden,
            XID_EVENT => Self::Commit,
            XA_PREPARE_EVENT => Self::Prepare,
            TABLE_MAP_EVENT => Self::Table,
            WRITE_ROWS_EVENT => Self::Inserted,
            kind if ROWS_EVENTS.contains(&kind) => Self::Rows,
            _ => Self::Other,
        })
    }
}

/// The text of a Query event.
fn statement(mut body: Cursor<'_>) -> Result<&[u8], Malformed> {
    body.take(8)?;
    let schema = usize::from(body.u8()?);
    body.take(2)?;
    let status = usize::from(body.u16()?);
    body.take(status)?;
    body.take(schema + 1)?;
    Ok(body.rest())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (EVENT_HEADER + body.len()) as u32;
        [&[0, 0, 0, 0, kind, 0x58, 0x1b, 0, 0][..], &length.to_le_bytes(), &[0; 6], body].concat()
    }

    #[test]
    fn each_says_what_it_is() {
        let gtid =
            event(GTID_EVENT, &[&9u64.to_le_bytes()[..], &70u32.to_le_bytes(), &[FL_STANDALONE], &[0; 6]].concat());
        let start = GroupStart { domain: 70, server: 7000, sequence: 9, standalone: true };
        assert_eq!(Write::parse(&gtid), Ok(Write::Begin(start)));
        let query = event(QUERY_EVENT, b"\x01\0\0\0\0\0\0\0\x04\0\0\x02\0ssshop\0DROP DATABASE shop");
        assert_eq!(Write::parse(&query), Ok(Write::Statement(b"DROP DATABASE shop")));
        for (kind, body, write) in [
            (ANNOTATE_EVENT, &b"INSERT INTO t"[..], Write::Annotation(b"INSERT INTO t")),
            (XID_EVENT, &[0; 8], Write::Commit),
            (XA_PREPARE_EVENT, b"", Write::Prepare),
            (TABLE_MAP_EVENT, b"", Write::Table),
            (23, b"", Write::Inserted),
            (24, b"", Write::Rows),
            (166, b"", Write::Rows),
            (165, b"", Write::Hidden),
            (28, b"", Write::Other),
            (2, b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0COMMIT", Write::Statement(b"COMMIT")),
        ] {
            assert_eq!(Write::parse(&event(kind, body)), Ok(write), "{kind}");
        }
    }

    #[test]
    fn checksums_are_announced() {
        assert_eq!(checksums(&event(FORMAT_EVENT, b"\x04\0version\x01crc!")), Some(true));
        assert_eq!(checksums(&event(FORMAT_EVENT, b"\x04\0version\x00crc!")), Some(false));
        assert_eq!(checksums(&event(FORMAT_EVENT, b"")), Some(false));
        assert_eq!(checksums(&event(XID_EVENT, b"\x01crc!")), None);
        assert_eq!(checksums(b""), None);
        assert_eq!(without_checksum(&event(XID_EVENT, b"12345678crc!")).len(), EVENT_HEADER + 8);
        assert_eq!(without_checksum(&event(28, b"")).len(), EVENT_HEADER);
    }

    #[test]
    fn what_is_cut_off_is_no_event() {
        let query = event(QUERY_EVENT, b"\x01\0\0\0\0\0\0\0\x04\0\0\x02\0ssshop\0");
        for end in 0..query.len() {
            assert!(Write::parse(&query[..end]).is_err(), "{end}");
        }
        assert!(Write::parse(&event(GTID_EVENT, &[0; 12])).is_err());
    }
}
