//! A client that does one login from a given source address, with the password or just with SHA1 of it.

use std::net::{IpAddr, SocketAddr};

use oarlock::auth::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Code, SQLSTATE and text.
pub type Refusal = (u16, String, String);

/// What a login came to.
pub type Verdict = Result<(), Refusal>;

/// How a client answers a challenge.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// User name.
    pub user: &'a str,
    /// Source address.
    pub from: IpAddr,
    /// What it knows; none for the empty password.
    pub password: Option<&'a Secret>,
    /// Schema it wants.
    pub schema: Option<&'a str>,
}

impl Client<'_> {
    /// To a challenge of mysql_native_password.
    pub fn answer(&self, scramble: &[u8; 20]) -> Vec<u8> {
        self.password.and_then(|secret| secret.native_answer(scramble)).map(Vec::from).unwrap_or_default()
    }

    /// Logs in, says nothing more and goes.
    pub async fn login(&self, server: SocketAddr) -> Verdict {
        let server = if self.from.is_ipv6() { SocketAddr::from((self.from, server.port())) } else { server };
        let socket = if self.from.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        let (_, greeting) = receive(&mut stream).await;
        refused(&greeting)?;
        send(&mut stream, 1, &self.response(&scramble_of_greeting(&greeting))).await;
        loop {
            let (sequence, packet) = receive(&mut stream).await;
            refused(&packet)?;
            match packet[0] {
                0 => return Ok(()),
                0xfe => {
                    let end = packet.iter().position(|byte| *byte == 0).unwrap();
                    let reply = match &packet[1..end] {
                        b"mysql_native_password" => self.answer(packet[end + 1..end + 21].try_into().unwrap()),
                        // A wrong signature, or the empty password.
                        b"client_ed25519" => self.password.map(|_| vec![0; 64]).unwrap_or_default(),
                        _ => vec![0],
                    };
                    send(&mut stream, sequence + 1, &reply).await;
                }
                other => panic!("unexpected packet {other:#x}"),
            }
        }
    }

    fn response(&self, scramble: &[u8; 20]) -> Vec<u8> {
        // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CLIENT_MYSQL; CONNECT_WITH_DB.
        let capabilities: u32 = 1 | 1 << 9 | 1 << 15 | 1 << 19 | if self.schema.is_some() { 1 << 3 } else { 0 };
        let mut packet = capabilities.to_le_bytes().to_vec();
        packet.extend((1u32 << 24).to_le_bytes());
        packet.push(45);
        packet.extend([0; 23]);
        packet.extend(self.user.as_bytes());
        packet.push(0);
        let answer = self.answer(scramble);
        packet.push(answer.len() as u8);
        packet.extend(answer);
        if let Some(schema) = self.schema {
            packet.extend(schema.as_bytes());
            packet.push(0);
        }
        packet.extend(b"mysql_native_password\0");
        packet
    }
}

fn scramble_of_greeting(greeting: &[u8]) -> [u8; 20] {
    let at = greeting.iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut scramble = [0; 20];
    scramble[..8].copy_from_slice(&greeting[at..at + 8]);
    scramble[8..].copy_from_slice(&greeting[at + 27..at + 39]);
    scramble
}

fn refused(packet: &[u8]) -> Verdict {
    if packet[0] != 0xff {
        return Ok(());
    }
    let code = u16::from_le_bytes([packet[1], packet[2]]);
    let text = String::from_utf8_lossy(&packet[3..]).into_owned();
    // Before the greeting there is no SQLSTATE.
    let (state, text) = match text.strip_prefix('#') {
        Some(text) => text.split_at(5),
        None => ("HY000", &*text),
    };
    Err((code, state.into(), text.into()))
}

async fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.unwrap();
    let mut packet = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut packet).await.unwrap();
    (header[3], packet)
}

async fn send(stream: &mut TcpStream, sequence: u8, packet: &[u8]) {
    let mut bytes = (packet.len() as u32).to_le_bytes();
    bytes[3] = sequence;
    stream.write_all(&[&bytes, packet].concat()).await.unwrap();
}
