//! One of the two sites: the program under demonstration, as a process of its own, in front of the lab's servers.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::time::Duration;

use oarlock::admin::http::Server;
use oarlock::lab::{Lab, Site, until};
use oarlock::replication::link::board::LinkReport;

use super::Outcome;

/// A proxy of a site.
pub struct Proxy {
    pub process: Child,
    pub applications: SocketAddrV4,
    pub admin: SocketAddr,
    log: std::path::PathBuf,
}

const READY_LIMIT: Duration = Duration::from_secs(30);

impl Proxy {
    /// Starts it, with a link from the other site's proxy, and waits until it has a writer and takes clients.
    pub fn start(lab: &Lab, site: Site) -> Outcome<Self> {
        let name = match site {
            Site::Primary => "dr",
            Site::Dr => "dc",
        };
        let address = lab.proxy_address(site);
        let folder = lab.folder();
        let (config, log) = (folder.join(format!("to-{name}.toml")), folder.join(format!("to-{name}.log")));
        // A file with a password in it is refused when others may read it.
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&config)?;
        file.write_all(lab.linked_config_toml(site).as_bytes())?;
        let out = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new(program()?);
        command.arg("run").arg("--config").arg(config).stdout(out.try_clone()?).stderr(out);
        lab.adopt(&mut command);
        let process = command.spawn()?;
        let applications = SocketAddrV4::new(address, 4006);
        let mut proxy = Self { process, applications, admin: (address, 4008).into(), log };
        let mut ended = false;
        let ready = until(READY_LIMIT, || {
            ended = !matches!(proxy.process.try_wait(), Ok(None));
            ended || (proxy.writer().is_some() && proxy.accepts())
        });
        if ready && !ended { Ok(proxy) } else { Err(proxy.failure("oarlock did not come up")) }
    }

    fn accepts(&self) -> bool {
        std::net::TcpStream::connect_timeout(&self.applications.into(), READY_LIMIT).is_ok()
    }

    /// What it says of the nodes; nothing if it doesn't answer.
    pub fn servers(&self) -> Vec<Server> {
        self.list("servers")
    }

    /// The writer's name.
    pub fn writer(&self) -> Option<String> {
        self.servers().into_iter().find(|server| server.state.contains("Master")).map(|server| server.name)
    }

    /// Does its link run, and has it nothing to catch up with?
    pub fn is_even(&self) -> bool {
        let links: Vec<LinkReport> = self.list("links");
        !links.is_empty() && links.iter().all(|link| link.state == "Running" && link.lag_transactions == Some(0))
    }

    fn list<T: serde::de::DeserializeOwned>(&self, what: &str) -> Vec<T> {
        let answer = ureq::get(format!("http://{}/v1/{what}", self.admin)).call();
        answer.ok().and_then(|mut answer| answer.body_mut().read_json().ok()).unwrap_or_default()
    }

    pub fn states(&self) -> String {
        let state = |server: &Server| match &*server.reason {
            "" => format!("{}: {}", server.name, server.state),
            why => format!("{}: {} ({why})", server.name, server.state),
        };
        self.servers().iter().map(state).collect::<Vec<_>>().join(" | ")
    }

    pub fn still_runs(&mut self) -> Outcome<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("oarlock ended during the load ({status})"))),
        }
    }

    fn failure(&self, what: &str) -> Box<dyn Error + Send + Sync> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        eprintln!("{log}");
        format!("{what}; its log is above").into()
    }
}

/// Cargo puts an example one folder below the program.
pub fn program() -> Outcome<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(|folder| folder.parent()).ok_or("this example lies in no folder")?;
    Ok(folder.join("oarlock"))
}
