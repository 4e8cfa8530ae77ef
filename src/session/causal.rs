//! Reads that see the session's own writes: where they may go, and what a node is asked to wait for first.
//!
//! The wait travels in the same write as the read. Where it fails, the connection goes, and the writer reads. All else that looks
//! at data, on a new writer too, waits before it begins.
//!
//! The wait has two steps. WSREP_SYNC_WAIT_UPTO_GTID ends after a time that it is given, but also as soon as the transaction has its
//! number, a moment before it can be seen (server: `wait_gtid_upto` in sql/wsrep_mysqld.h looks at `m_seqno`; measured: 1 read in
//! 3,000 missed its write). wsrep_sync_wait does wait until then, but for 30 s where a node is far behind. So the first makes sure
//! that it isn't.

use std::time::Duration;

use tracing::warn;

use crate::cluster::view::NodeId;
use crate::gtid::Gtid;
use crate::routing::causal::CausalReads;
use crate::routing::reader::NodeSet;
use crate::sql::statement::Class;
use crate::wire::command::{self, QUERY};
use crate::wire::reply::Shape;

use super::conn::Purpose;
use super::desk::{Desk, Peer, Slot};
use super::machine::Machine;
use super::work::{After, Stage, Target, Work};

/// How long a node may take to apply what a read must see. Never left out: without it a node waits for ever, and not even KILL
/// ends that (measured).
const APPLY_WAIT: Duration = Duration::from_secs(2);
/// Waits until everything can be seen that was acknowledged anywhere.
const SYNC: &[u8] = b"SET STATEMENT wsrep_sync_wait=1 FOR SELECT 1";
/// Makes a node do so by itself before each read.
const SYNC_ALWAYS: &[u8] = b"SET SESSION wsrep_sync_wait=1";

impl Machine {
    /// What the session has written is not on readers, or nobody can say whether it is.
    pub(super) fn reads_its_writer(&self, desk: &Desk) -> bool {
        let written = &self.state.written;
        (written.strays || written.untold) && desk.settings.causal_reads != CausalReads::Off
    }

    /// Readers that were asked for this session's writes, or others' like them, and did not have them in time.
    pub(super) fn readers_behind(&self, desk: &Desk) -> NodeSet {
        let mut behind = NodeSet::default();
        if let Some(last) = self.awaited(desk) {
            for (place, load) in desk.loads.iter().enumerate() {
                if load.progress.is_behind(desk.now_us) && !load.progress.has(last.sequence) {
                    behind.insert(NodeId(place as u16));
                }
            }
        }
        behind
    }

    /// What a node must have applied before the session reads there.
    fn awaited(&self, desk: &Desk) -> Option<Gtid> {
        let last = self.state.written.last.filter(|_| desk.settings.causal_reads != CausalReads::Off)?;
        (desk.view.gtid_domain == Some(last.domain)).then_some(last)
    }

    /// Sends a connection what it needs so that what runs next sees what it must.
    pub(super) fn see_writes(&mut self, slot: Slot, desk: &mut Desk) {
        let waits_itself = self.waits_by_itself(slot, desk);
        let awaited = self.awaited(desk).filter(|_| self.state.transaction.is_none());
        let looks = self.work.as_ref().is_some_and(looks_at_data);
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return };
        if waits_itself {
            conn.waits_itself = true;
            conn.spotless = false;
            desk.write(Peer::Node(slot), |out| command::put(out, QUERY, SYNC_ALWAYS));
            conn.owe(Purpose::Setting, Shape::Results);
        }
        let Some(last) = awaited.filter(|last| looks && conn.waited < last.sequence) else { return };
        if desk.load(conn.node).is_none_or(|load| load.progress.has(last.sequence)) {
            return;
        }
        conn.waited = last.sequence;
        let text = format!("SELECT WSREP_SYNC_WAIT_UPTO_GTID('{last}',{})", APPLY_WAIT.as_secs());
        desk.write(Peer::Node(slot), |out| command::put(out, QUERY, text.as_bytes()));
        conn.owe(Purpose::Wait, Shape::Results);
        desk.write(Peer::Node(slot), |out| command::put(out, QUERY, SYNC));
        conn.owe(Purpose::Sync(last.sequence), Shape::Results);
    }

    /// Whether the connection's node is to be told once to wait by itself before each read.
    fn waits_by_itself(&self, slot: Slot, desk: &Desk) -> bool {
        let Some(conn) = self.conns.get(usize::from(slot)).filter(|conn| !conn.waits_itself && conn.sent == 0) else {
            return false;
        };
        let others = desk.view.nodes.len() > 1;
        others
            && match desk.settings.causal_reads {
                CausalReads::Off => false,
                // Nothing tells how far a reader is.
                CausalReads::Session => desk.view.gtid_domain.is_none() && desk.view.writer != Some(conn.node),
                CausalReads::Cluster => true,
            }
    }

    /// A node has applied what it was asked to wait for.
    pub(super) fn caught_up(&mut self, slot: Slot, sequence: u64, desk: &mut Desk) {
        let node = self.conns.get(usize::from(slot)).map(|conn| conn.node);
        if let Some(load) = node.and_then(|node| desk.load(node)) {
            load.progress.reached(sequence);
        }
    }

    /// A node refuses to wait, as it has left its cluster, most likely. It would refuse again at once.
    pub(super) fn cannot_wait(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return };
        conn.give_up_waiting();
        let Some(work) = self.work.as_ref().filter(|work| work.slot == Some(slot) && !work.replied) else { return };
        if self.state.needs(slot) || matches!(work.target, Target::Slot(_)) {
            // It can run nowhere else: it will be told itself.
            conn.waited = self.state.written.last.map_or(0, |last| last.sequence);
            return;
        }
        self.drop_conn(slot, desk);
        self.elsewhere(slot, None, desk);
    }

    /// A node has not applied it in time: whatever was sent behind the wait has seen too little.
    pub(super) fn fell_behind(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(conn) = self.conns.get_mut(usize::from(slot)) else { return };
        conn.give_up_waiting();
        let (node, now_us) = (conn.node, desk.now_us);
        if let Some(load) = desk.load(node) {
            load.progress.fell_behind(now_us);
        }
        let Some(work) = self.work.as_mut().filter(|work| work.slot == Some(slot) && !work.replied) else { return };
        let writer = desk.view.writer.filter(|writer| *writer != node);
        let ran = work.stage == Stage::Running;
        if ran {
            self.take_back(desk);
        }
        let Some(work) = &mut self.work else { return };
        if work.may_move_to(writer) || ran {
            // An answer that has seen too little may still come, also where the node has become the writer meanwhile.
            work.slot = None;
            self.drop_conn(slot, desk);
            self.advance(None, desk);
        } else if now_us >= work.begun_us.saturating_add(desk.settings.writer_wait.as_micros() as u64) {
            warn!(
                session = self.id,
                node = desk.name(node),
                "the node does not have the session's last write; going on without it"
            );
            self.state.written.last = None;
        }
    }
}

/// Whether it reads, or may read, what was written before.
fn looks_at_data(work: &Work) -> bool {
    match work.after {
        After::Statement(verdict) | After::Execute(verdict) => {
            !matches!(verdict.class, Class::Diagnostics | Class::SetTransaction | Class::Kill | Class::End)
        }
        After::Effect(_) => true,
        _ => false,
    }
}

/// Whether it may be sent on the heels of a wait: if that fails, it has changed nothing and can run elsewhere.
pub(super) fn follows_a_wait(work: &Work) -> bool {
    work.class() == Some(Class::Read) && work.retry && work.target == Target::Reader
}
