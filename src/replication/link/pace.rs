//! How soon what has failed is tried again (pure): at once the first time, then ever more seldom.

use std::time::Duration;

/// The first pause.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What has worked for so long has worked.
pub const SETTLED: Duration = Duration::from_secs(10);

/// The tries of one thing. Times are since a start of the caller's choice.
#[derive(Clone, Debug)]
pub struct Pace<T> {
    thing: Option<T>,
    tries: u32,
    next: Duration,
}

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self { thing: None, tries: 0, next: Duration::ZERO }
    }
}

impl<T: PartialEq> Pace<T> {
    /// May it be tried now? Another thing than before may.
    pub fn is_due(&self, thing: &T, now: Duration) -> bool {
        self.thing.as_ref() != Some(thing) || now >= self.next
    }

    /// It is being tried, and may fail.
    pub fn tried(&mut self, thing: T, now: Duration) {
        if self.thing.as_ref() != Some(&thing) {
            *self = Self { thing: Some(thing), ..Self::default() };
        }
        self.next = now + PAUSE.saturating_mul(1 << self.tries.min(16)).min(PAUSE_MAX);
        self.tries = self.tries.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_ever_more_seldom() {
        let mut pace = Pace::default();
        let mut now = Duration::ZERO;
        let mut pauses = vec![];
        for _ in 0..8 {
            assert!(pace.is_due(&'a', now));
            pace.tried('a', now);
            assert!(!pace.is_due(&'a', now));
            let pause = pace.next - now;
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        pace.tried('a', now);
        assert!(pace.is_due(&'b', now), "another thing");
        pace.tried('b', now);
        assert_eq!((pace.next - now).as_secs(), 1);
    }
}
