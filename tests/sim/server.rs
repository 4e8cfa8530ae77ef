//! What a modelled node says on one connection: the wire protocol, as far as the simulator's clients and the sessions use it.

use oarlock::fault::Fault;
use oarlock::wire::capability::{Capabilities, Status};
use oarlock::wire::command::Command;
use oarlock::wire::cursor::{put_lenenc, put_lenenc_bytes};
use oarlock::wire::err;
use oarlock::wire::handshake::Response;
use oarlock::wire::packet::{self, HEADER};

use crate::cluster::{Answer, Conn, DEADLOCK};
use crate::logins;
use crate::statement::{self, Statement};

/// What the next command of a connection asks for.
pub enum Order {
    /// The login, into the schema of this number.
    Open(i64),
    Run(Option<Statement>, String),
    /// A statement is to be prepared, if the node does that now.
    Prepare(String),
    /// Nothing of the store: this is the answer.
    Reply(Vec<u8>),
    Reset,
    Nothing,
}

/// One connection as its node has it.
pub struct Server {
    capabilities: Option<Capabilities>,
    inbox: Vec<u8>,
    /// The other side has closed behind what is in the inbox.
    pub ended: bool,
    /// A command is under way.
    pub busy: bool,
    greeted: bool,
    /// The answer under way is to an execute.
    binary: bool,
    /// By their ids, which begin with 1. None: closed.
    prepared: Vec<Option<Prepared>>,
    /// The one that was executed last.
    executed: usize,
    /// A text that has asked for a file, and what has come of that.
    loading: Option<(String, Vec<u8>)>,
    /// The number of the next answer's first packet.
    sequence: u8,
}

/// A prepared statement.
struct Prepared {
    text: String,
    parameters: usize,
    /// It was told the types of its parameters.
    typed: bool,
    /// Long data for its first parameter.
    data: Vec<u8>,
}

impl Server {
    pub fn new() -> Self {
        Self {
            capabilities: None,
            inbox: Vec::new(),
            ended: false,
            busy: false,
            greeted: false,
            binary: false,
            prepared: Vec::new(),
            executed: 0,
            loading: None,
            sequence: 1,
        }
    }

    /// The greeting, if it has not been sent yet.
    pub fn greeting(&mut self, conn: Conn) -> Option<Vec<u8>> {
        let first = !std::mem::replace(&mut self.greeted, true);
        first.then(|| logins::greeting(conn, Capabilities::SUPPORTED))
    }

    pub fn hear(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
    }

    /// The next command, if all of it is there.
    pub fn take(&mut self) -> Option<Order> {
        let (header, payload) = packet::first(&self.inbox)?;
        let (total, header_sequence, payload) = (header.total(), header.sequence, payload.to_vec());
        self.inbox.drain(..total);
        if self.capabilities.is_none() {
            let response = Response::parse(&payload).unwrap();
            self.capabilities = Some(response.capabilities);
            return Some(Order::Open(response.schema.map_or(0, number)));
        }
        if let Some((text, mut file)) = self.loading.take() {
            self.sequence = header_sequence.wrapping_add(1);
            if payload.is_empty() {
                let id = String::from_utf8(file).unwrap().trim().parse().unwrap();
                return Some(Order::Run(Some(Statement::Note { id }), text));
            }
            file.extend_from_slice(&payload);
            self.loading = Some((text, file));
            return Some(Order::Nothing);
        }
        (self.binary, self.sequence) = (false, 1);
        let (byte, rest) = payload.split_first().unwrap();
        Some(match Command::from_byte(*byte) {
            Command::Query => {
                let text = String::from_utf8(rest.to_vec()).unwrap();
                if text.starts_with("LOAD") {
                    self.loading = Some((text, Vec::new()));
                    let mut request = Vec::new();
                    packet::put(&mut request, 1, |out| out.extend_from_slice(b"\xfba file"));
                    return Some(Order::Reply(request));
                }
                Order::Run(Statement::parse(&text, &[]), text)
            }
            Command::StmtPrepare => Order::Prepare(String::from_utf8(rest.to_vec()).unwrap()),
            Command::StmtSendLongData => {
                let (id, data) = rest.split_at(6);
                let id = u32::from_le_bytes(id[..4].try_into().unwrap());
                if let Some(statement) = self.statement(id) {
                    statement.data.extend_from_slice(data);
                }
                Order::Nothing
            }
            Command::StmtClose => {
                let id = u32::from_le_bytes(rest.try_into().unwrap());
                // The session must know what a connection has.
                assert!(self.statement(id).is_some(), "statement {id} is closed that is not there");
                self.prepared[id as usize - 1] = None;
                Order::Nothing
            }
            Command::StmtExecute => {
                self.binary = true;
                self.execute(rest)
            }
            Command::ResetConnection => {
                self.prepared.clear();
                Order::Reset
            }
            Command::Quit => Order::Nothing,
            Command::InitDb => Order::Run(Some(Statement::Use(number(rest))), "a schema".to_owned()),
            other => panic!("nobody says {other:?} here"),
        })
    }

    fn statement(&mut self, id: u32) -> Option<&mut Prepared> {
        self.prepared.get_mut((id as usize).wrapping_sub(1))?.as_mut()
    }

    /// Prepares a statement: the answer.
    pub fn prepare(&mut self, text: String) -> Vec<u8> {
        let parameters = text.matches('?').count();
        let reads = Statement::parse(&text, &vec![0; parameters]).is_some_and(|statement| statement.reads());
        self.prepared.push(Some(Prepared { text, parameters, typed: false, data: Vec::new() }));
        let (id, columns) = (self.prepared.len() as u32, usize::from(reads));
        let mut out = Vec::new();
        let mut next = packet::put(&mut out, 1, |out| {
            out.push(0);
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&[columns as u8, 0, parameters as u8, 0, 0, 0, 0]);
        });
        for definitions in [parameters, columns] {
            next = self.definitions(next, definitions, &mut out);
        }
        out
    }

    /// Definitions of columns or parameters, and what ends them.
    fn definitions(&self, first: u8, count: usize, out: &mut Vec<u8>) -> u8 {
        let mut next = first;
        for _ in 0..count {
            next = packet::put(out, next, |out| out.extend_from_slice(b"a definition"));
        }
        if count > 0 && !self.has(Capabilities::DEPRECATE_EOF) {
            next = packet::put(out, next, |out| out.extend_from_slice(&[0xfe, 0, 0, 2, 0]));
        }
        next
    }

    /// Values are numbers of eight bytes, and none is NULL.
    fn execute(&mut self, rest: &[u8]) -> Order {
        let id = u32::from_le_bytes(rest[..4].try_into().unwrap());
        self.executed = id as usize;
        let Some(statement) = self.statement(id) else {
            return Order::Reply(error(1, 1243, b"HY000", "Unknown prepared statement handler"));
        };
        let mut values = Vec::new();
        if statement.parameters > 0 {
            let flag = 9 + statement.parameters.div_ceil(8);
            statement.typed |= rest[flag] == 1;
            if !statement.typed {
                return Order::Reply(error(1, 1210, b"HY000", "Incorrect arguments to mysqld_stmt_execute"));
            }
            let types = if rest[flag] == 1 { 2 * statement.parameters } else { 0 };
            let data = [&statement.data, &rest[flag + 1 + types..]].concat();
            values = data.chunks_exact(8).map(|value| i64::from_le_bytes(value.try_into().unwrap())).collect();
            if values.len() != statement.parameters {
                return Order::Reply(error(1, 1210, b"HY000", "Incorrect arguments to mysqld_stmt_execute"));
            }
        }
        let text = &statement.text;
        let filled = values.iter().fold(text.clone(), |text, value| text.replacen('?', &value.to_string(), 1));
        Order::Run(Statement::parse(text, &values), filled)
    }

    /// The bytes of an answer. `status` is that of the connection: autocommit, in a transaction, told of GTIDs.
    pub fn answer(&mut self, answer: &Answer, (autocommit, in_transaction, told): (bool, bool, bool)) -> Vec<u8> {
        if self.binary && !matches!(answer, Answer::Error(..)) {
            // Who is refused may not have come so far that its long data was used.
            let executed = self.executed as u32;
            self.statement(executed).into_iter().for_each(|statement| statement.data.clear());
        }
        let mut status = Status::empty();
        status.set(Status::AUTOCOMMIT, autocommit);
        status.set(Status::IN_TRANS, in_transaction);
        match answer {
            Answer::Error(code, state, text) => error(self.sequence, *code, state, text),
            Answer::Done { rows, insert_id, sequence } => {
                let gtid = sequence.filter(|_| told).map(|sequence| format!("70-7000-{sequence}"));
                done(self.sequence, *rows, *insert_id, status, &gtid.map(|gtid| tracked(&gtid)).unwrap_or_default())
            }
            Answer::Row(row) => self.result_set(row.as_ref().map_or(1, Vec::len), row.as_slice(), status),
            Answer::Rows(values) => {
                let rows: Vec<Vec<i64>> = values.iter().map(|value| vec![*value]).collect();
                self.result_set(1, &rows, status)
            }
            Answer::Cut(values) => {
                let rows: Vec<Vec<i64>> = values.iter().map(|value| vec![*value]).collect();
                let (mut out, next) = self.rows(1, &rows);
                let Answer::Error(code, state, text) = DEADLOCK else { return out };
                out.extend(error(next, code, state, text));
                out
            }
        }
    }

    /// The answer to a login.
    pub fn welcome(&self) -> Vec<u8> {
        done(2, 0, 0, Status::AUTOCOMMIT, &[])
    }

    /// A result without its end, and which place that has.
    fn rows(&self, columns: usize, rows: &[Vec<i64>]) -> (Vec<u8>, u8) {
        let mut out = Vec::new();
        let next = packet::put(&mut out, 1, |out| out.push(columns as u8));
        let mut next = self.definitions(next, columns, &mut out);
        for row in rows {
            next = packet::put(&mut out, next, |out| {
                if self.binary {
                    out.push(0);
                    out.resize(out.len() + (columns + 2).div_ceil(8), 0);
                    row.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
                } else {
                    row.iter().for_each(|value| put_lenenc_bytes(out, value.to_string().as_bytes()));
                }
            });
        }
        (out, next)
    }

    fn result_set(&self, columns: usize, rows: &[Vec<i64>], status: Status) -> Vec<u8> {
        let (mut out, next) = self.rows(columns, rows);
        if self.has(Capabilities::DEPRECATE_EOF) {
            let end = done(next, 0, 0, status, &[]);
            out.extend_from_slice(&end[..HEADER]);
            out.push(0xfe);
            out.extend_from_slice(&end[HEADER + 1..]);
        } else {
            packet::put(&mut out, next, |out| {
                out.extend_from_slice(&[0xfe, 0, 0]);
                out.extend_from_slice(&status.bits().to_le_bytes());
            });
        }
        out
    }

    fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.is_some_and(|capabilities| capabilities.contains(capability))
    }
}

/// The number of a schema.
fn number(name: &[u8]) -> i64 {
    statement::schema(&String::from_utf8_lossy(name))
}

/// An OK packet.
fn done(sequence: u8, rows: u64, insert_id: u64, status: Status, tracking: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, sequence, |out| {
        let status = if tracking.is_empty() { status } else { status | Status::SESSION_STATE_CHANGED };
        out.push(0);
        put_lenenc(out, rows);
        put_lenenc(out, insert_id);
        out.extend_from_slice(&status.bits().to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        if !tracking.is_empty() {
            put_lenenc_bytes(out, b"");
            put_lenenc_bytes(out, tracking);
        }
    });
    out
}

/// Tracking data that names the last GTID.
fn tracked(gtid: &str) -> Vec<u8> {
    let mut variable = Vec::new();
    put_lenenc_bytes(&mut variable, b"last_gtid");
    put_lenenc_bytes(&mut variable, gtid.as_bytes());
    let mut tracking = vec![0];
    put_lenenc_bytes(&mut tracking, &variable);
    tracking
}

fn error(sequence: u8, code: u16, state: &[u8; 5], text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    err::put(&mut out, sequence, &Fault::client(code, state, text));
    out
}
