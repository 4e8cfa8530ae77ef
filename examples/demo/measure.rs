//! What the nodes and the proxy did during the load, by their own counters.

use oarlock::lab::{Lab, Node, Site};

use super::Outcome;

/// What clients have done on one node since its start.
#[derive(Clone, Copy, Default)]
pub struct Work {
    reads: u64,
    /// Write sets it sent to the cluster. `Com_insert` and the like also count what it applies for others.
    writes: u64,
}

impl Work {
    /// Of every node of the cluster, in the lab's order.
    pub fn of_all(lab: &Lab) -> Outcome<Vec<Self>> {
        lab.nodes_of(Site::Primary).map(Self::of).collect()
    }

    fn of(node: &Node) -> Outcome<Self> {
        let counter = |name: &str| -> Outcome<u64> {
            let value = node.value(&format!(
                "SELECT variable_value FROM information_schema.global_status WHERE variable_name = '{name}'"
            ))?;
            Ok(value.ok_or("a node without counters")?.parse()?)
        };
        Ok(Self { reads: counter("com_select")?, writes: counter("wsrep_replicated")? })
    }
}

/// One node's part of all work.
pub struct Share {
    name: String,
    reads_percent: f64,
    writes_percent: f64,
}

/// The nodes' parts of what was done between two looks.
pub fn shares(lab: &Lab, before: &[Work], after: &[Work]) -> Vec<Share> {
    let done: Vec<_> = before.iter().zip(after).map(|(b, a)| (a.reads - b.reads, a.writes - b.writes)).collect();
    let percent = |part: u64, all: u64| 100.0 * part as f64 / all.max(1) as f64;
    let (reads, writes) = done.iter().fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1));
    let share = |(node, part): (&Node, &(u64, u64))| Share {
        name: node.name().to_owned(),
        reads_percent: percent(part.0, reads),
        writes_percent: percent(part.1, writes),
    };
    lab.nodes_of(Site::Primary).zip(&done).map(share).collect()
}

pub fn table(shares: &[Share]) -> String {
    let line =
        |share: &Share| format!("\n{:<12} {:>7.1} % {:>7.1} %", share.name, share.reads_percent, share.writes_percent);
    format!("{:<12} {:>9} {:>9}{}", "node", "reads", "writes", shares.iter().map(line).collect::<String>())
}

/// What a split must show: all writes on one node, and reads on every other.
pub fn judge(shares: &[Share]) -> Outcome<()> {
    let (writers, readers): (Vec<_>, Vec<_>) = shares.iter().partition(|share| share.writes_percent > 0.0);
    if writers.len() != 1 {
        return Err(format!("{} nodes got writes", writers.len()).into());
    }
    match readers.iter().find(|reader| reader.reads_percent < 0.1) {
        Some(idle) => Err(format!("{} got no reads", idle.name).into()),
        None => Ok(()),
    }
}

/// CPU time a process has used, in user and system mode.
pub fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may contain anything; user and system time are fields 14 and 15, counted from the id.
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc has another form here")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
