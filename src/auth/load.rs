//! Reads the grant tables of one node into one snapshot.
//!
//! Needs the service user's `SELECT ON mysql.*` and nothing else. The tables are read one after the other, not at one instant: a
//! grant that changes meanwhile is half seen until the next load. Knows nothing of which node or when.

use std::fmt;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts, Value};

use super::account::Account;
use super::accounts::{Accounts, Naming};
use super::grants::{Grant, Grants, Scope};
use super::known::Told;
use super::pattern::HostPattern;

/// Accounts and roles of a cluster.
const ACCOUNTS_MAX: usize = 100_000;

/// Rows of each table of grants and role memberships.
const GRANTS_MAX: usize = 1_000_000;

/// For one load, from dialling to the last row.
const LOAD_TIME_MAX: Duration = Duration::from_secs(10);

/// Each gives Host, User, schema, two parts of the object's name, two parts of the privileges.
const GRANT_TABLES: [(Scope, &str); 3] = [
    (Scope::Table, "SELECT Host, User, Db, Table_name, '', Table_priv, Column_priv FROM mysql.tables_priv"),
    (Scope::Column, "SELECT Host, User, Db, Table_name, Column_name, Column_priv, '' FROM mysql.columns_priv"),
    (Scope::Routine, "SELECT Host, User, Db, Routine_type, Routine_name, Proc_priv, '' FROM mysql.procs_priv"),
];

/// As whom to log in to nodes.
#[derive(Clone)]
pub struct Service {
    /// User name.
    pub user: String,
    /// Password in clear.
    pub password: String,
    /// What is needed to speak TLS with nodes, if that is spoken.
    pub tls: Option<SslOpts>,
    /// Passwords of accounts that the nodes tell too little of.
    pub told: Vec<Told>,
}

/// The password is left out.
impl fmt::Debug for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Service({:?}, ..)", self.user)
    }
}

/// Why a load failed.
#[derive(Debug)]
pub enum LoadError {
    /// The address is not `host:port`.
    Address,
    /// It took too long.
    TooSlow,
    /// The node or the way to it.
    Node(mysql_async::Error),
    /// More rows than the limit: which, and how many are allowed.
    TooMany(&'static str, usize),
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => out.write_str("the address is not host:port"),
            Self::TooSlow => write!(out, "not done within {} s", LOAD_TIME_MAX.as_secs()),
            Self::Node(error) => error.fmt(out),
            Self::TooMany(table, limit) => write!(out, "more than {limit} rows in {table}"),
        }
    }
}

impl From<mysql_async::Error> for LoadError {
    fn from(error: mysql_async::Error) -> Self {
        Self::Node(error)
    }
}

/// Loads everything from the node at `host:port`.
pub async fn load(address: &str, service: &Service) -> Result<Accounts, LoadError> {
    let (host, port) = address.rsplit_once(':').ok_or(LoadError::Address)?;
    let options = OptsBuilder::default()
        .ip_or_hostname(host.trim_start_matches('[').trim_end_matches(']'))
        .tcp_port(port.parse().map_err(|_| LoadError::Address)?)
        .user(Some(&service.user))
        .pass(Some(&service.password))
        .prefer_socket(false)
        .ssl_opts(service.tls.clone())
        // Given, so that it doesn't ask.
        .max_allowed_packet(Some(1 << 30))
        .wait_timeout(Some(60));
    let work = async {
        let mut node = Conn::new(Opts::from(options)).await?;
        let accounts = read(&mut node).await?;
        node.disconnect().await?;
        Ok(accounts.knowing(&service.told))
    };
    tokio::time::timeout(LOAD_TIME_MAX, Box::pin(work)).await.map_err(|_| LoadError::TooSlow)?
}

async fn read(node: &mut Conn) -> Result<Accounts, LoadError> {
    // An account just created on another node is to be seen. A server without wsrep (1193) has no other nodes.
    match node.query_drop("SET SESSION wsrep_sync_wait = 1").await {
        Err(mysql_async::Error::Server(error)) if error.code == 1193 => {}
        done => done?,
    }
    let settings: Option<Row> =
        node.query_first("SELECT @@skip_name_resolve, @@lower_case_table_names, USER(), @@init_connect").await?;
    let [skips, folds, me, init] = columns(settings.as_ref());
    let naming = Naming { resolves: skips == "0", proxy: name_of(&me), init_connect: !init.is_empty() };
    let mut grants = Grants::new(folds != "0");
    let accounts = read_accounts(node, &mut grants).await?;
    for row in rows(node, "mysql.db", "SELECT * FROM mysql.db", GRANTS_MAX).await? {
        let [host, schema, user] = columns(Some(&row));
        let privileges: String = (3..row.len()).map(|at| text(&row, at)).collect();
        if !schema.is_empty() {
            add(&mut grants, Scope::Schema, user, &host, schema, String::new(), privileges);
        }
    }
    for (scope, query) in GRANT_TABLES {
        for row in rows(node, "a table of grants", query, GRANTS_MAX).await? {
            let [host, user, schema, object, part, mut privileges, more] = columns(Some(&row));
            if !more.is_empty() {
                privileges.push('/');
                privileges.push_str(&more);
            }
            if !privileges.is_empty() {
                add(&mut grants, scope, user, &host, schema, format!("{object}.{part}"), privileges);
            }
        }
    }
    for row in rows(node, "mysql.roles_mapping", "SELECT Host, User, Role FROM mysql.roles_mapping", GRANTS_MAX).await?
    {
        let [host, user, role] = columns(Some(&row));
        grants.add_membership(user.into(), &host, role.into());
    }
    Ok(Accounts::new(accounts, grants, naming))
}

/// Accounts and roles; a row that makes no sense is left out, with a warning.
async fn read_accounts(node: &mut Conn, grants: &mut Grants) -> Result<Vec<Account>, LoadError> {
    let rows = rows(node, "mysql.global_priv", "SELECT Host, User, Priv FROM mysql.global_priv", ACCOUNTS_MAX).await?;
    let mut accounts = Vec::with_capacity(rows.len());
    for row in rows {
        let [host, user, document] = columns(Some(&row));
        match Account::parse(&user, &host, document.as_bytes()) {
            Ok(account) if account.is_role => grants.add_role(account.user, account.access),
            Ok(account) => accounts.push(account),
            Err(why) => tracing::warn!("account '{user}'@'{host}' is ignored: {why} (mysql.global_priv)"),
        }
    }
    Ok(accounts)
}

fn add(
    grants: &mut Grants,
    scope: Scope,
    user: String,
    host: &str,
    schema: String,
    object: String,
    privileges: String,
) {
    let host_pattern = HostPattern::new(host);
    let (schema, object, privileges) = (schema.into(), object.into(), privileges.into());
    grants.add_grant(user.into(), host, Grant { scope, host: host_pattern, schema, object, privileges });
}

async fn rows(node: &mut Conn, table: &'static str, query: &str, limit: usize) -> Result<Vec<Row>, LoadError> {
    let rows: Vec<Row> = node.query(format!("{query} LIMIT {}", limit + 1)).await?;
    if rows.len() > limit { Err(LoadError::TooMany(table, limit)) } else { Ok(rows) }
}

/// The first `N` columns as text; what is missing, NULL or no UTF-8 is empty.
fn columns<const N: usize>(row: Option<&Row>) -> [String; N] {
    std::array::from_fn(|at| row.map(|row| text(row, at)).unwrap_or_default())
}

fn text(row: &Row, at: usize) -> String {
    match row.as_ref(at) {
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::UInt(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// The host part of `user@host`, if it is a name and not an address.
fn name_of(user_at_host: &str) -> Option<Box<str>> {
    let (_, host) = user_at_host.rsplit_once('@')?;
    (!host.is_empty() && host.parse::<std::net::IpAddr>().is_err()).then(|| host.into())
}
