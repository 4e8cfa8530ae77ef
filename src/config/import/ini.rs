//! The text of a `maxscale.cnf` (pure): sections of settings, each with its line.

use std::cell::Cell;

/// A section.
#[derive(Debug)]
pub(super) struct Section {
    pub name: String,
    pub line: usize,
    pub settings: Vec<Setting>,
}

/// A setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// In lower case, with `_` between words.
    pub key: String,
    pub value: String,
    pub line: usize,
    /// Something has been made of it, or said of it.
    pub seen: Cell<bool>,
}

impl Section {
    /// The value of the last setting of this name.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().rev().find(|setting| setting.key == key).map(|setting| &*setting.value)
    }

    /// The entries of a list.
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.get(key).map(entries).unwrap_or_default()
    }

    /// The password, whichever name its setting has.
    pub fn password(&self) -> Option<&str> {
        self.get("password").or_else(|| self.get("passwd"))
    }

    pub fn is_of(&self, kind: &str) -> bool {
        self.get("type").is_some_and(|value| value.eq_ignore_ascii_case(kind))
    }
}

/// The entries of a list of names.
pub(super) fn entries(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect()
}

/// Reads a text; what is wrong is said with its line. A line that begins with a blank goes on with the value before it.
pub(super) fn read(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, raw) in (1..).zip(text.lines()) {
        let line = raw.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let last = sections.last_mut();
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| format!("line {number}: `[` without `]`"))?;
            sections.push(Section { name: name.trim().to_owned(), line: number, settings: Vec::new() });
        } else if raw.starts_with([' ', '\t'])
            && let Some(setting) = last.and_then(|section| section.settings.last_mut())
        {
            setting.value.push_str(line);
        } else if let (Some((key, value)), Some(section)) = (line.split_once('='), sections.last_mut()) {
            let key = key.trim().to_ascii_lowercase().replace('-', "_");
            section.settings.push(Setting { key, value: unquoted(value.trim()), line: number, seen: Cell::new(false) });
        } else {
            return Err(format!("line {number}: neither a section nor a setting in one: {line}"));
        }
    }
    Ok(sections)
}

/// Settings outside of any section, as files for shells have them.
pub(super) fn read_plain(text: &str) -> Result<Section, String> {
    let sections = read(&format!("[]\n{text}")).map_err(|error| error.replacen("line ", "before line ", 1))?;
    sections.into_iter().next().ok_or_else(|| "nothing in it".to_owned())
}

fn unquoted(value: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(value).to_owned()
}
