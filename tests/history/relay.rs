//! The line between the proxy and a node: it can be cut while both live and the node goes on with its cluster.

use std::net::SocketAddrV4;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of bytes on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Whole,
    /// Nothing arrives, and nobody is told.
    Silent,
    /// Connections are closed, new ones too; what was on the way is lost.
    Down,
}

/// A line; down with its owner.
pub struct Relay {
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens at this address and connects to the node for each that comes. To be called within a runtime.
    pub async fn start(address: SocketAddrV4, node: SocketAddrV4) -> Self {
        let (line, state) = watch::channel(Line::Whole);
        let listener = TcpListener::bind(address).await.unwrap();
        let task = tokio::spawn(async move {
            while let Ok((proxy, _)) = listener.accept().await {
                tokio::spawn(carry(proxy, node, state.clone()));
            }
        });
        Self { line, task }
    }

    /// Changes what becomes of bytes from now on.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection. Each direction ends the other one.
async fn carry(proxy: TcpStream, node: SocketAddrV4, line: watch::Receiver<Line>) {
    let mut dialling = line.clone();
    if dialling.wait_for(|line| *line != Line::Silent).await.is_err() || *dialling.borrow() == Line::Down {
        return;
    }
    let Ok(node) = TcpStream::connect(node).await else { return };
    let small = proxy.set_nodelay(true).is_ok() && node.set_nodelay(true).is_ok();
    assert!(small);
    let (from_proxy, to_proxy) = proxy.into_split();
    let (from_node, to_node) = node.into_split();
    tokio::select! {
        () = pass(from_proxy, to_node, line.clone()) => {}
        () = pass(from_node, to_proxy, line) => {}
    }
}

/// One direction, until either end closes or the line is down.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let state = *line.borrow_and_update();
        if state == Line::Down {
            return;
        }
        let read = async {
            if state == Line::Silent {
                return std::future::pending().await;
            }
            from.read(&mut buffer).await
        };
        tokio::select! {
            biased;
            changed = line.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            read = read => match read {
                Ok(count @ 1..) if to.write_all(&buffer[..count]).await.is_ok() => {}
                _ => return,
            },
        }
    }
}
