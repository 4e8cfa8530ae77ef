//! Routing hints in comments: ours (`-- oarlock: writer`) and MaxScale's (`-- maxscale route to master`).
//!
//! Knows the words only; whether a hint may be followed is the session's to decide.

use super::lexer::{Lexer, Token};
use super::statement::LexMode;

/// Where a comment asks a statement to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint<'a> {
    /// The writer.
    Writer,
    /// Any reader.
    Reader,
    /// The node of this name.
    Node(&'a [u8]),
    /// The node that ran the previous statement.
    Previous,
}

/// The first hint of a text. Ask only where [`super::statement::Traits::HINT`] is set.
pub fn hint(text: &[u8], mode: LexMode) -> Option<Hint<'_>> {
    let mut lexer = Lexer::new(text, mode);
    while lexer.hint().is_none() && lexer.token() != Token::End {}
    parse(lexer.hint()?)
}

/// Reads a comment that begins with one of the two words.
fn parse(comment: &[u8]) -> Option<Hint<'_>> {
    let mut words = comment.split(|byte| byte.is_ascii_whitespace() || *byte == b':').filter(|word| !word.is_empty());
    let mut next = || words.next().unwrap_or_default();
    let is = |word: &[u8], expected: &str| word.eq_ignore_ascii_case(expected.as_bytes());
    let maxscale = is(next(), "maxscale");
    if maxscale && !(is(next(), "route") && is(next(), "to")) {
        return None;
    }
    let target = next();
    let (writer, reader, node) = if maxscale { ("master", "slave", "server") } else { ("writer", "reader", "node") };
    if is(target, writer) {
        Some(Hint::Writer)
    } else if is(target, reader) {
        Some(Hint::Reader)
    } else if is(target, node) {
        let name = next();
        (!name.is_empty()).then_some(Hint::Node(name))
    } else {
        (maxscale && is(target, "last")).then_some(Hint::Previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_in_every_kind_of_comment() {
        let cases: [(&str, Option<Hint<'_>>); 14] = [
            ("SELECT 1 -- oarlock: writer", Some(Hint::Writer)),
            ("-- oarlock: reader\nSELECT 1", Some(Hint::Reader)),
            ("SELECT /* OARLOCK: node galera-71 */ 1", Some(Hint::Node(b"galera-71"))),
            ("SELECT 1 # oarlock:writer", Some(Hint::Writer)),
            ("SELECT 1 -- maxscale route to master", Some(Hint::Writer)),
            ("SELECT 1 /* MaxScale route to slave */", Some(Hint::Reader)),
            ("SELECT 1 -- maxscale route to server db-2\n", Some(Hint::Node(b"db-2"))),
            ("SELECT 1 -- maxscale route to last", Some(Hint::Previous)),
            ("SELECT 1 -- maxscale max_slave_replication_lag=1", None),
            ("SELECT 1 -- oarlock: node", None),
            ("SELECT 1 -- oarlock: nonsense", None),
            ("SELECT '-- oarlock: writer'", None),
            ("SELECT 1", None),
            ("SELECT 1 -- oarlock: reader\n -- oarlock: writer", Some(Hint::Reader)),
        ];
        for (text, expected) in cases {
            assert_eq!(hint(text.as_bytes(), LexMode::default()), expected, "{text}");
        }
    }
}
