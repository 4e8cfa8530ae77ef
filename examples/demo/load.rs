//! sysbench: the load of the demo, and what it reports.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use oarlock::lab::{APP_PASSWORD, APP_USER, Lab};

use super::Outcome;

pub const THREADS: u32 = 8;
pub const SECONDS: u32 = 20;

/// What a whole run came to.
pub struct Total {
    pub queries: u64,
    /// Errors sysbench ignored, and connections it had to make again.
    pub errors: u64,
}

/// Makes the tables.
pub fn prepare(lab: &Lab, at: SocketAddr) -> Outcome<()> {
    let output = sysbench(lab, at).arg("prepare").output()?;
    if output.status.success() { Ok(()) } else { Err(failure(&String::from_utf8_lossy(&output.stdout))) }
}

/// Runs the load; `each_second` gets what to print of a second.
pub fn run(lab: &Lab, at: SocketAddr, each_second: impl Fn(String)) -> Outcome<Total> {
    let mut process = sysbench(lab, at).args(["--report-interval=1", "run"]).stdout(Stdio::piped()).spawn()?;
    let out = process.stdout.take().ok_or("sysbench has no output")?;
    let (mut seconds, mut text) = (0, String::new());
    for line in BufReader::new(out).lines() {
        let line = line?;
        if let Some(second) = second(&line) {
            seconds += 1;
            each_second(format!("{seconds:>3} s  {second}"));
        }
        text.push_str(&line);
        text.push('\n');
    }
    if process.wait()?.success() { total(&text).ok_or_else(|| failure(&text)) } else { Err(failure(&text)) }
}

fn sysbench(lab: &Lab, at: SocketAddr) -> Command {
    let mut command = Command::new("sysbench");
    command.args(["oltp_read_write", "--tables=4", "--table-size=10000", "--rand-type=uniform"]);
    command.arg(format!("--threads={THREADS}")).arg(format!("--time={SECONDS}"));
    command.arg(format!("--mysql-host={}", at.ip())).arg(format!("--mysql-port={}", at.port()));
    command.arg(format!("--mysql-user={APP_USER}")).arg(format!("--mysql-password={APP_PASSWORD}"));
    command.stdin(Stdio::null());
    lab.adopt(&mut command);
    command
}

/// `[ 1s ] thds: 8 tps: 99.9 qps: 1999.0 (r/w/o: ...) lat (ms,95%): 9.9 err/s: 0.00 reconn/s: 0.00`, in fewer words.
fn second(line: &str) -> Option<String> {
    let words: Vec<_> = line.strip_prefix("[ ")?.split_whitespace().collect();
    let value = |name: &str| words.iter().skip_while(|word| **word != name).nth(1)?.parse::<f64>().ok();
    let errors = value("err/s:")? + value("reconn/s:")?;
    Some(format!("{:>7.0} qps  {errors:>3.0} errors", value("qps:")?))
}

fn total(text: &str) -> Option<Total> {
    let value = |name: &str| {
        let rest = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Total { queries: value("total:")?, errors: value("ignored errors:")? + value("reconnects:")? })
}

/// The first line that says what went wrong.
fn failure(text: &str) -> Box<dyn std::error::Error> {
    let why = text.lines().find(|line| line.contains("FATAL") || line.contains("error"));
    format!("sysbench: {}", why.unwrap_or("it ended without a report")).into()
}
