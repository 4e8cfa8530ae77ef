//! The longest pause between two steps of something that goes on all the time, and a client that goes on all the time.

#![allow(dead_code, reason = "each user has a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement that fails says so and ends")]

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use oarlock::lab::{APP_PASSWORD, APP_USER, until};

/// The pause between two statements: about 200 a second, which leaves a machine of two processors for others.
const PAUSE: Duration = Duration::from_millis(3);
/// Longer than anything stands still on a loaded machine.
const STANDSTILL: Duration = Duration::from_secs(60);

/// The longest time between two steps.
pub struct Gauge {
    began: Instant,
    last_us: AtomicU64,
    widest_us: AtomicU64,
    steps: AtomicU64,
    errors: AtomicU64,
}

impl Gauge {
    pub fn new() -> Self {
        Self { began: Instant::now(), last_us: 0.into(), widest_us: 0.into(), steps: 0.into(), errors: 0.into() }
    }

    pub fn step(&self) {
        let now_us = self.began.elapsed().as_micros() as u64;
        let last_us = self.last_us.swap(now_us, Ordering::Relaxed);
        self.widest_us.fetch_max(now_us - last_us, Ordering::Relaxed);
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for so many more.
    pub fn more(&self, more: u64) {
        let goal = self.steps.load(Ordering::Relaxed) + more;
        assert!(until(STANDSTILL, || self.steps.load(Ordering::Relaxed) >= goal), "it stands still");
    }

    /// The longest pause since this was last asked, in milliseconds.
    pub fn take_ms(&self) -> f64 {
        self.widest_us.swap(0, Ordering::Relaxed) as f64 / 1e3
    }

    /// Statements that had an error for an answer.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Steps at each statement that is answered, until `ends`.
    pub fn of_writes(&self, address: SocketAddrV4, sql: &str, ends: &AtomicBool) {
        self.drive(address, sql, ends, |_| self.step());
    }

    /// Steps whenever a statement is answered by another value than before, until `ends`.
    pub fn of_changes(&self, address: SocketAddrV4, sql: &str, ends: &AtomicBool) {
        let mut last = String::new();
        self.drive(address, sql, ends, |value| {
            if value != last {
                last = value;
                self.step();
            }
        });
    }

    /// Runs a statement again and again; `each` gets the first value of the answer. Errors are counted, and lost connections made anew.
    fn drive(&self, address: SocketAddrV4, sql: &str, ends: &AtomicBool, mut each: impl FnMut(String)) {
        let options = OptsBuilder::default()
            .ip_or_hostname(address.ip().to_string())
            .tcp_port(address.port())
            .user(Some(APP_USER))
            .pass(Some(APP_PASSWORD))
            .prefer_socket(false)
            .max_allowed_packet(Some(1 << 24))
            .wait_timeout(Some(3600));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut conn = None;
            while !ends.load(Ordering::Relaxed) {
                if conn.is_none() {
                    conn = Conn::new(options.clone()).await.ok();
                }
                match &mut conn {
                    None => {}
                    Some(client) => match client.query_first::<Option<String>, _>(sql).await {
                        Ok(value) => each(value.flatten().unwrap_or_default()),
                        Err(error) => {
                            self.errors.fetch_add(1, Ordering::Relaxed);
                            conn = conn.filter(|_| matches!(error, mysql_async::Error::Server(_)));
                        }
                    },
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
}
