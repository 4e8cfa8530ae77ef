//! Getting a command to a node: choosing the node, waiting for its connection, bringing the connection to the session's state, sending.

use std::ops::Range;

use crate::backend::pool::{Defaults, Fit};
use crate::cluster::view::{ClusterView, NodeId};
use crate::fault::Fault;
use crate::routing::reader;
use crate::sql::statement::Class;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::command::{self, Command, QUERY};
use crate::wire::ok;
use crate::wire::packet::HEADER;
use crate::wire::reply::Shape;

use super::causal::follows_a_wait;
use super::client::Standing;
use super::conn::{NodeConn, Purpose};
use super::desk::{Action, Desk, Peer, Slot};
use super::loss;
use super::machine::{Machine, Phase};
use super::prepared::set_statement_id;
use super::tracking;
use super::work::{After, Stage, Target, Work};
use super::writerless::Lack;

/// The command's packet in the bytes of the event, if it came with this very event.
pub(super) type Source<'a> = Option<(&'a mut [u8], Range<usize>)>;

/// Where a command can go now.
enum Placed {
    At(Slot),
    /// Nowhere yet; look again at this time at the latest.
    Later(u64),
    Refused(Fault),
    /// The session ends.
    Over,
}

impl Machine {
    /// Takes the command under way as far as it will go.
    pub(super) fn advance(&mut self, mut source: Source, desk: &mut Desk) {
        let Some(work) = &self.work else { return };
        // Who runs again needs all of the file.
        if work.stage != Stage::Waiting || work.is_sending_file() {
            return;
        }
        if self.is_withheld() {
            return self.keep_packet(&source, desk);
        }
        let slot = match work.slot {
            Some(slot) => slot,
            None => match self.place(desk) {
                Placed::At(slot) => slot,
                Placed::Later(deadline) => {
                    self.keep_packet(&source, desk);
                    if self.state.transaction.is_none() {
                        // Whatever it was part of begins again.
                        self.trail.end();
                    }
                    return self.arm(Some(deadline), desk);
                }
                Placed::Refused(fault) => return self.fail(fault, desk),
                Placed::Over => return self.hang_up(desk),
            },
        };
        if let Some(work) = &mut self.work {
            work.slot = Some(slot);
        }
        if !self.prepare_conn(slot, desk) {
            return self.keep_packet(&source, desk);
        }
        self.send(slot, source.take(), desk);
    }

    fn place(&mut self, desk: &mut Desk) -> Placed {
        self.free_kept_data();
        let Some(work) = &self.work else { return Placed::Later(desk.now_us) };
        if desk.now_us < work.turn_us {
            return Placed::Later(work.turn_us);
        }
        let view = &*desk.view;
        let reader = || {
            if let Some(writer) = view.writer.filter(|_| self.reads_its_writer(desk)) {
                return Some(writer);
            }
            let mut avoided = work.avoided;
            avoided.extend(self.readers_behind(desk));
            reader::choose(view, &desk.loads, desk.settings.readers, self.reader, avoided, desk.now_us)
        };
        let node = match work.target {
            Target::Slot(slot) => {
                let open = self.conns.get(usize::from(slot)).is_some_and(NodeConn::is_open);
                return if open { Placed::At(slot) } else { Placed::Refused(loss::statement_data_lost()) };
            }
            Target::Node(id) => Some(id),
            Target::Writer => view.write_target(),
            Target::Reader => reader(),
            Target::Home => self.home(view).filter(|id| !work.avoided.contains(*id)).or_else(reader),
        };
        let give_up_us = work.begun_us.saturating_add(desk.settings.writer_wait.as_micros() as u64);
        let failed = node.is_some_and(|id| work.avoided.contains(id)) && desk.now_us < work.retry_at_us;
        match node {
            Some(id) if !failed => {
                if work.target == Target::Reader {
                    self.reader = Some(id);
                }
                Placed::At(self.slot_for(id, desk))
            }
            _ if desk.now_us >= give_up_us => Placed::Refused(loss::nowhere(work.target, desk.settings.writer_wait)),
            Some(_) => Placed::Later(work.retry_at_us.min(give_up_us)),
            None if work.target == Target::Writer => match self.lacks_writer(desk) {
                Lack::Waits => Placed::Later(give_up_us),
                Lack::Fails(fault) => Placed::Refused(fault),
                Lack::Ends => Placed::Over,
            },
            None => Placed::Later(give_up_us),
        }
    }

    /// Where the session ran its last statement, so that what this left there (FOUND_ROWS, warnings) stays within reach; at first
    /// the writer.
    fn home(&self, view: &ClusterView) -> Option<NodeId> {
        let previous = self.state.previous.and_then(|slot| self.conns.get(usize::from(slot)));
        let previous = previous.filter(|conn| conn.is_ready()).and_then(|conn| view.node(conn.node));
        previous.filter(|node| node.usable()).map(|node| node.id).or(view.writer)
    }

    /// The connection to this node, a new one if there is none.
    fn slot_for(&mut self, node: NodeId, desk: &mut Desk) -> Slot {
        if let Some(place) = self.conns.iter().position(|conn| conn.is_open() && conn.node == node) {
            return place as Slot;
        }
        let place = self.conns.iter().position(|conn| !conn.is_open()).unwrap_or(self.conns.len());
        let defaults = desk.defaults();
        let mut conn = NodeConn::dialling(node, desk.sighting(), defaults);
        conn.of_writer = desk.view.writer == Some(node);
        let introduced = desk.view.node(node).is_some_and(|node| node.proxy_protocol);
        conn.introduced = introduced;
        match self.conns.get_mut(place) {
            Some(closed) => *closed = conn,
            None => {
                // Most sessions have one or two, and there are many sessions.
                self.conns.reserve_exact(1);
                self.conns.push(conn);
            }
        }
        let slot = place as Slot;
        if let Some(load) = desk.load(node) {
            load.connections += 1;
        }
        desk.act(Action::Dial { slot, fit: self.fit(node, introduced, defaults) });
        let deadline = desk.after(desk.settings.connect_timeout);
        self.arm(Some(deadline), desk);
        slot
    }

    /// What a connection must be, or is, to serve a session like this one.
    pub(super) fn fit(&self, node: NodeId, introduced: bool, defaults: Defaults) -> Fit {
        let client = &self.client;
        let capabilities = client.capabilities.towards_node(false, false);
        Fit {
            node,
            user: client.user.clone(),
            client: introduced.then_some(client.address),
            // Nothing is kept of the generation before the first: who is not proven yet logs in by a connection of its own.
            accounts: if client.proven { client.accounts } else { 0 },
            defaults,
            capabilities: capabilities.bits(),
            packet_max: client.packet_max,
            collation: client.collation,
            schema: client.schema.clone(),
        }
    }

    /// True once the connection is ready for the command: logged in, in the session's state, with the statement prepared.
    fn prepare_conn(&mut self, slot: Slot, desk: &mut Desk) -> bool {
        let Some(work) = &self.work else { return false };
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return false };
        if !conn.is_ready() {
            return false;
        }
        if matches!(work.after, After::Login(_) | After::Reset) {
            return conn.is_quiet();
        }
        self.overwrite_foreign(slot, desk);
        self.see_writes(slot, desk);
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return false };
        // What a transaction that is to run again has set comes with it.
        let ceiling =
            self.journal.as_ref().filter(|journal| journal.is_due()).map_or(u64::MAX, |journal| journal.floor);
        for (version, packet) in self.state.since(conn.sent).take_while(|(version, _)| *version <= ceiling) {
            desk.write(Peer::Node(slot), |out| out.extend_from_slice(packet));
            let command = packet.get(HEADER).map_or(Command::Query, |byte| Command::from_byte(*byte));
            conn.owe(Purpose::Effect(version), command.shape());
            conn.spotless = false;
        }
        conn.sent = conn.sent.max(self.state.version().min(ceiling));
        self.ask_to_tell(slot, desk);
        if self.replay_is_due() && !self.replay_step(slot, desk) {
            return false;
        }
        self.announce(slot, desk);
        let statement = self.work.as_ref().and_then(|work| work.statement);
        if statement.is_some_and(|id| !self.is_prepared(id, slot, desk)) {
            return false;
        }
        self.send_kept_data(slot, desk);
        let (Some(work), Some(conn)) = (&self.work, self.conns.get_mut(usize::from(slot))) else { return false };
        if let Some(statement) = work.statement.filter(|_| work.untyped).and_then(|id| self.prepared.get_mut(id))
            && statement.lacks_types(slot)
        {
            desk.write(Peer::Node(slot), |out| statement.put_types(slot, out));
            conn.owe(Purpose::Types, Shape::Results);
        }
        if !work.streams() && conn.owes_settings_only() {
            return true;
        }
        // A read may follow on the heels of the effects: if one of them fails, its reply is thrown away and it runs elsewhere.
        let follows = work.retry && !matches!(work.after, After::Effect(_) | After::Schema | After::Option);
        conn.is_quiet() || (follows && (!conn.is_waiting() || follows_a_wait(work)))
    }

    /// Asks a connection to tell what the session needs to know of what is about to run there.
    fn ask_to_tell(&mut self, slot: Slot, desk: &mut Desk) {
        // Not within a transaction: if it is aborted by this very question, what comes on its heels is committed by itself.
        let begins = self.replay_is_due() || !self.state.autocommits();
        let changes = begins || self.work.as_ref().is_some_and(Work::may_change_data);
        let changes = changes && self.state.transaction.is_none();
        let relisted = self.state.relisted;
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return };
        let asked = conn.asked.is_some_and(|version| version >= relisted);
        let stays = desk.view.nodes.len() <= 1 && !desk.settings.multiplex && !desk.settings.replay;
        if asked || !changes || (stays && desk.view.gtid_domain.is_none()) {
            return;
        }
        conn.asked = Some(conn.sent);
        conn.spotless = false;
        desk.write(Peer::Node(slot), |out| command::put(out, QUERY, tracking::ASK));
        conn.owe(Purpose::Setting, Shape::Results);
    }

    /// Tells a connection how the transaction is to be that begins there.
    fn announce(&mut self, slot: Slot, desk: &mut Desk) {
        let begins = self.work.as_ref().and_then(Work::statement_verdict);
        let begins = begins.is_some_and(|verdict| !matches!(verdict.class, Class::Diagnostics | Class::Kill));
        let Some(conn) = self.conns.get_mut(usize::from(slot)).filter(|_| begins) else { return };
        for command in self.state.upcoming.tell(slot) {
            desk.write(Peer::Node(slot), |out| out.extend_from_slice(command));
            conn.owe(Purpose::Announcement, Shape::Results);
            conn.spotless = false;
        }
    }

    fn keep_packet(&mut self, source: &Source, desk: &mut Desk) {
        if let (Some(work), Some((bytes, range))) = (&mut self.work, source)
            && work.packet.is_empty()
        {
            work.packet = desk.spare();
            work.packet.extend_from_slice(&bytes[range.clone()]);
        }
    }

    fn send(&mut self, slot: Slot, source: Source, desk: &mut Desk) {
        if let Some(After::Login(sequence)) = self.work.as_ref().map(|work| work.after) {
            return self.welcome(sequence, desk);
        }
        if self.work.as_ref().is_some_and(|work| work.after == After::Dump) {
            return self.hand_over(slot, desk);
        }
        self.record(slot, desk);
        self.begin_unit(desk);
        if self.work.as_ref().is_some_and(|work| work.keeps_packet()) {
            self.keep_packet(&source, desk);
        }
        let fresh = source.as_ref().map(|(bytes, range)| &bytes[range.clone()]);
        self.note_traces(slot, fresh, desk);
        let (Some(work), Some(conn)) = (&mut self.work, self.conns.get_mut(usize::from(slot))) else { return };
        work.stage = Stage::Running;
        work.begun_us = desk.now_us;
        conn.owe(Purpose::Client, work.shape);
        if work.streams() {
            conn.tracker.resume_after_upload();
        }
        let now_us = desk.now_us;
        if let Some(load) = desk.load(conn.node) {
            load.start(now_us);
        }
        if self.work.as_ref().is_some_and(|work| !work.streams()) {
            self.write_command(slot, source, desk);
        }
        self.arm(None, desk);
        if self.work.as_ref().is_some_and(|work| work.shape == Shape::Nothing && !work.streams()) {
            self.finish(desk);
        }
    }

    /// Writes the command, marked, or under the node's own id for the statement it names.
    fn write_command(&mut self, slot: Slot, source: Source, desk: &mut Desk) {
        let Some(work) = &mut self.work else { return };
        let mut kept = std::mem::take(&mut work.packet);
        match source {
            Some((bytes, range)) => self.write_bytes(slot, &mut bytes[range.clone()], Some(range), desk),
            None => self.write_bytes(slot, &mut kept, None, desk),
        }
        if let Some(work) = &mut self.work {
            work.packet = kept;
        }
    }

    fn write_bytes(&mut self, slot: Slot, bytes: &mut [u8], range: Option<Range<usize>>, desk: &mut Desk) {
        if let Some(mark) = self.mark_work(bytes, desk) {
            return self.write_marked(slot, bytes, mark, desk);
        }
        let Some(work) = &self.work else { return };
        if let Some(statement) = work.statement.and_then(|id| self.prepared.get_mut(id)) {
            set_statement_id(bytes, statement.id_on(slot).unwrap_or_default());
            if work.command == Command::StmtSendLongData {
                self.keep_data(slot, bytes, true, desk);
            } else if work.command.executes() && statement.needs_types(bytes, slot) {
                return desk.write(Peer::Node(slot), |out| statement.put_typed(bytes, out));
            }
        }
        match range {
            Some(range) => desk.forward(Peer::Node(slot), range),
            None => desk.write(Peer::Node(slot), |out| out.extend_from_slice(bytes)),
        }
    }

    /// The login is through: the client is told, and may begin.
    fn welcome(&mut self, sequence: u8, desk: &mut Desk) {
        let status: Status = self.state.own_status();
        let schema = self.client.schema.as_deref().filter(|_| self.tracks());
        let proof = self.proof().unwrap_or_default();
        desk.write(Peer::Client, |out| ok::put_welcome(out, sequence, status, proof.as_bytes(), schema));
        if self.client.has(Capabilities::COMPRESS) {
            desk.act(Action::Compress);
        }
        self.client.standing = Standing::Welcome;
        self.phase = Phase::Serving;
        self.finish(desk);
    }
}
