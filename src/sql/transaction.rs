//! Statements that begin and end transactions, and blocks of statements.

use super::head::{other, verdict};
use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan;
use super::statement::{Class, Traits, Verdict};

pub(super) fn begin(lexer: &mut Lexer<'_>) -> Verdict {
    let mut token = lexer.token();
    if let Token::Word(Word { key: WORK, .. }) = token {
        token = lexer.token();
    }
    match token {
        Token::End | Token::Close | Token::Mark(b';') => {
            let why = "begins a transaction";
            Verdict { class: Class::Begin { read_only: false }, traits: Traits::empty(), why }
        }
        _ => compound(lexer, token),
    }
}

/// A block of statements: NOT ATOMIC, or Oracle's.
pub(super) fn compound<'a>(lexer: &mut Lexer<'a>, first: Token<'a>) -> Verdict {
    let facts = scan::body(lexer, first);
    let traits = Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES | Traits::MAY_COMMIT;
    verdict(Class::Write, traits, facts, "a block of statements, which may do anything")
}

pub(super) fn start(lexer: &mut Lexer<'_>) -> Verdict {
    let token = lexer.token();
    if !matches!(token, Token::Word(Word { key: TRANSACTION, .. })) {
        return other(lexer, token, Traits::empty());
    }
    let (mut before, mut read_only) = (0, false);
    loop {
        match lexer.token() {
            Token::End | Token::Close | Token::Mark(b';') => break,
            Token::Word(word) => {
                read_only |= before == READ && word.key == ONLY;
                before = word.key;
            }
            _ => before = 0,
        }
    }
    let read_only = read_only && !lexer.doubtful();
    let why = if read_only { "begins a transaction that only reads" } else { "begins a transaction" };
    Verdict { class: Class::Begin { read_only }, traits: Traits::empty(), why }
}

pub(super) fn end(lexer: &mut Lexer<'_>) -> Verdict {
    let mut to_savepoint = false;
    loop {
        match lexer.token() {
            Token::End | Token::Close | Token::Mark(b';') => break,
            Token::Word(Word { key: TO, .. }) => to_savepoint = true,
            _ => {}
        }
    }
    let (class, why) = if to_savepoint {
        (Class::Write, "belongs to the transaction's node")
    } else {
        (Class::End, "ends the transaction")
    };
    Verdict { class, traits: Traits::empty(), why }
}

pub(super) fn xa(lexer: &mut Lexer<'_>) -> Verdict {
    let token = lexer.token();
    let traits = match token {
        Token::Word(Word { key: START | BEGIN, .. }) => Traits::XA_START,
        Token::Word(Word { key: COMMIT | ROLLBACK | PREPARE, .. }) => Traits::XA_END,
        _ => Traits::empty(),
    };
    other(lexer, token, traits)
}
