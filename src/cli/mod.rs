//! The subcommands, one file each: its arguments as a clap struct, and `run`.
//!
//! A subcommand prints its result to stdout and what went wrong to stderr; it returns the exit code and never exits itself.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod audit;
mod check;
mod classify;
mod completions;
mod import;
mod kill;
mod lab;
mod link;
mod list;
mod man;
mod proxy;
mod reload;
mod run;
mod seal;
mod server;
mod settings;
mod show;

#[derive(Parser)]
#[command(name = "oarlock", version, about = "A replication-aware SQL proxy for MariaDB Galera")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Reload(reload::Args),
    Check(check::Args),
    Audit(audit::Args),
    Settings(settings::Args),
    List(list::Args),
    Show(show::Args),
    Set(server::Set),
    Clear(server::Clear),
    SwitchWriter(server::SwitchWriter),
    Link(link::Args),
    Kill(kill::Args),
    Classify(classify::Args),
    Seal(seal::Args),
    Import(import::Args),
    Completions(completions::Args),
    Man(man::Args),
    Lab(lab::Args),
}

/// Runs the subcommand named by the arguments of the process. Exit codes: 0 done, 1 failed, 2 wrong arguments.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Check(args) => check::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Settings(args) => settings::run(args),
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Set(args) => server::set(args),
        Command::Clear(args) => server::clear(args),
        Command::SwitchWriter(args) => server::switch_writer(args),
        Command::Link(args) => link::run(args),
        Command::Kill(args) => kill::run(args),
        Command::Classify(args) => classify::run(args),
        Command::Import(args) => import::run(args),
        Command::Seal(args) => seal::run(args),
        Command::Man(args) => man::run(args, Cli::command()),
        Command::Completions(args) => completions::run(args, Cli::command()),
        Command::Lab(args) => lab::run(args),
    }
}

/// Says on stderr what failed.
fn failed(why: impl std::fmt::Display) -> ExitCode {
    eprintln!("oarlock: {why}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_has_a_page_of_every_subcommand() {
        let folder = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(super::Cli::command(), folder.path()).unwrap();
        for command in super::Cli::command().get_subcommands() {
            let page = folder.path().join(format!("oarlock-{}.1", command.get_name()));
            assert!(std::fs::read_to_string(&page).unwrap().contains(".SH SYNOPSIS"), "{}", page.display());
        }
    }

    #[test]
    fn shells_complete_every_subcommand() {
        let mut script = Vec::new();
        clap_complete::generate(clap_complete::Shell::Bash, &mut super::Cli::command(), "oarlock", &mut script);
        let script = String::from_utf8(script).unwrap();
        for command in super::Cli::command().get_subcommands() {
            assert!(script.contains(command.get_name()), "{}", command.get_name());
        }
    }
}
