//! The tables of the console and its variables (pure): names and kinds of columns, and rows made of what the JSON API shows.

use serde_json::Value;

use super::question::{Columns, Selection};

/// A table of the schema `stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Servers,
    Services,
    Links,
    Replicas,
    Sessions,
    Listeners,
    Accounts,
    Hosts,
    Events,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Number(i64),
}

use Kind::{Number, Text};

impl Table {
    pub(super) const ALL: [Self; 9] = [
        Self::Servers,
        Self::Services,
        Self::Links,
        Self::Replicas,
        Self::Sessions,
        Self::Listeners,
        Self::Accounts,
        Self::Hosts,
        Self::Events,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Servers => "servers",
            Self::Services => "services",
            Self::Links => "links",
            Self::Replicas => "replicas",
            Self::Sessions => "sessions",
            Self::Listeners => "listeners",
            Self::Accounts => "accounts",
            Self::Hosts => "hosts",
            Self::Events => "events",
        }
    }

    /// The table of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name().eq_ignore_ascii_case(name))
    }

    /// Its columns: the fields of the JSON API.
    pub(super) fn columns(self) -> &'static [(&'static str, Kind)] {
        match self {
            Self::Servers => &[
                ("name", Text),
                ("address", Text),
                ("port", Number),
                ("connections", Number),
                ("state", Text),
                ("gtid", Text),
                ("reason", Text),
            ],
            Self::Services => &[
                ("service", Text),
                ("router", Text),
                ("connections", Number),
                ("total_connections", Number),
                ("servers", Text),
            ],
            Self::Links => LINKS,
            Self::Replicas => &[
                ("server_id", Number),
                ("address", Text),
                ("source", Text),
                ("position", Text),
                ("lag", Number),
                ("bytes", Number),
                ("takeovers", Number),
                ("warning", Text),
            ],
            Self::Sessions => SESSIONS,
            Self::Listeners => &[
                ("listener", Text),
                ("address", Text),
                ("service", Text),
                ("tls", Text),
                ("proxy_protocol", Text),
                ("sessions", Number),
                ("sessions_total", Number),
            ],
            Self::Accounts => &[
                ("user", Text),
                ("host", Text),
                ("plugins", Text),
                ("locked", Number),
                ("requires", Text),
                ("default_role", Text),
            ],
            Self::Hosts => &[("address", Text), ("failures", Number), ("blocked_for", Number)],
            Self::Events => &[("number", Number), ("time", Text), ("level", Text), ("part", Text), ("text", Text)],
        }
    }

    /// The place of a column.
    pub(super) fn place(self, column: &str) -> Option<usize> {
        self.columns().iter().position(|(name, _)| name.eq_ignore_ascii_case(column))
    }
}

/// The columns of what is known of a link.
const LINKS: &[(&str, Kind)] = &[
    ("link", Text),
    ("state", Text),
    ("seconds", Number),
    ("node", Text),
    ("remote", Text),
    ("position", Text),
    ("lag_transactions", Number),
    ("lag_seconds", Number),
    ("reason", Text),
    ("remedy", Text),
    ("error", Text),
    ("lease", Text),
];
/// And of a session.
const SESSIONS: &[(&str, Kind)] = &[
    ("id", Number),
    ("user", Text),
    ("client", Text),
    ("service", Text),
    ("schema", Text),
    ("state", Text),
    ("for_ms", Number),
    ("node", Text),
    ("transaction", Number),
    ("statement", Text),
    ("age", Number),
    ("memory", Number),
];

impl Selection {
    /// Headings and kinds of what is selected.
    pub(super) fn headings(&self) -> Vec<(String, Kind)> {
        let columns = self.table.columns();
        match &self.columns {
            Columns::Count(heading) => vec![(heading.clone(), Number)],
            Columns::Places(places) => {
                places.iter().map(|place| (columns[*place].0.to_owned(), columns[*place].1)).collect()
            }
        }
    }

    /// What is selected of these rows of the JSON API.
    pub(super) fn rows(&self, all: &[Value]) -> Vec<Vec<Cell>> {
        let cells = |row: &Value| self.table.columns().iter().map(|(name, _)| cell(&row[*name])).collect::<Vec<_>>();
        let fits = |row: &Vec<Cell>| self.filter.iter().all(|(place, value)| row[*place].is(value));
        let found = all.iter().map(cells).filter(fits);
        match &self.columns {
            Columns::Count(_) => vec![vec![Cell::Number(found.count() as i64)]],
            Columns::Places(places) => found
                .take(self.limit.unwrap_or(usize::MAX))
                .map(|row| places.iter().map(|place| row[*place].clone()).collect())
                .collect(),
        }
    }
}

impl Cell {
    fn is(&self, value: &str) -> bool {
        match self {
            Self::Null => false,
            Self::Text(text) => text.eq_ignore_ascii_case(value),
            Self::Number(number) => value.parse() == Ok(*number),
        }
    }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(truth) => Cell::Number(i64::from(*truth)),
        // Seconds that are left are counted up to whole ones.
        Value::Number(number) => {
            let whole = number.as_i64().or_else(|| number.as_f64().map(|number| number.ceil() as i64));
            whole.map_or(Cell::Null, Cell::Number)
        }
        Value::String(text) => Cell::Text(text.clone()),
        Value::Array(values) => {
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            Cell::Text(texts.join(", "))
        }
        Value::Object(_) => Cell::Text(value.to_string()),
    }
}

/// What clients and monitors ask for when they connect, by name, as a server with defaults has it.
pub(super) const VARIABLES: [(&str, &str); 22] = [
    ("auto_increment_increment", "1"),
    ("autocommit", "1"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("init_connect", ""),
    ("interactive_timeout", "28800"),
    ("license", "Apache-2.0"),
    ("lower_case_table_names", "0"),
    ("max_allowed_packet", "16777216"),
    ("net_write_timeout", "60"),
    ("performance_schema", "0"),
    ("sql_mode", ""),
    ("system_time_zone", "UTC"),
    ("time_zone", "SYSTEM"),
    ("transaction_isolation", "REPEATABLE-READ"),
    ("tx_isolation", "REPEATABLE-READ"),
    ("version_comment", "oarlock console"),
    ("wait_timeout", "28800"),
];

/// The value of a variable.
pub(super) fn variable(name: &str) -> Option<&'static str> {
    if name.eq_ignore_ascii_case("version") {
        return Some(VERSION);
    }
    VARIABLES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

/// The version that the console has: clients decide by it what they may ask.
pub(super) const VERSION: &str = concat!("10.11.0-oarlock-", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::http::{Replica, Server, Service};
    use crate::admin::site::{AccountReport, HostReport, ListenerReport};
    use crate::replication::link::board::LinkReport;
    use crate::session::portrait::Portrait;
    use crate::telemetry::events::Happening;

    fn names(value: &Value) -> Vec<&str> {
        let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn columns_are_the_fields_of_the_json_api() {
        let server: Server = serde_json::from_value(json!({"name": "", "address": "", "port": 1, "connections": 1,
            "state": "", "gtid": "", "reason": ""}))
        .unwrap();
        let service: Service = serde_json::from_value(
            json!({"service": "", "router": "", "connections": 1, "total_connections": 1, "servers": []}),
        )
        .unwrap();
        let replica: Replica = serde_json::from_value(json!({"server_id": 1, "address": "", "source": "",
            "position": null, "lag": null, "bytes": 1, "takeovers": 1, "warning": ""}))
        .unwrap();
        let session: Portrait = serde_json::from_value(json!({"id": 1, "user": "", "client": "", "service": "",
            "schema": "", "state": "", "for_ms": 1, "node": "", "transaction": true, "statement": "", "age": 1, "memory": 1}))
        .unwrap();
        let listener: ListenerReport = serde_json::from_value(json!({"listener": "", "address": "", "service": "",
            "tls": "", "proxy_protocol": [], "sessions": 1, "sessions_total": 1}))
        .unwrap();
        let account: AccountReport = serde_json::from_value(json!({"user": "", "host": "", "plugins": [],
            "locked": false, "requires": "", "default_role": ""}))
        .unwrap();
        for (table, value) in [
            (Table::Servers, json!(server)),
            (Table::Services, json!(service)),
            (Table::Links, json!(LinkReport::default())),
            (Table::Replicas, json!(replica)),
            (Table::Sessions, json!(session)),
            (Table::Listeners, json!(listener)),
            (Table::Accounts, json!(account)),
            (Table::Hosts, json!(HostReport { blocked_for: 1.5, ..HostReport::default() })),
            (Table::Events, json!(Happening::default())),
        ] {
            let mut columns: Vec<&str> = table.columns().iter().map(|(name, _)| *name).collect();
            columns.sort_unstable();
            assert_eq!(columns, names(&value), "{table:?}");
            for (name, kind) in table.columns() {
                let fits = matches!(
                    (kind, cell(&value[*name])),
                    (Text, Cell::Text(_) | Cell::Null) | (Number, Cell::Number(_) | Cell::Null)
                );
                assert!(fits, "{table:?} {name}");
            }
        }
    }

    #[test]
    fn rows_are_selected() {
        let all = [
            json!({"service": "a", "router": "x", "connections": 3, "total_connections": 9, "servers": ["m", "n"]}),
            json!({"service": "b", "router": "x", "connections": 0, "total_connections": 1, "servers": []}),
        ];
        let text = |text: &str| Cell::Text(text.to_owned());
        let select = |columns, filter: &[(usize, &str)], limit| Selection {
            table: Table::Services,
            columns,
            filter: filter.iter().map(|(place, value)| (*place, (*value).to_owned())).collect(),
            limit,
        };
        let places = || Columns::Places(vec![4, 2]);
        assert_eq!(
            select(places(), &[], None).rows(&all),
            [[text("m, n"), Cell::Number(3)], [text(""), Cell::Number(0)]]
        );
        assert_eq!(select(places(), &[(0, "B")], None).rows(&all), [[text(""), Cell::Number(0)]]);
        assert_eq!(select(places(), &[(2, "3"), (1, "y")], None).rows(&all), [[]; 0] as [[Cell; 0]; 0]);
        assert_eq!(select(places(), &[], Some(1)).rows(&all).len(), 1);
        assert_eq!(select(Columns::Count("n".into()), &[(1, "x")], None).rows(&all), [[Cell::Number(2)]]);
    }
}
