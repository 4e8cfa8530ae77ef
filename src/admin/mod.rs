//! What an operator sees: the JSON API on the admin address, metrics, and whether the proxy is ready.

pub mod health;
pub mod http;
pub mod metrics;
pub mod reload;
pub mod state;
