//! What operators see of links, and what they order: between the task that drives them and the admin API.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::gtid::{Gtid, Position};

/// Orders that wait, at most.
const ORDERS_MAX: usize = 16;
/// An order that is not carried out by then may still be: it stops and starts replication.
const ORDER_TIME_MAX: Duration = Duration::from_secs(30);

/// A link, as `list links` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Its name.
    pub link: String,
    /// What it is doing: `Running`, `Blocked`, ...; `Standby` where another proxy sees to it.
    pub state: String,
    /// For so many seconds.
    pub seconds: u64,
    /// The writer, which runs it; empty without one.
    pub node: String,
    /// The address of the remote that answers; empty if none does.
    pub remote: String,
    /// How far this site has got.
    pub position: String,
    /// Transactions of the remote that are not here yet; `None` if unknown.
    pub lag_transactions: Option<u64>,
    /// Age of what is being applied, as the writer says; `None` if unknown.
    pub lag_seconds: Option<u64>,
    /// Why it is in this state; empty where the state says all.
    pub reason: String,
    /// What a person can do about it.
    pub remedy: String,
    /// The last error of a server or an action; empty once the link has run for a while.
    pub error: String,
    /// Which proxy sees to links: `this proxy`, the address of another, or empty.
    pub lease: String,
}

/// What an operator wants of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Run it from now on.
    Start,
    /// Don't, from now on.
    Stop,
    /// Try again now what has failed.
    Retry,
    /// Start it from a position.
    Bootstrap(Position),
    /// Say which transaction it has stopped at.
    Failed,
    /// Go on after this one.
    Skip(Gtid),
}

/// An order that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrder(String);

impl fmt::Display for InvalidOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An order as the admin API takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrderText {
    /// `start`, `stop`, `retry`, `bootstrap`, `failed` or `skip`.
    pub order: String,
    /// The position of `bootstrap`, the transaction of `skip`.
    #[serde(default)]
    pub argument: String,
}

impl TryFrom<OrderText> for Order {
    type Error = InvalidOrder;

    fn try_from(text: OrderText) -> Result<Self, InvalidOrder> {
        fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, InvalidOrder> {
            text.parse().map_err(|error: T::Err| InvalidOrder(error.to_string()))
        }
        Ok(match &*text.order {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "retry" => Self::Retry,
            "failed" => Self::Failed,
            "bootstrap" => Self::Bootstrap(parse(&text.argument)?),
            "skip" => Self::Skip(parse(&text.argument)?),
            other => return Err(InvalidOrder(format!("`{other}` is no order for a link"))),
        })
    }
}

/// What came of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// In words.
    pub text: String,
    /// The transaction that [`Order::Failed`] has found.
    pub transaction: Option<String>,
}

impl Answer {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), transaction: None }
    }
}

/// An order on its way.
pub struct Request {
    pub(super) link: String,
    pub(super) order: Order,
    pub(super) answer: oneshot::Sender<Result<Answer, String>>,
}

/// Where links are seen and ordered. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Board {
    reports: Arc<ArcSwap<Vec<LinkReport>>>,
    orders: mpsc::Sender<Request>,
}

impl Board {
    /// An empty board, and where its orders arrive.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (orders, requests) = mpsc::channel(ORDERS_MAX);
        (Self { reports: Arc::default(), orders }, requests)
    }

    /// The links as they were a moment ago.
    pub fn reports(&self) -> Arc<Vec<LinkReport>> {
        self.reports.load_full()
    }

    /// Shows the links.
    pub fn show(&self, reports: Vec<LinkReport>) {
        self.reports.store(Arc::new(reports));
    }

    /// Gives an order and waits for what comes of it.
    pub async fn order(&self, link: String, order: Order) -> Result<Answer, String> {
        let (answer, answered) = oneshot::channel();
        let none = || "this process drives no links any more".to_owned();
        let course = async {
            self.orders.send(Request { link, order, answer }).await.map_err(|_| none())?;
            answered.await.map_err(|_| none())?
        };
        let late = || "it is under way; `oarlock list links` shows what comes of it".to_owned();
        timeout(ORDER_TIME_MAX, course).await.unwrap_or_else(|_| Err(late()))
    }
}
