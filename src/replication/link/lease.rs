//! Which proxy of a site may change links (pure).
//!
//! The lease is a lock on the writer, held by the very connection that changes links there, and freed with it. Locks are
//! local to a node, so two proxies that see different writers can hold one each: then the lower member UUID wins, which
//! all proxies compare alike. A proxy that can't reach a member of the cluster can't know, and takes none.
//!
//! Whoever has it holds a lock of his own name beside it. A proxy that has given up a connection, to a node that was frozen, finds it
//! there afterwards: it must not take that for another proxy, and ends it.
//!
//! The same connection shows by further locks which links operators have stopped: the other proxies note it, and go on with that.

use sha1::{Digest, Sha1};

use super::plan::{Node, Site};
use super::start::silent_members;
use super::status::LeaseMark;
use crate::cluster::view::NodeId;

/// The name of the lock.
pub const LOCK: &str = "oarlock.links";

/// The lock by which a process shows that it is the holder of the lease: of random bytes, so that no other has its name.
pub fn signature(bytes: [u8; HASH_BYTES]) -> String {
    named("oarlock.proxy.", &bytes)
}

/// The lock by which the holder of the lease shows that this link should run, or that an operator has stopped it. There is one for
/// either: where neither is held, the connection is just ending. Names of locks have at most [`LOCK_NAME_MAX`] characters, those of
/// links may have as many by themselves, so it carries the link's hash.
pub fn mark(link: &str, is_wanted: bool) -> String {
    let hash = Sha1::digest(link.as_bytes());
    let start = if is_wanted { "oarlock.wanted." } else { "oarlock.stopped." };
    named(start, &hash[..HASH_BYTES])
}

fn named(start: &str, bytes: &[u8]) -> String {
    bytes.iter().fold(start.to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

/// The server's limit for the name of a lock.
const LOCK_NAME_MAX: usize = 64;
/// So much of a hash is enough to tell a few links apart.
pub const HASH_BYTES: usize = 16;
const _: () = assert!("oarlock.stopped.".len() + 2 * HASH_BYTES <= LOCK_NAME_MAX);

/// Who holds the lock on a node, by the ids of connections there: `own` asks, and `signed` holds this proxy's signature. The address is
/// that of the holder, unless he has ended since.
pub fn holder(own: u64, signed: Option<u64>, holder: u64, address: Option<&str>) -> LeaseMark {
    match address {
        _ if holder == own => LeaseMark::Own,
        _ if signed == Some(holder) => LeaseMark::Left(holder),
        Some(address) => LeaseMark::Other(address.into()),
        None => LeaseMark::Free,
    }
}

/// Who may change links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// This proxy.
    Held,
    /// Nobody yet: this proxy may take it, on the writer.
    Free,
    /// Another proxy, which holds it on its writer.
    Other {
        /// The writer it sees.
        node: NodeId,
        /// Its address as that node sees it.
        holder: Box<str>,
    },
    /// This node does not answer, and may hold it for another proxy, which can reach it.
    Unknown(Box<str>),
    /// No writer answers.
    Nowhere,
}

/// Who has the lease. A lock on a node that the writer's component has expelled means nothing. One on any other counts, also where
/// this proxy would not use that node now.
pub fn lease(site: Site<'_>) -> Lease {
    let marks = (0..).map(NodeId).zip(site.nodes).filter_map(|(id, node)| Some((id, node, node.current()?)));
    let own = site.writer.and_then(|writer| {
        let node = &site.nodes[usize::from(writer.0)];
        Some((node, node.current()?))
    });
    let members = own.map_or(&[][..], |(_, status)| &status.members);
    let others = marks.filter_map(|(id, node, status)| match &status.lease {
        LeaseMark::Other(holder) => Some((member(node), id, holder.clone())),
        _ => None,
    });
    let counted = others.filter(|(member, ..)| members.is_empty() || members.contains(member));
    let other = counted.min().map(|(member, node, holder)| (member, Lease::Other { node, holder }));
    match (own, other) {
        (Some((node, status)), Some((member_of_other, lease))) if status.lease == LeaseMark::Own => {
            if member(node) < member_of_other { Lease::Held } else { lease }
        }
        (_, Some((_, lease))) => lease,
        (Some((_, status)), None) if status.lease == LeaseMark::Own => Lease::Held,
        (Some((_, status)), None) => match silent_members(site, status).next() {
            Some(node) => Lease::Unknown(node.name.clone()),
            None => Lease::Free,
        },
        (None, None) => Lease::Nowhere,
    }
}

fn member(node: &Node) -> Box<str> {
    node.status.as_ref().and_then(|status| status.facts.member.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::position::tests::facts;
    use super::super::status::{NodeStatus, Trouble};
    use super::*;

    /// A node of a member UUID, with or without an answer: `-` nobody holds it, `+` own, `~` own that was left, otherwise another's.
    fn node(member: &str, mark: &str, answers: bool) -> Node {
        let mut facts = facts("", "");
        facts.member = Some(member.into());
        let lease = match mark {
            "-" => LeaseMark::Free,
            "+" => LeaseMark::Own,
            "~" => LeaseMark::Left(30),
            holder => LeaseMark::Other(holder.into()),
        };
        let members = ["71".into(), "72".into()].into();
        let status = NodeStatus { facts, members, channels: [].into(), lease, wanted: [].into() };
        let trouble = (!answers).then(|| Trouble::Lost("no answer".into()));
        Node { name: member.into(), status: Some(status), trouble, may_remove: true }
    }

    #[test]
    fn marks_of_links_differ() {
        assert_eq!(mark("dr", false), "oarlock.stopped.05c77e49f6a349a5f2d72739ecf59dfa");
        assert_eq!(mark("dr", true), "oarlock.wanted.05c77e49f6a349a5f2d72739ecf59dfa");
        assert_ne!(mark(&"a".repeat(64), true), mark(&"a".repeat(63), true));
    }

    #[test]
    fn a_connection_that_was_left_is_no_other_proxy() {
        let other = LeaseMark::Other("b".into());
        for (own, signed, id, address, expected) in [
            (31, Some(31), 31, Some("a"), LeaseMark::Own),
            (31, Some(30), 30, Some("a"), LeaseMark::Left(30)),
            (31, Some(30), 30, None, LeaseMark::Left(30)),
            (31, None, 30, Some("b"), other.clone()),
            // It has left one, and another proxy holds the lease since.
            (31, Some(29), 30, Some("b"), other),
            (31, None, 30, None, LeaseMark::Free),
        ] {
            assert_eq!(holder(own, signed, id, address), expected, "{own} {signed:?} {id} {address:?}");
        }
    }

    #[test]
    fn names_are_of_bytes() {
        let bytes = [0xa5; HASH_BYTES];
        assert_eq!(signature(bytes), "oarlock.proxy.a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5");
    }

    #[test]
    fn one_proxy_has_it() {
        let other = |node: u16| Lease::Other { node: NodeId(node), holder: "b".into() };
        for (first, second, writer, expected) in [
            (node("71", "-", true), node("72", "-", true), Some(0), Lease::Free),
            (node("71", "+", true), node("72", "-", true), Some(0), Lease::Held),
            (node("71", "b", true), node("72", "-", true), Some(0), other(0)),
            // Still held on the old writer: that is another one's to take.
            (node("71", "+", true), node("72", "-", true), Some(1), Lease::Free),
            // What was left counts nowhere: it is ended, and then the lease is free.
            (node("71", "~", true), node("72", "-", true), Some(0), Lease::Free),
            (node("71", "+", true), node("70", "~", true), Some(0), Lease::Held),
            (node("71", "~", true), node("72", "b", true), Some(0), other(1)),
            // The other sees another writer.
            (node("71", "-", true), node("72", "b", true), Some(0), other(1)),
            (node("71", "+", true), node("72", "b", true), Some(0), Lease::Held),
            (node("72", "+", true), node("71", "b", true), Some(0), other(1)),
            // A frozen node may still show a lock, and one that was expelled and does not know it yet too.
            (node("71", "-", true), node("70", "b", false), Some(0), Lease::Free),
            (node("71", "+", false), node("72", "-", true), Some(0), Lease::Nowhere),
            (node("71", "-", true), node("72", "-", true), None, Lease::Nowhere),
            // It can't be asked, and is a member: another proxy may reach it.
            (node("71", "-", true), node("72", "-", false), Some(0), Lease::Unknown("72".into())),
            (node("71", "+", true), node("72", "b", false), Some(0), Lease::Held),
        ] {
            let nodes = [first, second];
            let site = Site { nodes: &nodes, writer: writer.map(NodeId) };
            assert_eq!(lease(site), expected, "{nodes:?} {writer:?}");
        }
        let nodes = [node("71", "-", true), node("70", "b", true)];
        let site = Site { nodes: &nodes, writer: Some(NodeId(0)) };
        assert_eq!(lease(site), Lease::Free);
    }
}
