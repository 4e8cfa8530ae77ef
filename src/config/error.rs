//! What is wrong with a configuration: file, line, what, and the name that was probably meant.

use std::fmt;
use std::path::{Path, PathBuf};

/// An error of a configuration file, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: Option<PathBuf>,
    place: Place,
    message: String,
}

/// Where in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// Byte offset, not yet turned into a line.
    Offset(usize),
    /// From 1.
    Line(usize),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display())?,
            None => write!(f, "configuration")?,
        }
        if let Place::Line(line) = self.place {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// An error of no particular place.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { path: None, place: Place::Nowhere, message: message.into() }
    }

    /// An error at a byte of the text.
    pub(super) fn at_offset(offset: usize, message: impl Into<String>) -> Self {
        Self { path: None, place: Place::Offset(offset), message: message.into() }
    }

    /// Names the file.
    pub(super) fn at(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// Names the line, from 1.
    pub(super) fn on_line(self, line: usize) -> Self {
        Self { place: Place::Line(line), ..self }
    }

    /// Turns the offset into a line of this text.
    pub(super) fn locate(self, text: &str) -> Self {
        match self.place {
            Place::Offset(offset) => self.on_line(line_of(text, offset)),
            Place::Nowhere | Place::Line(_) => self,
        }
    }

    /// An error of the TOML reader, in our words.
    pub(super) fn from_toml(error: &toml::de::Error, text: &str) -> Self {
        let message = reword(error.message());
        match error.span() {
            Some(span) => Self::at_offset(span.start, message).locate(text),
            None => Self::new(message),
        }
    }
}

/// The line (from 1) that holds this byte.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// serde says "unknown field `x`, expected one of `a`, `b`": the texts are fixed by its `Error` trait, and the only
/// place where both the name and its alternatives are to be had.
fn reword(message: &str) -> String {
    let what = match message {
        _ if message.starts_with("unknown field") => "setting",
        _ if message.starts_with("unknown variant") => "value",
        _ if message.starts_with("missing field") => return message.replacen("missing field", "missing setting", 1),
        _ => return message.to_owned(),
    };
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(name) = quoted.next() else { return message.to_owned() };
    let valid: Vec<&str> = quoted.collect();
    match nearest(name, &valid) {
        Some(meant) => format!("unknown {what} `{name}`; did you mean `{meant}`?"),
        None => format!("unknown {what} `{name}`; valid here: {}", valid.join(", ")),
    }
}

/// The valid name that was probably meant.
fn nearest<'a>(name: &str, valid: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name, &candidate.replace('-', "_"));
    let (distance, meant) =
        valid.iter().map(|candidate| (distance(candidate), *candidate)).min_by_key(|(distance, _)| *distance)?;
    (distance <= meant.len().div_ceil(3)).then_some(meant)
}
