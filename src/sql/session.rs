//! Statements that change the session: the verdict on SET.

use super::effect::is_off;
use super::head::{add, belongs_to_writer, statement, verdict};
use super::keyword::*;
use super::lexer::{Lexer, Token, Word};
use super::scan::{self, Facts};
use super::set::{self, Ending, Nature, Target};
use super::statement::{Class, LexMode, Traits, Verdict};
use super::transaction;

pub(super) fn set(lexer: &mut Lexer<'_>, mode: LexMode) -> Verdict {
    let mut ahead = lexer.clone();
    let of_statement = matches!(ahead.token(), Token::Word(Word { key: STATEMENT, .. }));
    if of_statement {
        *lexer = ahead;
    }
    let mut found = SetFacts::default();
    let ending = set::walk(lexer, &mut |assignment| found.note(&assignment));
    match ending {
        Ending::For if of_statement => {
            let first = lexer.token();
            // The server refuses a SET in here; so there is no end to how deep a text could nest.
            let inner = match first {
                Token::Word(Word { key: SET, .. }) => transaction::compound(lexer, first),
                _ => statement(lexer, first, mode),
            };
            found.for_statement(inner)
        }
        Ending::For => {
            scan::statement(lexer, Token::Mark(b','));
            found.alone(true)
        }
        Ending::Statement => found.alone(lexer.doubtful()),
    }
}

/// What the assignments of one SET come to.
#[derive(Default)]
struct SetFacts {
    variables: bool,
    session: bool,
    /// GLOBAL, accounts, what is not understood.
    writer: bool,
    /// GLOBAL, or perhaps.
    global: bool,
    /// Changes an account.
    account: bool,
    next_transaction: bool,
    /// Can't be repeated on another node.
    once: bool,
    sql_mode: bool,
    facts: Facts,
}

impl SetFacts {
    fn note(&mut self, assignment: &set::Assignment<'_>) {
        if assignment.target != Target::Account {
            // The names of accounts look like variables.
            self.facts |= assignment.facts;
        }
        self.once |= assignment.nature == Nature::Volatile;
        match assignment.target {
            Target::Variable(_) => self.variables = true,
            Target::System { global: true, .. } | Target::GlobalTransaction => {
                self.writer = true;
                self.global = true;
            }
            Target::System { name, .. } => {
                self.session = true;
                self.once |=
                    matches!(name.key, INSERT_ID | LAST_INSERT_ID | IDENTITY | GTID_SEQ_NO | RAND_SEED1 | RAND_SEED2);
                // `WHERE id IS NULL` finds the row that was inserted last, which one connection knows.
                self.once |= name.key == SQL_AUTO_IS_NULL && !is_off(assignment.value);
                self.sql_mode |= name.key == SQL_MODE;
            }
            Target::Names | Target::CharacterSet | Target::Role | Target::SessionTransaction => self.session = true,
            Target::NextTransaction => self.next_transaction = true,
            Target::Account => {
                self.writer = true;
                self.account = true;
            }
            Target::Other => {
                self.writer = true;
                self.global = true;
                self.session = true;
            }
        }
    }

    fn alone(&self, doubtful: bool) -> Verdict {
        let mut traits = Traits::empty();
        let mixed = self.next_transaction && (self.session || self.variables);
        let of_previous = self.facts.contains(Facts::PREVIOUS) && !belongs_to_writer(self.facts);
        if of_previous && !(self.session || self.writer || self.next_transaction || doubtful) {
            let why = "keeps what the previous statement left";
            return verdict(Class::Diagnostics, Traits::TAINTS_VARIABLES, self.facts, why);
        }
        if self.writer || self.once || mixed || doubtful {
            traits.set(Traits::CHANGES_BEGINNINGS, self.global || self.account || doubtful);
            traits.set(Traits::UNREPEATABLE, self.session || self.next_transaction || doubtful);
            traits.set(Traits::TAINTS_VARIABLES, self.variables || doubtful);
            traits.set(Traits::IMPLICIT_COMMIT, self.account);
            let why = if self.writer { "sets more than this session" } else { "sets a value that can't be repeated" };
            return verdict(Class::Write, traits, self.facts, why);
        }
        if self.next_transaction {
            return verdict(Class::SetTransaction, traits, self.facts, "is for the next transaction");
        }
        traits.set(Traits::SETS_VARIABLES_ONLY, !self.session);
        verdict(Class::Session, traits, self.facts, "changes the session, on every node connection")
    }

    /// SET STATEMENT ... FOR `inner`.
    fn for_statement(&self, inner: Verdict) -> Verdict {
        let mut traits = inner.traits | Traits::OWN_SETTINGS;
        match inner.class {
            Class::Read | Class::Diagnostics if !self.once && !self.writer && !self.sql_mode => {
                traits.set(Traits::READS_VARIABLE, inner_reads_variable(inner, self.facts));
                return Verdict { traits, ..inner };
            }
            Class::Read | Class::Diagnostics | Class::Write => {}
            _ => traits |= Traits::UNREPEATABLE | Traits::TAINTS_VARIABLES,
        }
        let outer = verdict(Class::Write, traits, self.facts, "SET STATEMENT for something other than a read");
        add(outer, traits)
    }
}

fn inner_reads_variable(inner: Verdict, facts: Facts) -> bool {
    inner.traits.contains(Traits::READS_VARIABLE) || facts.contains(Facts::VARIABLE)
}
