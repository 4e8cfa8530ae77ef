//! One write whose outcome is looked for (pure): what has been found out about it, and what that means.

use super::trail::Trail;
use crate::cluster::view::NodeId;
use crate::gtid::{Gtid, Position};
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
    /// It can't happen any more.
    pub over: bool,
    /// Why the nodes that were asked have no log that tells.
    pub lacking: Option<Box<str>>,
}

/// What a look has found of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It has happened.
    Committed(Gtid),
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
    /// What a dump that reached the end says of it.
    pub fn finding(&self, trail: &Trail) -> Finding {
        match self.markers.iter().find_map(|marker| trail.found(marker)) {
            Some(gtid) => Finding::Committed(gtid),
            None => Finding::Missing { over: self.over, hidden: trail.hides() },
        }
    }

    /// A node's log does not tell.
    pub fn lacks(&mut self, why: &str) {
        self.lacking.get_or_insert_with(|| why.into());
    }
}
