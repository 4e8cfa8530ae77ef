//! Running proxies as operators reach them: by their admin addresses, and with a token where they want one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{Method, Request};

use crate::admin::client::Client;
use crate::config::model::Admin;
use crate::config::secret::Secret;

/// Which proxies
#[derive(clap::Args)]
pub struct Proxies {
    /// The admin address of the proxy, or of several of them, with commas between: each is asked or told in turn
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4008", value_delimiter = ',', global = true)]
    admin: Vec<SocketAddr>,
    /// A file with the token of the proxy, where it has one; without this the variable OARLOCK_TOKEN is looked at
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

/// Who vouches for them
#[derive(clap::Args)]
pub struct Trust {
    /// A file with the certificates that vouch for that of the admin address, where it speaks TLS; without this the variable OARLOCK_CA is looked at
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
}

impl Trust {
    fn client(&self) -> Result<Client, String> {
        let variable = std::env::var_os(CA_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
        Client::trusting(self.ca.as_ref().or(variable.as_ref()).map(PathBuf::as_path))
    }
}

/// Where a token may be, as an argument would be seen by others.
const TOKEN_VARIABLE: &str = "OARLOCK_TOKEN";
/// What to do where TLS is spoken.
const TRUST: &str = "name the certificates that vouch for it, by --ca FILE or in OARLOCK_CA";
/// Where the name of a file of certificates may be.
const CA_VARIABLE: &str = "OARLOCK_CA";

impl Proxies {
    /// All of them.
    pub fn open(&self) -> Result<Vec<Proxy>, String> {
        let token = match &self.token_file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|error| format!("the token cannot be read from {}: {error}", path.display()))?,
            ),
            None => std::env::var(TOKEN_VARIABLE).ok(),
        };
        let token = token.map(|text| Secret::new(text.trim().to_owned()));
        let client = self.trust.client()?;
        let proxy = |admin: &SocketAddr| Proxy { admin: *admin, token: token.clone(), client: client.clone() };
        Ok(self.admin.iter().map(proxy).collect())
    }

    /// Gives each an order and prints what comes of it. The first that refuses is the last that is told.
    pub fn order(&self, give: impl Fn(&Proxy) -> Result<String, String>) -> ExitCode {
        let proxies = match self.open() {
            Ok(proxies) => proxies,
            Err(why) => return super::failed(why),
        };
        let name = |proxy: &Proxy| if proxies.len() > 1 { format!("{}: ", proxy.admin) } else { String::new() };
        for (place, proxy) in proxies.iter().enumerate() {
            match give(proxy) {
                Ok(said) => println!("{}{said}", name(proxy)),
                Err(why) => {
                    let rest: Vec<String> = proxies[place + 1..].iter().map(|proxy| proxy.admin.to_string()).collect();
                    let rest = if rest.is_empty() { String::new() } else { format!("; not told: {}", rest.join(", ")) };
                    return super::failed(format!("{}{why}{rest}", name(proxy)));
                }
            }
        }
        ExitCode::SUCCESS
    }
}

/// One of them.
pub struct Proxy {
    /// Where it is.
    pub admin: SocketAddr,
    token: Option<Secret>,
    client: Client,
}

/// The proxy answers from memory; more than this is a proxy that is stuck.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// STOP SLAVE waits for the transaction that is being applied.
const ORDER_TIMEOUT: Duration = Duration::from_secs(60);

impl Proxy {
    /// The one of this configuration.
    pub fn of(admin: &Admin, trust: &Trust) -> Result<Self, String> {
        let client = trust.client()?;
        if admin.tls.is_some() && !client.is_secure() {
            return Err(format!("the proxy on {} speaks TLS: {TRUST}", admin.address));
        }
        // With several proxies one variable serves those that speak TLS.
        let client = if admin.tls.is_some() { client } else { Client::default() };
        Ok(Self { admin: admin.address, token: admin.token.clone(), client })
    }

    /// What it says of something.
    pub fn look(&self, path: &str) -> Result<String, String> {
        self.send(Method::GET, path, None, LOOK_TIMEOUT)
    }

    /// The same, read.
    pub fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.understand(&self.look(path)?)
    }

    /// Reads what it has said.
    pub fn understand<T: DeserializeOwned>(&self, text: &str) -> Result<T, String> {
        serde_json::from_str(text).map_err(|error| format!("what answers on {} is not oarlock: {error}", self.admin))
    }

    /// Gives an order, and returns its answer.
    pub fn post<T: DeserializeOwned>(&self, path: &str, order: &impl Serialize) -> Result<T, String> {
        self.understand(&self.send(Method::POST, path, Some(json(order)?), ORDER_TIMEOUT)?)
    }

    /// The same of one of its `servers` or `links`. Names are plain: they need no escapes in a path.
    pub fn post_to<T: DeserializeOwned>(&self, kind: &str, name: &str, order: &impl Serialize) -> Result<T, String> {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) || name.is_empty() {
            return Err(format!("`{name}` is no name"));
        }
        self.post(&format!("{kind}/{name}"), order)
    }

    /// Has something set.
    pub fn put(&self, path: &str, value: &impl Serialize) -> Result<(), String> {
        self.send(Method::PUT, path, Some(json(value)?), ORDER_TIMEOUT).map(drop)
    }

    /// Has something taken away.
    pub fn delete(&self, path: &str) -> Result<(), String> {
        self.send(Method::DELETE, path, None, ORDER_TIMEOUT).map(drop)
    }

    /// The text of the answer if the proxy has done it, else what it says.
    fn send(&self, method: Method, path: &str, body: Option<String>, limit: Duration) -> Result<String, String> {
        let broken = |error: &dyn std::fmt::Display| format!("the proxy on {} cannot be asked: {error}", self.admin);
        let mut request = Request::builder().method(method).uri(self.client.url(self.admin, path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        let agent = self.client.agent(limit);
        let answer = match body {
            Some(text) => {
                let request = request.header("content-type", "application/json").body(text);
                agent.run(request.map_err(|error| broken(&error))?)
            }
            None => agent.run(request.body(()).map_err(|error| broken(&error))?),
        };
        let mut answer = answer.map_err(|error| self.unanswered(&error))?;
        let said = answer.body_mut().read_to_string().map_err(|error| broken(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(said),
            status if said.is_empty() => Err(format!("the proxy on {} answers with {status}", self.admin)),
            _ => Err(said),
        }
    }

    fn unanswered(&self, error: &ureq::Error) -> String {
        let admin = self.admin;
        match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!("no proxy answers on {admin} ({error}); is `oarlock run` up, and is this its admin address?")
            }
            error if self.client.is_secure() => format!("there is no TLS with the proxy on {admin}: {error}"),
            error => format!("what answers on {admin} is no HTTP ({error}); if it is TLS: {TRUST}"),
        }
    }
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}
