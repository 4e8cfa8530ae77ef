//! The JSON API: what the process knows of its servers, sessions and links, and orders for them.
//!
//! `GET /v1/` and `site`, `servers`, `services`, `listeners`, `links`, `replicas`, `sessions`, `accounts`, `hosts`, `events`, `log`; `POST /v1/servers/NAME` with
//! a [`node order`](NodeOrder), answered by a text; `DELETE /v1/sessions/ID` and `hosts/ADDRESS`; `POST /v1/links/NAME` with an [`OrderText`], `POST /v1/reload` with
//! nothing (`null`), answered by a [`Report`]; `PUT /v1/log` with a [`Log`]; `POST /v1/classify` with a statement, answered by an
//! [`Explanation`](crate::sql::explain::Explanation). [`Server`], [`Service`], [`LinkReport`],
//! [`Replica`], [`Portrait`], [`Answer`] and the reports of [`site`] are its shapes, both ways: the command line reads what is written here.
//! Orders are taken as `application/json` only, which a browser does not send to another site unasked; who may give them is [`door`]'s to say.
//!
//! `GET /v1/openapi.json` describes it all, `GET /` is a page that shows it. For other programs: `GET /metrics`, `GET /live`, and `GET /ready`, which is 503 as long as no writes can be served.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use super::door::{self, Refusal, Wish};
use super::health::{self, Stage};
use super::metrics;
use super::reload::{Reloads, Report};
use super::remote::Remotes;
use super::secure::SecureListener;
use super::site::{self, Log};
use super::state::state;
use crate::auth::directory::Directory;
use crate::cluster::order::{Order as NodeOrder, Orders};
use crate::cluster::view::{Duty, NodeView, ViewHandle};
use crate::config::Live;
use crate::config::model::{Listener, Node};
use crate::gtid::{Gtid, Position};
use crate::net::tls::ServerTls;
use crate::replication::link::board::{Answer, Board, LinkReport, Order, OrderText};
use crate::replication::roster::{Entry, Roster};
use crate::session::portrait::Portrait;
use crate::session::registry::Registry;
use crate::sql::explain::explain;
use crate::telemetry::counters::{Counters, ServiceCounters};
use crate::telemetry::{events, log, prometheus};

/// A node, as `list servers` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Host name or IP address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Node connections of sessions now.
    pub connections: u64,
    /// The state string.
    pub state: String,
    /// Its replication position; empty if unknown.
    pub gtid: String,
    /// Why it is not fit for work; empty when it is.
    pub reason: String,
}

/// A service, as `list services` shows it: what the clients of a listener get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Name of the listener.
    pub service: String,
    /// How it routes.
    pub router: String,
    /// Sessions now.
    pub connections: u64,
    /// Sessions since the start.
    pub total_connections: u64,
    /// Names of its nodes.
    pub servers: Vec<String>,
}

/// A dump, as `list replicas` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Server id of the replica; 0 for a program that only reads the log.
    pub server_id: u32,
    /// Where it connects from.
    pub address: String,
    /// Name of the node that it reads; empty while there is none.
    pub source: String,
    /// What it has been sent; none if it reads by file and position.
    pub position: Option<String>,
    /// Transactions that the writer has and it has not been sent, as of the last probe; none if that is not known.
    pub lag: Option<u64>,
    /// Bytes sent to it.
    pub bytes: u64,
    /// How often another node has gone on for its source.
    pub takeovers: u64,
    /// What an operator should look at; empty if nothing.
    pub warning: String,
}

/// What the API reads.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The configuration in force.
    pub config: Live,
    /// The current view.
    pub view: ViewHandle,
    /// The live numbers.
    pub counters: Arc<Counters>,
    /// Where orders for nodes are given.
    pub orders: Orders,
    /// The links.
    pub links: Board,
    /// The dumps of replicas.
    pub roster: Arc<Roster>,
    /// The sessions.
    pub registry: Arc<Registry>,
    /// Where reading the configuration again is wished.
    pub reloads: Reloads,
    /// The accounts.
    pub directory: Directory,
    /// Other sites.
    pub remotes: Remotes,
    /// When the process has started.
    pub started: Instant,
    /// How far the process is.
    pub stage: watch::Receiver<Stage>,
}

impl Sources {
    /// Forgets what logins have failed from this host. Were there any?
    pub(super) fn forgive(&self, address: IpAddr) -> bool {
        let were_some = self.registry.hosts.forgive(address);
        if were_some {
            tracing::info!(%address, "what has failed from there is forgotten by order");
        }
        were_some
    }
}

/// All of this for programs, as OpenAPI has it.
const OPENAPI: &str = include_str!("openapi.json");

/// The same for people: one page that asks for what it shows.
const PAGE: &str = include_str!("page/index.html");

/// It is all there is to it: nothing else is fetched but what this address says.
const PAGE_POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// Answers on this socket, within TLS if that is spoken, until it is over or another process has taken over.
pub async fn serve(
    socket: TcpListener,
    tls: Option<ServerTls>,
    sources: Sources,
    over: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let ends = health::ends(sources.stage.clone(), over);
    let at = socket.local_addr()?.ip();
    let guarded = |wish| middleware::from_fn_with_state((sources.config.clone(), at, wish), guard);
    let looks = Router::new()
        .route("/v1/site", get(async |State(sources): State<Sources>| Json(site::site(&sources))))
        .route("/v1/servers", get(async |State(sources): State<Sources>| Json(servers(&sources))))
        .route("/v1/services", get(async |State(sources): State<Sources>| Json(services(&sources))))
        .route("/v1/listeners", get(async |State(sources): State<Sources>| Json(site::listeners(&sources))))
        .route("/v1/links", get(async |State(sources): State<Sources>| Json(links(&sources))))
        .route("/v1/remotes", get(async |State(at): State<Sources>| Json(at.remotes.look(&at.config.load()).await)))
        .route("/v1/replicas", get(async |State(sources): State<Sources>| Json(replicas(&sources))))
        .route("/v1/sessions", get(async |State(sources): State<Sources>| Json(sessions(&sources).await)))
        .route("/v1/accounts", get(async |State(sources): State<Sources>| Json(site::accounts(&sources))))
        .route("/v1/hosts", get(async |State(sources): State<Sources>| Json(site::hosts(&sources))))
        .route("/v1/events", get(async |Query(from): Query<From>| Json(events::after(from.after))))
        .route("/v1/log", get(async || Json(Log { level: log::level() })))
        .route("/v1/classify", post(async |Json(Statement { sql }): Json<Statement>| Json(explain(sql.as_bytes()))))
        .route("/metrics", get(async |State(sources): State<Sources>| metrics(&sources)))
        .route_layer(guarded(Wish::Look));
    let orders = Router::new()
        .route("/v1/servers/{name}", post(order_node))
        .route("/v1/links/{name}", post(order_link))
        .route("/v1/sessions/{id}", delete(end_session))
        .route("/v1/hosts/{address}", delete(clear_host))
        .route("/v1/reload", post(reload))
        .route("/v1/log", put(set_log))
        .route_layer(guarded(Wish::Order));
    let open = Router::new()
        .route("/", get(async || ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), PAGE_POLICY], PAGE)))
        .route("/v1/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)))
        .route("/live", get(async || "live"))
        .route("/ready", get(async |State(sources): State<Sources>| is_ready(&sources)));
    let routes = open.merge(looks).merge(orders).with_state(sources);
    match tls {
        Some(tls) => axum::serve(SecureListener::new(socket, tls)?, routes).with_graceful_shutdown(ends).await,
        None => axum::serve(socket, routes).with_graceful_shutdown(ends).await,
    }
}

/// Lets in who may be heard.
async fn guard(
    State((config, at, wish)): State<(Live, IpAddr, Wish)>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    door::admit(config.load().admin.token.as_ref(), at, wish, request.headers())?;
    Ok(next.run(request).await)
}

/// Which events are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    /// Those above this number.
    #[serde(default)]
    after: u64,
}

/// What is to be explained.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    sql: String,
}

/// Logs more or less from now on, until the configuration is read again.
async fn set_log(Json(wanted): Json<Log>) -> Json<Log> {
    log::set(wanted.level);
    tracing::info!("the log level is {} by order", wanted.level.name());
    Json(wanted)
}

fn is_ready(sources: &Sources) -> (StatusCode, &'static str) {
    match health::ready(*sources.stage.borrow(), &sources.view.load()) {
        Ok(said) => (StatusCode::OK, said),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

fn metrics(sources: &Sources) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, prometheus::MEDIA_TYPE)], metrics::text(sources))
}

pub(super) fn servers(sources: &Sources) -> Vec<Server> {
    let (view, config) = (sources.view.load(), sources.config.load());
    let server = |(node, configured): (&NodeView, &Node)| {
        let connections = sources.counters.connections(node.id);
        // A node that leaves is shown until it has left.
        let is_shown = node.duty != Duty::Leaving || connections > 0 || view.writer == Some(node.id);
        is_shown.then(|| Server {
            name: node.name.to_string(),
            address: configured.address.host.to_string(),
            port: configured.address.port,
            connections,
            state: state(&view, node, config.cluster.kind, connections).to_owned(),
            gtid: node.gtid.to_string(),
            reason: node.reason.to_string(),
        })
    };
    view.nodes.iter().zip(&config.nodes).filter_map(server).collect()
}

pub(super) fn links(sources: &Sources) -> Vec<LinkReport> {
    sources.links.reports().to_vec()
}

/// All sessions, asked one by one.
pub(super) async fn sessions(sources: &Sources) -> Vec<Portrait> {
    let config = sources.config.load();
    let services: Vec<&str> = config.listeners.iter().map(|listener| &*listener.name).collect();
    sources.registry.portraits(&services).await
}

/// Ends a session, as KILL does.
async fn end_session(State(sources): State<Sources>, Path(id): Path<u32>) -> Result<StatusCode, (StatusCode, String)> {
    match sources.registry.end(id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err((StatusCode::NOT_FOUND, format!("there is no session {id}; `list sessions` shows their ids"))),
    }
}

/// Lets a host in again, whatever has failed from there.
async fn clear_host(
    State(sources): State<Sources>,
    Path(address): Path<IpAddr>,
) -> Result<StatusCode, (StatusCode, String)> {
    if sources.forgive(address.to_canonical()) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err((
        StatusCode::NOT_FOUND,
        format!("no login from {address} has failed lately; `list hosts` shows from where some have"),
    ))
}

/// Carries out an order for a node; what is wrong with it comes back as text.
async fn order_node(
    State(sources): State<Sources>,
    Path(name): Path<String>,
    Json(order): Json<NodeOrder>,
) -> Result<Json<String>, (StatusCode, String)> {
    sources.orders.give(name, order).await.map(Json).map_err(|error| (StatusCode::CONFLICT, error))
}

/// Has the configuration read again. There is nothing to say with it, but it is said as JSON, as all orders are.
async fn reload(State(sources): State<Sources>, Json(()): Json<()>) -> Result<Json<Report>, (StatusCode, String)> {
    sources.reloads.wish().await.map(Json).map_err(|error| (StatusCode::CONFLICT, error))
}

/// Carries out an order for a link.
async fn order_link(
    State(sources): State<Sources>,
    Path(name): Path<String>,
    Json(text): Json<OrderText>,
) -> Result<Json<Answer>, (StatusCode, String)> {
    let order = Order::try_from(text).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    sources.links.order(name, order).await.map(Json).map_err(|error| (StatusCode::CONFLICT, error))
}

pub(super) fn services(sources: &Sources) -> Vec<Service> {
    let config = sources.config.load();
    let servers = || config.nodes.iter().filter(|node| !node.leaves).map(|node| node.name.to_string());
    let service = |(listener, counters): (&Listener, &ServiceCounters)| Service {
        service: listener.name.to_string(),
        router: listener.service.name().to_owned(),
        connections: counters.sessions.load(Ordering::Relaxed),
        total_connections: counters.sessions_total.load(Ordering::Relaxed),
        servers: servers().collect(),
    };
    sources.counters.listeners(&config).map(service).collect()
}

pub(super) fn replicas(sources: &Sources) -> Vec<Replica> {
    let view = sources.view.load();
    let writer = view.writer.and_then(|id| view.node(id)).and_then(|node| node.gtid.parse::<Position>().ok());
    let replica = |(entry, warning): (Arc<Entry>, String)| {
        let place = entry.place();
        Replica {
            server_id: entry.server,
            address: entry.address.to_string(),
            source: place.source.into(),
            lag: writer.as_ref().zip(place.position.as_ref()).map(|(writer, position)| lag(writer, position)),
            position: place.position.map(|position| position.to_string()),
            bytes: entry.bytes.load(Ordering::Relaxed),
            takeovers: entry.takeovers.load(Ordering::Relaxed),
            warning,
        }
    };
    sources.roster.list().into_iter().map(replica).collect()
}

/// Transactions up to `ahead` that are not below `behind`.
fn lag(ahead: &Position, behind: &Position) -> u64 {
    let of_domain = |gtid: Gtid| gtid.sequence.saturating_sub(behind.sequence(gtid.domain));
    ahead.iter().map(of_domain).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_counted_in_transactions() {
        for (ahead, behind, transactions) in [
            ("70-1-10,81-2-5", "70-1-7,81-2-5", 3),
            ("70-1-10", "", 10),
            ("70-1-10,81-2-5", "70-1-12,81-2-1", 4),
            ("", "70-1-1", 0),
        ] {
            assert_eq!(lag(&ahead.parse().unwrap(), &behind.parse().unwrap()), transactions, "{ahead} {behind}");
        }
    }
}
