//! The log: one line an event, to stderr, with the level words of the configuration.
//!
//! The program's own events use tracing's levels: error, warn, info (`notice`: what an operator should see) and debug
//! (`info`: the course of single sessions). `debug` adds the debug events of the libraries.

use std::fmt;
use std::io::Stderr;
use std::sync::OnceLock;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, Layer, layer};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::model::LogLevel;

/// Starts logging for this process. A second call changes nothing.
pub fn start(level: LogLevel) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = layer().event_format(Line).with_ansi(false).with_writer(std::io::stderr as fn() -> Stderr);
    // Fails only if the process logs already.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    let _ = FILTER.set(handle);
}

/// The filter of the process, once it logs.
static FILTER: OnceLock<reload::Handle<Targets, Layered<Lines, Registry>>> = OnceLock::new();

type Lines = Layer<Registry, DefaultFields, Line, fn() -> Stderr>;

/// Logs this much from now on.
pub fn set(level: LogLevel) {
    if let Some(handle) = FILTER.get() {
        // Fails only if the process does not log any more.
        let _ = handle.reload(filter(level));
    }
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
        let target = event.metadata().target();
        let own = target.strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::"));
        write!(writer, " {} {}: ", word(*event.metadata().level(), own.is_some()), own.unwrap_or(target))?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
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
