//! What a plan says, as SQL (pure).
//!
//! The position is set only between a STOP of everything that runs on the node and a START: the server refuses it
//! otherwise (1198). Statements are written for an `sql_mode` without NO_BACKSLASH_ESCAPES.

use super::plan::Action;
use super::start::Start;
use super::status::SourceTls;
use crate::config::model::Link;

/// The statements of an action, in order.
pub fn statements(action: &Action, link: &Link) -> Vec<String> {
    let name = &link.name;
    match action {
        Action::Stop(_) => vec![format!("STOP SLAVE '{name}'")],
        Action::Remove(_) => vec![format!("RESET SLAVE '{name}' ALL")],
        Action::Start(start) => start_statements(start, link),
    }
}

/// What lets other connections go on if a statement of the action has failed.
pub fn resume(action: &Action) -> Vec<String> {
    match action {
        Action::Start(start) => start.pause.iter().map(|name| format!("START SLAVE {}", quote(name))).collect(),
        Action::Stop(_) | Action::Remove(_) => vec![],
    }
}

fn start_statements(start: &Start, link: &Link) -> Vec<String> {
    let name = &link.name;
    let others = || start.pause.iter().map(|other| quote(other));
    let own = start.exists.then(|| quote(name));
    let mut all: Vec<String> = own.into_iter().chain(others()).map(|name| format!("STOP SLAVE {name}")).collect();
    if let Some(position) = &start.position {
        all.push(format!("SET GLOBAL gtid_slave_pos = '{position}'"));
    }
    all.push(format!(
        "CHANGE MASTER '{name}' TO MASTER_HOST = {}, MASTER_PORT = {}, MASTER_USER = {}, MASTER_PASSWORD = {}, \
        MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = {}, MASTER_HEARTBEAT_PERIOD = {:.3}, {}",
        quote(&start.address.host),
        start.address.port,
        quote(&link.user),
        quote(link.password.reveal()),
        link.retry.as_secs(),
        link.heartbeat.as_secs_f64(),
        tls(link),
    ));
    all.extend(std::iter::once(quote(name)).chain(others()).map(|name| format!("START SLAVE {name}")));
    all
}

/// All of it is said, whatever a connection of this name has, or a server takes for its default.
fn tls(link: &Link) -> String {
    let Some(tls) = link.tls.as_ref().map(|tls| SourceTls::of(&tls.on_nodes)) else {
        return "MASTER_SSL = 0".to_owned();
    };
    format!(
        "MASTER_SSL = 1, MASTER_SSL_VERIFY_SERVER_CERT = {}, MASTER_SSL_CA = {}, MASTER_SSL_CERT = {}, MASTER_SSL_KEY = {}",
        u8::from(tls.verifies),
        quote(&tls.ca),
        quote(&tls.certificate),
        quote(&tls.key),
    )
}

/// A string literal.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::view::NodeId;
    use crate::config::model::{ClientTls, LinkTls};
    use crate::config::secret::Secret;

    fn link() -> Link {
        Link {
            name: "dr".into(),
            remote: ["192.168.56.80:4007".parse().unwrap()].into(),
            user: "repl_user".into(),
            password: Secret::new("it's a \\ secret".to_owned()),
            heartbeat: Duration::from_millis(2500),
            retry: Duration::from_secs(1),
            admin: None,
            admin_ca: None,
            tls: None,
        }
    }

    const CHANGE: &str = "CHANGE MASTER 'dr' TO MASTER_HOST = '192.168.56.80', MASTER_PORT = 4007, \
        MASTER_USER = 'repl_user', MASTER_PASSWORD = 'it\\'s a \\\\ secret', MASTER_USE_GTID = slave_pos, \
        MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 2.500, MASTER_SSL = 0";

    #[test]
    fn a_position_is_set_while_nothing_runs() {
        let start = Start {
            node: NodeId(0),
            address: link().remote[0].clone(),
            position: Some("70-7000-100,81-8000-10".parse().unwrap()),
            exists: true,
            pause: ["other".into(), "".into()].into(),
        };
        let expected = [
            "STOP SLAVE 'dr'",
            "STOP SLAVE 'other'",
            "STOP SLAVE ''",
            "SET GLOBAL gtid_slave_pos = '70-7000-100,81-8000-10'",
            CHANGE,
            "START SLAVE 'dr'",
            "START SLAVE 'other'",
            "START SLAVE ''",
        ];
        let start = Action::Start(start);
        assert_eq!(statements(&start, &link()), expected);
        assert_eq!(resume(&start), ["START SLAVE 'other'", "START SLAVE ''"]);
    }

    #[test]
    fn tls_is_as_nodes_have_its_files() {
        let tls = |own: &str, ca: Option<&str>, shown: Option<(&str, &str)>| {
            let of = |ca: Option<&str>, shown: Option<(&str, &str)>| ClientTls {
                ca: ca.map(Into::into),
                shown: shown.map(|(certificate, key)| (certificate.into(), key.into())),
            };
            let tls = Some(LinkTls { own: of(Some(own), None), on_nodes: of(ca, shown) });
            super::tls(&Link { tls, ..link() })
        };
        assert_eq!(
            tls("/proxy/ca", Some("/node/ca's"), Some(("/node/cert", "/node/key"))),
            "MASTER_SSL = 1, MASTER_SSL_VERIFY_SERVER_CERT = 1, MASTER_SSL_CA = '/node/ca\\'s', \
            MASTER_SSL_CERT = '/node/cert', MASTER_SSL_KEY = '/node/key'"
        );
        assert_eq!(
            tls("/proxy/ca", None, None),
            "MASTER_SSL = 1, MASTER_SSL_VERIFY_SERVER_CERT = 0, MASTER_SSL_CA = '', MASTER_SSL_CERT = '', MASTER_SSL_KEY = ''"
        );
    }

    #[test]
    fn nothing_is_stopped_without_need() {
        let address = link().remote[0].clone();
        let start = Start { node: NodeId(0), address, position: None, exists: false, pause: [].into() };
        assert_eq!(statements(&Action::Start(start), &link()), [CHANGE, "START SLAVE 'dr'"]);
        assert_eq!(statements(&Action::Stop(NodeId(1)), &link()), ["STOP SLAVE 'dr'"]);
        assert_eq!(statements(&Action::Remove(NodeId(1)), &link()), ["RESET SLAVE 'dr' ALL"]);
    }
}
