//! The login to a node as a session's user (pure): packets of the node in, packets to it out.
//!
//! Knows as much of the user's password as the client has told. It does not dial and does not wait.

use crate::auth::secret::Secret;
use crate::auth::{caching_sha2, ed25519, parsec};
use crate::fault::{Fault, Retry};
use crate::wire::Malformed;
use crate::wire::capability::{Capabilities, Status};
use crate::wire::challenge::{CACHING_SHA2, CLEAR, DIALOG, ED25519, MORE, NATIVE, PARSEC, SCRAMBLE, SWITCH, Switch};
use crate::wire::err::{ERR, Error};
pub use crate::wire::handshake::SSL_REQUEST;
use crate::wire::handshake::{self, Greeting, Response};
use crate::wire::ok::{OK, Ok as OkPacket};
use crate::wire::packet;

/// Who logs in, and how.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The user's name.
    pub user: &'a [u8],
    /// SHA1(password); none for an account without one.
    pub secret: Option<&'a Secret>,
    /// The schema to start in.
    pub schema: Option<&'a [u8]>,
    /// What the session's client negotiated.
    pub capabilities: Capabilities,
    /// The longest packet the client takes, in bytes.
    pub packet_max: u32,
    /// The client's collation.
    pub collation: u8,
    /// The client's connection attributes as sent.
    pub attributes: &'a [u8],
    /// All of it goes in TLS.
    pub tls: bool,
}

/// An [`Identity`] that outlives its session.
pub struct Credentials {
    /// The user's name.
    pub user: Box<[u8]>,
    /// SHA1(password); none for an account without one.
    pub secret: Option<Secret>,
    /// What the session's client negotiated.
    pub capabilities: Capabilities,
    /// The longest packet the client takes, in bytes.
    pub packet_max: u32,
    /// The client's collation.
    pub collation: u8,
    /// The client's connection attributes as sent.
    pub attributes: Box<[u8]>,
}

impl Credentials {
    /// To log in with, in no schema.
    pub fn identity(&self) -> Identity<'_> {
        Identity {
            user: &self.user,
            secret: self.secret.as_ref(),
            schema: None,
            capabilities: self.capabilities,
            packet_max: self.packet_max,
            collation: self.collation,
            attributes: &self.attributes,
            tls: false,
        }
    }
}

/// How far the login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Waits for the node's greeting.
    Greeting,
    /// Has answered; waits for the verdict.
    Answered {
        /// The node's id for this connection.
        thread: u32,
        /// How often the node has asked for another plugin.
        switches: u8,
        /// What it may ask for next.
        exchange: Exchange,
    },
}

/// What a plugin may ask for after its first answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Nothing.
    Over,
    /// caching_sha2_password: the password itself, if the node has not seen it before.
    CachingSha2,
    /// parsec: the answer to this, by a key made as the node says next.
    Parsec([u8; parsec::CHALLENGE_BYTES]),
}

/// What caching_sha2_password says of the hash: it is known to be right.
const SHA2_KNOWN: u8 = 3;
/// The password itself is needed.
const SHA2_ASKS: u8 = 4;

/// An account may list several plugins; more than this the server does not allow by far.
const SWITCHES_MAX: u8 = 8;
/// A node that does not believe the proxy when it says who the client is.
const HOST_NOT_PRIVILEGED: u16 = 1130;
const HEADER_REFUSED: &str = "Proxy header is not accepted";
/// A wrong answer that is well-formed for the plugins that take a signature.
const WRONG_ANSWER: [u8; 64] = [0; 64];

/// What a packet of the node led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait for the node's next packet.
    More(Login),
    /// The same. The first [`SSL_REQUEST`] bytes of the answer are the wish for TLS, the rest comes within it.
    Secure(Login),
    /// Logged in.
    Done {
        /// The node's id for this connection.
        thread: u32,
        /// Server status of the final OK.
        status: Status,
    },
    /// The node refused: its own ERR packet's content.
    Refused(Fault),
}

impl Login {
    /// Takes in one whole packet of the node; appends the answer to `out`.
    pub fn take(self, sequence: u8, payload: &[u8], who: &Identity, out: &mut Vec<u8>) -> Result<Step, Malformed> {
        match (self, payload.first()) {
            (_, Some(&ERR)) => Ok(Step::Refused(refusal(payload)?)),
            (Self::Greeting, _) => {
                let greeting = Greeting::parse(payload)?;
                let next = Self::Answered { thread: greeting.thread, switches: 0, exchange: Exchange::Over };
                if !who.tls {
                    respond(&greeting, sequence, who, out);
                    return Ok(Step::More(next));
                }
                if !greeting.capabilities.contains(Capabilities::SSL) {
                    return Err(Malformed("the node does not offer TLS"));
                }
                let sequence = sequence.wrapping_add(1);
                let capabilities = asked_of(&greeting, who);
                handshake::put_ssl_request(out, sequence, capabilities, who.packet_max, who.collation);
                respond(&greeting, sequence, who, out);
                Ok(Step::Secure(next))
            }
            (Self::Answered { thread, .. }, Some(&OK)) => {
                Ok(Step::Done { thread, status: OkPacket::parse(payload)?.status })
            }
            (Self::Answered { exchange: Exchange::CachingSha2, .. }, Some(_)) if said(payload) == [SHA2_KNOWN] => {
                Ok(Step::More(self))
            }
            (Self::Answered { thread, switches, exchange: Exchange::CachingSha2 }, Some(_))
                if said(payload) == [SHA2_ASKS] =>
            {
                let password = who.secret.and_then(Secret::password).filter(|_| who.tls);
                let password = password.ok_or(Malformed("the node asks for the password itself, outside of TLS"))?;
                packet::put(out, sequence.wrapping_add(1), |out| put_clear(out, password));
                Ok(Step::More(Self::Answered { thread, switches, exchange: Exchange::Over }))
            }
            (Self::Answered { thread, switches, exchange: Exchange::Parsec(challenge) }, Some(first))
                if *first != SWITCH =>
            {
                let recipe = parsec::Recipe::parse(said(payload)).ok_or(Malformed("no way to make a key of parsec"))?;
                let password = who.secret.and_then(Secret::password).unwrap_or_default();
                packet::put(out, sequence.wrapping_add(1), |out| {
                    out.extend_from_slice(&recipe.answer(password, &challenge));
                });
                Ok(Step::More(Self::Answered { thread, switches, exchange: Exchange::Over }))
            }
            (Self::Answered { thread, switches, .. }, Some(&SWITCH)) if switches < SWITCHES_MAX => {
                let switch = Switch::parse(payload)?;
                packet::put(out, sequence.wrapping_add(1), |out| answer(&switch, who, out));
                let exchange = follows(&switch, who);
                Ok(Step::More(Self::Answered { thread, switches: switches + 1, exchange }))
            }
            _ => Err(Malformed("unexpected packet in a node's login")),
        }
    }
}

fn asked_of(greeting: &Greeting, who: &Identity) -> Capabilities {
    let wanted = who.capabilities.towards_node(who.schema.is_some(), !who.attributes.is_empty());
    let tls = if who.tls { Capabilities::SSL } else { Capabilities::empty() };
    wanted & (greeting.capabilities | Capabilities::REQUIRED | Capabilities::CONNECT_WITH_DB) | tls
}

fn respond(greeting: &Greeting, sequence: u8, who: &Identity, out: &mut Vec<u8>) {
    let capabilities = asked_of(greeting, who);
    let mut answer = Vec::with_capacity(SCRAMBLE);
    put_native(&mut answer, who, &greeting.scramble);
    let response = Response {
        capabilities,
        packet_max: who.packet_max,
        collation: who.collation,
        user: who.user,
        answer: &answer,
        schema: who.schema,
        plugin: NATIVE,
        attributes: who.attributes,
    };
    packet::put(out, sequence.wrapping_add(1), |out| response.put(out));
}

fn put_native(out: &mut Vec<u8>, who: &Identity, scramble: &[u8; SCRAMBLE]) {
    if let Some(answer) = who.secret.and_then(|secret| secret.native_answer(scramble)) {
        out.extend_from_slice(&answer);
    }
}

/// The answer to another plugin. One that can't be done comes before ours in the account's list: refused here, it hands over to the
/// next. The password itself goes in TLS only.
fn answer(switch: &Switch, who: &Identity, out: &mut Vec<u8>) {
    match (switch.plugin, who.secret.and_then(Secret::password)) {
        (NATIVE, _) if let Some(scramble) = switch.native_scramble() => put_native(out, who, &scramble),
        (ED25519, Some(password)) => {
            let challenge = switch.data.first_chunk::<{ ed25519::KEY_BYTES }>();
            out.extend_from_slice(&ed25519::answer(password, challenge.map_or(switch.data, |challenge| challenge)));
        }
        // Nothing: the node is to say how the key is made.
        (PARSEC, Some(_)) => {}
        (CACHING_SHA2, Some(password)) if let Some(scramble) = switch.scramble() => {
            out.extend_from_slice(&caching_sha2::answer(password, scramble));
        }
        (CLEAR | DIALOG, Some(password)) if who.tls => put_clear(out, password),
        _ => out.extend_from_slice(&WRONG_ANSWER),
    }
}

/// What a plugin asks for after the answer to its first packet.
fn follows(switch: &Switch, who: &Identity) -> Exchange {
    match (switch.plugin, who.secret.and_then(Secret::password)) {
        (CACHING_SHA2, _) => Exchange::CachingSha2,
        (PARSEC, Some(_)) => switch.data.first_chunk().map_or(Exchange::Over, |challenge| Exchange::Parsec(*challenge)),
        _ => Exchange::Over,
    }
}

fn put_clear(out: &mut Vec<u8>, password: &[u8]) {
    out.extend_from_slice(password);
    out.push(0);
}

/// What a plugin says: servers put [`MORE`] before it, or not.
fn said(payload: &[u8]) -> &[u8] {
    payload.strip_prefix(&[MORE]).unwrap_or(payload)
}

/// The fault that an ERR packet of a node tells.
pub fn refusal(payload: &[u8]) -> Result<Fault, Malformed> {
    let error = Error::parse(payload)?;
    let mut message = String::from_utf8_lossy(error.message);
    if error.code == HOST_NOT_PRIVILEGED && message.starts_with(HEADER_REFUSED) {
        message.to_mut().push_str(", which the node's proxy_protocol_networks must have");
    }
    Ok(Fault::node(Retry::Never, error.code, &error.state, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::native::Sha1Password;

    fn who(secret: Option<&Secret>) -> Identity<'_> {
        Identity {
            user: b"app",
            secret,
            schema: Some(b"shop"),
            capabilities: Capabilities::SUPPORTED,
            packet_max: 1 << 24,
            collation: 45,
            attributes: b"",
            tls: false,
        }
    }

    fn greeting() -> Vec<u8> {
        let mut payload = Vec::new();
        let greeting = Greeting {
            version: b"5.5.5-10.11.19-MariaDB",
            thread: 12,
            capabilities: Capabilities::SUPPORTED,
            collation: 8,
            status: Status::AUTOCOMMIT,
            plugin: NATIVE,
            scramble: [3; SCRAMBLE],
        };
        greeting.put(&mut payload);
        payload
    }

    #[test]
    fn a_login_with_a_switch() {
        let password = Secret::clear(b"secret");
        let who = who(Some(&password));
        let mut out = Vec::new();
        let step = Login::Greeting.take(0, &greeting(), &who, &mut out).unwrap();
        let (header, payload) = packet::first(&out).unwrap();
        let response = Response::parse(payload).unwrap();
        assert_eq!((header.sequence, response.user, response.schema), (1, &b"app"[..], Some(&b"shop"[..])));
        assert_eq!(response.answer, password.native_answer(&[3; SCRAMBLE]).unwrap());
        assert!(response.capabilities.contains(Capabilities::SESSION_TRACK));

        let Step::More(login) = step else { panic!("{step:?}") };
        let switch = [b"\xfemysql_native_password\0".as_slice(), &[4; SCRAMBLE], b"\0"].concat();
        out.clear();
        assert_eq!(
            login.take(2, &switch, &who, &mut out),
            Ok(Step::More(Login::Answered { thread: 12, switches: 1, exchange: Exchange::Over }))
        );
        assert_eq!(out[4..], password.native_answer(&[4; SCRAMBLE]).unwrap());
        assert_eq!(out[3], 3);
        let done = login.take(4, b"\0\0\0\x02\0\0\0", &who, &mut out);
        assert_eq!(done, Ok(Step::Done { thread: 12, status: Status::AUTOCOMMIT }));
    }

    #[test]
    fn a_login_in_tls() {
        let who = Identity { tls: true, ..who(None) };
        let mut out = Vec::new();
        assert!(Login::Greeting.take(0, &greeting(), &who, &mut out).is_err(), "not offered");
        let mut payload = Vec::new();
        let capabilities = Capabilities::SUPPORTED | Capabilities::SSL;
        Greeting { capabilities, ..Greeting::parse(&greeting()).unwrap() }.put(&mut payload);
        let step = Login::Greeting.take(0, &payload, &who, &mut out).unwrap();
        assert_eq!(step, Step::Secure(Login::Answered { thread: 12, switches: 0, exchange: Exchange::Over }));
        let (request, rest) = out.split_at(SSL_REQUEST);
        let (header, payload) = packet::first(request).unwrap();
        assert!(header.sequence == 1 && handshake::is_ssl_request(payload));
        let (header, payload) = packet::first(rest).unwrap();
        assert_eq!((header.sequence, header.total()), (2, rest.len()));
        assert!(Response::parse(payload).unwrap().capabilities.contains(Capabilities::SSL));
    }

    #[test]
    fn other_plugins_get_what_they_ask_for() {
        let password = Secret::clear(b"secret");
        let hashed = Secret::Hashed(Sha1Password::of(b"secret").unwrap());
        let told = |plugin: &[u8], secret, tls| {
            let mut out = Vec::new();
            let switch = [b"\xfe", plugin, b"\0", &[5; 32]].concat();
            let login = Login::Answered { thread: 1, switches: 0, exchange: Exchange::Over };
            login.take(2, &switch, &Identity { tls, ..who(Some(secret)) }, &mut out).unwrap();
            out[4..].to_vec()
        };
        assert_eq!(told(ED25519, &password, false), ed25519::answer(b"secret", &[5; 32]));
        assert_eq!(told(ED25519, &hashed, false), WRONG_ANSWER);
        for plugin in [CLEAR, DIALOG] {
            assert_eq!(told(plugin, &password, true), b"secret\0");
            assert_eq!(told(plugin, &password, false), WRONG_ANSWER, "not without TLS");
            assert_eq!(told(plugin, &hashed, true), WRONG_ANSWER);
        }
    }

    /// Played as `caching_sha2_password` of MySQL has it, with and without the byte before what a plugin says.
    #[test]
    fn a_node_knows_the_hash_or_asks_for_the_password() {
        let password = Secret::clear(b"secret");
        let asks = |more: &[u8], tls| {
            let who = Identity { tls, ..who(Some(&password)) };
            let switch = [b"\xfecaching_sha2_password\0".as_slice(), &[4; SCRAMBLE], b"\0"].concat();
            let (mut out, login) = (Vec::new(), Login::Answered { thread: 1, switches: 0, exchange: Exchange::Over });
            let Ok(Step::More(login)) = login.take(2, &switch, &who, &mut out) else { panic!() };
            assert_eq!(out[4..], caching_sha2::answer(b"secret", &[4; SCRAMBLE]));
            out.clear();
            (login.take(4, more, &who, &mut out), out)
        };
        let over = Login::Answered { thread: 1, switches: 1, exchange: Exchange::Over };
        for (known, asked) in [(&b"\x01\x03"[..], &b"\x01\x04"[..]), (b"\x03", b"\x04")] {
            let (step, out) = asks(known, false);
            assert!(matches!(step, Ok(Step::More(_))) && out.is_empty());
            assert_eq!(asks(asked, true), (Ok(Step::More(over)), b"\x07\0\0\x05secret\0".to_vec()));
            assert!(asks(asked, false).0.is_err(), "not without TLS");
        }
        assert!(asks(b"\x01\x09", true).0.is_err());
    }

    #[test]
    fn refusals_are_passed_on_as_they_are() {
        let mut out = Vec::new();
        let step = Login::Greeting.take(0, b"\xff\x10\x04Too many connections", &who(None), &mut out).unwrap();
        let Step::Refused(fault) = step else { panic!("{step:?}") };
        assert_eq!((fault.code, &*fault.message), (1040, "Too many connections"));
        assert!(
            Login::Answered { thread: 1, switches: 0, exchange: Exchange::Over }
                .take(2, b"\x05", &who(None), &mut out)
                .is_err()
        );
    }

    #[test]
    fn a_key_of_parsec_is_made_as_the_node_says() {
        let login = Login::Answered { thread: 12, switches: 0, exchange: Exchange::Over };
        let password = Secret::clear(b"secret");
        let who = who(Some(&password));
        let switch = [b"\xfeparsec\0".as_slice(), &[5; 32]].concat();
        let mut out = Vec::new();
        let Step::More(login) = login.take(2, &switch, &who, &mut out).unwrap() else { panic!() };
        assert_eq!(out, [0, 0, 0, 3], "nothing is answered");
        let told = [b"P\0".as_slice(), &[6; 18]].concat();
        let answer = parsec::Recipe::parse(&told).unwrap().answer(b"secret", &[5; 32]);
        for (told, understood) in
            [(told.clone(), true), ([b"\x01", &told[..]].concat(), true), (told[..19].to_vec(), false)]
        {
            out.clear();
            let step = login.take(4, &told, &who, &mut out);
            assert_eq!(step.is_ok(), understood);
            assert!(!understood || (out[4..] == answer && out[3] == 5));
        }
    }

    #[test]
    fn plugins_before_ours_are_passed_by_and_not_for_ever() {
        let password = Secret::clear(b"secret");
        let who = who(Some(&password));
        let mut login = Login::Answered { thread: 1, switches: 0, exchange: Exchange::Over };
        for _ in 0..SWITCHES_MAX {
            let mut out = Vec::new();
            let step = login.take(2, b"\xfeauth_gssapi_client\0nonce", &who, &mut out).unwrap();
            assert_eq!(out[4..], WRONG_ANSWER);
            let Step::More(next) = step else { panic!("{step:?}") };
            login = next;
        }
        assert!(login.take(2, b"\xfeauth_gssapi_client\0nonce", &who, &mut Vec::new()).is_err());
    }
}
