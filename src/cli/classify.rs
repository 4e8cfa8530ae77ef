//! `oarlock classify "SQL"`: what a statement is to the router, without a cluster.

use std::process::ExitCode;

use crate::sql::explain::{Explanation, explain};

/// Prints the class of a statement, where it would go, and why.
#[derive(clap::Args)]
pub struct Args {
    /// The statement.
    pub sql: String,
}

/// Runs the subcommand.
pub fn run(args: Args) -> ExitCode {
    print!("{}", lines(&explain(args.sql.as_bytes())));
    ExitCode::SUCCESS
}

/// The lines that are printed about a text.
fn lines(Explanation { class, traits, route, why }: &Explanation) -> String {
    let what = std::iter::once(class).chain(traits).map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("class  {what}\nroute  {route}\nwhy    {why}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines() {
        assert_eq!(
            lines(&explain(b"CREATE TEMPORARY TABLE t (a int)")),
            "class  write, temporary table\nroute  writer\nwhy    temporary tables live on the writer\n"
        );
    }
}
