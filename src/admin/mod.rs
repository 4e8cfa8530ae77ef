//! What an operator sees: the JSON API on the admin address.

pub mod http;
pub mod state;
