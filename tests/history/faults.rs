//! What happens to nodes while clients are at work. Each fault is over when all nodes serve again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oarlock::lab::{Node, until};

use crate::arena::{Arena, SOON};
use crate::client::ACCOUNTS;
use crate::dice::Dice;
use crate::driver::{Driver, Kind};
use crate::relay::Line;

/// How many accounts a storm is about.
const HOT_ACCOUNTS: usize = 4;
/// How many transactions of clients a storm must abort.
const ABORTS: u64 = 20;
/// A freeze that the cluster does not notice.
const BLINK: Duration = Duration::from_millis(700);

/// One kind of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KillWriter,
    FreezeWriter,
    CutWriter,
    /// Others write the rows that transfers are about, on other nodes.
    Storm,
    /// The writer is left alone, and has no vote.
    FreezeOthers,
    /// All connections to the writer close; it serves on.
    ResetWriter,
    KillReader,
    /// The writer stands still for a moment, and goes on as its own.
    BlinkWriter,
    StopWriter,
    CutReader,
    FreezeReader,
    /// The writer is killed, and comes back with a copy of all data but no logs.
    Sst,
}

/// In this order a short run takes them.
pub const ALL: [Fault; 12] = [
    Fault::KillWriter,
    Fault::CutWriter,
    Fault::Storm,
    Fault::FreezeOthers,
    Fault::FreezeWriter,
    Fault::ResetWriter,
    Fault::KillReader,
    Fault::BlinkWriter,
    Fault::StopWriter,
    Fault::CutReader,
    Fault::FreezeReader,
    Fault::Sst,
];

/// A fault that is over.
pub struct Episode {
    pub fault: Fault,
    pub since: Instant,
    pub until: Instant,
    /// The longest wait of a writer connected directly to a node that nothing was done to; none if there is no such node.
    pub stall: Option<Duration>,
}

impl Arena<'_> {
    /// Does it, and waits until it is over.
    pub fn suffer(&self, fault: Fault, dice: &mut Dice) -> Episode {
        let writer = self.writer();
        let reader = (writer + 1 + dice.below(2)) % 3;
        let since = Instant::now();
        match fault {
            Fault::KillWriter => self.kill(writer, true),
            Fault::KillReader => self.kill(reader, false),
            Fault::FreezeWriter => self.freeze(writer, true),
            Fault::FreezeReader => self.freeze(reader, false),
            Fault::BlinkWriter => self.blink(writer),
            Fault::CutWriter => self.cut(writer, true),
            Fault::CutReader => self.cut(reader, false),
            Fault::ResetWriter => {
                self.relays[writer].set(Line::Down);
                self.progress(1);
                self.relays[writer].set(Line::Whole);
            }
            Fault::Storm => self.storm(writer, dice),
            Fault::FreezeOthers => self.freeze_others(writer),
            Fault::StopWriter => {
                self.node(writer).stop().unwrap();
                self.moved_from(writer);
                self.progress(50);
                self.node(writer).start().unwrap();
            }
            Fault::Sst => self.rebuild(writer),
        }
        self.whole();
        self.progress(50);
        let victims: &[usize] = match fault {
            Fault::Storm => &[],
            Fault::FreezeOthers => &[0, 1, 2],
            Fault::KillReader | Fault::FreezeReader | Fault::CutReader => &[reader],
            _ => &[writer],
        };
        let survivors = self.beats.iter().enumerate().filter(|(place, _)| !victims.contains(place));
        let stall = survivors.map(|(_, beat)| beat.longest(since)).max();
        Episode { fault, since, until: Instant::now(), stall }
    }

    fn node(&self, place: usize) -> &Node {
        &self.lab.nodes()[place]
    }

    fn kill(&self, place: usize, writes: bool) {
        self.node(place).kill().unwrap();
        self.without(place, writes);
        self.node(place).start().unwrap();
    }

    fn freeze(&self, place: usize, writes: bool) {
        self.node(place).freeze().unwrap();
        self.without(place, writes);
        self.node(place).thaw().unwrap();
    }

    fn blink(&self, place: usize) {
        let node = self.node(place);
        node.freeze().unwrap();
        // How long it is frozen is the fault itself.
        std::thread::sleep(BLINK);
        node.thaw().unwrap();
    }

    fn cut(&self, place: usize, writes: bool) {
        self.relays[place].set(Line::Silent);
        self.without(place, writes);
        // What has waited on the line arrives after all.
        self.relays[place].set(Line::Whole);
    }

    /// The proxy does without this node, and clients go on.
    fn without(&self, place: usize, writes: bool) {
        self.is_down(place);
        if writes {
            self.moved_from(place);
        }
        self.progress(50);
    }

    /// Writes of others to the rows of transfers, until so many transactions have been aborted by them.
    fn storm(&self, writer: usize, dice: &mut Dice) {
        let aborted = || {
            let sql = "SELECT SUM(variable_value) FROM information_schema.global_status \
                       WHERE variable_name IN ('wsrep_local_bf_aborts', 'wsrep_local_cert_failures')";
            self.node(writer).value(sql).unwrap().and_then(|sum| sum.parse::<f64>().ok()).unwrap_or_default() as u64
        };
        let goal = aborted() + ABORTS;
        let over = Arc::new(AtomicBool::new(false));
        self.orders.accounts.store(HOT_ACCOUNTS, Ordering::Relaxed);
        let others: Vec<_> = (0..self.relays.len())
            .filter(|place| *place != writer)
            .map(|place| {
                let disturb = disturb(self.node(place).address().into(), over.clone(), Dice::new(dice.roll()));
                self.runtime.spawn(disturb)
            })
            .collect();
        assert!(until(SOON, || aborted() >= goal), "{} of {goal} aborts", aborted());
        over.store(true, Ordering::Relaxed);
        self.orders.accounts.store(ACCOUNTS, Ordering::Relaxed);
        for other in others {
            self.runtime.block_on(other).unwrap();
        }
    }

    fn freeze_others(&self, writer: usize) {
        let others: Vec<&Node> = (0..3).filter(|place| *place != writer).map(|place| self.node(place)).collect();
        others.iter().for_each(|node| node.freeze().unwrap());
        let status =
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_status'";
        let alone = || self.node(writer).value(status).is_ok_and(|status| status.as_deref() != Some("Primary"));
        assert!(until(SOON, alone), "still primary");
        others.iter().for_each(|node| node.thaw().unwrap());
    }

    fn rebuild(&self, place: usize) {
        let node = self.node(place);
        node.kill().unwrap();
        for file in ["grastate.dat", "galera.cache"] {
            std::fs::remove_file(node.data().join(file)).unwrap();
        }
        self.without(place, true);
        node.start().unwrap();
    }
}

/// Writes rows that transfers are about, at a node of its own.
async fn disturb(node: SocketAddr, over: Arc<AtomicBool>, mut dice: Dice) {
    let mut driver = None;
    while !over.load(Ordering::Relaxed) {
        if driver.is_none() {
            driver = Driver::connect(Kind::Text, node).await.ok();
        }
        if let Some(driver) = &mut driver {
            let account = dice.below(HOT_ACCOUNTS) as i64;
            // Whether it is this one or a transfer that is aborted is no matter.
            let _ = driver.write("UPDATE account SET touched = touched + 1 WHERE id = ?", &[account]).await;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}
