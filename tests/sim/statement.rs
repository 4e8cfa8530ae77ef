//! The little SQL that modelled nodes understand (pure): what clients of the simulator say, and what sessions say for themselves.

/// A statement, its values filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Begin,
    Commit,
    Rollback,
    /// SET TRANSACTION: of the next one.
    Announce,
    /// The schema of this number.
    Use(i64),
    Note {
        id: u64,
    },
    Enter {
        id: u64,
        from: usize,
        to: usize,
        amount: i64,
    },
    Move {
        account: usize,
        delta: i64,
    },
    /// How many rows of a write are there.
    Look {
        id: u64,
    },
    Balance {
        account: usize,
    },
    Sum,
    /// The ids of all writes, in order.
    List,
    Schema,
    LastInsertId,
    WaitUpTo {
        sequence: u64,
        seconds: u64,
    },
    Set(Vec<Setting>),
    /// The values of these variables.
    Variables(Vec<String>),
}

/// What a SET changes that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    Autocommit(bool),
    /// The node tells of GTIDs from now on.
    TracksGtids,
    /// The key of the next row.
    InsertId(u64),
    LastInsertId(u64),
    /// None: as the node has it.
    Offset(Option<u64>),
    Increment(Option<u64>),
}

impl Statement {
    /// Whether it changes data.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Note { .. } | Self::Enter { .. } | Self::Move { .. })
    }

    /// Whether it reads data.
    pub fn reads(&self) -> bool {
        matches!(self, Self::Look { .. } | Self::Balance { .. } | Self::Sum | Self::List)
    }

    /// Reads a text. `values` are those of the places in a prepared one. None: not understood.
    pub fn parse(text: &str, values: &[i64]) -> Option<Self> {
        let plain = without_comments(text).to_ascii_lowercase();
        let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut values = values.iter().copied();
        let words: Vec<&str> = plain.split([' ', '(', ')', ',']).filter(|word| !word.is_empty()).collect();
        let numbers: Vec<i64> =
            words.iter().filter_map(|word| if *word == "?" { values.next() } else { word.parse().ok() }).collect();
        let number = |place: usize| numbers.get(place).copied();
        let account = |place: usize| number(place).and_then(|number| usize::try_from(number).ok());
        let id = number(0).map(|id| id as u64);
        let starts = |start: &str| plain.starts_with(start);
        Some(match () {
            () if starts("begin") || starts("start transaction") => Self::Begin,
            () if starts("commit") => Self::Commit,
            () if starts("rollback") => Self::Rollback,
            () if starts("insert into deed (id) ") => Self::Note { id: id? },
            () if starts("insert into deed (id, source") => {
                Self::Enter { id: id?, from: account(1)?, to: account(2)?, amount: number(3)? }
            }
            () if starts("update account set balance = balance - ") => {
                Self::Move { account: account(1)?, delta: -number(0)? }
            }
            () if starts("update account set balance = balance + ") => {
                Self::Move { account: account(1)?, delta: number(0)? }
            }
            () if starts("select count(*) from deed") => Self::Look { id: id? },
            () if starts("select balance from account") => Self::Balance { account: account(0)? },
            () if starts("select sum(balance) from account") => Self::Sum,
            () if starts("select id from deed") => Self::List,
            () if starts("select database()") => Self::Schema,
            () if starts("use ") => Self::Use(schema(plain.trim_start_matches("use "))),
            () if starts("set transaction") => Self::Announce,
            () if starts("select last_insert_id()") => Self::LastInsertId,
            () if starts("select wsrep_sync_wait_upto_gtid(") => wait(&words)?,
            () if starts("select @@") => Self::Variables(variables(&plain)),
            () if starts("set ") => Self::Set(settings(&plain)),
            () => return None,
        })
    }
}

/// Schemas are called by a letter and a number; none is 0.
pub fn schema(name: &str) -> i64 {
    name.trim().get(1..).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn without_comments(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    plain + rest
}

/// `wsrep_sync_wait_upto_gtid('70-7000-5',2)`
fn wait(words: &[&str]) -> Option<Statement> {
    let gtid = words.get(2)?.trim_matches('\'');
    let sequence = gtid.rsplit('-').next()?.parse().ok()?;
    Some(Statement::WaitUpTo { sequence, seconds: words.get(3)?.parse().ok()? })
}

fn variables(plain: &str) -> Vec<String> {
    let list = plain.trim_start_matches("select ");
    list.split(',').map(|name| name.trim().trim_start_matches("@@").trim_start_matches("session.").to_owned()).collect()
}

fn settings(plain: &str) -> Vec<Setting> {
    if plain.contains("last_gtid") {
        return vec![Setting::TracksGtids];
    }
    let list = plain.trim_start_matches("set ");
    list.split(',').filter_map(setting).collect()
}

fn setting(part: &str) -> Option<Setting> {
    let (name, value) = part.split_once('=')?;
    let name = name.trim().trim_start_matches("session ").trim_start_matches("@@").trim_start_matches("session.");
    let value: Option<u64> = value.trim().parse().ok();
    Some(match name.trim() {
        "autocommit" => Setting::Autocommit(value == Some(1)),
        "insert_id" => Setting::InsertId(value?),
        "last_insert_id" => Setting::LastInsertId(value?),
        "auto_increment_offset" => Setting::Offset(value),
        "auto_increment_increment" => Setting::Increment(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let wait = Statement::WaitUpTo { sequence: 12, seconds: 2 };
        let cases = [
            ("BEGIN", &[][..], Statement::Begin),
            ("INSERT INTO deed (id) VALUES (7)", &[], Statement::Note { id: 7 }),
            ("INSERT/*oar:00.01*/ INTO deed (id) VALUES (?)", &[8], Statement::Note { id: 8 }),
            (
                "INSERT INTO deed (id, source, target, amount) VALUES (?, ?, ?, ?)",
                &[9, 1, 2, 30],
                Statement::Enter { id: 9, from: 1, to: 2, amount: 30 },
            ),
            ("UPDATE account SET balance = balance - 30 WHERE id = 1", &[], Statement::Move { account: 1, delta: -30 }),
            (
                "UPDATE account SET balance = balance + ? WHERE id = ?",
                &[30, 2],
                Statement::Move { account: 2, delta: 30 },
            ),
            ("SELECT COUNT(*) FROM deed WHERE id = 7", &[], Statement::Look { id: 7 }),
            ("SELECT balance FROM account WHERE id = ?", &[3], Statement::Balance { account: 3 }),
            ("SELECT SUM(balance) FROM account", &[], Statement::Sum),
            ("SELECT WSREP_SYNC_WAIT_UPTO_GTID('70-7000-12',2)", &[], wait),
            ("SET TRANSACTION READ ONLY", &[], Statement::Announce),
            ("USE s2", &[], Statement::Use(2)),
            ("SET autocommit = 0", &[], Statement::Set(vec![Setting::Autocommit(false)])),
            (
                "SET SESSION session_track_state_change=1,session_track_system_variables=CONCAT(@@session_track_system_variables,',last_gtid')",
                &[],
                Statement::Set(vec![Setting::TracksGtids]),
            ),
            (
                "SET SESSION timestamp=1.5,insert_id=5,auto_increment_offset=2,auto_increment_increment=DEFAULT",
                &[],
                Statement::Set(vec![Setting::InsertId(5), Setting::Offset(Some(2)), Setting::Increment(None)]),
            ),
        ];
        for (text, values, expected) in cases {
            assert_eq!(Statement::parse(text, values), Some(expected), "{text}");
        }
        assert_eq!(Statement::parse("DROP TABLE deed", &[]), None);
    }
}
