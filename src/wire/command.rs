//! Commands: the first byte of a client's packet, and the shape of the answer it gets.
//!
//! All commands MariaDB 10.11 knows (server: `enum_server_command` in include/mysql_com.h), and one of MySQL's.

use super::packet;
use super::reply::Shape;

/// A command byte. Values that no server takes from a client are [`Command::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the server's own")]
pub enum Command {
    Quit,
    InitDb,
    Query,
    FieldList,
    CreateDb,
    DropDb,
    Refresh,
    Shutdown,
    Statistics,
    ProcessInfo,
    ProcessKill,
    Debug,
    Ping,
    ChangeUser,
    BinlogDump,
    RegisterSlave,
    StmtPrepare,
    StmtExecute,
    StmtSendLongData,
    StmtClose,
    StmtReset,
    SetOption,
    StmtFetch,
    /// MySQL's: no MariaDB server takes it.
    BinlogDumpGtid,
    ResetConnection,
    StmtBulkExecute,
    Unknown(u8),
}

impl Command {
    /// The command of this byte.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0x01 => Self::Quit,
            0x02 => Self::InitDb,
            0x03 => Self::Query,
            0x04 => Self::FieldList,
            0x05 => Self::CreateDb,
            0x06 => Self::DropDb,
            0x07 => Self::Refresh,
            0x08 => Self::Shutdown,
            0x09 => Self::Statistics,
            0x0a => Self::ProcessInfo,
            0x0c => Self::ProcessKill,
            0x0d => Self::Debug,
            0x0e => Self::Ping,
            0x11 => Self::ChangeUser,
            0x12 => Self::BinlogDump,
            0x15 => Self::RegisterSlave,
            0x16 => Self::StmtPrepare,
            0x17 => Self::StmtExecute,
            0x18 => Self::StmtSendLongData,
            0x19 => Self::StmtClose,
            0x1a => Self::StmtReset,
            0x1b => Self::SetOption,
            0x1c => Self::StmtFetch,
            0x1e => Self::BinlogDumpGtid,
            0x1f => Self::ResetConnection,
            0xfa => Self::StmtBulkExecute,
            other => Self::Unknown(other),
        }
    }

    /// Whether it runs a prepared statement.
    pub fn executes(self) -> bool {
        matches!(self, Self::StmtExecute | Self::StmtBulkExecute)
    }

    /// Whether it changes nothing, so that nobody needs to know whether it ran.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::StmtFetch | Self::StmtReset | Self::FieldList | Self::Statistics)
    }

    /// The shape of its answer.
    pub fn shape(self) -> Shape {
        match self {
            Self::Query | Self::StmtExecute | Self::StmtBulkExecute | Self::ProcessInfo => Shape::Results,
            Self::StmtPrepare => Shape::Prepare,
            Self::StmtFetch => Shape::Rows,
            Self::FieldList => Shape::Fields,
            Self::Statistics => Shape::Text,
            Self::Quit | Self::StmtSendLongData | Self::StmtClose => Shape::Nothing,
            _ => Shape::Ok,
        }
    }
}

/// Appends a command's packet, whose body is shorter than a packet can be.
pub fn put(out: &mut Vec<u8>, command: u8, body: &[u8]) {
    packet::put(out, 0, |out| {
        out.push(command);
        out.extend_from_slice(body);
    });
}

/// The byte of COM_QUIT.
pub const QUIT: u8 = 0x01;
/// The byte of COM_INIT_DB.
pub const INIT_DB: u8 = 0x02;
/// The byte of COM_QUERY.
pub const QUERY: u8 = 0x03;
/// The byte of COM_BINLOG_DUMP.
pub const BINLOG_DUMP: u8 = 0x12;
/// The byte of COM_REGISTER_SLAVE.
pub const REGISTER_SLAVE: u8 = 0x15;
/// The byte of COM_STMT_PREPARE.
pub const STMT_PREPARE: u8 = 0x16;
/// The byte of COM_STMT_EXECUTE.
pub const STMT_EXECUTE: u8 = 0x17;
/// The byte of COM_STMT_SEND_LONG_DATA.
pub const STMT_SEND_LONG_DATA: u8 = 0x18;
/// The byte of COM_STMT_CLOSE.
pub const STMT_CLOSE: u8 = 0x19;
/// The byte of COM_RESET_CONNECTION.
pub const RESET_CONNECTION: u8 = 0x1f;
