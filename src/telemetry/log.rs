//! The log: one line an event, to stderr, with the level words of the configuration.
//!
//! The program's own events use tracing's levels: error, warn, info (`notice`: what an operator should see) and debug
//! (`info`: the course of single sessions). `debug` adds the debug events of the libraries.

use std::fmt;
use std::io::Stderr;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::events::Recorder;
use crate::config::model::LogLevel;

/// Starts logging for this process. A second call changes nothing.
pub fn start(level: LogLevel) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = layer().event_format(Line).with_ansi(false).with_writer(std::io::stderr as fn() -> Stderr);
    let (lines, events) = (lines.with_filter(filter), Recorder.with_filter(Recorder::filter()));
    // Fails only if the process logs already.
    let _ = tracing_subscriber::registry().with(lines).with(events).try_init();
    let _ = FILTER.set(handle);
    set(level);
}

/// The filter of the process, once it logs.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// What that lets through.
static LEVEL: Mutex<LogLevel> = Mutex::new(LogLevel::Notice);

/// What is logged now.
pub fn level() -> LogLevel {
    *LEVEL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs this much from now on.
pub fn set(level: LogLevel) {
    if let Some(handle) = FILTER.get() {
        // Fails only if the process does not log any more.
        let _ = handle.reload(filter(level));
    }
    *LEVEL.lock().unwrap_or_else(PoisonError::into_inner) = level;
}

fn filter(level: LogLevel) -> Targets {
    let (own, libraries) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        LogLevel::Warning => (LevelFilter::WARN, LevelFilter::ERROR),
        LogLevel::Notice => (LevelFilter::INFO, LevelFilter::ERROR),
        LogLevel::Info => (LevelFilter::DEBUG, LevelFilter::WARN),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::DEBUG),
    };
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), own).with_default(libraries)
}

/// `2026-01-31T12:00:00.123456Z notice cluster::watch: the node is the writer node="galera-71"`
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let (level, part) = origin(event.metadata());
        write!(writer, " {level} {part}: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The level of an event, and the part of the program or the library that tells it.
pub(super) fn origin(metadata: &Metadata<'static>) -> (&'static str, &'static str) {
    let target = metadata.target();
    let own = target.strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::"));
    (word(*metadata.level(), own.is_some()), own.unwrap_or(target))
}

fn word(level: Level, is_own: bool) -> &'static str {
    let level = match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warning,
        Level::INFO if is_own => LogLevel::Notice,
        Level::DEBUG if is_own => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    level.name()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_the_configuration() {
        for (level, shown) in [
            (LogLevel::Error, &[Level::ERROR][..]),
            (LogLevel::Warning, &[Level::ERROR, Level::WARN]),
            (LogLevel::Notice, &[Level::ERROR, Level::WARN, Level::INFO]),
            (LogLevel::Info, &[Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG]),
        ] {
            for one in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
                assert_eq!(
                    filter(level).would_enable("oarlock::cluster::watch", &one),
                    shown.contains(&one),
                    "{level:?} {one}"
                );
            }
            assert!(!filter(level).would_enable("mysql_async::conn", &Level::INFO));
        }
        assert!(filter(LogLevel::Debug).would_enable("mysql_async::conn", &Level::DEBUG));
    }
}
