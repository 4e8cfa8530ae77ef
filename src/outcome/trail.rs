//! A dump read for the markers of writes (pure): bytes of a node in, what was committed under which GTID out.
//!
//! Of events only what may tell something is kept, so that a dump of any size needs little memory. A marker counts when the group
//! around it has ended with a commit.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backend::login::refusal;
use crate::fault::Fault;
use crate::gtid::{Gtid, Position};
use crate::sql::marker::{self, MARKER_BYTES, Marker, PLACE_MAX};
use crate::wire::Malformed;
use crate::wire::binlog::rows::{Inserted, Table};
use crate::wire::binlog::writes::{self, Write};
use crate::wire::err::ERR;
use crate::wire::ok::{EOF, OK};
use crate::wire::packet::{HEADER, Header};

/// Of a text so much is kept: enough to find its marker, and all of most.
const TEXT_BYTES: usize = 64 << 10;
/// A marker begins long before.
const _: () = assert!(PLACE_MAX + MARKER_BYTES < TEXT_BYTES);
/// Of a group so many bytes of rows are read.
const ROWS_BYTES_MAX: usize = 1 << 20;
/// Before an event its packet has one byte, and the event's type is its fifth.
const TYPE_END: usize = 1 + 5;

/// Nor has an error more.
const ERROR_BYTES: usize = 1 << 10;

/// How far the dump is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    More,
    /// That was all.
    End,
    /// The node refuses, or gives up.
    Refused(Fault),
}

/// What has been found in a dump.
#[derive(Debug)]
pub struct Trail {
    wanted: HashMap<Marker, bool>,
    /// The beginning of the packet that is coming.
    held: Vec<u8>,
    /// Bytes of it that are not needed any more.
    skip: usize,
    /// The packet that is coming continues an event.
    continues: bool,
    /// Events end with one.
    checksums: bool,
    group: Option<Group>,
    found: HashMap<Marker, Found>,
    position: Position,
    hidden: bool,
}

/// A marker's group, which was committed.
#[derive(Clone, Debug)]
pub struct Found {
    /// Under this GTID.
    pub gtid: Gtid,
    /// What it inserted, if that was wanted and it did nothing else.
    pub insert: Option<Arc<Insert>>,
}

/// A group that is one INSERT into one table.
#[derive(Debug)]
pub struct Insert {
    /// The table.
    pub table: Table,
    /// Its rows.
    pub rows: Inserted,
    /// The text; none if it is too long to be kept.
    pub text: Option<Box<[u8]>>,
}

/// A group that is coming.
#[derive(Debug)]
struct Group {
    gtid: Gtid,
    standalone: bool,
    markers: Vec<Marker>,
    rows: Rows,
}

/// What is known of a group's rows.
#[derive(Debug)]
enum Rows {
    /// Nobody wants them so far.
    Unwanted,
    /// It is an INSERT so far.
    Insert { text: Option<Box<[u8]>>, table: Option<Table>, rows: Inserted, bytes: usize },
    /// It is more than that, or too long.
    Other,
}

impl Trail {
    /// Looks for these markers in a dump that begins behind this position; with `true` its rows are wanted, too.
    pub fn new(wanted: HashMap<Marker, bool>, from: Position) -> Self {
        Self {
            wanted,
            held: Vec::new(),
            skip: 0,
            continues: false,
            checksums: false,
            group: None,
            found: HashMap::new(),
            position: from,
            hidden: false,
        }
    }

    /// The group in which a marker was committed.
    pub fn found(&self, marker: &Marker) -> Option<&Found> {
        self.found.get(marker)
    }

    /// How far the dump has come.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Whether something was in it that may hide a marker.
    pub fn hides(&self) -> bool {
        self.hidden
    }

    /// Takes the next bytes, cut anywhere.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<Progress, Malformed> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let lacks = self.needed() - self.held.len();
            let (piece, rest) = bytes.split_at(lacks.min(bytes.len()));
            self.held.extend_from_slice(piece);
            bytes = rest;
            while self.held.len() == self.needed() {
                match self.packet()? {
                    Progress::More => {}
                    last => return Ok(last),
                }
            }
        }
        Ok(Progress::More)
    }

    /// How much of the current packet must be held before it can be read, its header included.
    fn needed(&self) -> usize {
        let Some(header) = Header::parse(&self.held) else { return HEADER };
        let first = header.total().min(HEADER + TYPE_END);
        if self.continues {
            return HEADER;
        }
        match (self.held.get(HEADER), self.held.get(HEADER + TYPE_END - 1)) {
            (Some(&OK), Some(&kind)) if self.keeps(kind, header) => header.total(),
            (Some(&OK), Some(&kind)) => header.total().min(HEADER + 1 + writes::enough(kind, TEXT_BYTES)),
            (Some(&(ERR | EOF)), _) => header.total().min(HEADER + ERROR_BYTES),
            _ => first,
        }
    }

    /// Whether all of an event is kept, for its rows.
    fn keeps(&self, kind: u8, header: Header) -> bool {
        match self.group.as_ref().map(|group| &group.rows) {
            Some(Rows::Insert { bytes, .. }) => writes::is_of_insert(kind) && bytes + header.length <= ROWS_BYTES_MAX,
            _ => false,
        }
    }

    /// Reads the packet that is held.
    fn packet(&mut self) -> Result<Progress, Malformed> {
        let Some(header) = Header::parse(&self.held) else { return Ok(Progress::More) };
        let held = std::mem::take(&mut self.held);
        self.skip = header.total() - held.len();
        let continues = std::mem::replace(&mut self.continues, header.continued());
        if continues {
            return Ok(Progress::More);
        }
        match held.get(HEADER) {
            Some(&OK) => self.event(&held[HEADER + 1..], held.len() == header.total() && !header.continued())?,
            Some(&ERR) => return Ok(Progress::Refused(refusal(&held[HEADER..])?)),
            Some(&EOF) => {
                self.hidden |= self.group.is_some();
                return Ok(Progress::End);
            }
            _ => return Err(Malformed("a packet of a dump that is none")),
        }
        self.held = held;
        self.held.clear();
        Ok(Progress::More)
    }

    fn event(&mut self, event: &[u8], whole: bool) -> Result<(), Malformed> {
        if let Some(checksums) = writes::checksums(event) {
            self.checksums = checksums;
            return Ok(());
        }
        let event = if whole && self.checksums { writes::without_checksum(event) } else { event };
        match Write::parse(event)? {
            Write::Begin(start) => {
                // The one before had no end that is known here.
                self.hidden |= self.group.is_some();
                let gtid = Gtid { domain: start.domain, server: start.server, sequence: start.sequence };
                self.group =
                    Some(Group { gtid, standalone: start.standalone, markers: Vec::new(), rows: Rows::Unwanted });
            }
            Write::Annotation(text) => self.text(text, whole),
            Write::Statement(text) if text.eq_ignore_ascii_case(b"COMMIT") => self.end(true),
            Write::Statement(text) if text.eq_ignore_ascii_case(b"ROLLBACK") => self.end(false),
            Write::Statement(text) => {
                self.text(text, false);
                if self.group.as_ref().is_some_and(|group| group.standalone) {
                    self.end(true);
                }
            }
            Write::Commit => self.end(true),
            Write::Prepare => self.end(false),
            Write::Hidden => {
                self.hidden = true;
                self.end(true);
            }
            Write::Table | Write::Inserted | Write::Rows => self.rows(event, whole),
            Write::Other => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8], whole: bool) {
        let Some(group) = &mut self.group else { return };
        let marker = marker::find(text).and_then(|marker| Some((marker, *self.wanted.get(&marker)?)));
        group.rows = match (&group.rows, marker) {
            (Rows::Unwanted, Some((_, true))) if group.markers.is_empty() => {
                Rows::Insert { text: whole.then(|| text.into()), table: None, rows: Inserted::default(), bytes: 0 }
            }
            (Rows::Unwanted, _) => Rows::Unwanted,
            _ => Rows::Other,
        };
        group.markers.extend(marker.map(|(marker, _)| marker));
    }

    /// Takes in rows, if they are wanted. What does not add up is not told.
    fn rows(&mut self, event: &[u8], whole: bool) {
        let Some(group) = &mut self.group else { return };
        let Rows::Insert { table, rows, bytes, .. } = &mut group.rows else { return };
        *bytes += event.len();
        let is_insert = match (Write::parse(event), &table) {
            _ if !whole => false,
            (Ok(Write::Table), None) => {
                *table = Table::parse(event).ok();
                table.is_some()
            }
            // The next rows of the same statement, in another event.
            (Ok(Write::Table), Some(table)) => Table::parse(event).is_ok_and(|again| again == *table),
            (Ok(Write::Inserted), Some(table)) => rows.add(event, table).is_ok(),
            _ => false,
        };
        if !is_insert {
            group.rows = Rows::Other;
        }
    }

    fn end(&mut self, committed: bool) {
        let Some(group) = self.group.take() else { return };
        self.position.raise(group.gtid);
        if committed {
            let insert = match group.rows {
                Rows::Insert { text, table: Some(table), rows, .. } => Some(Arc::new(Insert { table, rows, text })),
                _ => None,
            };
            let found = Found { gtid: group.gtid, insert };
            self.found.extend(group.markers.into_iter().map(|marker| (marker, found.clone())));
        }
    }
}

#[cfg(test)]
#[path = "trail/tests.rs"]
mod tests;
