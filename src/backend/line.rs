//! A connection to a node on which the proxy itself asks, one question at a time.
//!
//! It has no deadlines: whoever asks knows how long the answer may take.

use std::io;
use std::net::SocketAddr;

use super::answer::{Answer, Progress, Row};
use super::login::{Credentials, Identity, Login, SSL_REQUEST, Step, refusal};
use crate::fault::Fault;
use crate::net::stream::Stream;
use crate::net::tls::ClientTls;
use crate::wire::Malformed;
use crate::wire::capability::Capabilities;
use crate::wire::command::{self, QUERY};
use crate::wire::err::ERR;
use crate::wire::packet::{self, Header};

/// Nothing that is answered here is longer, in bytes; an event may be, but of that only the beginning is awaited.
const ANSWER_BYTES_MAX: usize = 1 << 16;
const READ_BYTES: usize = 16 << 10;

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The connection is of no use any more.
    Lost(Box<str>),
    /// The node refuses: its own error.
    Refused(Fault),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string().into())
    }
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Lost(malformed.to_string().into())
    }
}

/// A connection to a node, and what has been read of it but not used.
pub struct Line {
    /// The connection.
    pub stream: Stream,
    /// What has come and was not used.
    pub unused: Vec<u8>,
    capabilities: Capabilities,
}

impl Line {
    /// A connection that is logged in and quiet.
    pub fn quiet(stream: Stream, capabilities: Capabilities) -> Self {
        Self { stream, unused: Vec::new(), capabilities }
    }

    /// Logs in at this address, with TLS if there is any to use, and as somebody who comes from elsewhere if that is to be said.
    pub async fn login(
        address: Box<str>,
        who: &Credentials,
        client: Option<SocketAddr>,
        tls: Option<&ClientTls>,
    ) -> Result<Self, Trouble> {
        let stream = Stream::dial(address.clone(), client).await?;
        let identity = Identity { tls: tls.is_some(), ..who.identity() };
        let mut line = Self::quiet(stream, who.capabilities);
        let mut login = Login::Greeting;
        loop {
            let (header, payload) = line.packet().await?;
            let mut answer = Vec::new();
            match login.take(header.sequence, &payload, &identity, &mut answer)? {
                Step::More(next) => login = next,
                // Who is on the way there could have said it, and it would be taken for the node's word within TLS.
                Step::Secure(_) if !line.unused.is_empty() => {
                    return Err(Malformed("bytes between greeting and TLS").into());
                }
                Step::Secure(next) => {
                    login = next;
                    let rest = answer.split_off(SSL_REQUEST);
                    line.stream.write_all(&answer).await?;
                    if let Some(tls) = tls {
                        line.stream.secure_to(tls, &address)?;
                    }
                    answer = rest;
                }
                Step::Done { .. } => return Ok(line),
                Step::Refused(fault) => return Err(Trouble::Refused(fault)),
            }
            line.stream.write_all(&answer).await?;
        }
    }

    /// One whole packet.
    async fn packet(&mut self) -> Result<(Header, Vec<u8>), Trouble> {
        loop {
            if let Some((header, payload)) = packet::first(&self.unused) {
                let payload = payload.to_vec();
                self.unused.drain(..header.total());
                return Ok((header, payload));
            }
            if self.unused.len() > ANSWER_BYTES_MAX {
                return Err(Trouble::Lost("its answer is too long".into()));
            }
            self.read().await?;
        }
    }

    /// Reads more.
    pub async fn read(&mut self) -> io::Result<()> {
        let there = self.unused.len();
        self.unused.resize(there + READ_BYTES, 0);
        let read = self.stream.read(&mut self.unused[there..]).await;
        self.unused.truncate(there + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
            read => read.map(drop),
        }
    }

    /// Sends a command and waits for its answer.
    pub async fn ask(&mut self, command: &[u8]) -> Result<Vec<Row>, Trouble> {
        self.stream.write_all(command).await?;
        let mut answer = Answer::new(self.capabilities);
        loop {
            let (_, payload) = self.packet().await?;
            match answer.take(&payload)? {
                Progress::More => {}
                Progress::Done(rows) => return Ok(rows),
                Progress::Refused(fault) => return Err(Trouble::Refused(fault)),
            }
        }
    }

    /// The rows of a statement.
    pub async fn query(&mut self, text: &str) -> Result<Vec<Row>, Trouble> {
        let mut command = Vec::new();
        command::put(&mut command, QUERY, text.as_bytes());
        self.ask(&command).await
    }

    /// Begins a dump: its first packet has begun to come, and is no error.
    pub async fn begin(&mut self, dump: &[u8]) -> Result<(), Trouble> {
        self.stream.write_all(dump).await?;
        loop {
            match (Header::parse(&self.unused), self.unused.get(packet::HEADER)) {
                (Some(_), Some(&ERR)) => {
                    let (_, payload) = self.packet().await?;
                    return Err(Trouble::Refused(refusal(&payload)?));
                }
                (Some(_), Some(_)) => return Ok(()),
                _ => self.read().await?,
            }
        }
    }
}
