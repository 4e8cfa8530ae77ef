//! The wish that the configuration be read again: between the admin API and the process.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// What came of reading the configuration again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What is in force now.
    pub applied: Vec<String>,
    /// What has changed in the file and needs a restart.
    pub waiting: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        write!(f, "in force now: {}", list(&self.applied))?;
        if self.waiting.is_empty() { Ok(()) } else { write!(f, "\nafter a restart: {}", list(&self.waiting)) }
    }
}

/// Somebody waits for what comes of it.
pub type Request = oneshot::Sender<Result<Report, String>>;

/// Where it is wished. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Request>);

impl Reloads {
    /// And where the wishes arrive.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (wishes, requests) = mpsc::channel(1);
        (Self(wishes), requests)
    }

    /// Has it read again; what is wrong with it comes back as text, and nothing has changed.
    pub async fn wish(&self) -> Result<Report, String> {
        let (answer, answered) = oneshot::channel();
        let ends = || "the proxy is ending".to_owned();
        self.0.send(answer).await.map_err(|_| ends())?;
        answered.await.map_err(|_| ends())?
    }
}
