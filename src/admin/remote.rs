//! The sites that this one follows, as their own proxies show them: asked when somebody looks, and once for all who look at a time.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::client::Client;
use super::http::Server;
use crate::config::Config;
use crate::config::model::Link;
use crate::config::secret::Secret;

/// A site that has not answered by then is not waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// An answer is good for so long.
const FRESH: Duration = Duration::from_millis(500);

/// Another site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteReport {
    /// The link by which this site follows it.
    pub link: String,
    /// The admin address of its proxy.
    pub admin: String,
    /// Its nodes; none if it does not answer.
    pub servers: Vec<Server>,
    /// Why it does not answer; empty if it does.
    pub error: String,
}

/// What has been answered, and when. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Remotes(Arc<Mutex<Option<Answers>>>);

/// When they came, and what they are.
type Answers = (Instant, Vec<RemoteReport>);

impl Remotes {
    /// Those sites whose admin address is configured. Whoever looks while they are being asked waits for the same answer.
    pub async fn look(&self, config: &Config) -> Vec<RemoteReport> {
        let mut last = self.0.lock().await;
        if let Some((at, reports)) = &*last
            && at.elapsed() < FRESH
        {
            return reports.clone();
        }
        let begin = |(link, admin): (&Link, SocketAddr)| {
            let (token, ca) = (config.admin.token.clone(), link.admin_ca.clone());
            let report =
                RemoteReport { link: link.name.to_string(), admin: admin.to_string(), ..RemoteReport::default() };
            tokio::task::spawn_blocking(move || match ask(admin, ca.as_deref(), token.as_ref()) {
                Ok(servers) => RemoteReport { servers, ..report },
                Err(error) => RemoteReport { error, ..report },
            })
        };
        let known = config.links.iter().filter_map(|link| Some((link, link.admin?)));
        let asked: Vec<_> = known.map(begin).collect();
        let mut reports = Vec::new();
        for answer in asked {
            reports.extend(answer.await.ok());
        }
        *last = Some((Instant::now(), reports.clone()));
        reports
    }
}

fn ask(admin: SocketAddr, ca: Option<&Path>, token: Option<&Secret>) -> Result<Vec<Server>, String> {
    let client = Client::trusting(ca)?;
    let mut request = client.agent(ANSWER_TIME_MAX).get(client.url(admin, "servers"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {}", token.reveal()));
    }
    let answer = request.config().http_status_as_error(true).build().call();
    answer.and_then(|mut answer| answer.body_mut().read_json()).map_err(|error| error.to_string())
}
