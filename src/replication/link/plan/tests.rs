//! The plan as a table: what is known of the nodes and the remote in, what the link is doing and the next action out.

use super::super::position::tests::facts;
use super::super::start::start_from;
use super::super::status::{LeaseMark, ServerError, Source};
use super::*;

const NAMES: [&str; 3] = ["galera-71", "galera-72", "galera-73"];

/// What a test changes of a healthy site of three, whose writer is galera-71, before the link's first start.
struct World {
    nodes: Vec<Node>,
    writer: Option<NodeId>,
    remote: Remote,
    wish: Wish,
    has_run: bool,
}

impl World {
    fn new() -> Self {
        let address: Address = "192.168.56.80:4007".parse().unwrap();
        let position = "81-8000-12".parse().unwrap();
        Self {
            nodes: NAMES.iter().enumerate().map(|(place, name)| node(name, 71 + place as u32)).collect(),
            writer: Some(NodeId(0)),
            remote: Ok(RemoteStatus { address, server_id: 8000, domain: 81, position, instead_of: None, behind: 0 }),
            wish: Wish::Run,
            has_run: true,
        }
    }

    fn status(&mut self, place: usize) -> &mut NodeStatus {
        self.nodes[place].status.as_mut().unwrap()
    }

    /// The positions of all nodes: slave and binlog.
    fn at(mut self, slave: &str, binlog: &str) -> Self {
        for place in 0..3 {
            self.status(place).facts.slave_position = slave.parse().unwrap();
            self.status(place).facts.binlog_position = binlog.parse().unwrap();
        }
        self
    }

    fn channel(mut self, place: usize, channel: Channel) -> Self {
        self.status(place).channels = [channel].into();
        self
    }

    fn writer(mut self, place: u16) -> Self {
        self.writer = Some(NodeId(place));
        self
    }

    fn silent(mut self, place: usize) -> Self {
        self.nodes[place].trouble = Some(Trouble::Lost("no answer".into()));
        self
    }

    fn members(mut self, members: &[&str]) -> Self {
        for status in self.nodes.iter_mut().filter_map(|node| node.status.as_mut()) {
            status.members = members.iter().map(|member| Box::from(*member)).collect();
        }
        self
    }

    fn remote_at(mut self, position: &str, behind: u32) -> Self {
        let remote = self.remote.as_mut().unwrap();
        (remote.position, remote.behind) = (position.parse().unwrap(), behind);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn link<'a>(&self, remote: &'a [Address]) -> Link<'a> {
        Link {
            name: "dr",
            remote,
            user: "repl_user",
            tls: None,
            wish: self.wish,
            is_renewed: false,
            has_run: self.has_run,
        }
    }

    fn plan(&self) -> Plan {
        let remote = ["192.168.56.80:4007".parse().unwrap(), "192.168.56.90:4007".parse().unwrap()];
        plan(self.link(&remote), Site { nodes: &self.nodes, writer: self.writer }, &self.remote)
    }

    /// The plan in short: `Starting start@0`, and what the position is set to.
    #[track_caller]
    fn expect(&self, short: &str) -> Plan {
        let plan = self.plan();
        let action = match &plan.action {
            None => String::new(),
            Some(Action::Stop(node)) => format!(" stop@{}", node.0),
            Some(Action::Remove(node)) => format!(" remove@{}", node.0),
            Some(Action::Start(start)) => {
                let set = start.position.as_ref().map(|position| format!(" at {position}")).unwrap_or_default();
                format!(" start@{}{set}", start.node.0)
            }
        };
        assert_eq!(format!("{}{action}", plan.state.word()), short, "{plan:?}");
        plan
    }
}

fn node(name: &str, number: u32) -> Node {
    let mut facts = facts("81-8000-12", "70-7000-9,81-8000-12");
    (facts.local_domain, facts.member) = (Some(number), Some(number.to_string().into()));
    let members = ["71".into(), "72".into(), "73".into()].into();
    let status = NodeStatus { facts, members, channels: [].into(), lease: LeaseMark::Free, wanted: [].into() };
    Node { name: name.into(), status: Some(status), trouble: None, may_remove: true }
}

fn running() -> Channel {
    Channel {
        name: "dr".into(),
        source: Source {
            host: "192.168.56.80".into(),
            port: 4007,
            user: "repl_user".into(),
            by_slave_position: true,
            tls: None,
        },
        receiver: Receiver::Connected,
        applies: true,
        lag_seconds: Some(0),
        receive_error: None,
        apply_error: None,
        relay: ("relay-bin-dr.000002".into(), 4),
    }
}

fn stopped() -> Channel {
    Channel { receiver: Receiver::Stopped, applies: false, lag_seconds: None, ..running() }
}

fn error(code: u16) -> Option<ServerError> {
    Some(ServerError { code, text: "it went wrong".into() })
}

#[test]
fn the_writer_runs_it() {
    World::new().expect("Starting start@0 at 70-7000-9,81-8000-12");
    World::new().writer(2).expect("Starting start@2 at 70-7000-9,81-8000-12");
    World::new().channel(0, running()).expect("Running");
    World::new().channel(0, stopped()).expect("Starting start@0 at 70-7000-9,81-8000-12");
    World::new().channel(0, Channel { name: "DR".into(), ..running() }).expect("Running");
    World::new().with(|world| world.writer = None).channel(0, running()).expect("Waiting");
    World::new().silent(0).expect("Waiting");
}

#[test]
fn the_position_is_the_higher_number_of_each_domain_and_set_only_forward() {
    for (slave, binlog, expected) in [
        ("81-8000-9", "70-7000-5,81-8000-10", "Starting start@0 at 70-7000-5,81-8000-10"),
        ("70-7000-5,81-8000-10", "70-7000-5,81-8000-9", "Starting start@0"),
        ("70-7000-99,81-8000-10", "70-7000-100,81-8000-9", "Starting start@0 at 70-7000-100,81-8000-10"),
        ("70-7000-100,81-8000-10", "70-7000-99,81-8000-9", "Starting start@0"),
        ("70-7000-5,81-8000-10", "70-7000-5,71-7000-2,72-7000-1,81-8000-9", "Starting start@0"),
        ("81-8000-10", "70-7000-5,71-7000-2,73-7000-1", "Starting start@0 at 70-7000-5,81-8000-10"),
        ("", "", "Starting start@0"),
    ] {
        World::new().at(slave, binlog).expect(expected);
    }
    // The domain of a node is known from when it last answered.
    World::new().at("81-8000-10", "73-7000-1").silent(2).members(&["71", "72"]).expect("Starting start@0");
}

#[test]
fn it_moves_with_the_writer() {
    // Reachable: stop, confirm, start, remove.
    World::new().writer(1).channel(0, running()).expect("Moving stop@0");
    World::new().writer(1).channel(0, stopped()).expect("Starting start@1 at 70-7000-9,81-8000-12");
    World::new().writer(1).channel(0, stopped()).channel(1, running()).expect("Running remove@0");
    World::new().writer(1).channel(0, running()).channel(1, running()).expect("Moving stop@0");
    // What may not be removed stays, stopped.
    let stays = |world: &mut World| world.nodes[0].may_remove = false;
    World::new().writer(1).channel(0, stopped()).channel(1, running()).with(stays).expect("Running");
    // A receiver that still tries to connect runs, too.
    let tries = Channel { receiver: Receiver::Connecting, applies: false, ..running() };
    World::new().writer(1).channel(0, tries).expect("Moving stop@0");
}

#[test]
fn a_node_that_may_be_running_it_is_waited_for() {
    let frozen = || World::new().writer(1).channel(0, running()).silent(0);
    let plan = frozen().expect("Blocked");
    assert_eq!(
        (&*plan.reason, &*plan.remedy),
        (
            "galera-71 does not answer, is still a member of the cluster, and may be running it",
            "make galera-71 answer, or end its server: then it goes on by itself"
        )
    );
    // Out of the view it can't commit.
    frozen().members(&["72", "73"]).expect("Starting start@1 at 70-7000-9,81-8000-12");
    // It had no running link when it last answered.
    World::new().writer(1).channel(0, stopped()).silent(0).expect("Starting start@1 at 70-7000-9,81-8000-12");
    // Nothing is known of it: as long as the view has a member nobody knows, that may be the one.
    let unknown = |world: &mut World| world.nodes[0].status = None;
    World::new().writer(1).silent(0).with(unknown).expect("Blocked");
    World::new()
        .writer(1)
        .silent(0)
        .with(unknown)
        .members(&["72", "73"])
        .expect("Starting start@1 at 70-7000-9,81-8000-12");
    // It answers from outside the primary component, where nothing can be changed.
    let left = |world: &mut World| {
        let facts = &mut world.status(0).facts;
        (facts.member, facts.is_outside) = (None, true);
    };
    let outside = || World::new().writer(1).channel(0, running()).with(left).members(&["72", "73"]);
    outside().expect("Starting start@1 at 70-7000-9,81-8000-12");
    outside().channel(1, running()).expect("Running");
}

#[test]
fn a_node_that_runs_it_beside_the_writer_is_held_back() {
    let remote = ["192.168.56.80:4007".parse().unwrap()];
    let hold = |world: &World, node: u16, returns: bool| {
        hold(world.link(&remote), Site { nodes: &world.nodes, writer: world.writer }, NodeId(node), returns).is_some()
    };
    let held = |world: &World, node: u16| hold(world, node, false);
    let world = World::new().writer(1).channel(0, running()).channel(1, running());
    assert_eq!([held(&world, 0), held(&world, 1), held(&world, 2)], [true, false, false]);
    let left = World::new().writer(1).channel(0, stopped());
    assert_eq!((hold(&left, 0, false), hold(&left, 0, true)), (false, true));
    let stays = |world: &mut World| world.nodes[0].may_remove = false;
    assert!(!hold(&left.with(stays), 0, true), "for ever");
    assert!(!held(&World::new().channel(0, running()).with(|world| world.writer = None), 0), "it may be the writer");
}

#[test]
fn an_operator_stops_it() {
    let stop = |world: &mut World| world.wish = Wish::Stop;
    World::new().channel(0, running()).with(stop).expect("Stopped stop@0");
    World::new().channel(2, running()).with(stop).expect("Stopped stop@2");
    let plan = World::new().channel(0, stopped()).with(stop).expect("Stopped");
    assert_eq!(&*plan.remedy, "oarlock link start dr");
    World::new().channel(1, stopped()).with(stop).expect("Stopped remove@1");
}

#[test]
fn errors_are_shown_and_tried_again() {
    let start = "start@0 at 70-7000-9,81-8000-12";
    let failed = Channel { applies: false, apply_error: error(1062), ..running() };
    let plan = World::new().channel(0, failed.clone()).expect(&format!("Broken {start}"));
    assert_eq!(&*plan.reason, "error 1062: it went wrong");
    assert!(plan.remedy.contains("oarlock link skip dr"), "{}", plan.remedy);
    let Some(Action::Start(again)) = plan.action else { panic!("no start") };
    assert!(again.exists, "what runs must be stopped before");
    // Without the remote's word it can't be started again.
    let gone = |world: &mut World| world.remote = Err("connection refused".into());
    World::new().channel(0, failed).with(gone).expect("Broken");

    let lost = Channel { receiver: Receiver::Stopped, receive_error: error(1236), ..running() };
    let plan = World::new().channel(0, lost.clone()).expect(&format!("Blocked {start}"));
    assert!(plan.remedy.contains("oarlock link bootstrap dr --from-position P"), "{}", plan.remedy);
    let rebuilt = World::new().channel(0, lost).remote_at("81-8000-1", 3).expect("Blocked");
    assert!(rebuilt.reason.contains("it was rebuilt or restored"), "{}", rebuilt.reason);
    let other = Channel { receiver: Receiver::Stopped, receive_error: error(1595), ..running() };
    World::new().channel(0, other).expect(&format!("Broken {start}"));

    let denied = Channel { receiver: Receiver::Connecting, receive_error: error(1045), ..running() };
    World::new().channel(0, denied.clone()).expect(&format!("Connecting {start}"));
    World::new().channel(0, denied).with(gone).expect("Connecting");
    World::new().channel(0, Channel { receiver: Receiver::Connecting, ..running() }).expect("Connecting");
}

#[test]
fn a_silent_source_is_left_for_an_address_that_answers() {
    let instead_of = |address: &str| {
        let address = address.parse().unwrap();
        move |world: &mut World| world.remote.as_mut().unwrap().instead_of = Some(address)
    };
    let mut second = running();
    second.source.host = "192.168.56.90".into();
    let world = World::new().channel(0, second.clone()).with(instead_of("192.168.56.90:4007"));
    world.expect("Connecting start@0 at 70-7000-9,81-8000-12");
    World::new().channel(0, running()).with(instead_of("192.168.56.90:4007")).expect("Running");
}

#[test]
fn what_somebody_changed_by_hand_is_set_right() {
    let source = running().source;
    for (source, what) in [
        (Source { host: "10.0.0.1".into(), ..source.clone() }, "it replicates from 10.0.0.1:4007"),
        (Source { port: 3306, ..source.clone() }, "it replicates from 192.168.56.80:3306"),
        (Source { user: "root".into(), ..source.clone() }, "its user is 'root'"),
        (Source { by_slave_position: false, ..source.clone() }, "it does not go by MASTER_USE_GTID=slave_pos"),
        (Source { tls: Some(SourceTls::of(&ca("/ca"))), ..source.clone() }, "it speaks TLS"),
    ] {
        let world = World::new().channel(0, Channel { source, ..running() });
        let plan = world.expect("Starting start@0 at 70-7000-9,81-8000-12");
        assert_eq!(*plan.reason, format!("it is not as configured: {what}"));
    }
    let second = Source { host: "192.168.56.90".into(), ..source };
    World::new().channel(0, Channel { source: second, ..running() }).expect("Running");
    for half in [Channel { applies: false, ..running() }, Channel { receiver: Receiver::Stopped, ..running() }] {
        World::new().channel(0, half).expect("Starting start@0 at 70-7000-9,81-8000-12");
    }
}

#[test]
fn what_a_server_does_not_show_takes_a_start() {
    let remote = ["192.168.56.80:4007".parse().unwrap()];
    let world = World::new().channel(0, running());
    let link = Link { is_renewed: true, ..world.link(&remote) };
    let plan = plan(link, Site { nodes: &world.nodes, writer: world.writer }, &world.remote);
    assert!(matches!(plan.action, Some(Action::Start(_))) && plan.reason.contains("older"), "{plan:?}");
}

#[test]
fn another_remote_waits_for_a_person() {
    // It is another site, of which this one has nothing, and has written something.
    let another = |world: &mut World| {
        world.has_run = false;
        world.remote.as_mut().unwrap().domain = 90;
        world.remote.as_mut().unwrap().position = "90-9000-3".parse().unwrap();
    };
    let source = Source { host: "10.0.0.1".into(), ..running().source };
    let world = World::new().channel(0, Channel { source, ..running() }).with(another);
    assert!(world.expect("Blocked stop@0").remedy.contains("--from-position 90-9000-3"));
}

#[test]
fn what_is_gone_from_the_configuration_leaves_all_nodes() {
    let leaves = |world: &mut World| world.wish = Wish::Leave;
    let world = || World::new().with(leaves);
    world().channel(0, running()).channel(1, stopped()).expect("Leaving stop@0");
    world().channel(0, stopped()).expect("Leaving remove@0");
    world().channel(1, stopped()).expect("Leaving remove@1");
    let plan = world().channel(1, stopped()).with(|world| world.nodes[1].may_remove = false).expect("Leaving");
    assert!(plan.reason.contains("stopped on galera-72") && plan.remedy.contains("RELOAD"), "{plan:?}");
    world().expect("Leaving");
    assert!(world().silent(2).expect("Leaving").reason.contains("whether galera-73 has it is not known"));
}

/// TLS with a remote for which this file vouches.
fn ca(file: &str) -> ClientTls {
    ClientTls { ca: Some(file.into()), shown: None }
}

#[test]
fn tls_is_as_configured() {
    let (remote, tls) = (["192.168.56.80:4007".parse().unwrap()], ca("/ca"));
    for (found, why) in [
        (Some(SourceTls::of(&tls)), None),
        (None, Some("it speaks no TLS")),
        (Some(SourceTls::of(&ca("/other"))), Some("its TLS is another")),
        (Some(SourceTls { verifies: false, ..SourceTls::of(&tls) }), Some("its TLS is another")),
    ] {
        let source = Source { tls: found, ..running().source };
        let world = World::new().channel(0, Channel { source, ..running() });
        let link = Link { tls: Some(&tls), ..world.link(&remote) };
        let plan = plan(link, Site { nodes: &world.nodes, writer: world.writer }, &world.remote);
        let said = why.map_or_else(String::new, |why| format!("it is not as configured: {why}"));
        assert_eq!(*plan.reason, said);
        assert_eq!(plan.action.is_some(), why.is_some(), "{plan:?}");
    }
    // Whoever replicates from there by another name does so with TLS, too.
    let source = Source { tls: Some(SourceTls::of(&tls)), ..running().source };
    World::new().channel(1, Channel { name: "by hand".into(), source, ..running() }).expect("Blocked");
}

#[test]
fn a_remote_with_lower_numbers_is_not_followed() {
    // It may only be late: its nodes apply at their own pace.
    World::new().remote_at("81-8000-11", 2).expect("Waiting");
    let plan = World::new().remote_at("81-8000-9", 3).expect("Blocked");
    assert!(plan.reason.contains("up to 81-8000-12, and the remote has 81-8000-9"), "{}", plan.reason);
    World::new().remote_at("", 3).expect("Blocked");
    World::new().remote_at("81-8000-100", 3).at("81-8000-99", "").expect("Starting start@0");
    // Its own domain counts. It may well lag behind us in ours.
    World::new().remote_at("70-7000-1,81-8000-12", 0).expect("Starting start@0 at 70-7000-9,81-8000-12");
    // Also while the link runs.
    World::new().channel(0, running()).remote_at("81-8000-9", 2).expect("Running");
    World::new().channel(0, running()).remote_at("81-8000-9", 3).expect("Blocked stop@0");
    World::new().channel(0, stopped()).remote_at("81-8000-9", 3).expect("Blocked");
    // An operator has set it back: then the position of the running link is the one that counts.
    let back = World::new().at("81-8000-9", "81-8000-12").remote_at("81-8000-10", 3);
    back.channel(0, running()).expect("Running");
}

#[test]
fn the_first_start() {
    let fresh = || World::new().at("", "70-7000-9").with(|world| world.has_run = false);
    // Nothing written there: nothing to disagree about.
    fresh().remote_at("", 0).expect("Starting start@0 at 70-7000-9");
    fresh().remote_at("70-7000-3", 0).expect("Starting start@0 at 70-7000-9");
    let plan = fresh().expect("Blocked");
    assert!(plan.remedy.contains("oarlock link bootstrap dr --from-position 81-8000-12`"), "{}", plan.remedy);
    // It ran before the remote wrote anything.
    World::new().at("", "70-7000-9").expect("Starting start@0 at 70-7000-9");
    // As in the guide: somebody has set the position.
    fresh().at("81-8000-3", "70-7000-9").expect("Starting start@0 at 70-7000-9,81-8000-3");
}

#[test]
fn what_would_lose_data_is_blocked() {
    let duplicates = World::new().with(|world| world.status(0).facts.ignores_duplicates = false);
    assert!(duplicates.expect("Blocked").remedy.starts_with("SET GLOBAL gtid_ignore_duplicates = ON on galera-71"));
    World::new().with(|world| world.status(0).facts.shares_gtids = false).expect("Blocked");
    World::new().with(|world| world.status(0).facts.server_id = 8000).expect("Blocked");
    World::new().with(|world| world.remote.as_mut().unwrap().domain = 70).expect("Blocked");
    World::new().with(|world| world.remote = Err("no route".into())).expect("Waiting");
    let by_hand = Channel { name: "".into(), ..running() };
    let plan = World::new().channel(1, by_hand).expect("Blocked");
    assert_eq!(&*plan.remedy, "on galera-72: STOP SLAVE ''; RESET SLAVE '' ALL");
}

#[test]
fn other_links_pause_only_while_a_position_is_set() {
    let mut other = running();
    (other.name, other.source.host) = ("third".into(), "10.0.0.1".into());
    let pause = |world: World| match world.plan().action {
        Some(Action::Start(start)) => start.pause.len(),
        action => panic!("{action:?}"),
    };
    assert_eq!(pause(World::new().channel(0, other.clone())), 1);
    assert_eq!(pause(World::new().channel(0, other).at("70-7000-9,81-8000-12", "70-7000-9")), 0);
}

#[test]
fn an_operator_says_from_where() {
    let remote = ["192.168.56.80:4007".parse().unwrap()];
    let start = |world: &World, from: &str| {
        let site = Site { nodes: &world.nodes, writer: world.writer };
        start_from(world.link(&remote), site, &world.remote, &from.parse().unwrap())
    };
    for (from, expected) in [
        ("81-8000-5", "70-7000-9,81-8000-5"),
        ("", "70-7000-9"),
        ("70-7000-8,81-8000-12", "70-7000-9,81-8000-12"),
        ("70-7000-10,81-8000-1", "70-7000-10,81-8000-1"),
    ] {
        let start = start(&World::new().at("81-8000-12", "70-7000-9,71-7000-4,81-8000-12"), from).unwrap();
        assert_eq!(start.position.unwrap().to_string(), expected, "{from}");
    }
    let why = start(&World::new(), "81-8000-13").unwrap_err();
    assert_eq!(&*why, "the remote has not written 81-8000-13; it is at 81-8000-12");
    assert!(start(&World::new().with(|world| world.status(0).facts.ignores_duplicates = false), "").is_err());
    assert!(start(&World::new().channel(1, running()).silent(1), "").is_err(), "it may run elsewhere");
    assert!(start(&World::new().channel(1, running()), "").is_err(), "it runs elsewhere");
    assert!(start(&World::new().silent(0), "").is_err());
    assert!(start(&World::new().with(|world| world.remote = Err("x".into())), "").is_err());
}
