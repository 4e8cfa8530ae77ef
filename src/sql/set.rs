//! The assignments of a SET statement: what is set, in which scope, and what its value depends on.
//!
//! Knows the grammar of SET only; the class is judged in `head`, the effects to repeat in `effect`.

use super::function::{self, Call};
use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan::{self, Facts, Scope};

/// What is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// `@name`; the name as written, quotes included.
    Variable(&'a [u8]),
    /// A system variable.
    System {
        /// GLOBAL: not of the session.
        global: bool,
        name: Word<'a>,
    },
    /// NAMES.
    Names,
    /// CHARACTER SET.
    CharacterSet,
    /// ROLE.
    Role,
    /// TRANSACTION, alone, or `@@tx_isolation`: for the next one.
    NextTransaction,
    /// SESSION TRANSACTION.
    SessionTransaction,
    /// GLOBAL TRANSACTION.
    GlobalTransaction,
    /// PASSWORD, DEFAULT ROLE: changes an account.
    Account,
    /// Not understood.
    Other,
}

/// What a value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nature {
    /// Literals only: may take the place of an older effect with the same keys.
    Constant,
    /// Deterministic, but reads other state of the session (`@@sql_mode`, `@x`, the connection's charset): can be
    /// repeated in order only, and is worth no more than what it reads.
    Dependent,
    /// Anything else: another node or another time gives another value.
    Volatile,
}

/// One assignment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assignment<'a> {
    pub(super) target: Target<'a>,
    pub(super) nature: Nature,
    /// The value as written.
    pub(super) value: &'a [u8],
    /// What the value contains.
    pub(super) facts: Facts,
}

/// How a list of assignments ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// At the end of the statement, which has been passed.
    Statement,
    /// At the FOR of SET STATEMENT, which has been passed.
    For,
}

/// Walks the assignments after SET (or SET STATEMENT) to the end of the statement.
pub(super) fn walk<'a>(lexer: &mut Lexer<'a>, visit: &mut impl FnMut(Assignment<'a>)) -> Ending {
    // GLOBAL and SESSION hold for the assignments after them, too.
    let mut scope = None;
    loop {
        let mut token = lexer.token();
        if let Token::Word(Word { key: key @ (GLOBAL | SESSION | LOCAL), .. }) = token {
            scope = Some(key);
            token = lexer.token();
        }
        let target = target(lexer, token, scope);
        let spans_commas = match target {
            Target::SessionTransaction | Target::GlobalTransaction | Target::Account | Target::Other => true,
            Target::NextTransaction => token != Token::System,
            _ => false,
        };
        let (assignment, end) = value(lexer, target, spans_commas);
        visit(assignment);
        match end {
            Token::Mark(b',') => {}
            Token::Word(_) => return Ending::For,
            _ => return Ending::Statement,
        }
    }
}

/// The target that starts with `token`, and its equals sign if it has one.
fn target<'a>(lexer: &mut Lexer<'a>, token: Token<'a>, scope: Option<u128>) -> Target<'a> {
    let global = scope == Some(GLOBAL);
    let target = match token {
        Token::Word(Word { key: TRANSACTION, .. }) => {
            return match scope {
                None => Target::NextTransaction,
                Some(GLOBAL) => Target::GlobalTransaction,
                Some(_) => Target::SessionTransaction,
            };
        }
        Token::Word(Word { key: NAMES, .. }) => return Target::Names,
        Token::Word(Word { key: ROLE, .. }) => return Target::Role,
        Token::Word(Word { key: PASSWORD | DEFAULT, .. }) => return Target::Account,
        Token::Word(Word { key: CHARSET, .. }) => return Target::CharacterSet,
        Token::Word(Word { key: CHARACTER | CHAR, .. }) => {
            return match lexer.token() {
                Token::Word(Word { key: SET, .. }) => Target::CharacterSet,
                _ => Target::Other,
            };
        }
        Token::Word(name) => Target::System { global, name },
        Token::Quoted(quoted) => match unquoted_word(quoted) {
            Some(name) => Target::System { global, name },
            None => return Target::Other,
        },
        Token::Variable(name) => Target::Variable(name),
        Token::System => match scan::system_name(lexer) {
            // These alone mean something else without a scope.
            Some((Scope::Default, Word { key: TX_ISOLATION | TX_READ_ONLY, .. })) => Target::NextTransaction,
            Some((scope, name)) => Target::System { global: scope == Scope::Global, name },
            None => return Target::Other,
        },
        _ => return Target::Other,
    };
    match lexer.token() {
        Token::Assign | Token::Mark(b'=') => target,
        _ => Target::Other,
    }
}

/// A plain word in quotes as the word.
fn unquoted_word(quoted: &[u8]) -> Option<Word<'_>> {
    let text = quoted.get(1..quoted.len() - 1)?;
    let plain = text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    plain.then(|| Word { text, key: pack(text) })
}

/// Walks a value to the token after it.
fn value<'a>(lexer: &mut Lexer<'a>, target: Target<'a>, spans_commas: bool) -> (Assignment<'a>, Token<'a>) {
    let start = lexer.position();
    let mut end = start;
    let mut depth = 0_u32;
    let mut nature = Nature::Constant;
    let mut facts = Facts::empty();
    let mut before = Token::End;
    let mut before_end = start;
    loop {
        let token = lexer.token();
        let ends = match token {
            Token::End | Token::Close | Token::Mark(b';') => true,
            Token::Mark(b',') => depth == 0 && !spans_commas,
            Token::Word(Word { key: FOR, .. }) => depth == 0 && target != Target::Account,
            _ => false,
        };
        if ends {
            let value = lexer.slice(start, end).trim_ascii();
            return (Assignment { target, nature, value, facts }, token);
        }
        match token {
            Token::Mark(b'(') => depth += 1,
            Token::Mark(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        let (token_nature, token_facts) = judge(lexer, before, before_end, token);
        nature = nature.max(token_nature);
        facts |= token_facts;
        before = token;
        end = lexer.position();
        before_end = end;
    }
}

/// What one token of a value adds to it.
fn judge<'a>(lexer: &mut Lexer<'a>, before: Token<'a>, before_end: usize, token: Token<'a>) -> (Nature, Facts) {
    match (before, token) {
        (Token::Mark(b'.'), Token::Word(Word { key: SESSION_STATUS | OPTIMIZER_TRACE | PROFILING, .. })) => {
            (Nature::Volatile, Facts::PREVIOUS)
        }
        // A column or a sequence; but `.5e3` is a number.
        (Token::Mark(b'.'), Token::Word(word)) if !word.text[0].is_ascii_digit() => (Nature::Volatile, Facts::empty()),
        (Token::Mark(b'.'), Token::Quoted(_)) => (Nature::Volatile, Facts::empty()),
        (Token::Word(name), Token::Mark(b'(')) => {
            let call = function::call(name.text, before_end + 1 == lexer.position());
            let nature = match call {
                Call::Pure | Call::Keyword => Nature::Dependent,
                _ => Nature::Volatile,
            };
            (nature, scan::call_facts(call))
        }
        (Token::Quoted(_), Token::Mark(b'(')) => (Nature::Volatile, Facts::STORED_FUNCTION),
        (_, Token::Word(word)) => match word.key {
            NEXT | PREVIOUS => (Nature::Volatile, Facts::SEQUENCE),
            // Without tables a subquery is worth what it names.
            SELECT => (Nature::Dependent, Facts::empty()),
            FROM => (Nature::Volatile, Facts::empty()),
            INTO => (Nature::Volatile, Facts::INTO),
            UPDATE | LOCK => (Nature::Volatile, Facts::LOCKING),
            key if scan::volatile_word(key) => (Nature::Volatile, Facts::VOLATILE),
            _ => (Nature::Constant, Facts::empty()),
        },
        (_, Token::Text(text)) => {
            let plain = text[0] == b'\'' && text.is_ascii() && !text.contains(&b'\\');
            (if plain { Nature::Constant } else { Nature::Dependent }, Facts::empty())
        }
        (_, Token::Variable(_)) => (Nature::Dependent, Facts::VARIABLE),
        (_, Token::System) => {
            let facts = scan::system_variable(lexer);
            let repeatable = facts.difference(Facts::GLOBAL_VARIABLE).is_empty();
            (if repeatable { Nature::Dependent } else { Nature::Volatile }, facts)
        }
        (_, Token::Assign) => (Nature::Volatile, Facts::ASSIGNS),
        (_, Token::Mark(b'?')) => (Nature::Volatile, Facts::empty()),
        (_, Token::Open) => (Nature::Volatile, Facts::CONDITIONAL),
        _ => (Nature::Constant, Facts::empty()),
    }
}
