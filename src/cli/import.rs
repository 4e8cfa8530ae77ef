//! `oarlock import`: from a `maxscale.cnf` to a configuration, with a report of what became of each setting.

use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::import::{Entry, Fate, Import, Secrets, import};
use crate::config::key_file;

/// Make a configuration of a maxscale.cnf, and say what became of each of its settings
#[derive(clap::Args)]
pub struct Args {
    /// The maxscale.cnf
    cnf: PathBuf,
    /// The file with the settings of a monitor script that moves a replication connection; it becomes a link
    #[arg(long, value_name = "FILE")]
    maxinfo: Option<PathBuf>,
    /// The .secrets file of maxkeys, if passwords are encrypted
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Seal the passwords with this key file; else they are written out, in a file for its owner only
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What the site is to be called
    #[arg(long, value_name = "NAME", default_value = "dc")]
    site: String,
    /// Where to write the configuration; an existing file is left alone
    #[arg(long, value_name = "FILE", default_value = "oarlock.toml")]
    output: PathBuf,
}

/// Writes the configuration and prints the report.
pub fn run(args: Args) -> ExitCode {
    match imported(&args) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(why) => super::failed(why),
    }
}

fn imported(args: &Args) -> Result<String, String> {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|error| format!("{} can't be read: {error}", path.display()));
    let (cnf, maxinfo) = (read(&args.cnf)?, args.maxinfo.as_deref().map(read).transpose()?);
    let open = |path: &Path| Secrets::read(&read(path)?).map_err(|error| format!("{}: {error}", path.display()));
    let made = import(&Import {
        cnf: &cnf,
        site: &args.site,
        maxinfo: maxinfo.as_deref(),
        secrets: args.secrets.as_deref().map(open).transpose()?,
        key: args.key_file.as_deref().map(key_file::read).transpose()?,
    })?;
    let output = args.output.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.output);
    file.and_then(|mut file| file.write_all(made.toml.as_bytes()))
        .map_err(|error| format!("{output} can't be written: {error}"))?;
    Ok(format!(
        "{}{output} is written; `oarlock check --config {output}` shows what is in force\n",
        report(&made.report)
    ))
}

/// What is not as it was comes last, where it is seen.
fn report(entries: &[Entry]) -> String {
    type Group = (&'static str, fn(&Fate) -> bool);
    let groups: [Group; 3] = [
        ("taken over", |fate| matches!(fate, Fate::Taken(_))),
        ("different", |fate| matches!(fate, Fate::Different(_))),
        ("without a counterpart", |fate| matches!(fate, Fate::Lost(_))),
    ];
    let mut text = String::new();
    for (what, belongs) in groups {
        let entries: Vec<_> = entries.iter().filter(|entry| belongs(&entry.fate)).collect();
        // Writing to a string can't fail.
        let _ = writeln!(text, "{} {what}", entries.len());
        for entry in entries {
            let _ = writeln!(text, "  {entry}");
        }
    }
    text
}
