//! What a session has become: effects to repeat on new node connections, and what ties it to one of them (pure).
//!
//! The server's word counts: transaction state and autocommit come from status flags. Texts only tell what to repeat and what can't be.

use std::collections::BTreeSet;

use bitflags::bitflags;

use crate::fault::Fault;
use crate::routing::split::Facts;
use crate::sql::effect::{self, Lexing, Nature};
use crate::sql::statement::{Class, LexMode, Traits, Verdict};
use crate::wire::capability::Status;
use crate::wire::command::{self, QUERY};
use crate::wire::packet::HEADER;

use super::desk::Slot;
use super::tracking::Written;
use super::upcoming::Upcoming;

bitflags! {
    /// What lives on one node connection and can't be had on another.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Pins: u8 {
        const TEMPORARY_TABLES = 1;
        const TABLE_LOCKS = 1 << 1;
        const XA = 1 << 2;
        /// Session settings that can't be repeated.
        const SETTINGS = 1 << 3;
        /// Only what reads user variables must follow.
        const VARIABLES = 1 << 4;
        /// Nothing must follow, but the locks are lost with the connection.
        const USER_LOCKS = 1 << 5;
    }
}

/// User variables that stored code may have set, as the node has told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Left {
    #[default]
    Nothing,
    /// Whatever reads user variables must read them here.
    At(Slot),
    /// Where they were is gone: whatever would read user variables must not.
    Gone,
}

/// These keep every statement of the session where they are.
const FOLLOWED: Pins = Pins::TEMPORARY_TABLES.union(Pins::TABLE_LOCKS).union(Pins::XA).union(Pins::SETTINGS);

/// The key of the current schema (as `sql::effect` has it for USE).
pub(super) const SCHEMA: &[u8] = b"schema";

/// The key of LAST_INSERT_ID().
const INSERT_ID: &[u8] = b"@@last_insert_id";

/// The key of COM_SET_OPTION.
pub(super) const OPTION: &[u8] = b"option";

/// A session command that new node connections get.
struct Effect {
    version: u64,
    keys: BTreeSet<Box<[u8]>>,
    constant: bool,
    /// A text that was prepared: what it does.
    runs: Option<Verdict>,
    /// The whole command, header included.
    packet: Box<[u8]>,
}

impl Effect {
    fn new(keys: BTreeSet<Box<[u8]>>, constant: bool, packet: &[u8]) -> Self {
        Self { version: 0, keys, constant, runs: None, packet: packet.into() }
    }
}

/// The state of a session.
#[derive(Default)]
pub(super) struct SessionState {
    pub(super) status: Status,
    /// The node connection of the open transaction.
    pub(super) transaction: Option<Slot>,
    /// A statement that may have committed the open transaction has failed, and the server has not told since.
    pub(super) transaction_doubtful: bool,
    /// A transaction, or long data, was lost with its node while the client was not looking: what it is told.
    pub(super) transaction_lost: Option<Box<Fault>>,
    /// SET TRANSACTION, which waits for its transaction.
    pub(super) upcoming: Upcoming,
    /// The node connection of the previous statement.
    pub(super) previous: Option<Slot>,
    /// It had warnings, or failed.
    pub(super) previous_warned: bool,
    /// That connection is gone.
    pub(super) previous_gone: bool,
    /// The session asks for FOUND_ROWS() or ROW_COUNT().
    pub(super) asks_row_counts: bool,
    /// The node connection that knows LAST_INSERT_ID(); where none does, an effect has it, or it is 0.
    pub(super) insert_id_at: Option<Slot>,
    pub(super) pins: Pins,
    pub(super) pinned: Option<Slot>,
    pub(super) left: Left,
    pub(super) mode: LexMode,
    pub(super) written: Written,
    /// The version of the effect by which the client last said what it wants to be told of.
    pub(super) relisted: u64,
    /// Effects up to this version may be needed as they are: a transaction that began after them may have to run again.
    pub(super) floor: Option<u64>,
    effects: Vec<Effect>,
    effect_bytes: usize,
    version: u64,
}

impl SessionState {
    /// Bytes that it keeps besides itself.
    pub(super) fn memory(&self) -> usize {
        self.upcoming.memory() + self.effect_bytes + self.effects.capacity() * size_of::<Effect>()
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            in_transaction: self.transaction.is_some(),
            autocommit_off: !self.autocommits(),
            next_transaction_set: self.upcoming.is_set(),
            pinned: self.pins.intersects(FOLLOWED),
            variables_pinned: self.pins.contains(Pins::VARIABLES) || self.left != Left::Nothing,
        }
    }

    /// Whether a statement by itself is a transaction of its own.
    pub(super) fn autocommits(&self) -> bool {
        self.status.contains(Status::AUTOCOMMIT)
    }

    /// The status that a client sees in an answer of the proxy's own.
    pub(super) fn own_status(&self) -> Status {
        self.status & (Status::IN_TRANS | Status::AUTOCOMMIT | Status::NO_BACKSLASH_ESCAPES | Status::IN_TRANS_READONLY)
    }

    /// The version of the session's effects.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The effects that a node connection lacks that was sent those up to version `sent`, in order, as commands.
    pub(super) fn since(&self, sent: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let start = self.effects.partition_point(|effect| effect.version <= sent);
        self.effects[start..].iter().map(|effect| (effect.version, &*effect.packet))
    }

    /// A node has answered with this status on this connection.
    pub(super) fn observe(&mut self, status: Status, slot: Slot) {
        self.status = status;
        self.mode.no_backslash_escapes = status.contains(Status::NO_BACKSLASH_ESCAPES);
        self.transaction = status.contains(Status::IN_TRANS).then_some(slot);
        self.transaction_doubtful = false;
    }

    /// A statement has succeeded on this connection.
    pub(super) fn ran(&mut self, verdict: Verdict, slot: Slot) {
        let traits = verdict.traits;
        if !matches!(verdict.class, Class::Session | Class::Diagnostics | Class::SetTransaction) {
            self.upcoming = Upcoming::default();
        }
        if traits.is_empty() {
            return;
        }
        let table = [
            (Traits::TEMPORARY_TABLE, Pins::TEMPORARY_TABLES),
            (Traits::TABLE_LOCK, Pins::TABLE_LOCKS),
            (Traits::XA_START, Pins::XA),
            (Traits::UNREPEATABLE, Pins::SETTINGS),
            (Traits::TAINTS_VARIABLES, Pins::VARIABLES),
            (Traits::USER_LOCK, Pins::USER_LOCKS),
        ];
        for (_, pin) in table.iter().filter(|(trait_, _)| traits.contains(*trait_)) {
            self.pin(*pin, slot);
        }
        if traits.contains(Traits::TABLE_UNLOCK) && !traits.contains(Traits::TABLE_LOCK) {
            self.unpin(Pins::TABLE_LOCKS);
        }
        if traits.contains(Traits::XA_END) {
            self.unpin(Pins::XA);
        }
    }

    pub(super) fn pin(&mut self, pin: Pins, slot: Slot) {
        self.pins |= pin;
        self.pinned.get_or_insert(slot);
    }

    /// Stored code may have set user variables on this connection. What it has set on another one can't be had there.
    pub(super) fn leave_variables(&mut self, slot: Slot) {
        self.left = match self.left {
            Left::Nothing => Left::At(slot),
            Left::At(before) if before == slot => Left::At(slot),
            Left::At(_) | Left::Gone => Left::Gone,
        };
    }

    /// Where user variables are read that can't be repeated.
    pub(super) fn variables_at(&self) -> Option<Slot> {
        match self.left {
            Left::At(slot) if !self.pins.intersects(FOLLOWED | Pins::VARIABLES) => Some(slot),
            _ => self.pinned,
        }
    }

    /// Whether the session has something on this connection that no other one has, for more than a transaction.
    pub(super) fn needs(&self, slot: Slot) -> bool {
        self.pinned == Some(slot) || self.left == Left::At(slot)
    }

    fn unpin(&mut self, pin: Pins) {
        self.pins -= pin;
        if self.pins.is_empty() {
            self.pinned = None;
        }
    }

    /// A session command has taken force on this connection: keeps it for the others. Returns the schema it went to, if it did.
    pub(super) fn changed(&mut self, packet: &[u8], slot: Slot, bytes_max: usize) -> Option<Box<[u8]>> {
        let text = packet.get(HEADER + 1..).unwrap_or_default();
        let change = effect::change(text, self.mode);
        match change.lexing {
            Lexing::Is(mode) => self.mode = mode,
            Lexing::Default => self.mode = LexMode::default(),
            // The server tells of backslashes in each status; quotes are taken as before.
            Lexing::Same | Lexing::Unknown => {}
        }
        if self.written.changed(&change, text) {
            self.relisted = self.version + 1;
        }
        if change.nature == Nature::Volatile {
            self.pin(Pins::SETTINGS, slot);
            return change.schema;
        }
        if change.ends {
            self.forget_keys(&change.keys);
            return change.schema;
        }
        let kept = Effect::new(change.keys, change.nature == Nature::Constant, packet);
        self.keep(Effect { runs: change.runs, ..kept }, slot, bytes_max);
        change.schema
    }

    /// This command has said on this connection how the next transaction is to be.
    pub(super) fn announce(&mut self, command: Vec<u8>, slot: Slot, bytes_max: usize) {
        self.upcoming.add(command, slot);
        if self.upcoming.memory() > bytes_max {
            self.pin(Pins::SETTINGS, slot);
        }
    }

    /// Keeps a command that sets `key` and nothing else.
    pub(super) fn changed_key(&mut self, key: &[u8], packet: &[u8], slot: Slot, bytes_max: usize) {
        self.keep(Effect::new([key.into()].into(), true, packet), slot, bytes_max);
    }

    fn keep(&mut self, effect: Effect, slot: Slot, bytes_max: usize) {
        self.version += 1;
        if self.pins.contains(Pins::SETTINGS) && self.pinned == Some(slot) {
            // It lives and ends here: nothing will be repeated.
            self.effects.clear();
            self.effect_bytes = 0;
            return;
        }
        if effect.constant {
            self.drop_overwritten(&effect.keys);
        }
        self.effect_bytes += effect.packet.len();
        self.effects.push(Effect { version: self.version, ..effect });
        if self.effect_bytes > bytes_max {
            // Too much to repeat elsewhere: from now on the session lives where it is.
            self.pin(Pins::SETTINGS, slot);
        }
    }

    /// What these keys name is gone: nobody needs it any more.
    fn forget_keys(&mut self, keys: &BTreeSet<Box<[u8]>>) {
        let gone = |effect: &Effect| effect.keys.is_subset(keys);
        self.effect_bytes -=
            self.effects.iter().filter(|effect| gone(effect)).map(|effect| effect.packet.len()).sum::<usize>();
        self.effects.retain(|effect| !gone(effect));
    }

    /// A verdict on a text that the session says, which may run one that it has prepared. Stored code prepares under any name.
    pub(super) fn judge(&self, verdict: Verdict, text: &[u8]) -> Verdict {
        let runs = |key: &[u8]| {
            let mut named = self.effects.iter().rev().filter(|effect| effect.keys.contains(key));
            named.next().filter(|_| self.pins.is_empty())?.runs
        };
        effect::judge(verdict, text, self.mode, runs)
    }

    /// Whether the session has set what this key names.
    pub(super) fn has_effect_on(&self, key: &[u8]) -> bool {
        self.effects.iter().any(|effect| effect.keys.iter().any(|touched| **touched == *key))
    }

    /// Whether a node may refuse this effect and still serve the session: what the effect names is gone there, as it would be by now
    /// where it was made (a dropped schema, a table of a prepared text). A reader may only be behind: that it has no such schema yet
    /// must not leave the session in none.
    pub(super) fn is_bearable(&self, version: u64, by_writer: bool) -> bool {
        let place = self.effects.binary_search_by_key(&version, |effect| effect.version);
        let fades = |key: &[u8]| (key == SCHEMA && by_writer) || key.starts_with(b"prepare:");
        place.map_or(true, |place| self.effects[place].keys.iter().all(|key| fades(key)))
    }

    /// Whether a reset clears all that the session has changed on a connection that was sent effects up to version `sent`, but for
    /// the schema, which is the session's. COM_SET_OPTION stays.
    pub(super) fn is_resettable(&self, sent: u64) -> bool {
        let touches = |effect: &Effect, key: &[u8]| effect.keys.iter().any(|touched| **touched == *key);
        let mut effects = self.effects.iter();
        !effects.any(|effect| touches(effect, OPTION) || (effect.version > sent && touches(effect, SCHEMA)))
    }

    /// The session is as new, but for what it has written, and COM_SET_OPTION.
    pub(super) fn reset(&mut self) {
        let mut effects = std::mem::take(&mut self.effects).into_iter();
        let option = effects.find(|effect| effect.keys.iter().any(|key| **key == *OPTION));
        *self = Self { written: self.written.reset(), ..Self::default() };
        if let Some(Effect { packet, .. }) = option {
            self.changed_key(OPTION, &packet, 0, usize::MAX);
        }
    }

    /// The session is in no schema any more.
    pub(super) fn leave_schema(&mut self) {
        self.forget_keys(&[SCHEMA.into()].into());
    }

    /// Effects that the new one overwrites entirely are gone, unless something kept after them may have read them.
    fn drop_overwritten(&mut self, keys: &BTreeSet<Box<[u8]>>) {
        let start = self.effects.iter().rposition(|effect| !effect.constant).map_or(0, |last| last + 1);
        let floor = self.floor.map_or(0, |floor| self.effects.partition_point(|effect| effect.version <= floor));
        let start = start.max(floor);
        let tail = self.effects.split_off(start);
        for effect in tail {
            if effect.keys.is_subset(keys) {
                self.effect_bytes -= effect.packet.len();
            } else {
                self.effects.push(effect);
            }
        }
    }

    /// The node connection of this slot is gone. True if the session can't go on without it.
    pub(super) fn lost(&mut self, slot: Slot) -> bool {
        self.forget_previous(slot);
        self.upcoming.lost(slot);
        if self.left == Left::At(slot) {
            self.left = Left::Gone;
        }
        if self.insert_id_at == Some(slot) {
            self.insert_id_at = None;
            self.forget_keys(&[INSERT_ID.into()].into());
        }
        self.pinned == Some(slot)
    }

    /// A statement has run on this connection.
    pub(super) fn follow(&mut self, slot: Slot) {
        self.previous = Some(slot);
        self.previous_gone = false;
    }

    /// What the previous statement has left is not on this connection any more.
    pub(super) fn forget_previous(&mut self, slot: Slot) {
        if self.previous == Some(slot) {
            self.previous = None;
            self.previous_gone = true;
        }
    }

    /// The connection of this slot, which knew it, has said what LAST_INSERT_ID() is.
    pub(super) fn keep_insert_id(&mut self, id: u64, slot: Slot, bytes_max: usize) {
        self.insert_id_at = None;
        let mut set = Vec::new();
        command::put(&mut set, QUERY, format!("SET last_insert_id={id}").as_bytes());
        let known = self.effects.iter().any(|effect| *effect.packet == *set);
        if id == 0 {
            self.forget_keys(&[INSERT_ID.into()].into());
        } else if !known {
            self.changed_key(INSERT_ID, &set, slot, bytes_max);
        }
    }

    /// A statement has given this id to a row, and no connection is there that knows it.
    pub(super) fn know_insert_id(&mut self, id: u64, bytes_max: usize) {
        self.insert_id_at = None;
        let mut set = Vec::new();
        command::put(&mut set, QUERY, format!("SET last_insert_id={id}").as_bytes());
        self.changed_key(INSERT_ID, &set, Slot::MAX, bytes_max);
    }

    /// The open transaction is over: its node has gone with it.
    pub(super) fn end_transaction(&mut self) {
        self.transaction = None;
        self.transaction_doubtful = false;
        self.status -= Status::IN_TRANS | Status::IN_TRANS_READONLY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statement::classify;

    fn verdict(class: Class, traits: Traits) -> Verdict {
        Verdict { class, traits, why: "" }
    }

    fn packets(state: &SessionState, applied: u64) -> Vec<&[u8]> {
        state.since(applied).map(|(_, packet)| packet).collect()
    }

    #[test]
    fn a_constant_effect_replaces_older_ones_of_its_keys() {
        let mut state = SessionState::default();
        state.changed_key(b"a", b"a=1", 0, 1000);
        state.changed_key(b"b", b"b=1", 0, 1000);
        state.changed_key(b"a", b"a=2", 0, 1000);
        assert_eq!(packets(&state, 0), [b"b=1", b"a=2"]);
        assert_eq!(packets(&state, 2), [b"a=2"]);
        assert_eq!(state.version(), 3);
    }

    #[test]
    fn variables_that_stored_code_leaves_are_read_where_it_ran_or_missed() {
        let mut state = SessionState::default();
        assert!(!state.facts().variables_pinned);
        state.leave_variables(1);
        state.leave_variables(1);
        assert_eq!((state.facts().variables_pinned, state.variables_at(), state.needs(1)), (true, Some(1), true));
        assert!(!state.facts().pinned && !state.lost(1));
        assert_eq!((state.left, state.variables_at()), (Left::Gone, None));
        state.left = Left::At(0);
        state.leave_variables(1);
        assert_eq!(state.left, Left::Gone);
    }

    #[test]
    fn nothing_before_a_dependent_effect_is_dropped() {
        let mut state = SessionState::default();
        state.changed_key(b"a", b"a=1", 0, 1000);
        state.keep(Effect::new([b"b"[..].into()].into(), false, b"b=a"), 0, 1000);
        state.changed_key(b"a", b"a=2", 0, 1000);
        state.changed_key(b"a", b"a=3", 0, 1000);
        assert_eq!(packets(&state, 0), [b"a=1", b"b=a", b"a=3"]);
    }

    #[test]
    fn a_deallocated_statement_is_not_repeated() {
        let mut state = SessionState::default();
        let query = |text: &str| [b"\0\0\0\0\x03", text.as_bytes()].concat();
        state.changed(&query("PREPARE s FROM 'SELECT 1'"), 0, 1000);
        assert_eq!(packets(&state, 0).len(), 1);
        state.changed(&query("DEALLOCATE PREPARE s"), 0, 1000);
        assert!(packets(&state, 0).is_empty() && state.effect_bytes == 0);
    }

    #[test]
    fn an_execute_is_what_it_runs() {
        let query = |text: &str| [b"\0\0\0\0\x03", text.as_bytes()].concat();
        let mut state = SessionState::default();
        for text in ["INSERT INTO t VALUES (?)", "DROP TABLE t", "COMMIT", "CALL p()"] {
            let name = &text[..4];
            state.changed(&query(&format!("PREPARE `{name}` FROM '{text}'")), 0, 1000);
        }
        let traits = |state: &SessionState, text: &str| {
            state.judge(classify(text.as_bytes(), state.mode), text.as_bytes()).traits
        };
        let (commits, may) = (Traits::IMPLICIT_COMMIT, Traits::MAY_COMMIT);
        for (text, expected) in [
            ("EXECUTE inse USING @a", Traits::empty()),
            ("execute `INSE` USING 5", Traits::empty()),
            ("EXECUTE drop", commits),
            ("EXECUTE `drop`", commits),
            ("EXECUTE comm", may),
            ("EXECUTE `call`", may),
            ("EXECUTE other", may),
            ("CALL inse()", may),
        ] {
            assert_eq!(traits(&state, text) & (commits | may), expected, "{text}");
        }
        state.changed(&query("PREPARE inse FROM 'TRUNCATE t'"), 0, 1000);
        assert!(traits(&state, "EXECUTE inse").contains(commits));
        state.pin(Pins::VARIABLES, 0);
        assert!(traits(&state, "EXECUTE inse").contains(may), "stored code may have prepared another");
    }

    #[test]
    fn what_names_something_gone_may_fail() {
        let mut state = SessionState::default();
        state.changed_key(b"@a", b"a=1", 0, 1000);
        state.changed_key(SCHEMA, b"use s", 0, 1000);
        state.keep(Effect::new([b"prepare:p"[..].into()].into(), false, b"prepare"), 0, 1000);
        assert_eq!([1, 2, 3, 4].map(|version| state.is_bearable(version, true)), [false, true, true, true]);
        assert!(!state.is_bearable(2, false), "a reader may be behind");
        state.leave_schema();
        assert_eq!(packets(&state, 0), [&b"a=1"[..], b"prepare"]);
    }

    #[test]
    fn what_a_reset_does_not_clear() {
        let mut state = SessionState::default();
        state.changed_key(b"@a", b"a=1", 0, 1000);
        assert!(state.is_resettable(0));
        state.changed_key(SCHEMA, b"use s", 0, 1000);
        assert!(!state.is_resettable(1) && state.is_resettable(2), "a connection in another schema");
        state.changed_key(OPTION, b"option", 0, 1000);
        assert!(!state.is_resettable(3));
        state.reset();
        assert_eq!(packets(&state, 0), [b"option"]);
    }

    #[test]
    fn too_much_history_pins() {
        let mut state = SessionState::default();
        state.changed_key(b"a", b"a=1", 3, 4);
        assert!(!state.facts().pinned);
        state.changed_key(b"b", b"b=1", 3, 4);
        assert!(state.facts().pinned && state.lost(3) && !state.lost(2));
    }

    #[test]
    fn a_session_that_stays_where_it_is_keeps_no_history() {
        let mut state = SessionState::default();
        for _ in 0..100 {
            state.keep(Effect::new([b"a"[..].into()].into(), false, b"a=a+1"), 3, 12);
        }
        assert!(state.effect_bytes <= 12 + 5 && state.facts().pinned, "{} bytes", state.effect_bytes);
        assert_eq!((packets(&state, 0).len(), state.version()), (0, 100));
    }

    #[test]
    fn pins_come_and_go() {
        let mut state = SessionState::default();
        state.ran(verdict(Class::Write, Traits::TABLE_LOCK), 1);
        assert!(state.facts().pinned);
        state.ran(verdict(Class::Write, Traits::TABLE_UNLOCK), 1);
        assert!(!state.facts().pinned && !state.lost(1));
        state.ran(verdict(Class::Write, Traits::USER_LOCK), 1);
        assert!(!state.facts().pinned && state.lost(1), "locks are not followed, but not lost silently");
    }

    #[test]
    fn set_transaction_waits_for_the_next_one() {
        let mut state = SessionState::default();
        state.announce(b"SET TRANSACTION READ ONLY".to_vec(), 0, 100);
        state.ran(verdict(Class::SetTransaction, Traits::empty()), 0);
        state.ran(verdict(Class::Session, Traits::empty()), 0);
        assert!(state.facts().next_transaction_set);
        state.ran(verdict(Class::Begin { read_only: false }, Traits::empty()), 0);
        assert!(!state.facts().next_transaction_set);
    }

    #[test]
    fn the_server_says_what_is_open() {
        let mut state = SessionState::default();
        assert!(state.facts().autocommit_off);
        state.observe(Status::AUTOCOMMIT | Status::IN_TRANS, 2);
        assert_eq!((state.transaction, state.facts().autocommit_off), (Some(2), false));
        state.observe(Status::AUTOCOMMIT, 2);
        assert_eq!(state.transaction, None);
    }
}
