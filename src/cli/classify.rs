//! `oarlock classify "SQL"`: what a statement is to the router, without a cluster.

use std::fmt::Write;
use std::process::ExitCode;

use crate::sql::hint::{Hint, hint};
use crate::sql::statement::{Class, LexMode, Traits, Verdict, classify};

/// Prints the class of a statement, where it would go, and why.
#[derive(clap::Args)]
pub struct Args {
    /// The statement.
    pub sql: String,
}

/// Runs the subcommand.
pub fn run(args: Args) -> ExitCode {
    print!("{}", describe(args.sql.as_bytes()));
    ExitCode::SUCCESS
}

/// The lines that are printed about a text.
fn describe(text: &[u8]) -> String {
    let mode = LexMode::default();
    let verdict = classify(text, mode);
    let hint = if verdict.traits.contains(Traits::HINT) { hint(text, mode) } else { None };
    let mut traits = String::new();
    for (name, _) in (verdict.traits - Traits::HINT - Traits::SETS_VARIABLES_ONLY).iter_names() {
        let _ = write!(traits, ", {}", name.to_lowercase().replace('_', " "));
    }
    format!("class  {}{traits}\nroute  {}\nwhy    {}\n", verdict.class.name(), route(verdict, hint), why(verdict, hint))
}

/// Where the statement would go outside a transaction; inside one everything goes to the transaction's node.
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
    fn three_lines() {
        assert_eq!(describe(b"SELECT 1"), "class  read\nroute  reader\nwhy    reads only\n");
        assert_eq!(
            describe(b"CREATE TEMPORARY TABLE t (a int)"),
            "class  write, temporary table\nroute  writer\nwhy    temporary tables live on the writer\n"
        );
        assert_eq!(
            describe(b"SELECT 1 -- oarlock: node db-2"),
            "class  read\nroute  node db-2\nwhy    reads only; a hint says where\n"
        );
    }
}
