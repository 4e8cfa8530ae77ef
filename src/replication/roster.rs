//! All dumps there are: what operators see of each, and that there is one for each server id.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use crate::gtid::Position;

/// The list.
#[derive(Debug, Default)]
pub struct Roster {
    dumps: Mutex<Dumps>,
    dismissed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Dumps {
    last: u64,
    live: BTreeMap<u64, Arc<Entry>>,
    /// How often a dump has ended that of another address with the same server id, and the other address, by server id.
    rivals: BTreeMap<u32, (u32, IpAddr)>,
}

/// One dump. Its task writes, others read.
#[derive(Debug)]
pub struct Entry {
    /// The replica's server id; 0 for a program that only reads.
    pub server: u32,
    /// Where it connects from.
    pub address: IpAddr,
    /// Bytes sent to it.
    pub bytes: AtomicU64,
    /// Changes of its source.
    pub takeovers: AtomicU64,
    place: Mutex<Place>,
    displaced: Notify,
}

/// Where a dump is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// What it has sent; none for one by file and position.
    pub position: Option<Position>,
    /// Name of the node it comes from; empty while there is none.
    pub source: Box<str>,
}

impl Entry {
    /// Where it is now.
    pub fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what was sent.
    pub fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It has come so far.
    pub fn reach(&self, position: &Position) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.position.as_ref() != Some(position) {
            place.position = Some(position.clone());
        }
    }

    /// It comes from this node now; empty for none.
    pub fn comes_from(&self, node: &str) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).source = node.into();
    }

    /// Ready once a newer dump has taken its place.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

/// A dump's own place on the list, which it leaves when this is dropped.
#[derive(Debug)]
pub struct Seat {
    id: u64,
    roster: Arc<Roster>,
    /// The entry.
    pub entry: Arc<Entry>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.roster.dumps.lock().unwrap_or_else(PoisonError::into_inner).live.remove(&self.id);
    }
}

impl Roster {
    /// Enters a dump. Of two with one server id the newer wins, as on a server: the older may be a connection that nobody has noticed
    /// to be dead.
    pub fn enter(self: &Arc<Self>, server: u32, address: IpAddr) -> Seat {
        let entry = Arc::new(Entry {
            server,
            address,
            bytes: AtomicU64::new(0),
            takeovers: AtomicU64::new(0),
            place: Mutex::default(),
            displaced: Notify::new(),
        });
        let mut dumps = self.dumps.lock().unwrap_or_else(PoisonError::into_inner);
        let Dumps { last, live, rivals } = &mut *dumps;
        for older in live.values().filter(|older| server != 0 && older.server == server) {
            tracing::warn!(server, %address, older = %older.address, "a newer dump of this server id takes the place of an older one");
            older.displaced.notify_one();
            if older.address != address {
                let (times, rival) = rivals.entry(server).or_insert((0, older.address));
                (*times, *rival) = (*times + 1, older.address);
            }
        }
        *last += 1;
        live.insert(*last, entry.clone());
        Seat { id: *last, roster: self.clone(), entry }
    }

    /// Has all dumps end, and those that come, as soon as their replicas have whole groups: another process serves them.
    pub fn dismiss(&self) {
        self.dismissed.send_replace(true);
    }

    /// Learns of that.
    pub fn dismissal(&self) -> watch::Receiver<bool> {
        self.dismissed.subscribe()
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.dumps.lock().unwrap_or_else(PoisonError::into_inner).live.len() as u64
    }

    /// All dumps, the oldest first, each with a warning if its server id goes back and forth between addresses.
    pub fn list(&self) -> Vec<(Arc<Entry>, String)> {
        let dumps = self.dumps.lock().unwrap_or_else(PoisonError::into_inner);
        let warning = |entry: &Entry| match dumps.rivals.get(&entry.server) {
            Some((times, rival)) if *times > 1 => {
                format!("{rival} dumps with the same server id: {times} times one has ended the other")
            }
            _ => String::new(),
        };
        dumps.live.values().map(|entry| (entry.clone(), warning(entry))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_newest_dump_of_a_server_stays() {
        let roster = Arc::new(Roster::default());
        let address = |n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        let ends = |seat: &Seat| {
            let mut displaced = std::pin::pin!(seat.entry.displaced());
            let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
            displaced.as_mut().poll(context).is_ready()
        };
        let (first, reader, other) =
            (roster.enter(8000, address(1)), roster.enter(0, address(1)), roster.enter(0, address(2)));
        let second = roster.enter(8000, address(2));
        assert!(ends(&first) && !ends(&second) && !ends(&reader) && !ends(&other));
        drop(first);
        let warnings = |roster: &Roster| roster.list().into_iter().map(|(_, warning)| warning).collect::<String>();
        assert_eq!((roster.list().len(), &*warnings(&roster)), (3, ""));
        let _third = roster.enter(8000, address(1));
        drop(second);
        assert!(warnings(&roster).contains("10.0.0.2 dumps with the same server id: 2 times"));
    }
}
