//! The configuration as an operator meets it: texts in, a model or an error with its line out.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::routing::reader::Policy;

use super::model::{Kind, LogLevel, Service, Threads};
use super::seal::Key;
use super::secret::Secret;
use super::{Config, ConfigError, differences, in_force, load, model, parse};

const SMALL: &str = r#"
[site]
name = "dc"
user = "maxuser"
password = "${SECRET}"

[[node]]
name = "galera-71"
address = "192.168.56.71"

[[listener]]
name = "applications"
address = "0.0.0.0:4006"
service = "read-write-split"
"#;

const LINK: &str = r#"
[[link]]
name = "dr"
remote = ["192.168.56.80", "[::1]:3306"]
user = "repl_user"
password = "${SECRET}"
"#;

fn no_key(path: &Path) -> Result<Key, String> {
    Err(format!("no key in {}", path.display()))
}

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(text, |name| (name == "SECRET").then(|| "s3\"cret".to_owned()), no_key).map(|read| read.config)
}

/// The error of [`SMALL`] with one line replaced or, if `old` is empty, with text at its end.
fn error(old: &str, new: &str) -> String {
    assert!(SMALL.contains(old));
    let text = if old.is_empty() { format!("{SMALL}{new}") } else { SMALL.replacen(old, new, 1) };
    read(&text).unwrap_err().to_string()
}

#[test]
fn fills_in_the_defaults() {
    let config = read(SMALL).unwrap();
    assert_eq!(config.site.password.reveal(), "s3\"cret");
    assert_eq!((config.site.threads, config.site.log), (Threads::Auto, LogLevel::Notice));
    assert_eq!(config.cluster.kind, Kind::Galera);
    assert_eq!(config.cluster.probe_interval.as_secs(), 1);
    assert_eq!(config.nodes[0].address.to_string(), "192.168.56.71:3306");
    assert_eq!((config.nodes[0].priority, config.listeners[0].service), (0, Service::ReadWriteSplit));
    assert_eq!(config.read_write_split.readers, Policy::Adaptive);
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:4008");
    assert_eq!(config.limits.handshake_timeout.as_secs(), 10);
}

#[test]
fn what_is_printed_reads_the_same_and_hides_the_secret() {
    let more = "[cluster]\ntls = { verify = false, certificate = \"/c\", key = \"/k\" }\nread_timeout = \"1500ms\"\n[limits]\nsessions_max = 7\n";
    let config = read(&format!("{SMALL}{LINK}{more}")).unwrap();
    let printed = config.to_string();
    assert!(!printed.contains("s3"), "{printed}");
    assert!(!format!("{config:?}").contains("s3"));
    let again = read(&printed.replace("***", "${SECRET}")).unwrap();
    assert_eq!(again, config);
}

#[test]
fn errors_name_the_line_and_the_nearest_name() {
    for (old, new, expected) in [
        ("user =", "usr =", "configuration:4: unknown setting `usr`; did you mean `user`?"),
        ("", "[clutser]\n", "configuration:15: unknown setting `clutser`; did you mean `cluster`?"),
        (
            "",
            "[cluster]\nprobe-intervall = 1\n",
            "configuration:16: unknown setting `probe-intervall`; did you mean `probe_interval`?",
        ),
        ("", "[cluster]\nkind = \"galra\"\n", "configuration:16: unknown value `galra`; did you mean `galera`?"),
        ("", "[cluster]\nkind = \"x\"\n", "configuration:16: unknown value `x`; valid here: galera, standalone"),
        (
            "",
            "[admin]\nport = 1\n",
            "configuration:16: unknown setting `port`; valid here: address, console, token, tls",
        ),
        (
            "",
            "[[remote]]\nname = \"dr\"\n",
            "configuration:15: unknown setting `remote`; valid here: site, cluster, node, listener, account, link, read-write-split, replication, admin, limits",
        ),
        ("user = \"maxuser\"\n", "", "configuration:2: missing setting `user`"),
        (
            "\"read-write-split\"",
            "\"replicaton\"",
            "configuration:14: unknown value `replicaton`; did you mean `replication`?",
        ),
        ("dc\"", "dc", "configuration:3: invalid basic string, expected `\"`"),
        (
            "",
            "[cluster]\nread_timeout = 3\n",
            "configuration:16: invalid type: integer `3`, expected a duration above zero with its unit, such as \"500ms\", \"3s\", \"2m\" or \"1h\"",
        ),
        (
            "",
            "[cluster]\nread_timeout = \"0s\"\n",
            "configuration:16: invalid value: string \"0s\", expected a duration above zero with its unit, such as \"500ms\", \"3s\", \"2m\" or \"1h\"",
        ),
        ("", "[cluster]\nprobe_interval = \"1ms\"\n", "configuration:16: probe_interval is less than \"50ms\""),
        ("", "[limits]\nsessions_max = 0\n", "configuration:16: 0 is not a number from 1 to 4294967295"),
        (
            "name = \"dc\"",
            "name = \"dc\"\nthreads = \"many\"",
            "configuration:4: invalid value: string \"many\", expected \"auto\" or a number from 1 to 256",
        ),
        (
            "192.168.56.71",
            "a:b",
            "configuration:9: invalid value: string \"a:b\", expected `host:port`, such as \"192.168.56.71:3306\"",
        ),
        ("0.0.0.0:4006", "4006", "configuration:13: invalid socket address syntax"),
        (
            "",
            "[admin]\nconsole = \"10.1.2.3:4009\"\n",
            "configuration:16: the console address 10.1.2.3:4009 is open to others; use a loopback address such as \"127.0.0.1:4009\"",
        ),
        (
            "",
            "[admin]\naddress = \"0.0.0.0:4008\"\n",
            "configuration:16: the admin address 0.0.0.0:4008 is open to others; use a loopback address such as \"127.0.0.1:4008\", or set a `token`",
        ),
        (
            "",
            "[admin]\ntoken = \"too short\"\n",
            "configuration:16: the token is not 16 to 256 ASCII characters without spaces; `openssl rand -hex 32` makes a good one",
        ),
        (
            "\"dc\"",
            "\"a/b\"",
            "configuration:3: `a/b` is not a name: 1 to 64 letters, digits, `_`, `-` or `.`, the first no `.`",
        ),
    ] {
        assert_eq!(error(old, new), expected, "{old:?} -> {new:?}");
    }
}

#[test]
fn values_are_judged_together() {
    for (old, new, expected) in [
        ("${SECRET}", "${OTHER}", "configuration:5: the environment variable OTHER is not set"),
        (
            "",
            "[[node]]\nname = \"galera-71\"\naddress = \"x:1\"\n",
            "configuration:16: two nodes have the name `galera-71`",
        ),
        (
            "",
            "[[node]]\nname = \"b\"\naddress = \"192.168.56.71:3306\"\n",
            "configuration:17: two nodes have the address `192.168.56.71:3306`",
        ),
        (
            "",
            "[[node]]\nname = \"b\"\naddress = \"b\"\n[cluster]\nkind = \"standalone\"\n",
            "configuration:16: a standalone site has one node; set kind = \"galera\" in [cluster] for a cluster",
        ),
        (
            "",
            "[read-write-split]\nmultiplex = true\n",
            "configuration:16: multiplex shares out the connections of a node, and nothing says how many: set connections_max in [limits]",
        ),
        (
            "[site]",
            "[limits]\nconnections_max = 3\n[site]\nthreads = 4",
            "configuration:3: connections_max is less than the 4 worker threads, each of which needs one",
        ),
    ] {
        assert_eq!(error(old, new), expected, "{old:?} -> {new:?}");
    }
    assert_eq!(
        read("[site]\nname=\"a\"\nuser=\"u\"\npassword=\"p\"\n").unwrap_err().to_string(),
        "configuration: no node: name at least one in a [[node]] section"
    );
}

#[test]
fn somebody_must_be_able_to_be_the_writer() {
    let expected = "configuration:8: every node has a negative priority: none may be the writer";
    assert_eq!(error("\"192.168.56.71\"", "\"b\"\npriority = -1"), expected);
}

#[test]
fn plain_passwords_are_for_the_owner_only() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(SMALL.replace("${SECRET}", "plain").as_bytes()).unwrap();
    let set_mode = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    for (mode, allowed) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        set_mode(mode);
        assert_eq!(load(file.path()).is_ok(), allowed, "{mode:o}");
    }
    let message = load(file.path()).unwrap_err().to_string();
    assert!(message.contains(":5: ") && message.contains("chmod 600"), "{message}");
}

#[test]
fn a_password_from_the_environment_may_be_in_an_open_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(SMALL.replace("SECRET", "PATH").as_bytes()).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load(file.path()).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let message = load("/nowhere/oarlock.toml".as_ref()).unwrap_err().to_string();
    assert!(message.starts_with("/nowhere/oarlock.toml: cannot read it: "), "{message}");
}

#[test]
fn the_examples_are_valid_and_their_comments_are_the_defaults() {
    let environment =
        |name: &str| ["OARLOCK_PASSWORD", "OARLOCK_REPL_PASSWORD"].contains(&name).then(|| "secret".to_owned());
    let read = |text: &str| parse(text, environment, no_key).unwrap().config;
    let (primary, dr) = (include_str!("../../config/primary-dc.toml"), include_str!("../../config/dr.toml"));
    assert_eq!((read(primary).nodes.len(), read(primary).cluster.kind), (3, Kind::Galera));
    assert_eq!((read(dr).nodes.len(), read(dr).cluster.kind), (1, Kind::Standalone));
    assert_eq!((&*read(primary).links[0].name, &*read(dr).links[0].name), ("dr", "dc"));
    let is_setting =
        |line: &str| line.starts_with("#[") || line.split_once(" = ").is_some_and(|(name, _)| !name.contains(' '));
    let uncommented: Vec<&str> =
        primary.lines().map(|line| line.strip_prefix('#').filter(|_| is_setting(line)).unwrap_or(line)).collect();
    assert_ne!(uncommented.join("\n"), primary.trim_end());
    assert_eq!(read(&uncommented.join("\n")), read(primary));
}

#[test]
fn a_link_is_read() {
    let config = read(&format!("{SMALL}{LINK}heartbeat = \"2500ms\"\n")).unwrap();
    let link = &config.links[0];
    assert_eq!((&*link.name, &*link.user, link.password.reveal()), ("dr", "repl_user", "s3\"cret"));
    assert_eq!(
        (link.remote[0].to_string(), link.remote[1].to_string()),
        ("192.168.56.80:4007".into(), "[::1]:3306".into())
    );
    assert_eq!((link.heartbeat.as_millis(), link.retry.as_secs()), (2500, 1));
    let one = read(&format!("{SMALL}{}", LINK.replace("[\"192.168.56.80\", \"[::1]:3306\"]", "\"dr:4007\""))).unwrap();
    assert_eq!(one.links[0].remote[0].to_string(), "dr:4007");
}

#[test]
fn errors_of_links_name_the_line() {
    for (old, new, expected) in [
        ("[\"192.168.56.80\", \"[::1]:3306\"]", "[]", "configuration:18: a remote has 1 to 8 addresses"),
        (
            "[\"192.168.56.80\", \"[::1]:3306\"]",
            "\"a:b\"",
            "configuration:18: invalid value: string \"a:b\", expected `host:port`, such as \"192.168.56.80:4007\"",
        ),
        (
            "[\"192.168.56.80\", \"[::1]:3306\"]",
            "1",
            "configuration:18: expected `host:port`, such as \"192.168.56.80:4007\", or a list of these",
        ),
        ("repl_user", "", "configuration:19: the replication user has no name"),
        ("\nuser", "\nretry = \"1500ms\"\nuser", "configuration:19: not a multiple of \"1s\" up to \"1h\""),
        (
            "\"dr\"",
            "\"it's\"",
            "configuration:17: `it's` is not a name: 1 to 64 letters, digits, `_`, `-` or `.`, the first no `.`",
        ),
    ] {
        assert!(LINK.contains(old));
        let text = format!("{SMALL}{}", LINK.replacen(old, new, 1));
        assert_eq!(read(&text).unwrap_err().to_string(), expected);
    }
    let twice = format!("{SMALL}{LINK}{}", LINK.replace("\"dr\"", "\"DR\""));
    assert_eq!(read(&twice).unwrap_err().to_string(), "configuration:23: two links have the name `dr`");
}

#[test]
fn a_token_opens_the_admin_address_to_others_and_is_secret() {
    let with = |token: &str| format!("{SMALL}[admin]\naddress = \"0.0.0.0:4008\"\ntoken = \"{token}\"\n");
    let parsed = parse(&with("0123456789abcdef"), |_| Some("x".to_owned()), no_key).unwrap();
    assert_eq!(parsed.plain_secret_line, Some(17));
    assert_eq!(parsed.config.admin.address.to_string(), "0.0.0.0:4008");
    assert!(!parsed.config.to_string().contains("0123456789"));
    let other = parse(&with("0123456789abcdeF"), |_| Some("x".to_owned()), no_key).unwrap();
    assert_eq!(differences(&parsed.config, &other.config).into_iter().collect::<Vec<_>>(), ["admin.token"]);
    assert_eq!(in_force(&parsed.config, &other.config).unwrap(), other.config);
}

#[test]
fn a_plain_password_of_a_link_is_seen() {
    let line = |text: &str| parse(text, |_| Some("x".to_owned()), no_key).unwrap().plain_secret_line;
    assert_eq!(line(&format!("{SMALL}{LINK}")), None);
    let plain = LINK.replace("${SECRET}", "written");
    assert_eq!(line(&format!("{SMALL}{plain}")), Some(20));
}

#[test]
fn sealed_secrets_are_opened_with_the_key_of_the_file() {
    let key = Key::random().unwrap();
    let sealed = key.seal(&Secret::new("s3\"cret".to_owned())).unwrap();
    let text = format!("{SMALL}{LINK}").replace("${SECRET}", &sealed);
    let at = text.replace("[site]", "[site]\nkey_file = \"/a/key\"");
    let read = parse(&at, |_| None, |path| if path == Path::new("/a/key") { Ok(key) } else { Err(String::new()) });
    let read = read.unwrap();
    assert_eq!(read.config.site.password.reveal(), "s3\"cret");
    assert_eq!(read.config.links[0].password.reveal(), "s3\"cret");
    assert_eq!(read.plain_secret_line, None, "others may read it");
    let plain = text.replacen(&sealed, "plain", 1);
    let open = |text: &str, key: &Key| parse(text, |_| None, |_| Ok(key.clone()));
    let (key, other) = (Key::random().unwrap(), Key::random().unwrap());
    let plain = plain.replace(&sealed, &key.seal(&Secret::new("a".to_owned())).unwrap());
    assert_eq!(open(&plain, &key).unwrap().plain_secret_line, Some(5));
    let error = open(&plain, &other).unwrap_err().to_string();
    assert!(
        error.starts_with("configuration:20: this secret can't be opened with /etc/oarlock/key: it was sealed"),
        "{error}"
    );
    let error = self::read(&plain).unwrap_err().to_string();
    assert_eq!(error, "configuration:20: a sealed secret: no key in /etc/oarlock/key");
}

#[test]
fn differences_are_named_by_their_settings() {
    let tls = "service = \"read-write-split\"\ntls = { certificate = \"/c\", key = \"/k\" }";
    let node = "[[node]]\nname = \"galera-72\"\naddress = \"192.168.56.72\"\n";
    for (old, new, names) in [
        ("", "", &[][..]),
        ("password = \"${SECRET}\"", "password = \"other\"", &["site.password"]),
        ("[[node]]", "[cluster]\nread_timeout = \"7s\"\n[[node]]", &["cluster.read_timeout"]),
        ("user = \"maxuser\"", "user = \"maxuser\"\nlog = \"info\"\nthreads = 3", &["site.log", "site.threads"]),
        ("address = \"192.168.56.71\"", "address = \"192.168.56.71\"\npriority = 2", &["node.galera-71.priority"]),
        ("galera-71", "galera-72", &["node.galera-71", "node.galera-72"]),
        ("[[listener]]", &format!("{node}[[listener]]"), &["node.galera-72"]),
        ("service = \"read-write-split\"", tls, &["listener.applications.tls"]),
    ] {
        let different = SMALL.replacen(old, new, 1);
        let found = differences(&read(SMALL).unwrap(), &read(&different).unwrap());
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), names, "{new}");
    }
    let with = |old: &str, new: &str| read(&format!("{SMALL}{LINK}{node}").replacen(old, new, 1)).unwrap();
    let found = |old, new| differences(&with("", ""), &with(old, new)).into_iter().collect::<Vec<_>>();
    assert_eq!(
        found("user = \"repl_user\"\npassword = \"${SECRET}\"", "user = \"repl_user\"\npassword = \"p\""),
        ["link.dr.password"]
    );
}

#[test]
fn what_can_change_does_and_nodes_keep_their_places() {
    let node = |number: u8, more: &str| {
        format!("[[node]]\nname = \"galera-{number}\"\naddress = \"192.168.56.{number}\"\n{more}")
    };
    let with = |from: &str, to: &str, nodes: &str| read(&format!("{}{nodes}", SMALL.replacen(from, to, 1))).unwrap();
    let list = |config: &Config| -> Vec<String> {
        let nodes = config.nodes.iter();
        nodes
            .map(|node| format!("{} {} {}", node.name, node.priority, if node.leaves { "leaves" } else { "" }))
            .collect()
    };
    let begun = with("", "", &node(72, ""));
    let more = "[cluster]\nkind = \"standalone\"\nread_timeout = \"7s\"\n[read-write-split]\nreplay = false\n[limits]\nsessions_max = 7\n[[node]]";
    let new = with("[[node]]", more, "");
    let new = Config { nodes: with("", "", &node(73, "priority = 4\n")).nodes, ..new };
    let next = in_force(&begun, &new).unwrap();
    assert_eq!(list(&next), ["galera-71 0 ", "galera-72 0 leaves", "galera-73 4 "]);
    let waits: Vec<_> = differences(&next, &new).into_iter().collect();
    assert_eq!(waits, ["cluster.kind"]);
    let applied: Vec<_> = differences(&begun, &next).into_iter().collect();
    let limits = ["limits.connections_max", "limits.sessions_max", "node.galera-72", "node.galera-73"];
    assert_eq!(applied, [&["cluster.read_timeout"][..], &limits, &["read-write-split.replay"]].concat());
    // What has left comes back to its place; at another address it is another one.
    let back = in_force(&next, &begun).unwrap();
    assert_eq!(list(&back), ["galera-71 0 ", "galera-72 0 ", "galera-73 4 leaves"]);
    let moved = in_force(&back, &with("192.168.56.71", "192.168.56.74", &node(72, "priority = 9\n"))).unwrap();
    assert_eq!(list(&moved), ["galera-71 0 leaves", "galera-72 9 ", "galera-73 4 leaves", "galera-71 0 "]);
    let mut last = begun;
    let refusal = (100..=255).find_map(|number| match in_force(&last, &with("", "", &node(number, ""))) {
        Ok(next) => {
            last = next;
            None
        }
        Err(why) => Some((number, why)),
    });
    let places = model::PLACES_MAX as u8;
    assert_eq!(
        refusal,
        Some((100 + places - 2, format!("more than {places} nodes have come and gone: that takes a restart")))
    );
}

/// By their names, at whatever address.
#[test]
fn listeners_keep_their_places() {
    let listener = |name: &str, port: u16| {
        format!("[[listener]]\nname = \"{name}\"\naddress = \"0.0.0.0:{port}\"\nservice = \"replication\"\n")
    };
    let with = |more: &[String]| read(&format!("{SMALL}{}", more.concat())).unwrap();
    let list = |config: &Config| -> Vec<String> {
        let listeners = config.listeners.iter().skip(1);
        listeners.map(|one| format!("{} {} {}", one.name, one.address.port(), one.leaves)).collect()
    };
    let begun = with(&[listener("a", 1), listener("b", 2)]);
    let next = in_force(&begun, &with(&[listener("c", 1), listener("b", 3)])).unwrap();
    assert_eq!(list(&next), ["a 1 true", "b 3 false", "c 1 false"]);
    let names: Vec<_> = differences(&begun, &next).into_iter().collect();
    assert_eq!(names, ["listener.a", "listener.b.address", "listener.c"]);
    let back = in_force(&next, &begun).unwrap();
    assert_eq!(list(&back), ["a 1 false", "b 2 false", "c 1 true"]);
}

#[test]
fn tls_with_nodes_says_whom_to_believe() {
    for (tls, why) in [
        ("ca = \"/ca\"", None),
        ("ca = \"/ca\", certificate = \"/c\", key = \"/k\"", None),
        ("verify = false", None),
        ("", Some("name the `ca`")),
        ("ca = \"/ca\", verify = false", Some("says the opposite")),
        ("ca = \"/ca\", key = \"/k\"", Some("belong together")),
    ] {
        let said = read(&format!("{SMALL}\n[cluster]\ntls = {{ {tls} }}")).map_err(|error| error.to_string());
        assert_eq!(said.is_ok(), why.is_none(), "{tls}");
        assert!(
            said.err().is_none_or(|said| said.contains(why.unwrap()) && said.starts_with("configuration:17:")),
            "{tls}"
        );
    }
}

#[test]
fn a_links_files_may_be_elsewhere_on_nodes() {
    let with = |tls: &str| read(&format!("{SMALL}{LINK}tls = {{ {tls} }}\n"));
    let file = |path: &Option<PathBuf>| path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    for (tls, ca, certificate) in [
        ("ca = \"/ca\"", "/ca", ""),
        ("ca = \"/ca\", node_ca = \"/n/ca\"", "/n/ca", ""),
        ("verify = false, certificate = \"/c\", key = \"/k\"", "", "/c"),
        (
            "ca = \"/ca\", certificate = \"/c\", key = \"/k\", node_certificate = \"/n/c\", node_key = \"/n/k\"",
            "/ca",
            "/n/c",
        ),
    ] {
        let config = with(tls).unwrap();
        let on_nodes = config.links[0].tls.clone().unwrap().on_nodes;
        let shown = file(&on_nodes.shown.map(|(certificate, _)| certificate));
        assert_eq!((&*file(&on_nodes.ca), &*shown), (ca, certificate), "{tls}");
        assert_eq!(read(&config.to_string().replace("***", "${SECRET}")).unwrap(), config);
    }
    let long = format!("ca = \"/{}\"", "x".repeat(model::SERVER_PATH_BYTES_MAX));
    for (tls, why) in [
        ("", "the remote is to be verified"),
        ("verify = false, node_ca = \"/ca\"", "there is no `ca`"),
        ("ca = \"/ca\", node_key = \"/k\"", "belong together"),
        (&long, "no name as long"),
    ] {
        let error = with(tls).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn balancers_are_networks_or_addresses() {
    let with = |balancers: &str| {
        let listener = "service = \"read-write-split\"";
        read(&SMALL.replacen(listener, &format!("{listener}\nproxy_protocol = {balancers}"), 1))
    };
    let config = with("[\"10.0.0.0/8\", \"192.168.56.70\", \"::1\"]").unwrap();
    let networks: Vec<_> = config.listeners[0].proxy_protocol.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.168.56.70/32", "::1/128"]);
    assert_eq!(read(&config.to_string().replace("***", "${SECRET}")).unwrap(), config);
    let error = with("[\"10.0.0.0/99\"]").unwrap_err().to_string();
    assert!(error.starts_with("configuration:15:") && error.contains("such as \"10.0.0.0/8\""), "{error}");
}
