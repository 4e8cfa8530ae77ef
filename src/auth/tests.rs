//! Table tests of the decision on hand-made snapshots; `tests/accounts.rs` holds it against a real server.

use std::net::IpAddr;

use super::account::{Account, Named, Requirement};
use super::accounts::{Accounts, Naming};
use super::admit::{Answer, Certificate, Login, Shown, login_name};
use super::grants::{Grant, Grants, Scope};
use super::known::Known;
use super::native::{Sha1Password, answer};
use super::pattern::HostPattern;

const SCRAMBLE: &[u8; 20] = b"0123456789abcdefghij";

/// `PASSWORD('secret')`.
const SECRET: &str = "\"authentication_string\":\"*14E65567ABDB5135D0CFD9A70B3032C179A49EE7\"";

fn account(user: &str, host: &str, rest: &str) -> Account {
    Account::parse(user, host, format!("{{{SECRET}{rest}}}").as_bytes()).unwrap()
}

fn grant(host: &str, schema: &str, privileges: &str) -> Grant {
    let (schema, object, privileges) = (schema.into(), "".into(), privileges.into());
    Grant { scope: Scope::Schema, host: HostPattern::new(host), schema, object, privileges }
}

fn snapshot(accounts: Vec<Account>, grants: Vec<(&str, Grant)>, naming: Naming) -> Accounts {
    let mut all = Grants::new(false);
    for (user, grant) in grants {
        let host = grant.host.text().to_owned();
        all.add_grant(user.into(), &host, grant);
    }
    Accounts::new(accounts, all, naming).with_generation(1)
}

/// Code, SQLSTATE and text of the refusal, or the account that admits.
fn decide(
    accounts: &Accounts,
    user: &str,
    addresses: [&str; 2],
    password: &str,
    schema: Option<&str>,
) -> Result<String, String> {
    let answer =
        Sha1Password::of(password.as_bytes()).map(|password| answer(&password, SCRAMBLE).to_vec()).unwrap_or_default();
    let [client, proxy] = addresses.map(|address| address.parse::<IpAddr>().unwrap());
    let (user, schema) = (user.as_bytes(), schema.map(str::as_bytes));
    let login = Login {
        user,
        client,
        proxy,
        scramble: SCRAMBLE,
        answer: Answer::Native(&answer),
        schema,
        secure: false,
        secure_to_nodes: false,
        shown: Shown::default(),
        shows_to_nodes: false,
    };
    match accounts.admit(&login) {
        Ok(admitted) => Ok(admitted.account.to_string()),
        Err(fault) => Err(format!("{} {} {}", fault.code, String::from_utf8_lossy(&fault.state), fault.message)),
    }
}

#[test]
fn refusals_come_in_the_servers_order() {
    let accounts = vec![
        account("u", "%", ""),
        account("locked", "%", ",\"account_locked\":true"),
        account("tls", "%", ",\"ssl_type\":1,\"account_locked\":true"),
    ];
    let accounts = snapshot(accounts, vec![("u", grant("%", "app", "Y"))], Naming::default());
    let here = ["10.0.0.1"; 2];
    let denied = |user: &str, used| {
        Err(format!("1045 28000 Access denied for user '{user}'@'10.0.0.1' (using password: {used})"))
    };
    for (user, password, schema, verdict) in [
        ("u", "secret", None, Ok("'u'@'%'".to_owned())),
        ("u", "secret", Some("app"), Ok("'u'@'%'".to_owned())),
        ("u", "secret", Some(""), Ok("'u'@'%'".to_owned())),
        (
            "u",
            "secret",
            Some("secret"),
            Err("1044 42000 Access denied for user 'u'@'%' to database 'secret'".to_owned()),
        ),
        ("u", "wrong", Some("secret"), denied("u", "YES")),
        ("u", "", Some("secret"), denied("u", "NO")),
        ("U", "secret", None, denied("U", "YES")),
        ("locked", "wrong", None, denied("locked", "YES")),
        ("locked", "secret", Some("secret"), Err("4151 HY000 Access denied, this account is locked".to_owned())),
    ] {
        assert_eq!(decide(&accounts, user, here, password, schema), verdict, "{user} {password} {schema:?}");
    }
    let tls = decide(&accounts, "tls", here, "secret", None).unwrap_err();
    assert!(tls.ends_with("(using password: YES)"), "{tls}");
}

/// What an account requires is required of the client, and of the proxy by the node.
#[test]
fn tls_is_for_both_sides() {
    let with = |requires| Account { requires, ..account("tls", "%", "") };
    let address = "10.0.0.1".parse().unwrap();
    let answer = answer(&Sha1Password::of(b"secret").unwrap(), SCRAMBLE);
    let named = |subject: &str, issuer: &str, cipher: &str| {
        Requirement::Named(Box::new(Named { subject: subject.into(), issuer: issuer.into(), cipher: cipher.into() }))
    };
    let own = Some(Certificate { subject: "/CN=me", issuer: "/CN=ca" });
    let (bare, only_tls) = ("(using password: YES)", "or ALTER USER 'tls'@'%' REQUIRE NONE");
    let one_of_its_own = "or ALTER USER 'tls'@'%' REQUIRE SSL";
    // What the client shows, and whether the proxy speaks TLS with nodes, and shows them a certificate.
    for (requires, secure, certificate, secure_to_nodes, shows_to_nodes, refused) in [
        (Requirement::Nothing, false, None, false, false, None),
        (Requirement::Tls, false, None, true, true, Some(bare)),
        (Requirement::Tls, true, None, false, false, Some(only_tls)),
        (Requirement::Tls, true, None, true, false, None),
        (Requirement::Certificate, true, None, true, true, Some(bare)),
        (Requirement::Certificate, true, own, true, false, Some(one_of_its_own)),
        (Requirement::Certificate, true, own, true, true, None),
        (named("/CN=me", "", ""), true, own, true, true, None),
        (named("/CN=me", "/CN=ca", "AES"), true, own, true, true, None),
        (named("/CN=you", "", ""), true, own, true, true, Some(bare)),
        (named("", "/CN=me", ""), true, own, true, true, Some(bare)),
        (named("/CN=me", "", ""), true, None, true, true, Some(bare)),
        (named("", "", "AES"), true, None, true, false, None),
        (named("", "", "DES"), true, own, true, true, Some(bare)),
        (named("", "/CN=ca", ""), true, own, true, false, Some(one_of_its_own)),
    ] {
        let description = format!("{requires:?} {certificate:?}");
        let accounts = snapshot(vec![with(requires)], vec![], Naming::default());
        let login = Login {
            user: b"tls",
            client: address,
            proxy: address,
            scramble: SCRAMBLE,
            answer: Answer::Native(&answer),
            schema: None,
            secure,
            shown: Shown { cipher: "AES", certificate },
            secure_to_nodes,
            shows_to_nodes,
        };
        let said = accounts.admit(&login).err().map(|fault| fault.message.to_string());
        assert_eq!(said.is_some(), refused.is_some(), "{description} {said:?}");
        assert!(said.is_none_or(|said| said.ends_with(refused.unwrap())), "{description}");
    }
}

/// Nobody but a node knows of a pam password; it must not be taken for right.
#[test]
fn who_gives_the_password_itself() {
    let key = "\"plugin\":\"ed25519\",\"authentication_string\":\"ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY\"";
    let parse = |document: String| Account::parse("u", "%", document.as_bytes()).unwrap();
    let ed = || parse(format!("{{{key}}}"));
    let pam = || parse("{\"plugin\":\"pam\"}".to_owned());
    let known = |mut account: Account, password: &str| {
        account.know(Known::new(password));
        account
    };
    let gssapi = || parse("{\"plugin\":\"gssapi\"}".to_owned());
    let sha2 = || parse("{\"plugin\":\"caching_sha2_password\"}".to_owned());
    let either = || parse(format!("{{{SECRET},\"auth_or\":[{{\"plugin\":\"pam\"}},{{}}]}}"));
    let address = "10.0.0.1".parse().unwrap();
    let native = answer(&Sha1Password::of(b"secret").unwrap(), SCRAMBLE);
    let (by_hash, right, wrong) = (Answer::Native(&native), Answer::Password(b"secret"), Answer::Password(b"wrong"));
    // Whether the client speaks TLS, and the proxy with nodes; then whether the password is asked for, and what comes of the login:
    // proven, to be proven by a node, or why not.
    for (account, answer, secure, secure_to_nodes, asked, outcome) in [
        (ed(), by_hash, true, false, true, Err("--enable-cleartext-plugin)")),
        (ed(), by_hash, false, false, false, Err("(--ssl)")),
        (ed(), right, true, false, false, Ok(true)),
        (ed(), wrong, true, false, true, Err("(using password: YES)")),
        (pam(), by_hash, true, true, true, Err("--enable-cleartext-plugin)")),
        (pam(), right, true, true, false, Ok(false)),
        (pam(), wrong, true, true, false, Ok(false)),
        (pam(), right, true, false, true, Err("remedy: tls in [cluster] of the proxy")),
        (either(), by_hash, true, true, false, Ok(true)),
        (either(), right, true, true, false, Ok(true)),
        (either(), wrong, true, true, false, Ok(false)),
        (account("u", "%", ""), right, true, false, false, Ok(true)),
        (sha2(), right, true, true, false, Ok(false)),
        (sha2(), right, true, false, true, Err("remedy: tls in [cluster] of the proxy")),
        (known(ed(), "secret"), by_hash, false, false, false, Ok(true)),
        (known(ed(), "secret"), right, true, false, false, Ok(true)),
        // The account may have a newer password than the configuration.
        (known(ed(), "stale"), right, true, false, false, Ok(true)),
        (known(ed(), "stale"), by_hash, false, false, false, Err("(using password: YES)")),
        (known(pam(), "secret"), by_hash, false, true, false, Ok(true)),
        (known(pam(), "secret"), by_hash, false, false, false, Err("remedy: tls in [cluster] of the proxy")),
        (known(sha2(), "secret"), by_hash, false, true, false, Ok(true)),
        (known(gssapi(), "secret"), by_hash, false, true, false, Err("USING PASSWORD('...')")),
    ] {
        let description = format!("{:?} {answer:?} {secure} {secure_to_nodes}", account.auth);
        let accounts = snapshot(vec![account], vec![], Naming::default());
        let login = Login {
            user: b"u",
            client: address,
            proxy: address,
            scramble: SCRAMBLE,
            answer,
            schema: None,
            secure,
            shown: Shown { cipher: "", certificate: None },
            secure_to_nodes,
            shows_to_nodes: false,
        };
        assert_eq!(accounts.wants_password(&login), asked, "{description}");
        match (accounts.admit(&login), outcome) {
            (Ok(admitted), Ok(proven)) => assert_eq!(admitted.proven, proven, "{description}"),
            (Err(fault), Err(text)) => assert!(fault.message.ends_with(text), "{description}: {}", fault.message),
            (other, _) => panic!("{description}: {other:?}"),
        }
    }
}

#[test]
fn answers_of_the_wrong_length_are_no_handshake() {
    let accounts = snapshot(vec![account("u", "%", "")], vec![], Naming::default());
    let address = "10.0.0.1".parse().unwrap();
    for user in ["u", "nobody"] {
        for answer in [&[0u8; 1][..], &[0; 19], &[0; 21], &[0; 64]] {
            let login = Login {
                user: user.as_bytes(),
                client: address,
                proxy: address,
                scramble: SCRAMBLE,
                answer: Answer::Native(answer),
                schema: None,
                secure: false,
                secure_to_nodes: false,
                shown: Shown::default(),
                shows_to_nodes: false,
            };
            assert_eq!(accounts.admit(&login).unwrap_err().code, 1043, "{user} {}", answer.len());
        }
    }
}

#[test]
fn nobody_gets_in_before_the_first_load() {
    let refusal = decide(&Accounts::default(), "u", ["10.0.0.1"; 2], "", None).unwrap_err();
    assert!(refusal.starts_with("1105 HY000 Accounts could not be loaded"), "{refusal}");
}

#[test]
fn names_of_peers() {
    let accounts =
        || vec![account("u", "localhost", ""), account("u", "gate.example.com", ""), account("u", "10.0.0.1", "")];
    let gate = Some("gate.example.com".into());
    let ways = |naming: Naming| {
        let accounts = snapshot(accounts(), vec![], naming);
        [["127.0.0.1"; 2], ["::ffff:127.0.0.1", "::1"], ["127.0.0.2"; 2], ["10.0.0.1", "10.0.0.9"]]
            .map(|addresses| decide(&accounts, "u", addresses, "secret", None).is_ok())
    };
    assert_eq!(
        ways(Naming { resolves: false, proxy: gate.clone(), ..Naming::default() }),
        [false, false, false, false]
    );
    assert_eq!(ways(Naming { resolves: true, proxy: None, ..Naming::default() }), [true, true, false, false]);
    // Nodes call the proxy by its name, whichever address it has.
    assert_eq!(ways(Naming { resolves: true, proxy: gate, ..Naming::default() }), [true, true, false, true]);
}

#[test]
fn same_rights_are_those_in_force() {
    let accounts = |grants: Vec<(&str, Grant)>| {
        let accounts = vec![account("u", "10.%", ""), account("u", "20.%", ""), account("", "30.%", "")];
        let grants = grants.into_iter().map(|(host, grant)| (if host == "30.%" { "" } else { "u" }, grant)).collect();
        decide(&snapshot(accounts, grants, Naming::default()), "u", ["10.0.0.1", "20.0.0.1"], "secret", None).is_ok()
    };
    let row = |host: &'static str, schema, privileges| (host, grant(host, schema, privileges));
    for (name, grants, same) in [
        ("none", vec![], true),
        ("equal rows", vec![row("10.%", "app", "Y"), row("20.%", "app", "Y")], true),
        ("other privileges", vec![row("10.%", "app", "YN"), row("20.%", "app", "YY")], false),
        ("only one", vec![row("20.%", "app", "Y")], false),
        ("one row for both", vec![row("%", "app", "Y")], true),
        ("a hidden row", vec![row("10.%", "app", "Y"), row("20.%", "app", "Y"), row("%", "app", "N")], true),
        ("hidden for one only", vec![row("10.%", "app", "Y"), row("%", "app", "Y")], true),
        (
            "another order",
            vec![row("10.%", "a%", "Y"), row("%", "ab", "YY"), row("20.%", "ab", "YY"), row("20.%", "a%", "Y")],
            false,
        ),
        ("a row of others", vec![row("30.%", "app", "Y")], true),
    ] {
        assert_eq!(accounts(grants), same, "{name}");
    }
}

#[test]
fn login_names_are_cut_and_unquoted() {
    let long = "ü".repeat(129);
    for (sent, name) in
        [("u", "u"), ("'u'", "u"), ("''", ""), ("'", "'"), ("'u", "'u"), ("''u''", "'u'"), (&long, &long[..256])]
    {
        assert_eq!(login_name(sent.as_bytes()), name.as_bytes(), "{sent}");
    }
    assert_eq!(login_name(b"\xff"), b"\xff");
}
