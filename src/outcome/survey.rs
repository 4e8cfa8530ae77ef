//! One look at the cluster for all who wait: who is a member, and what the binary log of one node holds.
//!
//! A node that does not have everything, or whose log begins too late, is passed by for the next one. In a cluster a node's own log says
//! nothing of what was interrupted on it: one that loses the primary component within a commit (1180) has it in its log and not in its
//! tables, and the cluster does not have it (measured).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::access::Access;
use super::case::{Counter, Finding, Sought, Told};
use super::trail::{Insert, Progress, Trail};
use crate::backend::line::{Line, Trouble};
use crate::cluster::values::{Unreadable, Values};
use crate::cluster::view::{ClusterView, NodeId, NodeView};
use crate::config::model::Kind;
use crate::gtid::Position;
use crate::sql::marker::Marker;
use crate::wire::binlog::{look_up_setup, put_look_up};

/// The members of the node's view, as one value. Galera writes the list anew when it has applied all that came before the view.
pub const MEMBERS: &str = "SELECT GROUP_CONCAT(node_uuid) FROM mysql.wsrep_cluster_members";
const STATUS: &str =
    "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'WSREP_CLUSTER_STATUS'";
const POSITION: &str = "SELECT LOWER(VARIABLE_NAME), VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES \
    WHERE VARIABLE_NAME IN ('gtid_binlog_pos', 'wsrep_gtid_domain_id')";
/// A dump error; here: the log does not go back to where it should begin.
const DUMP_ERROR: u16 = 1236;
/// ER_SPECIFIC_ACCESS_DENIED_ERROR.
const DENIED: u16 = 1227;

/// What one look has come to.
#[derive(Debug, Default)]
pub struct Report {
    /// By the number of the case.
    pub findings: Vec<(u64, Finding)>,
    /// Cases whose node the cluster has expelled.
    pub expelled: Vec<u64>,
    /// Nodes that could not be asked, and why.
    pub troubles: Vec<(NodeId, Box<str>)>,
}

/// A node whose log is read.
struct Source<'a> {
    node: &'a NodeView,
    line: Line,
    /// Where it was when it had what it was to have.
    held: Position,
    /// The domain in which all nodes of a cluster write.
    shared: Option<u32>,
}

impl Source<'_> {
    fn start(&self, base: &Position) -> Position {
        start(base, &self.held, self.shared)
    }
}

/// One look.
pub struct Survey {
    /// The way to the nodes.
    pub access: Arc<Access>,
    /// What they are.
    pub kind: Kind,
    /// The cluster when it begins.
    pub view: Arc<ClusterView>,
}

impl Survey {
    /// Looks for these cases, on one node after another until all are answered.
    pub async fn run(self, mut cases: Vec<Sought>) -> Report {
        let mut report = Report::default();
        for node in self.candidates(&cases) {
            let is_witness = |case: &Sought| self.kind == Kind::Standalone || case.node != node.id;
            let mut asked: Vec<_> = cases.extract_if(.., |case| is_witness(case)).collect();
            if asked.is_empty() {
                continue;
            }
            let looked = self.look(node, &mut asked, &mut report).await;
            cases.append(&mut asked);
            if let Err(trouble) = looked {
                let why = match trouble {
                    Trouble::Lost(why) => why,
                    Trouble::Refused(fault) => format!("{} (error {})", fault.message, fault.code).into(),
                };
                report.troubles.push((node.id, why));
            }
        }
        report
            .findings
            .extend(cases.into_iter().filter_map(|case| Some((case.number, Finding::Lacking(case.lacking?)))));
        report
    }

    /// The nodes to ask, the writer first, and last those on which something was interrupted.
    fn candidates(&self, cases: &[Sought]) -> Vec<&NodeView> {
        let mut nodes: Vec<_> = self.view.nodes.iter().filter(|node| node.usable()).collect();
        let suspect = |node: &NodeView| cases.iter().any(|case| case.node == node.id);
        nodes.sort_by_key(|node| (suspect(node), self.view.writer != Some(node.id)));
        nodes
    }

    /// Looks on one node. Cases it has an answer for are taken out.
    async fn look(&self, node: &NodeView, cases: &mut Vec<Sought>, report: &mut Report) -> Result<(), Trouble> {
        if !node.trace.fault.is_empty() {
            cases.iter_mut().for_each(|case| case.lacks(&node.trace.fault));
            return Ok(());
        }
        let mut line = self.access.line(node.address.clone()).await?;
        if self.kind == Kind::Galera {
            self.settle(&mut line, cases, report).await?;
        }
        let (held, shared) = self.position(&mut line).await?;
        let mut source = Source { node, line, held, shared };
        let mut too_old = Vec::new();
        let result = self.search(&mut source, cases, &mut too_old, report).await;
        cases.append(&mut too_old);
        result
    }

    /// Reads the log for all cases at once. Those that go back further than it does must not keep the others from their answers.
    async fn search(
        &self,
        source: &mut Source<'_>,
        cases: &mut Vec<Sought>,
        too_old: &mut Vec<Sought>,
        report: &mut Report,
    ) -> Result<(), Trouble> {
        while let Some(lowest) = cases.iter().map(|case| source.start(&case.base)).reduce(lower) {
            let wanted =
                cases.iter().flat_map(|case| case.markers.iter().map(|marker| (*marker, case.wants_rows))).collect();
            match self.dump(source, &lowest, wanted).await {
                Ok(trail) => {
                    for case in cases.drain(..) {
                        let told = match case.found(&trail).and_then(|found| found.insert.clone()) {
                            Some(insert) => Told::of(&insert, &self.counter(&mut source.line, &insert).await),
                            None => Told::default(),
                        };
                        report.findings.push((case.number, case.finding(&trail, told)));
                    }
                }
                Err(Trouble::Refused(fault)) if fault.code == DENIED => {
                    report.findings.extend(cases.drain(..).map(|case| (case.number, Finding::Denied)));
                }
                Err(Trouble::Refused(fault)) if fault.code == DUMP_ERROR => {
                    let why = format!("{} has no binary log from '{lowest}' on: {}", source.node.name, fault.message);
                    let is_lowest = cases.iter().any(|case| source.start(&case.base) == lowest);
                    let (mut old, others): (Vec<_>, Vec<_>) =
                        cases.drain(..).partition(|case| !is_lowest || source.start(&case.base) == lowest);
                    old.iter_mut().for_each(|case| case.lacks(&why));
                    too_old.append(&mut old);
                    *cases = others;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    /// Learns which nodes have been expelled, and has the node catch up if anybody's work is over.
    async fn settle(&self, line: &mut Line, cases: &mut [Sought], report: &mut Report) -> Result<(), Trouble> {
        self.access.query(line, "SET SESSION wsrep_sync_wait = 0, wsrep_dirty_reads = OFF").await?;
        let members = self.access.value(line, MEMBERS).await?;
        let status = self.access.value(line, STATUS).await?;
        if status != "Primary" || members.is_empty() {
            return Err(Trouble::Lost("it is not in the primary component".into()));
        }
        let members: HashSet<&str> = members.split(',').collect();
        for case in cases.iter_mut().filter(|case| !case.over && !case.member.is_empty()) {
            if !members.contains(&*case.member) {
                case.over = true;
                report.expelled.push(case.number);
            }
        }
        if cases.iter().any(|case| case.over) {
            self.access.query(line, "SET SESSION wsrep_sync_wait = 15").await?;
            self.access.query(line, MEMBERS).await?;
        }
        Ok(())
    }

    /// Where the node is, and the domain in which all nodes of a cluster write.
    async fn position(&self, line: &mut Line) -> Result<(Position, Option<u32>), Trouble> {
        let rows = self.access.query(line, POSITION).await?;
        let text =
            |value: &Option<Box<[u8]>>| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
        let pairs: Vec<_> = rows.iter().filter_map(|row| Some((text(row.first()?), text(row.get(1)?)))).collect();
        let values = Values::of(&pairs);
        let unreadable = |why: Unreadable| Trouble::Lost(why.to_string().into());
        let shared = match self.kind {
            Kind::Galera => Some(values.parse("wsrep_gtid_domain_id").map_err(unreadable)?),
            Kind::Standalone => None,
        };
        Ok((values.parse("gtid_binlog_pos").map_err(unreadable)?, shared))
    }

    /// The column of the table that counts by itself. What can't be asked is not told: the write is found all the same.
    async fn counter(&self, line: &mut Line, insert: &Insert) -> Counter {
        let (schema, name) = (hex(&insert.table.schema), hex(&insert.table.name));
        let question = format!(
            "SELECT COUNT(*), MAX(IF(EXTRA LIKE '%auto_increment%', ORDINAL_POSITION, 0)), \
             MAX(IF(EXTRA LIKE '%auto_increment%', COLUMN_NAME, '')) FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = x'{schema}' AND TABLE_NAME = x'{name}'"
        );
        let rows = self.access.query(line, &question).await.unwrap_or_default();
        let Some([Some(count), Some(place), Some(name)]) = rows.first().map(|row| &row[..]) else {
            return Counter::Unseen;
        };
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
        match (number(count), number(place)) {
            (Some(seen), Some(place)) if seen == insert.table.width() => match place.checked_sub(1) {
                Some(place) => Counter::Column { place, name: name.clone() },
                None => Counter::Missing,
            },
            _ => Counter::Unseen,
        }
    }

    /// Reads the binary log of a node from here to its end, which must be where the node was at least.
    async fn dump(
        &self,
        source: &Source<'_>,
        from: &Position,
        wanted: HashMap<Marker, bool>,
    ) -> Result<Trail, Trouble> {
        let Source { node, held, .. } = source;
        if !held.covers(from) {
            return Err(Trouble::Lost(format!("it is at '{held}' and not yet at '{from}'").into()));
        }
        let mut line = self.access.line(node.address.clone()).await?;
        self.access.query(&mut line, &look_up_setup(from)).await?;
        let mut request = Vec::new();
        put_look_up(&mut request);
        self.access.begin(&mut line, &request).await?;
        let mut trail = Trail::new(wanted, from.clone());
        loop {
            let bytes = std::mem::take(&mut line.unused);
            match trail.take(&bytes)? {
                Progress::More => self.access.read(&mut line).await?,
                Progress::End if trail.position().covers(held) => return Ok(trail),
                Progress::End => {
                    let why = format!("its binary log ends at '{}', and it is at '{held}'", trail.position());
                    return Err(Trouble::Lost(why.into()));
                }
                Progress::Refused(fault) => return Err(Trouble::Refused(fault)),
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a dump for this base begins on a node at `held`. In a cluster only the domain in which all nodes write matters: what a node
/// has written for itself, and what comes from other sites, is passed over.
fn start(base: &Position, held: &Position, shared: Option<u32>) -> Position {
    let mut start = Position::default();
    for gtid in held.iter() {
        match shared {
            Some(domain) if gtid.domain != domain => start.set(gtid),
            _ => base.get(gtid.domain).into_iter().for_each(|known| start.set(known)),
        }
    }
    start
}

/// Per domain the lower of the two; a domain that is missing in one is read from its beginning.
fn lower(a: Position, b: Position) -> Position {
    let mut lower = Position::default();
    for (one, other) in a.iter().filter_map(|gtid| Some((gtid, b.get(gtid.domain)?))) {
        lower.set(if one.sequence <= other.sequence { one } else { other });
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn a_dump_begins_where_it_matters() {
        for (base, held, shared, expected) in [
            ("70-7000-5,71-7000-1", "70-7000-9,72-7000-3,81-8000-4", Some(70), "70-7000-5,72-7000-3,81-8000-4"),
            ("", "70-7000-9,81-8000-4", Some(70), "81-8000-4"),
            ("70-7000-5", "81-8000-4", Some(70), "81-8000-4"),
            ("81-8000-4,1-1-1", "81-8000-9,82-1-1", None, "81-8000-4"),
        ] {
            assert_eq!(start(&position(base), &position(held), shared).to_string(), expected, "{base} {held}");
        }
    }

    #[test]
    fn the_lowest_start_is_everybodys() {
        for (a, b, expected) in [
            ("70-7000-5,81-8000-4", "70-7000-3,81-8000-4", "70-7000-3,81-8000-4"),
            ("70-7000-5", "", ""),
            ("70-7000-5,81-8000-4", "70-7000-10", "70-7000-5"),
        ] {
            assert_eq!(lower(position(a), position(b)).to_string(), expected);
            assert_eq!(lower(position(b), position(a)).to_string(), expected);
        }
    }
}
