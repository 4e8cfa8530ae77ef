//! An order to a running proxy: what the subcommands that change something have in common.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

type Answer = ureq::http::Response<ureq::Body>;

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
    post(admin, &format!("{kind}/{name}"), order)
}

/// Gives an order of the proxy as a whole, by its path.
pub(super) fn post<T: DeserializeOwned>(admin: SocketAddr, path: &str, order: &impl Serialize) -> Result<T, String> {
    let answer = agent().post(format!("http://{admin}/v1/{path}")).send_json(order);
    let mut answer = done(admin, answer)?;
    answer.body_mut().read_json().map_err(|error| format!("what answers on {admin} is not oarlock: {error}"))
}

/// Has one of the proxy's `sessions` taken away.
pub(super) fn remove(admin: SocketAddr, kind: &str, name: &str) -> Result<(), String> {
    done(admin, agent().delete(format!("http://{admin}/v1/{kind}/{name}")).call()).map(drop)
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).proxy(None);
    config.build().into()
}

/// The answer if the proxy has done it, else what it says.
fn done(admin: SocketAddr, answer: Result<Answer, ureq::Error>) -> Result<Answer, String> {
    let mut answer = answer.map_err(|error| super::list::unanswered(admin, &error))?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    Err(answer.body_mut().read_to_string().map_err(|error| error.to_string())?)
}
