//! What servers say of their replication: typed facts out of rows (pure).
//!
//! The names and values are those of MariaDB 10.11. Remotes are asked the same question as nodes, and know nothing else
//! of us: the replication user may read variables, and needs no grant for it.

use std::fmt;
use std::path::Path;

use crate::cluster::values::{Unreadable, Values};
use crate::config::model::{Address, ClientTls};
use crate::gtid::Position;

/// What every server is asked. Answers in every state of a node, and needs no grant.
pub const QUERY: &str = "SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
    WHERE VARIABLE_NAME IN ('wsrep_cluster_status', 'wsrep_gcomm_uuid') \
    UNION ALL SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES \
    WHERE VARIABLE_NAME IN ('gtid_binlog_pos', 'gtid_domain_id', 'gtid_ignore_duplicates', 'gtid_slave_pos', 'server_id', \
    'wsrep_gtid_domain_id', 'wsrep_gtid_mode', 'wsrep_on')";

/// The members of a node's primary component. An arbitrator is one without being a node.
pub const MEMBERS_QUERY: &str = "SELECT node_uuid FROM mysql.wsrep_cluster_members WHERE node_name <> 'garb'";

/// The replication connections of a node.
pub const CHANNELS_QUERY: &str = "SHOW ALL SLAVES STATUS";

/// Facts of one server at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `server_id`: events that carry one's own are skipped.
    pub server_id: u32,
    /// Where the site's transactions go: `wsrep_gtid_domain_id` of a cluster, `gtid_domain_id` of a single server.
    pub domain: u32,
    /// Where a cluster's node puts what it does not share: its `gtid_domain_id`.
    pub local_domain: Option<u32>,
    /// `gtid_slave_pos`
    pub slave_position: Position,
    /// `gtid_binlog_pos`
    pub binlog_position: Position,
    /// `gtid_ignore_duplicates`
    pub ignores_duplicates: bool,
    /// Do all nodes give a transaction the same GTID? A cluster's do with `wsrep_gtid_mode`.
    pub shares_gtids: bool,
    /// Its UUID as a member of a cluster's primary component; `None` outside of one.
    pub member: Option<Box<str>>,
    /// It belongs to a cluster, and is outside of its primary component: it commits nothing, and answers little.
    pub is_outside: bool,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// What every server says.
    pub facts: Facts,
    /// UUIDs of all members of its primary component; empty outside of one.
    pub members: Box<[Box<str>]>,
    /// Its replication connections, running or not.
    pub channels: Box<[Channel]>,
    /// Which proxy has the lease here.
    pub lease: LeaseMark,
    /// What whoever has it shows of each link of the configuration: should it run? `None` if nothing is shown.
    pub wanted: Box<[Option<bool>]>,
}

/// Who has the lease of links on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseMark {
    /// Nobody.
    Free,
    /// This proxy.
    Own,
    /// This proxy, on a connection that it has given up and that has not ended yet: its id on the node.
    Left(u64),
    /// Another proxy: its address as the node sees it.
    Other(Box<str>),
}

impl NodeStatus {
    /// The replication connection of this name. Servers take names without regard to case.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name.eq_ignore_ascii_case(name))
    }
}

/// A replication connection of a node: a row of `SHOW ALL SLAVES STATUS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name; empty for the default one.
    pub name: Box<str>,
    /// From where.
    pub source: Source,
    /// The thread that receives.
    pub receiver: Receiver,
    /// Does the thread that applies run?
    pub applies: bool,
    /// `Seconds_Behind_Master`; `None` while it can't be known.
    pub lag_seconds: Option<u64>,
    /// Why the receiver has stopped or can't connect.
    pub receive_error: Option<ServerError>,
    /// Why the applier has stopped.
    pub apply_error: Option<ServerError>,
    /// Where the applier is in the relay log: file and offset of the next group.
    pub relay: (Box<str>, u64),
}

/// From where a replication connection replicates, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Host.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// User.
    pub user: Box<str>,
    /// `Using_Gtid` is `Slave_Pos`.
    pub by_slave_position: bool,
    /// How it speaks TLS, if it does.
    pub tls: Option<SourceTls>,
}

/// TLS of a replication connection. Files are the node's; an empty name is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTls {
    /// Must somebody vouch for the remote?
    pub verifies: bool,
    /// Who does.
    pub ca: Box<str>,
    /// What is shown to the remote.
    pub certificate: Box<str>,
    /// The key of that.
    pub key: Box<str>,
}

impl SourceTls {
    /// With these files.
    pub fn of(tls: &ClientTls) -> Self {
        let name = |path: Option<&Path>| path.map(Path::to_string_lossy).unwrap_or_default().into();
        let (certificate, key) = tls.shown.as_ref().map(|(certificate, key)| (&**certificate, &**key)).unzip();
        Self { verifies: tls.ca.is_some(), ca: name(tls.ca.as_deref()), certificate: name(certificate), key: name(key) }
    }
}

impl Source {
    /// Is it the server at this address?
    pub fn is_at(&self, address: &Address) -> bool {
        self.host == address.host && self.port == address.port
    }
}

/// The thread that receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// Not running.
    Stopped,
    /// Trying to reach the remote.
    Connecting,
    /// Receiving.
    Connected,
}

/// An error a server reports: number and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// Its number.
    pub code: u16,
    /// Its text.
    pub text: Box<str>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {}: {}", self.code, self.text)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The server refuses.
    Refused(ServerError),
    /// It can't be reached, is late, or makes no sense.
    Lost(Box<str>),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

impl Channel {
    /// Can it change data? Also while it only tries to connect.
    pub fn is_active(&self) -> bool {
        self.receiver != Receiver::Stopped || self.applies
    }

    /// What has stopped it, or keeps it from connecting.
    pub fn error(&self) -> Option<&ServerError> {
        self.apply_error.as_ref().or(self.receive_error.as_ref())
    }
}

impl Facts {
    /// Reads the rows of [`QUERY`].
    pub fn read(rows: &[(String, String)]) -> Result<Self, Unreadable> {
        let rows = Values::of(rows);
        let in_cluster = rows.is("wsrep_on", "ON");
        let own_domain = rows.parse("gtid_domain_id")?;
        let domain = if in_cluster { rows.parse("wsrep_gtid_domain_id")? } else { own_domain };
        let is_primary = in_cluster && rows.is("wsrep_cluster_status", "Primary");
        Ok(Self {
            server_id: rows.parse("server_id")?,
            domain,
            local_domain: Some(own_domain).filter(|own| *own != domain),
            slave_position: rows.parse("gtid_slave_pos")?,
            binlog_position: rows.parse("gtid_binlog_pos")?,
            ignores_duplicates: rows.is("gtid_ignore_duplicates", "ON"),
            shares_gtids: !in_cluster || rows.is("wsrep_gtid_mode", "ON"),
            member: if is_primary { Some(rows.text("wsrep_gcomm_uuid")?.into()) } else { None },
            is_outside: in_cluster && !is_primary,
        })
    }
}

impl Channel {
    /// Reads a row of [`CHANNELS_QUERY`], columns and values; NULL is left out.
    pub fn read(row: &[(String, String)]) -> Result<Self, Unreadable> {
        let row = Values::of(row);
        let error = |code: &'static str, text: &'static str| -> Result<_, Unreadable> {
            let code = row.parse(code)?;
            Ok(if code == 0 { None } else { Some(ServerError { code, text: row.text(text)?.into() }) })
        };
        Ok(Self {
            name: row.text("Connection_name")?.into(),
            source: Source {
                host: row.text("Master_Host")?.into(),
                port: row.parse("Master_Port")?,
                user: row.text("Master_User")?.into(),
                by_slave_position: row.is("Using_Gtid", "Slave_Pos"),
                tls: source_tls(&row)?,
            },
            receiver: match row.text("Slave_IO_Running")? {
                "No" => Receiver::Stopped,
                "Yes" => Receiver::Connected,
                _ => Receiver::Connecting,
            },
            applies: !row.is("Slave_SQL_Running", "No"),
            lag_seconds: row.parse("Seconds_Behind_Master").ok(),
            receive_error: error("Last_IO_Errno", "Last_IO_Error")?,
            apply_error: error("Last_SQL_Errno", "Last_SQL_Error")?,
            relay: (row.text("Relay_Log_File")?.into(), row.parse("Relay_Log_Pos")?),
        })
    }
}

/// A server that can't speak TLS says `Ignored`, and speaks none.
fn source_tls(row: &Values<'_>) -> Result<Option<SourceTls>, Unreadable> {
    if !row.is("Master_SSL_Allowed", "Yes") {
        return Ok(None);
    }
    Ok(Some(SourceTls {
        verifies: row.is("Master_SSL_Verify_Server_Cert", "Yes"),
        ca: row.text("Master_SSL_CA_File")?.into(),
        certificate: row.text("Master_SSL_Cert")?.into(),
        key: row.text("Master_SSL_Key")?.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(String, String)> {
        let pair = |line: &str| line.trim().split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        text.lines().filter_map(pair).collect()
    }

    const NODE: &str = "wsrep_cluster_status=Primary\nwsrep_gcomm_uuid=71-a\ngtid_binlog_pos=70-7000-9,71-7000-1\n\
        gtid_domain_id=71\ngtid_ignore_duplicates=ON\ngtid_slave_pos=81-8000-3\nserver_id=7000\nwsrep_gtid_domain_id=70\n\
        wsrep_gtid_mode=ON\nwsrep_on=ON";

    const CHANNEL: &str = "Connection_name=dr\nMaster_Host=192.168.56.80\nMaster_User=repl_user\nMaster_Port=4007\n\
        Relay_Log_File=relay-bin-dr.000002\nRelay_Log_Pos=615\nSlave_IO_Running=Yes\nSlave_SQL_Running=Yes\n\
        Seconds_Behind_Master=7\nLast_IO_Errno=0\nLast_IO_Error=\nLast_SQL_Errno=0\nLast_SQL_Error=\nUsing_Gtid=Slave_Pos\n\
        Master_SSL_Allowed=No\nMaster_SSL_CA_File=\nMaster_SSL_Cert=\nMaster_SSL_Key=\nMaster_SSL_Verify_Server_Cert=No";

    #[test]
    fn a_cluster_has_a_domain_and_each_node_another() {
        let facts = Facts::read(&rows(NODE)).unwrap();
        assert_eq!((facts.server_id, facts.domain, facts.local_domain), (7000, 70, Some(71)));
        assert_eq!(facts.binlog_position.to_string(), "70-7000-9,71-7000-1");
        assert_eq!(facts.slave_position.to_string(), "81-8000-3");
        assert!(facts.ignores_duplicates && facts.shares_gtids);
        assert_eq!(facts.member.as_deref(), Some("71-a"));
        let outside = Facts::read(&rows(&NODE.replace("=Primary", "=non-Primary"))).unwrap();
        assert_eq!((outside.member, outside.is_outside, facts.is_outside), (None, true, false));
        let same = Facts::read(&rows(&NODE.replace("gtid_domain_id=71", "gtid_domain_id=70"))).unwrap();
        assert_eq!(same.local_domain, None, "a node in the cluster's domain has none of its own");
        assert!(!Facts::read(&rows(&NODE.replace("mode=ON", "mode=OFF"))).unwrap().shares_gtids);
    }

    #[test]
    fn a_single_server_has_one_domain() {
        let facts = Facts::read(&rows(&NODE.replace("wsrep_on=ON", "wsrep_on=OFF"))).unwrap();
        assert_eq!((facts.domain, facts.local_domain, facts.member), (71, None, None));
        assert!(facts.shares_gtids);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Facts::read(&rows(&NODE.replace("server_id=7000", ""))).unwrap_err();
        assert_eq!(error.to_string(), "it has no server_id");
        let error = Facts::read(&rows(&NODE.replace("81-8000-3", "x"))).unwrap_err();
        assert_eq!(error.to_string(), "its gtid_slave_pos is `x`");
    }

    #[test]
    fn a_channel_is_read() {
        let channel = Channel::read(&rows(CHANNEL)).unwrap();
        assert_eq!((&*channel.name, &*channel.source.host, channel.source.port), ("dr", "192.168.56.80", 4007));
        assert!(channel.source.by_slave_position && channel.applies && channel.is_active());
        assert_eq!((channel.receiver, channel.lag_seconds, channel.error()), (Receiver::Connected, Some(7), None));
        let read = |from: &str, to: &str| Channel::read(&rows(&CHANNEL.replace(from, to))).unwrap();
        assert_eq!(read("IO_Running=Yes", "IO_Running=Preparing").receiver, Receiver::Connecting);
        assert_eq!(read("Behind_Master=7", "").lag_seconds, None);
        assert_eq!((&channel.source.tls, read("Allowed=No", "Allowed=Ignored").source.tls), (&None, None));
        let secure = read("Allowed=No\nMaster_SSL_CA_File=", "Allowed=Yes\nMaster_SSL_CA_File=/tls/ca.pem");
        let secure = secure.source.tls.unwrap();
        assert_eq!((secure.verifies, &*secure.ca, &*secure.key), (false, "/tls/ca.pem", ""));
        let failed = read("SQL_Errno=0\nLast_SQL_Error=", "SQL_Errno=1062\nLast_SQL_Error=twice");
        assert_eq!(failed.error().unwrap().to_string(), "error 1062: twice");
        assert!(read("SQL_Running=Yes", "SQL_Running=No").is_active(), "it receives");
        let both = CHANNEL.replace("Running=Yes", "Running=No");
        assert!(!Channel::read(&rows(&both)).unwrap().is_active());
    }
}
