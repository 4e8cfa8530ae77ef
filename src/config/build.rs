//! From what an operator wrote to what the program uses: fills in the defaults, judges what depends on more than one value.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use toml::Spanned;

use super::duration::print_duration;
use super::error::ConfigError;
use super::file;
use super::model::*;
use super::secret::Secret;
use super::tls;

/// Fills in the defaults and judges what depends on more than one value.
pub(super) fn build(mut file: file::File) -> Result<Config, ConfigError> {
    check_links(&file.link)?;
    let (multiplex, connections_max) = (multiplex(&file)?, connections_max(&file)?);
    Ok(Config {
        nodes: nodes(&file)?,
        listeners: listeners(&file)?,
        links: std::mem::take(&mut file.link).into_iter().map(link).collect::<Result<_, _>>()?,
        accounts: accounts(std::mem::take(&mut file.account))?,
        site: site(file.site)?,
        cluster: cluster(&file.cluster)?,
        read_write_split: ReadWriteSplit {
            readers: file.read_write_split.readers.unwrap_or_default(),
            causal_reads: file.read_write_split.causal_reads.unwrap_or_default(),
            outcome: file.read_write_split.outcome.unwrap_or_default(),
            outcome_wait: or(file.read_write_split.outcome_wait, OUTCOME_WAIT),
            replay: file.read_write_split.replay.unwrap_or(true),
            replay_bytes_max: file.read_write_split.replay_bytes_max.map_or(REPLAY_BYTES_MAX, |count| count.0),
            writer_loss: file.read_write_split.writer_loss.unwrap_or_default(),
            writer_wait: or(file.read_write_split.writer_wait, WRITER_WAIT),
            multiplex,
        },
        replication: Replication {
            source_timeout: or(file.replication.source_timeout, SOURCE_TIMEOUT),
            source_wait: or(file.replication.source_wait, SOURCE_WAIT),
            group_bytes_max: file.replication.group_bytes_max.map_or(GROUP_BYTES_MAX, |count| count.0),
        },
        admin: admin(file.admin)?,
        limits: Limits {
            sessions_max: file.limits.sessions_max.map_or(SESSIONS_MAX, |count| count.0),
            prepared_max: file.limits.prepared_max.map_or(PREPARED_MAX, |count| count.0),
            connections_max,
            connection_wait: or(file.limits.connection_wait, CONNECTION_WAIT),
            idle_connections_max: file.limits.idle_connections_max.unwrap_or(IDLE_CONNECTIONS_MAX),
            idle_connection_timeout: or(file.limits.idle_connection_timeout, IDLE_CONNECTION_TIMEOUT),
            login_failures_max: file.limits.login_failures_max.unwrap_or(LOGIN_FAILURES_MAX),
            block_time: or(file.limits.block_time, BLOCK_TIME),
            handshake_timeout: or(file.limits.handshake_timeout, HANDSHAKE_TIMEOUT),
            stall_timeout: or(file.limits.stall_timeout, STALL_TIMEOUT),
            drain_timeout: or(file.limits.drain_timeout, DRAIN_TIMEOUT),
            upgrade_wait: or(file.limits.upgrade_wait, UPGRADE_WAIT),
        },
    })
}

fn or(given: Option<file::Interval>, default: Duration) -> Duration {
    given.map_or(default, |interval| interval.0)
}

fn multiplex(file: &file::File) -> Result<bool, ConfigError> {
    let Some(multiplex) = &file.read_write_split.multiplex else { return Ok(false) };
    if *multiplex.get_ref() && file.limits.connections_max.is_none() {
        let message = "multiplex shares out the connections of a node, and nothing says how many: set connections_max in [limits]";
        return Err(ConfigError::at_offset(multiplex.span().start, message));
    }
    Ok(*multiplex.get_ref())
}

fn connections_max(file: &file::File) -> Result<u32, ConfigError> {
    let sessions = file.limits.sessions_max.map_or(SESSIONS_MAX, |count| count.0);
    let Some(given) = &file.limits.connections_max else { return Ok(sessions) };
    let (count, threads) = (given.get_ref().0, file.site.threads.unwrap_or(Threads::Auto).count());
    if count < sessions && (count as usize) < threads {
        let message = format!("connections_max is less than the {threads} worker threads, each of which needs one");
        return Err(ConfigError::at_offset(given.span().start, message));
    }
    Ok(count)
}

fn site(site: file::Site) -> Result<Site, ConfigError> {
    if site.user.get_ref().is_empty() {
        return Err(ConfigError::at_offset(site.user.span().start, "the service user has no name"));
    }
    Ok(Site {
        name: name(&site.name)?,
        user: site.user.into_inner().into(),
        password: site.password.into_inner().0,
        threads: site.threads.unwrap_or(Threads::Auto),
        log: site.log.unwrap_or(LogLevel::Notice),
        state_dir: site.state_dir.unwrap_or_else(|| STATE_DIR.into()),
        key_file: site.key_file.unwrap_or_else(|| KEY_FILE.into()),
    })
}

fn cluster(cluster: &file::Cluster) -> Result<Cluster, ConfigError> {
    Ok(Cluster {
        kind: kind(cluster),
        probe_interval: probe_interval(cluster)?,
        connect_timeout: or(cluster.connect_timeout, NODE_TIMEOUT),
        read_timeout: or(cluster.read_timeout, NODE_TIMEOUT),
        write_timeout: or(cluster.write_timeout, NODE_TIMEOUT),
        failback: cluster.failback.unwrap_or(false),
        switch_wait: switch_wait(cluster)?,
        available_when_donor: cluster.available_when_donor.unwrap_or(false),
        tls: cluster.tls.as_ref().map(tls::of_cluster).transpose()?,
    })
}

fn probe_interval(cluster: &file::Cluster) -> Result<Duration, ConfigError> {
    let Some(given) = &cluster.probe_interval else { return Ok(PROBE_INTERVAL) };
    if given.get_ref().0 < PROBE_INTERVAL_MIN {
        let message = format!("probe_interval is less than \"{}\"", print_duration(PROBE_INTERVAL_MIN));
        return Err(ConfigError::at_offset(given.span().start, message));
    }
    Ok(given.get_ref().0)
}

fn switch_wait(cluster: &file::Cluster) -> Result<Duration, ConfigError> {
    let Some(given) = &cluster.switch_wait else { return Ok(SWITCH_WAIT) };
    if given.get_ref().0 > SWITCH_WAIT_MAX {
        let message = format!("switch_wait is more than \"{}\"", print_duration(SWITCH_WAIT_MAX));
        return Err(ConfigError::at_offset(given.span().start, message));
    }
    Ok(given.get_ref().0)
}

fn kind(cluster: &file::Cluster) -> Kind {
    cluster.kind.as_ref().map_or(Kind::Galera, |kind| *kind.get_ref())
}

fn nodes(file: &file::File) -> Result<Box<[Node]>, ConfigError> {
    let nodes = &file.node;
    if nodes.is_empty() {
        return Err(ConfigError::new("no node: name at least one in a [[node]] section"));
    }
    if nodes.len() > NODES_MAX {
        return Err(ConfigError::at_offset(nodes[NODES_MAX].name.span().start, format!("more than {NODES_MAX} nodes")));
    }
    if kind(&file.cluster) == Kind::Standalone && nodes.len() > 1 {
        return Err(ConfigError::at_offset(
            nodes[1].name.span().start,
            "a standalone site has one node; set kind = \"galera\" in [cluster] for a cluster",
        ));
    }
    if nodes.iter().all(|node| node.priority.is_some_and(|priority| priority < 0)) {
        let offset = nodes[0].name.span().start;
        return Err(ConfigError::at_offset(offset, "every node has a negative priority: none may be the writer"));
    }
    unique("node", "name", nodes.iter().map(|node| &node.name))?;
    unique("node", "address", nodes.iter().map(|node| &node.address))?;
    nodes
        .iter()
        .map(|node| {
            Ok(Node {
                name: name(&node.name)?,
                address: node.address.get_ref().clone(),
                priority: node.priority.unwrap_or(0),
                proxy_protocol: node.proxy_protocol.unwrap_or(false),
                leaves: false,
            })
        })
        .collect()
}

fn listeners(file: &file::File) -> Result<Box<[Listener]>, ConfigError> {
    let listeners = &file.listener;
    if listeners.is_empty() {
        return Err(ConfigError::new("no listener: name at least one in a [[listener]] section"));
    }
    if listeners.len() > LISTENERS_MAX {
        let offset = listeners[LISTENERS_MAX].name.span().start;
        return Err(ConfigError::at_offset(offset, format!("more than {LISTENERS_MAX} listeners")));
    }
    unique("listener", "name", listeners.iter().map(|listener| &listener.name))?;
    unique("listener", "address", listeners.iter().map(|listener| &listener.address))?;
    listeners
        .iter()
        .map(|listener| {
            Ok(Listener {
                name: name(&listener.name)?,
                address: *listener.address.get_ref(),
                service: listener.service,
                tls: listener.tls.as_ref().map(tls::of_listener),
                proxy_protocol: listener.proxy_protocol.iter().map(|network| network.0).collect(),
                leaves: false,
            })
        })
        .collect()
}

fn accounts(accounts: Vec<file::Account>) -> Result<Box<[Account]>, ConfigError> {
    let mut seen = HashSet::new();
    let account = |account: file::Account| {
        let wrong = |message: String| Err(ConfigError::at_offset(account.user.span().start, message));
        let password = account.password.into_inner().0;
        let (user, host) = (account.user.get_ref(), account.host.unwrap_or_else(|| ACCOUNT_HOST.to_owned()));
        if password.reveal().is_empty() {
            return wrong(format!("the password of '{user}'@'{host}' is empty: it need not be told"));
        }
        if !seen.insert((user.clone(), host.to_lowercase())) || seen.len() > ACCOUNTS_MAX {
            return wrong(format!("'{user}'@'{host}' is told twice, or one of more than {ACCOUNTS_MAX}"));
        }
        Ok(Account { user: user.as_str().into(), host: host.into(), password })
    };
    accounts.into_iter().map(account).collect()
}

fn check_links(links: &[file::Link]) -> Result<(), ConfigError> {
    if links.len() > LINKS_MAX {
        return Err(ConfigError::at_offset(links[LINKS_MAX].name.span().start, format!("more than {LINKS_MAX} links")));
    }
    // A server takes the names of replication connections without regard to case.
    let names: Vec<_> =
        links.iter().map(|link| Spanned::new(link.name.span(), link.name.get_ref().to_lowercase())).collect();
    unique("link", "name", names.iter())
}

fn link(link: file::Link) -> Result<Link, ConfigError> {
    let at = link.remote.span().start;
    let remote = link.remote.into_inner().0;
    if remote.is_empty() || remote.len() > REMOTES_MAX {
        return Err(ConfigError::at_offset(at, format!("a remote has 1 to {REMOTES_MAX} addresses")));
    }
    if link.user.get_ref().is_empty() {
        return Err(ConfigError::at_offset(link.user.span().start, "the replication user has no name"));
    }
    if let Some(ca) = link.admin_ca.as_ref().filter(|_| link.admin.is_none()) {
        return Err(ConfigError::at_offset(ca.span().start, "`admin_ca` vouches for `admin`, and there is no `admin`"));
    }
    Ok(Link {
        name: name(&link.name)?,
        remote: remote.into(),
        user: link.user.into_inner().into(),
        password: link.password.into_inner().0,
        heartbeat: link_time(link.heartbeat, LINK_HEARTBEAT, Duration::from_millis(1))?,
        retry: link_time(link.retry, LINK_RETRY, Duration::from_secs(1))?,
        admin: link.admin,
        admin_ca: link.admin_ca.map(Spanned::into_inner),
        tls: link.tls.as_ref().map(tls::of_link).transpose()?,
    })
}

/// Periods of a replication connection: a server takes neither longer ones nor other fractions.
fn link_time(
    given: Option<Spanned<file::Interval>>,
    default: Duration,
    unit: Duration,
) -> Result<Duration, ConfigError> {
    let Some(given) = given else { return Ok(default) };
    let time = given.get_ref().0;
    if time > LINK_TIME_MAX || !time.as_millis().is_multiple_of(unit.as_millis()) {
        let (unit, max) = (print_duration(unit), print_duration(LINK_TIME_MAX));
        return Err(ConfigError::at_offset(
            given.span().start,
            format!("not a multiple of \"{unit}\" up to \"{max}\""),
        ));
    }
    Ok(time)
}

/// Of a link's heartbeat and retry.
const LINK_TIME_MAX: Duration = Duration::from_secs(3600);

fn admin(admin: file::Admin) -> Result<Admin, ConfigError> {
    let console =
        admin.console.as_ref().map(|address| loopback("console", address, CONSOLE_ADDRESS, "")).transpose()?;
    let token = admin.token.map(token).transpose()?;
    let address = match &admin.address {
        None => ADMIN_ADDRESS,
        Some(address) if token.is_some() => *address.get_ref(),
        Some(address) => loopback("admin", address, ADMIN_ADDRESS, ", or set a `token`")?,
    };
    let tls = admin.tls.map(|tls| AdminTls { certificate: tls.certificate, key: tls.key });
    Ok(Admin { address, console, token, tls })
}

/// A token is sent in a header, where it must be one word.
fn token(given: Spanned<file::Password>) -> Result<Secret, ConfigError> {
    let (at, token) = (given.span().start, given.into_inner().0);
    let text = token.reveal();
    if TOKEN_CHARS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token);
    }
    let message = format!(
        "the token is not {} to {} ASCII characters without spaces; `openssl rand -hex 32` makes a good one",
        TOKEN_CHARS.start(),
        TOKEN_CHARS.end()
    );
    Err(ConfigError::at_offset(at, message))
}

fn loopback(
    what: &str,
    address: &Spanned<SocketAddr>,
    example: SocketAddr,
    otherwise: &str,
) -> Result<SocketAddr, ConfigError> {
    if address.get_ref().ip().is_loopback() {
        return Ok(*address.get_ref());
    }
    let message = format!(
        "the {what} address {} is open to others; use a loopback address such as \"{example}\"{otherwise}",
        address.get_ref()
    );
    Err(ConfigError::at_offset(address.span().start, message))
}

/// Names end up in file names, tables and logs.
fn name(name: &Spanned<String>) -> Result<Box<str>, ConfigError> {
    let text = name.get_ref().as_str();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_plain && !text.is_empty() && text.len() <= 64 && !text.starts_with('.') {
        return Ok(text.into());
    }
    let message = format!("`{text}` is not a name: 1 to 64 letters, digits, `_`, `-` or `.`, the first no `.`");
    Err(ConfigError::at_offset(name.span().start, message))
}

fn unique<'a, T>(what: &str, setting: &str, values: impl Iterator<Item = &'a Spanned<T>>) -> Result<(), ConfigError>
where
    T: Eq + std::hash::Hash + fmt::Display + 'a,
{
    let mut seen = HashSet::new();
    for value in values {
        if !seen.insert(value.get_ref()) {
            let message = format!("two {what}s have the {setting} `{}`", value.get_ref());
            return Err(ConfigError::at_offset(value.span().start, message));
        }
    }
    Ok(())
}
