//! The columns an INSERT names (pure): whether a value of its own is given to one of them.

use super::keyword::*;
use super::lexer::{Lexer, Token};
use super::statement::LexMode;

/// Whether an INSERT of several rows gives values to this column. None if it has no list of columns, or can't be read.
pub fn names(text: &[u8], column: &[u8]) -> Option<bool> {
    let mut lexer = Lexer::new(text, LexMode::default());
    loop {
        match lexer.token() {
            Token::Mark(b'(') => break,
            Token::Word(word) if matches!(word.key, SELECT | SET | VALUE | VALUES | WITH) => return None,
            Token::End | Token::Open | Token::Text(_) => return None,
            _ => {}
        }
    }
    let mut named = false;
    loop {
        match lexer.token() {
            Token::Word(word) if !matches!(word.key, SELECT | VALUES | WITH) => {
                named |= word.text.eq_ignore_ascii_case(column);
            }
            Token::Quoted(name) => named |= name[1..name.len() - 1].eq_ignore_ascii_case(column),
            Token::Mark(b',' | b'.') => {}
            Token::Mark(b')') if !lexer.doubtful() => return Some(named),
            _ => return None,
        }
    }
}

/// Whether the text has one of these words anywhere, be it a name or in a string.
pub fn mentions(text: &[u8], words: &[&str]) -> bool {
    let has = |word: &&str| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    words.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_with_values_of_their_own() {
        for (text, named) in [
            ("INSERT INTO t (a, b) VALUES (1, 2), (3, 4)", Some(false)),
            ("INSERT/*oar:0.0*/ INTO shop.t (`b`, Id) SELECT 1, 2", Some(true)),
            ("insert t(`ID`) values (1)", Some(true)),
            ("INSERT INTO t (t.id) VALUES (1)", Some(true)),
            ("INSERT INTO t () VALUES ()", Some(false)),
            ("INSERT INTO t VALUES (1, 2)", None),
            ("INSERT INTO t SELECT (1)", None),
            ("INSERT INTO t SET id = (1)", None),
            ("INSERT INTO t (SELECT 1)", None),
            ("INSERT INTO t (\"id\") VALUES (1)", None),
            ("INSERT INTO t /*! (id) */ VALUES (1)", None),
            ("INSERT INTO t (a", None),
            ("", None),
        ] {
            assert_eq!(names(text.as_bytes(), b"id"), named, "{text}");
        }
    }

    #[test]
    fn words_anywhere() {
        assert!(mentions(b"insert into t values (last_insert_id(3))", &["x", "LAST_INSERT_ID"]));
        assert!(!mentions(b"insert into t values (1)", &["LAST_INSERT_ID", "DUPLICATE"]));
    }
}
