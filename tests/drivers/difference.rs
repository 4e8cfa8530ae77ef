//! Where two lists of checks differ. Pure.

use serde_json::Value;

use super::driver::Checks;

/// Longer values are cut when shown.
const SHOWN_MAX: usize = 300;

/// Every difference, with the check and the place in its value.
pub fn between(direct: &Checks, proxy: &Checks) -> Vec<String> {
    let mut found = vec![];
    for (name, value) in direct {
        match proxy.iter().find(|(other, _)| other == name) {
            Some((_, other)) => values(name, value, other, &mut found),
            None => found.push(format!("{name}: not there through the proxy")),
        }
    }
    let more = proxy.iter().filter(|(name, _)| !direct.iter().any(|(other, _)| other == name));
    found.extend(more.map(|(name, _)| format!("{name}: only there through the proxy")));
    found
}

fn values(place: &str, direct: &Value, proxy: &Value, found: &mut Vec<String>) {
    match (direct, proxy) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                values(&format!("{place}[{index}]"), a, b, found);
            }
        }
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            for (key, a) in a {
                values(&format!("{place}.{key}"), a, &b[key], found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{place}: direct {}, proxy {}", shown(a), shown(b))),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[test]
fn differences_are_told_with_their_place() {
    let checks =
        |values: &[(&str, Value)]| values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let direct: Checks = checks(&[("a", serde_json::json!([1, { "b": [2, "x"] }])), ("gone", Value::Null)]);
    let proxy: Checks = checks(&[("a", serde_json::json!([1, { "b": [3, "x"] }])), ("new", Value::Null)]);
    let told =
        ["a[1].b[0]: direct 2, proxy 3", "gone: not there through the proxy", "new: only there through the proxy"];
    assert_eq!(between(&direct, &proxy), told);
    assert!(between(&direct, &direct).is_empty());
}
