//! A small node that is none: it logs anybody in, answers what the proxy asks for itself as a node of a cluster would, and may be
//! told to say anything at all to sessions of applications.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test uses a part; a test fails where it stands")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oarlock::wire::capability::Capabilities;
use oarlock::wire::command::Command;
use oarlock::wire::cursor::put_lenenc_bytes;
use oarlock::wire::handshake::Response;
use oarlock::wire::packet::{self, HEADER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// As whom the proxy itself logs in.
pub const SERVICE_USER: &str = "watcher";
/// The one account, without a password.
pub const APP_USER: &str = "app";
/// A statement with this word gets the scripted reply.
pub const TRIGGER: &str = "nonsense";

/// What a node of a cluster of two says of itself.
const FACTS: [(&str, &str); 18] = [
    ("defaults", "1"),
    ("gtid_binlog_pos", ""),
    ("gtid_slave_pos", ""),
    ("read_only", "OFF"),
    ("wsrep_on", "ON"),
    ("wsrep_cluster_conf_id", "1"),
    ("wsrep_cluster_size", "2"),
    ("wsrep_cluster_state_uuid", "8d6ee8f9-e6b4-11f1-8000-000000000071"),
    ("wsrep_cluster_status", "Primary"),
    ("wsrep_desync", "OFF"),
    ("wsrep_flow_control_requested", "false"),
    ("wsrep_local_index", "0"),
    ("wsrep_local_recv_queue", "0"),
    ("wsrep_local_state", "4"),
    ("wsrep_ready", "ON"),
    ("wsrep_reject_queries", "NONE"),
    ("wsrep_sst_donor_rejects_queries", "OFF"),
    ("wsrep_sst_method", "rsync"),
];

/// What is said instead of the right thing.
#[derive(Clone)]
pub enum Say {
    /// These bytes, and then as if they had been right.
    Bytes(Vec<u8>),
    /// These bytes, then the connection is closed.
    Last(Vec<u8>),
    /// These bytes, then nothing any more.
    Silence(Vec<u8>),
    /// The first bytes, then the second for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// The right answer, then these bytes.
    Extra(Vec<u8>),
}

/// What sessions get to hear; right answers where there is none.
#[derive(Clone, Default)]
pub struct Script {
    pub greeting: Option<Say>,
    pub login: Option<Say>,
    pub reply: Option<Say>,
}

/// The node; ends with its owner.
pub struct FakeNode {
    pub address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _stop: oneshot::Sender<()>,
}

impl FakeNode {
    /// Starts it on this address; port 0 for any.
    pub fn start(address: SocketAddr) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = script.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! {
                    () = accept(TcpListener::from_std(listener).unwrap(), shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, script, _stop: stop }
    }

    /// From now on sessions hear this.
    pub fn plays(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => drop(tokio::spawn(Peer { socket, script: script.clone() }.serve())),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

struct Peer {
    socket: TcpStream,
    script: Arc<Mutex<Script>>,
}

impl Peer {
    /// None once the peer has gone, or is not to be answered any more.
    async fn serve(mut self) -> Option<()> {
        self.socket.set_nodelay(true).ok()?;
        let script = self.script.lock().unwrap().greeting.clone();
        self.answer(greeting(), script).await?;
        let (sequence, payload) = self.packet().await?;
        let is_session = Response::parse(&payload).is_ok_and(|response| response.user != SERVICE_USER.as_bytes());
        let script = self.script.lock().unwrap().login.clone().filter(|_| is_session);
        let mut ok = Vec::new();
        packet::put(&mut ok, sequence.wrapping_add(1), put_ok);
        self.answer(ok, script).await?;
        loop {
            let (_, payload) = self.packet().await?;
            let (&command, text) = payload.split_first()?;
            let text = String::from_utf8_lossy(text);
            let script = self.script.lock().unwrap().reply.clone().filter(|_| text.contains(TRIGGER));
            let reply = match Command::from_byte(command) {
                Command::Quit => return None,
                Command::StmtClose | Command::StmtSendLongData => continue,
                Command::Query => query(&text),
                Command::StmtPrepare => prepared(),
                Command::StmtExecute => result_set(1, &[vec!["1".into()]]),
                _ => done(),
            };
            self.answer(reply, script).await?;
        }
    }

    async fn answer(&mut self, right: Vec<u8>, script: Option<Say>) -> Option<()> {
        match script {
            None => self.socket.write_all(&right).await.ok(),
            Some(Say::Bytes(bytes)) => self.socket.write_all(&bytes).await.ok(),
            Some(Say::Extra(bytes)) => self.socket.write_all(&[right, bytes].concat()).await.ok(),
            Some(Say::Last(bytes)) => {
                self.socket.write_all(&bytes).await.ok()?;
                None
            }
            Some(Say::Silence(bytes)) => {
                self.socket.write_all(&bytes).await.ok()?;
                while self.packet().await.is_some() {}
                None
            }
            Some(Say::Endless(first, more)) => {
                self.socket.write_all(&first).await.ok()?;
                loop {
                    self.socket.write_all(&more).await.ok()?;
                }
            }
        }
    }

    async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; HEADER];
        self.socket.read_exact(&mut header).await.ok()?;
        let header = packet::Header::parse(&header)?;
        let mut payload = vec![0; header.length];
        self.socket.read_exact(&mut payload).await.ok()?;
        Some((header.sequence, payload))
    }
}

/// The greeting of a healthy node.
pub fn greeting() -> Vec<u8> {
    let unusual = Capabilities::DEPRECATE_EOF | Capabilities::CACHE_METADATA | Capabilities::EXTENDED_METADATA;
    crate::logins::greeting(7, Capabilities::SUPPORTED - unusual)
}

fn put_ok(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0]);
}

/// An OK packet as answer to a command.
pub fn done() -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, 1, put_ok);
    out
}

fn put_eof(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xfe, 0, 0, 2, 0]);
}

fn query(text: &str) -> Vec<u8> {
    let row = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    if text.contains("information_schema.GLOBAL_STATUS") {
        return result_set(2, &FACTS.map(|(name, value)| row(&[name, value])));
    }
    if text.contains("@@skip_name_resolve") {
        return result_set(3, &[row(&["1", "0", "watcher@127.0.0.1"])]);
    }
    if text.contains("FROM mysql.global_priv") {
        let all = format!(r#"{{"access":{},"plugin":"mysql_native_password","authentication_string":""}}"#, i64::MAX);
        return result_set(3, &[row(&["%", APP_USER, &all])]);
    }
    if text.contains("FROM mysql.") {
        return result_set(7, &[]);
    }
    if text.starts_with("SELECT") { result_set(1, &[row(&["1"])]) } else { done() }
}

/// A result set of text columns.
pub fn result_set(columns: u8, rows: &[Vec<String>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = packet::put(&mut out, 1, |out| out.push(columns));
    for _ in 0..columns {
        next = packet::put(&mut out, next, put_definition);
    }
    next = packet::put(&mut out, next, put_eof);
    for row in rows {
        next = packet::put(&mut out, next, |out| row.iter().for_each(|value| put_lenenc_bytes(out, value.as_bytes())));
    }
    packet::put(&mut out, next, put_eof);
    out
}

/// A statement without parameters and with one column.
fn prepared() -> Vec<u8> {
    let mut out = Vec::new();
    packet::put(&mut out, 1, |out| out.extend_from_slice(&[0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    packet::put(&mut out, 2, put_definition);
    packet::put(&mut out, 3, put_eof);
    out
}

fn put_definition(out: &mut Vec<u8>) {
    for text in ["def", "", "", "", "c", ""] {
        put_lenenc_bytes(out, text.as_bytes());
    }
    out.extend_from_slice(b"\x0c\x2d\0\xff\xff\0\0\xfd\0\0\0\0\0");
}
