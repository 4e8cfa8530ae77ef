//! The wish that the configuration be read again: between the admin API and the process.

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
