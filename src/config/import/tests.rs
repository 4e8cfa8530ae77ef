//! Configurations as people have them: what comes of each, and what is said of it.

use super::{Entry, Fate, Import, Imported, Secrets, import};
use crate::config::seal::Key;
use crate::config::{Config, model, parse};

const PRIMARY: &str = include_str!("../../../tests/maxscale/primary-dc.cnf");
const DR: &str = include_str!("../../../tests/maxscale/dr.cnf");
const MAXINFO: &str = include_str!("../../../tests/maxscale/maxinfo");

fn read(imported: &Imported) -> Config {
    let environment = |name: &str| Some(format!("value of {name}"));
    parse(&imported.toml, environment, |_| Err("no key".to_owned())).unwrap().config
}

/// What was not taken over as it was.
fn remarks(imported: &Imported) -> Vec<String> {
    let is_remark = |entry: &&Entry| !matches!(entry.fate, Fate::Taken(_));
    imported.report.iter().filter(is_remark).map(Entry::to_string).collect()
}

/// A small one, with `old` replaced.
fn small(old: &str, new: &str) -> String {
    let text = "[maxscale]\nthreads=4\n\n[a]\ntype=server\naddress=10.0.0.1\n\n[b]\ntype=server\naddress=db2\nport=3307\n\n\
        [M]\ntype=monitor\nmodule=galeramon\nservers=a, b\nuser=u\npassword=p\n\n\
        [S]\ntype=service\nrouter=readwritesplit\ncluster=M\nuser=u\npassword=p\n\n\
        [L]\ntype=listener\nservice=S\nport=4006\n";
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

fn of(cnf: &str) -> Imported {
    import(&Import { cnf, site: "dc", ..Import::default() }).unwrap()
}

#[test]
fn the_primary_site_of_the_guide_comes_over_without_a_remark() {
    let imported = import(&Import { cnf: PRIMARY, site: "dc", maxinfo: Some(MAXINFO), ..Import::default() }).unwrap();
    assert_eq!(remarks(&imported), Vec::<String>::new());
    assert!(
        imported.report.iter().all(|entry| !entry.to_string().contains("SecretP@ssw0rd")),
        "{:#?}",
        imported.report
    );
    let settings = PRIMARY.lines().chain(MAXINFO.lines()).filter(|line| line.contains('=') && !line.starts_with('#'));
    assert_eq!(imported.report.len(), settings.count(), "something is said of each setting");
    let mut config = read(&imported);
    assert_eq!(
        (&*config.site.name, &*config.site.user, config.site.password.reveal()),
        ("dc", "maxuser", "SecretP@ssw0rd")
    );
    let nodes: Vec<_> =
        config.nodes.iter().map(|node| (&*node.name, node.address.to_string(), node.priority)).collect();
    let node = |name, host, priority| (name, format!("192.168.56.{host}:3306"), priority);
    assert_eq!(nodes, [node("Galera-71", 71, 1), node("Galera-72", 72, 2), node("Galera-73", 73, 3)]);
    let listeners =
        config.listeners.iter().map(|listener| (&*listener.name, listener.address.to_string(), listener.service));
    let (split, replication) = (model::Service::ReadWriteSplit, model::Service::Replication);
    assert_eq!(
        listeners.collect::<Vec<_>>(),
        [
            ("Galera-RW-Service", "0.0.0.0:4006".to_owned(), split),
            ("Replication-Service", "0.0.0.0:4007".to_owned(), replication)
        ]
    );
    let link = &config.links[0];
    assert_eq!(
        (&*link.name, link.remote[0].to_string(), &*link.user),
        ("DR-MaxScale", "192.168.56.80:4007".to_owned(), "repl_user")
    );
    // All else is as in the example of this site, but for the console, which the other program does not have.
    let example = include_str!("../../../config/primary-dc.toml");
    let example = parse(example, |_| Some("SecretP@ssw0rd".to_owned()), |_| Err(String::new())).unwrap().config;
    config.nodes.clone_from(&example.nodes);
    config.listeners.clone_from(&example.listeners);
    config.links[0].name.clone_from(&example.links[0].name);
    config.admin.clone_from(&example.admin);
    assert_eq!(config, example);
}

#[test]
fn so_does_the_other_site() {
    let imported = of(DR);
    assert_eq!(remarks(&imported), Vec::<String>::new());
    let config = read(&imported);
    assert_eq!((config.cluster.kind, config.nodes.len()), (model::Kind::Standalone, 1));
    assert_eq!(config.cluster.probe_interval.as_secs(), 2);
    let names: Vec<_> = config.listeners.iter().map(|listener| (&*listener.name, listener.address.port())).collect();
    assert_eq!(names, [("Server-RW-Service", 4006), ("Replication-Service", 4007)]);
}

#[test]
fn defaults_of_the_other_program_are_kept() {
    let imported = of(&small("", ""));
    assert_eq!(remarks(&imported), Vec::<String>::new());
    let config = read(&imported);
    assert!(config.cluster.failback && !config.cluster.available_when_donor);
    assert_eq!(config.listeners[0].address.to_string(), "[::]:4006");
    assert_eq!(
        (config.site.threads, config.nodes[1].address.to_string()),
        (model::Threads::Count(4), "db2:3307".to_owned())
    );
    assert_eq!(&*config.listeners[0].name, "S");
}

/// A line of the small one, replaced, and all that is said of it.
#[test]
fn what_differs_is_said() {
    for (old, new, said) in [
        (
            "port=4006",
            "port=4006\nsocket=/tmp/s",
            "maxscale.cnf:31: [L] socket=/tmp/s -> clients are taken on ports only",
        ),
        (
            "threads=4",
            "threads=4\nadmin_port=8989",
            "maxscale.cnf:3: [maxscale] admin_port=8989 -> [admin] address: another API, on loopback only, 127.0.0.1:4008",
        ),
        ("cluster=M", "servers=a", "maxscale.cnf:23: [S] servers=a -> each listener serves all nodes of the cluster"),
        (
            "user=u\npassword=p\n\n[S]",
            "user=other\npassword=p\n\n[S]",
            "maxscale.cnf:24: [S] user=u -> [site] has one user for all, which is \"other\"",
        ),
        ("cluster=M", "cluster=M\nfilters=F", "maxscale.cnf:24: [S] filters=F -> no counterpart"),
        (
            "cluster=M",
            "cluster=M\nmaster_failure_mode=fail_on_write",
            "maxscale.cnf:24: [S] master_failure_mode=fail_on_write -> [read-write-split] writer_loss = \"error-on-write\": an error, and the session goes on",
        ),
        (
            "servers=a, b",
            "servers=a, b\nscript=/x.sh $LIST",
            "maxscale.cnf:17: [M] script=/x.sh $LIST -> no scripts are run; if it moves a replication connection, name its file of settings with --maxinfo",
        ),
        ("[M]", "[F]\ntype=filter\n[M]", "maxscale.cnf:14: [F] type=filter -> there are no filters"),
        ("[M]", "[c]\ntype=server\n[M]", "maxscale.cnf:14: [c] type=server -> no monitor in use has this server"),
    ] {
        assert_eq!(remarks(&of(&small(old, new))), [said], "{new}");
    }
    let routed = "[R]\ntype=service\nrouter=readconnroute\nrouter_options=slave\n[RL]\ntype=listener\nservice=R\nport=4008\n\n[S]";
    let imported = of(&small("[S]", routed));
    assert!(remarks(&imported)[0].ends_with("the router readconnroute with router_options=slave has no counterpart"));
    assert_eq!(read(&imported).listeners.len(), 1);
}

#[test]
fn values_are_translated() {
    for (old, new, written) in [
        ("cluster=M", "cluster=M\nmaster_failure_mode=fail_instantly", "writer_loss = \"disconnect\""),
        ("cluster=M", "cluster=M\nmaster_failure_mode=error_on_write", "writer_loss = \"error-on-write\""),
        (
            "port=4006",
            "port=4006\nproxy_protocol_networks=10.0.0.0/8, ::1",
            "proxy_protocol = [\"10.0.0.0/8\", \"::1\"]",
        ),
        ("port=3307", "port=3307\nssl=true", "tls = { verify = false }"),
        (
            "port=3307",
            "port=3307\nssl=true\nssl_ca=/ca\nssl_cert=/c\nssl_key=/k\nssl_verify_peer_certificate=true\nssl_verify_peer_host=true",
            "tls = { ca = \"/ca\", certificate = \"/c\", key = \"/k\" }",
        ),
        ("servers=a, b", "servers=a, b\nmonitor_interval=2500ms", "probe_interval = \"2500ms\""),
        ("servers=a, b", "servers=a, b\nmonitor-interval=10min", "probe_interval = \"10m\""),
        ("servers=a, b", "servers=a,\n  b\nbackend_read_timeout=7", "read_timeout = \"7s\""),
        ("servers=a, b", "servers=a, b\navailable_when_donor=on", "available_when_donor = true"),
        ("cluster=M", "cluster=M\ncausal_reads=global", "causal_reads = \"cluster\""),
        ("cluster=M", "cluster=M\ncausal_reads=none", "causal_reads = \"off\""),
        ("cluster=M", "cluster=M\ntransaction_replay=false", "replay = false"),
        ("cluster=M", "cluster=M\ntransaction_replay_max_size=2Mi", "replay_bytes_max = 2097152"),
        ("cluster=M", "cluster=M\ndelayed_retry_timeout=20s", "writer_wait = \"20s\""),
        (
            "cluster=M",
            "cluster=M\nslave_selection_criteria=LEAST_GLOBAL_CONNECTIONS",
            "readers = \"least-connections\"",
        ),
        ("port=3307", "port=3307\npersistpoolmax=10", "idle_connections_max = 10"),
        (
            "port=4006",
            "port=4006\nssl=true\nssl_cert=/c\nssl_key=/k",
            "tls = { certificate = \"/c\", key = \"/k\", require = true }",
        ),
        ("threads=4", "threads=auto\nlog_info=1", "log = \"info\""),
        (
            "[S]",
            "[My Service]\ntype=service\nrouter=readconnroute\nrouter_options=master\n[ML]\ntype=listener\nservice=My Service\nport=1\n[S]",
            "name = \"My-Service\"",
        ),
    ] {
        let imported = of(&small(old, new));
        assert_eq!(remarks(&imported), Vec::<String>::new(), "{new}");
        assert!(imported.toml.lines().any(|line| line == written), "{written}\n{}", imported.toml);
    }
}

#[test]
fn what_nothing_can_come_of_is_refused() {
    for (old, new, why) in [
        ("module=galeramon", "module=mariadbmon", "[M] line 13: several servers"),
        ("module=galeramon", "module=csmon", "0 monitors"),
        ("port=4006", "socket=/tmp/s", "no listener on a port"),
        ("router=readwritesplit", "router=schemarouter", "no listener on a port"),
        ("[maxscale]", "[maxscale", "line 1: `[` without `]`"),
        ("[maxscale]\n", "", "line 1: neither a section"),
        ("address=db2", "address=a b", "what came of it is not valid"),
    ] {
        let error = import(&Import { cnf: &small(old, new), ..Import::default() }).unwrap_err();
        assert!(error.contains(why), "{new}: {error}");
    }
    let error = import(&Import { cnf: PRIMARY, maxinfo: Some("repuser=a\n"), ..Import::default() }).unwrap_err();
    assert_eq!(error, "maxinfo: remotemaxscale is missing");
}

#[test]
fn variables_of_the_environment_stay_variables() {
    let cnf = small("threads=4", "threads=4\nsubstitute_variables=true").replace("password=p", "password=$DB_PW");
    let imported = of(&cnf);
    assert!(imported.toml.contains("password = \"${DB_PW}\""), "{}", imported.toml);
    assert_eq!(read(&imported).site.password.reveal(), "value of DB_PW");
    let literal = of(&small("", "").replace("password=p", "password=a${b}\"c"));
    assert_eq!(read(&literal).site.password.reveal(), "a${b}\"c");
}

/// The encrypted text was made by `openssl enc -aes-256-cbc` with the key and the initial block in front of it.
#[test]
fn encrypted_passwords_are_opened_and_sealed() {
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let encrypted = "F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF840E3E9473F400A882481E0FA910B970";
    let cnf = small("", "").replace("password=p", &format!("password={encrypted}"));
    let secrets = || {
        Secrets::read(&format!(r#"{{"description": "MaxScale encryption key", "encryption_cipher": "EVP_aes_256_cbc", "encryption_key": "{key}"}}"#)).unwrap()
    };
    let imported = import(&Import { cnf: &cnf, secrets: Some(secrets()), ..Import::default() }).unwrap();
    assert_eq!(remarks(&imported), Vec::<String>::new());
    assert_eq!(read(&imported).site.password.reveal(), "SecretP@ssw0rd");
    let without = import(&Import { cnf: &cnf, ..Import::default() }).unwrap();
    assert!(remarks(&without)[0].contains("it looks encrypted"));
    let key = Key::random().unwrap();
    let sealed =
        import(&Import { cnf: &cnf, secrets: Some(secrets()), key: Some(key.clone()), ..Import::default() }).unwrap();
    assert_eq!(remarks(&sealed), Vec::<String>::new());
    assert!(!sealed.toml.contains("SecretP@ssw0rd"));
    let parsed = parse(&sealed.toml, |_| None, |_| Ok(key)).unwrap();
    assert_eq!((parsed.config.site.password.reveal(), parsed.plain_secret_line), ("SecretP@ssw0rd", None));
    for text in ["", "{}", r#"{"encryption_key": "00"}"#, r#"{"encryption_key": "00", "encryption_cipher": "x"}"#] {
        assert!(Secrets::read(text).is_err(), "{text}");
    }
}
