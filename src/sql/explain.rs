//! What a statement is to the router, in words.

use super::hint::{Hint, hint};
use super::statement::{Class, LexMode, Traits, Verdict, classify};

/// What is said of a statement.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Explanation {
    /// What kind of work it is.
    pub class: String,
    /// What it does to its session.
    pub traits: Vec<String>,
    /// Where it would go outside a transaction; inside one everything goes to the transaction's node.
    pub route: String,
    /// Why.
    pub why: String,
}

/// Explains a statement.
pub fn explain(text: &[u8]) -> Explanation {
    let mode = LexMode::default();
    let verdict = classify(text, mode);
    let hint = if verdict.traits.contains(Traits::HINT) { hint(text, mode) } else { None };
    let told = verdict.traits - Traits::HINT - Traits::SETS_VARIABLES_ONLY;
    Explanation {
        class: verdict.class.name().to_owned(),
        traits: told.iter_names().map(|(name, _)| name.to_lowercase().replace('_', " ")).collect(),
        route: route(verdict, hint),
        why: why(verdict, hint),
    }
}

fn route(verdict: Verdict, hint: Option<Hint<'_>>) -> String {
    match (verdict.class, hint) {
        (Class::Read, Some(Hint::Writer)) => "writer".into(),
        (Class::Read, Some(Hint::Node(name))) => format!("node {}", String::from_utf8_lossy(name)),
        (Class::Read, Some(Hint::Previous)) | (Class::Diagnostics, _) => "the previous statement's node".into(),
        (Class::Read, _) if verdict.traits.contains(Traits::READS_VARIABLE) => {
            "reader; the writer if a variable it reads has a value only there".into()
        }
        (Class::Read, _) | (Class::Begin { read_only: true }, _) => "reader".into(),
        (Class::Session, _) => "every node connection".into(),
        (Class::Prepare, _) => "writer, and every next one".into(),
        (Class::End, _) => "the transaction's node".into(),
        (Class::Kill, _) => "the node of the connection it names".into(),
        (Class::SetTransaction, _) => "the next transaction's node".into(),
        (Class::Write | Class::Begin { read_only: false }, _) => "writer".into(),
    }
}

fn why(verdict: Verdict, hint: Option<Hint<'_>>) -> String {
    match (verdict.class, hint) {
        (Class::Read, Some(_)) => format!("{}; a hint says where", verdict.why),
        (_, Some(_)) => format!("{}; the hint is for reads only", verdict.why),
        _ => verdict.why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_why() {
        for (text, class, traits, route, why) in [
            ("SELECT 1", "read", &[][..], "reader", "reads only"),
            (
                "CREATE TEMPORARY TABLE t (a int)",
                "write",
                &["temporary table"],
                "writer",
                "temporary tables live on the writer",
            ),
            ("SELECT 1 -- oarlock: node db-2", "read", &[], "node db-2", "reads only; a hint says where"),
        ] {
            let explanation = explain(text.as_bytes());
            assert_eq!(explanation.traits, traits, "{text}");
            let Explanation { class: is, route: goes, why: because, .. } = explanation;
            assert_eq!((&*is, &*goes, &*because), (class, route, why), "{text}");
        }
    }
}
