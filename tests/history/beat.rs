//! What the cluster itself costs: a writer connected directly to a node, who waits whenever Galera does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::client::Wait;
use crate::driver::{Driver, Kind};

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(20);
/// How many of the last waits are kept.
const KEPT: usize = 1 << 14;

/// A direct writer; ends with its owner.
pub struct Beat {
    waits: Arc<Mutex<VecDeque<Wait>>>,
    task: JoinHandle<()>,
}

impl Beat {
    /// Begins to write to the node at this address.
    pub fn start(runtime: &Handle, node: SocketAddr) -> Self {
        let waits = Arc::new(Mutex::new(VecDeque::new()));
        Self { task: runtime.spawn(beat(node, waits.clone())), waits }
    }

    /// The longest wait of a write that had not ended by then, and has by now.
    pub fn longest(&self, since: Instant) -> Duration {
        let waits = self.waits.lock().unwrap();
        let late = waits.iter().filter(|wait| wait.since + wait.length > since);
        late.map(|wait| wait.length).max().unwrap_or_default()
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(node: SocketAddr, waits: Arc<Mutex<VecDeque<Wait>>>) {
    let mut driver = None;
    loop {
        if driver.is_none() {
            driver = Driver::connect(Kind::Text, node).await.ok();
        }
        if let Some(open) = &mut driver {
            let since = Instant::now();
            let written = open.write("INSERT INTO beat (port) VALUES (?)", &[0]).await;
            match written {
                Ok(_) => {
                    let mut waits = waits.lock().unwrap();
                    waits.push_back(Wait { since, length: since.elapsed() });
                    if waits.len() > KEPT {
                        waits.pop_front();
                    }
                }
                Err(_) => driver = None,
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
