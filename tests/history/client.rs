//! A client that writes, looks whether its writes are there, and keeps a record of all it was told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::driver::{Driver, Kind, Trouble, Written};
use crate::history::{Deed, History, Look, Told, Write};

/// How many accounts there are.
pub const ACCOUNTS: usize = 64;
/// What each account has at first.
pub const OPENING: i64 = 1_000_000;
/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

const NOTE: &str = "INSERT INTO deed (id) VALUES (?)";
const TAKE: &str = "UPDATE account SET balance = balance - ? WHERE id = ?";
const GIVE: &str = "UPDATE account SET balance = balance + ? WHERE id = ?";
const ENTER: &str = "INSERT INTO deed (id, source, target, amount) VALUES (?, ?, ?, ?)";
const BALANCE: &str = "SELECT balance FROM account WHERE id = ?";
const LOOK: &str = "SELECT COUNT(*) FROM deed WHERE id = ?";
const SUM: &str = "SELECT CAST(SUM(balance) AS SIGNED) FROM account";

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trade {
    /// Writes of both kinds, and looks at sums.
    Everything,
    Notes,
    Transfers,
}

/// How a client works.
#[derive(Clone, Copy, Debug)]
pub struct Habit {
    pub kind: Kind,
    pub trade: Trade,
    /// What it pauses between two pieces of work, at most.
    pub pause_max: Duration,
    /// Whether it works with autocommit=0, where even a note needs a COMMIT.
    pub autocommit: bool,
    /// Whether its transfers read a balance first, which then must be the same if the transaction is run again.
    pub reads_first: bool,
    /// Whether a transfer that was refused is tried again.
    pub insists: bool,
}

/// What all clients are told.
pub struct Orders {
    pub stop: AtomicBool,
    /// How many of the accounts transfers are between: few of them meet.
    pub accounts: AtomicUsize,
    /// How many writes were acknowledged.
    pub done: AtomicU64,
    next_id: AtomicU64,
}

impl Default for Orders {
    fn default() -> Self {
        let (stop, accounts) = (AtomicBool::new(false), AtomicUsize::new(ACCOUNTS));
        Self { stop, accounts, done: AtomicU64::new(0), next_id: AtomicU64::new(0) }
    }
}

/// A wait of a client, from what it sent to what it was told.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    pub since: Instant,
    pub length: Duration,
}

/// What a client has seen.
#[derive(Default)]
pub struct Record {
    pub history: History,
    pub waits: Vec<Wait>,
    /// Reads that failed.
    pub failed_reads: usize,
    /// What was said of each failure.
    pub complaints: Vec<String>,
}

impl Record {
    /// Takes in what another client has seen.
    pub fn join(&mut self, other: Self) {
        self.history.join(other.history);
        self.waits.extend(other.waits);
        self.failed_reads += other.failed_reads;
        self.complaints.extend(other.complaints);
    }
}

/// Works until told to stop; the record of it.
pub async fn work(address: SocketAddr, habit: Habit, orders: Arc<Orders>, mut dice: Dice) -> Record {
    let mut client = Client { address, habit, orders, driver: None, record: Record::default() };
    while !client.orders.stop.load(Ordering::Relaxed) {
        match (habit.trade, dice.below(8)) {
            (Trade::Transfers, _) | (Trade::Everything, 0..=2) => client.transfer(&mut dice).await,
            (Trade::Notes, _) | (Trade::Everything, 3..=6) => drop(client.write(Deed::Note).await),
            (Trade::Everything, _) => client.sum().await,
        }
        let pause_us = dice.below(habit.pause_max.as_micros() as usize + 1);
        tokio::time::sleep(Duration::from_micros(pause_us as u64)).await;
    }
    client.record
}

struct Client {
    address: SocketAddr,
    habit: Habit,
    orders: Arc<Orders>,
    driver: Option<Driver>,
    record: Record,
}

impl Client {
    async fn transfer(&mut self, dice: &mut Dice) {
        let accounts = self.orders.accounts.load(Ordering::Relaxed);
        let from = dice.below(accounts);
        let to = (from + 1 + dice.below(accounts - 1)) % accounts;
        let deed = Deed::Transfer { from, to, amount: 1 + dice.below(9) as i64 };
        loop {
            let done = self.write(deed).await;
            if done || !self.habit.insists || self.orders.stop.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// True if it is done.
    async fn write(&mut self, deed: Deed) -> bool {
        let id = self.orders.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let mut asked_to_commit = false;
        let since = Instant::now();
        let result = in_time(self.attempt(id, deed, &mut asked_to_commit)).await;
        let length = since.elapsed();
        self.record.waits.push(Wait { since, length });
        let told = match result {
            Ok(written) => {
                if written.rows != 1 {
                    self.record.history.miscounted.push(id);
                }
                Told::Done { key: Some(written.insert_id) }
            }
            Err(trouble) => self.told(id, trouble, asked_to_commit, length).await,
        };
        let done = matches!(told, Told::Done { .. });
        self.record.history.writes.push(Write { id, deed, told });
        if done {
            self.orders.done.fetch_add(1, Ordering::Relaxed);
            self.look(id).await;
        }
        done
    }

    /// Does it once. `asked_to_commit` tells whether the server was asked to keep it.
    async fn attempt(&mut self, id: u64, deed: Deed, asked_to_commit: &mut bool) -> Result<Written, Trouble> {
        let habit = self.habit;
        let driver = self.driver().await?;
        let id = id as i64;
        let Deed::Transfer { from, to, amount } = deed else {
            *asked_to_commit = habit.autocommit;
            let written = driver.write(NOTE, &[id]).await?;
            if !habit.autocommit {
                *asked_to_commit = true;
                driver.say("COMMIT").await?;
            }
            return Ok(written);
        };
        let (from, to) = (from as i64, to as i64);
        if habit.autocommit {
            driver.say("BEGIN").await?;
        }
        if habit.reads_first {
            driver.number(BALANCE, &[from]).await?;
        }
        let taken = driver.write(TAKE, &[amount, from]).await?.rows;
        let given = driver.write(GIVE, &[amount, to]).await?.rows;
        let written = driver.write(ENTER, &[id, from, to, amount]).await?;
        *asked_to_commit = true;
        driver.say("COMMIT").await?;
        let rows = u64::from([taken, given, written.rows] == [1; 3]);
        Ok(Written { rows, ..written })
    }

    /// What a failure says of the write. Whatever is still open of it is rolled back.
    async fn told(&mut self, id: u64, trouble: Trouble, asked_to_commit: bool, waited: Duration) -> Told {
        let habit = self.habit;
        self.record.complaints.push(format!("{id} {habit:?} after {waited:?}: {trouble}"));
        match trouble {
            Trouble::Gone(_) => {
                self.driver = None;
                Told::Lost { may_have_happened: asked_to_commit }
            }
            Trouble::Error { code, state, text } => {
                if let Some(driver) = &mut self.driver
                    && in_time(driver.say("ROLLBACK")).await.is_err()
                {
                    self.driver = None;
                }
                match &*state {
                    "08007" => Told::Unknown,
                    _ if text.contains("committed as GTID") => Told::Happened,
                    _ => Told::Refused { code, state },
                }
            }
        }
    }

    /// Looks at once whether its own write is there.
    async fn look(&mut self, id: u64) {
        if let Some(rows) = self.read(LOOK, &[id as i64]).await {
            self.record.history.looks.push(Look { id, rows: rows as u64 });
        }
    }

    async fn sum(&mut self) {
        if let Some(sum) = self.read(SUM, &[]).await {
            self.record.history.sums.push(sum);
        }
    }

    async fn read(&mut self, sql: &'static str, values: &[i64]) -> Option<i64> {
        let since = Instant::now();
        let read = in_time(async { self.driver().await?.number(sql, values).await }).await;
        self.record.waits.push(Wait { since, length: since.elapsed() });
        match read {
            Ok(number) => number,
            Err(trouble) => {
                self.record.failed_reads += 1;
                self.record.complaints.push(format!("{sql} {:?}: {trouble}", self.habit));
                self.driver = self.driver.take().filter(|_| !matches!(trouble, Trouble::Gone(_)));
                None
            }
        }
    }

    /// The connection; a new one if there is none.
    async fn driver(&mut self) -> Result<&mut Driver, Trouble> {
        let driver = match self.driver.take() {
            Some(driver) => driver,
            None => {
                let mut driver = Driver::connect(self.habit.kind, self.address).await?;
                if !self.habit.autocommit {
                    driver.say("SET autocommit = 0").await?;
                }
                driver
            }
        };
        Ok(self.driver.insert(driver))
    }
}

async fn in_time<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer")
}
