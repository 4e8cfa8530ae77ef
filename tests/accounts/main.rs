//! Does the proxy let in whom the server lets in, and refuse in the same words?
//!
//! A real server is the oracle: for each user, source address, password and schema the same login goes to the server directly
//! and to `Accounts::admit` with a snapshot loaded from that server. What `admit` lets in must also get in at the server with
//! nothing but what `admit` made of the client's answer.

// Clippy knows the tests in here, but not what they call.
#![allow(clippy::unwrap_used, clippy::panic)]

mod client;
mod reload;
mod server;

use std::collections::BTreeMap;
use std::net::IpAddr;

use oarlock::auth::accounts::Accounts;
use oarlock::auth::admit::{Admitted, Answer, Login, Shown, login_name};
use oarlock::auth::secret::Secret;
use oarlock::fault::Fault;

use client::{Client, Refusal, Verdict};
use server::Server;

const SCHEMAS: [&str; 18] = [
    "",
    "app",
    "App",
    "APP",
    "app_1",
    "appx1",
    "secret",
    "pub",
    "größe",
    "mysql",
    "information_schema",
    "INFORMATION_SCHEMA",
    "performance_schema",
    "sys",
    "nosuch",
    "app ",
    "apples",
    "a_very_long_name_of_a_schema_that_has_more_than_64_characters_in_it",
];

const SCRAMBLE: &[u8; 20] = b"a scramble, 20 bytes";

fn admit<'a>(accounts: &'a Accounts, client: &Client, proxy: IpAddr) -> Result<Admitted<'a>, Refusal> {
    let (user, answer) = (login_name(client.user.as_bytes()), client.answer(SCRAMBLE));
    let schema = client.schema.map(str::as_bytes);
    let login = Login {
        user,
        client: client.from,
        proxy,
        scramble: SCRAMBLE,
        answer: Answer::Native(&answer),
        schema,
        secure: false,
        secure_to_nodes: false,
        shown: Shown::default(),
        shows_to_nodes: false,
    };
    let refusal = |fault: Fault| (fault.code, String::from_utf8_lossy(&fault.state).into_owned(), fault.message.into());
    accounts.admit(&login).map_err(refusal)
}

/// The proxy's refusals may go on with a reason, where the server's end; what the node says itself at login is not the proxy's to say.
fn agree(server: &Verdict, proxy: &Verdict) -> bool {
    match (server, proxy) {
        (Ok(()), Ok(())) => true,
        (Err((1049 | 1102 | 1862, ..)), Ok(())) => true,
        (Err(server), Err(proxy)) => {
            let (said, text) = (&proxy.2, &server.2);
            (server.0, &server.1) == (proxy.0, &proxy.1)
                && (said == text || said.strip_prefix(&**text).is_some_and(|rest| rest.starts_with(": ")))
        }
        _ => false,
    }
}

/// Compares all combinations; a schema is tried only where the login without one succeeds. Returns how often which code was seen.
async fn compare(
    server: &Server,
    users: &[&str],
    addresses: &[&str],
    passwords: &[&str],
    schemas: &[&str],
) -> BTreeMap<u16, usize> {
    let accounts = server.snapshot().await;
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for user in users {
        for from in addresses.iter().map(|address| address.parse().unwrap()) {
            for typed in passwords {
                let password = (!typed.is_empty()).then(|| Secret::clear(typed.as_bytes()));
                let mut open = vec![None];
                while let Some(schema) = open.pop() {
                    let client = Client { user, from, password: password.as_ref(), schema };
                    let direct = client.login(server.address).await;
                    let admitted = admit(&accounts, &client, from);
                    *seen.entry(direct.as_ref().err().map_or(0, |error| error.0)).or_insert(0) += 1;
                    let verdict = admitted.as_ref().map(|_| ()).map_err(Clone::clone);
                    // To somebody it doesn't know the server plays an account picked by chance, whose plugin decides the text.
                    let unknown = accounts.lookup(login_name(user.as_bytes()), from).is_none();
                    let played =
                        unknown && matches!(direct, Err((1045 | 1698, ..))) && matches!(verdict, Err((1045, ..)));
                    if !agree(&direct, &verdict) && !played {
                        wrong.push(format!(
                            "{user} from {from} with {typed:?} to {schema:?}\n  server {direct:?}\n  proxy  {verdict:?}"
                        ));
                    } else if schema.is_none() && direct.is_ok() {
                        open.extend(schemas.iter().map(|schema| Some(*schema)));
                        let known = admitted.unwrap().secret;
                        let again = Client { password: known.as_ref(), ..client };
                        assert_eq!(again.login(server.address).await, Ok(()), "{user} with what the proxy knows");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    seen
}

/// All user names of these statements, and some that are not there.
fn users<'a>(statements: &[&'a str]) -> Vec<&'a str> {
    let mut users = vec!["", "nobody", "ROOT", "root", "app", "maxuser", "repl_user"];
    for part in statements.iter().flat_map(|text| text.split("CREATE USER ")).skip(1) {
        let name = part.split('@').next().unwrap().trim_matches(['`', '\'']);
        if !name.contains(char::is_whitespace) && !users.contains(&name) {
            users.push(name);
        }
    }
    users
}

#[tokio::test]
async fn the_proxy_decides_as_the_server() {
    let server = Server::start_with_ipv6(&[("plugin_load_add", "auth_ed25519")]);
    let statements = [
        include_str!("hosts.sql"),
        include_str!("ways_in.sql"),
        include_str!("grants.sql"),
        include_str!("roles.sql"),
        include_str!("by_hand.sql"),
    ];
    server.run(&statements.concat());
    let (long, longer) = ("x".repeat(128), "x".repeat(129));
    server.run(&format!("CREATE USER {long}@'%' IDENTIFIED BY 'alpha'"));
    let mut users = users(&statements);
    users.extend(["'Case'", "'", "''", "'Case", &long, &longer]);
    let addresses = ["127.0.0.1", "127.1.2.3", "127.1.2.44", "127.9.9.9", "127.8.8.8", "::1"];
    let seen = compare(&server, &users, &addresses, &["", "alpha", "beta", "gamma"], &SCHEMAS).await;
    println!("{} users, verdicts by code: {seen:?}", users.len());
    for code in [0, 1044, 1045, 1049, 1102, 1698, 4151] {
        assert!(seen.contains_key(&code), "{code} never came up: {seen:?}");
    }
}

/// Hosts nobody would write: which of many patterns is the most specific one is in the text of 1044.
#[tokio::test]
async fn of_random_hosts_the_same_is_chosen() {
    let server = Server::start_with_ipv6(&[]);
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % limit
    };
    let octets = ["127", "1", "2", "3", "44", "%", "%%", "_", "1%", "%3", "_%", "%_", "12_", r"\\_", "__"];
    let masks = ["255.255.255.255", "255.255.255.0", "255.255.0.0", "255.0.0.0", "255.0.255.0"];
    let nets = ["127.1.2.3", "127.1.2.0", "127.1.0.0", "127.0.0.0", "127.0.2.0"];
    let users = ["", "a", "b", "c", "d", "e", "f", "g"];
    for user in users {
        for _ in 0..if user.is_empty() { 6 } else { 24 } {
            let host = if below(5) == 0 {
                format!("{}/{}", nets[below(nets.len())], masks[below(masks.len())])
            } else {
                (0..=below(4)).map(|_| octets[below(octets.len())]).collect::<Vec<_>>().join(".")
            };
            server.run(&format!("CREATE USER IF NOT EXISTS '{user}'@'{host}'"));
        }
    }
    let addresses = ["127.0.0.1", "127.1.2.3", "127.1.2.44", "127.1.44.3", "127.44.2.3", "127.3.3.3", "::1"];
    let seen = compare(&server, &users, &addresses, &[""], &["nowhere"]).await;
    assert!(seen[&1044] > 40, "{seen:?}");
}

/// A server that resolves names, keeps schemas in lower case, and shuts out expired passwords.
#[tokio::test]
async fn names_and_settings_of_the_server_count() {
    let server = Server::start_with_ipv6(&[
        ("skip_name_resolve", "OFF"),
        ("lower_case_table_names", "1"),
        ("disconnect_on_expired_password", "ON"),
    ]);
    let statements = r"
CREATE USER local@localhost IDENTIFIED BY 'alpha';
CREATE USER local@'127.0.0.1' IDENTIFIED BY 'beta';
CREATE USER upper@LOCALHOST IDENTIFIED BY 'alpha';
CREATE USER pattern@'local%' IDENTIFIED BY 'alpha';
CREATE USER ip@'127.0.0._' IDENTIFIED BY 'alpha';
CREATE USER six@'::1' IDENTIFIED BY 'alpha';
CREATE USER expired@'%' IDENTIFIED BY 'alpha' PASSWORD EXPIRE;
CREATE USER nobodyelse@'10.%' IDENTIFIED BY 'alpha';
CREATE DATABASE app;
CREATE DATABASE secret;
CREATE TABLE secret.t (a INT);
GRANT SELECT ON APP.* TO ip@'127.0.0._';
GRANT SELECT ON Secret.T TO pattern@'local%';
GRANT SELECT ON `AP%`.* TO upper@localhost;
";
    server.run(statements);
    let schemas = ["app", "APP", "Secret", "secret", "nosuch", "Information_Schema"];
    let users = users(&[statements]);
    let seen = compare(&server, &users, &["127.0.0.1", "::1"], &["", "alpha", "beta"], &schemas).await;
    for code in [0, 1044, 1045, 1049, 1862] {
        assert!(seen.contains_key(&code), "{code} never came up: {seen:?}");
    }
}

/// Where no account is for a host, the server does not even greet.
#[tokio::test]
async fn a_host_without_any_account() {
    let server = Server::start(&[]);
    server.run(
        "DELETE FROM mysql.global_priv WHERE Host = '%' AND User <> 'maxuser';
         UPDATE mysql.global_priv SET Host = '127.0.0.1' WHERE Host = '%';
         UPDATE mysql.db SET Host = '127.0.0.1' WHERE Host = '%';
         FLUSH PRIVILEGES;
         CREATE USER u@'127.1.2.%' IDENTIFIED BY 'alpha'",
    );
    let addresses = ["127.0.0.1", "127.1.2.3", "127.5.5.5"];
    let seen = compare(&server, &["u", "nobody", "root"], &addresses, &["", "alpha"], &[]).await;
    assert_eq!(seen.get(&1130), Some(&6), "{seen:?}");
}

/// The node sees the proxy's address: the account it chooses must be as good as the client's, and no better.
#[tokio::test]
async fn the_proxy_stands_in_only_for_equals() {
    let server = Server::start(&[("plugin_load_add", "auth_ed25519")]);
    server.run(include_str!("standing_in.sql"));
    let accounts = server.snapshot().await;
    let (from, near, anonymous) = ("127.1.2.3", "127.7.7.7", "127.8.8.8");
    let password = Some(Secret::clear(b"alpha"));
    for (user, proxy, reason) in [
        ("everywhere", near, None),
        ("twins", near, None),
        ("covered", near, None),
        ("twoways", near, None),
        ("everywhere", anonymous, Some("'everywhere'@'%' differs in rights from ''@'127.8.8.8'")),
        ("clientonly", near, Some("no account of 'clientonly' admits this proxy at '127.7.7.7'")),
        ("password", near, Some("differs in password from 'password'@'%'")),
        ("nopassword", near, Some("differs in password from 'nopassword'@'%'")),
        ("plugin", near, Some("differs in password from 'plugin'@'127.7.%'")),
        ("global", near, Some("differs in rights from 'global'@'%'")),
        ("db", near, Some("differs in rights from 'db'@'127.7.%'")),
        ("col", near, Some("differs in rights from 'col'@'127.7.%'")),
        ("withrole", near, Some("differs in rights from 'withrole'@'127.7.%'")),
        ("locked", near, Some("differs in lock or TLS requirement from 'locked'@'127.7.%'")),
        ("tls", near, Some("differs in lock or TLS requirement from 'tls'@'127.7.%'")),
    ] {
        let (from, proxy) = (from.parse().unwrap(), proxy.parse().unwrap());
        let client = Client { user, from, password: password.as_ref(), schema: None };
        assert_eq!(client.login(server.address).await, Ok(()), "{user} directly");
        match (admit(&accounts, &client, proxy), reason) {
            (Ok(admitted), None) => {
                for schema in [None, Some("app"), Some("other"), Some("nosuch")] {
                    let direct = Client { schema, ..client }.login(server.address).await;
                    let through = Client { from: proxy, password: admitted.secret.as_ref(), user, schema };
                    let codes = [direct, through.login(server.address).await].map(|verdict| verdict.err().map(|e| e.0));
                    assert_eq!(codes[0], codes[1], "{user} to {schema:?}");
                }
            }
            (Err((1045, state, text)), Some(reason)) => {
                let start = format!("Access denied for user '{user}'@'127.1.2.3' (using password: YES): ");
                assert!(state == "28000" && text.starts_with(&start) && text.contains(reason), "{user}: {text}");
                assert!(text.len() <= 512 && text.contains("; remedy: "), "{text}");
            }
            (verdict, _) => panic!("{user}: {verdict:?}, expected {reason:?}"),
        }
    }
}

/// Rows that make no sense don't keep the others from being loaded.
#[tokio::test]
async fn odd_rows_are_left_out() {
    let server = Server::start(&[]);
    let odd = r#"
CREATE USER good@'%' IDENTIFIED BY 'alpha';
INSERT INTO mysql.global_priv VALUES ('%', 'list', '[1]'), ('%', 'noways', '{"auth_or":[]}'), ('%', 'types', '{"access":"x","auth_or":3}');
INSERT INTO mysql.global_priv VALUES ('', 'hostless', '{}'), ('%', 'nested', '{"access":{"a":[1,2,{}]},"is_role":"yes"}');
INSERT INTO mysql.roles_mapping (Host, User, Role) VALUES ('%', 'good', 'no such role'), ('', 'no such role', 'nor this');
INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('', '', 'good', 'Y'), ('%', 'app', 'no such user', 'Y');
"#;
    server.run(odd);
    let accounts = server.snapshot().await;
    let from: IpAddr = "10.0.0.1".parse().unwrap();
    for (user, known) in
        [("good", true), ("list", false), ("noways", false), ("types", true), ("hostless", true), ("nested", true)]
    {
        assert_eq!(accounts.lookup(user.as_bytes(), from).is_some(), known, "{user}");
    }
    let password = Some(Secret::clear(b"alpha"));
    let client = Client { user: "good", from, password: password.as_ref(), schema: Some("app") };
    assert_eq!(admit(&accounts, &client, from).unwrap_err().0, 1044);
}
