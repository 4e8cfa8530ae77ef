//! What a statement of the console asks for (pure).

use std::net::IpAddr;

use crate::cluster::order::Order;

use super::tables::Table;

/// A statement, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Rows of a table.
    Rows(Selection),
    /// One row of constants: a heading and a value each.
    Values(Vec<(String, Constant)>),
    /// SHOW VARIABLES, with its pattern.
    Variables(Option<String>),
    /// SHOW STATUS, with its pattern.
    Status(Option<String>),
    /// SHOW DATABASES.
    Databases,
    /// SHOW TABLES.
    Tables,
    /// Something that is to be done with a node.
    Node(String, Order),
    /// `start`, `stop` or `retry` of a link.
    Link(String, &'static str),
    /// KILL of a session.
    End(u32),
    /// A host is let in again.
    Forgive(IpAddr),
    /// The configuration is to be read again.
    Reload,
    /// What clients set for themselves: it changes nothing here.
    Nothing,
    /// What shows nothing here, such as SHOW WARNINGS.
    Empty(&'static [&'static str]),
}

/// SELECT of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) table: Table,
    /// Places of columns, or how many rows there are.
    pub(super) columns: Columns,
    /// Columns, by their places, that must have these values.
    pub(super) filter: Vec<(usize, String)>,
    pub(super) limit: Option<usize>,
}

/// What is selected of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    Places(Vec<usize>),
    /// COUNT(*), under this heading.
    Count(String),
}

/// A value that no table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    Text(String),
    Number(i64),
    /// USER()
    User,
    /// CONNECTION_ID()
    Connection,
}

/// Why a statement can't be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// One of the server's.
    pub(super) code: u16,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(code: u16, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}
