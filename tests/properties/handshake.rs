//! Logins, of clients and to nodes: any packets are taken or refused, and what is read can be written and read again.
//!
//! Input: a byte that says whose bytes these are, and these.

use oarlock::auth::secret::Secret;
use oarlock::backend::login::{Identity, Login, SSL_REQUEST, Step};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::challenge::Switch;
use oarlock::wire::err::Error;
use oarlock::wire::handshake::{Greeting, Response, is_ssl_request};
use oarlock::wire::packet;

use crate::play::any_pieces_give_the_same;
use crate::stage;

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 6 {
        0 => response(bytes),
        1 => greeting(bytes),
        2 => challenge(bytes),
        3 => node_login(bytes),
        4 => any_pieces_give_the_same(&[bytes.to_vec()]),
        _ => change_user(bytes),
    }
}

/// COM_CHANGE_USER, behind a byte that says how long it is, and what the client sends behind it.
fn change_user(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first() else { return };
    let (payload, rest) = bytes.split_at(bytes.len().min(usize::from(*length)));
    any_pieces_give_the_same(&[stage::login(stage::usual()), stage::command(0x11, payload), rest.to_vec()]);
}

fn response(payload: &[u8]) {
    let _ = is_ssl_request(payload);
    let Ok(response) = Response::parse(payload) else { return };
    let mut capabilities = response.capabilities | Capabilities::PLUGIN_AUTH_LENENC | Capabilities::PLUGIN_AUTH;
    capabilities.set(Capabilities::CONNECT_WITH_DB, response.schema.is_some());
    let response = Response { capabilities, ..response };
    let mut out = Vec::new();
    response.put(&mut out);
    assert_eq!(Response::parse(&out), Ok(response));
}

fn greeting(payload: &[u8]) {
    let Ok(greeting) = Greeting::parse(payload) else { return };
    let mut out = Vec::new();
    greeting.put(&mut out);
    assert_eq!(Greeting::parse(&out), Ok(greeting));
}

fn challenge(payload: &[u8]) {
    if let Ok(switch) = Switch::parse(payload) {
        assert!(switch.plugin.len() + switch.data.len() <= payload.len().max(18));
        let _ = switch.native_scramble();
    }
    if let Ok(error) = Error::parse(payload) {
        assert!(error.message.len() < payload.len());
    }
}

/// A node that says anything while the session logs in there.
fn node_login(bytes: &[u8]) {
    for tls in [false, true] {
        node_login_with(bytes, tls);
    }
}

fn node_login_with(bytes: &[u8], tls: bool) {
    let secret = Secret::clear(b"secret");
    let who = Identity {
        user: b"app",
        secret: Some(&secret),
        schema: Some(b"shop"),
        capabilities: stage::usual(),
        packet_max: 1 << 24,
        collation: 45,
        attributes: b"",
        tls,
    };
    let (mut login, mut at) = (Login::Greeting, 0);
    while let Some((header, payload)) = packet::first(&bytes[at..]) {
        at += header.total();
        let mut out = Vec::new();
        match login.take(header.sequence, payload, &who, &mut out) {
            Ok(Step::More(next)) => {
                let (answer, _) = packet::first(&out).expect("a whole packet");
                assert_eq!((answer.total(), answer.sequence), (out.len(), header.sequence.wrapping_add(1)));
                login = next;
            }
            Ok(Step::Secure(next)) => {
                let (request, _) = packet::first(&out).expect("a whole packet");
                assert_eq!((request.total(), request.sequence), (SSL_REQUEST, header.sequence.wrapping_add(1)));
                let (answer, _) = packet::first(&out[SSL_REQUEST..]).expect("a whole packet");
                assert_eq!(
                    (answer.total() + SSL_REQUEST, answer.sequence),
                    (out.len(), header.sequence.wrapping_add(2))
                );
                login = next;
            }
            Ok(Step::Done { .. } | Step::Refused(_)) | Err(_) => {
                assert!(out.is_empty());
                return;
            }
        }
    }
}
