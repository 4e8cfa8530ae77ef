//! `oarlock show`: one thing of a running proxy, with all that is known of it.

use std::fmt;
use std::process::ExitCode;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::proxy::{Proxies, Proxy};

/// Show all that a running proxy knows of one thing
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    proxies: Proxies,
}

#[derive(clap::Subcommand)]
enum What {
    /// The proxy itself, and its site
    Site,
    /// What is logged
    Log,
    /// A node
    Server {
        /// Its name
        name: String,
    },
    /// What clients of a listener get
    Service {
        /// The listener's name
        name: String,
    },
    /// A listener
    Listener {
        /// Its name
        name: String,
    },
    /// A link
    Link {
        /// Its name
        name: String,
    },
    /// A replica
    Replica {
        /// Its server id
        server_id: u32,
    },
    /// A session
    Session {
        /// Its id
        id: u32,
    },
}

impl What {
    /// Where it is asked for; in a list, by which field it is known there, and what that is.
    fn place(&self) -> (&'static str, Option<(&'static str, Value)>) {
        match self {
            Self::Site => ("site", None),
            Self::Log => ("log", None),
            Self::Server { name } => ("servers", Some(("name", name.as_str().into()))),
            Self::Service { name } => ("services", Some(("service", name.as_str().into()))),
            Self::Listener { name } => ("listeners", Some(("listener", name.as_str().into()))),
            Self::Link { name } => ("links", Some(("link", name.as_str().into()))),
            Self::Replica { server_id } => ("replicas", Some(("server_id", (*server_id).into()))),
            Self::Session { id } => ("sessions", Some(("id", (*id).into()))),
        }
    }
}

/// Asks each proxy and prints its answer.
pub fn run(args: Args) -> ExitCode {
    args.proxies.order(|proxy| {
        let row = find(proxy, &args.what)?;
        Ok(if args.json { format!("{:#}", row.value()) } else { row.lines() })
    })
}

fn find(proxy: &Proxy, what: &What) -> Result<Row, String> {
    let (path, key) = what.place();
    let Some((field, sought)) = key else { return proxy.read(path) };
    let rows: Vec<Row> = proxy.read(path)?;
    let is_it = |row: &Row| row.0.iter().any(|(name, value)| name == field && *value == sought);
    rows.into_iter().find(is_it).ok_or_else(|| format!("there is no {field} {sought} among the {path} of this proxy"))
}

/// The fields of a thing, in the order in which they are told.
struct Row(Vec<(String, Value)>);

impl Row {
    fn lines(&self) -> String {
        let widest = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let line = |(name, value): &(String, Value)| format!("{name:widest$}  {}", text(value)).trim_end().to_owned();
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn value(&self) -> Value {
        Value::Object(self.0.iter().cloned().collect())
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Row(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_in_their_order() {
        let row: Row = serde_json::from_str(r#"{"name":"b","at":null,"servers":["x","y"],"connections":3}"#).unwrap();
        assert_eq!(row.lines(), "name         b\nat\nservers      x, y\nconnections  3");
    }
}
