//! The comment by which a write can be found in the binary log of any node (pure).
//!
//! Row events of a transaction come with the texts of its statements, comments included, and DDL is its text. So a comment behind a
//! statement's first keyword, where it changes nothing and is stored nowhere, tells under which GTID the statement was committed.
//! [`place`] knows which kinds of statements keep it; tests/marker.rs tries them on a cluster. Of what it does not know it says
//! that the marker would be lost: a look-up that trusted a marker which is not there would take a write for one that never happened.

use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan::{self, Facts};
use super::statement::LexMode;

/// The mark of one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    /// Random, of the session.
    pub session: u128,
    /// Its number in the session.
    pub statement: u64,
}

/// Length of a marker in a text, in bytes: `/*oar:`, 32 digits, `.`, 16 digits, `*/`.
pub const MARKER_BYTES: usize = START.len() + SESSION_DIGITS + 1 + STATEMENT_DIGITS + END.len();
/// A marker begins in the first so many bytes of its text or nowhere: more of a text need not be kept to find it.
pub const PLACE_MAX: usize = 4 << 10;

const START: &[u8] = b"/*oar:";
const SESSION_DIGITS: usize = 32;
const STATEMENT_DIGITS: usize = 16;
const END: &[u8] = b"*/";

/// Where a marker may be put into a statement: right behind its first keyword. None if it would not get into the binary log, or if the
/// text is more than one statement, each of which is committed by itself.
pub fn place(text: &[u8], mode: LexMode) -> Option<usize> {
    let mut lexer = Lexer::new(text, mode);
    let Token::Word(first) = lexer.token() else { return None };
    let at = lexer.position();
    let is_clear = at <= PLACE_MAX && !lexer.doubtful();
    (is_clear && keeps(&mut lexer, first) && is_alone(lexer, text)).then_some(at)
}

/// Whether statements of this kind keep their comments in the binary log. The lexer is behind the first word.
fn keeps(lexer: &mut Lexer<'_>, first: Word<'_>) -> bool {
    match first.key {
        INSERT | REPLACE | UPDATE | DELETE | GRANT | REVOKE | TRUNCATE => true,
        LOAD => is_next(lexer, |key| matches!(key, DATA | XML)),
        ANALYZE | OPTIMIZE | REPAIR => is_next(lexer, |key| matches!(key, TABLE | TABLES)),
        RENAME => is_next(lexer, |key| matches!(key, TABLE | TABLES | USER)),
        CREATE => keeps_definition(lexer),
        ALTER => is_next(lexer, |key| matches!(key, TABLE | SEQUENCE | DATABASE | SCHEMA | USER)),
        DROP => is_next(lexer, |key| {
            matches!(key, INDEX | VIEW | PROCEDURE | FUNCTION | TRIGGER | EVENT | DATABASE | SCHEMA | USER | ROLE)
        }),
        // A stored function might write more than the sequence, under no text of its own.
        SELECT => {
            let facts = scan::statement(&mut lexer.clone(), Token::Word(first));
            facts.contains(Facts::SEQUENCE) && !facts.intersects(Facts::STORED_FUNCTION | Facts::CONDITIONAL)
        }
        SET => keeps_with_settings(lexer),
        _ => false,
    }
}

fn is_next(lexer: &Lexer<'_>, wanted: impl Fn(u128) -> bool) -> bool {
    matches!(lexer.clone().token(), Token::Word(word) if wanted(word.key))
}

/// CREATE: views, stored programs and the like are written by the server anew. Temporary tables are in no log.
fn keeps_definition(lexer: &Lexer<'_>) -> bool {
    let mut lexer = lexer.clone();
    loop {
        match lexer.token() {
            Token::Word(Word { key: OR | REPLACE | UNIQUE | FULLTEXT | SPATIAL, .. }) => {}
            Token::Word(word) => return matches!(word.key, TABLE | SEQUENCE | INDEX | DATABASE | SCHEMA | USER | ROLE),
            _ => return false,
        }
    }
}

/// SET STATEMENT ... FOR: as what follows, unless a setting takes the texts out of the log.
fn keeps_with_settings(lexer: &Lexer<'_>) -> bool {
    let mut lexer = lexer.clone();
    if !matches!(lexer.token(), Token::Word(Word { key: STATEMENT, .. })) {
        return false;
    }
    loop {
        match lexer.token() {
            Token::Word(Word { key: FOR, .. }) => break,
            Token::Word(word) if HIDING.iter().any(|name| word.text.eq_ignore_ascii_case(name)) => return false,
            Token::End | Token::Mark(b';') | Token::Open | Token::Quoted(_) => return false,
            _ => {}
        }
    }
    matches!(lexer.token(), Token::Word(Word { key: INSERT | REPLACE | UPDATE | DELETE, .. }))
}

/// Settings that keep the text, or all of a write, out of the log.
const HIDING: [&[u8]; 3] = [b"binlog_annotate_row_events", b"sql_log_bin", b"wsrep_on"];

/// Whether nothing follows the statement in its text.
fn is_alone(mut lexer: Lexer<'_>, text: &[u8]) -> bool {
    if memchr::memchr(b';', text).is_none() {
        return true;
    }
    let first = lexer.token();
    scan::statement(&mut lexer, first);
    loop {
        match lexer.token() {
            Token::End => return !lexer.doubtful(),
            Token::Mark(b';') => {}
            _ => return false,
        }
    }
}

/// Appends a marker.
pub fn put(marker: Marker, out: &mut Vec<u8>) {
    out.extend_from_slice(START);
    put_digits(marker.session, SESSION_DIGITS, out);
    out.push(b'.');
    put_digits(marker.statement.into(), STATEMENT_DIGITS, out);
    out.extend_from_slice(END);
}

fn put_digits(value: u128, count: usize, out: &mut Vec<u8>) {
    out.extend((0..count).rev().map(|digit| b"0123456789abcdef"[(value >> (4 * digit)) as usize & 15]));
}

/// The marker behind the first keyword of a statement's text, of which the beginning is enough.
pub fn find(text: &[u8]) -> Option<Marker> {
    let mut lexer = Lexer::new(text, LexMode::default());
    let Token::Word(_) = lexer.token() else { return None };
    let rest = lexer.rest().strip_prefix(START)?;
    let (session, rest) = digits(rest, SESSION_DIGITS)?;
    let (statement, rest) = digits(rest.strip_prefix(b".")?, STATEMENT_DIGITS)?;
    rest.starts_with(END).then_some(Marker { session, statement: statement as u64 })
}

/// Reads so many lower-case hexadecimal digits.
fn digits(text: &[u8], count: usize) -> Option<(u128, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    let value = digits.iter().try_fold(0, |value: u128, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    });
    Some((value?, rest))
}

#[cfg(test)]
#[path = "marker/tests.rs"]
mod tests;
