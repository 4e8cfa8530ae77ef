//! What an operator sees: the JSON API on the admin address, metrics, whether the proxy is ready, and the SQL console.

pub mod client;
pub mod console;
mod door;
pub mod health;
pub mod http;
pub mod metrics;
pub mod reload;
pub mod remote;
mod secure;
pub mod site;
pub mod state;
