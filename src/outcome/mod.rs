//! Whether an interrupted write happened.
//!
//! Two things must be known: that the write is *over*, so that it can't happen later any more, and whether it is in the binary log of a
//! node that has everything. So its connection is killed where its node can be reached ([`warden`]), or the cluster has expelled
//! the node; then one dump of a survivor's log is searched for the marker of each write that anybody waits for ([`survey`],
//! [`trail`]). What is found has happened, whenever it is found; what is not there has not, once it is over. [`service`] is the
//! task that brings these together, on the control plane: sessions only ask.
//!
//! It knows nothing of sessions, and decides nothing for them.

mod access;
mod case;
mod service;
mod survey;
mod trail;
mod warden;

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

use crate::cluster::view::{NodeId, ViewHandle};
use crate::config::Live;
use crate::gtid::{Gtid, Position};
use crate::net::tls::ClientTls;
use crate::sql::marker::Marker;

pub use service::Service;

/// What a session wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The node on which the write was under way.
    pub node: NodeId,
    /// The node's id of the connection on which it was. It will be killed if it is still there.
    pub thread: u32,
    /// The markers of the work that was under way: any of them proves all of it. None if it can't be marked.
    pub markers: Box<[Marker]>,
    /// Everything up to here is known to be older.
    pub base: Position,
    /// The rows matter, too: it was one INSERT that commits by itself.
    pub wants_rows: bool,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Committed {
        /// Under this GTID.
        gtid: Gtid,
        /// So many rows were inserted, if that was asked for and can be told.
        affected: Option<u64>,
        /// What LAST_INSERT_ID() would be, if that was asked for and can be told.
        insert_id: Option<u64>,
    },
    /// It did not happen, and will not.
    Absent,
    /// It can't be found out: what is known, for the client.
    Undecidable(Box<str>),
}

/// Where sessions ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resolver {
    questions: mpsc::UnboundedSender<Asked>,
}

/// A question on its way.
struct Asked {
    question: Question,
    answer: oneshot::Sender<Outcome>,
}

impl Resolver {
    /// One, and the service that answers.
    pub fn new(live: Live, view: ViewHandle, tls: Option<ClientTls>) -> (Self, Service) {
        let (questions, inbox) = mpsc::unbounded_channel();
        (Self { questions }, Service::new(live, view, tls, inbox))
    }

    /// Asks now; the answer comes with the future, at the latest after `outcome_wait` and a little. It needs no timers.
    pub fn ask(&self, question: Question) -> impl Future<Output = Outcome> + Send + use<> {
        let (answer, outcome) = oneshot::channel();
        // Without a service there is no answer either.
        let _ = self.questions.send(Asked { question, answer });
        async { outcome.await.unwrap_or_else(|_| Outcome::Undecidable("the proxy is stopping".into())) }
    }
}
