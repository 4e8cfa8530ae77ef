//! Rows of name and value as a server answers them, read by name (pure).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// A value that is missing or can't be read: its name, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    name: &'static str,
    value: Option<Box<str>>,
}

impl Unreadable {
    /// A value that makes no sense.
    pub fn new(name: &'static str, value: &str) -> Self {
        Self { name, value: Some(value.into()) }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "its {} is `{value}`", self.name),
            None => write!(f, "it has no {}", self.name),
        }
    }
}

/// Values by name.
pub struct Values<'a>(HashMap<&'a str, &'a str>);

impl<'a> Values<'a> {
    /// Of rows; NULL is a row that is not there.
    pub fn of(rows: &'a [(String, String)]) -> Self {
        Self(rows.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }

    /// A value, if it is there.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    /// A value that must be there.
    pub fn text(&self, name: &'static str) -> Result<&'a str, Unreadable> {
        self.get(name).ok_or(Unreadable { name, value: None })
    }

    /// Whether a value is this word, in any case of letters.
    pub fn is(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|text| text.eq_ignore_ascii_case(word))
    }

    /// A number, a position, or whatever else has a text form.
    pub fn parse<T: FromStr>(&self, name: &'static str) -> Result<T, Unreadable> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Unreadable::new(name, text))
    }
}
