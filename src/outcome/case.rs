//! One write whose outcome is looked for (pure): what has been found out about it, and what that means.

use super::trail::{Found, Insert, Trail};
use crate::cluster::view::NodeId;
use crate::gtid::{Gtid, Position};
use crate::sql::columns;
use crate::sql::marker::Marker;

/// A case as a look at the cluster needs it.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Which case it is.
    pub number: u64,
    /// Where the write was under way.
    pub node: NodeId,
    /// That node's UUID in the cluster; empty if unknown.
    pub member: Box<str>,
    /// Any of them proves it.
    pub markers: Box<[Marker]>,
    /// Everything up to here is older.
    pub base: Position,
    /// It was one INSERT, and its rows matter.
    pub wants_rows: bool,
    /// It can't happen any more.
    pub over: bool,
    /// Why the nodes that were asked have no log that tells.
    pub lacking: Option<Box<str>>,
}

/// What can be told of the rows of an INSERT: how many, and what LAST_INSERT_ID() would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Rows that were inserted.
    pub affected: Option<u64>,
    /// The id.
    pub insert_id: Option<u64>,
}

/// The column of a table that counts by itself, as far as the service user may see the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counter {
    /// It may not.
    Unseen,
    /// There is none.
    Missing,
    /// This one.
    Column {
        /// From 0.
        place: usize,
        /// Its name.
        name: Box<[u8]>,
    },
}

impl Told {
    /// What a server would have answered, where that follows from the rows: not if values came from functions that set the id, and with
    /// several rows only if none of them gave the counter a value.
    pub fn of(insert: &Insert, counter: &Counter) -> Self {
        let Some(text) = &insert.text else { return Self::default() };
        if columns::mentions(text, &["DUPLICATE"]) {
            return Self::default();
        }
        let affected = Some(insert.rows.count);
        let insert_id = match counter {
            _ if columns::mentions(text, &["LAST_INSERT_ID"]) => None,
            Counter::Unseen => None,
            Counter::Missing => Some(0),
            Counter::Column { place, name } => {
                let single = insert.rows.count == 1 || columns::names(text, name) == Some(false);
                // A negative one is no id that the server counts.
                let id = insert.rows.first.get(*place).copied().flatten();
                id.filter(|(value, bytes)| single && value >> (8 * bytes - 1) == 0).map(|(value, _)| value)
            }
        };
        Self { affected, insert_id }
    }
}

/// What a look has found of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It has happened.
    Committed(Gtid, Told),
    /// It is not there, in a log that has everything.
    Missing {
        /// It can't happen any more.
        over: bool,
        /// Something in the log could have hidden it.
        hidden: bool,
    },
    /// No log of a node that could be asked goes back so far, or tells what is needed.
    Lacking(Box<str>),
    /// The service user may not read binary logs.
    Denied,
}

impl Sought {
    /// Its group in a dump, if it is there. A dump begins before the base of this case if another's is older: what is found up to it
    /// is an earlier execute of a prepared statement, all of which have one marker.
    pub fn found<'a>(&self, trail: &'a Trail) -> Option<&'a Found> {
        let found = self.markers.iter().filter_map(|marker| trail.found(marker));
        found.max_by_key(|found| found.gtid.sequence).filter(|found| !self.base.holds(found.gtid))
    }

    /// What a dump that reached the end says of it.
    pub fn finding(&self, trail: &Trail, told: Told) -> Finding {
        match self.found(trail) {
            Some(found) => Finding::Committed(found.gtid, told),
            None => Finding::Missing { over: self.over, hidden: trail.hides() },
        }
    }

    /// A node's log does not tell.
    pub fn lacks(&mut self, why: &str) {
        self.lacking.get_or_insert_with(|| why.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::binlog::rows::{Inserted, Table};

    #[test]
    fn what_the_server_would_have_answered() {
        let event = [&[0; 27][..], b"\x01s\0\x01t\0\x02\x03\x01\0\xff"].concat();
        let counts = || Counter::Column { place: 0, name: b"id"[..].into() };
        for (text, rows, counter, affected, insert_id) in [
            ("INSERT INTO t VALUES (5, 1)", 1, counts(), Some(1), Some(5)),
            ("INSERT INTO t VALUES (5, 1), (6, 1)", 2, counts(), Some(2), None),
            ("INSERT INTO t (a) VALUES (1), (1)", 2, counts(), Some(2), Some(5)),
            ("INSERT INTO t (a, id) VALUES (1, 5), (1, 6)", 2, counts(), Some(2), None),
            ("INSERT INTO t VALUES (5, 1)", 1, Counter::Missing, Some(1), Some(0)),
            ("INSERT INTO t VALUES (5, 1)", 1, Counter::Unseen, Some(1), None),
            ("INSERT INTO t VALUES (5, last_insert_id(7))", 1, counts(), Some(1), None),
            ("INSERT INTO t (a) VALUES (1) ON duplicate KEY UPDATE a = 1", 1, counts(), None, None),
            ("INSERT INTO t VALUES (5, 1)", 1, Counter::Column { place: 1, name: b"a"[..].into() }, Some(1), None),
            ("INSERT INTO t VALUES (5, 1)", 1, Counter::Column { place: 9, name: b"z"[..].into() }, Some(1), None),
        ] {
            let numbers = |id: u64| [Some((id, 4)), Some((0xff, 1))].into();
            let insert = Insert {
                table: Table::parse(&event).unwrap(),
                rows: Inserted { count: rows, first: numbers(5), last: numbers(6) },
                text: Some(text.as_bytes().into()),
            };
            assert_eq!(Told::of(&insert, &counter), Told { affected, insert_id }, "{text}");
            assert_eq!(Told::of(&Insert { text: None, ..insert }, &counter), Told::default());
        }
    }
}
