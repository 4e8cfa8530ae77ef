//! One process takes over from another: the new one gets the listening sockets, and as soon as it takes clients the old one takes no
//! more, answers no operators and drives no links. Its sessions stay until they end, or `upgrade_wait` is over.
//!
//! They meet at a unix socket in `state_dir`. The old one says which ids its sessions have had and passes the sockets; the new one says
//! `ready`, and the old one `yours`. From then on the new one says which node is the writer, and the old one follows. If the new one
//! goes before it is ready, nothing has changed.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{info, warn};

use super::doors::Doors;
use super::operators::Operators;
use crate::cluster::view::ViewHandle;
use crate::config::Config;
use crate::net::listener;
use crate::net::passing::{pass, receive};
use crate::session::registry::Registry;

/// A new process takes clients after this at the latest, or it is not waited for.
const READY_MAX: Duration = Duration::from_secs(60);
/// For all other words.
const WORD_MAX: Duration = Duration::from_secs(5);
const READY: &str = "ready";
const YOURS: &str = "yours";
/// Before the name of the writer.
const WRITER: &str = "writer ";
/// The first word of all, with the version of what follows.
const HELLO: &str = "oarlock-1 ";

/// Where the processes of a site meet.
pub(super) fn meeting_point(config: &Config) -> PathBuf {
    config.site.state_dir.join(format!("{}.takeover", config.site.name))
}

/// Listening sockets that are there already, be it of the process before this one, and new ones.
#[derive(Default)]
pub(super) struct Sockets(Vec<TcpListener>);

impl Sockets {
    /// With those that a process has passed.
    pub(super) fn inherit(past: &mut Predecessor) -> Self {
        Self(std::mem::take(&mut past.sockets))
    }

    /// With those that this process has.
    pub(super) fn of(held: impl IntoIterator<Item = Arc<TcpListener>>) -> io::Result<Self> {
        held.into_iter().map(|socket| socket.try_clone()).collect::<Result<_, _>>().map(Self)
    }

    /// One that listens on this address.
    pub(super) fn bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let listens = |socket: &TcpListener| socket.local_addr().is_ok_and(|at| at == address);
        match self.0.iter().position(listens) {
            Some(place) => Ok(self.0.swap_remove(place)),
            None => listener::bind(address),
        }
    }
}

/// Where this program is: by now it may be another version of it.
pub(super) struct Program(PathBuf);

impl Program {
    /// To be asked at the start: a file that has been replaced has another name later.
    pub(super) fn current() -> io::Result<Self> {
        std::env::current_exe().map(Self)
    }

    /// Starts it, to take over from this process.
    pub(super) fn start(&self, config: &Path) {
        let mut command = Command::new(&self.0);
        // The manager watches whoever has this variable for himself.
        command.args(["run", "--takeover", "--config"]).arg(config).env_remove("WATCHDOG_PID").stdin(Stdio::null());
        match command.spawn() {
            Ok(mut child) => {
                info!(program = %self.0.display(), pid = child.id(), "another process is started, to take over");
                // It outlives this one, unless it fails.
                std::thread::spawn(move || match child.wait() {
                    Ok(status) => warn!("the process that was to take over has ended: {status}"),
                    Err(error) => warn!("nothing is known of the process that was to take over: {error}"),
                });
            }
            Err(error) => warn!(program = %self.0.display(), "no process can be started to take over: {error}"),
        }
    }
}

/// What a process has to pass on.
pub(super) struct Estate {
    /// The sockets where clients come.
    pub(super) doors: Doors,
    /// And those where operators do.
    pub(super) operators: Operators,
    /// Knows the ids of its sessions.
    pub(super) registry: Arc<Registry>,
}

/// A process that is about to take over.
pub(super) struct Successor {
    /// Its process id, if the system tells.
    pub(super) pid: Option<u32>,
    said: Lines<BufReader<OwnedReadHalf>>,
    answers: OwnedWriteHalf,
}

/// Waits at the meeting point until another process is ready to take over. Without one, for ever.
pub(super) async fn await_successor(path: PathBuf, estate: Estate, arrived: mpsc::Sender<Successor>) {
    let meeting = match meet(&path).await {
        Ok(meeting) => meeting,
        Err(error) => {
            return warn!("no other process can take over from this one: {}: {error}", path.display());
        }
    };
    loop {
        match meeting.accept().await {
            Ok((stream, _)) => match introduce(stream, &estate).await {
                // The process may be about to end.
                Ok(successor) => return drop(arrived.send(successor).await),
                Err(error) => warn!("another process has not taken over after all: {error}"),
            },
            Err(error) => return warn!("no other process can take over from this one: {error}"),
        }
    }
}

/// What an earlier process has left there is in nobody's way.
async fn meet(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::Error::other("another process has the same name and state_dir"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Passes the sockets to whoever has come, if he is of the same user, and waits until he is ready.
async fn introduce(stream: UnixStream, estate: &Estate) -> io::Result<Successor> {
    let credentials = stream.peer_cred()?;
    let (peer, own) = (credentials.uid(), rustix::process::geteuid().as_raw());
    if peer != own && peer != 0 {
        return Err(io::Error::other(format!("it runs as user {peer}, this one as {own}")));
    }
    let words = format!("{HELLO}{}\n", estate.registry.last_id());
    let sockets = [&**estate.doors.held(), &estate.operators.held()].concat();
    within(WORD_MAX, pass(&stream, &words, &sockets)).await?;
    let (read, answers) = stream.into_split();
    let mut said = BufReader::new(read).lines();
    match within(READY_MAX, said.next_line()).await?.as_deref() {
        Some(READY) => Ok(Successor { pid: credentials.pid().and_then(|pid| pid.try_into().ok()), said, answers }),
        Some(other) => Err(io::Error::other(format!("it said `{other}`"))),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Successor {
    /// Gives everything to it, and follows it for as long as it lives.
    pub(super) async fn follow(mut self, view: ViewHandle) {
        if let Err(error) = self.answers.write_all(format!("{YOURS}\n").as_bytes()).await {
            return warn!("the other process has gone: {error}");
        }
        while let Ok(Some(line)) = self.said.next_line().await {
            let Some(name) = line.strip_prefix(WRITER) else { continue };
            let writer = view.load().members().find(|node| &*node.name == name).map(|node| node.id);
            if writer.is_none() {
                warn!("the process that has taken over has a writer that this one does not know: {name}");
            }
            view.adopt(writer);
        }
        view.adopt(None);
    }
}

/// The process from which this one takes over.
pub(super) struct Predecessor {
    stream: UnixStream,
    sockets: Vec<TcpListener>,
    /// Its sessions have ids up to this one.
    pub(super) last_session: u32,
}

impl Predecessor {
    /// Finds it at the meeting point.
    pub(super) async fn find(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path).await?;
        let (words, sockets) = within(WORD_MAX, receive(&stream)).await?;
        let last_session = words.trim_end().strip_prefix(HELLO).and_then(|id| id.parse().ok());
        let last_session = last_session.ok_or_else(|| io::Error::other("it does not know this version"))?;
        Ok(Self { stream, sockets: sockets.into_iter().map(TcpListener::from).collect(), last_session })
    }

    /// Tells it that clients are taken here; it gives up what only one may have.
    pub(super) async fn relieve(self) -> io::Result<Relieved> {
        let (read, mut words) = self.stream.into_split();
        within(WORD_MAX, words.write_all(format!("{READY}\n").as_bytes())).await?;
        match within(WORD_MAX, BufReader::new(read).lines().next_line()).await?.as_deref() {
            Some(YOURS) => Ok(Relieved(words)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A process that has only its sessions left.
pub(super) struct Relieved(OwnedWriteHalf);

impl Relieved {
    /// Tells it which node is the writer, until it ends.
    pub(super) async fn lead(mut self, view: ViewHandle) {
        let mut versions = view.versions();
        let mut told = None;
        loop {
            let name = {
                let view = view.load();
                view.writer.and_then(|id| view.node(id)).map(|node| node.name.clone())
            };
            if let Some(name) = name.filter(|name| told.as_ref() != Some(name)) {
                if self.0.write_all(format!("{WRITER}{name}\n").as_bytes()).await.is_err() {
                    return info!("the process before this one has ended");
                }
                told = Some(name);
            }
            if versions.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
