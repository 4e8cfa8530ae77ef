//! KILL by the ids that clients see, translated to the node's id of the connection at work.
//!
//! A client sees its session's id in the greeting, and nodes' ids in CONNECTION_ID() and SHOW PROCESSLIST. By a node's id the
//! session is meant that has the connection; if nodes gave the same id to connections of several sessions, nobody is killed. The
//! killer's own connection to the node at work runs the KILL, so the node decides whether he may; the proxy does where the session
//! has lent all its connections. An id that no session has is passed on as it is, and so is KILL USER, once the sessions of that
//! user know of it.

use crate::auth::account::Account;
use crate::cluster::view::NodeId;
use crate::fault::Fault;
use crate::sql::statement::{Class, Traits, Verdict};
use crate::wire::command::{self, Command, QUERY};
use crate::wire::packet::HEADER;

use super::desk::{Action, Desk, Found, Holder, Slot, Sought};
use super::machine::Machine;
use super::work::{After, Stage, Target, Work};

/// Session ids start here, far above the connection ids of nodes: a KILL of one must not hit the other.
pub(super) const FIRST_ID: u32 = 1 << 30;

const KILL: Verdict = Verdict { class: Class::Kill, traits: Traits::empty(), why: "KILL" };

/// What a session knows of a KILL that may end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sentence {
    None,
    /// Its user's sessions are to end: if it loses a connection before another command has succeeded, that is why.
    OfUser,
    /// It is to end itself, and will hear whether it does. Until then it begins nothing: the node that is told of the KILL is the one
    /// that it was seen at, and nobody would end what another one begins to run.
    Own,
}

/// What a KILL asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    id: u32,
    soft: bool,
    query: bool,
}

impl Machine {
    /// COM_QUERY with KILL, or COM_PROCESS_KILL.
    pub(super) fn kill(&mut self, packet: &[u8], desk: &mut Desk) {
        let order = order(packet);
        let command = Command::from_byte(packet[HEADER]);
        let mut work = Work::new(command, Target::Writer, After::Statement(KILL), desk.now_us);
        work.packet = desk.spare();
        work.packet.extend_from_slice(packet);
        work.stage = Stage::Finding;
        let Some(order) = order else {
            if let Some(user) = user(packet) {
                // Once they all know, the node may close their connections.
                desk.act(Action::FindSessions(Sought::User(user.into())));
            } else {
                work.stage = Stage::Waiting;
            }
            self.work = Some(work);
            return self.advance(None, desk);
        };
        let (id, ends) = (order.id, !order.query);
        if id < FIRST_ID {
            work.after = After::KillThread { thread: id, ends };
            desk.act(Action::FindSessions(Sought::Thread(id)));
        } else {
            work.after = After::Kill { id, ends };
            desk.act(Action::FindSession { id, ends });
        }
        self.work = Some(work);
    }

    /// Word of the session that a KILL is for.
    pub fn on_found(&mut self, found: Found, desk: &mut Desk) {
        let Some(work) = self.work.as_mut().filter(|work| work.stage == Stage::Finding) else { return };
        match (found, work.after) {
            (Found::Nowhere(user), After::Kill { id, ends }) => {
                self.finish(desk);
                return self.kill_nowhere(&user, id, ends, desk);
            }
            (Found::At { node, thread }, _) => aim(work, node, thread),
            (Found::Held(holders), After::KillThread { thread, ends }) => match holders[..] {
                [] => {
                    work.after = After::Statement(KILL);
                    // Where the client may have seen it.
                    work.target = Target::Home;
                }
                [Holder { session: id, .. }] => {
                    work.after = After::Kill { id, ends };
                    return desk.act(Action::FindSession { id, ends });
                }
                _ => {
                    self.finish(desk);
                    let fault = ambiguous(thread, holders, desk);
                    return self.answer_ready(fault, desk);
                }
            },
            (Found::Nobody | Found::Nowhere(_) | Found::Held(_), _) => work.after = After::Statement(KILL),
        }
        work.stage = Stage::Waiting;
        self.advance(None, desk);
    }

    /// KILL of a session that no node knows of: the proxy decides as a server does (`kill_one_thread` in sql/sql_parse.cc).
    fn kill_nowhere(&mut self, user: &[u8], id: u32, ends: bool, desk: &mut Desk) {
        let account = desk.accounts.lookup(&self.client.user, self.client.address);
        if *self.client.user != *user && !account.is_some_and(Account::may_kill_others) {
            let text = format!("You are not owner of thread {id}");
            return self.answer_ready(Fault::client(1095, b"HY000", text), desk);
        }
        if id == self.id && ends {
            return self.hang_up(desk);
        }
        if ends {
            desk.act(Action::EndSession(id));
        }
        self.answer_ok(desk);
    }

    /// A KILL looks for this session. If it is to end, and then loses a node connection, it ends as its client expects.
    pub fn sought(&mut self, ends: bool) -> Found {
        if ends {
            self.sentence = Sentence::Own;
        }
        if let Some(work) = &mut self.work {
            work.killed = true;
        }
        self.whereabouts()
    }

    /// The KILL that looked for this session came to nothing.
    pub fn on_spared(&mut self, desk: &mut Desk) {
        self.sentence = Sentence::None;
        self.advance(None, desk);
    }

    /// Whether the command under way has to wait until it is known whether the session ends. A KILL of its own need not.
    pub(super) fn is_withheld(&self) -> bool {
        let kills = self.work.as_ref().is_some_and(|work| matches!(work.after, After::Kill { .. }));
        self.sentence == Sentence::Own && !kills
    }

    /// A KILL looks for sessions. This one tells whether it has the node connection in question. If its user is to be killed, the
    /// node decides which connections that concerns: it is enough to expect the loss of one until another command has succeeded.
    pub fn on_sought(&mut self, sought: &Sought) -> Option<Holder> {
        match sought {
            Sought::Thread(thread) => {
                let conn = self.conns.iter().find(|conn| conn.is_ready() && conn.kept.thread == *thread)?;
                if let Some(work) = &mut self.work {
                    work.killed = true;
                }
                Some(Holder { session: self.id, node: conn.node })
            }
            Sought::User(user) => {
                if *self.client.user == **user && self.sentence == Sentence::None {
                    self.sentence = Sentence::OfUser;
                }
                None
            }
        }
    }

    /// Where it is running a statement, or else where it has a connection.
    fn whereabouts(&self) -> Found {
        let running = self.work.as_ref().and_then(|work| work.slot);
        let open = |slot: &Slot| self.conns.get(usize::from(*slot)).filter(|conn| conn.is_ready());
        let conn = running.as_ref().and_then(open).or_else(|| self.conns.iter().find(|conn| conn.is_ready()));
        conn.map_or_else(
            || Found::Nowhere(self.client.user.clone()),
            |conn| Found::At { node: conn.node, thread: conn.kept.thread },
        )
    }
}

/// Which of them is meant can't be known; by their own ids it can.
fn ambiguous(thread: u32, mut holders: Vec<Holder>, desk: &Desk) -> Fault {
    holders.sort_unstable();
    let names: Vec<_> =
        holders.iter().map(|holder| format!("{} (node {})", holder.session, desk.name(holder.node))).collect();
    let text = format!(
        "Unknown thread id: {thread}; several sessions have a node connection of this id, give the id of the one meant: {}",
        names.join(", ")
    );
    Fault::client(1094, b"HY000", text)
}

/// Sends the KILL to this node, for this connection of its own.
fn aim(work: &mut Work, node: NodeId, thread: u32) {
    let Some(order) = order(&work.packet) else { return };
    let how = if order.soft { "SOFT " } else { "" };
    let what = if order.query { "QUERY" } else { "CONNECTION" };
    work.packet.clear();
    command::put(&mut work.packet, QUERY, format!("KILL {how}{what} {thread}").as_bytes());
    work.command = Command::Query;
    work.shape = Command::Query.shape();
    work.target = Target::Node(node);
}

/// Reads `KILL [HARD|SOFT] [CONNECTION|QUERY] id`. None for anything else, such as KILL USER or KILL QUERY ID.
fn order(packet: &[u8]) -> Option<Order> {
    let payload = packet.get(HEADER..)?;
    if Command::from_byte(*payload.first()?) == Command::ProcessKill {
        let id = payload.get(1..5)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))?;
        return Some(Order { id, soft: false, query: false });
    }
    let text = std::str::from_utf8(&payload[1..]).ok()?;
    let text = text.trim().trim_end_matches(';');
    let mut words = text.split_ascii_whitespace().peekable();
    words.next().filter(|word| word.eq_ignore_ascii_case("kill"))?;
    let soft = words.next_if(|word| word.eq_ignore_ascii_case("soft")).is_some();
    if !soft {
        words.next_if(|word| word.eq_ignore_ascii_case("hard"));
    }
    let query = words.next_if(|word| word.eq_ignore_ascii_case("query")).is_some();
    if !query {
        words.next_if(|word| word.eq_ignore_ascii_case("connection"));
    }
    let id = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Order { id, soft, query })
}

/// Reads the name of `KILL [HARD|SOFT] [CONNECTION] USER name`, with or without quotes and host.
fn user(packet: &[u8]) -> Option<Vec<u8>> {
    let mut text = packet.get(HEADER + 1..)?.trim_ascii();
    let mut word = |expected: &[u8]| {
        let (word, rest) = text.split_at_checked(expected.len())?;
        let ends = rest.first().is_some_and(u8::is_ascii_whitespace);
        (ends && word.eq_ignore_ascii_case(expected)).then(|| text = rest.trim_ascii_start())
    };
    word(b"KILL")?;
    let _ = word(b"HARD").or_else(|| word(b"SOFT"));
    let _ = word(b"CONNECTION");
    word(b"USER")?;
    let (&quote, quoted) = text.split_first()?;
    let name = match quote {
        b'\'' | b'"' | b'`' => quoted.split(|byte| *byte == quote).next()?,
        _ => text.split(|byte| matches!(byte, b'@' | b';') || byte.is_ascii_whitespace()).next()?,
    };
    Some(name.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        command::put(&mut out, QUERY, text.as_bytes());
        out
    }

    fn of(text: &str) -> Option<Order> {
        order(&query(text))
    }

    #[test]
    fn users() {
        let of = |text: &str| user(&query(text)).map(|name| String::from_utf8_lossy(&name).into_owned());
        for text in ["KILL USER joe", "kill hard connection user joe@localhost;", "KILL SOFT USER `joe` @ '%'"] {
            assert_eq!(of(text).as_deref(), Some("joe"), "{text}");
        }
        assert_eq!(of("KILL USER 'a b'@'%'").as_deref(), Some("a b"));
        for text in ["KILL QUERY USER joe", "KILL 7", "KILL USER", "KILL users joe", ""] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn orders() {
        assert_eq!(of("KILL 7"), Some(Order { id: 7, soft: false, query: false }));
        assert_eq!(of("kill query 7;"), Some(Order { id: 7, soft: false, query: true }));
        assert_eq!(of(" KILL SOFT CONNECTION 7 "), Some(Order { id: 7, soft: true, query: false }));
        assert_eq!(of("KILL HARD QUERY 7"), Some(Order { id: 7, soft: false, query: true }));
        assert_eq!(of("KILL QUERY ID 7"), None);
        assert_eq!(of("KILL USER joe"), None);
        assert_eq!(of("KILL 1+1"), None);
        assert_eq!(order(b"\x05\0\0\0\x0c\x07\0\0\0"), Some(Order { id: 7, soft: false, query: false }));
    }
}
