//! Statements that define and administer: DDL, locks, LOAD, FLUSH, KILL.

use super::head::{add, other, plain, verdict};
use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan;
use super::statement::{Class, Traits, Verdict};

/// CREATE, ALTER, DROP.
pub(super) fn definition<'a>(lexer: &mut Lexer<'a>, word: Word<'a>) -> Verdict {
    let mut temporary = false;
    loop {
        let token = lexer.token();
        match token {
            Token::Word(Word { key: TEMPORARY, .. }) => temporary = true,
            Token::Word(Word { key: key @ (TABLE | SEQUENCE), .. }) if temporary => {
                let mut traits = Traits::empty();
                traits.set(Traits::TEMPORARY_TABLE, word.key == CREATE);
                traits.set(Traits::IMPLICIT_COMMIT, word.key == CREATE && key == SEQUENCE);
                return Verdict { why: "temporary tables live on the writer", ..other(lexer, token, traits) };
            }
            Token::Word(Word { key: PREPARE, .. }) if word.key == DROP => {
                return plain(lexer, token, Class::Prepare, "DROP PREPARE ends a prepared statement");
            }
            Token::Word(Word { key: PROCEDURE | FUNCTION | TRIGGER | EVENT | PACKAGE, .. })
                if word.key != DROP && has_block(lexer.clone()) =>
            {
                scan::body(lexer, token);
                let why = "defines a stored program";
                return Verdict { class: Class::Write, traits: Traits::IMPLICIT_COMMIT, why };
            }
            Token::Word(Word { key: USER | ROLE, .. }) => return account(lexer, token),
            Token::Word(Word {
                key:
                    TABLE | SEQUENCE | VIEW | DATABASE | SCHEMA | INDEX | SERVER | PROCEDURE | FUNCTION | TRIGGER | EVENT
                    | PACKAGE,
                ..
            })
            | Token::End
            | Token::Mark(b';') => return other(lexer, token, Traits::IMPLICIT_COMMIT),
            _ => {}
        }
    }
}

/// Statements about accounts, whose names look like variables: `user@host`.
pub(super) fn account<'a>(lexer: &mut Lexer<'a>, first: Token<'a>) -> Verdict {
    scan::statement(lexer, first);
    let traits = Traits::IMPLICIT_COMMIT | Traits::CHANGES_BEGINNINGS;
    Verdict { class: Class::Write, traits, why: "changes accounts" }
}

/// Whether the definition of a stored program has a block, so that a `;` does not end it.
fn has_block(mut lexer: Lexer<'_>) -> bool {
    let mut token = lexer.token();
    while !matches!(token, Token::End | Token::Mark(b';')) {
        let next = lexer.token();
        match (token, next) {
            (Token::Word(Word { key: IF, .. }), Token::Word(Word { key: NOT | EXISTS, .. })) => {}
            (Token::Word(Word { key: FOR, .. }), Token::Word(Word { key: EACH, .. })) => {}
            (
                Token::Word(Word {
                    key: BEGIN | IF | CASE | LOOP | WHILE | REPEAT | FOR | DECLARE | PACKAGE | BODY,
                    ..
                }),
                _,
            ) => {
                return true;
            }
            _ => {}
        }
        token = next;
    }
    false
}

/// LOAD DATA, LOAD XML, LOAD INDEX.
pub(super) fn load<'a>(lexer: &mut Lexer<'a>, first: Token<'a>) -> Verdict {
    let verdict = other(lexer, first, Traits::empty());
    // Its variables are columns of the file.
    let taints = verdict.traits.contains(Traits::READS_VARIABLE);
    add(verdict, if taints { Traits::TAINTS_VARIABLES } else { Traits::empty() })
}

/// FLUSH; WITH READ LOCK and FOR EXPORT hold tables.
pub(super) fn flush(lexer: &mut Lexer<'_>) -> Verdict {
    let mut traits = Traits::IMPLICIT_COMMIT;
    loop {
        match lexer.token() {
            Token::End | Token::Mark(b';') => break,
            Token::Word(Word { key: LOCK | EXPORT, .. }) => traits |= Traits::TABLE_LOCK,
            Token::Word(Word { key: PRIVILEGES, .. }) => traits |= Traits::CHANGES_BEGINNINGS,
            _ => {}
        }
    }
    Verdict { class: Class::Write, traits, why: "administers its node" }
}

/// BACKUP STAGE, BACKUP LOCK.
pub(super) fn backup(lexer: &mut Lexer<'_>) -> Verdict {
    let token = lexer.token();
    let stage = matches!(token, Token::Word(Word { key: STAGE, .. }));
    let decides = if stage { lexer.token() } else { token };
    let traits = match decides {
        Token::Word(Word { key: UNLOCK | END, .. }) => Traits::TABLE_UNLOCK,
        _ => Traits::TABLE_LOCK,
    };
    other(lexer, decides, traits | Traits::IMPLICIT_COMMIT)
}

/// HANDLER. An open one is lost with its connection, and no UNLOCK frees it.
pub(super) fn handler(lexer: &mut Lexer<'_>) -> Verdict {
    let mut token = lexer.token();
    let mut opens = false;
    while !matches!(token, Token::End | Token::Mark(b';') | Token::Word(Word { key: READ | CLOSE, .. })) {
        opens |= matches!(token, Token::Word(Word { key: OPEN, .. }));
        token = lexer.token();
    }
    other(lexer, token, if opens { Traits::TABLE_LOCK | Traits::UNREPEATABLE } else { Traits::empty() })
}

/// KILL, if it names connections by a number or their user.
pub(super) fn kill(lexer: &mut Lexer<'_>) -> Verdict {
    let (mut by_id, mut by_user) = (true, false);
    let mut token = lexer.token();
    while let Token::Word(word) = token {
        by_id &= !matches!(word.key, USER | ID);
        by_user |= word.key == USER;
        token = lexer.token();
    }
    by_id &= matches!(token, Token::Number(_)) && matches!(lexer.clone().token(), Token::End | Token::Mark(b';'));
    let facts = scan::statement(lexer, token);
    if by_id || by_user {
        return verdict(Class::Kill, Traits::empty(), facts, "ends connections or their statements");
    }
    verdict(Class::Write, Traits::empty(), facts, "KILL of something other than a connection's id or user")
}
