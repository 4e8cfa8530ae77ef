//! The JSON API: what the process knows of its servers, services and links, and orders for links.
//!
//! `GET /v1/servers`, `GET /v1/services`, `GET /v1/links`, `GET /v1/live`; `POST /v1/links/NAME` with an [`OrderText`].
//! [`Server`], [`Service`], [`LinkReport`] and [`Answer`] are its shapes, both ways: the command line reads what is
//! written here. Orders are taken as `application/json` only, which a browser does not send to another site unasked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::state::state;
use crate::cluster::view::{NodeView, ViewHandle};
use crate::config::Config;
use crate::config::model::{Listener, Node};
use crate::replication::link::board::{Answer, Board, LinkReport, Order, OrderText};
use crate::telemetry::counters::{Counters, ServiceCounters};

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

/// What the API reads.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The current view.
    pub view: ViewHandle,
    /// The live numbers.
    pub counters: Arc<Counters>,
    /// The links.
    pub links: Board,
}

/// Answers on this socket until the task is dropped.
pub async fn serve(socket: TcpListener, sources: Sources) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/v1/servers", get(async |State(sources): State<Sources>| Json(servers(&sources))))
        .route("/v1/services", get(async |State(sources): State<Sources>| Json(services(&sources))))
        .route("/v1/links", get(async |State(sources): State<Sources>| Json(links(&sources))))
        .route("/v1/links/{name}", post(order))
        .route("/v1/live", get(async || Json(serde_json::json!({ "live": true }))))
        .with_state(sources);
    axum::serve(socket, routes).await
}

fn servers(sources: &Sources) -> Vec<Server> {
    let view = sources.view.load();
    let server = |(node, configured): (&NodeView, &Node)| Server {
        name: node.name.to_string(),
        address: configured.address.host.to_string(),
        port: configured.address.port,
        connections: sources.counters.connections(node.id),
        state: state(&view, node, sources.config.cluster.kind).to_owned(),
        gtid: node.gtid.to_string(),
        reason: node.reason.to_string(),
    };
    view.nodes.iter().zip(&sources.config.nodes).map(server).collect()
}

fn links(sources: &Sources) -> Vec<LinkReport> {
    sources.links.reports().to_vec()
}

/// Carries out an order; what is wrong with it comes back as text.
async fn order(
    State(sources): State<Sources>,
    Path(name): Path<String>,
    Json(text): Json<OrderText>,
) -> Result<Json<Answer>, (StatusCode, String)> {
    let order = Order::try_from(text).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    sources.links.order(name, order).await.map(Json).map_err(|error| (StatusCode::CONFLICT, error))
}

fn services(sources: &Sources) -> Vec<Service> {
    let service = |(listener, counters): (&Listener, &ServiceCounters)| Service {
        service: listener.name.to_string(),
        router: listener.service.name().to_owned(),
        connections: counters.sessions.load(Ordering::Relaxed),
        total_connections: counters.sessions_total.load(Ordering::Relaxed),
        servers: sources.config.nodes.iter().map(|node| node.name.to_string()).collect(),
    };
    sources.config.listeners.iter().zip(&sources.counters.services).map(service).collect()
}
