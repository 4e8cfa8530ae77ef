//! The route of a statement: its verdict and what the session is tied to, in; a kind of node, out.
//!
//! Knows no node by name. What keeps a session on one node is a fact of the session, told here as [`Facts`].

use crate::sql::statement::{Class, Traits, Verdict};

/// What the session is tied to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// A transaction is open.
    pub in_transaction: bool,
    /// `autocommit=0`: every statement opens a transaction.
    pub autocommit_off: bool,
    /// The next transaction has been given properties on one node (SET TRANSACTION).
    pub next_transaction_set: bool,
    /// The session holds something that lives on one node: temporary tables, locks, XA.
    pub pinned: bool,
    /// User variables hold values that only one node has.
    pub variables_pinned: bool,
}

/// A kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The one that takes writes.
    Writer,
    /// One of those that only read.
    Reader,
    /// The one that the open transaction is on.
    Transaction,
    /// The one that ran the previous statement.
    Previous,
    /// The one that holds what the session is tied to.
    Pinned,
    /// Any, preferably the writer: the effect is repeated on the others before they are used.
    Home,
}

/// Decides the route.
pub fn route(verdict: Verdict, facts: Facts) -> Route {
    if facts.in_transaction {
        return Route::Transaction;
    }
    let tied_variables = facts.variables_pinned && verdict.traits.contains(Traits::READS_VARIABLE);
    if facts.pinned || tied_variables {
        return Route::Pinned;
    }
    match verdict.class {
        Class::Diagnostics => Route::Previous,
        Class::Session => Route::Home,
        _ if facts.autocommit_off || facts.next_transaction_set => Route::Writer,
        Class::Read if verdict.traits.contains(Traits::NODE_STATE) => Route::Writer,
        Class::Read | Class::Begin { read_only: true } => Route::Reader,
        _ => Route::Writer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(class: Class) -> Verdict {
        Verdict { class, traits: Traits::empty(), why: "" }
    }

    #[test]
    fn the_state_of_a_node_is_the_writers() {
        let of_node = Verdict { traits: Traits::NODE_STATE, ..verdict(Class::Read) };
        assert_eq!(route(of_node, Facts::default()), Route::Writer);
        assert_eq!(route(of_node, Facts { pinned: true, ..Facts::default() }), Route::Pinned);
    }

    #[test]
    fn routes() {
        let free = Facts::default();
        let transaction = Facts { in_transaction: true, ..free };
        let implicit = Facts { autocommit_off: true, ..free };
        let next = Facts { next_transaction_set: true, ..free };
        let pinned = Facts { pinned: true, ..free };
        let begin = |read_only| Class::Begin { read_only };
        let table = [
            (Class::Read, free, Route::Reader),
            (Class::Read, transaction, Route::Transaction),
            (Class::Read, implicit, Route::Writer),
            (Class::Read, next, Route::Writer),
            (Class::Read, pinned, Route::Pinned),
            (Class::Write, free, Route::Writer),
            (Class::Write, pinned, Route::Pinned),
            (Class::Diagnostics, free, Route::Previous),
            (Class::Diagnostics, transaction, Route::Transaction),
            (Class::Session, free, Route::Home),
            (Class::Session, implicit, Route::Home),
            (Class::Session, transaction, Route::Transaction),
            (begin(false), free, Route::Writer),
            (begin(true), free, Route::Reader),
            (begin(true), next, Route::Writer),
            (Class::End, free, Route::Writer),
            (Class::SetTransaction, free, Route::Writer),
            (Class::Prepare, free, Route::Writer),
        ];
        for (class, facts, expect) in table {
            assert_eq!(route(verdict(class), facts), expect, "{class:?} {facts:?}");
        }
    }

    #[test]
    fn only_readers_of_variables_follow_them() {
        let facts = Facts { variables_pinned: true, ..Facts::default() };
        assert_eq!(route(verdict(Class::Read), facts), Route::Reader);
        let reads = Verdict { traits: Traits::READS_VARIABLE, ..verdict(Class::Read) };
        assert_eq!(route(reads, facts), Route::Pinned);
    }
}
