//! Commands of replicas, and the end of a session whose client begins a dump: what is left of it is a [`Handover`].

use crate::backend::handover::Handover;
use crate::backend::login::Credentials;
use crate::cluster::view::NodeId;
use crate::fault::Fault;
use crate::net::pipe::Pipe;
use crate::wire::command::Command;

use super::command::malformed_command;
use super::desk::{Action, Desk, Slot};
use super::machine::{Machine, Phase};
use super::work::{After, Target, Work};

/// What a session of the replication service remembers of its client.
#[derive(Default)]
pub(super) struct Replica {
    /// What COM_REGISTER_SLAVE said.
    registration: Option<Box<[u8]>>,
    /// What COM_BINLOG_DUMP said.
    dump: Box<[u8]>,
}

/// COM_BINLOG_DUMP without a file name: position, flags, server id.
const DUMP_BYTES_MIN: usize = 10;

/// MySQL's COM_BINLOG_DUMP_GTID names transactions by the UUIDs of servers.
pub(super) fn foreign_gtids() -> Fault {
    let text =
        "This is a MariaDB, whose GTIDs are not MySQL's: a replica of MySQL can read it by file and position only";
    Fault::client(1235, b"42000", text)
}

impl Machine {
    /// Makes it a session of the replication service: everything runs on the writer.
    pub fn for_replicas(mut self) -> Self {
        self.replica = Some(Box::default());
        self
    }

    /// COM_REGISTER_SLAVE and COM_BINLOG_DUMP. Whether the account may do so is the node's to say.
    pub(super) fn replicate(&mut self, command: Command, payload: &[u8], desk: &Desk) -> Result<Work, Fault> {
        let Some(replica) = &mut self.replica else {
            let text = "This listener serves applications; replicas need a replication listener or a node";
            return Err(Fault::client(1235, b"42000", text));
        };
        let after = match command {
            Command::BinlogDump if payload.len() < DUMP_BYTES_MIN => return Err(malformed_command()),
            Command::BinlogDump => {
                replica.dump = payload.into();
                After::Dump
            }
            _ => {
                replica.registration = Some(payload.into());
                After::Nothing
            }
        };
        Ok(Work::new(command, Target::Writer, after, desk.now_us))
    }

    /// The session has a connection to the writer in its own state: that and the client are all that goes on.
    pub(super) fn hand_over(&mut self, slot: Slot, desk: &mut Desk) {
        let Some(node) = self.conns.get(usize::from(slot)).map(|conn| conn.node) else { return };
        self.finish(desk);
        for other in (0..self.conns.len() as Slot).filter(|other| *other != slot) {
            self.part(other, desk);
        }
        self.forget_conn(slot, desk);
        self.phase = Phase::Ended;
        desk.act(Action::HandOver { slot, node });
    }

    /// What is handed over.
    pub(super) fn handover(&mut self, client: Pipe, node: Pipe, node_id: NodeId) -> Handover {
        let replica = self.replica.take().unwrap_or_default();
        let who = &self.client;
        Handover {
            session: self.id,
            address: self.client_address(),
            client,
            node,
            node_id,
            credentials: Credentials {
                user: who.user.clone(),
                secret: who.secret.clone(),
                capabilities: who.capabilities,
                packet_max: who.packet_max,
                collation: who.collation,
                attributes: who.attributes.clone(),
            },
            registration: replica.registration,
            dump: replica.dump,
        }
    }
}
