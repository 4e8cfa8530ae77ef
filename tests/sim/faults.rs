//! What happens to nodes and lines, at any moment; each is over after a while.

use crate::cluster::{Life, NODES};
use crate::dice::Dice;
use crate::world::World;

/// Within so many events of a run all faults begin.
const WITHIN: usize = 700;
/// The most faults of a run.
const FAULTS_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kill,
    /// For a moment, or longer than the cluster waits.
    Freeze,
    /// The node is left alone.
    FreezeOthers,
    /// No bytes get through between the proxy and the node.
    Cut,
    /// One connection breaks, whichever node it is to.
    Sever,
    /// All connections to the node break.
    SeverAll,
    ReadOnly,
    /// The node is made the writer. What is open on the old one has more or less time.
    Switch,
    SlowReader,
    /// Others write what transactions are about, on this node.
    Disturb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Writer,
    Node(usize),
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    kind: Kind,
    whom: Whom,
    length_us: u64,
    chance: u64,
}

impl Fault {
    /// What happens in a run, and at which event; the latest first.
    pub fn some(dice: &mut Dice) -> Vec<(u64, Self)> {
        let mut faults: Vec<(u64, Self)> =
            (0..dice.below(FAULTS_MAX + 1)).map(|_| (dice.below(WITHIN) as u64, Self::any(dice))).collect();
        faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        faults
    }

    fn any(dice: &mut Dice) -> Self {
        let whom = if dice.one_in(3) { Whom::Node(dice.below(NODES)) } else { Whom::Writer };
        let (kind, shortest, more) = match dice.below(16) {
            0..=1 => (Kind::Kill, 5_000_000, 3_000_000),
            2 => (Kind::Freeze, 0, 1_500_000),
            3..=4 => (Kind::Freeze, 4_000_000, 5_000_000),
            5 => (Kind::FreezeOthers, 4_000_000, 4_000_000),
            6 => (Kind::Cut, 500_000, 8_000_000),
            7..=8 => (Kind::Sever, 0, 1),
            9 => (Kind::SeverAll, 0, 1),
            10 => (Kind::ReadOnly, 1_000_000, 3_000_000),
            11 => (Kind::SlowReader, 1_000_000, 5_000_000),
            12 => (Kind::Switch, 0, 600_000),
            _ => (Kind::Disturb, 0, 1),
        };
        Self { kind, whom, length_us: shortest + dice.below(more) as u64, chance: dice.roll() }
    }

    /// Begins; what is to end, and after how many microseconds.
    pub fn begin(mut self, world: &mut World) -> (Self, u64) {
        let node = match self.whom {
            Whom::Writer => world.writer(),
            Whom::Node(node) => node,
        };
        self.whom = Whom::Node(node);
        match self.kind {
            Kind::Kill if world.cluster.nodes[node].life != Life::Dead => {
                world.cluster.die(node);
                world.orphan(node);
            }
            Kind::Kill => {}
            Kind::Freeze => freeze(world, node),
            Kind::FreezeOthers => others(node).for_each(|other| freeze(world, other)),
            Kind::Cut => world.cut[node] = true,
            Kind::Sever => {
                let open = world.open_links(None);
                if let Some(conn) = open.get(self.chance as usize % open.len().max(1)) {
                    world.sever(*conn);
                }
            }
            Kind::SeverAll => world.open_links(Some(node)).into_iter().for_each(|conn| world.sever(conn)),
            Kind::ReadOnly => world.cluster.nodes[node].read_only = true,
            // Of its own choice: the writer is the writer.
            Kind::Switch => world.switch = Some((self.chance as usize % NODES, false)),
            Kind::SlowReader => world.cluster.nodes[node].lag_us = 3_000_000,
            Kind::Disturb => {
                for _ in 0..4 {
                    let account = world.account();
                    world.cluster.touch(node, account);
                }
            }
        }
        (self, self.length_us)
    }

    /// Is over.
    pub fn end(self, world: &mut World) {
        let Whom::Node(node) = self.whom else { return };
        match self.kind {
            Kind::Kill if world.cluster.nodes[node].life == Life::Dead => world.cluster.restart(node),
            Kind::Freeze => thaw(world, node),
            Kind::FreezeOthers => others(node).for_each(|other| thaw(world, other)),
            Kind::Cut => world.cut[node] = false,
            Kind::ReadOnly => world.cluster.nodes[node].read_only = false,
            Kind::Switch => world.switch = Some((self.chance as usize % NODES, true)),
            Kind::SlowReader => world.cluster.nodes[node].lag_us = 0,
            Kind::Kill | Kind::Sever | Kind::SeverAll | Kind::Disturb => {}
        }
    }
}

fn others(node: usize) -> impl Iterator<Item = usize> {
    (0..NODES).filter(move |other| *other != node)
}

fn freeze(world: &mut World, node: usize) {
    if world.cluster.nodes[node].life == Life::Up {
        world.cluster.freeze(node);
    }
}

fn thaw(world: &mut World, node: usize) {
    if world.cluster.nodes[node].life == Life::Frozen {
        world.cluster.thaw(node);
        world.wake(node);
    }
}
