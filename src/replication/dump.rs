//! One dump, from a client's COM_BINLOG_DUMP to the end of its connection: reads from the source, passes on what the flow says, and
//! finds another source when the one it has is lost, or no longer the best.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Endpoint;
use super::flow::{Flow, Step};
use super::request::{Request, Unreadable, question};
use super::roster::Seat;
use super::source::{Locals, Unfit, Verdicts};
use super::stash::Stash;
use crate::backend::handover::Handover;
use crate::backend::line::Line;
use crate::backend::login::{Credentials, refusal};
use crate::cluster::view::NodeId;
use crate::fault::Fault;
use crate::gtid::Gtid;
use crate::net::clock::Clock;
use crate::net::stream::Stream;
use crate::telemetry::tally::Event;
use crate::wire::err;
use crate::wire::packet::{self, HEADER};

/// What is read at once, in bytes.
pub(super) const READ_BYTES: usize = 256 << 10;
/// A replica sends acknowledgements, no more.
pub(super) const CLIENT_BYTES: usize = 4 << 10;
/// After so long a node that could not serve is asked again.
const UNFIT_AGE: Duration = Duration::from_secs(30);
/// A source that is lost sooner has not helped.
const SOURCE_AGE_MIN: Duration = Duration::from_secs(1);
/// After so many of these in a row the replica may come again by itself.
const SHORT_SOURCES_MAX: u32 = 10;

/// Serves a client that has begun a dump.
pub(super) async fn serve(endpoint: Arc<Endpoint>, handover: Handover) {
    let dismissal = endpoint.roster.dismissal();
    if *dismissal.borrow() {
        return;
    }
    let Handover { session, address, client, node, credentials, registration, dump, .. } = handover;
    let mut client = client.into_stream();
    let mut line = Line::quiet(node.into_stream(), credentials.capabilities);
    let values = endpoint.clock.timeout(endpoint.bounds.connect_timeout, line.query(&question())).await;
    drop(line);
    let Ok(Ok(rows)) = values else {
        // The replica comes again.
        return info!(session, "the node was lost before the dump could begin");
    };
    let values = rows.into_iter().next().unwrap_or_default();
    let request = match Request::read(values, registration, dump) {
        Ok(request) => request,
        Err(unreadable) => return tell(&mut client, 1, &nonsense(&unreadable), &endpoint.clock).await,
    };
    if request.position.is_some() {
        endpoint.anchors.forget(request.server);
    }
    let seat = endpoint.roster.enter(request.server, address.ip());
    let entry = seat.entry.clone();
    let flow = Flow::new(request.rules(endpoint.bounds.group_bytes_max), request.position.clone().unwrap_or_default());
    let versions = endpoint.view.versions();
    let stash = Stash::new(endpoint.state_dir.clone());
    let dump = Dump {
        endpoint,
        stash,
        owed: Vec::new(),
        credentials,
        address,
        request,
        client,
        flow,
        seat,
        versions,
        dismissal,
        unfit: Verdicts::new(),
        judged: Instant::now(),
        locals: Locals::new(),
        began: Instant::now(),
    };
    tokio::select! {
        () = entry.displaced() => {}
        () = dump.run() => {}
    }
}

fn nonsense(unreadable: &Unreadable) -> Fault {
    match unreadable {
        Unreadable::Malformed(_) => Fault::client(1835, b"HY000", "Malformed communication packet"),
        Unreadable::Position(invalid) => Fault::client(1236, b"HY000", invalid.to_string()),
    }
}

/// Ends a dump with an error; a client that is gone needs none.
async fn tell(client: &mut Stream, sequence: u8, fault: &Fault, clock: &Clock) {
    let mut packet = Vec::new();
    err::put(&mut packet, sequence, fault);
    let _ = clock.timeout(Duration::from_secs(1), client.write_all(&packet)).await;
}

pub(super) struct Dump {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) credentials: Credentials,
    pub(super) address: SocketAddr,
    pub(super) request: Request,
    pub(super) client: Stream,
    pub(super) flow: Flow,
    pub(super) stash: Stash,
    /// Whole groups that the replica had not taken yet when their source was left.
    pub(super) owed: Vec<u8>,
    pub(super) seat: Seat,
    pub(super) versions: watch::Receiver<u64>,
    /// All dumps are to end.
    dismissal: watch::Receiver<bool>,
    pub(super) unfit: Verdicts,
    /// From when on the verdicts are counted to be old.
    judged: Instant,
    pub(super) locals: Locals,
    began: Instant,
}

/// A node that sends.
pub(super) struct Source {
    pub(super) node: NodeId,
    pub(super) stream: Stream,
    pub(super) buffer: Vec<u8>,
    /// What has been read and not been passed on.
    pub(super) start: usize,
    pub(super) end: usize,
    since: Instant,
}

/// How a source, or the whole dump, comes to an end.
pub(super) enum End {
    /// The source is gone.
    Lost(Box<str>),
    /// The source can't serve.
    Unfit(Unfit),
    /// The client is gone, or has got all.
    Over,
    /// The client is to be told.
    Tell(Fault),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string().into())
    }
}

impl Dump {
    async fn run(mut self) {
        let (mut short, mut tolerated) = (0, None);
        loop {
            let lost = Instant::now();
            let mut dismissal = self.dismissal.clone();
            let found = tokio::select! {
                found = self.find(&mut tolerated) => found,
                () = dismissed(&mut dismissal) => Err(End::Over),
            };
            let mut source = match found {
                Ok(source) => source,
                Err(end) => {
                    // The replica must not be left with a piece of a group.
                    let owed = std::mem::take(&mut self.owed);
                    let _ = self.write(&owed, None).await;
                    return if let End::Tell(fault) = end {
                        self.tell(&fault).await
                    };
                }
            };
            self.enter(&source, lost, tolerated.take());
            let end = self.relay(&mut source).await;
            self.leave(&source);
            short = if source.since.elapsed() < SOURCE_AGE_MIN { short + 1 } else { 0 };
            match end {
                End::Over => return,
                End::Tell(fault) => return self.tell(&fault).await,
                _ if !self.flow.can_move() || short > SHORT_SOURCES_MAX => {
                    return warn!(
                        server = self.seat.entry.server,
                        "the dump ends with its source; the replica comes again by itself"
                    );
                }
                End::Unfit(why) => drop(self.unfit.insert(source.node, why)),
                End::Lost(why) => {
                    info!(server = self.seat.entry.server, node = self.name(source.node), %why, "the source of a dump is lost");
                    self.endpoint.view.suspect(source.node);
                    // The dump has moved on since others were found unfit.
                    self.unfit = Verdicts::from([(source.node, Unfit::Absent(why))]);
                }
            }
        }
    }

    async fn tell(&mut self, fault: &Fault) {
        warn!(server = self.seat.entry.server, address = %self.seat.entry.address, code = fault.code, "a dump is refused: {}", fault.message);
        tell(&mut self.client, self.flow.sequence(), fault, &self.endpoint.clock).await;
    }

    pub(super) fn name(&self, node: NodeId) -> String {
        self.endpoint.view.load().node(node).map_or_else(String::new, |node| node.name.to_string())
    }

    fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// From here on this is the source.
    fn enter(&mut self, source: &Source, lost: Instant, tolerated: Option<Gtid>) {
        let (entry, node) = (&self.seat.entry, self.name(source.node));
        let position = self.flow.position();
        if entry.place().source.is_empty() {
            info!(server = entry.server, address = %entry.address, %node, %position, "a dump begins");
        } else {
            entry.takeovers.fetch_add(1, Ordering::Relaxed);
            self.endpoint.counters.totals.add(Event::Takeover, 1);
            let ms = lost.elapsed().as_secs_f64() * 1e3;
            info!(server = entry.server, from = &*entry.place().source, to = %node, %position, ms, "takeover of a dump");
        }
        entry.comes_from(&node);
        if self.request.position.is_some() {
            entry.reach(position);
        }
        self.stash.clear();
        self.judged = Instant::now();
        self.flow.begin(tolerated);
        if let Some(counters) = self.endpoint.counters.nodes.get(usize::from(source.node.0)) {
            counters.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn leave(&self, source: &Source) {
        if let Some(counters) = self.endpoint.counters.nodes.get(usize::from(source.node.0)) {
            counters.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Passes on what the source sends, until it ends.
    async fn relay(&mut self, source: &mut Source) -> End {
        let mut from_client = vec![0; CLIENT_BYTES];
        let mut acks = 0;
        let mut heard = Instant::now();
        loop {
            if let Err(end) = self.pass_on(source).await {
                return end;
            }
            if *self.dismissal.borrow() && self.may_come_again(source.node) {
                let (entry, position) = (&self.seat.entry, self.flow.position());
                info!(server = entry.server, address = %entry.address, %position, "the dump ends: another process serves the replica");
                return End::Over;
            }
            if self.flow.can_move() && self.versions.has_changed().unwrap_or(false) {
                let before = Instant::now();
                if let Some(next) = self.improve(source.node).await {
                    self.leave(source);
                    *source = next;
                    self.enter(source, before, None);
                    continue;
                }
                // Nobody has listened to it meanwhile.
                heard += before.elapsed();
            }
            source.make_room();
            let silent = self.endpoint.clock.sleep_until(heard + self.endpoint.bounds.source_timeout);
            let stale = self.unfit_ages();
            tokio::select! {
                read = source.stream.read(&mut source.buffer[source.end..]) => match read {
                    Ok(0) => return End::Lost("the connection was closed".into()),
                    Ok(read) => {
                        source.end += read;
                        heard = Instant::now();
                    }
                    Err(error) => return error.into(),
                },
                read = self.client.read(&mut from_client[acks..]) => match read {
                    Ok(0) | Err(_) => return End::Over,
                    Ok(read) => match self.acknowledge(&from_client[..acks + read], source).await {
                        Ok(used) => {
                            from_client.copy_within(used..acks + read, 0);
                            acks = acks + read - used;
                        }
                        Err(end) => return end,
                    },
                },
                Ok(()) = self.versions.changed(), if self.flow.can_move() => self.versions.mark_changed(),
                () = stale => {
                    self.unfit.clear();
                    self.judged = Instant::now();
                    self.versions.mark_changed();
                }
                () = dismissed(&mut self.dismissal), if self.may_come_again(source.node) => {}
                () = silent => return End::Lost(format!("silent for {:?}", self.endpoint.bounds.source_timeout).into()),
            }
        }
    }

    /// Whether the replica finds another process where it is now. By file and position that would have it read the writer's; and a
    /// program that only reads does not come again.
    fn may_come_again(&self, source: NodeId) -> bool {
        let finds = self.request.position.is_some() || self.endpoint.view.load().write_target() == Some(source);
        self.flow.is_between() && finds && self.seat.entry.server != 0
    }

    /// Ready when nodes that could not serve are to be asked again.
    fn unfit_ages(&self) -> impl Future<Output = ()> + use<> {
        let stale = (!self.unfit.is_empty()).then(|| self.endpoint.clock.sleep_until(self.judged + UNFIT_AGE));
        async move {
            match stale {
                Some(stale) => stale.await,
                None => pending().await,
            }
        }
    }

    /// Passes on what may go of what has been read.
    async fn pass_on(&mut self, source: &mut Source) -> Result<(), End> {
        let owed = std::mem::take(&mut self.owed);
        self.write(&owed, Some(source.node)).await?;
        loop {
            let now_us = self.now_us();
            let bytes = &mut source.buffer[source.start..source.end];
            let step = self.flow.take(bytes, now_us).map_err(|malformed| End::Lost(malformed.to_string().into()))?;
            match step {
                Step::Pass(0) => return Ok(()),
                Step::Pass(length) => {
                    self.write(&bytes[..length], Some(source.node)).await?;
                    source.start += length;
                    if self.request.position.is_some() {
                        self.seat.entry.reach(self.flow.position());
                    }
                }
                Step::Stash(length) => {
                    self.stash.keep(&bytes[..length]).map_err(|error| self.unkept(&error))?;
                    source.start += length;
                }
                Step::Flush => self.flush().await?,
                Step::Drop(length) => source.start += length,
                Step::Ended(length) if self.request.ends => return self.end(source, length).await,
                Step::Ended(_) => return Err(End::Lost("it shuts down".into())),
                Step::Failed(at) => return Err(self.failed(&bytes[at..])),
                Step::Opens(made_s) => self.open(source.node, made_s)?,
                Step::Gap(next) => return Err(End::Unfit(Unfit::Gap(next))),
            }
        }
    }

    /// By file and position: a file begins, or goes on, which is to be the one that the replica means.
    fn open(&self, node: NodeId, made_s: u32) -> Result<(), End> {
        match self.request.reader() {
            Some(server) => {
                let opened = self.endpoint.anchors.opens(server, &self.name(node), self.flow.file(), made_s);
                opened.map_err(End::Tell)
            }
            None => Ok(()),
        }
    }

    /// What a source says that ends in the middle.
    fn failed(&self, packet: &[u8]) -> End {
        let fault = packet::first(packet).and_then(|(_, payload)| refusal(payload).ok());
        match fault {
            Some(fault) if !self.flow.can_move() => End::Tell(fault),
            Some(fault) => End::Unfit(Unfit::Lacks(self.flow.position().clone(), fault.message)),
            None => End::Lost("it says what makes no sense".into()),
        }
    }
}

/// Ready when all dumps are to end.
async fn dismissed(dismissal: &mut watch::Receiver<bool>) {
    if dismissal.wait_for(|dismissed| *dismissed).await.is_err() {
        pending().await
    }
}

impl Source {
    pub(super) fn new(node: NodeId, line: Line) -> Self {
        let Line { stream, unused: buffer, .. } = line;
        Self { node, stream, start: 0, end: buffer.len(), buffer, since: Instant::now() }
    }

    /// Room for more behind what is left over.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // What a long group has made large does not stay so.
        let wanted = (self.end + READ_BYTES / 2).max(READ_BYTES);
        if self.buffer.len() < wanted || (self.end == 0 && self.buffer.len() > READ_BYTES) {
            self.buffer.resize(wanted.next_power_of_two(), 0);
            self.buffer.shrink_to_fit();
        }
    }
}

const _: () = assert!(HEADER < CLIENT_BYTES);
