//! The proxy as server: may this client in? (pure)
//!
//! One function of a snapshot and a login, in the server's order: password, TLS, lock, then the schema, so that nobody learns
//! of what he may not have. Adds one question of the proxy's own: the node sees the proxy's address, so the account it would
//! choose there must have the same password and rights. Refusals are the server's, word for word; where the proxy refuses what
//! a server would not, the server's text goes on with the reason and the remedy.
//! Source of facts: MariaDB 10.11 `sql/sql_acl.cc` (`acl_authenticate`, `native_password_authenticate`), `sql/sql_db.cc`.

use std::net::IpAddr;

use crate::fault::{Fault, Retry};

use super::account::{Account, Auth, Requirement};
use super::accounts::Accounts;
use super::ed25519;
use super::grants::Visitor;
use super::native::{self, HASH_BYTES};
use super::pattern::{Origin, SCHEMA_CHARS_MAX};
use super::secret::Secret;

/// Longest user name in characters; the server cuts what a client sends.
const USER_CHARS_MAX: usize = 128;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// With mysql_native_password: 20 bytes, or none for the empty password.
    Native(&'a [u8]),
    /// With the password itself.
    Password(&'a [u8]),
}

impl Answer<'_> {
    /// The client has no password, as far as that is told.
    fn is_empty(self) -> bool {
        let (Self::Native(bytes) | Self::Password(bytes)) = self;
        bytes.is_empty()
    }

    fn is_valid(self) -> bool {
        match self {
            Self::Native(answer) => answer.is_empty() || answer.len() == HASH_BYTES,
            Self::Password(_) => true,
        }
    }
}

/// A login as it stands after the client's answer.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// User name in UTF-8, from [`login_name`] or COM_CHANGE_USER.
    pub user: &'a [u8],
    /// The client's address.
    pub client: IpAddr,
    /// This proxy's address as nodes see it; the client's where nodes are told that one.
    pub proxy: IpAddr,
    /// What the client was challenged with.
    pub scramble: &'a [u8; HASH_BYTES],
    /// Its answer.
    pub answer: Answer<'a>,
    /// The schema it wants, in UTF-8.
    pub schema: Option<&'a [u8]>,
    /// The client speaks TLS with the proxy.
    pub secure: bool,
    /// And is known by this there.
    pub shown: Shown<'a>,
    /// The proxy speaks TLS with nodes.
    pub secure_to_nodes: bool,
    /// And shows them a certificate of its own.
    pub shows_to_nodes: bool,
}

/// What the client's side of TLS is known by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// OpenSSL's name of the cipher.
    pub cipher: &'a str,
    /// The certificate that it has shown, and that somebody vouches for.
    pub certificate: Option<Certificate<'a>>,
}

/// Whom a certificate names, as OpenSSL has it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Certificate<'a> {
    pub subject: &'a str,
    pub issuer: &'a str,
}

/// A login that may go on to a node. What is left to the node: an unknown or impossible schema name (1049, 1102), expired
/// passwords, resource limits, too many connections.
#[derive(Debug)]
pub struct Admitted<'a> {
    /// With what to log in to nodes; none for the empty password.
    pub secret: Option<Secret>,
    /// It is shown who the client is. Else a node has to say, by a login of its own.
    pub proven: bool,
    /// The account that let the client in.
    pub account: &'a Account,
}

/// The user name of a handshake response as the server reads it: without quotes around it, and cut.
/// (It takes COM_CHANGE_USER's as it is.)
pub fn login_name(sent: &[u8]) -> &[u8] {
    let name = match sent {
        [b'\'', inner @ .., b'\''] => inner,
        _ => sent,
    };
    let Ok(text) = std::str::from_utf8(name) else { return name };
    text.char_indices().nth(USER_CHARS_MAX).map_or(name, |(end, _)| &name[..end])
}

impl Accounts {
    /// Decides.
    pub fn admit(&self, login: &Login) -> Result<Admitted<'_>, Fault> {
        if self.generation() == 0 {
            let text =
                "Accounts could not be loaded from any node yet; see the proxy's log, or try again in a few seconds";
            return Err(Fault::proxy(Retry::Never, 1105, b"HY000", text));
        }
        let client = self.client(login.client);
        let Some(account) = self.choose(login.user, &client) else { return Err(self.unknown(login, &client)) };
        let Proof { secret, proven } = prove(login, &client, account)?;
        if !shows_enough(&account.requires, login) {
            // A server says no more, and says it to who has the right password, too.
            return Err(denied(login, &client, None));
        }
        if let Some(reason) = unmet(account, login) {
            return Err(denied(login, &client, Some(&reason)));
        }
        if account.locked {
            return Err(Fault::client(4151, b"HY000", "Access denied, this account is locked"));
        }
        self.stands_for_itself(login, &client, account)?;
        if let Some(schema) = login.schema.filter(|schema| !schema.is_empty()) {
            let visitor = Visitor { account, origin: &client };
            let text = String::from_utf8_lossy(schema);
            let text = self.grants().schema_name(&text);
            if is_schema_name(&text) && !self.grants().may_use_schema(visitor, &text) {
                let message = format!("Access denied for user {account} to database '{text}'");
                return Err(Fault::client(1044, b"42000", message));
            }
        }
        Ok(Admitted { secret, proven, account })
    }

    /// Whether only the password itself could still let this client in, which it must not be asked for without TLS.
    pub fn wants_password(&self, login: &Login) -> bool {
        let client = self.client(login.client);
        let account = self.choose(login.user, &client);
        let account = account.filter(|account| account.auth.iter().any(Auth::takes_password));
        login.secure && account.is_some_and(|account| prove(login, &client, account).is_err())
    }

    /// No account. The server lets such a client go through the motions, and refuses in the same words.
    fn unknown(&self, login: &Login, client: &Origin) -> Fault {
        if !self.admits_host(client) {
            let message = format!("Host '{}' is not allowed to connect to this MariaDB server", client.shown());
            return Fault::client(1130, b"HY000", message);
        }
        if login.answer.is_valid() { denied(login, client, None) } else { bad_handshake() }
    }

    /// Would a node, which sees the proxy's address, give this client the same account, or one with the same password and rights?
    fn stands_for_itself(&self, login: &Login, client: &Origin, account: &Account) -> Result<(), Fault> {
        if login.client == login.proxy {
            return Ok(());
        }
        let origin = self.proxy(login.proxy);
        let shown = origin.shown();
        let Some(other) = self.choose(login.user, &origin) else {
            let user = String::from_utf8_lossy(login.user);
            let reason = format!(
                "{account} admits the client, but no account of '{user}' admits this proxy at '{shown}', as which nodes see it; \
                 remedy: CREATE USER '{user}'@'{shown}' with the same password and grants"
            );
            return Err(denied(login, client, Some(&reason)));
        };
        let (here, there) = (Visitor { account, origin: client }, Visitor { account: other, origin: &origin });
        let difference = if prove(login, client, other).is_err() {
            "password"
        } else if !self.grants().same_rights(here, there) {
            "rights"
        } else if other.locked || unmet(other, login).is_some() {
            "lock or TLS requirement"
        } else {
            return Ok(());
        };
        let reason = format!(
            "account {account} differs in {difference} from {other}, which nodes would choose for this proxy at '{shown}'; \
             remedy: give both the same password and grants, or drop one"
        );
        Err(denied(login, client, Some(&reason)))
    }
}

/// Does the client's side of TLS meet what an account requires? (server: `acl_check_ssl`)
fn shows_enough(requires: &Requirement, login: &Login) -> bool {
    let shown = login.shown;
    match requires {
        Requirement::Nothing => true,
        Requirement::Tls => login.secure,
        Requirement::Certificate => login.secure && shown.certificate.is_some(),
        Requirement::Named(named) => {
            let is = |wanted: &str, shown: Option<&str>| wanted.is_empty() || shown == Some(wanted);
            login.secure
                && is(&named.cipher, Some(shown.cipher))
                && is(&named.subject, shown.certificate.map(|certificate| certificate.subject))
                && is(&named.issuer, shown.certificate.map(|certificate| certificate.issuer))
        }
    }
}

/// Why nodes would not let the proxy in as this account, for what that requires of TLS.
fn unmet(account: &Account, login: &Login) -> Option<String> {
    let remedy = match &account.requires {
        Requirement::Nothing => return None,
        _ if !login.secure_to_nodes => {
            return Some(format!(
                "{account} requires TLS, which the proxy does not speak with nodes; \
                 remedy: tls in [cluster] of the proxy, or ALTER USER {account} REQUIRE NONE"
            ));
        }
        Requirement::Tls => return None,
        Requirement::Certificate => "",
        // What is asked of ciphers only is known when the node is asked.
        Requirement::Named(named) if named.subject.is_empty() && named.issuer.is_empty() => return None,
        Requirement::Named(_) => " that meets this, too",
    };
    (!login.shows_to_nodes).then(|| {
        format!(
            "{account} requires a certificate, and nodes want to see one of the proxy{remedy}; \
             remedy: certificate and key in tls in [cluster] of the proxy, or ALTER USER {account} REQUIRE SSL"
        )
    })
}

/// What an answer comes to.
struct Proof {
    secret: Option<Secret>,
    proven: bool,
}

/// Any of the account's ways in will do. The error is what the last of them leads to.
fn prove(login: &Login, client: &Origin, account: &Account) -> Result<Proof, Fault> {
    if !login.answer.is_valid() {
        return Err(bad_handshake());
    }
    if let Some(secret) = account.auth.iter().find_map(|auth| proven_by(login, auth)) {
        return match no_way(login, account) {
            Some(reason) => Err(refusal(login, client, "YES", Some(&reason))),
            None => Ok(Proof { secret, proven: true }),
        };
    }
    if let Answer::Password(password) = login.answer
        && login.secure_to_nodes
        && account.auth.iter().any(|auth| matches!(auth, Auth::OfNode(_)))
    {
        return Ok(Proof { secret: Some(Secret::clear(password)), proven: false });
    }
    let is_known = account.auth.iter().any(|auth| matches!(auth, Auth::Known(_)));
    if let Some(reason) = account.auth.iter().find_map(|auth| obstacle(login, account, auth)).filter(|_| !is_known) {
        // These plugins ask for a password even where the client has none.
        return Err(refusal(login, client, "YES", Some(&reason)));
    }
    // Of unix_socket the server remembers that no password was asked for, unless one was given afterwards.
    let socket = account.auth.iter().rposition(|auth| *auth == Auth::Socket);
    if socket.is_some_and(|at| login.answer.is_empty() || at + 1 == account.auth.len()) {
        let user = String::from_utf8_lossy(login.user);
        let message = format!("Access denied for user '{user}'@'{}'", client.shown());
        return Err(Fault::client(1698, b"28000", message));
    }
    Err(denied(login, client, None))
}

/// What one way in makes of the answer: nothing, if that does not prove it.
fn proven_by(login: &Login, auth: &Auth) -> Option<Option<Secret>> {
    match (auth, login.answer) {
        (Auth::Native(None), answer) => answer.is_empty().then_some(None),
        (Auth::Native(Some(stored)), Answer::Native(answer)) => {
            native::verify(login.scramble, answer, stored).map(|password| Some(Secret::Hashed(password)))
        }
        (Auth::Native(Some(stored)), Answer::Password(password)) => {
            native::is_password(password, stored).then(|| Some(Secret::clear(password)))
        }
        (Auth::Ed25519(key), Answer::Password(password)) => {
            (ed25519::public_key(password) == *key).then(|| Some(Secret::clear(password)))
        }
        (Auth::Parsec(stored), Answer::Password(password)) => {
            stored.is_password(password).then(|| Some(Secret::clear(password)))
        }
        (Auth::Known(known), Answer::Native(answer)) => known.by_answer(login.scramble, answer).map(Some),
        (Auth::Known(known), Answer::Password(password)) => known.by_password(password).map(Some),
        (Auth::Ed25519(_) | Auth::Parsec(_), Answer::Native(_))
        | (Auth::OfNode(_) | Auth::Invalid | Auth::Socket | Auth::Foreign(_), _) => None,
    }
}

/// Why no node lets in who has the password, if that is so: of the ways in that nodes know the proxy can take none.
fn no_way(login: &Login, account: &Account) -> Option<String> {
    let mut of_nodes = account.auth.iter().filter(|auth| !matches!(auth, Auth::Known(_)));
    let first = closed(login, account, of_nodes.next()?)?;
    of_nodes.all(|auth| closed(login, account, auth).is_some()).then_some(first)
}

/// Why the proxy can't log in to nodes this way.
fn closed(login: &Login, account: &Account, auth: &Auth) -> Option<String> {
    match auth {
        Auth::Foreign(plugin) => Some(format!(
            "{account} uses the plugin {plugin}, with which the proxy can't log in to nodes; \
             remedy: ALTER USER {account} IDENTIFIED VIA mysql_native_password USING PASSWORD('...')"
        )),
        Auth::OfNode(_) if !login.secure_to_nodes => Some(format!(
            "{account} uses the plugin {auth:?}, for which nodes need the password itself, and get it in TLS only; \
             remedy: tls in [cluster] of the proxy"
        )),
        _ => None,
    }
}

/// Why the proxy can't take this way in, or not yet.
fn obstacle(login: &Login, account: &Account, auth: &Auth) -> Option<String> {
    let asks = auth.takes_password();
    if let Some(reason) = closed(login, account, auth) {
        Some(reason)
    } else if asks && !login.secure {
        Some(format!(
            "{account} uses the plugin {auth:?}, for which the proxy needs the password itself, and takes it in TLS only; \
             remedy: its password in an [[account]] of the proxy, or tls in the proxy's [[listener]] and the client's \
             option for TLS (--ssl)"
        ))
    } else if asks && matches!(login.answer, Answer::Native(_)) {
        Some(format!(
            "{account} uses the plugin {auth:?}, for which the proxy asks for the password with mysql_clear_password: \
             the client can't do that, or may not; remedy: its option for that plugin (--enable-cleartext-plugin)"
        ))
    } else {
        None
    }
}

fn bad_handshake() -> Fault {
    Fault::client(1043, b"08S01", "Bad handshake")
}

fn denied(login: &Login, client: &Origin, reason: Option<&str>) -> Fault {
    refusal(login, client, if login.answer.is_empty() { "NO" } else { "YES" }, reason)
}

fn refusal(login: &Login, client: &Origin, used: &str, reason: Option<&str>) -> Fault {
    let user = String::from_utf8_lossy(login.user);
    let mut message = format!("Access denied for user '{user}'@'{}' (using password: {used})", client.shown());
    if let Some(reason) = reason {
        message.push_str(": ");
        message.push_str(reason);
    }
    Fault::client(1045, b"28000", message)
}

/// The server says 1102 to other names before it looks at privileges.
fn is_schema_name(name: &str) -> bool {
    name.chars().count() <= SCHEMA_CHARS_MAX as usize && !name.ends_with(' ')
}
