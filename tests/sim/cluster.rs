//! A small model of a replicated store: a log that all nodes apply in one order, certification, locks, views, and write sets that
//! may or may not survive the loss of their node.
//!
//! It knows nothing of wires and sessions of the proxy. What takes time it asks for (`due`), what it has to say it leaves (`answers`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::dice::Dice;
use crate::history::{Deed, Row};
use crate::statement::{Setting, Statement};

pub const NODES: usize = 3;
pub const ACCOUNTS: usize = 4;
/// What each account has at first.
pub const OPENING: i64 = 1000;
/// Between the keys that a node gives.
pub const INCREMENT: u64 = NODES as u64 + 1;
/// How long until a silent member is given up: at least, and by so much more at most.
const SUSPECT_US: (u64, usize) = (2_000_000, 1_500_000);
/// How long a node takes to come back to its cluster.
const REJOIN_US: (u64, usize) = (500_000, 1_500_000);

/// One in so many long reads is aborted while its rows are sent.
const ABORTED_READS: usize = 50;
/// And of so many writes that have waited for another transaction.
const OUTRUN_WRITES: usize = 2;

/// A connection, as all nodes together number it.
pub type Conn = u32;

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, and committed under this number of the log.
    Done {
        rows: u64,
        insert_id: u64,
        sequence: Option<u64>,
    },
    /// A row of numbers, or none.
    Row(Option<Vec<i64>>),
    /// Rows of one number.
    Rows(Vec<i64>),
    /// The first of these rows, and then that another transaction has aborted it.
    Cut(Vec<i64>),
    Error(u16, &'static [u8; 5], &'static str),
}

const PLAIN: Answer = Answer::Done { rows: 0, insert_id: 0, sequence: None };
pub const DEADLOCK: Answer =
    Answer::Error(1213, b"40001", "Deadlock found when trying to get lock; try restarting transaction");
/// The row has changed since the transaction began to read (`innodb_snapshot_isolation`).
const OUTRUN: Answer =
    Answer::Error(1020, b"HY000", "Record has changed since last read in table 'deeds'; try restarting transaction");
const NOT_READY: Answer = Answer::Error(1047, b"08S01", "WSREP has not yet prepared node for application use");
const READ_ONLY: Answer = Answer::Error(
    1290,
    b"HY000",
    "The MariaDB server is running with the --read-only option so it cannot execute this statement",
);
const NOT_PRIMARY: Answer = Answer::Error(
    1180,
    b"HY000",
    "Error while appending streaming replication fragment(provider status: Not connected to Primary Component)",
);
const IN_TRANSACTION: Answer =
    Answer::Error(1568, b"25001", "Transaction characteristics can't be changed while a transaction is in progress");
const LATE: Answer = Answer::Error(1205, b"HY000", "Lock wait timeout exceeded; try restarting transaction");
const DUPLICATE: Answer = Answer::Error(1062, b"23000", "Duplicate entry for key 'PRIMARY'");
const UNKNOWN: Answer = Answer::Error(1064, b"42000", "You have an error in your SQL syntax");

/// What the cluster asks to be told when its time has come.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    Deliver(usize),
    Apply(usize),
    Evict(usize, u32),
    Learn(usize, u32),
    Rejoin(usize, u32),
    WaitOver(Conn, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Account(usize),
    Deed(u64),
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Money { account: usize, delta: i64 },
    Deed(Row),
}

/// What a transaction has done.
#[derive(Clone, Debug, Default)]
pub struct Work {
    keys: BTreeSet<Key>,
    changes: Vec<Change>,
    /// The statements that changed something, as they came.
    pub texts: Vec<String>,
    pub rows: u64,
    pub insert_id: u64,
}

/// A transaction on its way to all nodes, or in the log.
#[derive(Clone, Debug)]
pub struct WriteSet {
    origin: Option<Conn>,
    /// The end of the log as its node knew it.
    seen: usize,
    pub work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Up,
    Frozen,
    Dead,
}

pub struct Node {
    pub life: Life,
    /// Counts what has happened to it: what was to come of an earlier state does not.
    turn: u32,
    pub primary: bool,
    pub read_only: bool,
    /// How much longer it takes to apply what others wrote.
    pub lag_us: usize,
    pub applied: usize,
    balances: [i64; ACCOUNTS],
    deeds: BTreeMap<u64, Row>,
    locks: BTreeMap<Key, Conn>,
    last_key: u64,
    outgoing: VecDeque<WriteSet>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Busy {
    No,
    /// Waits for a lock.
    Locking(Key, Statement, String),
    Committing,
    /// Waits until so much is applied.
    Waiting(u64),
}

/// A connection on its node.
struct Session {
    node: usize,
    autocommit: bool,
    in_transaction: bool,
    work: Work,
    busy: Busy,
    /// Its transaction was aborted by another's; the next statement is told.
    doomed: bool,
    tracks_gtids: bool,
    insert_id: Option<u64>,
    last_insert_id: u64,
    /// Something was said of the next transaction, and of the one that is open.
    announced: bool,
    is_as_announced: bool,
    schema: i64,
    offset: u64,
    increment: u64,
}

pub struct Cluster {
    pub log: Vec<WriteSet>,
    /// Those in the primary component.
    pub members: BTreeSet<usize>,
    pub nodes: Vec<Node>,
    sessions: BTreeMap<Conn, Session>,
    /// Write sets of a component without a majority that will be delivered when all are together again.
    limbo: Vec<WriteSet>,
    pub due: Vec<(u64, Due)>,
    /// With the status of the connection: autocommit, in a transaction, told of GTIDs.
    pub answers: Vec<(Conn, Answer, (bool, bool, bool))>,
    dice: Dice,
}

impl Cluster {
    pub fn new(seed: u64) -> Self {
        let node = |_| Node {
            life: Life::Up,
            turn: 0,
            primary: true,
            read_only: false,
            lag_us: 0,
            applied: 0,
            balances: [OPENING; ACCOUNTS],
            deeds: BTreeMap::new(),
            locks: BTreeMap::new(),
            last_key: 0,
            outgoing: VecDeque::new(),
        };
        Self {
            log: Vec::new(),
            members: (0..NODES).collect(),
            nodes: (0..NODES).map(node).collect(),
            sessions: BTreeMap::new(),
            limbo: Vec::new(),
            due: Vec::new(),
            answers: Vec::new(),
            dice: Dice::new(seed),
        }
    }

    /// A client has logged in.
    pub fn open(&mut self, conn: Conn, node: usize, schema: i64) {
        let session = Session {
            node,
            autocommit: true,
            in_transaction: false,
            work: Work::default(),
            busy: Busy::No,
            doomed: false,
            tracks_gtids: false,
            insert_id: None,
            last_insert_id: 0,
            announced: false,
            is_as_announced: false,
            schema,
            offset: node as u64 + 1,
            increment: INCREMENT,
        };
        self.sessions.insert(conn, session);
    }

    /// The client has gone, and nothing of its is under way.
    pub fn close(&mut self, conn: Conn) {
        self.roll_back(conn);
        self.sessions.remove(&conn);
    }

    /// Has a connection killed; true once nothing of it can happen any more.
    fn kill(&mut self, conn: Conn) -> bool {
        match self.sessions.get(&conn).map(|session| &session.busy) {
            Some(Busy::Committing) => false,
            Some(_) => {
                self.close(conn);
                true
            }
            None => true,
        }
    }

    /// What is known by now of work with these markers that was under way on a connection. A node that can be `reached` has the connection
    /// killed; any other must have been given up by the others. None: it may still happen, or nobody can tell yet.
    pub fn look_up(&mut self, conn: Conn, node: usize, reached: bool, markers: &[String], base: u64) -> Option<Found> {
        let over = if reached { self.kill(conn) } else { !self.members.contains(&node) };
        if self.members.is_empty() || self.stalls() {
            return None;
        }
        let later = self.log.iter().enumerate().skip(base as usize);
        for (place, set) in later {
            if set.work.texts.iter().any(|text| markers.iter().any(|marker| text.contains(marker))) {
                let Work { rows, insert_id, .. } = set.work;
                return Some(Found::Committed { sequence: place as u64 + 1, rows, insert_id });
            }
        }
        over.then_some(Found::Absent)
    }

    /// As it was when it logged in.
    pub fn reset(&mut self, conn: Conn) {
        let Some(session) = self.sessions.get(&conn) else { return };
        let (node, schema) = (session.node, session.schema);
        self.roll_back(conn);
        self.open(conn, node, schema);
    }

    /// What a connection gets that would prepare a statement now, if it can't.
    pub fn refuses_to_prepare(&mut self, conn: Conn) -> Option<(Answer, (bool, bool, bool))> {
        let session = self.sessions.get_mut(&conn)?;
        let primary = self.nodes[session.node].primary;
        let doomed = std::mem::take(&mut session.doomed);
        if doomed {
            self.roll_back(conn);
        }
        let answer = if doomed { DEADLOCK } else { NOT_READY };
        (doomed || !primary).then(|| (answer, self.status(conn)))
    }

    /// Runs a statement. Its answer comes at once or later.
    pub fn run(&mut self, conn: Conn, statement: Option<Statement>, text: &str) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let node = &self.nodes[session.node];
        let harmless = matches!(
            statement,
            Some(Statement::Set(_) | Statement::Variables(_) | Statement::LastInsertId | Statement::Use(_))
        );
        if std::mem::take(&mut session.doomed) {
            self.roll_back(conn);
            return self.answer(conn, DEADLOCK);
        }
        if !node.primary && !harmless && statement != Some(Statement::Rollback) {
            return self.answer(conn, NOT_READY);
        }
        let Some(statement) = statement else { return self.answer(conn, UNKNOWN) };
        if statement.writes() && node.read_only {
            return self.answer(conn, READ_ONLY);
        }
        let begins = matches!(statement, Statement::Begin);
        let works = statement.reads() || statement.writes();
        let opens = !session.in_transaction && (begins || (works && !session.autocommit));
        session.in_transaction |= opens;
        if opens || (works && !session.in_transaction) {
            session.is_as_announced = std::mem::take(&mut session.announced);
        }
        match statement {
            Statement::Begin => self.answer(conn, PLAIN),
            Statement::Commit => self.commit(conn, PLAIN),
            Statement::Rollback => {
                self.roll_back(conn);
                self.answer(conn, PLAIN);
            }
            Statement::WaitUpTo { sequence, seconds } => self.wait(conn, sequence, seconds),
            Statement::Set(settings) => self.set(conn, &settings),
            Statement::Announce if session.in_transaction => self.answer(conn, IN_TRANSACTION),
            Statement::Announce => {
                session.announced = true;
                self.answer(conn, PLAIN);
            }
            Statement::Use(schema) => {
                session.schema = schema;
                self.answer(conn, PLAIN);
            }
            Statement::List => {
                let mut rows = self.list(conn);
                if self.dice.one_in(ABORTED_READS) {
                    rows.truncate(self.dice.below(rows.len() + 1));
                    self.roll_back(conn);
                    return self.answer(conn, Answer::Cut(rows));
                }
                self.answer(conn, Answer::Rows(rows));
            }
            Statement::Note { .. } | Statement::Enter { .. } | Statement::Move { .. } => {
                self.write(conn, statement, text.to_owned());
            }
            _ => {
                let row = self.read(conn, &statement);
                self.answer(conn, Answer::Row(row));
            }
        }
    }

    fn set(&mut self, conn: Conn, settings: &[Setting]) {
        for setting in settings {
            let Some(session) = self.sessions.get_mut(&conn) else { return };
            match *setting {
                Setting::Autocommit(on) => {
                    let commits = on && !session.autocommit;
                    session.autocommit = on;
                    if commits && session.in_transaction {
                        return self.commit(conn, PLAIN);
                    }
                }
                Setting::TracksGtids => session.tracks_gtids = true,
                Setting::InsertId(id) => session.insert_id = Some(id).filter(|id| *id > 0),
                Setting::LastInsertId(id) => session.last_insert_id = id,
                Setting::Offset(offset) => session.offset = offset.unwrap_or(session.node as u64 + 1),
                Setting::Increment(increment) => session.increment = increment.unwrap_or(INCREMENT),
            }
        }
        self.answer(conn, PLAIN);
    }

    fn wait(&mut self, conn: Conn, sequence: u64, seconds: u64) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if self.nodes[session.node].applied as u64 >= sequence {
            return self.answer(conn, Answer::Row(Some(vec![1])));
        }
        session.busy = Busy::Waiting(sequence);
        self.due.push((seconds * 1_000_000, Due::WaitOver(conn, sequence)));
    }

    /// The ids of all writes that a connection sees.
    fn list(&self, conn: Conn) -> Vec<i64> {
        let Some(session) = self.sessions.get(&conn) else { return Vec::new() };
        let own = session.work.changes.iter().filter_map(|change| match change {
            Change::Deed(row) => Some(row.id as i64),
            Change::Money { .. } => None,
        });
        let rows = self.nodes[session.node].deeds.values().map(|row| row.id as i64);
        let ids: BTreeSet<i64> = rows.chain(own).collect();
        ids.into_iter().collect()
    }

    fn read(&self, conn: Conn, statement: &Statement) -> Option<Vec<i64>> {
        let session = self.sessions.get(&conn)?;
        let (node, own) = (&self.nodes[session.node], &session.work.changes);
        let moved = |wanted: Option<usize>| -> i64 {
            let delta = |change: &Change| match change {
                Change::Money { account, delta } if wanted.is_none_or(|wanted| wanted == *account) => *delta,
                _ => 0,
            };
            own.iter().map(delta).sum()
        };
        Some(match statement {
            Statement::Look { id } => {
                let own = own.iter().filter(|change| matches!(change, Change::Deed(row) if row.id == *id)).count();
                vec![(node.deeds.values().filter(|row| row.id == *id).count() + own) as i64]
            }
            Statement::Balance { account } => vec![node.balances.get(*account)? + moved(Some(*account))],
            Statement::Sum => vec![node.balances.iter().sum::<i64>() + moved(None)],
            Statement::LastInsertId => vec![session.last_insert_id as i64],
            Statement::Schema => vec![session.schema],
            Statement::Variables(names) => names.iter().map(|name| variable(name, session)).collect(),
            _ => return None,
        })
    }

    fn write(&mut self, conn: Conn, statement: Statement, text: String) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let node = &mut self.nodes[session.node];
        let key = match statement {
            Statement::Move { account, .. } => Key::Account(account),
            _ => Key::Deed(session.insert_id.unwrap_or_else(|| next_key(node.last_key, session))),
        };
        if matches!(key, Key::Deed(key) if node.deeds.contains_key(&key)) {
            session.insert_id = None;
            return self.answer(conn, DUPLICATE);
        }
        let waited =
            matches!(std::mem::replace(&mut session.busy, Busy::No), Busy::Locking(..)) && session.in_transaction;
        match self.lock(conn, key) {
            Lock::Granted if waited && self.dice.one_in(OUTRUN_WRITES) => {
                self.roll_back(conn);
                return self.answer(conn, OUTRUN);
            }
            Lock::Granted => {}
            Lock::Held => {
                if let Some(session) = self.sessions.get_mut(&conn) {
                    session.busy = Busy::Locking(key, statement, text);
                }
                return;
            }
            Lock::Deadlock => {
                self.roll_back(conn);
                return self.answer(conn, DEADLOCK);
            }
        }
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let node = &mut self.nodes[session.node];
        let work = &mut session.work;
        work.keys.insert(key);
        work.texts.push(text);
        work.rows = 1;
        work.insert_id = 0;
        work.changes.push(match (statement, key) {
            (Statement::Move { account, delta }, _) => Change::Money { account, delta },
            (statement, Key::Deed(key)) => {
                session.insert_id = None;
                session.last_insert_id = key;
                node.last_key = node.last_key.max(key);
                work.insert_id = key;
                Change::Deed(row(key, &statement))
            }
            (_, Key::Account(_)) => return,
        });
        let done = Answer::Done { rows: 1, insert_id: work.insert_id, sequence: None };
        if session.in_transaction { self.answer(conn, done) } else { self.commit(conn, done) }
    }

    /// Ends the transaction; if it has changed nothing, with this answer at once.
    fn commit(&mut self, conn: Conn, plain: Answer) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        if session.work.changes.is_empty() {
            self.roll_back(conn);
            return self.answer(conn, plain);
        }
        session.busy = Busy::Committing;
        let node = session.node;
        // The answer to a COMMIT tells of no rows.
        if session.in_transaction {
            (session.work.rows, session.work.insert_id) = (0, 0);
        }
        let seen = self.nodes[node].applied;
        let set = WriteSet { origin: Some(conn), seen, work: session.work.clone() };
        self.nodes[node].outgoing.push_back(set);
        self.due.push((200 + self.dice.below(1500) as u64, Due::Deliver(node)));
    }

    fn answer(&mut self, conn: Conn, answer: Answer) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.busy = Busy::No;
        self.answers.push((conn, answer, self.status(conn)));
    }

    fn status(&self, conn: Conn) -> (bool, bool, bool) {
        let status = |session: &Session| (session.autocommit, session.in_transaction, session.tracks_gtids);
        self.sessions.get(&conn).map_or((true, false, false), status)
    }

    fn roll_back(&mut self, conn: Conn) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.work = Work::default();
        (session.in_transaction, session.is_as_announced) = (false, false);
        let node = session.node;
        self.release(conn, node);
    }

    /// Frees its locks; who waited for one goes on.
    fn release(&mut self, conn: Conn, node: usize) {
        self.nodes[node].locks.retain(|_, holder| *holder != conn);
        let blocked = |(conn, session): (&Conn, &Session)| match &session.busy {
            Busy::Locking(key, statement, text) if session.node == node => {
                Some((*conn, *key, statement.clone(), text.clone()))
            }
            _ => None,
        };
        let blocked: Vec<_> = self.sessions.iter().filter_map(blocked).collect();
        for (waiter, key, statement, text) in blocked {
            // Who went before it may have been rolled back, and freed it already.
            let waits = self.sessions.get(&waiter).is_some_and(|session| matches!(session.busy, Busy::Locking(..)));
            if waits && waiter != conn && !self.nodes[node].locks.contains_key(&key) {
                self.write(waiter, statement, text);
            }
        }
    }

    fn lock(&mut self, conn: Conn, key: Key) -> Lock {
        let Some(session) = self.sessions.get(&conn) else { return Lock::Held };
        let locks = &mut self.nodes[session.node].locks;
        let holder = *locks.entry(key).or_insert(conn);
        if holder == conn {
            return Lock::Granted;
        }
        // Everybody waits for one lock at most, so who waits for whom is a line, or a ring.
        let mut next = holder;
        while let Some(Busy::Locking(key, ..)) = self.sessions.get(&next).map(|session| &session.busy) {
            match self.nodes[self.sessions[&next].node].locks.get(key) {
                Some(holder) if *holder == conn => return Lock::Deadlock,
                Some(holder) => next = *holder,
                None => break,
            }
        }
        Lock::Held
    }

    /// Something it asked for is due.
    pub fn pass(&mut self, due: Due) {
        match due {
            Due::Deliver(node) => self.deliver(node),
            Due::Apply(node) => self.apply(node),
            Due::Evict(node, turn) if self.nodes[node].turn == turn => self.evict(),
            // One that has been taken back meanwhile has nothing to learn.
            Due::Learn(node, turn) if self.nodes[node].turn == turn && !self.members.contains(&node) => {
                self.learn(node)
            }
            Due::Rejoin(node, turn) if self.nodes[node].turn == turn => self.rejoin(node),
            Due::Evict(..) | Due::Learn(..) | Due::Rejoin(..) => {}
            Due::WaitOver(conn, sequence) => {
                let Some(session) = self.sessions.get(&conn) else { return };
                if session.busy == Busy::Waiting(sequence) {
                    if self.nodes[session.node].life == Life::Frozen {
                        return self.due.push((100_000, due));
                    }
                    self.answer(conn, LATE);
                }
            }
        }
    }

    /// No message gets through while a member of the view is silent.
    fn stalls(&self) -> bool {
        self.members.iter().any(|node| self.nodes[*node].life != Life::Up)
    }

    fn deliver(&mut self, node: usize) {
        if self.stalls() || !self.members.contains(&node) {
            return;
        }
        if let Some(set) = self.nodes[node].outgoing.pop_front() {
            self.certify(set);
        }
    }

    /// Takes a write set into the log, unless what it is based on has changed.
    fn certify(&mut self, set: WriteSet) {
        let later = &self.log[set.seen.min(self.log.len())..];
        if later.iter().any(|other| !other.work.keys.is_disjoint(&set.work.keys)) {
            let waits = |conn: &Conn| {
                let session = self.sessions.get(conn);
                session.is_some_and(|session| session.busy == Busy::Committing && self.members.contains(&session.node))
            };
            if let Some(conn) = set.origin.filter(waits) {
                self.roll_back(conn);
                if let Some(session) = self.sessions.get_mut(&conn) {
                    session.doomed = false;
                }
                self.answer(conn, DEADLOCK);
            }
            return;
        }
        let origin = set.origin.and_then(|conn| self.sessions.get(&conn)).map(|session| session.node);
        self.log.push(set);
        for node in 0..NODES {
            let lag = if origin == Some(node) { 100 } else { 1500 + self.nodes[node].lag_us };
            let lag = self.dice.below(lag) as u64;
            self.due.push((lag, Due::Apply(node)));
        }
    }

    fn apply(&mut self, node: usize) {
        let state = &self.nodes[node];
        if state.life != Life::Up || !self.members.contains(&node) || state.applied == self.log.len() {
            return;
        }
        let set = self.log[state.applied].clone();
        let own = |conn: &Conn| {
            self.sessions
                .get(conn)
                .is_some_and(|session| session.node == node && session.busy == Busy::Committing && !session.doomed)
        };
        let own = set.origin.filter(own);
        for key in &set.work.keys {
            if let Some(holder) = self.nodes[node].locks.get(key).copied().filter(|holder| Some(*holder) != own) {
                self.abort(holder);
            }
        }
        let state = &mut self.nodes[node];
        state.applied += 1;
        let sequence = state.applied as u64;
        for change in &set.work.changes {
            match *change {
                Change::Money { account, delta } => state.balances[account] += delta,
                Change::Deed(row) => {
                    state.deeds.insert(row.key, row);
                    state.last_key = state.last_key.max(row.key);
                }
            }
        }
        if let Some(conn) = own {
            self.roll_back(conn);
            let Work { rows, insert_id, .. } = set.work;
            self.answer(conn, Answer::Done { rows, insert_id, sequence: Some(sequence) });
        }
        self.tell_waiters(node);
    }

    fn tell_waiters(&mut self, node: usize) {
        let applied = self.nodes[node].applied as u64;
        let reached = |session: &Session| {
            session.node == node && matches!(session.busy, Busy::Waiting(sequence) if sequence <= applied)
        };
        let reached: Vec<Conn> =
            self.sessions.iter().filter(|(_, session)| reached(session)).map(|(conn, _)| *conn).collect();
        for conn in reached {
            self.answer(conn, Answer::Row(Some(vec![1])));
        }
    }

    /// What is applied is in the way of this transaction, which is over.
    fn abort(&mut self, conn: Conn) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let busy = std::mem::replace(&mut session.busy, Busy::No);
        match busy {
            // Its certification will fail, and tell.
            Busy::Committing => {
                session.busy = Busy::Committing;
                session.doomed = true;
            }
            Busy::No | Busy::Waiting(_) => {
                session.busy = busy;
                session.doomed = true;
            }
            Busy::Locking(..) => {}
        }
        let blocked = !session.doomed;
        self.roll_back(conn);
        if blocked {
            self.answer(conn, DEADLOCK);
        }
    }

    /// Applies all there is.
    fn catch_up(&mut self, node: usize) {
        let missing = self.log.len() - self.nodes[node].applied;
        for _ in 0..missing {
            self.apply(node);
        }
    }

    fn turn(&mut self, node: usize, life: Life) -> u32 {
        let node = &mut self.nodes[node];
        node.life = life;
        node.turn += 1;
        node.turn
    }

    fn suspect(&mut self, node: usize, turn: u32) {
        let delay = SUSPECT_US.0 + self.dice.below(SUSPECT_US.1) as u64;
        self.due.push((delay, Due::Evict(node, turn)));
    }

    fn comes_back(&mut self, node: usize, turn: u32) {
        let delay = REJOIN_US.0 + self.dice.below(REJOIN_US.1) as u64;
        self.due.push((delay, Due::Rejoin(node, turn)));
    }

    pub fn freeze(&mut self, node: usize) {
        let turn = self.turn(node, Life::Frozen);
        self.suspect(node, turn);
    }

    /// It goes on where it stood.
    pub fn thaw(&mut self, node: usize) {
        let turn = self.turn(node, Life::Up);
        if self.members.contains(&node) {
            self.flow();
        } else {
            self.due.push((self.dice.below(800_000) as u64, Due::Learn(node, turn)));
        }
    }

    /// Its process ends.
    pub fn die(&mut self, node: usize) {
        let turn = self.turn(node, Life::Dead);
        self.sessions.retain(|_, session| session.node != node);
        self.nodes[node].locks.clear();
        self.suspect(node, turn);
    }

    /// Its process starts again.
    pub fn restart(&mut self, node: usize) {
        let turn = self.turn(node, Life::Up);
        self.nodes[node].primary = false;
        self.nodes[node].outgoing.clear();
        if self.members.remove(&node) {
            // The others need not wait for it any more.
            self.flow();
        }
        self.comes_back(node, turn);
    }

    /// A transaction of somebody else's on this node, about this account.
    pub fn touch(&mut self, node: usize, account: usize) {
        let state = &mut self.nodes[node];
        let key = Key::Account(account);
        if state.life != Life::Up || !state.primary || state.locks.contains_key(&key) {
            return;
        }
        let work = Work { keys: [key].into(), ..Work::default() };
        state.outgoing.push_back(WriteSet { origin: None, seen: state.applied, work });
        self.due.push((200, Due::Deliver(node)));
    }

    /// What has waited is delivered, and applied.
    fn flow(&mut self) {
        for node in 0..NODES {
            for _ in 0..self.nodes[node].outgoing.len() {
                self.due.push((self.dice.below(1000) as u64, Due::Deliver(node)));
            }
            for _ in self.nodes[node].applied..self.log.len() {
                self.due.push((self.dice.below(3000) as u64, Due::Apply(node)));
            }
        }
    }

    /// Silent members are given up: by a majority, or there is none.
    fn evict(&mut self) {
        let lost: Vec<usize> = self.members.iter().copied().filter(|node| self.nodes[*node].life != Life::Up).collect();
        if lost.is_empty() {
            return;
        }
        let majority = 2 * (self.members.len() - lost.len()) > self.members.len();
        // What of theirs was on its way may have arrived everywhere; nothing arrives before what was sent before it.
        let mut arrived = Vec::new();
        let senders: Vec<usize> = if majority { lost.clone() } else { self.members.iter().copied().collect() };
        for node in senders {
            let sent = &mut self.nodes[node].outgoing;
            let count = self.dice.below(sent.len() + 1);
            arrived.extend(sent.drain(..count));
            sent.clear();
        }
        if majority {
            self.members.retain(|node| !lost.contains(node));
            arrived.into_iter().for_each(|set| self.certify(set));
            return self.flow();
        }
        self.limbo.extend(arrived);
        for node in std::mem::take(&mut self.members) {
            let turn = self.nodes[node].turn;
            if self.nodes[node].life == Life::Up {
                self.learn(node);
            } else {
                self.due.push((0, Due::Learn(node, turn)));
            }
        }
    }

    /// It has lost its cluster, and knows.
    fn learn(&mut self, node: usize) {
        self.nodes[node].primary = false;
        self.nodes[node].outgoing.clear();
        let mut answers = Vec::new();
        for (conn, session) in self.sessions.iter_mut().filter(|(_, session)| session.node == node) {
            let had_work = session.in_transaction || !session.work.changes.is_empty();
            match std::mem::replace(&mut session.busy, Busy::No) {
                Busy::No => session.doomed |= had_work,
                Busy::Committing => answers.push((*conn, NOT_PRIMARY)),
                Busy::Locking(..) | Busy::Waiting(_) => answers.push((*conn, NOT_READY)),
            }
            (session.work, session.in_transaction, session.is_as_announced) = (Work::default(), false, false);
        }
        self.nodes[node].locks.clear();
        for (conn, answer) in answers {
            self.answer(conn, answer);
        }
        let turn = self.nodes[node].turn;
        self.comes_back(node, turn);
    }

    fn rejoin(&mut self, node: usize) {
        if self.nodes[node].life != Life::Up {
            return;
        }
        if self.members.is_empty() {
            let all = self.nodes.iter().all(|node| node.life == Life::Up && !node.primary);
            if !all {
                let turn = self.nodes[node].turn;
                return self.comes_back(node, turn);
            }
            self.members = (0..NODES).collect();
            for set in std::mem::take(&mut self.limbo) {
                self.certify(set);
            }
        }
        self.members.insert(node);
        for node in self.members.clone() {
            if !self.nodes[node].primary {
                self.catch_up(node);
                self.nodes[node].primary = true;
            }
        }
    }

    /// All nodes serve, and have applied the same.
    pub fn is_whole(&self) -> bool {
        let fit = |node: &Node| node.life == Life::Up && node.primary && node.applied == self.log.len();
        self.members.len() == NODES && self.nodes.iter().all(|node| fit(node) && node.outgoing.is_empty())
    }

    /// What keeps it from being whole.
    pub fn blemishes(&self) -> Vec<String> {
        let told = |node: &Node| {
            let Node { life, primary, applied, outgoing, .. } = node;
            format!(
                "{life:?}, primary: {primary}, applied {applied} of {}, {} outgoing",
                self.log.len(),
                outgoing.len()
            )
        };
        let mut all: Vec<_> = self.nodes.iter().map(told).collect();
        all.push(format!("members: {:?}", self.members));
        all
    }

    /// The rows and balances that a node has.
    pub fn contents(&self, node: usize) -> (Vec<Row>, Vec<i64>) {
        let node = &self.nodes[node];
        (node.deeds.values().copied().collect(), node.balances.to_vec())
    }
}

/// What a look-up has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Committed { sequence: u64, rows: u64, insert_id: u64 },
    Absent,
}

enum Lock {
    Granted,
    Held,
    Deadlock,
}

fn next_key(last: u64, session: &Session) -> u64 {
    let steps = (last + 1).saturating_sub(session.offset).div_ceil(session.increment);
    session.offset + steps * session.increment
}

fn row(key: u64, statement: &Statement) -> Row {
    match *statement {
        Statement::Enter { id, from, to, amount } => Row { key, id, deed: Deed::Transfer { from, to, amount } },
        Statement::Note { id } => Row { key, id, deed: Deed::Note },
        _ => Row { key, id: 0, deed: Deed::Note },
    }
}

fn variable(name: &str, session: &Session) -> i64 {
    match name {
        "auto_increment_offset" => session.offset as i64,
        "auto_increment_increment" => session.increment as i64,
        "tx_isolation" => i64::from(session.is_as_announced),
        _ => 0,
    }
}
