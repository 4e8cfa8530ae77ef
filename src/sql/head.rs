//! The statement kinds: from the first words, and what the walk finds after them, to a verdict.
//!
//! One function a family; each passes its statement's end. What is not known here is a write.

use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan::{self, Facts};
use super::statement::{Class, LexMode, Traits, Verdict};
use super::{administration, dynamic, session, show, transaction};

/// Judges one statement that starts with `first`, and passes its end.
pub(super) fn statement<'a>(lexer: &mut Lexer<'a>, first: Token<'a>, mode: LexMode) -> Verdict {
    let Token::Word(word) = first else {
        return match first {
            Token::Mark(b'(') => read(lexer, first),
            _ => other(lexer, first, Traits::empty()),
        };
    };
    match word.key {
        SELECT | WITH | VALUES => read(lexer, first),
        INSERT | UPDATE | DELETE | REPLACE => change(lexer, first),
        SET => session::set(lexer, mode),
        BEGIN => transaction::begin(lexer),
        START => transaction::start(lexer),
        COMMIT | ROLLBACK => transaction::end(lexer),
        USE => plain(lexer, first, Class::Session, "USE changes the session's schema"),
        SHOW => show::show(lexer),
        DESC | DESCRIBE | EXPLAIN => show::explain(lexer),
        ANALYZE => show::analyze(lexer),
        HELP | CHECKSUM => read(lexer, first),
        PREPARE => dynamic::prepare(lexer, mode),
        DEALLOCATE => plain(lexer, first, Class::Prepare, "DEALLOCATE ends a prepared statement"),
        EXECUTE => dynamic::execute(lexer, mode),
        GET => {
            let why = "GET DIAGNOSTICS reads what the previous statement left";
            add(
                plain(lexer, first, Class::Diagnostics, why),
                Traits::TAINTS_VARIABLES | Traits::ROW_COUNTS | Traits::WARNINGS,
            )
        }
        KILL => administration::kill(lexer),
        _ => write(lexer, word),
    }
}

/// Statements that write, or belong to the writer, by their first word alone.
fn write<'a>(lexer: &mut Lexer<'a>, word: Word<'a>) -> Verdict {
    let first = Token::Word(word);
    match word.key {
        CREATE | ALTER | DROP => administration::definition(lexer, word),
        GRANT | REVOKE => administration::account(lexer, first),
        TRUNCATE | RENAME | OPTIMIZE | REPAIR | CHECK | RESET | INSTALL | UNINSTALL | SHUTDOWN => {
            other(lexer, first, Traits::IMPLICIT_COMMIT)
        }
        CALL => {
            // A procedure may set any variable, and run anything.
            add(other(lexer, first, Traits::empty()), Traits::TAINTS_VARIABLES | Traits::MAY_COMMIT)
        }
        LOAD => administration::load(lexer, first),
        LOCK => other(lexer, first, Traits::TABLE_LOCK | Traits::IMPLICIT_COMMIT),
        // Commits only where it has something to unlock.
        UNLOCK => other(lexer, first, Traits::TABLE_UNLOCK | Traits::IMPLICIT_COMMIT),
        FLUSH => administration::flush(lexer),
        BACKUP => administration::backup(lexer),
        HANDLER => administration::handler(lexer),
        XA => transaction::xa(lexer),
        IF | CASE | LOOP | WHILE | REPEAT | FOR | DECLARE => transaction::compound(lexer, first),
        DO => {
            let facts = scan::statement(lexer, first);
            verdict(Class::Write, traces(facts), facts, "not known as a read")
        }
        RELEASE | SAVEPOINT => other(lexer, first, Traits::empty()),
        _ => add(other(lexer, first, Traits::empty()), Traits::MAY_COMMIT),
    }
}

/// A verdict; the traits that follow from the facts are added.
pub(super) fn verdict(class: Class, traits: Traits, facts: Facts, why: &'static str) -> Verdict {
    let mut traits = traits;
    traits.set(Traits::READS_VARIABLE, facts.contains(Facts::VARIABLE));
    traits.set(Traits::USER_LOCK, facts.contains(Facts::USER_LOCK));
    traits.set(Traits::ROW_COUNTS, facts.contains(Facts::ROW_COUNTS));
    traits.set(Traits::WARNINGS, facts.contains(Facts::PREVIOUS));
    traits |= if facts.contains(Facts::ASSIGNS) { Traits::TAINTS_VARIABLES } else { Traits::empty() };
    Verdict { class, traits, why }
}

pub(super) fn add(verdict: Verdict, traits: Traits) -> Verdict {
    Verdict { traits: verdict.traits | traits, ..verdict }
}

/// A write whose remaining tokens matter only for its traits.
pub(super) fn other<'a>(lexer: &mut Lexer<'a>, first: Token<'a>, traits: Traits) -> Verdict {
    let facts = scan::statement(lexer, first);
    let why = if traits.contains(Traits::IMPLICIT_COMMIT) {
        "defines, administers or commits: the writer does that"
    } else {
        "not known as a read"
    };
    verdict(Class::Write, traits, facts, why)
}

/// A statement with a class of its own; its tokens matter only for its traits.
pub(super) fn plain<'a>(lexer: &mut Lexer<'a>, first: Token<'a>, class: Class, why: &'static str) -> Verdict {
    let facts = scan::statement(lexer, first);
    verdict(class, Traits::empty(), facts, why)
}

pub(super) fn read<'a>(lexer: &mut Lexer<'a>, first: Token<'a>) -> Verdict {
    let facts = scan::statement(lexer, first);
    judge_read(lexer, facts)
}

/// The class of something that reads, by what is in it.
pub(super) fn judge_read(lexer: &Lexer<'_>, facts: Facts) -> Verdict {
    let reasons =
        Facts::from_bits_truncate(!(Facts::VARIABLE | Facts::VOLATILE | Facts::ROW_COUNTS | Facts::NODE_STATE).bits());
    if !lexer.doubtful() && !facts.intersects(reasons) {
        let of_node = facts.contains(Facts::NODE_STATE);
        let (traits, why) =
            if of_node { (Traits::NODE_STATE, "shows the state of a node") } else { (Traits::empty(), "reads only") };
        return verdict(Class::Read, traits, facts, why);
    }
    let (class, why) = if lexer.doubtful() {
        (Class::Write, "can be read in more than one way")
    } else if facts.contains(Facts::PREVIOUS) && !belongs_to_writer(facts) {
        (Class::Diagnostics, "reads what the previous statement left")
    } else {
        let reason = REASONS.iter().find(|(fact, _)| facts.contains(*fact));
        (Class::Write, reason.map_or("not known as a read", |(_, why)| *why))
    };
    verdict(class, traces(facts), facts, why)
}

/// What the calls of a statement may leave behind.
fn traces(facts: Facts) -> Traits {
    let unknown = facts.intersects(Facts::STORED_FUNCTION | Facts::SEQUENCE);
    if unknown { Traits::LEAVES_UNKNOWN } else { Traits::empty() }
}

/// Whether something other than an assignment to a user variable needs the writer.
pub(super) fn belongs_to_writer(facts: Facts) -> bool {
    let into_file = facts.contains(Facts::INTO) && !facts.contains(Facts::ASSIGNS);
    let harmless = Facts::PREVIOUS
        | Facts::ROW_COUNTS
        | Facts::VARIABLE
        | Facts::VOLATILE
        | Facts::ASSIGNS
        | Facts::INTO
        | Facts::NODE_STATE;
    into_file || !facts.difference(harmless).is_empty()
}

/// Why something that looks like a read belongs to the writer, the strongest reason first.
const REASONS: [(Facts, &str); 12] = [
    (Facts::CONDITIONAL, "an executable comment may change its meaning"),
    (Facts::CHANGES_ROWS, "changes rows"),
    (Facts::LOCKING, "locks what it reads"),
    (Facts::ASSIGNS, "assigns a user variable"),
    (Facts::INTO, "writes its result into a file or variable"),
    (Facts::PROCEDURE, "has a PROCEDURE clause"),
    (Facts::USER_LOCK, "takes a lock by GET_LOCK()"),
    (Facts::SEQUENCE, "takes a value of a sequence"),
    (Facts::WRITER_FUNCTION, "calls a function that belongs to the writer"),
    (Facts::STORED_FUNCTION, "calls a stored function or a UDF, which may write"),
    (Facts::WRITER_VARIABLE, "reads a variable that only the writer's connection knows"),
    (Facts::GLOBAL_VARIABLE, "reads a global variable, and SET GLOBAL changes the writer's"),
];

/// INSERT, UPDATE, DELETE, REPLACE: where there is no `;`, variable or lock, nothing more is to be found.
fn change<'a>(lexer: &mut Lexer<'a>, first: Token<'a>) -> Verdict {
    let why = "changes rows";
    let rest = lexer.rest();
    if memchr::memchr2(b';', b'@', rest).is_none() && !mentions_lock(rest) {
        lexer.skip_rest();
        return Verdict { class: Class::Write, traits: Traits::empty(), why };
    }
    let facts = scan::statement(lexer, first);
    verdict(Class::Write, Traits::empty(), facts, why)
}

/// Whether GET_LOCK could be called: looks for its last letter, which is the rarest.
fn mentions_lock(text: &[u8]) -> bool {
    const NAME: &[u8] = b"get_lock";
    memchr::memchr2_iter(b'k', b'K', text)
        .any(|at| text[..=at].last_chunk::<8>().is_some_and(|end| end.eq_ignore_ascii_case(NAME)))
}
