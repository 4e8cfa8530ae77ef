//! What a replica asks for (pure): its variables, its registration, its COM_BINLOG_DUMP, and the same again for any node.
//!
//! The variables are asked of the node on which the replica has set them, so what is repeated elsewhere is their values: an
//! expression such as `@@global.binlog_checksum` could have another value there.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use super::flow::Rules;
use crate::gtid::{InvalidGtid, Position};
use crate::wire::Malformed;
use crate::wire::binlog::DUMP_NON_BLOCK;
use crate::wire::command::{self, BINLOG_DUMP, QUERY, REGISTER_SLAVE};
use crate::wire::cursor::Cursor;

/// Where the replica is.
const CONNECT_STATE: &str = "@slave_connect_state";
/// How often it wants to hear of the source, in nanoseconds.
const HEARTBEAT: &str = "@master_heartbeat_period";
const CHECKSUM: &str = "@master_binlog_checksum";
const SEMI_SYNC: &str = "@rpl_semi_sync_slave";
/// In COM_BINLOG_DUMP the file's name comes behind position, flags and server id.
const FILE_AT: usize = 10;
/// All a replica can set that a dump depends on (server: sql/sql_repl.cc, sql/semisync_master.cc). Session variables last.
const VARIABLES: [&str; 11] = [
    CONNECT_STATE,
    HEARTBEAT,
    CHECKSUM,
    SEMI_SYNC,
    "@mariadb_slave_capability",
    "@slave_gtid_strict_mode",
    "@slave_gtid_ignore_duplicates",
    "@slave_until_gtid",
    // Of 11.3 and later.
    "@slave_gtid_until_before_gtids",
    "@slave_uuid",
    "@@skip_replication",
];

/// The request of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The replica's server id; 0 for programs that only read the log.
    pub server: u32,
    /// At the end of the log the dump ends.
    pub ends: bool,
    /// Where the replica is; none if it asks by file name and position.
    pub position: Option<Position>,
    variables: Vec<(&'static str, Box<[u8]>)>,
    registration: Option<Box<[u8]>>,
    dump: Box<[u8]>,
}

/// The question for the values of a replica's variables: one row, answered to [`Request::read`].
pub fn question() -> String {
    format!("SELECT {}", VARIABLES.join(", "))
}

/// A request that makes no sense.
#[derive(Debug)]
pub enum Unreadable {
    /// It breaks the protocol.
    Malformed(Malformed),
    /// Its position is none.
    Position(InvalidGtid),
}

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl Request {
    /// Of the answer to [`question`], and the bodies of COM_REGISTER_SLAVE and COM_BINLOG_DUMP.
    pub fn read(
        values: Vec<Option<Box<[u8]>>>,
        registration: Option<Box<[u8]>>,
        dump: Box<[u8]>,
    ) -> Result<Self, Unreadable> {
        let mut cursor = Cursor::new(&dump);
        cursor.u32()?;
        let (flags, server) = (cursor.u16()?, cursor.u32()?);
        let named = VARIABLES.into_iter().zip(values);
        let mut variables: Vec<_> = named.filter_map(|(name, value)| Some((name, value?))).collect();
        let state = variables.iter().position(|(name, _)| *name == CONNECT_STATE).map(|at| variables.remove(at).1);
        let position = match state {
            Some(state) => Some(String::from_utf8_lossy(&state).parse::<Position>().map_err(Unreadable::Position)?),
            None => None,
        };
        let ends = flags & DUMP_NON_BLOCK != 0;
        Ok(Self { server, ends, position, variables, registration, dump })
    }

    /// The replica's server id, if it asks by file and position and will come again.
    pub fn reader(&self) -> Option<u32> {
        (self.position.is_none() && !self.ends && self.server != 0).then_some(self.server)
    }

    /// The file that it asks for, by file and position; empty for the first one.
    pub fn file(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.dump.get(FILE_AT..).unwrap_or_default())
    }

    fn value(&self, name: &str) -> Option<&[u8]> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    fn number(&self, name: &str) -> u64 {
        self.value(name).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
    }

    /// What the flow of its events depends on.
    pub fn rules(&self, group_bytes_max: usize) -> Rules {
        Rules {
            by_gtid: self.position.is_some(),
            checksum: self.value(CHECKSUM).is_some_and(|value| value.eq_ignore_ascii_case(b"CRC32")),
            semi_sync: self.number(SEMI_SYNC) != 0,
            // By file and position there is nothing to take over.
            group_bytes_max: if self.position.is_some() { group_bytes_max } else { 0 },
            heartbeat_us: self.number(HEARTBEAT) / 1000,
        }
    }

    /// The packet that sets everything on a node, for a replica that is at `position` now. The node is to give a sign of life at
    /// least this often.
    pub fn put_setup(&self, position: &Position, heartbeat: Duration, out: &mut Vec<u8>) {
        let period = match self.number(HEARTBEAT) {
            0 => heartbeat.as_nanos(),
            asked => heartbeat.as_nanos().min(asked.into()),
        };
        // Writing to a string can't fail.
        let mut text = format!("SET {HEARTBEAT} = {period}");
        if self.position.is_some() {
            let _ = write!(text, ", {CONNECT_STATE} = '{position}'");
        }
        for (name, value) in self.variables.iter().filter(|(name, _)| *name != HEARTBEAT) {
            let _ = match std::str::from_utf8(value).ok().filter(|text| is_number(text)) {
                Some(number) => write!(text, ", {name} = {number}"),
                None => write!(text, ", {name} = x'{}'", hex(value)),
            };
        }
        command::put(out, QUERY, text.as_bytes());
    }

    /// The packet that registers the replica; false if it has not registered.
    pub fn put_registration(&self, out: &mut Vec<u8>) -> bool {
        if let Some(registration) = &self.registration {
            command::put(out, REGISTER_SLAVE, registration);
        }
        self.registration.is_some()
    }

    /// The packet that begins the dump.
    pub fn put_dump(&self, out: &mut Vec<u8>) {
        command::put(out, BINLOG_DUMP, &self.dump);
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: [u8; 10] = [4, 0, 0, 0, 1, 0, 0x40, 0x1f, 0, 0];

    fn request(values: &[(&str, &str)]) -> Result<Request, Unreadable> {
        let value = |name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes().into());
        Request::read(VARIABLES.iter().map(|name| value(*name)).collect(), None, DUMP.into())
    }

    #[test]
    fn a_replica_asks_again_as_it_asked_first() {
        let request = request(&[
            (CONNECT_STATE, "70-7000-6"),
            (HEARTBEAT, "30000000000"),
            (CHECKSUM, "CRC32"),
            ("@mariadb_slave_capability", "4"),
            ("@@skip_replication", "0"),
        ])
        .unwrap();
        assert_eq!((request.server, request.ends), (8000, true));
        let rules = request.rules(1 << 20);
        assert!(rules.by_gtid && rules.checksum && !rules.semi_sync);
        assert_eq!((rules.heartbeat_us, rules.group_bytes_max), (30_000_000, 1 << 20));
        let mut out = Vec::new();
        request.put_setup(&"70-7000-9,81-8000-1".parse().unwrap(), Duration::from_millis(500), &mut out);
        let text = "SET @master_heartbeat_period = 500000000, @slave_connect_state = '70-7000-9,81-8000-1', \
            @master_binlog_checksum = x'4352433332', @mariadb_slave_capability = 4, @@skip_replication = 0";
        assert_eq!(std::str::from_utf8(&out[5..]).unwrap(), text);
        out.clear();
        assert!(!request.put_registration(&mut out) && out.is_empty());
        request.put_dump(&mut out);
        assert_eq!(out, [&[11, 0, 0, 0, 0x12][..], &DUMP].concat());
    }

    #[test]
    fn without_a_position_it_asks_by_file() {
        let request = request(&[(HEARTBEAT, "100000000")]).unwrap();
        assert!(request.position.is_none() && !request.rules(1).by_gtid);
        assert_eq!((request.reader(), &*request.file()), (None, ""), "it reads to the end, and does not come again");
        let stays =
            Request::read(vec![], None, [&[4, 0, 0, 0, 0, 0, 0x40, 0x1f, 0, 0][..], b"bin.000007"].concat().into());
        let stays = stays.unwrap();
        assert_eq!((stays.reader(), &*stays.file()), (Some(8000), "bin.000007"));
        let mut out = Vec::new();
        request.put_setup(&Position::default(), Duration::from_millis(500), &mut out);
        assert_eq!(&out[5..], b"SET @master_heartbeat_period = 100000000");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(request(&[(CONNECT_STATE, "7")]), Err(Unreadable::Position(_))));
        assert!(matches!(Request::read(vec![], None, [0; 9].into()), Err(Unreadable::Malformed(_))));
        assert!(request(&[(CONNECT_STATE, "")]).unwrap().position.is_some_and(|position| position.is_empty()));
    }
}
