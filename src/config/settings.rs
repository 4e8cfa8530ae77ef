//! Every setting with its meaning, and its default as the model has it: what `oarlock settings` prints and README shows.

use std::fmt::Write;

use toml::{Table, Value};

use super::parse;

/// A setting: its section, its name, and what it says.
type Setting = (&'static str, &'static str, &'static str);

/// In the order of the sections.
const SETTINGS: &[Setting] = &[
    ("[site]", "name", "name of the site: letters, digits, `_`, `-`, `.`"),
    ("[site]", "user", "the service user, who watches nodes, reads accounts and drives links"),
    ("[site]", "password", "the service user's password"),
    ("[site]", "threads", "worker threads; `auto` is one a core"),
    ("[site]", "log", "what is logged: this and what matters more, of `error`, `warning`, `notice`, `info`, `debug`"),
    ("[site]", "state_dir", "the folder that remembers the writer, withdrawn nodes and stopped links"),
    ("[site]", "key_file", "the file with the key that opens sealed passwords"),
    ("[cluster]", "kind", "`galera`, or `standalone` for one server without Galera"),
    (
        "[cluster]",
        "probe_interval",
        "pause between two looks at a node; one whose connection breaks is looked at at once",
    ),
    ("[cluster]", "connect_timeout", "a node that can't be connected to for so long does not answer"),
    ("[cluster]", "read_timeout", "the same for its answer"),
    ("[cluster]", "write_timeout", "the same for taking the question"),
    ("[cluster]", "failback", "the writer's role goes back to the best node as soon as that is fit again"),
    (
        "[cluster]",
        "switch_wait",
        "how long open transactions may go on at a writer that works when another is to be it",
    ),
    ("[cluster]", "available_when_donor", "a donor stays in use whose snapshot method doesn't block it (mariabackup)"),
    ("[cluster]", "tls", "TLS with nodes; without it none is spoken"),
    ("[cluster] tls", "ca", "file with the certificates that vouch for those of nodes"),
    ("[cluster] tls", "certificate", "file with the certificate that is shown to nodes that ask for one"),
    ("[cluster] tls", "key", "file with the key of that"),
    ("[cluster] tls", "verify", "`false` in place of `ca`: any node is believed"),
    ("[[node]]", "name", "name of the node"),
    ("[[node]]", "address", "host and port; the port is 3306 if none is given"),
    ("[[node]]", "priority", "1 is first choice as writer; 0 only if no positive one is fit; negative never"),
    ("[[node]]", "proxy_protocol", "the node is told by the PROXY protocol for whom a session's connection is made"),
    ("[[listener]]", "name", "name of the listener"),
    ("[[listener]]", "address", "address and port where clients are taken"),
    ("[[listener]]", "service", "`read-write-split`, or `replication`: all on the writer, and dumps outlive nodes"),
    ("[[listener]]", "tls", "TLS with clients; without it none is spoken"),
    ("[[listener]]", "proxy_protocol", "addresses or networks of balancers that say for whom they come"),
    ("[[listener]] tls", "certificate", "file with the certificate, and those that vouch for it behind it"),
    ("[[listener]] tls", "key", "file with the key of that"),
    (
        "[[listener]] tls",
        "client_ca",
        "file with the certificates that vouch for those of clients; without it clients are asked for none",
    ),
    ("[[listener]] tls", "require", "clients without TLS are refused"),
    ("[[account]]", "user", "user of an account whose plugin tells the proxy too little: see Logins"),
    ("[[account]]", "host", "its host pattern, as the cluster has it"),
    ("[[account]]", "password", "its password"),
    ("[[link]]", "name", "name of the link, and of the replication connection on the writer"),
    ("[[link]]", "remote", "address of the other site's proxy, or a list of them; the port is 4007 if none is given"),
    ("[[link]]", "user", "the replication user there"),
    ("[[link]]", "password", "its password"),
    ("[[link]]", "heartbeat", "how often an idle remote says that it is there"),
    ("[[link]]", "retry", "pause before the writer connects to the remote again"),
    (
        "[[link]]",
        "admin",
        "the admin address of that proxy, by which the page shows its nodes; both have one token then",
    ),
    (
        "[[link]]",
        "admin_ca",
        "file with the certificates that vouch for the one there; without it no TLS is spoken there",
    ),
    (
        "[[link]]",
        "tls",
        "TLS with the remote, of the writer and of the proxy, which asks it too; without it none is spoken",
    ),
    ("[[link]] tls", "ca", "file with the certificates that vouch for the remote's"),
    ("[[link]] tls", "certificate", "file with the certificate that is shown to a remote that asks for one"),
    ("[[link]] tls", "key", "file with the key of that"),
    ("[[link]] tls", "verify", "`false` in place of `ca`: any remote is believed"),
    ("[[link]] tls", "node_ca", "where the nodes have the file of `ca`, if not at the same place as the proxy"),
    ("[[link]] tls", "node_certificate", "likewise"),
    ("[[link]] tls", "node_key", "likewise"),
    (
        "[read-write-split]",
        "readers",
        "how a reader is chosen: `adaptive` (response time and load) or `least-connections`",
    ),
    (
        "[read-write-split]",
        "causal_reads",
        "a read sees: `off` (what its node has), `session` (its session's writes), `cluster` (all)",
    ),
    ("[read-write-split]", "outcome", "a write cut off by a lost node is looked for (`resolve`) or reported (`error`)"),
    ("[read-write-split]", "outcome_wait", "how long it is looked for; then error 08007"),
    ("[read-write-split]", "replay", "work that certainly did not happen runs again, whole transactions, too"),
    ("[read-write-split]", "replay_bytes_max", "the longest transaction that does, in bytes of its commands"),
    (
        "[read-write-split]",
        "writer_loss",
        "a session whose writer is lost: `wait` for the next one, `error-on-write`, `disconnect`",
    ),
    ("[read-write-split]", "writer_wait", "how long a statement that needs the writer waits for one"),
    (
        "[read-write-split]",
        "multiplex",
        "sessions lend their node connections between transactions; needs `connections_max`",
    ),
    (
        "[replication]",
        "source_timeout",
        "a node that sends a replica nothing for so long has frozen: another one goes on",
    ),
    ("[replication]", "source_wait", "how long a replica waits for a node that can go on, before it has to come again"),
    (
        "[replication]",
        "group_bytes_max",
        "the longest transaction that waits in memory until it is whole; longer ones wait in a file",
    ),
    ("[admin]", "address", "where operators, programs and browsers ask; a loopback address, unless there is a token"),
    ("[admin]", "console", "where operators ask in SQL; a loopback address. Without it there is no console"),
    ("[admin]", "token", "what whoever gives orders must know; without it whoever gets at the address may"),
    ("[admin]", "tls", "TLS with operators, at `address`; without it none is spoken"),
    ("[admin] tls", "certificate", "file with the certificate, and those that vouch for it behind it"),
    ("[admin] tls", "key", "file with the key of that"),
    ("[limits]", "sessions_max", "sessions at a time; further clients get error 1040"),
    ("[limits]", "prepared_max", "binary prepared statements of one session"),
    ("[limits]", "connections_max", "connections to each node; by default as many as sessions"),
    ("[limits]", "connection_wait", "how long a session waits for one of them; then error 1040"),
    (
        "[limits]",
        "idle_connections_max",
        "connections to each node that are kept for the next session of their user; 0: none",
    ),
    ("[limits]", "idle_connection_timeout", "for how long they are kept"),
    (
        "[limits]",
        "login_failures_max",
        "a host from which so many logins in a row fail is blocked, unless others from there are logged in; 0: none",
    ),
    ("[limits]", "block_time", "for how long"),
    ("[limits]", "handshake_timeout", "how long a client may take to log in"),
    (
        "[limits]",
        "stall_timeout",
        "a client that stops within a packet, or takes none of its result, for so long is disconnected",
    ),
    ("[limits]", "drain_timeout", "how long sessions may take to finish after SIGTERM"),
    ("[limits]", "upgrade_wait", "how long sessions stay in a process from which another one has taken over"),
];

/// The least that can be written, an account and a link: everything else has its default.
const LEAST: &str = r#"
[site]
name = "a"
user = "a"
password = "a"
[[node]]
name = "a"
address = "a"
[[listener]]
name = "a"
address = "0.0.0.0:1"
service = "read-write-split"
[[account]]
user = "a"
password = "a"
[[link]]
name = "a"
remote = "a"
user = "a"
password = "a"
"#;

/// All of them as a table in Markdown.
pub fn markdown() -> String {
    let table = |text: &str| text.parse::<Table>().unwrap_or_default();
    let least = table(LEAST);
    let effective = parse(LEAST, |_| None, |_| Err(String::new())).map(|read| read.config.to_string());
    let effective = table(&effective.unwrap_or_default());
    let mut text = "| setting | default | is |\n|---|---|---|\n".to_owned();
    let mut last = "";
    for (section, name, means) in SETTINGS {
        if *section != last {
            // Writing to a string can't fail.
            let _ = writeln!(text, "| **`{section}`** | | |");
            last = section;
        }
        let default = match (value(&least, section, name), value(&effective, section, name)) {
            (Some(_), _) => "must be given".to_owned(),
            (None, Some(value)) => format!("`{value}`"),
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "| `{name}` | {default} | {means} |");
    }
    text
}

/// What a configuration has there, in the first block of this name. In a section of a section nothing has a default.
fn value<'a>(table: &'a Table, section: &str, name: &str) -> Option<&'a Value> {
    let section = section.strip_suffix(']').map(|section| section.trim_matches(['[', ']']))?;
    match table.get(section)? {
        Value::Array(blocks) => blocks.first()?.get(name),
        block => block.get(name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names that the reader of the file would take in this place.
    fn valid(place: &str) -> Vec<String> {
        let error = parse(place, |_| None, |_| Err(String::new())).unwrap_err().to_string();
        let (_, names) = error.split_once("valid here: ").unwrap_or_else(|| panic!("{place}: {error}"));
        names.split(", ").map(str::to_owned).collect()
    }

    #[test]
    fn none_is_missing_and_none_is_made_up() {
        let mut taken = BTreeSet::new();
        for section in valid("[zzzzzzzzzzzz]\n") {
            let block = ["node", "listener", "account", "link"].contains(&&*section);
            let header = if block { format!("[[{section}]]") } else { format!("[{section}]") };
            for name in valid(&format!("{header}\nzzzzzzzzzzzz = 1\n")) {
                if name == "tls" {
                    let inner = valid(&format!("{header}\ntls = {{ zzzzzzzzzzzz = 1 }}\n"));
                    taken.extend(inner.into_iter().map(|inner| (format!("{header} tls"), inner)));
                }
                taken.insert((header.clone(), name));
            }
        }
        let told: BTreeSet<_> =
            SETTINGS.iter().map(|(section, name, _)| ((*section).to_owned(), (*name).to_owned())).collect();
        assert_eq!(told, taken);
        assert_eq!(told.len(), SETTINGS.len());
    }

    #[test]
    fn readme_has_them() {
        let readme = std::fs::read_to_string("README.md").unwrap();
        let (_, section) = readme.split_once("\n## Settings\n").unwrap();
        assert!(section.contains(&markdown()), "`oarlock settings` prints what README should have");
    }

    #[test]
    fn defaults_are_those_of_the_model() {
        for line in
            ["| `name` | must be given |", "| `probe_interval` | `\"1s\"` |", "| `priority` | `0` |", "| `token` |  |"]
        {
            assert!(markdown().contains(line), "{line}");
        }
    }
}
