//! In which settings two configurations differ (pure). Settings are compared as they are printed, so none can be forgotten here.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::Config;

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
            let by_name = std::mem::take(blocks).into_iter().filter_map(|block| {
                let name = block.get("name")?.as_str()?.to_owned();
                Some((name, block))
            });
            *value = Value::Table(by_name.collect());
        }
    }
    table
}

fn compare(path: &str, old: &Table, new: &Table, names: &mut BTreeSet<String>) {
    for key in old.keys().chain(new.keys()) {
        let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (old.get(key), new.get(key)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => compare(&name, old, new, names),
            (old, new) if old != new => {
                names.insert(name);
            }
            _ => {}
        }
    }
}
