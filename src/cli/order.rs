//! An order to a running proxy: what the subcommands that change something have in common.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// STOP SLAVE waits for the transaction that is being applied.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Gives an order for one of the proxy's `servers` or `links`, and returns its answer. Names are plain: they need no escapes in a path.
pub(super) fn give<T: DeserializeOwned>(
    admin: SocketAddr,
    kind: &str,
    name: &str,
    order: &impl Serialize,
) -> Result<T, String> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) || name.is_empty() {
        return Err(format!("`{name}` is no name"));
    }
    let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).proxy(None);
    let agent: ureq::Agent = config.build().into();
    let answer = agent.post(format!("http://{admin}/v1/{kind}/{name}")).send_json(order);
    let mut answer = answer.map_err(|error| super::list::unanswered(admin, &error))?;
    let is_done = answer.status().is_success();
    let body = answer.body_mut();
    if !is_done {
        return Err(body.read_to_string().map_err(|error| error.to_string())?);
    }
    body.read_json().map_err(|error| format!("what answers on {admin} is not oarlock: {error}"))
}
