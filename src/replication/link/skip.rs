//! Which transaction a link has stopped at, out of the events of its relay log (pure).

use crate::cluster::values::Unreadable;
use crate::gtid::{Gtid, Position};

/// Events that are looked at, from where the applier stands.
pub const EVENTS_MAX: u32 = 1000;
/// Events of the transaction that are shown.
const SHOWN_MAX: usize = 20;

/// A transaction that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTransaction {
    /// Which.
    pub gtid: Gtid,
    /// Its first events, a line each.
    pub events: Box<str>,
}

/// Finds it in rows of SHOW RELAYLOG EVENTS: the first that is not applied. With parallel replication applied ones can
/// come before it. `None` if it is not there.
pub fn failed_transaction(
    rows: &[Vec<(String, String)>],
    applied: &Position,
) -> Result<Option<FailedTransaction>, Unreadable> {
    let column = |row: &[(String, String)], name: &str| {
        row.iter().find(|(column, _)| column == name).map_or_else(String::new, |(_, value)| value.clone())
    };
    let mut found: Option<(Gtid, Vec<String>)> = None;
    for row in rows {
        let (kind, info) = (column(row, "Event_type"), column(row, "Info"));
        if kind == "Gtid" {
            if found.is_some() {
                break;
            }
            // `BEGIN GTID 81-8000-13`, or `GTID 81-8000-13` before what commits by itself.
            let gtid = info.split_whitespace().skip_while(|word| *word != "GTID").nth(1).unwrap_or_default();
            let gtid: Gtid = gtid.parse().map_err(|_| Unreadable::new("GTID event", &info))?;
            found = (!applied.holds(gtid)).then_some((gtid, vec![]));
        } else if let Some((_, events)) = &mut found {
            events.push(format!("{kind} {info}"));
        }
    }
    Ok(found.map(|(gtid, mut events)| {
        let more = events.len().saturating_sub(SHOWN_MAX);
        events.truncate(SHOWN_MAX);
        if more > 0 {
            events.push(format!("... and {more} more events"));
        }
        FailedTransaction { gtid, events: events.join("\n").into() }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(events: &[(&str, &str)]) -> Vec<Vec<(String, String)>> {
        let row = |(kind, info): &(&str, &str)| {
            vec![("Event_type".to_owned(), (*kind).to_owned()), ("Info".to_owned(), (*info).to_owned())]
        };
        events.iter().map(row).collect()
    }

    #[test]
    fn is_the_first_that_is_not_applied() {
        let rows = rows(&[
            ("Gtid", "BEGIN GTID 81-8000-9"),
            ("Xid", "COMMIT /* xid=1 */"),
            ("Gtid", "BEGIN GTID 81-8000-10"),
            ("Annotate_rows", "INSERT INTO t VALUES (1)"),
            ("Xid", "COMMIT /* xid=2 */"),
            ("Gtid", "GTID 81-8000-11"),
            ("Query", "use `shop`; DROP TABLE t"),
        ]);
        let find = |applied: &str| failed_transaction(&rows, &applied.parse().unwrap()).unwrap();
        let failed = find("70-7000-99,81-8000-9").unwrap();
        assert_eq!(failed.gtid.to_string(), "81-8000-10");
        assert_eq!(&*failed.events, "Annotate_rows INSERT INTO t VALUES (1)\nXid COMMIT /* xid=2 */");
        assert_eq!(&*find("81-8000-10").unwrap().events, "Query use `shop`; DROP TABLE t");
        assert_eq!(find("81-8000-11"), None);
    }

    #[test]
    fn a_large_one_is_cut() {
        let mut events = vec![("Gtid", "BEGIN GTID 1-1-1")];
        events.extend([("Write_rows_v1", "table_id: 20"); 25]);
        let failed = failed_transaction(&rows(&events), &Position::default()).unwrap().unwrap();
        assert_eq!(failed.events.lines().count(), 21);
        assert!(failed.events.ends_with("... and 5 more events"), "{}", failed.events);
    }

    #[test]
    fn nonsense_is_named() {
        let error = failed_transaction(&rows(&[("Gtid", "what")]), &Position::default()).unwrap_err();
        assert_eq!(error.to_string(), "its GTID event is `what`");
    }
}
