//! The last events: what the log says at `notice` and above, kept for whoever looks later.
//!
//! Kept whatever the log's own level is. There is one of it, as there is one log of a process.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer};

/// Events that are kept.
pub const EVENTS_MAX: usize = 256;
/// A longer text is cut.
const TEXT_BYTES_MAX: usize = 1024;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// Each has the next number, from 1.
    pub number: u64,
    /// When, in UTC.
    pub time: String,
    /// `error`, `warning` or `notice`.
    pub level: String,
    /// The part of the program that tells it.
    pub part: String,
    /// What.
    pub text: String,
}

/// Those above this number, the oldest first.
pub fn after(number: u64) -> Vec<Happening> {
    kept().events.iter().filter(|event| event.number > number).cloned().collect()
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { last: 0, events: VecDeque::new() });

struct Kept {
    last: u64,
    events: VecDeque<Happening>,
}

impl Kept {
    fn push(&mut self, event: Happening) {
        self.last += 1;
        self.events.push_back(Happening { number: self.last, ..event });
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }
}

/// Whoever has panicked while he held it left it whole.
fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes events down as they come.
pub(super) struct Recorder;

impl Recorder {
    /// Which ones.
    pub(super) fn filter() -> Targets {
        Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::INFO)
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (mut time, mut text) = (String::new(), String::new());
        // Writing to a string can't fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        let _ = DefaultFields::new().format_fields(Writer::new(&mut text), event);
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        let (level, part) = super::log::origin(event.metadata());
        kept().push(Happening { number: 0, time, level: level.to_owned(), part: part.to_owned(), text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_stay() {
        let mut kept = Kept { last: 0, events: VecDeque::new() };
        (0..EVENTS_MAX + 3).for_each(|_| kept.push(Happening::default()));
        let numbers: Vec<u64> = kept.events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (4..=EVENTS_MAX as u64 + 3).collect::<Vec<_>>());
    }
}
