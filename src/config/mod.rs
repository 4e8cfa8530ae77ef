//! Configuration: the file as written, and the validated model.
//!
//! [`file`] is what an operator may write (the only types that are read from TOML), [`model`] what the program uses:
//! typed, with every default and limit. Nothing else knows TOML.

mod build;
mod difference;
mod duration;
mod environment;
mod error;
mod file;
pub mod import;
pub mod key_file;
pub mod live;
mod merge;
pub mod model;
mod print;
pub mod seal;
pub mod secret;
pub mod settings;
#[cfg(test)]
mod tests;
mod tls;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use toml::Spanned;

pub use difference::differences;
pub use duration::{parse_duration, print_duration};
pub use error::ConfigError;
pub use live::Live;
pub use merge::in_force;
pub use model::Config;
use seal::Key;

/// A configuration is at most this long.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Permission bits of a file that let anybody but its owner at it.
pub(crate) const OTHERS: u32 = 0o077;

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
    let read = parse(&text, |name| std::env::var(name).ok(), key_file::read).map_err(|error| error.at(path))?;
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

/// The pure part of [`load`]: text, environment and the key of a key file in, configuration out.
fn parse(
    text: &str,
    environment: impl Fn(&str) -> Option<String>,
    key: impl FnOnce(&Path) -> Result<Key, String>,
) -> Result<Parsed, ConfigError> {
    let explain = |error: toml::de::Error| ConfigError::from_toml(&error, text);
    let mut document = toml::de::DeTable::parse(text).map_err(explain)?;
    let references = environment::substitute(&mut document, environment).map_err(|error| error.locate(text))?;
    let deserializer = toml::de::Deserializer::from(document);
    let mut file: file::File = serde::Deserialize::deserialize(deserializer).map_err(explain)?;
    let sealed = unseal(&mut file, key).map_err(|error| error.locate(text))?;
    let is_plain = |start: &usize| !references.contains(start) && !sealed.contains(start);
    let plain = passwords(&mut file).map(|password| password.span().start).filter(is_plain).min();
    let plain_secret_line = plain.map(|start| error::line_of(text, start));
    let config = build::build(file).map_err(|error| error.locate(text))?;
    Ok(Parsed { config, plain_secret_line })
}

fn passwords(file: &mut file::File) -> impl Iterator<Item = &mut Spanned<file::Password>> {
    let of_links = file.link.iter_mut().map(|link| &mut link.password);
    let of_accounts = file.account.iter_mut().map(|account| &mut account.password);
    of_links.chain(of_accounts).chain([&mut file.site.password]).chain(&mut file.admin.token)
}

/// Opens the sealed secrets; returns where they stand. The key is read only if there are any.
fn unseal(file: &mut file::File, key: impl FnOnce(&Path) -> Result<Key, String>) -> Result<Vec<usize>, ConfigError> {
    let path = file.site.key_file.clone().unwrap_or_else(|| model::KEY_FILE.into());
    let sealed: Vec<_> = passwords(file).filter(|password| seal::is_sealed(password.get_ref().0.reveal())).collect();
    let Some(first) = sealed.first() else { return Ok(Vec::new()) };
    let key =
        key(&path).map_err(|why| ConfigError::at_offset(first.span().start, format!("a sealed secret: {why}")))?;
    let open = |password: &mut Spanned<file::Password>| {
        let at = password.span().start;
        let secret = key.open(password.get_ref().0.reveal()).map_err(|why| {
            ConfigError::at_offset(at, format!("this secret can't be opened with {}: {why}", path.display()))
        })?;
        password.get_mut().0 = secret;
        Ok(at)
    };
    sealed.into_iter().map(open).collect()
}
