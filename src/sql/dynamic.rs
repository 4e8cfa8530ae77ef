//! Statements that run other texts: PREPARE, EXECUTE, EXECUTE IMMEDIATE.

use super::head::{add, plain, verdict};
use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan;
use super::statement::{Class, LexMode, Traits, Verdict, classify};

pub(super) fn prepare(lexer: &mut Lexer<'_>, mode: LexMode) -> Verdict {
    let name = lexer.token();
    let from = lexer.token();
    let text = lexer.token();
    let after = lexer.clone().token();
    scan::statement(lexer, text);
    let literal = match (name, from, text, after) {
        (
            Token::Word(_) | Token::Quoted(_),
            Token::Word(Word { key: FROM, .. }),
            Token::Text(literal),
            Token::End | Token::Mark(b';') | Token::Close,
        ) => literal_content(literal),
        _ => None,
    };
    match literal.map(|text| dynamic(text, mode)) {
        Some(traits) if !traits.contains(Traits::UNREPEATABLE) => {
            let why = "a prepared statement, which every next writer needs too";
            Verdict { class: Class::Prepare, traits, why }
        }
        _ => {
            let traits = Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES;
            Verdict { class: Class::Write, traits, why: "prepares a statement that may change the session" }
        }
    }
}

pub(super) fn execute(lexer: &mut Lexer<'_>, mode: LexMode) -> Verdict {
    let token = lexer.token();
    if !matches!(token, Token::Word(Word { key: IMMEDIATE, .. })) {
        return add(plain(lexer, token, Class::Write, "runs a prepared statement"), Traits::MAY_COMMIT);
    }
    let text = lexer.token();
    let after = lexer.clone().token();
    let facts = scan::statement(lexer, text);
    let literal = match (text, after) {
        (Token::Text(text), Token::End | Token::Mark(b';') | Token::Close | Token::Word(_)) => literal_content(text),
        _ => None,
    };
    let traits = literal.map_or(Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES, |text| dynamic(text, mode));
    let outer = add(verdict(Class::Write, traits, facts, "runs a text"), traits | Traits::MAY_COMMIT);
    literal.filter(|text| !nests(text, mode)).map_or(outer, |text| running(outer, classify(text, mode)))
}

/// The verdict on what a PREPARE makes, of which the lexer has read the name.
pub(super) fn made(lexer: &mut Lexer<'_>, mode: LexMode) -> Option<Verdict> {
    let (Token::Word(Word { key: FROM, .. }), Token::Text(literal)) = (lexer.token(), lexer.token()) else {
        return None;
    };
    literal_content(literal).map(|text| classify(text, mode))
}

/// The name in an EXECUTE of a text that was prepared.
pub(super) fn named<'a>(text: &'a [u8], mode: LexMode) -> Option<Token<'a>> {
    let mut lexer = Lexer::new(text, mode);
    let is_execute = matches!(lexer.token(), Token::Word(Word { key: EXECUTE, .. }));
    let name = lexer.token();
    let is_named = matches!(name, Token::Quoted(_)) || matches!(name, Token::Word(word) if word.key != IMMEDIATE);
    (is_execute && is_named).then_some(name)
}

/// An EXECUTE for what it runs. What only reads or changes rows does not commit what is open.
pub(super) fn running(execute: Verdict, text: Verdict) -> Verdict {
    match text.class {
        Class::Read | Class::Write => {
            let traits = (execute.traits - Traits::MAY_COMMIT) | (text.traits - Traits::HINT);
            Verdict { traits, ..execute }
        }
        _ => execute,
    }
}

/// What is between the quotes, if nothing in it is escaped.
fn literal_content(literal: &[u8]) -> Option<&[u8]> {
    let quote = *literal.first()?;
    let content = literal.get(1..literal.len() - 1)?;
    memchr::memchr2(quote, b'\\', content).is_none().then_some(content)
}

/// What running a text will do to the session.
fn dynamic(text: &[u8], mode: LexMode) -> Traits {
    // One level only: a text within a text may do anything.
    if nests(text, mode) {
        return Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES;
    }
    let inner = classify(text, mode);
    match inner.class {
        Class::Session | Class::SetTransaction | Class::Prepare => Traits::UNREPEATABLE | inner.traits,
        _ => inner.traits,
    }
}

fn nests(text: &[u8], mode: LexMode) -> bool {
    let mut lexer = Lexer::new(text, mode);
    loop {
        match lexer.token() {
            Token::End => return false,
            Token::Word(Word { key: PREPARE | EXECUTE, .. }) => return true,
            _ => {}
        }
    }
}
