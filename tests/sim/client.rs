//! A client of the simulator: writes with ids of their own, looks whether they are there, and what it was told of each.

use std::collections::VecDeque;

use oarlock::wire::capability::Capabilities;
use oarlock::wire::command::{QUERY, STMT_CLOSE, STMT_EXECUTE, STMT_PREPARE, STMT_SEND_LONG_DATA};
use oarlock::wire::err::Error;
use oarlock::wire::ok::Ok as OkPacket;
use oarlock::wire::packet;
use oarlock::wire::reply::{Kind, ReplyTracker, Shape};

use crate::cluster::ACCOUNTS;
use crate::dice::Dice;
use crate::history::{Deed, History, Look, Told, Write};
use crate::stage;

/// The statements with values, as a client prepares them.
const TEXTS: [&str; 8] = [
    "INSERT INTO deed (id) VALUES (?)",
    "UPDATE account SET balance = balance - ? WHERE id = ?",
    "UPDATE account SET balance = balance + ? WHERE id = ?",
    "INSERT INTO deed (id, source, target, amount) VALUES (?, ?, ?, ?)",
    "SELECT COUNT(*) FROM deed WHERE id = ?",
    "SELECT SUM(balance) FROM account",
    "SELECT balance FROM account WHERE id = ?",
    "SELECT id FROM deed ORDER BY id",
];
/// The first of them from a file.
const LOAD: &str = "LOAD DATA LOCAL INFILE 'a file' INTO TABLE deed (id)";
const NOTE: usize = 0;
const TAKE: usize = 1;
const GIVE: usize = 2;
const ENTER: usize = 3;
const LOOK: usize = 4;
const SUM: usize = 5;
const BALANCE: usize = 6;
const LIST: usize = 7;
/// Says something of the next transaction, and asks whether it is so.
const ANNOUNCE: &str = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
const ANNOUNCED: &str = "SELECT @@tx_isolation";
/// Goes to a schema, and asks where it is.
const USE: [&str; 2] = ["USE s1", "USE s2"];
const SCHEMA: &str = "SELECT DATABASE()";

/// What a client does next.
#[derive(Clone, Debug)]
enum Step {
    Greeting,
    Login,
    Prepare(usize),
    Say(&'static str),
    Run(usize, Vec<i64>),
    /// The statement that may commit.
    Commit(Box<Step>),
}

/// What came of a command.
#[derive(Clone, Debug)]
enum Reply {
    Done { rows: u64, insert_id: u64 },
    Numbers(Vec<i64>),
    Error { code: u16, state: String, text: String },
    Prepared(u32),
}

/// A write under way.
#[derive(Clone, Debug)]
struct Attempt {
    id: u64,
    deed: Deed,
    key: u64,
    asked_to_commit: bool,
}

/// How a client says what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statements {
    Texts,
    /// Prepared before its work. Their types are told once.
    Prepared,
    /// Each is prepared, run and closed. The first value of a new row goes ahead, as long data.
    PreparedOnce,
}

/// How a client works.
#[derive(Clone, Copy, Debug)]
pub struct Habit {
    pub statements: Statements,
    pub autocommit: bool,
    pub reads_first: bool,
    /// Loads its notes from files, if it says them as texts.
    pub loads: bool,
    /// Says something of its transactions before they begin.
    pub announces: bool,
    /// Goes from schema to schema.
    pub moves: bool,
    pub capabilities: Capabilities,
}

pub struct Client {
    pub habit: Habit,
    pub history: History,
    /// Work still to be done.
    pub left: usize,
    steps: VecDeque<Step>,
    tracker: ReplyTracker,
    inbox: Vec<u8>,
    /// The ids of what is prepared, and whether its types were told.
    prepared: Vec<(u32, bool)>,
    attempt: Option<Attempt>,
    /// The write whose row it looks for.
    looks: Option<u64>,
    sums: bool,
    lists: bool,
    /// Its writes before this one were made by other connections, whose reads alone must see them.
    since: usize,
    /// The schema that it is in, if it knows.
    schema: Option<i64>,
}

impl Client {
    pub fn new(habit: Habit, left: usize) -> Self {
        let mut client = Self {
            habit,
            history: History::default(),
            left,
            steps: VecDeque::new(),
            tracker: ReplyTracker::idle(habit.capabilities),
            inbox: Vec::new(),
            prepared: Vec::new(),
            attempt: None,
            looks: None,
            sums: false,
            lists: false,
            since: 0,
            schema: Some(0),
        };
        client.connect();
        client
    }

    /// Everything about a new connection.
    fn connect(&mut self) {
        self.inbox.clear();
        self.prepared.clear();
        self.since = self.history.writes.len();
        self.schema = Some(0);
        self.steps = [Step::Greeting, Step::Login].into();
        self.prepare();
        self.tracker.begin(Shape::Text);
        self.tracker.resume_after_upload();
    }

    /// What it does before its work, as far as that is not done yet.
    fn prepare(&mut self) {
        if self.habit.statements == Statements::Prepared {
            self.steps.extend((self.prepared.len()..TEXTS.len()).map(Step::Prepare));
        }
        if !self.habit.autocommit {
            self.steps.push_back(Step::Say("SET autocommit = 0"));
        }
    }

    /// Whether it has nothing under way and nothing to come.
    pub fn is_done(&self) -> bool {
        self.left == 0 && self.steps.is_empty()
    }

    /// Whether it waits for an answer.
    pub fn is_busy(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Begins the next piece of work, `id` if it is a write; what it sends.
    pub fn begin(&mut self, id: u64, dice: &mut Dice) -> Vec<u8> {
        self.left -= 1;
        let number = id as i64;
        if self.habit.moves {
            self.steps.push_back(Step::Say(USE[dice.below(2)]));
        }
        match dice.below(9) {
            0 => {
                self.sums = true;
                self.steps.push_back(Step::Run(SUM, vec![]));
            }
            8 => {
                self.lists = true;
                self.steps.push_back(Step::Run(LIST, vec![]));
            }
            1..=4 => {
                self.attempt = Some(Attempt { id, deed: Deed::Note, key: 0, asked_to_commit: false });
                self.end_with(Step::Run(NOTE, vec![number]));
            }
            _ => {
                let from = dice.below(ACCOUNTS);
                let to = (from + 1 + dice.below(ACCOUNTS - 1)) % ACCOUNTS;
                let amount = 1 + dice.below(9) as i64;
                let deed = Deed::Transfer { from, to, amount };
                self.attempt = Some(Attempt { id, deed, key: 0, asked_to_commit: false });
                self.transfer(number, from as i64, to as i64, amount, USE[dice.below(2)]);
            }
        }
        if self.habit.moves && self.attempt.is_none() {
            self.steps.push_back(Step::Say(SCHEMA));
        }
        self.next_packet()
    }

    /// A write that commits by itself, if this client's do.
    fn end_with(&mut self, step: Step) {
        if self.habit.autocommit {
            self.steps.push_back(Step::Commit(Box::new(step)));
        } else {
            self.steps.extend([step, Step::Commit(Box::new(Step::Say("COMMIT")))]);
        }
    }

    fn transfer(&mut self, id: i64, from: i64, to: i64, amount: i64, moves_to: &'static str) {
        if self.habit.announces && !self.habit.autocommit {
            // Its last look has opened one.
            self.steps.push_back(Step::Say("ROLLBACK"));
        }
        if self.habit.announces {
            self.steps.push_back(Step::Say(ANNOUNCE));
        }
        if self.habit.autocommit {
            self.steps.push_back(Step::Say("BEGIN"));
        }
        if self.habit.reads_first {
            self.steps.push_back(Step::Run(BALANCE, vec![from]));
        }
        self.steps.push_back(Step::Run(TAKE, vec![amount, from]));
        if self.habit.announces {
            self.steps.push_back(Step::Say(ANNOUNCED));
        }
        if self.habit.moves {
            self.steps.extend([Step::Say(moves_to), Step::Say(SCHEMA)]);
        }
        self.steps.extend([
            Step::Run(GIVE, vec![amount, to]),
            Step::Run(ENTER, vec![id, from, to, amount]),
            Step::Commit(Box::new(Step::Say("COMMIT"))),
        ]);
    }

    /// Bytes have come. What it sends in return, perhaps nothing.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.inbox.extend_from_slice(bytes);
        let mut length = 0;
        let mut tracker = self.tracker.clone();
        while let Some(part) = tracker.next(&self.inbox[length..]).expect("an answer in protocol") {
            length += part.length;
            if part.kind == Kind::Infile {
                tracker.resume_after_upload();
                self.tracker = tracker;
                self.inbox.drain(..length);
                return self.file();
            }
        }
        if !tracker.is_done() {
            return Vec::new();
        }
        let answer: Vec<u8> = self.inbox.drain(..length).collect();
        assert!(self.inbox.is_empty(), "more than was asked for: {}", self.inbox.escape_ascii());
        let step = self.steps.pop_front().expect("nothing was asked");
        if matches!(step, Step::Greeting) {
            return self.next_packet();
        }
        let reply = reply(&answer, matches!(step, Step::Prepare(_)), self.habit.capabilities);
        let mut closes = Vec::new();
        if self.habit.statements == Statements::PreparedOnce && !matches!(step, Step::Prepare(_)) {
            self.prepared.drain(..).for_each(|(id, _)| closes.extend(stage::command(STMT_CLOSE, &id.to_le_bytes())));
        }
        self.take(step, reply);
        if !self.steps.is_empty() {
            closes.extend(self.next_packet());
        }
        closes
    }

    /// The file of the write under way, in two pieces, and its end.
    fn file(&self) -> Vec<u8> {
        let id = self.attempt.as_ref().map_or(0, |attempt| attempt.id).to_string();
        let (first, rest) = id.split_at(id.len() / 2);
        let mut bytes = Vec::new();
        let parts = [first, rest, "\n", ""].into_iter().enumerate();
        // An empty packet would end it.
        let parts = parts.filter(|(place, part)| *place == 3 || !part.is_empty());
        parts
            .map(|(_, part)| part)
            .fold(2, |next, part| packet::put(&mut bytes, next, |out| out.extend_from_slice(part.as_bytes())));
        bytes
    }

    fn take(&mut self, step: Step, reply: Reply) {
        let step = match step {
            Step::Commit(step) => *step,
            step => step,
        };
        match (step, reply) {
            (Step::Say("ROLLBACK"), _) => {}
            (Step::Prepare(_), Reply::Prepared(id)) => self.prepared.push((id, false)),
            (Step::Run(LOOK, _), Reply::Numbers(rows)) => {
                let id = self.looks.take().expect("a look");
                self.history.looks.push(Look { id, rows: rows[0] as u64 });
            }
            (Step::Run(SUM, _), Reply::Numbers(sum)) => {
                self.sums = false;
                self.history.sums.push(sum[0]);
            }
            (Step::Run(LIST, _), Reply::Numbers(ids)) => self.listed(&ids),
            (Step::Say(ANNOUNCED), Reply::Numbers(held)) if held != [1] => self.mistaken(),
            (Step::Say(SCHEMA), Reply::Numbers(schema)) if self.schema.is_some_and(|known| schema != [known]) => {
                self.mistaken();
            }
            (Step::Say(text), Reply::Done { .. }) if USE.contains(&text) => {
                self.schema = USE.iter().position(|known| *known == text).map(|place| place as i64 + 1);
            }
            (_, Reply::Error { code, state, text }) => return self.refused(code, state, &text),
            (Step::Run(statement, _), Reply::Done { rows, insert_id }) => {
                if let Some(attempt) = &mut self.attempt {
                    if rows != 1 {
                        self.history.miscounted.push(attempt.id);
                    }
                    if [NOTE, ENTER].contains(&statement) {
                        attempt.key = insert_id;
                    }
                }
            }
            _ => {}
        }
        if self.steps.is_empty()
            && let Some(Attempt { id, deed, key, .. }) = self.attempt.take()
        {
            self.history.writes.push(Write { id, deed, told: Told::Done { key: Some(key) } });
            self.looks = Some(id);
            self.steps.push_back(Step::Run(LOOK, vec![id as i64]));
        }
    }

    /// All rows have come: none twice, and its own are among them.
    fn listed(&mut self, ids: &[i64]) {
        self.lists = false;
        if !ids.is_sorted_by(|one, next| one < next) {
            self.mistaken();
        }
        let own = &self.history.writes[self.since..];
        let done = own.iter().filter(|write| matches!(write.told, Told::Done { .. }));
        let missing = done.filter(|write| !ids.contains(&(write.id as i64)));
        let looks: Vec<Look> = missing.map(|write| Look { id: write.id, rows: 0 }).collect();
        self.history.looks.extend(looks);
    }

    /// Something else came than must have.
    fn mistaken(&mut self) {
        let id = self.attempt.as_ref().map_or(0, |attempt| attempt.id);
        self.history.miscounted.push(id);
    }

    fn refused(&mut self, code: u16, state: String, text: &str) {
        self.steps.clear();
        if self.habit.moves {
            // It may have been on its way to another.
            self.schema = None;
        }
        if self.attempt.is_none() && self.looks.is_none() && !self.sums && !self.lists {
            return self.prepare();
        }
        (self.looks, self.sums, self.lists) = (None, false, false);
        if let Some(Attempt { id, deed, .. }) = self.attempt.take() {
            let told = match &*state {
                "08007" => Told::Unknown,
                _ if text.contains("committed as GTID") => Told::Happened,
                _ => Told::Refused { code, state },
            };
            self.history.writes.push(Write { id, deed, told });
            self.steps.push_back(Step::Say("ROLLBACK"));
        }
    }

    /// The connection has closed; it makes a new one.
    pub fn hear_end(&mut self) {
        if let Some(Attempt { id, deed, asked_to_commit, .. }) = self.attempt.take() {
            let told = Told::Lost { may_have_happened: asked_to_commit };
            self.history.writes.push(Write { id, deed, told });
        }
        (self.looks, self.sums, self.lists) = (None, false, false);
        self.connect();
    }

    /// The packet of the next step.
    fn next_packet(&mut self) -> Vec<u8> {
        let runs = match self.steps.front() {
            Some(Step::Run(statement, _)) => Some(*statement),
            Some(Step::Commit(step)) if let Step::Run(statement, _) = **step => Some(statement),
            _ => None,
        };
        if let Some(statement) = runs
            && self.habit.statements == Statements::PreparedOnce
            && self.prepared.is_empty()
        {
            self.steps.push_front(Step::Prepare(statement));
        }
        let step = match self.steps.front() {
            Some(Step::Commit(step)) => {
                let step = (**step).clone();
                if let Some(attempt) = &mut self.attempt {
                    attempt.asked_to_commit = true;
                }
                step
            }
            Some(step) => step.clone(),
            None => return Vec::new(),
        };
        let (shape, packet) = match step {
            Step::Login => (Shape::Ok, stage::login(self.habit.capabilities)),
            Step::Prepare(statement) => (Shape::Prepare, stage::command(STMT_PREPARE, TEXTS[statement].as_bytes())),
            Step::Say(text) => (Shape::Results, stage::command(QUERY, text.as_bytes())),
            Step::Run(statement, values) if self.habit.statements == Statements::Prepared => {
                let (id, typed) = &mut self.prepared[statement];
                (Shape::Results, execute(*id, &values, std::mem::replace(typed, true), 0))
            }
            Step::Run(statement, values) if self.habit.statements == Statements::PreparedOnce => {
                let (id, _) = self.prepared[0];
                let ahead = usize::from([NOTE, ENTER].contains(&statement));
                let mut packets = values.iter().take(ahead).fold(Vec::new(), |_, value| long_data(id, *value));
                packets.extend(execute(id, &values, false, ahead));
                (Shape::Results, packets)
            }
            Step::Run(NOTE, _) if self.habit.loads => (Shape::Results, stage::command(QUERY, LOAD.as_bytes())),
            Step::Run(statement, values) => {
                let text = TEXTS[statement].to_owned();
                let text = values.iter().fold(text, |text, value| text.replacen('?', &value.to_string(), 1));
                (Shape::Results, stage::command(QUERY, text.as_bytes()))
            }
            Step::Greeting | Step::Commit(_) => return Vec::new(),
        };
        self.tracker.begin(shape);
        if matches!(self.steps.front(), Some(Step::Login)) {
            self.tracker.resume_after_upload();
        }
        packet
    }
}

/// The first value of a statement, as long data in two pieces.
fn long_data(id: u32, value: i64) -> Vec<u8> {
    let pieces = value.to_le_bytes();
    let piece = |piece: &[u8]| stage::command(STMT_SEND_LONG_DATA, &[&id.to_le_bytes()[..], &[0, 0], piece].concat());
    [piece(&pieces[..3]), piece(&pieces[3..])].concat()
}

/// Runs a statement, which may have been told the types; so many values have gone ahead.
fn execute(id: u32, values: &[i64], typed: bool, ahead: usize) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.extend_from_slice(&[0, 1, 0, 0, 0]);
    if !values.is_empty() {
        body.resize(body.len() + values.len().div_ceil(8), 0);
        body.push(u8::from(!typed));
        values.iter().filter(|_| !typed).for_each(|_| body.extend_from_slice(&[8, 0]));
        values.iter().skip(ahead).for_each(|value| body.extend_from_slice(&value.to_le_bytes()));
    }
    stage::command(STMT_EXECUTE, &body)
}

/// The number in a row.
fn number(row: &[u8]) -> i64 {
    match row.split_first() {
        Some((0, binary)) => i64::from_le_bytes(binary[1..9].try_into().expect("a number")),
        Some((_, text)) => String::from_utf8_lossy(text).parse().expect("a number"),
        None => 0,
    }
}

/// Reads a whole answer.
fn reply(answer: &[u8], prepares: bool, capabilities: Capabilities) -> Reply {
    let mut packets = Vec::new();
    let mut rest = answer;
    while let Some((header, payload)) = packet::first(rest) {
        packets.push(payload);
        rest = &rest[header.total()..];
    }
    let failed = packets.iter().find(|payload| payload.first() == Some(&0xff));
    if let Some(error) = failed.and_then(|payload| Error::parse(payload).ok()) {
        let (state, text) = (String::from_utf8_lossy(&error.state), String::from_utf8_lossy(error.message));
        return Reply::Error { code: error.code, state: state.into_owned(), text: text.into_owned() };
    }
    match packets[0] {
        [0, a, b, c, d, ..] if prepares => Reply::Prepared(u32::from_le_bytes([*a, *b, *c, *d])),
        [0, ..] => {
            let ok = OkPacket::parse(packets[0]).expect("an OK packet");
            Reply::Done { rows: ok.affected_rows, insert_id: ok.insert_id }
        }
        _ => {
            let first = if capabilities.contains(Capabilities::DEPRECATE_EOF) { 2 } else { 3 };
            let rows = &packets[first..packets.len() - 1];
            Reply::Numbers(rows.iter().map(|row| number(row)).collect())
        }
    }
}
