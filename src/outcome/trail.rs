//! A dump read for the markers of writes (pure): bytes of a node in, what was committed under which GTID out.
//!
//! Of events only what may tell something is kept, so that a dump of any size needs little memory. A marker counts when the group
//! around it has ended with a commit.

use std::collections::{HashMap, HashSet};

use crate::backend::login::refusal;
use crate::fault::Fault;
use crate::gtid::{Gtid, Position};
use crate::sql::marker::{self, MARKER_BYTES, Marker, PLACE_MAX};
use crate::wire::Malformed;
use crate::wire::binlog::writes::{self, Write};
use crate::wire::err::ERR;
use crate::wire::ok::{EOF, OK};
use crate::wire::packet::{HEADER, Header};

/// Of a text so much is enough to find its marker, or to see that it is COMMIT.
const TEXT_BYTES: usize = PLACE_MAX + MARKER_BYTES;
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
    wanted: HashSet<Marker>,
    /// The beginning of the packet that is coming.
    held: Vec<u8>,
    /// Bytes of it that are not needed any more.
    skip: usize,
    /// The packet that is coming continues an event.
    continues: bool,
    group: Option<Group>,
    found: HashMap<Marker, Gtid>,
    position: Position,
    hidden: bool,
}

/// A group that is coming.
#[derive(Debug)]
struct Group {
    gtid: Gtid,
    standalone: bool,
    markers: Vec<Marker>,
}

impl Trail {
    /// Looks for these markers in a dump that begins behind this position.
    pub fn new(wanted: HashSet<Marker>, from: Position) -> Self {
        Self {
            wanted,
            held: Vec::new(),
            skip: 0,
            continues: false,
            group: None,
            found: HashMap::new(),
            position: from,
            hidden: false,
        }
    }

    /// The GTID under which a marker was committed.
    pub fn found(&self, marker: &Marker) -> Option<Gtid> {
        self.found.get(marker).copied()
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
            (Some(&OK), Some(&kind)) => header.total().min(HEADER + 1 + writes::enough(kind, TEXT_BYTES)),
            (Some(&(ERR | EOF)), _) => header.total().min(HEADER + ERROR_BYTES),
            _ => first,
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
            Some(&OK) => self.event(&held[HEADER + 1..])?,
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

    fn event(&mut self, event: &[u8]) -> Result<(), Malformed> {
        match Write::parse(event)? {
            Write::Begin(start) => {
                // The one before had no end that is known here.
                self.hidden |= self.group.is_some();
                let gtid = Gtid { domain: start.domain, server: start.server, sequence: start.sequence };
                self.group = Some(Group { gtid, standalone: start.standalone, markers: Vec::new() });
            }
            Write::Annotation(text) => self.text(text),
            Write::Statement(text) => {
                self.text(text);
                let standalone = self.group.as_ref().is_some_and(|group| group.standalone);
                if standalone || text.eq_ignore_ascii_case(b"COMMIT") {
                    self.end(true);
                } else if text.eq_ignore_ascii_case(b"ROLLBACK") {
                    self.end(false);
                }
            }
            Write::Commit => self.end(true),
            Write::Prepare => self.end(false),
            Write::Hidden => {
                self.hidden = true;
                self.end(true);
            }
            Write::Table | Write::Inserted | Write::Rows | Write::Other => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        let marker = marker::find(text).filter(|marker| self.wanted.contains(marker));
        if let Some((group, marker)) = self.group.as_mut().zip(marker) {
            group.markers.push(marker);
        }
    }

    fn end(&mut self, committed: bool) {
        let Some(group) = self.group.take() else { return };
        self.position.raise(group.gtid);
        if committed {
            self.found.extend(group.markers.into_iter().map(|marker| (marker, group.gtid)));
        }
    }
}

#[cfg(test)]
#[path = "trail/tests.rs"]
mod tests;
