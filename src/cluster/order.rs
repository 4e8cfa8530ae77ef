//! What operators order of nodes: between the admin API and the watch, which carries it out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::view::{ClusterView, Duty, Health, NodeView};
use crate::config::Live;

/// Orders that wait, at most.
const ORDERS_MAX: usize = 16;
/// The watch only judges what it knows: it is never busy for so long, but for a move of the writer's role.
const ORDER_TIME_MAX: Duration = Duration::from_secs(5);

/// What is to be done with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// It works as its health allows.
    Clear,
    /// It gets no new work; what is open may finish.
    Drain,
    /// It gets no work at all.
    Maintenance,
    /// It becomes the writer.
    Write,
}

impl Order {
    /// The duty it gives a node.
    pub(super) fn duty(self) -> Option<Duty> {
        match self {
            Self::Clear => Some(Duty::Normal),
            Self::Drain => Some(Duty::Draining),
            Self::Maintenance => Some(Duty::Maintenance),
            Self::Write => None,
        }
    }
}

/// An order on its way.
pub struct Request {
    pub(super) node: String,
    pub(super) order: Order,
    pub(super) answer: oneshot::Sender<Result<String, String>>,
}

/// Where orders are given. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Orders {
    requests: mpsc::Sender<Request>,
    live: Live,
}

impl Orders {
    /// And where they arrive. The configuration says how long a move of the writer's role may take.
    pub fn new(live: Live) -> (Self, mpsc::Receiver<Request>) {
        let (requests, inbox) = mpsc::channel(ORDERS_MAX);
        (Self { requests, live }, inbox)
    }

    /// Gives an order and waits for what comes of it, in words.
    pub async fn give(&self, node: String, order: Order) -> Result<String, String> {
        let (answer, answered) = oneshot::channel();
        let course = async {
            self.requests.send(Request { node, order, answer }).await.ok()?;
            answered.await.ok()
        };
        let time_max = ORDER_TIME_MAX + self.live.load().cluster.switch_wait;
        let unheard = || Err("the nodes are not watched any more: the proxy is ending".to_owned());
        timeout(time_max, course).await.ok().flatten().unwrap_or_else(unheard)
    }
}

/// What else decides whether a node may become the writer.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// `read_only` is on; `None` if that is not known.
    pub read_only: Option<bool>,
    /// As configured.
    pub priority: i32,
    /// The role goes to the best node by itself.
    pub failback: bool,
    /// Another proxy of the site says which node is the writer.
    pub is_led: bool,
}

/// Why this node can't become the writer by order.
pub fn unfit_to_write(node: &NodeView, standing: Standing) -> Option<String> {
    let name = &node.name;
    if standing.is_led {
        Some("another proxy drives the links of this site, and this one follows its writer: ask that one".to_owned())
    } else if standing.failback {
        Some("failback is on, so the node of the best priority would take the role back at once".to_owned())
    } else if standing.priority < 0 {
        Some(format!("{name} has priority {}: it is never the writer", standing.priority))
    } else if node.duty != Duty::Normal {
        Some(format!("{name} is withdrawn from work: `oarlock clear server {name}` comes first"))
    } else if node.health != Health::Synced {
        Some(format!("{name} is not fit for work: {}", node.reason))
    } else {
        (standing.read_only != Some(false)).then(|| format!("{name} is read_only"))
    }
}

/// How a view is after an order, as far as that node and the writer go.
pub(super) fn summary(view: &ClusterView, node: &NodeView) -> String {
    let duty = match node.duty {
        Duty::Normal => "works as its health allows",
        Duty::Draining => "gets no new work; what is open may finish",
        Duty::Maintenance => "gets no work",
        Duty::Leaving => "leaves",
    };
    match view.writer.and_then(|id| view.node(id)) {
        Some(writer) if writer.id == node.id => format!("{} is the writer", node.name),
        Some(writer) => format!("{} {duty}; the writer is {}", node.name, writer.name),
        None => format!("{} {duty}; there is no writer", node.name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::NodeId;
    use super::*;

    #[test]
    fn who_may_become_the_writer() {
        let fit = Standing { read_only: Some(false), priority: 2, failback: false, is_led: false };
        let (synced, down) = ((Health::Synced, Duty::Normal), (Health::Down, Duty::Normal));
        for ((health, duty), standing, refusal) in [
            (synced, fit, None),
            (synced, Standing { priority: 0, ..fit }, None),
            (down, fit, Some("not fit for work: refused")),
            ((Health::Synced, Duty::Draining), fit, Some("oarlock clear server a")),
            ((Health::Synced, Duty::Maintenance), fit, Some("withdrawn")),
            (synced, Standing { read_only: Some(true), ..fit }, Some("read_only")),
            (synced, Standing { read_only: None, ..fit }, Some("read_only")),
            (synced, Standing { priority: -1, ..fit }, Some("priority -1")),
            (synced, Standing { failback: true, ..fit }, Some("failback")),
            (synced, Standing { is_led: true, ..fit }, Some("ask that one")),
        ] {
            let node = node(health, duty);
            let said = unfit_to_write(&node, standing);
            let expected = |text: &str| refusal.is_some_and(|refusal| text.contains(refusal));
            assert!(said.as_deref().map_or(refusal.is_none(), expected), "{said:?} {refusal:?}");
        }
    }

    #[test]
    fn an_order_is_answered_with_what_is() {
        let node = node(Health::Synced, Duty::Draining);
        let view = |writer| ClusterView { nodes: [node.clone()].into(), writer, ..ClusterView::default() };
        assert_eq!(summary(&view(None), &node), "a gets no new work; what is open may finish; there is no writer");
        assert_eq!(summary(&view(Some(NodeId(0))), &node), "a is the writer");
    }

    fn node(health: Health, duty: Duty) -> NodeView {
        NodeView {
            id: NodeId(0),
            name: "a".into(),
            address: "a:1".into(),
            health,
            reason: "refused".into(),
            duty,
            ..NodeView::default()
        }
    }
}
