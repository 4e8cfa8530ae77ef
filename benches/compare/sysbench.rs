//! sysbench: its workloads, one run, and what it says of it.

use std::net::SocketAddrV4;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oarlock::lab::{APP_PASSWORD, APP_USER, until};

use crate::process::Usage;
use crate::support::service;

const TABLES: &str = "4";
const ROWS: &str = "10000";

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    PointSelect,
    ReadOnly,
    ReadWrite,
    /// A connection for each query.
    Logins,
    /// Nine reads and a write, each by itself.
    Mixed,
}

impl Workload {
    pub const ALL: [Self; 4] = [Self::PointSelect, Self::ReadOnly, Self::ReadWrite, Self::Logins];

    pub fn name(self) -> &'static str {
        match self {
            Self::PointSelect => "point_select",
            Self::ReadOnly => "read_only",
            Self::ReadWrite => "read_write",
            Self::Logins => "logins",
            Self::Mixed => "mixed",
        }
    }

    /// Numbers of clients to run it with.
    pub fn threads(self) -> &'static [usize] {
        if self == Self::Logins { &[16] } else { &[1, 16, 64] }
    }

    /// What sysbench is to run.
    fn script(self) -> String {
        match self {
            Self::Logins => concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/logins.lua").to_owned(),
            Self::Mixed => concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/mixed.lua").to_owned(),
            _ => format!("oltp_{}", self.name()),
        }
    }

    pub fn writes(self) -> bool {
        matches!(self, Self::ReadWrite | Self::Mixed)
    }
}

/// The proxy's process, and what sysbench needs for TLS.
type Of<'a> = (Option<u32>, Option<&'a Path>);

/// One run.
#[derive(Clone, Copy)]
pub struct Run {
    pub queries: f64,
    pub qps: f64,
    pub p95_ms: f64,
    /// CPU time of the proxy for each query, in microseconds.
    pub cpu_us: f64,
    /// Its memory halfway through, in KiB.
    pub rss_kib: f64,
}

fn command(to: SocketAddrV4, workload: Workload) -> Command {
    let mut command = service("sysbench");
    command.args([
        workload.script(),
        format!("--mysql-host={}", to.ip()),
        format!("--mysql-port={}", to.port()),
        format!("--mysql-user={APP_USER}"),
        format!("--mysql-password={APP_PASSWORD}"),
        "--mysql-db=sbtest".into(),
        format!("--tables={TABLES}"),
        format!("--table-size={ROWS}"),
    ]);
    command
}

/// Fills the tables.
pub fn prepare(to: SocketAddrV4) {
    let output = command(to, Workload::ReadWrite).arg("prepare").output().unwrap();
    assert!(output.status.success(), "sysbench prepare: {}", String::from_utf8_lossy(&output.stdout));
}

/// Runs a workload; `pid` is the proxy whose memory is looked at, `tls` the folder with `cacert.pem` and the client's own certificate
/// if sysbench is to speak it.
pub fn run(to: SocketAddrV4, workload: Workload, threads: usize, seconds: usize, (pid, tls): Of) -> Run {
    let mut command = command(to, workload);
    if let Some(folder) = tls {
        command.arg("--mysql-ssl=on").current_dir(folder);
    }
    command.args([format!("--threads={threads}"), format!("--time={seconds}"), "--percentile=95".into()]);
    if workload == Workload::ReadOnly {
        command.arg("--skip-trx=on");
    }
    // Conflicts between clients are the workload's, not the proxy's.
    command.args(["--mysql-ignore-errors=1213,1020,1205,1180", "run"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (begun, halfway) = (Instant::now(), Duration::from_secs(seconds as u64) / 2);
    until(halfway, || begun.elapsed() >= halfway);
    let rss_kib = pid.map_or(0.0, |pid| Usage::of(pid).rss_kib);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "sysbench to {to}: {text}{}", String::from_utf8_lossy(&output.stderr));
    let line = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim().to_owned();
    let queries = line("queries:");
    let (count, rate) = queries.split_once('(').unwrap();
    Run {
        queries: count.trim().parse().unwrap(),
        qps: rate.split_whitespace().next().unwrap().parse().unwrap(),
        p95_ms: line("95th percentile:").parse().unwrap(),
        cpu_us: 0.0,
        rss_kib,
    }
}
