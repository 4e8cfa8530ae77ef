//! A configuration in the making (pure): blocks of settings, and what became of each setting of the other program.

use std::fmt::{self, Write};

/// What became of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The same here; this is where it stands.
    Taken(String),
    /// There is something like it; what differs.
    Different(String),
    /// There is nothing like it; why.
    Lost(String),
}

/// A setting of the other program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file it stands in.
    pub file: &'static str,
    /// Its line there.
    pub line: usize,
    /// `[section] key=value`, without secrets.
    pub setting: String,
    /// What became of it.
    pub fate: Fate,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Fate::Taken(what) | Fate::Different(what) | Fate::Lost(what)) = &self.fate;
        write!(f, "{}:{}: {} -> {what}", self.file, self.line, self.setting)
    }
}

/// A section of the configuration.
#[derive(Debug)]
pub(super) struct Block {
    header: &'static str,
    lines: Vec<(&'static str, String)>,
}

impl Block {
    pub fn new(header: &'static str) -> Self {
        Self { header, lines: Vec::new() }
    }

    /// Sets something that can have one value only. The first one stays.
    pub fn set(&mut self, key: &'static str, value: impl Into<String>) -> Fate {
        let value = value.into();
        match self.lines.iter().find(|(known, _)| *known == key) {
            Some((_, other)) if *other != value => {
                Fate::Different(format!("{} has one {key} for all, which is {other}", self.header))
            }
            Some(_) => Fate::Taken(format!("{} {key} = {value}", self.header)),
            None => {
                let fate = Fate::Taken(format!("{} {key} = {value}", self.header));
                self.lines.push((key, value));
                fate
            }
        }
    }

    /// The same of something that is not to be seen.
    pub fn set_hidden(&mut self, key: &'static str, value: String) -> Fate {
        match self.set(key, value) {
            Fate::Taken(_) => Fate::Taken(format!("{} {key}", self.header)),
            _ => Fate::Different(format!("{} has one {key} for all, and it is another", self.header)),
        }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.iter().find(|(known, _)| *known == key).map(|(_, value)| &**value)
    }

    pub fn print(&self, out: &mut String) {
        if self.lines.is_empty() {
            return;
        }
        // Writing to a string can't fail.
        let _ = writeln!(out, "\n{}", self.header);
        for (key, value) in &self.lines {
            let _ = writeln!(out, "{key} = {value}");
        }
    }
}

/// A string as the configuration has it; `${` in it means itself.
pub(super) fn text(value: &str) -> String {
    toml::Value::from(value.replace("${", "$${")).to_string()
}

/// A name as the configuration takes it.
pub(super) fn name(value: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '-' };
    let name: String = value.trim_start_matches('.').chars().map(fits).take(64).collect();
    text(&name)
}
