//! One account: a row of `mysql.global_priv` (pure).
//!
//! Knows one row and nothing of other tables. Since MariaDB 10.4 everything about an account is one JSON document; source of
//! facts: MariaDB 10.11 `sql/sql_acl.cc`, `User_table_json`. Left to the nodes, which say it themselves when the proxy logs in:
//! expired passwords (a sandbox, or 1862) and resource limits (1226).

use serde_json::Value;

use super::ed25519::{self, KEY_BYTES};
use super::known::Known;
use super::native::HASH_BYTES;
use super::parsec;
use super::pattern::HostPattern;

/// Global privileges that also are privileges on a schema: with any of them an account may enter every schema.
/// SELECT, INSERT, UPDATE, DELETE, CREATE, DROP; GRANT, REFERENCES, INDEX, ALTER; CREATE TEMPORARY TABLES, LOCK TABLES,
/// EXECUTE; CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE; EVENT, TRIGGER; DELETE HISTORY; SHOW CREATE ROUTINE (11.3).
const SCHEMA_PRIVILEGES: u64 = 0x3f | 0xf << 10 | 0x7 << 16 | 0xf << 21 | 0x3 << 26 | 1 << 29 | 1 << 39;

/// With it one may kill what others run (server: `PRIV_KILL_OTHER_USER_PROCESS`).
const CONNECTION_ADMIN: u64 = 1 << 32;
/// It holds that in rows of servers before [`SUPER_IS_LESS`].
const SUPER: u64 = 1 << 15;
/// The version from which on it does not (server: `User_table_json::get_access`).
const SUPER_IS_LESS: u64 = 110_000;

/// One way to prove who one is.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// mysql_native_password: `SHA1(SHA1(pw))`, or none for the empty password.
    Native(Option<[u8; HASH_BYTES]>),
    /// A plugin with a hash or a key that is none: nobody gets in.
    Invalid,
    /// unix_socket: nobody gets in over TCP.
    Socket,
    /// ed25519: the public key.
    Ed25519([u8; KEY_BYTES]),
    /// parsec: the public key, and how it is made.
    Parsec(Box<parsec::Stored>),
    /// A plugin whose passwords only a node can check.
    OfNode(OfNode),
    /// The configuration tells the password.
    Known(Known),
    /// A plugin the proxy can't do, by name.
    Foreign(Box<str>),
}

/// Plugins that nodes get what they ask for of the password itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OfNode {
    Pam,
    CachingSha2,
}

impl OfNode {
    fn name(self) -> &'static str {
        match self {
            Self::Pam => "pam",
            Self::CachingSha2 => "caching_sha2_password",
        }
    }
}

impl Auth {
    fn new(plugin: &str, hash: &str) -> Self {
        if plugin.is_empty() || plugin.eq_ignore_ascii_case("mysql_native_password") {
            return native(hash);
        }
        match plugin.to_ascii_lowercase().as_str() {
            "unix_socket" => Self::Socket,
            "ed25519" => ed25519::stored(hash).map_or(Self::Invalid, Self::Ed25519),
            "parsec" => parsec::Stored::parse(hash).map_or(Self::Invalid, |stored| Self::Parsec(Box::new(stored))),
            "pam" => Self::OfNode(OfNode::Pam),
            "caching_sha2_password" => Self::OfNode(OfNode::CachingSha2),
            _ => Self::Foreign(plugin.into()),
        }
    }

    /// What proves it is the password itself.
    pub fn takes_password(&self) -> bool {
        matches!(self, Self::Ed25519(_) | Self::Parsec(_) | Self::OfNode(_))
    }
}

/// The hash is left out.
impl std::fmt::Debug for Auth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Native(_) => "mysql_native_password",
            Self::Invalid => "invalid",
            Self::Socket => "unix_socket",
            Self::Ed25519(_) => "ed25519",
            Self::Parsec(_) => "parsec",
            Self::OfNode(plugin) => plugin.name(),
            Self::Known(_) => "password in the proxy's configuration",
            Self::Foreign(plugin) => plugin,
        })
    }
}

/// What an account requires of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// `REQUIRE NONE`
    Nothing,
    /// `REQUIRE SSL`
    Tls,
    /// `REQUIRE X509`
    Certificate,
    /// `REQUIRE SUBJECT`, `ISSUER`, `CIPHER`: each as OpenSSL has it, empty if it is not required.
    Named(Box<Named>),
}

/// What must be known of the client's side of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Named {
    pub subject: Box<str>,
    pub issuer: Box<str>,
    pub cipher: Box<str>,
}

/// An account, or a role (which has no host and no way in).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User or role name; empty for anybody.
    pub user: Box<str>,
    /// Where from.
    pub host: HostPattern,
    /// Ways in; any of them will do.
    pub auth: Box<[Auth]>,
    /// The server's bits of privileges on `*.*`.
    pub access: u64,
    /// `ACCOUNT LOCK`.
    pub locked: bool,
    /// What it requires of TLS.
    pub requires: Requirement,
    /// `SET DEFAULT ROLE`; empty for none.
    pub default_role: Box<str>,
    /// A role, not an account.
    pub is_role: bool,
}

impl Account {
    /// The configuration tells its password: one more way in, and the first that is tried.
    pub fn know(&mut self, password: Known) {
        let ways = std::mem::take(&mut self.auth);
        self.auth = std::iter::once(Auth::Known(password)).chain(ways).collect();
    }

    /// May kill sessions of other users.
    pub fn may_kill_others(&self) -> bool {
        self.access & CONNECTION_ADMIN != 0
    }

    /// Of a row. As on the server, a key of the wrong type counts as missing; a document that is none, or a list of ways in
    /// that is not one of objects, is an error in words.
    pub fn parse(user: &str, host: &str, document: &[u8]) -> Result<Self, &'static str> {
        let document: Value = serde_json::from_slice(document).map_err(|_| "Priv is not JSON")?;
        if !document.is_object() {
            return Err("Priv is not a JSON object");
        }
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |key: &str| document.get(key) == Some(&Value::Bool(true));
        let number = |key: &str| document.get(key).and_then(Value::as_u64).unwrap_or(0);
        let mut access = number("access");
        if access & SUPER != 0 && number("version_id") < SUPER_IS_LESS {
            access |= CONNECTION_ADMIN;
        }
        let own = || Auth::new(&text(&document, "plugin"), &text(&document, "authentication_string"));
        let auth: Box<[Auth]> = match document.get("auth_or").and_then(Value::as_array) {
            None => Box::new([own()]),
            Some(ways) if ways.is_empty() || !ways.iter().all(Value::is_object) => {
                return Err("auth_or is not a list of objects");
            }
            // The entry without a plugin stands for the one at the top of the document.
            Some(ways) => ways
                .iter()
                .map(|way| match way.get("plugin") {
                    None => own(),
                    Some(_) => Auth::new(&text(way, "plugin"), &text(way, "authentication_string")),
                })
                .collect(),
        };
        Ok(Self {
            user: user.into(),
            host: HostPattern::new(host),
            auth,
            access,
            locked: flag("account_locked"),
            // 0 is "not given", -1 and 0 are written for NONE.
            requires: match number("ssl_type") {
                0 => Requirement::Nothing,
                1 => Requirement::Tls,
                2 => Requirement::Certificate,
                _ => Requirement::Named(Box::new(Named {
                    subject: text(&document, "x509_subject").into(),
                    issuer: text(&document, "x509_issuer").into(),
                    cipher: text(&document, "ssl_cipher").into(),
                })),
            },
            default_role: text(&document, "default_role").into(),
            is_role: flag("is_role"),
        })
    }

    /// May it enter every schema by this privilege mask?
    pub fn enters_any_schema(access: u64) -> bool {
        access & SCHEMA_PRIVILEGES != 0
    }
}

/// `'user'@'host'`, as SQL and the server's messages have it.
impl std::fmt::Display for Account {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "'{}'@'{}'", self.user, self.host.text())
    }
}

/// `*` and 40 hexadecimal digits, or nothing.
fn native(hash: &str) -> Auth {
    if hash.is_empty() {
        return Auth::Native(None);
    }
    let digits = hash.as_bytes().get(1..).unwrap_or_default();
    let mut bytes = [0; HASH_BYTES];
    if digits.len() != 2 * HASH_BYTES {
        return Auth::Invalid;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16);
        match (digit(pair[0]), digit(pair[1])) {
            (Some(high), Some(low)) => *byte = (high << 4 | low) as u8,
            _ => return Auth::Invalid,
        }
    }
    Auth::Native(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str) -> Account {
        Account::parse("u", "%", document.as_bytes()).unwrap()
    }

    const HASH: &str = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

    fn secret() -> Auth {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&[0x14, 0xe6, 0x55, 0x67]);
        match native(HASH) {
            Auth::Native(Some(hash)) if hash[..4] == bytes[..4] => Auth::Native(Some(hash)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ways_in() {
        let foreign = |name: &str| Auth::Foreign(name.into());
        let with = |rest: &str| {
            format!(r#"{{"access":0,"plugin":"mysql_native_password","authentication_string":"{HASH}"{rest}}}"#)
        };
        for (document, ways) in [
            (r#"{"access":18446744073709551615}"#.to_owned(), vec![Auth::Native(None)]),
            (r#"{"plugin":"","authentication_string":""}"#.to_owned(), vec![Auth::Native(None)]),
            (with(""), vec![secret()]),
            (
                with(r#","auth_or":[{"plugin":"gssapi","authentication_string":"x"},{}]"#),
                vec![foreign("gssapi"), secret()],
            ),
            (with(r#","auth_or":[{},{"plugin":"unix_socket"}]"#), vec![secret(), Auth::Socket]),
            (r#"{"plugin":"mysql_native_password","authentication_string":"invalid"}"#.to_owned(), vec![Auth::Invalid]),
            (r#"{"plugin":"MySQL_native_password","authentication_string":"*zz"}"#.to_owned(), vec![Auth::Invalid]),
            (r#"{"plugin":"parsec","authentication_string":"P0:x:y"}"#.to_owned(), vec![Auth::Invalid]),
            (r#"{"plugin":"pam"}"#.to_owned(), vec![Auth::OfNode(OfNode::Pam)]),
            (r#"{"plugin":"ed25519","authentication_string":"x"}"#.to_owned(), vec![Auth::Invalid]),
            (
                r#"{"plugin":"ed25519","authentication_string":"ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"}"#
                    .to_owned(),
                vec![Auth::Ed25519(ed25519::public_key(b"secret"))],
            ),
        ] {
            assert_eq!(*parse(&document).auth, *ways, "{document}");
        }
        assert!(!format!("{:?}", parse(&with(""))).contains("20,"), "hashes are not printed");
    }

    #[test]
    fn keys() {
        let account = parse(r#"{"access":5,"account_locked":true,"ssl_type":2,"default_role":"rôle"}"#);
        assert!(account.locked && account.requires != Requirement::Nothing && !account.is_role);
        assert_eq!((account.access, &*account.default_role), (5, "rôle"));
        let odd = parse(r#"{"access":"5","account_locked":1,"ssl_type":-1,"is_role":true,"default_role":7}"#);
        assert!(!odd.locked && odd.requires == Requirement::Nothing && odd.is_role);
        assert_eq!((odd.access, &*odd.default_role, odd.to_string()), (0, "", "'u'@'%'".to_owned()));
        for bad in ["", "[]", "{", r#"{"auth_or":[]}"#, r#"{"auth_or":[1]}"#, "\u{0}"] {
            assert!(Account::parse("u", "%", bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn super_is_less_in_rows_of_newer_servers() {
        for (rest, kills) in [("", true), (r#","version_id":101119"#, true), (r#","version_id":110809"#, false)] {
            assert_eq!(parse(&format!(r#"{{"access":{SUPER}{rest}}}"#)).may_kill_others(), kills, "{rest}");
        }
        assert!(parse(&format!(r#"{{"access":{CONNECTION_ADMIN},"version_id":110809}}"#)).may_kill_others());
    }

    #[test]
    fn which_global_privileges_open_schemas() {
        let opens = |bit: u32| Account::enters_any_schema(1 << bit);
        let closed = [6, 7, 8, 9, 14, 15, 19, 20, 25, 28, 30, 31, 32, 33, 34, 35, 36, 37, 38];
        for bit in 0..40 {
            assert_eq!(opens(bit), !closed.contains(&bit), "bit {bit}");
        }
    }
}
