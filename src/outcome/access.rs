//! How nodes are asked in the name of the service user, and how long that may take.

use std::time::Duration;

use tokio::time::timeout;

use crate::auth::native::Sha1Password;
use crate::backend::answer::Row;
use crate::backend::line::{Line, Trouble};
use crate::backend::login::Credentials;
use crate::config::Config;
use crate::config::print_duration;
use crate::net::tls::ClientTls;
use crate::wire::capability::Capabilities;

/// Nothing that is sent or awaited here is near this.
const PACKET_BYTES_MAX: u32 = 1 << 24;
/// `utf8mb4_general_ci`
const COLLATION: u8 = 45;

/// The service user's way in.
pub struct Access {
    who: Credentials,
    tls: Option<ClientTls>,
    connect_timeout: Duration,
    answer_timeout: Duration,
}

impl Access {
    /// As configured.
    pub fn new(config: &Config, tls: Option<ClientTls>) -> Self {
        let who = Credentials {
            user: config.site.user.as_bytes().into(),
            password: Sha1Password::of(config.site.password.reveal().as_bytes()),
            capabilities: Capabilities::REQUIRED | Capabilities::DEPRECATE_EOF,
            packet_max: PACKET_BYTES_MAX,
            collation: COLLATION,
            attributes: Box::default(),
        };
        Self {
            who,
            tls,
            connect_timeout: config.cluster.connect_timeout,
            answer_timeout: config.cluster.read_timeout.max(config.cluster.write_timeout),
        }
    }

    /// A connection to a node.
    pub async fn line(&self, address: Box<str>) -> Result<Line, Trouble> {
        within("no connection", self.connect_timeout, Line::login(address, &self.who, self.tls.as_ref())).await
    }

    /// The rows of a statement.
    pub async fn query(&self, line: &mut Line, text: &str) -> Result<Vec<Row>, Trouble> {
        within("no answer", self.answer_timeout, line.query(text)).await
    }

    /// The first value of a statement's first row.
    pub async fn value(&self, line: &mut Line, text: &str) -> Result<String, Trouble> {
        let rows = self.query(line, text).await?;
        let value = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()).unwrap_or_default())
    }

    /// Begins a dump.
    pub async fn begin(&self, line: &mut Line, dump: &[u8]) -> Result<(), Trouble> {
        within("no answer", self.answer_timeout, line.begin(dump)).await
    }

    /// Waits for more of a dump.
    pub async fn read(&self, line: &mut Line) -> Result<(), Trouble> {
        within("no more of the dump", self.answer_timeout, async { Ok(line.read().await?) }).await
    }
}

async fn within<T>(what: &str, limit: Duration, step: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match timeout(limit, step).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::Lost(format!("{what} within {}", print_duration(limit)).into())),
    }
}
