//! The walk over one statement's tokens that finds everything that decides its route.
//!
//! Knows no statement kinds: it gathers [`Facts`], and `statement` and `head` judge them.

use bitflags::bitflags;

use super::function::{self, Call};
use super::keyword::*;
use super::lexer::{Kind, Lexer, Token, Word};

bitflags! {
    /// What a statement was seen to contain.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Facts: u32 {
        /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE.
        const LOCKING = 1;
        /// INTO.
        const INTO = 1 << 1;
        /// UPDATE or DELETE after WITH.
        const CHANGES_ROWS = 1 << 2;
        /// PROCEDURE ANALYSE and its like.
        const PROCEDURE = 1 << 3;
        /// A stored function or a UDF.
        const STORED_FUNCTION = 1 << 4;
        /// A function that belongs to the writer.
        const WRITER_FUNCTION = 1 << 5;
        /// GET_LOCK().
        const USER_LOCK = 1 << 6;
        /// NEXT VALUE FOR, NEXTVAL() and their like.
        const SEQUENCE = 1 << 7;
        /// FOUND_ROWS(), @@warning_count and their like.
        const PREVIOUS = 1 << 8;
        /// A user variable.
        const VARIABLE = 1 << 9;
        /// A user variable gets a value.
        const ASSIGNS = 1 << 10;
        /// A system variable that only the connection to the writer knows.
        const WRITER_VARIABLE = 1 << 11;
        /// `@@global.x`.
        const GLOBAL_VARIABLE = 1 << 12;
        /// An executable comment that may change the meaning of what is around it.
        const CONDITIONAL = 1 << 13;
        /// A value of its own at each time or node.
        const VOLATILE = 1 << 14;
        /// A table that shows what goes on in a node.
        const NODE_STATE = 1 << 15;
        /// FOUND_ROWS(), ROW_COUNT(), SQL_CALC_FOUND_ROWS.
        const ROW_COUNTS = 1 << 16;
    }
}

/// The token before the current one, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Other,
    Dot,
    Word,
    /// A word with a dot before it.
    Qualified,
    Quoted,
}

/// A walk in progress.
struct Scan<'l, 'a> {
    lexer: &'l mut Lexer<'a>,
    facts: Facts,
    before: Before,
    /// Where the token before starts and ends.
    span: (usize, usize),
    /// A WITH was seen: `name (column, ...) AS` is not a call.
    with: bool,
}

/// Walks to the end of the statement, past its `;`. `first` was read already.
pub(super) fn statement<'a>(lexer: &mut Lexer<'a>, first: Token<'a>) -> Facts {
    let end = lexer.position();
    let mut scan = Scan { lexer, facts: Facts::empty(), before: Before::Other, span: (end, end), with: false };
    match first {
        Token::End | Token::Mark(b';') => return scan.facts,
        Token::Word(word) => {
            scan.keyword(word.key, false);
            scan.before = Before::Word;
            scan.span = (end - word.text.len(), end);
        }
        Token::Quoted(_) => scan.before = Before::Quoted,
        Token::Variable(_) => scan.facts |= Facts::VARIABLE,
        Token::System => scan.facts |= system_variable(scan.lexer),
        Token::Open => scan.facts |= Facts::CONDITIONAL,
        _ => {}
    }
    scan.run();
    scan.facts
}

/// Walks to the end of the text: a compound statement has `;` inside.
pub(super) fn body<'a>(lexer: &mut Lexer<'a>, first: Token<'a>) -> Facts {
    let mut facts = statement(lexer, first);
    while !lexer.rest().is_empty() {
        let token = lexer.token();
        facts |= statement(lexer, token);
    }
    facts
}

impl Scan<'_, '_> {
    fn run(&mut self) {
        loop {
            let (kind, start) = self.lexer.step();
            self.before = match kind {
                Kind::End | Kind::Mark(b';') => return,
                Kind::Word => {
                    let qualified = self.before == Before::Dot;
                    self.word(self.lexer.slice(start, self.lexer.position()), qualified);
                    if qualified { Before::Qualified } else { Before::Word }
                }
                Kind::Mark(b'(') => {
                    self.parenthesis();
                    Before::Other
                }
                Kind::Mark(b'.') => Before::Dot,
                Kind::Quoted => {
                    if self.before != Before::Dot {
                        self.quoted(self.lexer.slice(start, self.lexer.position()));
                    }
                    Before::Quoted
                }
                Kind::Open => {
                    self.executable_comment();
                    continue;
                }
                Kind::Variable | Kind::System | Kind::Assign => {
                    self.variable(kind);
                    Before::Other
                }
                _ => Before::Other,
            };
            self.span = (start, self.lexer.position());
        }
    }

    /// The packed keyword before the current token, if it can be one.
    fn key_before(&self) -> u128 {
        if self.before == Before::Word { pack(self.text_before()) } else { 0 }
    }

    fn text_before(&self) -> &[u8] {
        self.lexer.slice(self.span.0, self.span.1)
    }

    fn variable(&mut self, kind: Kind) {
        self.facts |= match kind {
            Kind::Variable if self.key_before() == INTO => Facts::VARIABLE | Facts::ASSIGNS,
            Kind::Variable => Facts::VARIABLE,
            Kind::System => system_variable(self.lexer),
            _ => Facts::ASSIGNS,
        };
    }

    #[inline(always)]
    fn word(&mut self, text: &[u8], qualified: bool) {
        // The first letter and the length rule out almost every word at once.
        let first = text[0] | 0x20;
        if text.len() > 3 && matches!(first, b'u' | b'd' | b'i' | b'l' | b's' | b'p' | b'v' | b'n' | b'w' | b'c') {
            self.keyword(pack(text), qualified);
        }
    }

    fn keyword(&mut self, key: u128, qualified: bool) {
        if qualified {
            // Oracle's spelling of a sequence's values.
            if matches!(key, NEXTVAL | CURRVAL) {
                self.facts |= Facts::SEQUENCE;
            }
            return;
        }
        self.facts |= match key {
            UPDATE | SHARE if self.key_before() == FOR => Facts::LOCKING,
            UPDATE | DELETE => Facts::CHANGES_ROWS,
            LOCK => Facts::LOCKING,
            INTO => Facts::INTO,
            PROCEDURE => Facts::PROCEDURE,
            PERFORMANCE_SCHEMA => Facts::NODE_STATE,
            INFORMATION_SCHEMA => self.table_of_a_node(),
            PROCESSLIST if self.key_before() == FROM => Facts::NODE_STATE,
            SQL_CALC_FOUND_ROWS => Facts::ROW_COUNTS,
            VALUE if matches!(self.key_before(), NEXT | PREVIOUS) => Facts::SEQUENCE,
            WITH => {
                self.with = true;
                Facts::empty()
            }
            key if volatile_word(key) => Facts::VOLATILE,
            _ => Facts::empty(),
        };
    }

    fn quoted(&mut self, text: &[u8]) {
        self.facts |= match pack(unquoted(text)) {
            PERFORMANCE_SCHEMA => Facts::NODE_STATE,
            INFORMATION_SCHEMA => self.table_of_a_node(),
            _ => Facts::empty(),
        };
    }

    /// What is read of information_schema, whose name was just read. Most of it is the same on all nodes.
    fn table_of_a_node(&self) -> Facts {
        let mut ahead = self.lexer.clone();
        if ahead.token() != Token::Mark(b'.') {
            return Facts::empty();
        }
        let key = match ahead.token() {
            Token::Word(word) => word.key,
            Token::Quoted(text) => pack(unquoted(text)),
            _ => 0,
        };
        match key {
            SESSION_STATUS | OPTIMIZER_TRACE | PROFILING => Facts::PREVIOUS,
            PROCESSLIST | GLOBAL_STATUS | GLOBAL_VARIABLES | INNODB_TRX | INNODB_LOCKS | INNODB_LOCK_WAITS
            | INNODB_METRICS | METADATA_LOCK_INFO | USER_STATISTICS | CLIENT_STATISTICS | TABLE_STATISTICS
            | INDEX_STATISTICS => Facts::NODE_STATE,
            _ => Facts::empty(),
        }
    }

    /// What is called, if the parenthesis that was just read belongs to a call.
    fn parenthesis(&mut self) {
        let call = match self.before {
            Before::Word => function::call(self.text_before(), self.span.1 + 1 == self.lexer.position()),
            Before::Qualified | Before::Quoted => Call::Unknown,
            Before::Other | Before::Dot => return,
        };
        if call == Call::Unknown && self.with && self.is_column_list() {
            return;
        }
        self.facts |= call_facts(call);
    }

    /// Whether `(` starts the column list of a common table expression: `(a, b) AS (`.
    fn is_column_list(&self) -> bool {
        let mut ahead = self.lexer.clone();
        loop {
            if !matches!(ahead.token(), Token::Word(_) | Token::Quoted(_)) {
                return false;
            }
            match ahead.token() {
                Token::Mark(b',') => {}
                Token::Mark(b')') => break,
                _ => return false,
            }
        }
        matches!(ahead.token(), Token::Word(Word { key: AS, .. })) && ahead.token() == Token::Mark(b'(')
    }

    /// An executable comment is harmless if it adds modifiers to SELECT and nothing else.
    fn executable_comment(&mut self) {
        let mut harmless = self.key_before() == SELECT;
        let mut ahead = self.lexer.clone();
        loop {
            match ahead.token() {
                Token::Close => break,
                Token::Word(word) => harmless &= is_select_modifier(word.key),
                _ => {
                    harmless = false;
                    break;
                }
            }
        }
        if harmless {
            *self.lexer = ahead;
        } else {
            self.facts |= Facts::CONDITIONAL;
        }
    }
}

/// What a call adds to the facts.
pub(super) fn call_facts(call: Call) -> Facts {
    match call {
        Call::Keyword | Call::Pure => Facts::empty(),
        Call::Volatile => Facts::VOLATILE,
        Call::Previous => Facts::PREVIOUS | Facts::ROW_COUNTS,
        Call::Writer => Facts::WRITER_FUNCTION,
        Call::Sequence => Facts::SEQUENCE,
        Call::Lock => Facts::USER_LOCK,
        Call::Unknown => Facts::STORED_FUNCTION,
    }
}

/// Functions of time and user that are called without parentheses.
pub(super) fn volatile_word(key: u128) -> bool {
    matches!(
        key,
        CURRENT_DATE
            | CURRENT_TIME
            | CURRENT_TIMESTAMP
            | CURRENT_USER
            | CURRENT_ROLE
            | LOCALTIME
            | LOCALTIMESTAMP
            | SYSDATE
            | UTC_DATE
            | UTC_TIME
            | UTC_TIMESTAMP
    )
}

fn is_select_modifier(key: u128) -> bool {
    matches!(
        key,
        ALL | DISTINCT
            | DISTINCTROW
            | HIGH_PRIORITY
            | STRAIGHT_JOIN
            | SQL_SMALL_RESULT
            | SQL_BIG_RESULT
            | SQL_BUFFER_RESULT
            | SQL_CACHE
            | SQL_NO_CACHE
            | SQL_CALC_FOUND_ROWS
    )
}

/// Reads the name after `@@`.
pub(super) fn system_variable(lexer: &mut Lexer<'_>) -> Facts {
    let Some((scope, name)) = system_name(lexer) else { return Facts::WRITER_VARIABLE };
    match name.key {
        LAST_INSERT_ID | IDENTITY | LAST_GTID | INSERT_ID | PSEUDO_THREAD_ID => Facts::WRITER_VARIABLE,
        WARNING_COUNT | ERROR_COUNT => Facts::PREVIOUS,
        // Who asks for these puts files there, or takes them, for or from statements that write.
        DATADIR | TMPDIR => Facts::NODE_STATE,
        // The names of the node: people ask for them to see the splitting.
        SERVER_ID | HOSTNAME | PORT => Facts::VOLATILE,
        TIMESTAMP | IN_TRANSACTION | RAND_SEED1 | RAND_SEED2 | GTID_BINLOG_POS | GTID_BINLOG_STATE
        | GTID_CURRENT_POS | GTID_SLAVE_POS | PROXY_PORT => Facts::VOLATILE,
        _ if name.text.len() > 6 && name.text[..6].eq_ignore_ascii_case(b"wsrep_") => Facts::VOLATILE,
        _ if scope == Scope::Global => Facts::GLOBAL_VARIABLE,
        _ => Facts::empty(),
    }
}

/// A quoted name without its quotes.
fn unquoted(text: &[u8]) -> &[u8] {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default()
}

/// The scope before the name of a system variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Global,
    Session,
    /// None is given.
    Default,
}

/// The scope and the name after `@@`; `None` if it is written in an unusual way.
pub(super) fn system_name<'a>(lexer: &mut Lexer<'a>) -> Option<(Scope, Word<'a>)> {
    let Token::Word(first) = lexer.token() else { return None };
    let scope = match first.key {
        GLOBAL => Scope::Global,
        SESSION | LOCAL => Scope::Session,
        _ => return Some((Scope::Default, first)),
    };
    if lexer.token() != Token::Mark(b'.') {
        return None;
    }
    let Token::Word(name) = lexer.token() else { return None };
    Some((scope, name))
}
