//! Timers for threads whose runtime has none.
//!
//! While a timer is pending, each wait for sockets programs the processor's timer and takes it back: a tenth of what a
//! query costs with one client. So the workers leave theirs to the control plane's runtime, which wakes them as any
//! other thread does.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{self, Instant, Interval, MissedTickBehavior, Sleep, Timeout};

/// A runtime that has timers. Its timers may be waited for in any other.
#[derive(Clone, Debug)]
pub struct Clock(Handle);

impl Clock {
    /// The runtime this is called in.
    pub fn current() -> Self {
        Self(Handle::current())
    }

    /// Done after this time.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(Instant::now() + duration)
    }

    /// Done at this time.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        let _entered = self.0.enter();
        time::sleep_until(deadline)
    }

    /// Gives something up after this time.
    pub fn timeout<F: Future>(&self, duration: Duration, future: F) -> Timeout<F> {
        self.timeout_at(Instant::now() + duration, future)
    }

    /// Gives something up at this time.
    pub fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Timeout<F> {
        let _entered = self.0.enter();
        time::timeout_at(deadline, future)
    }

    /// A tick now, and one each time this has passed since the last was taken.
    pub fn ticks(&self, period: Duration) -> Interval {
        let _entered = self.0.enter();
        let mut ticks = time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}
