//! The file of a LOAD DATA LOCAL, which the client sends once: it is kept, up to a limit, so that the statement can run again whose
//! node is lost meanwhile.
//!
//! A cluster's node loads a file as one transaction: one that is lost before it has all of it has loaded nothing (measured), unless
//! wsrep_load_data_splitting is on, which `oarlock audit` tells. A standalone server may have tables that keep a part.

use crate::fault::{Fault, Retry};
use crate::wire::capability::Capabilities;
use crate::wire::packet::set_sequence;
use crate::wire::reply::Kind;
use crate::wire::upload::Upload;

use super::desk::{Desk, Peer, Slot};
use super::machine::Machine;
use super::work::Stage;

impl Machine {
    /// The node asks for a file, by a packet of this number.
    pub(super) fn asks_for_file(&mut self, request: u8, desk: &Desk) {
        let Some(work) = &mut self.work else { return };
        work.upload = Some(Upload::file(request, self.client.has(Capabilities::COMPRESS)));
        work.file = (desk.settings.replay && (work.redo || work.journaled)).then(Vec::new);
    }

    /// Whether the node asks for a file that another one has got: it gets the same.
    pub(super) fn sends_file_again(&mut self, slot: Slot, desk: &mut Desk) -> bool {
        let file = self.work.as_ref().and_then(|work| work.file.as_ref());
        file.map(|file| desk.write(Peer::Node(slot), |out| out.extend_from_slice(file))).is_some()
    }

    /// The answer behind a file follows on that, even if it is another node's, which has not asked for the file.
    pub(super) fn number_answer(&self, kind: Kind, packet: &mut [u8]) {
        let work = self.work.as_ref().filter(|work| work.file.is_some() && !work.is_sending_file());
        if let (Some(upload), Kind::Ok(_) | Kind::Err) = (work.and_then(|work| work.upload), kind) {
            set_sequence(packet, upload.next_sequence());
        }
    }

    /// A part of the file has come.
    pub(super) fn keep_file(&mut self, part: &[u8], desk: &mut Desk) {
        let Some(work) = &mut self.work else { return };
        let Some(file) = &mut work.file else { return };
        if file.len() + part.len() <= desk.settings.replay_bytes_max {
            return file.extend_from_slice(part);
        }
        work.file = None;
        if work.stage == Stage::Waiting {
            self.end_journal(desk);
            self.state.end_transaction();
            self.fail(too_long(), desk);
        }
    }

    /// All of a file has come whose node is gone.
    pub(super) fn file_is_whole(&mut self, desk: &mut Desk) {
        if let Some(work) = &mut self.work {
            work.begun_us = desk.now_us;
        }
        self.advance(None, desk);
    }

    /// The statement that has just run is kept with its file, if it had one.
    pub(super) fn record_file(&mut self, desk: &Desk) {
        let (Some(work), Some(journal)) = (&mut self.work, &mut self.journal) else { return };
        match work.file.take() {
            Some(file) => journal.upload(&file, desk.settings.replay_bytes_max),
            None if work.upload.is_some() && !work.streams() => journal.spoil(),
            None => {}
        }
    }
}

fn too_long() -> Fault {
    let text = "Deadlock found when trying to get lock; try restarting transaction (rolled back: its connection to its node was lost, and \
                its file is longer than replay_bytes_max)";
    Fault::node(Retry::Replay, 1213, b"40001", text)
}
