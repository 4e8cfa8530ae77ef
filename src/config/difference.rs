//! In which settings two configurations differ (pure). Settings are compared as they are printed, so none can be forgotten here.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::Config;
use super::model::Account;

/// The names of the settings that differ, such as `cluster.read_timeout` or `node.galera-71.priority`; what only one of them has is
/// named as a whole.
pub fn differences(old: &Config, new: &Config) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    compare("", &table(old), &table(new), &mut names);
    // What is secret is printed the same.
    if old.site.password != new.site.password {
        names.insert("site.password".to_owned());
    }
    for link in &new.links {
        let before = old.links.iter().find(|before| before.name == link.name);
        if before.is_some_and(|before| before.password != link.password) {
            names.insert(format!("link.{}.password", link.name));
        }
    }
    for account in &new.accounts {
        let is_same = |before: &&Account| (&before.user, &before.host) == (&account.user, &account.host);
        if old.accounts.iter().find(is_same).is_some_and(|before| before.password != account.password) {
            names.insert(format!("account.{}@{}.password", account.user, account.host));
        }
    }
    if old.admin.token != new.admin.token {
        names.insert("admin.token".to_owned());
    }
    names
}

/// Blocks that there may be several of become tables by name.
fn table(config: &Config) -> Table {
    let mut table: Table = config.to_string().parse().unwrap_or_default();
    for (_, value) in table.iter_mut() {
        if let Value::Array(blocks) = value {
            let by_name = std::mem::take(blocks).into_iter().filter_map(|block| Some((name_of(&block)?, block)));
            *value = Value::Table(by_name.collect());
        }
    }
    table
}

/// An account is called by its user and host.
fn name_of(block: &Value) -> Option<String> {
    let text = |key: &str| block.get(key)?.as_str();
    match text("name") {
        Some(name) => Some(name.to_owned()),
        None => Some(format!("{}@{}", text("user")?, text("host")?)),
    }
}

fn compare(path: &str, old: &Table, new: &Table, names: &mut BTreeSet<String>) {
    for key in old.keys().chain(new.keys()) {
        let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => compare(&name, old, new, names),
            // Of the blocks that there may be several of there are some in one only.
            (Some(Value::Table(old)), None) if path.is_empty() => compare(&name, old, &Table::new(), names),
            (None, Some(Value::Table(new))) if path.is_empty() => compare(&name, &Table::new(), new, names),
            (old, new) if old != new => {
                names.insert(name);
            }
            _ => {}
        }
    }
}
