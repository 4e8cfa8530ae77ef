//! What a process has used.

/// Clock ticks of `/proc/PID/stat`: a hundred a second on every Linux there is.
const TICK_US: f64 = 10_000.0;

/// A process's use of the machine so far.
#[derive(Clone, Copy)]
pub struct Usage {
    /// CPU time in user and system, in microseconds.
    pub cpu_us: f64,
    /// Resident memory in KiB.
    pub rss_kib: f64,
}

impl Usage {
    /// Of this process.
    pub fn of(pid: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name may hold spaces; what is behind it starts with the third field.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self { cpu_us: ticks * TICK_US, rss_kib: rss.trim().trim_end_matches(" kB").parse().unwrap() }
    }
}
