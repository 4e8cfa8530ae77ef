//! Capability flags: the low 32 bits are CLIENT_*, the high 32 bits MARIADB_CLIENT_* (source: server include/mysql_com.h).

#![allow(missing_docs, reason = "the names are the server's own")]

use bitflags::bitflags;

bitflags! {
    /// What one side of a connection can do.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Capabilities: u64 {
        /// Set by MySQL; a MariaDB peer leaves it out and then has the high 32 bits.
        const MYSQL = 1;
        const FOUND_ROWS = 1 << 1;
        const LONG_FLAG = 1 << 2;
        const CONNECT_WITH_DB = 1 << 3;
        const NO_SCHEMA = 1 << 4;
        const COMPRESS = 1 << 5;
        const ODBC = 1 << 6;
        const LOCAL_FILES = 1 << 7;
        const IGNORE_SPACE = 1 << 8;
        const PROTOCOL_41 = 1 << 9;
        const INTERACTIVE = 1 << 10;
        const SSL = 1 << 11;
        const IGNORE_SIGPIPE = 1 << 12;
        const TRANSACTIONS = 1 << 13;
        const RESERVED = 1 << 14;
        const SECURE_CONNECTION = 1 << 15;
        const MULTI_STATEMENTS = 1 << 16;
        const MULTI_RESULTS = 1 << 17;
        const PS_MULTI_RESULTS = 1 << 18;
        const PLUGIN_AUTH = 1 << 19;
        const CONNECT_ATTRS = 1 << 20;
        const PLUGIN_AUTH_LENENC = 1 << 21;
        const CAN_HANDLE_EXPIRED_PASSWORDS = 1 << 22;
        const SESSION_TRACK = 1 << 23;
        const DEPRECATE_EOF = 1 << 24;
        const SSL_VERIFY_SERVER_CERT = 1 << 30;
        const REMEMBER_OPTIONS = 1 << 31;
        const PROGRESS = 1 << 32;
        const STMT_BULK = 1 << 34;
        const EXTENDED_METADATA = 1 << 35;
        const CACHE_METADATA = 1 << 36;
        const BULK_UNIT_RESULTS = 1 << 37;
    }
}

impl Capabilities {
    /// What the proxy itself can pass on. Unknown bits are kept out: they could change the shape of packets. So is CACHE_METADATA: a
    /// node leaves out the column definitions that it has sent itself, but what the client knows may be another node's, from
    /// before the table was altered.
    pub const SUPPORTED: Self = Self::all().difference(
        Self::MYSQL
            .union(Self::COMPRESS)
            .union(Self::SSL)
            .union(Self::SSL_VERIFY_SERVER_CERT)
            .union(Self::REMEMBER_OPTIONS)
            .union(Self::CACHE_METADATA)
            .union(Self::NO_SCHEMA),
    );

    /// What is the proxy's own affair with its client.
    pub const OWN: Self = Self::COMPRESS.union(Self::SSL);

    /// What a client must have: everything older than 4.1 speaks another protocol.
    pub const REQUIRED: Self = Self::PROTOCOL_41.union(Self::SECURE_CONNECTION);

    /// What counts until the session is reset: a server sets `sql_mode` from it in the handshake and nowhere else.
    pub const ONLY_AT_LOGIN: Self = Self::IGNORE_SPACE;

    /// What a node connection asks for: what the client has, and what the proxy needs for itself.
    pub fn towards_node(self, with_schema: bool, with_attributes: bool) -> Self {
        let mut flags = self.difference(Self::OWN)
            | Self::REQUIRED
            | Self::PLUGIN_AUTH
            | Self::SESSION_TRACK
            | Self::LONG_FLAG
            | Self::TRANSACTIONS
            | Self::PLUGIN_AUTH_LENENC;
        flags.set(Self::CONNECT_WITH_DB, with_schema);
        flags.set(Self::CONNECT_ATTRS, with_attributes);
        flags
    }
}

bitflags! {
    /// Server status of OK and EOF packets (source: server include/mysql_com.h, SERVER_STATUS_*).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Status: u16 {
        const IN_TRANS = 1;
        const AUTOCOMMIT = 2;
        const MORE_RESULTS = 8;
        const CURSOR_EXISTS = 64;
        const LAST_ROW_SENT = 128;
        const NO_BACKSLASH_ESCAPES = 512;
        const PS_OUT_PARAMS = 4096;
        const IN_TRANS_READONLY = 8192;
        const SESSION_STATE_CHANGED = 1 << 14;
        const _ = !0;
    }
}
