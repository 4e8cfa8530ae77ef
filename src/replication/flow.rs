//! What of a source's bytes may go to the replica, and where the replica then is (pure).
//!
//! A group is passed on only once all of it is there; so the source can be changed at any time, and what had come of a group is thrown
//! away. A replica must not be left with a piece of a group: it would take the rest from another node, whose table ids are others,
//! and silently leave rows out. What is too long for memory is stashed meanwhile.
//!
//! Packets are numbered on for the replica, to which all sources are one. Groups of one domain that follow each other across a change
//! must have consecutive numbers: a source that begins elsewhere has lost something.

use std::collections::{BTreeMap, BTreeSet};

use crate::gtid::{Gtid, Position};
use crate::wire::Malformed;
use crate::wire::binlog::{
    EVENT_HEAD, Event, GTID_MAX, GroupStart, HEARTBEAT_MAX, Kind, QUERY_END_MAX, ROTATE_MAX, SEMI_SYNC,
    ends_transaction, file_of, made_s,
};
use crate::wire::err::ERR;
use crate::wire::ok::{EOF, OK};
use crate::wire::packet::{HEADER, Header};
use crate::wire::reply::STATUS_PACKET_MAX;

/// What never changes in a dump.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The replica asks by GTIDs: there are groups, and sources can be changed.
    pub by_gtid: bool,
    /// Events end with a checksum.
    pub checksum: bool,
    /// Two bytes of semi-synchronous replication come before each event.
    pub semi_sync: bool,
    /// A group longer than this is stashed until it is whole, in bytes.
    pub group_bytes_max: usize,
    /// How long nothing is sent before the replica wants to hear that the source lives, in microseconds; 0 for never.
    pub heartbeat_us: u64,
}

/// What is to be done with the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes are for the replica. 0: more must come first.
    Pass(usize),
    /// These bytes are the replica's if the source gets to the end of the group: to be kept, behind what is kept already.
    Stash(usize),
    /// What is stashed is for the replica.
    Flush,
    /// These bytes are for nobody.
    Drop(usize),
    /// The source says that it has come to its end, in a packet of this length that comes first or behind an unfinished group.
    Ended(usize),
    /// The source says why it can't go on, in the packet at this place.
    Failed(usize),
    /// The source goes on with this group, which is not the next one of its domain.
    Gap(Gtid),
    /// By file and position: what comes next is of [`Flow::file`], which was made at this second.
    Opens(u32),
}

/// A transaction that was passed on, by what it is called and by its number among all of the servers that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// Its GTID.
    pub gtid: Gtid,
    /// The number of its XID event.
    pub xid: u64,
}

/// The dump as its replica sees it, and how far the current source has been read.
#[derive(Debug)]
pub struct Flow {
    rules: Rules,
    position: Position,
    /// By domain the newest transaction that has a number and was not too long.
    landmarks: BTreeMap<u32, Landmark>,
    /// The number of the next packet to the replica.
    sequence: u8,
    passed_us: u64,
    /// By file and position: the file, and whether it is known to whom it matters.
    file: Box<str>,
    opened: bool,
    scan: Scan,
    /// Acknowledgements that the replica will still send to sources that are gone, and to this one.
    stale_acks: u32,
    due_acks: u32,
}

/// How far the buffer has been looked at. It begins with the first byte that has not been passed on.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    /// Up to here it may be passed on.
    ready: usize,
    /// Packet number behind `ready`, and behind `at`.
    ready_sequence: u8,
    sequence: u8,
    /// What is still to come of a packet that is passed on in pieces.
    body_left: usize,
    /// The next packet continues the payload.
    chained: bool,
    group: Option<GroupStart>,
    /// The next packet is longer than the limit: it is taken as it comes.
    loose: bool,
    /// The packet that is taken in pieces ends the group, which has this number.
    ends_group: bool,
    xid: Option<u64>,
    /// The front of the group is stashed; the group has ended, and the stash is due.
    stashed: bool,
    flush: bool,
    /// Domains whose next group must be the next in number.
    spliced: BTreeSet<u32>,
    /// A group that all sources go on with.
    tolerated: Option<Gtid>,
}

impl Flow {
    /// The dump of a replica that has everything up to this position.
    pub fn new(rules: Rules, position: Position) -> Self {
        let mut flow = Self {
            rules,
            position,
            landmarks: BTreeMap::new(),
            sequence: 1,
            passed_us: 0,
            file: Box::default(),
            opened: false,
            scan: Scan::default(),
            stale_acks: 0,
            due_acks: 0,
        };
        flow.begin(None);
        flow
    }

    /// What comes next is a new source's; the buffer is empty, and so is the stash. `tolerated`: a gap that all sources have.
    pub fn begin(&mut self, tolerated: Option<Gtid>) {
        self.stale_acks += std::mem::take(&mut self.due_acks);
        let spliced = self.position.iter().map(|gtid| gtid.domain).collect();
        let sequence = self.sequence;
        self.scan = Scan { sequence, ready_sequence: sequence, spliced, tolerated, ..Scan::default() };
    }

    /// Whether another source can go on from here.
    pub fn can_move(&self) -> bool {
        self.rules.by_gtid && self.is_between()
    }

    /// Whether the replica has no piece of a group, or by file and position of an event, of which the rest is still to come.
    pub fn is_between(&self) -> bool {
        let within = self.scan.body_left > 0 || self.scan.chained;
        self.scan.group.is_some() || !within
    }

    /// What the replica has been sent.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The file that is read, by file and position.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The newest transaction of a domain by which another source can be compared.
    pub fn landmark(&self, domain: u32) -> Option<Landmark> {
        self.landmarks.get(&domain).copied()
    }

    /// The number of the next packet to the replica.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// The replica acknowledges a group: is that for the current source?
    pub fn acknowledge(&mut self) -> bool {
        let is_stale = self.stale_acks > 0;
        let counter = if is_stale { &mut self.stale_acks } else { &mut self.due_acks };
        *counter = counter.saturating_sub(1);
        !is_stale
    }

    /// Looks at what the source has sent since the last call, behind what was left over. What is said of bytes is to be done before
    /// the next call.
    pub fn take(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Step, Malformed> {
        loop {
            let look = match self.look(buffer, now_us) {
                Ok(Look::On) => continue,
                look => look,
            };
            // What may go comes first, then this is looked at again.
            if std::mem::take(&mut self.scan.flush) {
                return Ok(Step::Flush);
            }
            if self.scan.ready > 0 {
                return Ok(self.release(now_us));
            }
            match look? {
                Look::Special(step) => {
                    self.opened |= matches!(step, Step::Opens(_));
                    return Ok(step);
                }
                _ if let Some(length) = self.stash(buffer.len()) => return Ok(Step::Stash(length)),
                _ if buffer.len() > self.rules.group_bytes_max && !self.scan.loose => self.scan.loose = true,
                _ => return Ok(Step::Pass(0)),
            }
        }
    }

    /// How much of a group that is too long can be stashed.
    fn stash(&mut self, there: usize) -> Option<usize> {
        let scan = &mut self.scan;
        let stashes = scan.group.is_some() && scan.at > 0 && (scan.stashed || there > self.rules.group_bytes_max);
        scan.stashed |= stashes;
        stashes.then(|| std::mem::take(&mut scan.at))
    }

    fn release(&mut self, now_us: u64) -> Step {
        let ready = std::mem::take(&mut self.scan.ready);
        self.scan.at -= ready;
        self.sequence = self.scan.ready_sequence;
        if ready > 0 {
            self.passed_us = now_us;
        }
        Step::Pass(ready)
    }

    /// Looks at the next packet, or the next piece of one.
    fn look(&mut self, buffer: &mut [u8], now_us: u64) -> Result<Look, Malformed> {
        let scan = &mut self.scan;
        let rest = &buffer[scan.at..];
        if scan.body_left > 0 {
            let piece = scan.body_left.min(rest.len());
            scan.body_left -= piece;
            scan.at += piece;
            self.settle();
            return Ok(if piece == 0 { Look::Wait } else { Look::On });
        }
        let Some(header) = Header::parse(rest) else { return Ok(Look::Wait) };
        if scan.chained {
            return Ok(self.pass_packet(header, buffer));
        }
        let head = header.length.min(EVENT_HEAD);
        let Some(payload) = rest.get(HEADER..HEADER + head) else { return Ok(Look::Wait) };
        match payload.first() {
            Some(&OK) => {}
            _ if header.length > STATUS_PACKET_MAX => return Err(Malformed("the end of a dump is too long")),
            _ if rest.len() < header.total() => return Ok(Look::Wait),
            Some(&ERR) => return Ok(Look::Special(Step::Failed(scan.at))),
            Some(&EOF) => return Ok(Look::Special(Step::Ended(header.total()))),
            _ => return Err(Malformed("neither an event nor an error in a dump")),
        }
        let prefix = if self.rules.semi_sync { 1 + SEMI_SYNC } else { 1 };
        let event = Event::parse(payload.get(prefix..).unwrap_or_default())?;
        if !header.continued() && header.length != prefix + event.length {
            return Err(Malformed("an event that is not as long as its packet"));
        }
        if event.kind == Kind::Heartbeat && scan.group.is_none() && !self.wants_heartbeat(now_us) {
            if event.length > HEARTBEAT_MAX {
                return Err(Malformed("a heartbeat that is too long"));
            }
            // In front of it there is only what may go: it comes first.
            let drop = Look::Special(Step::Drop(header.total()));
            return Ok(if rest.len() < header.total() { Look::Wait } else { drop });
        }
        if let Some(gap) = self.gap(event.kind) {
            return Ok(Look::Special(Step::Gap(gap)));
        }
        if self.rules.by_gtid {
            self.follow(event, prefix, header, buffer)
        } else {
            self.follow_file(event, prefix, header, buffer)
        }
    }

    /// By file and position everything goes as it comes, but which file it is has to be known first.
    fn follow_file(
        &mut self,
        event: Event,
        prefix: usize,
        header: Header,
        buffer: &mut [u8],
    ) -> Result<Look, Malformed> {
        let start = self.scan.at + HEADER + prefix;
        match event.kind {
            // What a source puts in front of each file is of no time. The one that ends the file before it only announces it.
            Kind::Rotate if made_s(&buffer[start..])? > 0 => {}
            Kind::Rotate if event.length > ROTATE_MAX => return Err(Malformed("the name of a file that is too long")),
            Kind::Rotate => {
                let Some(event) = buffer.get(start..start + event.length) else { return Ok(Look::Wait) };
                self.file = file_of(event)?.into();
                self.opened = false;
            }
            Kind::Format if !self.opened => return Ok(Look::Special(Step::Opens(made_s(&buffer[start..])?))),
            _ => {}
        }
        Ok(self.pass_packet(header, buffer))
    }

    fn wants_heartbeat(&self, now_us: u64) -> bool {
        let heartbeat_us = self.rules.heartbeat_us;
        heartbeat_us > 0 && (self.scan.ready == 0 && now_us.saturating_sub(self.passed_us) >= heartbeat_us)
    }

    /// The group that begins here, if it is not the next one after a splice.
    fn gap(&self, kind: Kind) -> Option<Gtid> {
        let Kind::Gtid(GroupStart { domain, server, sequence, .. }) = kind else { return None };
        let last = self.position.get(domain).filter(|_| self.rules.by_gtid && self.scan.spliced.contains(&domain))?;
        let found = Gtid { domain, server, sequence };
        let fits = last.sequence.checked_add(1) == Some(sequence) || self.scan.tolerated == Some(found);
        (!fits).then_some(found)
    }

    /// Takes an event into the group it belongs to, and passes it on if that is the end of it.
    fn follow(&mut self, event: Event, prefix: usize, header: Header, buffer: &mut [u8]) -> Result<Look, Malformed> {
        let is_whole = self.scan.at + header.total() <= buffer.len();
        if let Kind::Gtid(start) = event.kind {
            if event.length > GTID_MAX {
                return Err(Malformed("a GTID event that is too long"));
            } else if !is_whole {
                return Ok(Look::Wait);
            }
            // What ended without an end that is known has ended.
            self.end_group();
            self.scan.ready = self.scan.at;
            self.scan.ready_sequence = self.scan.sequence;
            self.scan.group = Some(start);
            self.scan.spliced.remove(&start.domain);
        }
        let ends = match (self.scan.group, event.kind) {
            (None, _) | (_, Kind::Gtid(_)) => false,
            (Some(GroupStart { standalone: true, .. }), kind) => kind != Kind::Preparing,
            (Some(_), Kind::Commit(_)) => true,
            (Some(_), Kind::Query) if event.length <= QUERY_END_MAX => {
                let whole = self.scan.at + HEADER + prefix..self.scan.at + header.total();
                let Some(event) = buffer.get(whole) else { return Ok(Look::Wait) };
                ends_transaction(event, self.rules.checksum)
            }
            (Some(_), _) => false,
        };
        if !self.scan.loose && !is_whole {
            return Ok(Look::Wait);
        }
        self.scan.ends_group = ends;
        self.scan.xid = if let Kind::Commit(xid) = event.kind { xid } else { None };
        Ok(self.pass_packet(header, buffer))
    }

    fn end_group(&mut self) {
        if let Some(GroupStart { domain, server, sequence, .. }) = self.scan.group.take() {
            let gtid = Gtid { domain, server, sequence };
            self.position.set(gtid);
            let was_stashed = std::mem::take(&mut self.scan.stashed);
            // It begins where what may go ends, unless its front is stashed.
            let is_short = !was_stashed && self.scan.at - self.scan.ready <= self.rules.group_bytes_max;
            if let Some(xid) = self.scan.xid.take().filter(|_| is_short) {
                self.landmarks.insert(domain, Landmark { gtid, xid });
            }
            self.scan.flush |= was_stashed;
        }
    }

    /// Goes behind this packet, or behind what is there of it.
    fn pass_packet(&mut self, header: Header, buffer: &mut [u8]) -> Look {
        let scan = &mut self.scan;
        let there = header.total().min(buffer.len() - scan.at);
        let asks = self.rules.semi_sync && !scan.chained && buffer.get(scan.at + HEADER + 2) == Some(&1);
        buffer[scan.at + 3] = scan.sequence;
        scan.sequence = scan.sequence.wrapping_add(1);
        scan.chained = header.continued();
        scan.body_left = header.total() - there;
        scan.at += there;
        scan.loose = false;
        if asks {
            // The replica answers with packet 0, and both go on from there.
            scan.sequence = 1;
            self.due_acks += 1;
        }
        self.settle();
        Look::On
    }

    /// What has been looked at may go, unless it belongs to a group that has not ended.
    fn settle(&mut self) {
        if self.scan.ends_group && self.scan.body_left == 0 && !self.scan.chained {
            self.scan.ends_group = false;
            self.end_group();
        }
        let scan = &mut self.scan;
        if scan.group.is_none() {
            scan.ready = scan.at;
            scan.ready_sequence = scan.sequence;
        }
    }
}

enum Look {
    On,
    /// More must come first.
    Wait,
    Special(Step),
}

#[cfg(test)]
#[path = "flow/tests.rs"]
mod tests;
