//! How nodes are asked in the name of the service user, and how long that may take.

use std::time::Duration;

use tokio::time::timeout;

use crate::auth::secret::Secret;
use crate::backend::answer::Row;
use crate::backend::line::{Line, Trouble};
use crate::backend::login::Credentials;
use crate::config::{Live, print_duration};
use crate::net::tls::ClientTls;
use crate::wire::capability::Capabilities;

/// Nothing that is sent or awaited here is near this.
const PACKET_BYTES_MAX: u32 = 1 << 24;
/// `utf8mb4_general_ci`
const COLLATION: u8 = 45;

/// The service user's way in.
pub struct Access {
    live: Live,
    tls: Option<ClientTls>,
}

impl Access {
    /// As configured.
    pub fn new(live: Live, tls: Option<ClientTls>) -> Self {
        Self { live, tls }
    }

    /// The service user's name now.
    pub fn user(&self) -> Box<str> {
        self.live.load().site.user.clone()
    }

    fn answer_timeout(&self) -> Duration {
        let cluster = &self.live.load().cluster;
        cluster.read_timeout.max(cluster.write_timeout)
    }

    /// A connection to a node.
    pub async fn line(&self, address: Box<str>) -> Result<Line, Trouble> {
        let config = self.live.load();
        let site = &config.site;
        let who = Credentials {
            user: site.user.as_bytes().into(),
            secret: Some(Secret::clear(site.password.reveal().as_bytes())),
            capabilities: Capabilities::REQUIRED | Capabilities::DEPRECATE_EOF,
            packet_max: PACKET_BYTES_MAX,
            collation: COLLATION,
            attributes: Box::default(),
        };
        within("no connection", config.cluster.connect_timeout, Line::login(address, &who, None, self.tls.as_ref()))
            .await
    }

    /// The rows of a statement.
    pub async fn query(&self, line: &mut Line, text: &str) -> Result<Vec<Row>, Trouble> {
        within("no answer", self.answer_timeout(), line.query(text)).await
    }

    /// The first value of a statement's first row.
    pub async fn value(&self, line: &mut Line, text: &str) -> Result<String, Trouble> {
        let rows = self.query(line, text).await?;
        let value = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()).unwrap_or_default())
    }

    /// Begins a dump.
    pub async fn begin(&self, line: &mut Line, dump: &[u8]) -> Result<(), Trouble> {
        within("no answer", self.answer_timeout(), line.begin(dump)).await
    }

    /// Waits for more of a dump.
    pub async fn read(&self, line: &mut Line) -> Result<(), Trouble> {
        within("no more of the dump", self.answer_timeout(), async { Ok(line.read().await?) }).await
    }
}

async fn within<T>(what: &str, limit: Duration, step: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match timeout(limit, step).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::Lost(format!("{what} within {}", print_duration(limit)).into())),
    }
}
