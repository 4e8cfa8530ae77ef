//! The least that anything between a client and a node can cost here: one thread that hands bytes on and knows nothing of them.
//! What a proxy takes beyond it is its own; what it takes itself is the kernel's.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream as Blocking};
use std::process::{Child, Stdio};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use oarlock::lab::until;

use crate::support::service;

/// The argument that makes this program a relay and nothing else; behind it stand its two addresses, the writer and the readers.
pub const RELAY: &str = "relay";
/// The listener whose connections go to readers, in turn; the other's go to the writer.
const READS: Token = Token(usize::MAX);
const WRITES: Token = Token(usize::MAX - 1);

/// A running relay; ends with its owner.
pub struct Relay {
    pub writes: SocketAddrV4,
    pub reads: SocketAddrV4,
    child: Child,
}

impl Relay {
    /// Starts it on this address.
    pub fn start(address: Ipv4Addr, writer: SocketAddrV4, readers: &[SocketAddrV4]) -> Self {
        let (writes, reads) = (SocketAddrV4::new(address, 4006), SocketAddrV4::new(address, 4007));
        let program = std::env::current_exe().unwrap();
        let mut command = service(program.to_str().unwrap());
        command.arg(RELAY).args([writes, reads, writer].iter().chain(readers).map(ToString::to_string));
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        assert!(until(Duration::from_secs(10), || Blocking::connect(reads).is_ok()), "the relay does not listen");
        Self { writes, reads, child }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Relays until it is killed. The two ends of a connection stand beside each other, at 2n and 2n + 1.
pub fn relay(arguments: &[String]) {
    let addresses: Vec<SocketAddr> = arguments.iter().map(|address| address.parse().unwrap()).collect();
    let (writer, mut readers) = (addresses[2], addresses[3..].iter().copied().cycle());
    let mut poll = Poll::new().unwrap();
    let mut listeners = [addresses[0], addresses[1]].map(|address| TcpListener::bind(address).unwrap());
    for (listener, token) in listeners.iter_mut().zip([WRITES, READS]) {
        poll.registry().register(listener, token, Interest::READABLE).unwrap();
    }
    let mut ends: Vec<Option<TcpStream>> = Vec::new();
    let (mut events, mut buffer) = (Events::with_capacity(256), vec![0; 1 << 16]);
    loop {
        poll.poll(&mut events, None).unwrap();
        for token in events.iter().map(|event| event.token()) {
            let listener = match token {
                WRITES => &listeners[0],
                READS => &listeners[1],
                Token(at) => {
                    carry(&mut ends, at, &mut buffer);
                    continue;
                }
            };
            while let Ok((client, _)) = listener.accept() {
                // Nothing else waits meanwhile that matters: connections are made before anything is measured.
                let node = Blocking::connect(if token == READS { readers.next().unwrap() } else { writer }).unwrap();
                node.set_nonblocking(true).unwrap();
                for mut end in [client, TcpStream::from_std(node)] {
                    end.set_nodelay(true).unwrap();
                    poll.registry().register(&mut end, Token(ends.len()), Interest::READABLE).unwrap();
                    ends.push(Some(end));
                }
            }
        }
    }
}

/// Passes on what has arrived at one end, or closes both. What sysbench and a node send each other always fits into a socket.
fn carry(ends: &mut [Option<TcpStream>], at: usize, buffer: &mut [u8]) {
    let (Some(mut from), Some(mut to)) = (ends[at].as_ref(), ends[at ^ 1].as_ref()) else { return };
    match from.read(buffer) {
        Ok(length @ 1..) if to.write_all(&buffer[..length]).is_ok() => {
            // A socket that tells of news only once is read until there is no more.
            if length == buffer.len() {
                carry(ends, at, buffer);
            }
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        _ => (ends[at], ends[at ^ 1]) = (None, None),
    }
}
