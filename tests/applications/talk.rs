//! A conversation that is held twice, with a node and through the proxy; every byte of the answers is to be the same.

use std::net::SocketAddrV4;

use oarlock::lab::APP_PASSWORD;
use oarlock::wire::capability::Capabilities;
use oarlock::wire::packet::{self, HEADER, Header};
use oarlock::wire::reply::Shape;

use crate::raw::{Raw, command, lines, packets, shape};

/// One side of a conversation: what was asked and what was answered, statement ids blanked out.
pub struct Talk {
    pub raw: Raw,
    said: Vec<(String, Vec<u8>)>,
}

impl Talk {
    fn new(address: SocketAddrV4, capabilities: Capabilities, schema: &[u8]) -> Self {
        let raw = Raw::login(address, capabilities, schema);
        let said = vec![("login".to_owned(), raw.welcome.clone())];
        Self { raw, said }
    }

    /// COM_QUERY.
    pub fn sql(&mut self, sql: &str) -> Vec<u8> {
        self.command(sql, &command(3, &[sql.as_bytes()]))
    }

    /// COM_QUERY whose answer is not compared.
    pub fn quietly(&mut self, sql: &str) -> Vec<u8> {
        self.raw.command(&command(3, &[sql.as_bytes()]))
    }

    /// Any command.
    pub fn command(&mut self, what: &str, payload: &[u8]) -> Vec<u8> {
        self.raw.send(payload);
        self.hear(what, shape(payload))
    }

    /// Several commands in one write.
    pub fn pipeline(&mut self, what: &str, payloads: &[Vec<u8>]) {
        let bytes: Vec<u8> = payloads.iter().flat_map(|payload| packets(0, payload)).collect();
        self.raw.write(&bytes);
        for payload in payloads {
            self.hear(what, shape(payload));
        }
    }

    /// A reply.
    pub fn hear(&mut self, what: &str, shape: Shape) -> Vec<u8> {
        let reply = self.raw.reply(shape);
        let mut compared = reply.clone();
        if shape == Shape::Prepare && compared[HEADER] == 0 {
            compared[HEADER + 1..HEADER + 5].fill(0);
        }
        if self.raw.is_compressed() {
            blank_numbers(&mut compared);
        }
        if what.starts_with("SET ") {
            // The server tells of the variables in any order.
            compared.sort_unstable();
        }
        self.said.push((what.chars().take(120).collect(), compared));
        reply
    }

    /// COM_CHANGE_USER.
    pub fn change_user(&mut self, what: &str, payload: &[u8]) {
        let reply = self.raw.change_user(payload, APP_PASSWORD);
        self.note(what, &reply);
    }

    /// Something learnt in another way.
    pub fn note(&mut self, what: &str, seen: &[u8]) {
        self.said.push((what.to_owned(), seen.to_vec()));
    }

    /// COM_STMT_PREPARE; the id.
    pub fn prepare(&mut self, sql: &str) -> u32 {
        let reply = self.command(sql, &command(0x16, &[sql.as_bytes()]));
        u32::from_le_bytes(reply[HEADER + 1..HEADER + 5].try_into().unwrap())
    }
}

/// Packets of the same content have the same place, whatever their numbers.
fn blank_numbers(reply: &mut [u8]) {
    let mut rest = reply;
    while let Some(header) = Header::parse(rest) {
        packet::set_sequence(rest, 0);
        rest = rest.get_mut(header.total()..).unwrap_or_default();
    }
}

/// Holds the conversation with both; returns what differs.
pub fn differences(
    node: SocketAddrV4,
    proxy: SocketAddrV4,
    capabilities: Capabilities,
    schema: &str,
    converse: impl Fn(&mut Talk),
) -> Vec<String> {
    let hold = |address| {
        let mut talk = Talk::new(address, capabilities, schema.as_bytes());
        converse(&mut talk);
        talk.said
    };
    let (direct, proxied) = (hold(node), hold(proxy));
    assert_eq!(direct.len(), proxied.len());
    let differ = direct.iter().zip(&proxied).filter(|(one, other)| one != other);
    differ
        .map(|((what, direct), (_, proxied))| {
            let (direct, proxied) = (lines(direct), lines(proxied));
            let at = direct.iter().zip(&proxied).position(|(one, other)| one != other);
            let at = at.unwrap_or(direct.len().min(proxied.len()));
            let show = |lines: &[String]| lines.iter().skip(at).take(2).cloned().collect::<Vec<_>>().join("\n        ");
            format!(
                "{what}\n    direct, from packet {at}:\n        {}\n    proxied:\n        {}",
                show(&direct),
                show(&proxied)
            )
        })
        .collect()
}
