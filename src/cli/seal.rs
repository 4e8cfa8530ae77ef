//! `oarlock seal`: turns a password into what may stand in a configuration that others can read.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::model::KEY_FILE;
use crate::config::secret::Secret;
use crate::config::{key_file, seal::Key};

/// Seal a password for the configuration: reads it from the terminal or a pipe, prints what to write instead
#[derive(clap::Args)]
pub struct Args {
    /// The key file, as `key_file` in the configuration has it
    #[arg(long, value_name = "FILE", default_value = KEY_FILE)]
    key_file: PathBuf,
    /// Make the key file first; it must not exist
    #[arg(long)]
    new_key: bool,
}

/// Prints the sealed password.
pub fn run(args: Args) -> ExitCode {
    let key = if args.new_key { key_file::create(&args.key_file) } else { key_file::read(&args.key_file) };
    match key.and_then(|key| sealed(&key)) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => super::failed(why),
    }
}

fn sealed(key: &Key) -> Result<String, String> {
    let secret = ask().map_err(|error| format!("no password could be read: {error}"))?;
    key.seal(&secret).map_err(|error| error.to_string())
}

/// One line, not shown while it is typed.
fn ask() -> std::io::Result<Secret> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password("Password: ").map(Secret::new);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.ends_with('\n') {
        line.pop();
    }
    Ok(Secret::new(line))
}
