//! What the replica takes of a dump, and what it says meanwhile: writing at its pace, its acknowledgements, and its next request.

use std::io;

use tracing::{info, warn};

use super::dump::{CLIENT_BYTES, Dump, End, READ_BYTES, Source};
use super::flow::Flow;
use crate::cluster::view::NodeId;
use crate::fault::{Fault, Retry};
use crate::telemetry::tally::Event;
use crate::wire::binlog::SEMI_SYNC_MAGIC;
use crate::wire::command::BINLOG_DUMP;
use crate::wire::packet;

impl Dump {
    /// Writes as fast as the replica takes it. What comes from a source that may not be used any more is owed from then on: the
    /// source need not wait for the replica.
    pub(super) async fn write(&mut self, mut bytes: &[u8], source: Option<NodeId>) -> Result<(), End> {
        let mut changed = false;
        while !bytes.is_empty() {
            let written = self.endpoint.clock.timeout(self.endpoint.bounds.stall_timeout, self.client.write(bytes));
            let written = tokio::select! {
                written = written => written,
                Ok(()) = self.versions.changed(), if source.is_some() && self.flow.can_move() => {
                    let view = self.endpoint.view.load();
                    if source.and_then(|node| view.node(node)).is_some_and(|node| !node.tolerable()) {
                        self.owed = bytes.to_vec();
                        return Err(End::Lost("it may not be used any more".into()));
                    }
                    changed = true;
                    continue;
                }
            };
            match written {
                Ok(Ok(written)) if written > 0 => {
                    self.seat.entry.sent(written);
                    self.endpoint.counters.totals.add(Event::BytesToReplicas, written as u64);
                    bytes = &bytes[written..];
                }
                Ok(_) => return Err(End::Over),
                Err(_) => {
                    info!(server = self.seat.entry.server, "the replica has taken nothing for too long; its dump ends");
                    return Err(End::Over);
                }
            }
        }
        if changed {
            self.versions.mark_changed();
        }
        Ok(())
    }

    /// Passes on what was stashed of a long transaction, of which all is there now.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let mut buffer = vec![0; READ_BYTES];
        self.stash.rewind().map_err(|error| self.unkept(&error))?;
        loop {
            match self.stash.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    self.write(&buffer[..length], None).await?;
                }
                // The replica has a part of it already.
                Err(error) => {
                    warn!(server = self.seat.entry.server, %error, "a long transaction can't be read again");
                    return Err(End::Over);
                }
            }
        }
        self.stash.clear();
        Ok(())
    }

    pub(super) fn unkept(&self, error: &io::Error) -> End {
        let (limit, folder) = (self.endpoint.bounds.group_bytes_max, self.endpoint.state_dir.display());
        let text =
            format!("A transaction longer than {limit} bytes can't be kept in {folder} until it is whole: {error}");
        End::Tell(Fault::proxy(Retry::Never, 1105, b"HY000", text))
    }

    /// Acknowledgements go to the source they are for; returns how many bytes are done with.
    pub(super) async fn acknowledge(&mut self, bytes: &[u8], source: &mut Source) -> Result<usize, End> {
        let mut at = 0;
        while let Some((header, payload)) = packet::first(&bytes[at..]) {
            if payload.first() == Some(&SEMI_SYNC_MAGIC) && self.flow.acknowledge() {
                source.stream.write_all(&bytes[at..at + header.total()]).await?;
            }
            at += header.total();
        }
        if at == 0 && bytes.len() == CLIENT_BYTES { Err(End::Over) } else { Ok(at) }
    }

    /// A dump that was to end at the end of the log: the program may ask for another file, or go.
    pub(super) async fn end(&mut self, source: &mut Source, length: usize) -> Result<(), End> {
        let mut packet = source.buffer[source.start..source.start + length].to_vec();
        packet[3] = self.flow.sequence();
        self.write(&packet, None).await?;
        let mut command = vec![0; CLIENT_BYTES];
        let mut there = 0;
        loop {
            match self
                .endpoint
                .clock
                .timeout(self.endpoint.bounds.stall_timeout, self.client.read(&mut command[there..]))
                .await
            {
                Ok(Ok(read)) if read > 0 => there += read,
                _ => return Err(End::Over),
            }
            match packet::first(&command[..there]) {
                Some((header, [BINLOG_DUMP, ..])) => {
                    source.stream.write_all(&command[..header.total()]).await?;
                    (source.start, source.end) = (0, 0);
                    let rules = self.request.rules(self.endpoint.bounds.group_bytes_max);
                    self.flow = Flow::new(rules, self.flow.position().clone());
                    return Ok(());
                }
                None if there < CLIENT_BYTES => {}
                _ => return Err(End::Over),
            }
        }
    }
}
