//! Making a node send: a connection in the replica's name, its variables, proof that the node holds what the replica has, the dump.
//!
//! Every wait has a deadline. A node is asked for a dump only once its own position covers the replica's: with gtid_ignore_duplicates it
//! would accept any, and send nothing of what it lacks.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::Endpoint;
use super::flow::Landmark;
use super::proof::prove;
use super::request::Request;
use super::source::{Held, Locals, Unfit, missing, stray};
use crate::backend::answer::Row;
use crate::backend::line::{Line, Trouble};
use crate::backend::login::Credentials;
use crate::cluster::view::{NodeId, NodeView};
use crate::fault::Fault;
use crate::gtid::{Gtid, Position};

/// How often a node that is behind is asked again.
const BEHIND_PAUSE: Duration = Duration::from_millis(10);
/// The code of all that a dump can't go on for, and those by which an account is refused.
const DUMP_ERROR: u16 = 1236;
const ACCOUNT_ERRORS: [u16; 8] = [1044, 1045, 1130, 1142, 1227, 1251, 1698, 4151];
const POSITION: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('gtid_binlog_pos', 'gtid_domain_id', 'server_id', 'wsrep_gtid_domain_id', 'wsrep_on')";

/// Why a node does not send.
#[derive(Debug)]
pub enum Refusal {
    /// It can't now; another may.
    Unfit(Unfit),
    /// The account may not: no node will.
    Account(Fault),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Lost(why) => absent(why),
            Trouble::Refused(fault) => refused(fault),
        }
    }
}

fn absent(why: impl Into<Box<str>>) -> Refusal {
    Refusal::Unfit(Unfit::Absent(why.into()))
}

/// Sorts a node's own error.
fn refused(fault: Fault) -> Refusal {
    match fault.code {
        DUMP_ERROR => Refusal::Unfit(Unfit::Lacks(Position::default(), fault.message)),
        code if ACCOUNT_ERRORS.contains(&code) => Refusal::Account(fault),
        code => absent(format!("{} (error {code})", fault.message)),
    }
}

/// Reads what a node says of its log; the second is the domain that it keeps to itself.
fn read(rows: Vec<Row>, anywhere: Position) -> Result<(Held, Option<u32>), Refusal> {
    let mut held = Held { position: Position::default(), server: None, shared: None, anywhere };
    let (mut local, mut in_cluster) = (None, false);
    for row in rows {
        let [Some(name), Some(value)] = &row[..] else { continue };
        let value = String::from_utf8_lossy(value);
        match &**name {
            b"gtid_binlog_pos" => held.position = value.parse().map_err(|_| absent("its position makes no sense"))?,
            b"gtid_domain_id" => local = value.parse().ok(),
            b"server_id" => held.server = value.parse().ok(),
            b"wsrep_on" => in_cluster = value.eq_ignore_ascii_case("ON"),
            _ => held.shared = value.parse().ok(),
        }
    }
    held.shared = held.shared.filter(|_| in_cluster);
    Ok((held, local))
}

/// What the nodes had together when they were last looked at.
fn anywhere(endpoint: &Endpoint) -> Position {
    let view = endpoint.view.load();
    let positions = view.nodes.iter().filter_map(|node| node.gtid.parse::<Position>().ok());
    positions.fold(Position::default(), |all, position| all.max(&position))
}

/// Where the other nodes were then.
fn others(endpoint: &Endpoint, node: NodeId) -> Vec<Position> {
    let view = endpoint.view.load();
    let others = view.nodes.iter().filter(|other| other.id != node && other.usable());
    others.filter_map(|other| other.gtid.parse().ok()).collect()
}

/// What is wanted of a node.
pub struct Wanted<'a> {
    /// The replica's request.
    pub request: &'a Request,
    /// In whose name.
    pub who: &'a Credentials,
    /// From where the replica comes.
    pub client: SocketAddr,
    /// Where the replica is.
    pub position: &'a Position,
    /// How long the node may take to come so far.
    pub patience: Duration,
    /// Has it had another source before?
    pub had_source: bool,
    /// What the node must have as that one had it.
    pub landmark: Option<Landmark>,
}

/// Has a node send from where the replica is.
pub async fn approach(
    endpoint: &Endpoint,
    node: &NodeView,
    wanted: &Wanted<'_>,
    locals: &mut Locals,
) -> Result<Line, Refusal> {
    let late = || absent(format!("no answer within {:?}", endpoint.bounds.connect_timeout));
    let deadline = Instant::now() + endpoint.bounds.connect_timeout;
    let mut line = endpoint.clock.timeout_at(deadline, log_in(endpoint, node, wanted)).await.map_err(|_| late())??;
    let held = match wanted.request.position {
        Some(_) => await_position(endpoint, &mut line, node.id, wanted, locals).await?,
        None => Position::default(),
    };
    let begin = async {
        let (mut setup, mut registration) = (Vec::new(), Vec::new());
        wanted.request.put_setup(wanted.position, endpoint.bounds.source_timeout / 4, &mut setup);
        line.ask(&setup).await?;
        if wanted.request.put_registration(&mut registration) {
            line.ask(&registration).await?;
        }
        let mut dump = Vec::new();
        wanted.request.put_dump(&mut dump);
        line.begin(&dump).await.map_err(Refusal::from)
    };
    let prove = async {
        let Some(landmark) = wanted.landmark else { return Ok(()) };
        let line = log_in(endpoint, node, wanted).await?;
        prove(line, landmark, &held, endpoint.bounds.group_bytes_max).await
    };
    let sends = async { tokio::try_join!(begin, prove) };
    let deadline = Instant::now() + endpoint.bounds.connect_timeout;
    match endpoint.clock.timeout_at(deadline, sends).await.map_err(|_| late())? {
        Ok(_) => Ok(line),
        Err(Refusal::Unfit(Unfit::Lacks(_, why))) => Err(Refusal::Unfit(Unfit::Lacks(held, why))),
        Err(refusal) => Err(refusal),
    }
}

async fn log_in(endpoint: &Endpoint, node: &NodeView, wanted: &Wanted<'_>) -> Result<Line, Trouble> {
    let client = node.proxy_protocol.then_some(wanted.client);
    Line::login(node.address.clone(), wanted.who, client, endpoint.tls.as_ref()).await
}

/// Waits until the node has all that the replica has; returns its position.
async fn await_position(
    endpoint: &Endpoint,
    line: &mut Line,
    node: NodeId,
    wanted: &Wanted<'_>,
    locals: &mut Locals,
) -> Result<Position, Refusal> {
    let give_up = Instant::now() + wanted.patience;
    loop {
        let deadline = Instant::now() + endpoint.bounds.connect_timeout;
        let late = |_| absent("it has stopped to answer");
        let rows = endpoint.clock.timeout_at(deadline, line.query(POSITION)).await.map_err(late)??;
        let (held, local) = read(rows, anywhere(endpoint))?;
        if let Some(domain) = endpoint.view.load().gtid_domain.filter(|domain| held.shared != Some(*domain)) {
            return Err(absent(format!("its wsrep_gtid_domain_id is not {domain}, as the cluster's is")));
        }
        if let Some(local) = local {
            locals.insert(node, local);
        }
        if let Some(gtid) = stray(wanted.position, &held, local, wanted.had_source, &others(endpoint, node)) {
            return Err(Refusal::Unfit(Unfit::Stray(gtid)));
        }
        let lacks: Option<Gtid> = missing(wanted.position, &held, node, locals, wanted.request.server);
        if lacks.is_none() {
            return Ok(held.position);
        }
        if Instant::now() >= give_up {
            return Err(Refusal::Unfit(Unfit::Behind(held.position)));
        }
        endpoint.clock.sleep(BEHIND_PAUSE).await;
    }
}
