//! OK and EOF packets: their status, and the OK packet without the session tracking a client did not ask for.

use super::Malformed;
use super::capability::Status;
use super::cursor::{Cursor, put_lenenc, put_lenenc_bytes};
use super::packet;

/// First byte of an OK packet.
pub const OK: u8 = 0x00;
/// First byte of an EOF packet, and of the OK packet that ends rows when EOF is deprecated.
pub const EOF: u8 = 0xfe;
/// Length of a classic EOF payload; anything of nine bytes and more that starts with 0xfe is no EOF.
pub const EOF_LENGTH_MAX: usize = 8;

/// Types of tracking data (server: `enum_session_state_type`).
const TRACK_VARIABLE: u8 = 0;
const TRACK_SCHEMA: u8 = 1;
const TRACK_STATE_CHANGE: u8 = 2;

/// An OK payload, borrowed (server: `net_send_ok` in sql/protocol.cc).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ok<'a> {
    /// 0x00, or 0xfe where it ends rows.
    pub marker: u8,
    /// Affected rows.
    pub affected_rows: u64,
    /// LAST_INSERT_ID of this statement.
    pub insert_id: u64,
    /// Server status.
    pub status: Status,
    /// Number of warnings.
    pub warnings: u16,
    /// Human-readable text.
    pub info: &'a [u8],
    /// Session tracking data, empty if there is none.
    pub tracking: &'a [u8],
}

/// What of the tracking data a client has not asked to be told.
#[derive(Clone, Copy, Debug)]
pub struct Untold<'a> {
    /// The value of this system variable.
    pub variable: Option<&'a [u8]>,
    /// That something in the session has changed.
    pub state_change: bool,
}

impl Untold<'_> {
    fn has(&self, kind: u8, data: &[u8]) -> bool {
        let variable = || self.variable.is_some_and(|name| value_of(name, data).is_some());
        (kind == TRACK_VARIABLE && variable()) || (kind == TRACK_STATE_CHANGE && self.state_change)
    }
}

impl<'a> Ok<'a> {
    /// Reads an OK payload of a connection that has SESSION_TRACK.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(payload);
        let marker = cursor.u8()?;
        let affected_rows = cursor.lenenc()?;
        let insert_id = cursor.lenenc()?;
        let status = Status::from_bits_retain(cursor.u16()?);
        let warnings = cursor.u16()?;
        let info = if cursor.is_empty() { &[] } else { cursor.lenenc_bytes()? };
        let tracked = status.contains(Status::SESSION_STATE_CHANGED) && !cursor.is_empty();
        let tracking = if tracked { cursor.lenenc_bytes()? } else { &[] };
        Result::Ok(Self { marker, affected_rows, insert_id, status, warnings, info, tracking })
    }

    /// The schema that the tracking data says the session is in now: empty for none. `None` if that has not changed.
    pub fn tracked_schema(&self) -> Option<&'a [u8]> {
        let (_, data) = self.tracked().find(|(kind, _)| *kind == TRACK_SCHEMA)?;
        Cursor::new(data).lenenc_bytes().ok()
    }

    /// The new value of a system variable that the tracking data tells of.
    pub fn tracked_variable(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.tracked().filter(|(kind, _)| *kind == TRACK_VARIABLE).find_map(|(_, data)| value_of(name, data))
    }

    /// Whether the tracking data says that something in the session has changed: settings, user variables, temporary tables, ...
    pub fn tells_state_change(&self) -> bool {
        self.tracked().any(|(kind, _)| kind == TRACK_STATE_CHANGE)
    }

    /// Whether the tracking data tells any of this.
    pub fn tells(&self, untold: Untold<'_>) -> bool {
        self.tracked().any(|(kind, data)| untold.has(kind, data))
    }

    /// The pieces of the tracking data: their type, and what they say.
    fn tracked(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut cursor = Cursor::new(self.tracking);
        std::iter::from_fn(move || Some((cursor.u8().ok()?, cursor.lenenc_bytes().ok()?)))
    }

    /// Appends this as a packet without its tracking data, as a client without SESSION_TRACK gets it.
    pub fn put_untracked(&self, out: &mut Vec<u8>, sequence: u8) -> u8 {
        packet::put(out, sequence, |out| self.put_head(self.status - Status::SESSION_STATE_CHANGED, out))
    }

    /// Appends this as a packet without what the client has not asked to be told.
    pub fn put_without(&self, untold: Untold<'_>, out: &mut Vec<u8>, sequence: u8) -> u8 {
        let others = || self.tracked().filter(|(kind, data)| !untold.has(*kind, data));
        if others().next().is_none() {
            return self.put_untracked(out, sequence);
        }
        let mut tracking = Vec::with_capacity(self.tracking.len());
        for (kind, data) in others() {
            tracking.push(kind);
            put_lenenc_bytes(&mut tracking, data);
        }
        packet::put(out, sequence, |out| {
            self.put_head(self.status, out);
            if self.info.is_empty() {
                put_lenenc_bytes(out, b"");
            }
            put_lenenc_bytes(out, &tracking);
        })
    }

    /// Everything in front of the tracking data; an empty text is left out.
    fn put_head(&self, status: Status, out: &mut Vec<u8>) {
        out.push(self.marker);
        put_lenenc(out, self.affected_rows);
        put_lenenc(out, self.insert_id);
        out.extend_from_slice(&status.bits().to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        if !self.info.is_empty() {
            put_lenenc_bytes(out, self.info);
        }
    }
}

/// The value in a piece of tracking data, if it is of this variable.
fn value_of<'a>(name: &[u8], data: &'a [u8]) -> Option<&'a [u8]> {
    let mut cursor = Cursor::new(data);
    let named = cursor.lenenc_bytes().ok()?.eq_ignore_ascii_case(name);
    if named { cursor.lenenc_bytes().ok() } else { None }
}

/// The status of a classic EOF payload.
pub fn eof_status(payload: &[u8]) -> Result<Status, Malformed> {
    let mut cursor = Cursor::new(payload);
    cursor.take(3)?;
    Result::Ok(Status::from_bits_retain(cursor.u16()?))
}

/// Takes from a classic EOF payload what a client without SESSION_TRACK does not get.
pub fn untrack_eof(payload: &mut [u8]) {
    if let Some(high) = payload.get_mut(4) {
        *high &= !Status::SESSION_STATE_CHANGED.bits().to_le_bytes()[1];
    }
}

/// How many warnings an OK or EOF payload tells of.
pub fn warnings(payload: &[u8]) -> u16 {
    match payload {
        [EOF, low, high, ..] if payload.len() <= EOF_LENGTH_MAX => u16::from_le_bytes([*low, *high]),
        _ => Ok::parse(payload).map_or(0, |ok| ok.warnings),
    }
}

/// Appends an OK packet of the proxy's own. Returns the next sequence number.
pub fn put(out: &mut Vec<u8>, sequence: u8, status: Status) -> u8 {
    put_saying(out, sequence, status, b"")
}

fn put_saying(out: &mut Vec<u8>, sequence: u8, status: Status, info: &[u8]) -> u8 {
    let ok = Ok { marker: OK, affected_rows: 0, insert_id: 0, status, warnings: 0, info, tracking: &[] };
    ok.put_untracked(out, sequence)
}

/// Appends the OK packet that ends a login and says `info`. A client with SESSION_TRACK is told the `schema` it is in, as a server does.
pub fn put_welcome(out: &mut Vec<u8>, sequence: u8, status: Status, info: &[u8], schema: Option<&[u8]>) -> u8 {
    let Some(schema) = schema else { return put_saying(out, sequence, status, info) };
    let mut name = Vec::with_capacity(schema.len() + 9);
    put_lenenc_bytes(&mut name, schema);
    let mut tracking = vec![TRACK_SCHEMA];
    put_lenenc_bytes(&mut tracking, &name);
    packet::put(out, sequence, |out| {
        out.extend_from_slice(&[OK, 0, 0]);
        out.extend_from_slice(&(status | Status::SESSION_STATE_CHANGED).bits().to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        put_lenenc_bytes(out, info);
        put_lenenc_bytes(out, &tracking);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracking_is_taken_off() {
        let mut payload = vec![OK, 1, 0xfc, 0, 1];
        payload.extend_from_slice(&(Status::AUTOCOMMIT | Status::SESSION_STATE_CHANGED).bits().to_le_bytes());
        payload.extend_from_slice(&[3, 0, 2, b'h', b'i', 4, 1, 2, b'd', b'b']);
        let ok = Ok::parse(&payload).unwrap();
        assert_eq!((ok.affected_rows, ok.insert_id, ok.warnings, ok.info), (1, 256, 3, &b"hi"[..]));
        assert_eq!(ok.tracking, &[1, 2, b'd', b'b']);
        let mut out = Vec::new();
        ok.put_untracked(&mut out, 5);
        assert_eq!(out, [12, 0, 0, 5, OK, 1, 0xfc, 0, 1, 2, 0, 3, 0, 2, b'h', b'i'].as_slice().to_vec());
    }

    #[test]
    fn the_schema_is_told() {
        let told = |schema: &[u8]| {
            let mut out = Vec::new();
            put_welcome(&mut out, 2, Status::AUTOCOMMIT, b"", Some(schema));
            Ok::parse(&out[packet::HEADER..]).unwrap().tracked_schema().map(<[u8]>::to_vec)
        };
        assert_eq!(told(b"shop"), Some(b"shop".to_vec()));
        assert_eq!(told(b""), Some(Vec::new()));
        let ok = Ok {
            marker: OK,
            affected_rows: 0,
            insert_id: 0,
            status: Status::empty(),
            warnings: 0,
            info: &[],
            tracking: &[],
        };
        assert_eq!(ok.tracked_schema(), None);
        // A variable before it, and data that is cut off.
        assert_eq!(Ok { tracking: b"\x00\x02\x01a\x01\x02\x01d", ..ok }.tracked_schema(), Some(&b"d"[..]));
        assert_eq!(Ok { tracking: b"\x00\x02\x01a\x01\x09\x01d", ..ok }.tracked_schema(), None);
    }

    #[test]
    fn a_variable_is_told_and_kept_quiet() {
        let tracking = b"\x00\x09\x04time\x03UTC\x00\x10\x09last_gtid\x051-2-3\x01\x03\x02db";
        let ok = Ok {
            marker: OK,
            affected_rows: 1,
            insert_id: 0,
            status: Status::AUTOCOMMIT | Status::SESSION_STATE_CHANGED,
            warnings: 0,
            info: b"",
            tracking,
        };
        assert_eq!(ok.tracked_variable(b"last_gtid"), Some(&b"1-2-3"[..]));
        assert_eq!(ok.tracked_variable(b"autocommit"), None);
        let quiet = |ok: &Ok<'_>| {
            let mut out = Vec::new();
            let untold = Untold { variable: Some(b"last_gtid"), state_change: true };
            ok.put_without(untold, &mut out, 1);
            out.split_off(packet::HEADER)
        };
        let told = quiet(&ok);
        let told = Ok::parse(&told).unwrap();
        assert_eq!((told.tracked_variable(b"last_gtid"), told.tracked_variable(b"time")), (None, Some(&b"UTC"[..])));
        assert_eq!((told.tracked_schema(), told.status), (Some(&b"db"[..]), ok.status));
        assert!(!ok.tells_state_change());
        let both = [b"\x02\x01\x31", &tracking[11..29]].concat();
        let alone = Ok { tracking: &both, info: b"hi", ..ok };
        assert!(alone.tells_state_change());
        let alone = quiet(&alone);
        assert_eq!(alone, [OK, 1, 0, 2, 0, 0, 0, 2, b'h', b'i']);
    }

    #[test]
    fn short_ones_are_refused() {
        assert!(Ok::parse(&[0, 0, 0, 2]).is_err());
        assert!(eof_status(&[0xfe, 0, 0, 2]).is_err());
        assert_eq!(eof_status(&[0xfe, 0, 0, 2, 0]), Result::Ok(Status::AUTOCOMMIT));
    }
}
