//! Statements that tell about the server: SHOW, EXPLAIN, ANALYZE.

use super::head::{add, judge_read, other, plain, read, verdict};
use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan::{self, Facts};
use super::statement::{Class, Traits, Verdict};

/// SHOW: what is replicated can be asked of any node; what belongs to a node, of the writer, so that two answers can
/// be compared.
pub(super) fn show(lexer: &mut Lexer<'_>) -> Verdict {
    let mut global = false;
    let token = loop {
        let token = lexer.token();
        match token {
            Token::Word(Word { key: GLOBAL, .. }) => global = true,
            Token::Word(Word { key: FULL | SESSION | LOCAL | STORAGE, .. }) => {}
            _ => break token,
        }
    };
    let key = if let Token::Word(word) = token { word.key } else { 0 };
    match key {
        WARNINGS | ERRORS | COUNT => {
            let why = "shows what the previous statement left";
            add(plain(lexer, token, Class::Diagnostics, why), Traits::WARNINGS)
        }
        PROFILE | PROFILES => plain(lexer, token, Class::Diagnostics, "shows the profile of previous statements"),
        STATUS if !global => {
            plain(lexer, token, Class::Diagnostics, "shows the counters of the connection that was used last")
        }
        STATUS | VARIABLES if global => {
            let facts = scan::statement(lexer, token);
            verdict(Class::Write, Traits::empty(), facts, "shows global values, and SET GLOBAL changes the writer's")
        }
        PROCESSLIST => {
            let facts = scan::statement(lexer, token);
            judge_read(lexer, facts & Facts::CONDITIONAL | Facts::NODE_STATE)
        }
        // Accounts look like variables.
        GRANTS | CREATE => {
            let facts = scan::statement(lexer, token);
            judge_read(lexer, facts & Facts::CONDITIONAL)
        }
        TABLES | TABLE | COLUMNS | FIELDS | INDEX | INDEXES | KEYS | DATABASES | SCHEMAS | TRIGGERS | EVENTS
        | PROCEDURE | FUNCTION | PACKAGE | PRIVILEGES | PLUGINS | ENGINES | CHARACTER | CHARSET | COLLATION
        | VARIABLES | AUTHORS | CONTRIBUTORS | LOCALES => {
            let facts = scan::statement(lexer, token);
            // PROCEDURE is no clause here.
            judge_read(lexer, facts - Facts::PROCEDURE)
        }
        _ => Verdict { why: "shows the state of a node: the writer's", ..other(lexer, token, Traits::empty()) },
    }
}

/// EXPLAIN and DESCRIBE. The server refuses to explain changes where it only reads, and so does a reader.
pub(super) fn explain(lexer: &mut Lexer<'_>) -> Verdict {
    let token = after_format(lexer);
    match token {
        Token::Word(Word { key: INSERT | REPLACE | UPDATE | DELETE, .. }) => {
            Verdict { why: "explains a change", ..other(lexer, token, Traits::empty()) }
        }
        Token::Word(Word { key: FOR, .. }) => {
            Verdict { why: "explains what runs on a node", ..other(lexer, token, Traits::empty()) }
        }
        _ => read(lexer, token),
    }
}

/// ANALYZE TABLE, or ANALYZE of a statement, which runs it.
pub(super) fn analyze(lexer: &mut Lexer<'_>) -> Verdict {
    let token = after_format(lexer);
    match token {
        Token::Word(Word { key: SELECT | WITH | VALUES, .. }) | Token::Mark(b'(') => read(lexer, token),
        Token::Word(Word { key: INSERT | REPLACE | UPDATE | DELETE, .. }) => {
            Verdict { why: "runs the change it analyzes", ..other(lexer, token, Traits::empty()) }
        }
        _ => other(lexer, token, Traits::IMPLICIT_COMMIT),
    }
}

/// The first token after EXTENDED, PARTITIONS or `FORMAT = name`.
fn after_format<'a>(lexer: &mut Lexer<'a>) -> Token<'a> {
    let mut token = lexer.token();
    if matches!(token, Token::Word(Word { key: EXTENDED | PARTITIONS, .. })) {
        token = lexer.token();
    }
    if matches!(token, Token::Word(Word { key: FORMAT, .. })) && matches!(lexer.clone().token(), Token::Mark(b'=')) {
        lexer.token();
        lexer.token();
        token = lexer.token();
    }
    token
}
