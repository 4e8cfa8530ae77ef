//! The command under way: where it may run, whether it may run again, and what its success changes.

use crate::cluster::view::NodeId;
use crate::fault::Fault;
use crate::routing::reader::NodeSet;
use crate::sql::statement::{Class, Traits, Verdict};
use crate::telemetry::tally::Route;
use crate::wire::command::Command;
use crate::wire::reply::Shape;
use crate::wire::upload::Upload;

use super::desk::Slot;
use super::mark::Mark;
use super::outcome::Doubt;
use super::resume::Delivered;

/// Where a command is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Writer,
    Reader,
    /// The writer if there is one, else a reader.
    Home,
    /// This node connection and no other.
    Slot(Slot),
    Node(NodeId),
}

impl Target {
    /// What it counts as.
    pub(super) fn route(self) -> Route {
        match self {
            Self::Writer => Route::Writer,
            Self::Reader => Route::Reader,
            Self::Home => Route::Home,
            Self::Slot(_) => Route::Held,
            Self::Node(_) => Route::Named,
        }
    }
}

/// What the end of a command changes in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    /// A statement text ran.
    Statement(Verdict),
    /// A session effect in `packet` took force.
    Effect(Verdict),
    /// COM_INIT_DB in `packet`.
    Schema,
    /// COM_SET_OPTION in `packet`.
    Option,
    /// COM_STMT_PREPARE in `packet`.
    Prepare(Verdict),
    /// COM_STMT_EXECUTE of a statement.
    Execute(Verdict),
    /// The login: the client gets its OK with this sequence number.
    Login(u8),
    /// COM_BINLOG_DUMP in `packet`: the session ends, and its client and this node connection are handed over.
    Dump,
    Reset,
    /// KILL of the session of this id; it ends if the node agrees.
    Kill {
        id: u32,
        ends: bool,
    },
    /// KILL of whichever session has a node connection of this id.
    KillThread {
        thread: u32,
        ends: bool,
    },
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not sent: has no connection, or one that is not ready for it.
    Waiting,
    /// Waits for word of another session (KILL).
    Finding,
    /// Sent, at least its start.
    Running,
    /// Was sent and interrupted; its outcome is being looked for.
    Resolving(Doubt),
    /// Has failed; what the client still uploads is thrown away before it is told.
    Discarding,
}

/// The command under way.
pub(super) struct Work {
    pub(super) command: Command,
    pub(super) target: Target,
    pub(super) shape: Shape,
    /// May run again elsewhere as long as no byte of its reply has reached the client.
    pub(super) retry: bool,
    pub(super) after: After,
    pub(super) stage: Stage,
    pub(super) slot: Option<Slot>,
    /// The client's id of the prepared statement that the command names.
    pub(super) statement: Option<u32>,
    /// The command as the client sent it, kept where it may have to be sent later or again.
    pub(super) packet: Vec<u8>,
    /// What has reached the client of a reply that comes in pieces.
    pub(super) delivered: Option<Box<Delivered>>,
    /// A byte of the reply has reached the client.
    pub(super) answered: bool,
    /// The reply has told of warnings or an error.
    pub(super) warned: bool,
    /// The reply has ended.
    pub(super) replied: bool,
    /// Somebody wants it to end: it does not run again.
    pub(super) killed: bool,
    /// A write that commits once and by itself: if it certainly did not happen it may run again.
    pub(super) redo: bool,
    /// If it changes LAST_INSERT_ID(), which nobody but its connection would know then, its OK packet says so.
    pub(super) tells_insert_id: bool,
    /// How its text was marked.
    pub(super) mark: Option<Mark>,
    /// It is part of a transaction that could run again, or opens one.
    pub(super) journaled: bool,
    /// How often it was run again because a node's own work had aborted it.
    pub(super) aborted: u8,
    /// Nodes that failed it.
    pub(super) avoided: NodeSet,
    pub(super) upload: Option<Upload>,
    /// What the client has sent of the file that it was asked for, as long as all of that is kept.
    pub(super) file: Option<Vec<u8>>,
    /// An execute too long to be taken whole, without the types of its parameters.
    pub(super) untyped: bool,
    /// What the client is told once it has uploaded all.
    pub(super) failure: Option<Fault>,
    pub(super) begun_us: u64,
    /// When the client had sent it.
    pub(super) first_us: u64,
    /// When a failed writer is tried again.
    pub(super) retry_at_us: u64,
    /// It does not run again before this.
    pub(super) turn_us: u64,
}

impl Work {
    pub(super) fn new(command: Command, target: Target, after: After, now_us: u64) -> Self {
        Self {
            command,
            target,
            shape: command.shape(),
            retry: false,
            after,
            stage: Stage::Waiting,
            slot: None,
            statement: None,
            packet: Vec::new(),
            delivered: None,
            answered: false,
            warned: false,
            aborted: 0,
            replied: false,
            killed: false,
            redo: false,
            tells_insert_id: false,
            mark: None,
            journaled: false,
            avoided: NodeSet::default(),
            upload: None,
            file: None,
            untyped: false,
            failure: None,
            begun_us: now_us,
            first_us: now_us,
            retry_at_us: 0,
            turn_us: 0,
        }
    }

    /// Whether its packet is needed after it has been sent.
    pub(super) fn keeps_packet(&self) -> bool {
        self.retry
            || self.redo
            || self.journaled
            || self.class() == Some(Class::SetTransaction)
            || matches!(self.after, After::Effect(_) | After::Schema | After::Option | After::Prepare(_))
    }

    /// The verdict on its statement, which may be a session effect.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match self.after {
            After::Effect(verdict) => Some(verdict),
            _ => self.statement_verdict(),
        }
    }

    /// What kind of statement it is.
    pub(super) fn class(&self) -> Option<Class> {
        self.verdict().map(|verdict| verdict.class)
    }

    /// The verdict, but for session effects.
    pub(super) fn statement_verdict(&self) -> Option<Verdict> {
        match self.after {
            After::Statement(verdict) | After::Execute(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// Whether it may commit something, for all that is known of it.
    pub(super) fn may_change_data(&self) -> bool {
        let harmless = |class| matches!(class, Class::Read | Class::Diagnostics | Class::SetTransaction | Class::Kill);
        self.statement_verdict().is_some_and(|verdict| !harmless(verdict.class))
    }

    /// Whether nothing can be left on the connection once it has run.
    pub(super) fn is_spotless(&self) -> bool {
        let plain = |verdict: Verdict| verdict.class == Class::Read && verdict.traits.is_empty();
        matches!(self.after, After::Prepare(_)) || self.statement_verdict().is_some_and(plain)
    }

    /// Whether it asks for the row counts of the previous statement.
    pub(super) fn asks_row_counts(&self) -> bool {
        self.statement_verdict().is_some_and(|verdict| verdict.traits.contains(Traits::ROW_COUNTS))
    }

    /// A reader could not do it: from now on it is for the writer, if there is one. False if it was for no reader.
    pub(super) fn may_move_to(&mut self, writer: Option<NodeId>) -> bool {
        let moves = self.target == Target::Reader && writer.is_some();
        if moves {
            self.target = Target::Writer;
        }
        moves
    }

    /// It has been sent to this connection, at least its start, and is answered there.
    pub(super) fn runs_on(&self, slot: Slot) -> bool {
        self.slot == Some(slot) && self.stage == Stage::Running
    }

    /// The client is still sending parts of it.
    pub(super) fn is_uploading(&self) -> bool {
        self.upload.is_some_and(|upload| !upload.is_complete())
    }

    /// It is too long to be taken whole, and the client sends it to its node as it comes.
    pub(super) fn streams(&self) -> bool {
        self.upload.is_some_and(|upload| upload.is_command())
    }

    /// The client is still sending the file that it was asked for.
    pub(super) fn is_sending_file(&self) -> bool {
        self.is_uploading() && !self.streams()
    }

    /// Nothing of it has gone by that could not be sent again.
    pub(super) fn is_kept(&self) -> bool {
        match self.upload {
            Some(upload) if upload.is_command() => upload.is_fresh(),
            Some(_) => self.file.is_some(),
            None => true,
        }
    }
}
