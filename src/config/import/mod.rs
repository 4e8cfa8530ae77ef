//! From a `maxscale.cnf` to a configuration (pure): the text of one, and a report of what became of each setting.
//!
//! It serves one Galera cluster, or one server, with readwritesplit and readconnroute in front. The settings of the guide's monitor script
//! become a link.

mod draft;
mod ini;
mod listeners;
mod maxpasswd;
mod monitor;
#[cfg(test)]
mod tests;
mod value;

use draft::{Block, text};
pub use draft::{Entry, Fate};
use ini::{Section, Setting};
pub use maxpasswd::Secrets;

use super::seal::Key;

/// What is to be imported.
#[derive(Default)]
pub struct Import<'a> {
    /// The text of the `maxscale.cnf`.
    pub cnf: &'a str,
    /// What the site is to be called.
    pub site: &'a str,
    /// The text of the monitor script's file of settings.
    pub maxinfo: Option<&'a str>,
    /// What opens encrypted passwords.
    pub secrets: Option<Secrets>,
    /// What seals passwords; without it they are written out.
    pub key: Option<Key>,
}

/// What came of it.
#[derive(Debug)]
pub struct Imported {
    /// The configuration.
    pub toml: String,
    /// What became of each setting, in the order of the files.
    pub report: Vec<Entry>,
}

/// The configuration in the making.
struct Translation<'a> {
    import: &'a Import<'a>,
    sections: &'a [Section],
    /// `$NAME` stands for a variable of the environment.
    substitutes: bool,
    site: Block,
    cluster: Block,
    split: Block,
    limits: Block,
    nodes: Vec<Block>,
    listeners: Vec<Block>,
    link: Option<Block>,
    report: Vec<Entry>,
}

const CNF: &str = "maxscale.cnf";
const MAXINFO: &str = "maxinfo";

/// Imports; an error says why nothing could come of it.
pub fn import(import: &Import) -> Result<Imported, String> {
    let sections = ini::read(import.cnf).map_err(|error| format!("{CNF}: {error}"))?;
    let maxinfo = import.maxinfo.map(ini::read_plain).transpose().map_err(|error| format!("{MAXINFO}: {error}"))?;
    let global = sections.iter().find(|section| section.is_global());
    let substitutes = global.and_then(|section| section.get("substitute_variables")).and_then(value::truth);
    let mut translation = Translation {
        import,
        sections: &sections,
        substitutes: substitutes.unwrap_or(false),
        site: Block::new("[site]"),
        cluster: Block::new("[cluster]"),
        split: Block::new("[read-write-split]"),
        limits: Block::new("[limits]"),
        nodes: Vec::new(),
        listeners: Vec::new(),
        link: None,
        report: Vec::new(),
    };
    translation.site.set("name", text(if import.site.is_empty() { "site" } else { import.site }));
    let monitor = translation.find_monitor()?;
    translation.monitor(monitor);
    if let Some(maxinfo) = &maxinfo {
        translation.link(maxinfo)?;
    }
    translation.services()?;
    if let Some(global) = global {
        translation.global(global);
    }
    translation.say_of_the_rest();
    translation.finish()
}

impl Section {
    fn is_global(&self) -> bool {
        self.get("type").is_none() && ["maxscale", "gateway"].iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }
}

impl<'a> Translation<'a> {
    /// Notes what became of a setting.
    fn note(&mut self, section: &Section, setting: &Setting, fate: Fate) {
        let hidden = ["password", "passwd", "monitorpw", "replication_password"].contains(&&*setting.key);
        let value = if hidden { "***" } else { &setting.value };
        setting.seen.set(true);
        let setting_text = format!("[{}] {}={value}", section.name, setting.key);
        self.report.push(Entry { file: CNF, line: setting.line, setting: setting_text, fate });
    }

    /// Notes what became of each setting of a section; the last of several with one name counts.
    fn note_each(&mut self, section: &'a Section, fate: fn(&mut Self, &'a Section, &'a Setting) -> Fate) {
        for (place, setting) in section.settings.iter().enumerate() {
            let again = section.settings[place + 1..].iter().find(|later| later.key == setting.key);
            let fate = match again {
                Some(later) if later.value != setting.value => {
                    Fate::Different(format!("set again on line {}, which is what counts", later.line))
                }
                Some(later) => Fate::Taken(format!("the same as on line {}", later.line)),
                None => fate(self, section, setting),
            };
            self.note(section, setting, fate);
        }
    }

    /// A password as it is to be written.
    fn password(&self, written: &str) -> (String, Option<&'static str>) {
        if let Some(reference) = self.reference(written) {
            return (reference, None);
        }
        let opened = self.import.secrets.as_ref().and_then(|secrets| secrets.open(written));
        let remark = (opened.is_none() && maxpasswd::looks_encrypted(written))
            .then_some("it looks encrypted, and was taken as it is; name the .secrets file with --secrets");
        let plain = opened.unwrap_or_else(|| super::secret::Secret::new(written.to_owned()));
        let sealed = self.import.key.as_ref().and_then(|key| key.seal(&plain).ok());
        (sealed.map_or_else(|| text(plain.reveal()), |sealed| text(&sealed)), remark)
    }

    /// A string as it is to be written, or the variable it stands for.
    fn string(&self, written: &str) -> String {
        self.reference(written).unwrap_or_else(|| text(written))
    }

    fn reference(&self, written: &str) -> Option<String> {
        let name = written.strip_prefix('$').filter(|_| self.substitutes)?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| format!("\"${{{name}}}\""))
    }

    /// `[maxscale]`
    fn global(&mut self, section: &'a Section) {
        let shown = |key, default| section.get(key).and_then(value::truth).unwrap_or(default);
        let level = match (shown("log_debug", false), shown("log_info", false), shown("log_notice", true)) {
            (true, ..) => "debug",
            (_, true, _) => "info",
            (.., true) => "notice",
            _ if shown("log_warning", true) => "warning",
            _ => "error",
        };
        self.site.set("log", text(level));
        self.note_each(section, |this, _, setting| this.global_setting(setting));
    }

    fn global_setting(&mut self, setting: &Setting) -> Fate {
        let log = self.site.get("log").unwrap_or_default().to_owned();
        let truth = value::truth(&setting.value);
        match (&*setting.key, truth) {
            ("threads", _) if setting.value == "auto" => self.site.set("threads", "\"auto\""),
            ("threads", _) if setting.value.parse::<usize>().is_ok() => self.site.set("threads", &*setting.value),
            ("log_debug" | "log_info" | "log_notice" | "log_warning", Some(_)) => {
                Fate::Taken(format!("[site] log = {log}"))
            }
            ("substitute_variables", Some(true)) => Fate::Taken("`${NAME}` in any string".to_owned()),
            ("substitute_variables", Some(false)) => Fate::Taken("no `${NAME}` is written".to_owned()),
            ("syslog" | "maxlog", Some(false)) | ("ms_timestamp", _) => {
                Fate::Taken("the log is written to stderr, with microseconds".to_owned())
            }
            ("syslog" | "maxlog", Some(true)) => {
                Fate::Different("the log is written to stderr, where systemd takes it from".to_owned())
            }
            (key, _) if key.starts_with("admin_") => {
                Fate::Different("[admin] address: another API, on loopback only, 127.0.0.1:4008".to_owned())
            }
            _ => lost(),
        }
    }

    /// What nothing has been made of.
    fn say_of_the_rest(&mut self) {
        for section in self.sections {
            let why = match section.get("type") {
                Some("server") => "no monitor in use has this server",
                Some("filter") => "there are no filters",
                _ => "no counterpart",
            };
            for setting in section.settings.iter().filter(|setting| !setting.seen.get()) {
                self.note(section, setting, Fate::Lost(why.to_owned()));
            }
        }
        self.report.sort_by_key(|entry| (entry.file != CNF, entry.line));
    }

    /// Prints it, and reads it again to be sure.
    fn finish(self) -> Result<Imported, String> {
        let mut toml = "# Made of a maxscale.cnf by `oarlock import`. What each setting means, and what else there is: config/ and README.\n".to_owned();
        let blocks =
            [&self.site, &self.cluster].into_iter().chain(&self.nodes).chain(&self.listeners).chain(&self.link);
        blocks.chain([&self.split, &self.limits]).for_each(|block| block.print(&mut toml));
        let key = self.import.key.clone();
        let read = super::parse(&toml, |_| Some("x".to_owned()), |_| key.ok_or_else(String::new));
        match read {
            Ok(_) => Ok(Imported { toml, report: self.report }),
            Err(error) => Err(format!("what came of it is not valid: {error}\n{toml}")),
        }
    }
}

fn lost() -> Fate {
    Fate::Lost("no counterpart".to_owned())
}

fn taken(what: &str) -> Fate {
    Fate::Taken(what.to_owned())
}

fn different(why: &str) -> Fate {
    Fate::Different(why.to_owned())
}
