//! Configuration: the file as written, and the validated model.
//!
//! [`file`] is what an operator may write (the only types that are read from TOML), [`model`] what the program uses:
//! typed, with every default and limit. Nothing else knows TOML.

mod build;
mod duration;
mod environment;
mod error;
mod file;
pub mod model;
mod print;
pub mod secret;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub use duration::{parse_duration, print_duration};
pub use error::ConfigError;
pub use model::Config;

/// A configuration is at most this long.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Permission bits of a file that let anybody but its owner at it.
const OTHERS: u32 = 0o077;

/// Reads and checks a configuration file; `${NAME}` in its strings is taken from the environment of the process.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let fail = |error: std::io::Error| ConfigError::new(format!("cannot read it: {error}")).at(path);
    let file = File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode();
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::new(format!("it is longer than {FILE_BYTES_MAX} bytes")).at(path));
    }
    let read = parse(&text, |name| std::env::var(name).ok()).map_err(|error| error.at(path))?;
    match read.plain_secret_line {
        Some(line) if mode & OTHERS != 0 => Err(ConfigError::new(format!(
            "it holds a plain password and others can open it (mode {:04o}): run `chmod 600 {}`, or write the password as \"${{NAME}}\"",
            mode & 0o7777,
            path.display()
        ))
        .on_line(line)
        .at(path)),
        _ => Ok(read.config),
    }
}

/// A configuration as read from a text.
#[derive(Debug)]
struct Parsed {
    config: Config,
    /// The line of a secret that is written out in the text.
    plain_secret_line: Option<usize>,
}

/// The pure part of [`load`]: text and environment in, configuration out.
fn parse(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Parsed, ConfigError> {
    let explain = |error: toml::de::Error| ConfigError::from_toml(&error, text);
    let mut document = toml::de::DeTable::parse(text).map_err(explain)?;
    let references = environment::substitute(&mut document, environment).map_err(|error| error.locate(text))?;
    let deserializer = toml::de::Deserializer::from(document);
    let file: file::File = serde::Deserialize::deserialize(deserializer).map_err(explain)?;
    let secrets = file.link.iter().map(|link| &link.password).chain([&file.site.password]);
    let plain = secrets.map(|secret| secret.span().start).filter(|start| !references.contains(start)).min();
    let plain_secret_line = plain.map(|start| error::line_of(text, start));
    let config = build::build(file).map_err(|error| error.locate(text))?;
    Ok(Parsed { config, plain_secret_line })
}
