//! What operators order of links: carried out at once by the proxy that has the lease, and answered.

use super::{LACKS_PRIVILEGE, Reconciler};
use crate::config::model::Kind;
use crate::gtid::Position;
use crate::replication::link::board::{Answer, Order, Request};
use crate::replication::link::lease::Lease;
use crate::replication::link::line::Line;
use crate::replication::link::plan::Action;
use crate::replication::link::skip::{EVENTS_MAX, FailedTransaction, failed_transaction};
use crate::replication::link::start::start_from;
use crate::replication::link::status::Trouble;

impl Reconciler {
    pub(super) async fn serve(&mut self, request: Request) {
        let answer = self.carry_out(&request.link, &request.order).await;
        // Who asked may have stopped waiting.
        let _ = request.answer.send(answer);
    }

    async fn carry_out(&mut self, link: &str, order: &Order) -> Result<Answer, String> {
        let Some(place) = self.courses.iter().position(|course| &*course.link.name == link) else {
            let names: Vec<&str> = self.courses.iter().map(|course| &*course.link.name).collect();
            return Err(match names[..] {
                [] => "this site has no links: [[link]] sections of its configuration name them".to_owned(),
                _ => format!("no link is named `{link}`; there are: {}", names.join(", ")),
            });
        };
        if let Lease::Other { holder, .. } = &self.lease {
            return Err(format!("the proxy at {holder} drives the links of this site: ask that one"));
        }
        if self.courses[place].leaves() && *order != Order::Retry {
            return Err(format!("the link `{link}` is gone from the configuration, and leaves"));
        }
        match order {
            Order::Start => self.order(place, true).await?,
            Order::Stop => self.order(place, false).await?,
            Order::Retry => {
                self.courses[place].try_again();
                self.connect_anew().await;
            }
            Order::Failed => {
                let FailedTransaction { gtid, events } = self.failed(place).await?;
                return Ok(Answer { text: format!("{gtid}\n{events}"), transaction: Some(gtid.to_string()) });
            }
            Order::Bootstrap(position) => self.start_from(place, position.clone()).await?,
            Order::Skip(gtid) => {
                let failed = self.failed(place).await?;
                if failed.gtid != *gtid {
                    return Err(format!("the link has stopped at {}, not at {gtid}", failed.gtid));
                }
                let mut position = self.applied()?;
                position.raise(*gtid);
                self.start_from(place, position).await?;
                tracing::warn!(link, transaction = %gtid, "an operator has the link skip a transaction");
            }
        }
        self.plan();
        self.settle().await;
        Ok(Answer::new(self.summary(place)))
    }

    /// New grants count for new connections.
    async fn connect_anew(&mut self) {
        self.lines.iter_mut().for_each(Line::hang_up);
        self.nodes.iter_mut().for_each(|node| node.may_remove = true);
        self.look().await;
    }

    fn summary(&self, place: usize) -> String {
        let (plan, link) = (&self.courses[place].plan, &self.courses[place].link.name);
        let state = plan.state.word();
        if plan.reason.is_empty() { format!("{link}: {state}") } else { format!("{link}: {state}: {}", plan.reason) }
    }

    /// An operator has it run, or not; the other proxies are shown.
    async fn order(&mut self, place: usize, is_wanted: bool) -> Result<(), String> {
        let kept = self.want(place, is_wanted);
        if let Some(writer) = self.writer.filter(|_| self.lease == Lease::Held) {
            let line = &mut self.lines[usize::from(writer.0)];
            // Where the connection is lost, so is the lease, and whoever takes it next shows what he knows.
            let _ = line.show(&self.courses[place].link.name, is_wanted).await;
        }
        kept
    }

    pub(super) fn want(&mut self, place: usize, is_wanted: bool) -> Result<(), String> {
        self.courses[place].want(is_wanted);
        let link = &self.courses[place].link.name;
        tracing::info!(link = &**link, "an operator has the link {}", if is_wanted { "started" } else { "stopped" });
        self.stopped.set(link, !is_wanted).map_err(|error| {
            format!("it holds until the proxy restarts: state_dir in [site] must be a folder it can write ({error})")
        })
    }

    /// What the writer has applied.
    fn applied(&self) -> Result<Position, String> {
        let status = self.writer.and_then(|writer| self.nodes[usize::from(writer.0)].current());
        Ok(status.ok_or("the writer gives no answer")?.facts.slave_position.clone())
    }

    /// The transaction the link has stopped at.
    async fn failed(&mut self, place: usize) -> Result<FailedTransaction, String> {
        let (applied, name) = (self.applied()?, &self.courses[place].link.name);
        let at = usize::from(self.writer.map_or(0, |writer| writer.0));
        let channel = self.nodes[at].current().and_then(|status| status.channel(name));
        let channel = channel.filter(|channel| channel.apply_error.is_some());
        let (file, offset) = &channel.ok_or("the link has not stopped at a transaction")?.relay;
        let question = format!("SHOW RELAYLOG '{name}' EVENTS IN '{file}' FROM {offset} LIMIT {EVENTS_MAX}");
        let rows = match self.lines[at].rows(&question).await {
            Err(Trouble::Refused(error)) if error.code == LACKS_PRIVILEGE => {
                // The next try is on a new connection, for which a new grant counts.
                self.lines[at].hang_up();
                let user = &self.config.site.user;
                return Err(format!("seeing the transaction takes `GRANT SLAVE MONITOR ON *.* TO {user}` ({error})"));
            }
            rows => rows.map_err(|trouble| trouble.to_string())?,
        };
        let found = failed_transaction(&rows, &applied).map_err(|error| error.to_string())?;
        found.ok_or_else(|| format!("the transaction is not among the next {EVENTS_MAX} events of {file}"))
    }

    /// Starts the link from where an operator says.
    async fn start_from(&mut self, place: usize, position: Position) -> Result<(), String> {
        if self.lease != Lease::Held {
            return Err("this proxy does not drive the links: there is no writer".to_owned());
        }
        self.order(place, true).await?;
        if let (Kind::Galera, Some(writer)) = (self.config.cluster.kind, self.writer) {
            self.look_in_step(usize::from(writer.0)).await.map_err(|trouble| trouble.to_string())?;
        }
        let course = &self.courses[place];
        let link = course.link();
        let start = start_from(link, self.site(), &course.remote.seen(), &position)?;
        let action = Action::Start(start);
        self.run_statements(place, &action).await.map_err(|trouble| trouble.to_string())?;
        let link = &*self.courses[place].link.name;
        tracing::warn!(link, %position, "an operator has the link started from a position");
        self.look().await;
        Ok(())
    }
}
