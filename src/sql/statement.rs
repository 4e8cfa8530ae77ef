//! What a statement is to the router: its class and its traits.
//!
//! Knows SQL text only: no session, no node. What it does not understand is a [`Class::Write`], which goes to the writer.

use bitflags::bitflags;

use super::lexer::{Lexer, Token};
use super::{head, scan};

/// How the text is to be read; follows the session's `sql_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LexMode {
    /// `ANSI_QUOTES`: `"..."` is an identifier.
    pub ansi_quotes: bool,
    /// `NO_BACKSLASH_ESCAPES`: a backslash in a string is a backslash.
    pub no_backslash_escapes: bool,
}

/// What kind of work a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reads only: any node that is in step may run it.
    Read,
    /// Reads what the previous statement left on its node: SHOW WARNINGS, FOUND_ROWS(), ROW_COUNT(), GET DIAGNOSTICS.
    Diagnostics,
    /// Must run on the writer. Also everything that is not understood.
    Write,
    /// Changes the session itself (SET, USE, SET ROLE ...): every node connection of the session needs it.
    Session,
    /// BEGIN, START TRANSACTION.
    Begin {
        /// START TRANSACTION READ ONLY: a reader may run the whole transaction.
        read_only: bool,
    },
    /// COMMIT or ROLLBACK (not to a savepoint): belongs to the node that runs the transaction.
    End,
    /// SET TRANSACTION without SESSION or GLOBAL: for the next transaction only.
    SetTransaction,
    /// Text PREPARE or DEALLOCATE: lives on the writer, is repeated on the next one.
    Prepare,
    /// KILL: names connections by the ids clients see.
    Kill,
}

impl Class {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Diagnostics => "diagnostics",
            Self::Write => "write",
            Self::Session => "session",
            Self::Begin { read_only: false } => "begin",
            Self::Begin { read_only: true } => "begin (read only)",
            Self::End => "end",
            Self::SetTransaction => "set transaction",
            Self::Prepare => "prepare",
            Self::Kill => "kill",
        }
    }
}

bitflags! {
    /// What running a statement does to, or needs from, its session.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Traits: u32 {
        /// Mentions a user variable (`@x`).
        const READS_VARIABLE = 1;
        /// Assigns a user variable in a way that cannot be repeated on another node (`SELECT @a:=..`, INTO @a, SET @a=now()).
        const TAINTS_VARIABLES = 1 << 1;
        /// CREATE TEMPORARY TABLE.
        const TEMPORARY_TABLE = 1 << 2;
        /// LOCK TABLES, FLUSH TABLES WITH READ LOCK, BACKUP STAGE/LOCK, HANDLER OPEN: held by the node connection.
        const TABLE_LOCK = 1 << 3;
        /// UNLOCK TABLES and its like.
        const TABLE_UNLOCK = 1 << 4;
        /// GET_LOCK(): held by the node connection.
        const USER_LOCK = 1 << 5;
        /// XA START/BEGIN.
        const XA_START = 1 << 6;
        /// XA COMMIT, XA ROLLBACK, XA PREPARE: the node connection is free of it.
        const XA_END = 1 << 7;
        /// Ends an open transaction by committing it (DDL and its like); UNLOCK TABLES only where it has something to
        /// unlock.
        const IMPLICIT_COMMIT = 1 << 8;
        /// More than one statement in the text.
        const MULTI = 1 << 9;
        /// Changes the session in a way that cannot be repeated on another node connection.
        const UNREPEATABLE = 1 << 10;
        /// A comment begins like a routing hint: ask [`super::hint::hint`]. Behind the first word of INSERT, UPDATE,
        /// DELETE and REPLACE comments may be passed over: these go to the writer anyway.
        const HINT = 1 << 11;
        /// A SET of user variables and nothing else.
        const SETS_VARIABLES_ONLY = 1 << 12;
        /// May end an open transaction, for all that is known of it: stored code, texts run by name, unknown statements.
        const MAY_COMMIT = 1 << 13;
        /// Asks for, or is meant to be asked for, the row counts of a statement: FOUND_ROWS(), ROW_COUNT(), SQL_CALC_FOUND_ROWS.
        const ROW_COUNTS = 1 << 14;
        /// Asks for the warnings and errors of the previous statement.
        const WARNINGS = 1 << 15;
        /// Calls a stored function or takes a sequence's value: what that leaves on the node connection is not known.
        const LEAVES_UNKNOWN = 1 << 16;
        /// Reads what goes on in a node: the writer is asked, so that two answers are of one node.
        const NODE_STATE = 1 << 17;
        /// Sets a global variable or changes accounts, so that new connections may begin with other values or rights.
        const CHANGES_BEGINNINGS = 1 << 18;
        /// SET STATEMENT: sets something for as long as it runs.
        const OWN_SETTINGS = 1 << 19;
    }
}

/// The verdict on one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What kind of work it is.
    pub class: Class,
    /// What it does to its session.
    pub traits: Traits,
    /// The reason for the class, for `oarlock classify` and logs.
    pub why: &'static str,
}

/// Classifies a statement text: one pass, no allocation, any bytes.
pub fn classify(text: &[u8], mode: LexMode) -> Verdict {
    let mut lexer = Lexer::new(text, mode);
    let mut verdict: Option<Verdict> = None;
    loop {
        let first = lexer.token();
        match first {
            Token::End => break,
            Token::Mark(b';') => continue,
            _ => {}
        }
        let next = part(&mut lexer, first, mode);
        verdict = Some(match verdict {
            None => next,
            Some(before) => several(before, next),
        });
    }
    let mut verdict =
        verdict.unwrap_or(Verdict { class: Class::Read, traits: Traits::empty(), why: "has no statement" });
    verdict.traits.set(Traits::HINT, lexer.hint().is_some());
    if lexer.doubtful() && memchr::memchr(b';', text).is_some() {
        verdict = several(verdict, verdict);
    }
    verdict
}

/// One statement of a text, to its end.
fn part<'a>(lexer: &mut Lexer<'a>, first: Token<'a>, mode: LexMode) -> Verdict {
    if first != Token::Open {
        return head::statement(lexer, first, mode);
    }
    // An executable comment around the whole statement: what is in it, or nothing.
    if let Some(behind) = behind_whole(lexer.clone()) {
        let first = lexer.token();
        let verdict = head::statement(lexer, first, mode);
        *lexer = behind;
        return verdict;
    }
    scan::statement(lexer, first);
    let traits = Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES;
    Verdict { class: Class::Write, traits, why: "an executable comment decides what it is" }
}

/// The place behind the statement, if the executable comment that begins here is all of it.
fn behind_whole(mut lexer: Lexer<'_>) -> Option<Lexer<'_>> {
    loop {
        match lexer.token() {
            Token::Close => break,
            Token::End | Token::Mark(b';') => return None,
            _ => {}
        }
    }
    let whole = matches!(lexer.token(), Token::End | Token::Mark(b';')) && !lexer.doubtful();
    whole.then_some(lexer)
}

/// Two statements of one text as one.
fn several(first: Verdict, second: Verdict) -> Verdict {
    let traits = Traits::MULTI | first.traits | second.traits | lasting(first) | lasting(second);
    Verdict { class: Class::Write, traits, why: "several statements in one text" }
}

/// What a statement that changes the session leaves behind when it can't be repeated by itself.
fn lasting(verdict: Verdict) -> Traits {
    match verdict.class {
        Class::Session if verdict.traits.contains(Traits::SETS_VARIABLES_ONLY) => Traits::TAINTS_VARIABLES,
        Class::Session | Class::Prepare => Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES,
        _ => Traits::empty(),
    }
}

#[cfg(test)]
mod tests;
