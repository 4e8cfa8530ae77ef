//! Where a session is told what others want of it; it looks when it is woken.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use tokio::sync::{mpsc, oneshot};

use crate::backend::seats::Lender;
use crate::cluster::view::NodeId;
use crate::routing::reader::NodeSet;

use super::desk::{Found, Holder, Sought};
use super::portrait::Easel;

/// What others want of a session.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) view: bool,
    pub(super) drain: bool,
    pub(super) end: bool,
    pub(super) spared: bool,
    /// Others wait for connections to these nodes.
    pub(super) asked_for: NodeSet,
    /// Who looks for it, and whether to kill it.
    pub(super) finds: Vec<(bool, oneshot::Sender<Found>)>,
    /// Who looks for sessions.
    pub(super) seeks: Vec<(Sought, mpsc::UnboundedSender<Holder>)>,
    /// Who wants to see what it is at.
    pub(super) easels: Vec<Easel>,
}

/// Where a session is told what others want of it.
#[derive(Default)]
pub(super) struct Notice {
    heard: RefCell<Heard>,
    fresh: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Lender for Notice {
    fn ask_for(&self, node: NodeId) {
        self.tell(|heard| heard.asked_for.insert(node));
    }
}

impl Notice {
    /// Leaves word, and wakes the session.
    pub(super) fn tell(&self, tell: impl FnOnce(&mut Heard)) {
        tell(&mut self.heard.borrow_mut());
        self.fresh.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Has the session woken by this waker from now on.
    pub(super) fn attend(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    pub(super) fn take(&self) -> Heard {
        if self.fresh.replace(false) { self.heard.take() } else { Heard::default() }
    }
}
