//! A server of a test's own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use oarlock::auth::accounts::Accounts;
use oarlock::auth::load::{Service, load};

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let install = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"];
        let done = Command::new("mariadb-install-db")
            .args(install)
            .arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
        let port = free_port();
        let child = spawn(folder.path(), port, options);
        let server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while mysql_async::Conn::new(server.root_options()).await.is_err() {
            assert!(Instant::now() < deadline, "the server does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    fn root_options(&self) -> mysql_async::Opts {
        mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.address.port())
            .user(Some("root"))
            .prefer_socket(false)
            .into()
    }

    pub async fn root(&self) -> mysql_async::Conn {
        mysql_async::Conn::new(self.root_options()).await.unwrap()
    }

    pub async fn run(&self, statements: &str) {
        let mut root = self.root().await;
        for statement in statements.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            root.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    pub async fn snapshot(&self) -> Accounts {
        let service = Service { user: "maxuser".into(), password: "SecretP@ssw0rd".into() };
        load(&self.address.to_string(), &service).await.unwrap().with_generation(1)
    }
}

fn spawn(folder: &Path, port: u16, options: &[&str]) -> Child {
    Command::new("mariadbd")
        .args(["--no-defaults", "--user=root", "--bind-address=*", "--max-connect-errors=1000000"])
        .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--plugin-load-add=auth_ed25519"])
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg(format!("--socket={}", folder.join("socket").display()))
        .arg(format!("--port={port}"))
        .args(options)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

/// Below the ports the kernel gives to clients, of which these tests use thousands.
fn free_port() -> u16 {
    loop {
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        let port = 10_000 + u16::from_ne_bytes(random) % 20_000;
        if std::net::TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
