//! What a session command changes, so that the session can repeat it on another node connection.
//!
//! Called only for texts of [`super::statement::Class::Session`] and `Prepare`; may allocate. It knows no session: which
//! older effects a new one replaces is said by the keys and the [`Nature`], and decided there.

use std::collections::BTreeSet;

use super::dynamic;
use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan::{self, Scope};
use super::set::{self, Assignment, Target};
use super::statement::{LexMode, Traits, Verdict};

pub use super::set::Nature;

/// What a session command changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it sets, in lower case: `@name`, `@@name`, `names`, `schema`, `role`, `prepare:name`.
    pub keys: BTreeSet<Box<[u8]>>,
    /// What the new values depend on.
    pub nature: Nature,
    /// It ends what the keys name (DEALLOCATE): nothing is to be repeated.
    pub ends: bool,
    /// USE: the schema's name, without quotes.
    pub schema: Option<Box<[u8]>>,
    /// PREPARE: the verdict on what an EXECUTE will run.
    pub runs: Option<Verdict>,
    /// `autocommit`, where its new value is known.
    pub autocommit: Option<bool>,
    /// How texts are to be read afterwards.
    pub lexing: Lexing,
}

/// What a change of `sql_mode` means for reading texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lexing {
    /// As before.
    Same,
    /// Like this.
    Is(LexMode),
    /// As in a new connection.
    Default,
    /// Only the server knows.
    Unknown,
}

/// Describes a session command.
pub fn change(text: &[u8], mode: LexMode) -> Change {
    let mut lexer = Lexer::new(text, mode);
    let mut change = Change {
        keys: BTreeSet::new(),
        nature: Nature::Constant,
        ends: false,
        schema: None,
        runs: None,
        autocommit: None,
        lexing: Lexing::Same,
    };
    let mut token = lexer.token();
    while matches!(token, Token::Open | Token::Mark(b';')) {
        token = lexer.token();
    }
    match token {
        Token::Word(Word { key: SET, .. }) => {
            set::walk(&mut lexer, &mut |assignment| change.assign(&assignment, mode));
        }
        Token::Word(Word { key: USE, .. }) => {
            change.key(b"schema", b"");
            change.schema = identifier(lexer.token());
        }
        Token::Word(Word { key: PREPARE, .. }) => {
            change.prepare(lexer.token(), false);
            change.runs = dynamic::made(&mut lexer, mode);
        }
        // DEALLOCATE PREPARE name, DROP PREPARE name
        _ => {
            lexer.token();
            change.prepare(lexer.token(), true);
        }
    }
    change
}

/// The verdict on a statement that may run a text that was prepared under a name: `runs` knows what that is, by the key of its
/// effect.
pub fn judge(verdict: Verdict, text: &[u8], mode: LexMode, runs: impl Fn(&[u8]) -> Option<Verdict>) -> Verdict {
    if !verdict.traits.contains(Traits::MAY_COMMIT) {
        return verdict;
    }
    let name = dynamic::named(text, mode).and_then(identifier);
    let runs = name.and_then(|name| runs(&key(PREPARED, &name)));
    runs.map_or(verdict, |text| dynamic::running(verdict, text))
}

/// The kind of key that names a prepared text.
const PREPARED: &[u8] = b"prepare:";

fn key(kind: &[u8], name: &[u8]) -> Box<[u8]> {
    [kind, &name.to_ascii_lowercase()].concat().into()
}

impl Change {
    fn prepare(&mut self, name: Token<'_>, ends: bool) {
        self.ends = ends;
        // The text was read under the sql_mode and the charset of its time.
        self.nature = if ends { Nature::Constant } else { Nature::Dependent };
        self.key(PREPARED, &identifier(name).unwrap_or_default());
    }

    fn assign(&mut self, assignment: &Assignment<'_>, mode: LexMode) {
        self.nature = self.nature.max(assignment.nature);
        match assignment.target {
            Target::Variable(name) => self.key(b"@", &unquoted(name, !mode.no_backslash_escapes)),
            Target::System { name, .. } => self.system(name, assignment.value, assignment.nature, mode),
            Target::Names => self.names(),
            // The connection's charset becomes the schema's.
            Target::CharacterSet => {
                self.names();
                self.nature = self.nature.max(Nature::Dependent);
            }
            Target::Role => self.key(b"role", b""),
            Target::SessionTransaction => {
                let words = |word: &[u8]| {
                    assignment.value.split(|byte| !byte.is_ascii_alphabetic()).any(|w| w.eq_ignore_ascii_case(word))
                };
                if words(b"isolation") {
                    self.key(b"@@tx_isolation", b"");
                }
                if words(b"only") || words(b"write") {
                    self.key(b"@@tx_read_only", b"");
                }
            }
            Target::NextTransaction | Target::GlobalTransaction | Target::Account | Target::Other => {
                self.nature = Nature::Volatile;
            }
        }
    }

    fn system(&mut self, name: Word<'_>, value: &[u8], nature: Nature, mode: LexMode) {
        match name.key {
            // Each sets the other.
            CHARACTER_SET_CONNECTION | COLLATION_CONNECTION => {
                self.key(b"@@character_set_connection", b"");
                self.key(b"@@collation_connection", b"");
            }
            _ => self.key(b"@@", name.text),
        }
        match name.key {
            AUTOCOMMIT => self.autocommit = switch(value),
            SQL_MODE => self.lexing = lexing(value, nature, mode),
            _ => {}
        }
    }

    fn names(&mut self) {
        self.key(b"names", b"");
        for name in ["client", "connection", "results"] {
            self.key(b"@@character_set_", name.as_bytes());
        }
        self.key(b"@@collation_connection", b"");
    }

    fn key(&mut self, kind: &[u8], name: &[u8]) {
        self.keys.insert(key(kind, name));
    }
}

/// The name an identifier stands for.
fn identifier(token: Token<'_>) -> Option<Box<[u8]>> {
    match token {
        Token::Word(word) => Some(word.text.into()),
        Token::Quoted(quoted) => Some(unquoted(quoted, false).into()),
        _ => None,
    }
}

/// What a name or literal stands for; as it is if it has no quotes.
fn unquoted(text: &[u8], backslash: bool) -> Vec<u8> {
    let (Some(&quote @ (b'`' | b'"' | b'\'')), Some(content)) = (text.first(), text.get(1..text.len().max(2) - 1))
    else {
        return text.to_vec();
    };
    let mut plain = Vec::with_capacity(content.len());
    let mut bytes = content.iter().copied();
    while let Some(byte) = bytes.next() {
        let escape = byte == quote || (backslash && quote != b'`' && byte == b'\\');
        plain.extend(if escape { bytes.next() } else { Some(byte) });
    }
    plain
}

/// Whether a value turns off what is off by default.
pub fn is_off(value: &[u8]) -> bool {
    switch(value) == Some(false) || value.eq_ignore_ascii_case(b"default")
}

/// A value as the boolean it sets, if it is a literal.
fn switch(value: &[u8]) -> Option<bool> {
    let quoted = matches!((value.first(), value.last()), (Some(b'\'' | b'"'), last) if last == value.first());
    let value = if quoted { value.get(1..value.len() - 1).unwrap_or_default() } else { value };
    let is = |words: [&[u8]; 3]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    match () {
        () if is([b"1", b"on", b"true"]) => Some(true),
        () if is([b"0", b"off", b"false"]) => Some(false),
        () => None,
    }
}

/// What a new `sql_mode` means for reading texts.
fn lexing(value: &[u8], nature: Nature, mode: LexMode) -> Lexing {
    let mut lexer = Lexer::new(value, mode);
    let first = lexer.token();
    let alone = lexer.clone().token() == Token::End;
    match first {
        Token::Text(text) if alone => Lexing::Is(modes(&unquoted(text, !mode.no_backslash_escapes))),
        Token::Word(Word { key: DEFAULT, .. }) if alone => Lexing::Default,
        Token::Word(word) if alone && word.text.is_ascii() && !word.text[0].is_ascii_digit() => {
            Lexing::Is(modes(word.text))
        }
        Token::Number(digits) if alone => {
            let bits = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
            bits.map_or(Lexing::Unknown, |bits| {
                Lexing::Is(LexMode {
                    ansi_quotes: bits & MODE_ANSI_QUOTES != 0,
                    no_backslash_escapes: bits & MODE_NO_BACKSLASH_ESCAPES != 0,
                })
            })
        }
        _ if nature == Nature::Dependent && keeps_modes(value, mode) => Lexing::Same,
        _ => Lexing::Unknown,
    }
}

/// Bits of `sql_mode` (`sql/sql_class.h`).
const MODE_ANSI_QUOTES: u64 = 4;
const MODE_NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

/// The modes that contain ANSI_QUOTES.
const ANSI_MODES: [&[u8]; 7] = [b"ansi", b"ansi_quotes", b"oracle", b"mssql", b"postgresql", b"db2", b"maxdb"];

/// Reads a list of modes.
fn modes(list: &[u8]) -> LexMode {
    let has = |name: &[u8]| list.split(|byte| *byte == b',').any(|mode| mode.trim_ascii().eq_ignore_ascii_case(name));
    LexMode { ansi_quotes: ANSI_MODES.iter().any(|name| has(name)), no_backslash_escapes: has(b"no_backslash_escapes") }
}

/// Whether a value is the present `sql_mode` with other modes added or taken away: CONCAT and REPLACE of
/// `@@sql_mode` and literals that name no mode of interest.
fn keeps_modes(value: &[u8], mode: LexMode) -> bool {
    let mut lexer = Lexer::new(value, mode);
    let mut current = false;
    loop {
        match lexer.token() {
            Token::End => return current,
            Token::System => match scan::system_name(&mut lexer) {
                Some((Scope::Default | Scope::Session, Word { key: SQL_MODE, .. })) => current = true,
                _ => return false,
            },
            Token::Text(text) => {
                let lower = text.to_ascii_lowercase();
                let mut names = ANSI_MODES.iter().copied().chain([b"no_backslash".as_slice()]);
                if names.any(|name| memchr::memmem::find(&lower, name).is_some()) {
                    return false;
                }
            }
            Token::Word(Word { key: CONCAT | CONCAT_WS | REPLACE, .. }) | Token::Mark(b'(' | b')' | b',') => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests;
