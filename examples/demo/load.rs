//! sysbench: the load of the demo, and what it reports.
//!
//! Two loads at once: `oltp_read_write`, whose transactions belong to the writer from BEGIN to COMMIT, and the same reads without
//! transactions, which are what readers are for.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use oarlock::lab::{APP_PASSWORD, APP_USER, Lab};

use super::Outcome;

pub const SECONDS: u32 = 30;
/// What both are, in words.
pub const WORDS: &str = "sysbench oltp_read_write with 8 threads, and autocommit reads with 4,";
/// As much as leaves a small machine the time to notice a dead node in time: five servers run on it.
const TRANSACTIONS: [&str; 3] = ["oltp_read_write", "--threads=8", "--rate=150"];
const READS: [&str; 4] = ["oltp_read_only", "--skip-trx=on", "--threads=4", "--rate=400"];

/// What a second or a whole run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub queries: f64,
    /// Errors sysbench ignored, and connections it had to make again.
    pub errors: f64,
}

impl std::ops::Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { queries: self.queries + other.queries, errors: self.errors + other.errors }
    }
}

/// Makes the tables.
pub fn prepare(lab: &Lab, at: SocketAddr) -> Outcome<()> {
    let output = sysbench(lab, at, &TRANSACTIONS).arg("prepare").output()?;
    if output.status.success() { Ok(()) } else { Err(failure(&String::from_utf8_lossy(&output.stdout)).into()) }
}

/// Runs both loads; `each_second` gets the number of a second and what both did in it.
pub fn run(lab: &Lab, at: SocketAddr, each_second: impl Fn(u32, Sum)) -> Outcome<Sum> {
    let latest_reads = Mutex::new(Sum::default());
    let lock = || latest_reads.lock().unwrap_or_else(PoisonError::into_inner);
    let (transactions, reads) = std::thread::scope(|scope| {
        let reads = scope.spawn(|| drive(sysbench(lab, at, &READS), |_, second| *lock() = second));
        let transactions =
            drive(sysbench(lab, at, &TRANSACTIONS), |number, second| each_second(number, second + *lock()));
        (transactions, reads.join())
    });
    Ok(transactions? + reads.map_err(|_| "the autocommit reads ended early")??)
}

/// Runs one sysbench to its end.
fn drive(mut command: Command, mut each_second: impl FnMut(u32, Sum)) -> Result<Sum, String> {
    let mut process = command
        .args(["--report-interval=1", "run"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("sysbench: {e}"))?;
    let (mut number, mut text) = (0, String::new());
    for line in process.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
        if let Some(second) = second(&line) {
            number += 1;
            each_second(number, second);
        }
        text.push_str(&line);
        text.push('\n');
    }
    let done = process.wait().is_ok_and(|status| status.success());
    total(&text).filter(|_| done).ok_or_else(|| failure(&text))
}

fn sysbench(lab: &Lab, at: SocketAddr, kind: &[&str]) -> Command {
    let mut command = Command::new("sysbench");
    command
        .args(kind)
        .args(["--tables=4", "--table-size=50000", "--rand-type=uniform"])
        .arg(format!("--time={SECONDS}"));
    command.arg(format!("--mysql-host={}", at.ip())).arg(format!("--mysql-port={}", at.port()));
    command.arg(format!("--mysql-user={APP_USER}")).arg(format!("--mysql-password={APP_PASSWORD}"));
    // What a client is told when its node dies is counted, and no reason to end.
    command.args(["--mysql-ignore-errors=all", "--forced-shutdown=15"]);
    command.stdin(Stdio::null());
    lab.adopt(&mut command);
    command
}

/// `[ 1s ] thds: 8 tps: 99.9 qps: 1999.0 (r/w/o: ...) lat (ms,95%): 9.9 err/s: 0.00 reconn/s: 0.00`
fn second(line: &str) -> Option<Sum> {
    let words: Vec<_> = line.strip_prefix("[ ")?.split_whitespace().collect();
    let value = |name: &str| words.iter().skip_while(|word| **word != name).nth(1)?.parse::<f64>().ok();
    Some(Sum { queries: value("qps:")?, errors: value("err/s:")? + value("reconn/s:")? })
}

fn total(text: &str) -> Option<Sum> {
    let value = |name: &str| {
        let rest = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some(Sum { queries: value("total:")?, errors: value("ignored errors:")? + value("reconnects:")? })
}

/// The first line that says what went wrong.
fn failure(text: &str) -> String {
    let why = text.lines().find(|line| line.contains("FATAL") || line.contains("error"));
    format!("sysbench: {}", why.unwrap_or("it ended without a report"))
}
