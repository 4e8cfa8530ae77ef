//! Which of a task's sources have something to do, so that a wake costs one look at one source and not a look at each.
//!
//! A source polled with its waker from here sets its own bit, and wakes the task. It stays ready until it has been polled
//! pending, and so holds the waker again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};

/// The most sources of a task.
pub const SOURCES_MAX: usize = u64::BITS as usize;

/// The sources of one task, each known by its place.
#[derive(Default)]
pub struct Signals {
    board: Arc<Board>,
    wakers: Vec<Waker>,
    ready: u64,
}

#[derive(Default)]
struct Board {
    fired: AtomicU64,
    /// A task's waker is the same all its life.
    task: OnceLock<Waker>,
}

struct Signal {
    board: Arc<Board>,
    bit: u64,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.board.fired.fetch_or(self.bit, Ordering::Release);
        if let Some(task) = self.board.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Signals {
    /// Takes in what has fired. To be called with the task's own waker whenever it is polled.
    pub fn gather(&mut self, task: &Waker) {
        self.board.task.get_or_init(|| task.clone());
        self.ready |= self.board.fired.swap(0, Ordering::Acquire);
    }

    /// The waker to poll a source with; a source that is new must be told of by [`Signals::begin`].
    pub fn waker(&self, source: usize) -> &Waker {
        self.wakers.get(source).unwrap_or(Waker::noop())
    }

    /// There is a source in this place, or a new one: it is ready to be polled.
    pub fn begin(&mut self, source: usize) {
        while self.wakers.len() <= source {
            let signal = Signal { board: self.board.clone(), bit: bit(self.wakers.len()) };
            self.wakers.push(Waker::from(Arc::new(signal)));
        }
        self.ready |= bit(source);
    }

    /// Whether a source may have something to do.
    pub fn is_ready(&self, source: usize) -> bool {
        self.ready & bit(source) != 0
    }

    /// The source has been polled pending.
    pub fn rest(&mut self, source: usize) {
        self.ready &= !bit(source);
    }
}

fn bit(source: usize) -> u64 {
    1 << (source % SOURCES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_fires_is_ready_until_it_rests() {
        let woken = Arc::new(Woken::default());
        let task = Waker::from(woken.clone());
        let mut signals = Signals::default();
        signals.begin(2);
        assert!(signals.is_ready(2) && !signals.is_ready(1), "a new source is to be polled");
        signals.gather(&task);
        signals.rest(2);
        let waker = signals.waker(2).clone();
        waker.wake_by_ref();
        waker.wake();
        assert!(!signals.is_ready(2), "nothing is seen before it is gathered");
        signals.gather(&task);
        assert!(signals.is_ready(2) && !signals.is_ready(0));
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        signals.rest(2);
        signals.gather(&task);
        assert!(!signals.is_ready(2));
    }

    #[test]
    fn what_fires_before_the_task_is_known_is_not_lost() {
        let mut signals = Signals::default();
        signals.begin(0);
        signals.rest(0);
        signals.waker(0).wake_by_ref();
        signals.gather(Waker::noop());
        assert!(signals.is_ready(0));
    }
}
