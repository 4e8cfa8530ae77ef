//! Asks the nodes of a site, and the remotes through their links' own accounts, for what the rules judge.

use futures_util::future::join_all;

use super::facts::{self, Facts};
use super::grants::{self, Grants};
use super::reach::{self, Reach};
use super::rules::{Picture, Remote, Replica, Server};
use crate::cluster::probe::refused_from;
use crate::config::Config;
use crate::config::model::{Kind, Link, OutcomePolicy};
use crate::replication::link::line::Line;

/// Asks everybody at once. The replicas are what a running proxy knows of them.
pub async fn collect(config: &Config, replicas: Vec<Replica>) -> Picture {
    let nodes = config.nodes.iter().map(|node| ask(node.name.to_string(), Line::to_node(&node.address, config)));
    let remotes = config.links.iter().map(|link| remote(link, config));
    let refusals = config.nodes.iter().map(|node| async {
        let address = refused_from(node, config.cluster.connect_timeout).await?;
        Some((node.name.to_string(), address))
    });
    Picture {
        kind: config.cluster.kind,
        user: config.site.user.to_string(),
        nodes: join_all(nodes).await,
        remotes: join_all(remotes).await,
        replicas,
        refusals: join_all(refusals).await.into_iter().flatten().collect(),
        resolves: config.cluster.kind == Kind::Galera && config.read_write_split.outcome == OutcomePolicy::Resolve,
    }
}

/// The first of its addresses that answers, or the first one's word.
async fn remote(link: &Link, config: &Config) -> Remote {
    let mut first = None;
    for address in &link.remote {
        let server = ask(format!("link {} ({address})", link.name), Line::to_remote(address, link, config)).await;
        if server.answer.is_ok() {
            return Remote { user: link.user.to_string(), server };
        }
        first.get_or_insert(server);
    }
    let none =
        || Server { name: format!("link {}", link.name), answer: Err("it has no address".to_owned()), reach: None };
    Remote { user: link.user.to_string(), server: first.unwrap_or_else(none) }
}

async fn ask(name: String, mut line: Line) -> Server {
    let answer = answer(&mut line).await;
    let reach = if answer.is_ok() { reach(&mut line).await } else { None };
    Server { name, answer, reach }
}

/// What may not be seen, or can't be read, is not known.
async fn reach(line: &mut Line) -> Option<Reach> {
    let files = line.pairs(reach::QUERY).await.ok()?;
    let files: Vec<&str> = files.iter().map(|(file, _)| &**file).collect();
    let starts = line.pairs(&reach::question(&files)).await.ok()?;
    let (start, next) = starts.first()?;
    Reach::read(start, (files.len() > 1).then_some(next))
}

async fn answer(line: &mut Line) -> Result<(Facts, Grants), String> {
    let settings = line.pairs(facts::QUERY).await.map_err(|trouble| trouble.to_string())?;
    let facts = Facts::read(&settings).map_err(|unreadable| unreadable.to_string())?;
    let rows = line.pairs(grants::QUERY).await.map_err(|trouble| trouble.to_string())?;
    Ok((facts, Grants::read(rows.iter().map(|(row, _)| &**row))))
}
