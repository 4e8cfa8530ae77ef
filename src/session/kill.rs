//! KILL by the ids that clients see: those of this proxy's sessions, translated to the node's id of the connection at work.
//!
//! The killer's own connection to that node runs the KILL, so the node decides whether he may. An id that is no session's is
//! passed on as it is.

use crate::cluster::view::NodeId;
use crate::sql::statement::{Class, Traits, Verdict};
use crate::wire::command::{Command, QUERY};
use crate::wire::packet::{self, HEADER};

use super::desk::{Action, Desk, Found};
use super::machine::Machine;
use super::work::{After, Stage, Target, Work};

const KILL: Verdict = Verdict { class: Class::Kill, traits: Traits::empty(), why: "KILL" };

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
        let Some(order) = order else {
            self.work = Some(work);
            return self.advance(None, desk);
        };
        work.stage = Stage::Finding;
        work.after = After::Kill { id: order.id, ends: !order.query };
        self.work = Some(work);
        desk.act(Action::FindSession(order.id));
    }

    /// Word of the session that a KILL is for.
    pub fn on_found(&mut self, found: Found, desk: &mut Desk) {
        let Some(work) = self.work.as_mut().filter(|work| work.stage == Stage::Finding) else { return };
        work.stage = Stage::Waiting;
        match found {
            Found::Nobody => work.after = After::Statement(KILL),
            Found::Nowhere => {
                self.finish(desk);
                return self.answer_ok(desk);
            }
            Found::At { node, thread } => aim(work, node, thread),
        }
        self.advance(None, desk);
    }
}

/// Sends the KILL to this node, for this connection of its own.
fn aim(work: &mut Work, node: NodeId, thread: u32) {
    let Some(order) = order(&work.packet) else { return };
    let how = if order.soft { "SOFT " } else { "" };
    let what = if order.query { "QUERY" } else { "CONNECTION" };
    work.packet.clear();
    packet::put(&mut work.packet, 0, |out| {
        out.push(QUERY);
        out.extend_from_slice(format!("KILL {how}{what} {thread}").as_bytes());
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Order> {
        let mut out = Vec::new();
        packet::put(&mut out, 0, |out| {
            out.push(QUERY);
            out.extend_from_slice(text.as_bytes());
        });
        order(&out)
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
