//! What comes in force when the configuration is read again (pure): of the new one all that can change while the process runs, and of
//! the old one the rest. What that leaves out is what [`super::differences`] finds between this and the new one.

use super::model::{Cluster, Config, LISTENER_PLACES_MAX, Listener, Node, PLACES_MAX, Site};

/// The configuration that is in force after `old`, where the file says `new`. Nodes and listeners keep their places: one that is gone
/// from the file leaves. A node of the same name at another address is another node; a listener is the same one.
pub fn in_force(old: &Config, new: &Config) -> Result<Config, String> {
    Ok(Config {
        site: Site {
            user: new.site.user.clone(),
            password: new.site.password.clone(),
            log: new.site.log,
            key_file: new.site.key_file.clone(),
            ..old.site.clone()
        },
        cluster: Cluster { kind: old.cluster.kind, tls: old.cluster.tls.clone(), ..new.cluster.clone() },
        nodes: nodes(&old.nodes, &new.nodes)?,
        accounts: new.accounts.clone(),
        listeners: listeners(&old.listeners, &new.listeners)?,
        links: new.links.clone(),
        read_write_split: new.read_write_split.clone(),
        replication: new.replication.clone(),
        admin: new.admin.clone(),
        limits: new.limits.clone(),
    })
}

fn nodes(old: &[Node], new: &[Node]) -> Result<Box<[Node]>, String> {
    let is_same = |one: &Node, other: &Node| one.name == other.name && one.address == other.address;
    let stays = |node: &Node| match new.iter().find(|wanted| is_same(wanted, node)) {
        Some(wanted) => wanted.clone(),
        None => Node { leaves: true, ..node.clone() },
    };
    let come = new.iter().filter(|node| !old.iter().any(|other| is_same(node, other)));
    let nodes: Box<[Node]> = old.iter().map(stays).chain(come.cloned()).collect();
    if nodes.len() > PLACES_MAX {
        return Err(format!("more than {PLACES_MAX} nodes have come and gone: that takes a restart"));
    }
    Ok(nodes)
}

fn listeners(old: &[Listener], new: &[Listener]) -> Result<Box<[Listener]>, String> {
    let stays = |listener: &Listener| match new.iter().find(|wanted| wanted.name == listener.name) {
        Some(wanted) => wanted.clone(),
        None => Listener { leaves: true, ..listener.clone() },
    };
    let come = new.iter().filter(|listener| !old.iter().any(|other| other.name == listener.name));
    let listeners: Box<[Listener]> = old.iter().map(stays).chain(come.cloned()).collect();
    if listeners.len() > LISTENER_PLACES_MAX {
        return Err(format!("more than {LISTENER_PLACES_MAX} listeners have come and gone: that takes a restart"));
    }
    Ok(listeners)
}
