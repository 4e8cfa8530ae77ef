//! What clients were told of their work, and whether it was the truth (pure): a history and what the store holds afterwards in,
//! violations out.
//!
//! It knows nothing of how clients connect, or of what was done to the nodes meanwhile. Nobody runs the same write twice, so every
//! write has an id of its own, and the store keeps one row for each write that happened.

#![allow(dead_code, reason = "each user takes a part")]

use std::collections::{BTreeMap, BTreeSet};

/// What the row of a write says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// One row, by itself.
    Note,
    /// One row, and money from one account to another.
    Transfer { from: usize, to: usize, amount: i64 },
}

/// What a client was told of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done; the row's key, where the client asked for it.
    Done { key: Option<u64> },
    /// It happened, but its result is lost.
    Happened,
    /// It did not happen: this error.
    Refused { code: u16, state: String },
    /// Nobody knows: SQLSTATE 08007.
    Unknown,
    /// Nothing: the connection closed, before or after it could have committed.
    Lost { may_have_happened: bool },
}

/// One write.
#[derive(Clone, Debug)]
pub struct Write {
    pub id: u64,
    pub deed: Deed,
    pub told: Told,
}

/// What a read has seen that a client sent behind an acknowledged write of its own: how often its row is there.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub id: u64,
    pub rows: u64,
}

/// All that clients did and were told.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub writes: Vec<Write>,
    pub looks: Vec<Look>,
    /// The money in all accounts, as reads have seen it.
    pub sums: Vec<i64>,
    /// Writes of which a statement that changes one row was said to have changed another number of them.
    pub miscounted: Vec<u64>,
}

/// A row of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Given by the server.
    pub key: u64,
    pub id: u64,
    pub deed: Deed,
}

/// What is there in the end.
#[derive(Clone, Debug)]
pub struct Store {
    pub rows: Vec<Row>,
    pub balances: Vec<i64>,
    /// What each account had at first.
    pub opening: i64,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// A client was told that it is done, and it isn't there.
    Missing(u64),
    /// It is there more than once.
    Doubled(u64),
    /// A client was told that it did not happen, and it did.
    Untrue { id: u64, code: u16, state: String },
    /// The connection closed before the end of the transaction was sent, and it happened.
    Unasked(u64),
    /// A row that no client wrote, or that says something else.
    Strange(u64),
    /// A client was told another key than the row has.
    WrongKey(u64),
    /// A client was told a wrong number of rows.
    Miscounted(u64),
    /// A client did not see its own write, or saw it twice.
    Stale(u64),
    /// A read has seen a part of a transaction.
    Torn(i64),
    /// An account does not have what its transfers make.
    WrongMoney { account: usize, has: i64, owed: i64 },
}

impl History {
    /// Takes in what another client has seen.
    pub fn join(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.looks.extend(other.looks);
        self.sums.extend(other.sums);
        self.miscounted.extend(other.miscounted);
    }

    /// All that is wrong.
    pub fn violations(&self, store: &Store) -> Vec<Violation> {
        let mut found: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
        for row in &store.rows {
            found.entry(row.id).or_default().push(row);
        }
        let mut violations = Vec::new();
        for write in &self.writes {
            violations.extend(verdicts(write, found.get(&write.id).map_or(&[], |rows| rows)));
        }
        let known: BTreeSet<u64> = self.writes.iter().map(|write| write.id).collect();
        violations.extend(found.keys().filter(|id| !known.contains(id)).map(|id| Violation::Strange(*id)));
        violations.extend(self.looks.iter().filter(|look| look.rows != 1).map(|look| Violation::Stale(look.id)));
        let money = store.opening * store.balances.len() as i64;
        violations.extend(self.sums.iter().filter(|sum| **sum != money).map(|sum| Violation::Torn(*sum)));
        violations.extend(self.miscounted.iter().copied().map(Violation::Miscounted));
        violations.extend(wrong_money(store));
        violations
    }

    /// How often clients were told what, by a word for each.
    pub fn tally(&self) -> BTreeMap<String, usize> {
        let mut tally = BTreeMap::new();
        for write in &self.writes {
            let word = match &write.told {
                Told::Done { .. } => "done".to_owned(),
                Told::Happened => "result lost".to_owned(),
                Told::Refused { code, state } => format!("{code} ({state})"),
                Told::Unknown => "08007".to_owned(),
                Told::Lost { .. } => "connection lost".to_owned(),
            };
            *tally.entry(word).or_default() += 1;
        }
        tally
    }

    /// How many writes ended with an error.
    pub fn errors(&self) -> usize {
        self.writes.iter().filter(|write| !matches!(write.told, Told::Done { .. })).count()
    }
}

/// What is wrong with one write, of which these rows are there.
fn verdicts(write: &Write, rows: &[&Row]) -> Vec<Violation> {
    let id = write.id;
    let mut violations = Vec::new();
    match (&write.told, rows) {
        (Told::Done { .. } | Told::Happened, []) => violations.push(Violation::Missing(id)),
        (Told::Refused { code, state }, [_, ..]) => {
            violations.push(Violation::Untrue { id, code: *code, state: state.clone() });
        }
        (Told::Lost { may_have_happened: false }, [_, ..]) => violations.push(Violation::Unasked(id)),
        (Told::Done { key: Some(key) }, [row]) if row.key != *key => violations.push(Violation::WrongKey(id)),
        _ => {}
    }
    if rows.len() > 1 {
        violations.push(Violation::Doubled(id));
    }
    if rows.iter().any(|row| row.deed != write.deed) {
        violations.push(Violation::Strange(id));
    }
    violations
}

/// Accounts that do not have what the transfers in the store make.
fn wrong_money(store: &Store) -> Vec<Violation> {
    let mut owed = vec![store.opening; store.balances.len()];
    for row in &store.rows {
        if let Deed::Transfer { from, to, amount } = row.deed {
            owed[from] -= amount;
            owed[to] += amount;
        }
    }
    let accounts = store.balances.iter().zip(owed).enumerate();
    accounts
        .filter(|(_, (has, owed))| **has != *owed)
        .map(|(account, (has, owed))| Violation::WrongMoney { account, has: *has, owed })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSFER: Deed = Deed::Transfer { from: 0, to: 1, amount: 5 };

    fn refused() -> Told {
        Told::Refused { code: 1213, state: "40001".into() }
    }

    fn row(id: u64, deed: Deed) -> Row {
        Row { key: 10 * id, id, deed }
    }

    fn store(rows: Vec<Row>, balances: [i64; 2]) -> Store {
        Store { rows, balances: balances.into(), opening: 100 }
    }

    /// A note or a transfer of which a client was told this.
    fn one(deed: Deed, told: Told) -> History {
        History { writes: vec![Write { id: 1, deed, told }], ..History::default() }
    }

    #[test]
    fn the_truth_is_no_violation() {
        let there = || vec![row(1, Deed::Note)];
        for (told, rows) in [
            (Told::Done { key: Some(10) }, there()),
            (Told::Done { key: None }, there()),
            (Told::Happened, there()),
            (refused(), vec![]),
            (Told::Unknown, vec![]),
            (Told::Unknown, there()),
            (Told::Lost { may_have_happened: true }, there()),
            (Told::Lost { may_have_happened: true }, vec![]),
            (Told::Lost { may_have_happened: false }, vec![]),
        ] {
            let history = one(Deed::Note, told);
            assert_eq!(history.violations(&store(rows, [100, 100])), [], "{history:?}");
        }
        let mut history = one(TRANSFER, Told::Done { key: None });
        history.looks.push(Look { id: 1, rows: 1 });
        history.sums.push(200);
        assert_eq!(history.violations(&store(vec![row(1, TRANSFER)], [95, 105])), []);
    }

    #[test]
    fn each_planted_violation_is_found() {
        let done = || Told::Done { key: Some(10) };
        let note = |told| one(Deed::Note, told);
        let there = || vec![row(1, Deed::Note)];
        let untrue = Violation::Untrue { id: 1, code: 1213, state: "40001".into() };
        let looked = |rows| History { looks: vec![Look { id: 1, rows }], ..note(done()) };
        let summed = History { sums: vec![200, 195], ..note(done()) };
        let even = [100, 100];
        let half = [
            Violation::WrongMoney { account: 0, has: 95, owed: 100 },
            Violation::WrongMoney { account: 1, has: 105, owed: 100 },
        ];
        let miscounted = History { miscounted: vec![1], ..note(done()) };
        let cases: [(History, Store, &[Violation]); 15] = [
            (note(done()), store(vec![], even), &[Violation::Missing(1)]),
            (note(Told::Happened), store(vec![], even), &[Violation::Missing(1)]),
            (note(done()), store([there(), there()].concat(), even), &[Violation::Doubled(1)]),
            (note(Told::Unknown), store([there(), there()].concat(), even), &[Violation::Doubled(1)]),
            (note(refused()), store(there(), even), &[untrue]),
            (note(Told::Lost { may_have_happened: false }), store(there(), even), &[Violation::Unasked(1)]),
            (History::default(), store(there(), even), &[Violation::Strange(1)]),
            (one(TRANSFER, done()), store(there(), even), &[Violation::Strange(1)]),
            (note(Told::Done { key: Some(11) }), store(there(), even), &[Violation::WrongKey(1)]),
            (looked(0), store(there(), even), &[Violation::Stale(1)]),
            (looked(2), store(there(), even), &[Violation::Stale(1)]),
            (summed, store(there(), even), &[Violation::Torn(195)]),
            (miscounted, store(there(), even), &[Violation::Miscounted(1)]),
            // Without its row, and with a row but no money.
            (one(TRANSFER, refused()), store(vec![], [95, 105]), &half),
            (
                one(TRANSFER, Told::Unknown),
                store(vec![row(1, TRANSFER)], [95, 100]),
                &[Violation::WrongMoney { account: 1, has: 100, owed: 105 }],
            ),
        ];
        for (history, store, expected) in cases {
            assert_eq!(history.violations(&store), expected, "{history:?} {store:?}");
        }
    }

    #[test]
    fn the_tally_counts_what_was_told() {
        let mut history = one(Deed::Note, refused());
        history.join(one(Deed::Note, Told::Done { key: None }));
        history.join(one(Deed::Note, refused()));
        let tally: Vec<(String, usize)> = history.tally().into_iter().collect();
        assert_eq!(tally, [("1213 (40001)".to_owned(), 2), ("done".to_owned(), 1)]);
        assert_eq!(history.errors(), 2);
    }
}
