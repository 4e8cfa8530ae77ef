//! `make demo`: the program in front of a real cluster, under load, watched.
//!
//! Starts a lab and `oarlock run` with a configuration made for it, drives sysbench through the proxy, says each second how it
//! goes, and at the end what each node did. The last line is the verdict. With `--stay` everything stays up.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use oarlock::admin::http::Server;
use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, Site, until};

mod load;
mod measure;

use load::Sum;
use measure::{Work, cpu_seconds};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let stay = std::env::args().any(|argument| argument == "--stay");
    if let Err(why) = end_on_interrupt() {
        return verdict(Err(why));
    }
    verdict(demo(stay))
}

fn verdict(outcome: Outcome<Sum>) -> ExitCode {
    match outcome {
        Ok(total) => {
            println!("demo: ok, {} queries, 0 errors", total.queries);
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("demo: FAILED, {why}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C ends this process at once; the lab's guardian sees that and cleans up.
fn end_on_interrupt() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            println!("demo: FAILED, interrupted");
            std::process::exit(1);
        }
    });
    Ok(())
}

fn demo(stay: bool) -> Outcome<Sum> {
    println!("starting a Galera cluster of 3 ...");
    // At REPEATABLE READ sysbench's transactions now and then deadlock with each other, proxy or not.
    let order =
        Lab::builder().option("innodb_buffer_pool_size", "256M").option("transaction_isolation", "READ-COMMITTED");
    let lab = order.start()?;
    lab.nodes()[0].sql("CREATE DATABASE sbtest")?;
    println!("starting oarlock in front of it ...");
    let mut proxy = Proxy::start(&lab)?;
    println!("making 4 tables of 50000 rows through it ...");
    load::prepare(&lab, proxy.applications)?;
    // A reader that is still applying a CREATE INDEX ends the reads in its way with error 1213.
    lab.nodes().iter().try_for_each(|node| node.sql("SET wsrep_sync_wait = 15; SELECT 1").map(drop))?;

    println!("{} through {} for {} s", load::WORDS, proxy.applications, load::SECONDS);
    let before = (Work::of_all(&lab)?, cpu_seconds(proxy.process.id())?);
    let total = load::run(&lab, proxy.applications, |number, Sum { queries, errors }| {
        println!("{number:>3} s {queries:>8.0} qps {errors:>4.0} errors   {}", proxy.states());
    })?;
    proxy.still_runs()?;
    let after = (Work::of_all(&lab)?, cpu_seconds(proxy.process.id())?);

    let shares = measure::shares(&lab, &before.0, &after.0);
    println!(
        "\n{} queries, {} errors, {:.0} a second",
        total.queries,
        total.errors,
        total.queries / f64::from(load::SECONDS)
    );
    println!("{}", measure::table(&shares));
    println!("CPU of the proxy: {:.1} microseconds a query", (after.1 - before.1) * 1e6 / total.queries.max(1.0));
    if stay {
        keep(lab, &proxy)?;
    }
    if total.errors > 0.0 {
        return Err(format!("{} errors in {} queries", total.errors, total.queries).into());
    }
    measure::judge(&shares).map(|()| total)
}

fn keep(lab: Lab, proxy: &Proxy) -> Outcome<()> {
    let lab = lab.keep()?;
    let folder = lab.folder().display();
    let program = program()?;
    let program = program.display();
    println!("\nEverything stays up:");
    println!("  mariadb -h{} -P4006 -u{APP_USER} -p{APP_PASSWORD} sbtest", proxy.applications.ip());
    println!("  {program} list servers --admin {}", proxy.admin);
    println!("  {program} lab --folder {folder} status     (also kill, start, freeze, thaw NODE)");
    println!("  {program} lab --folder {folder} down       ends all of it");
    Ok(())
}

/// The program under demonstration, as a process of its own.
struct Proxy {
    process: Child,
    applications: SocketAddr,
    admin: SocketAddr,
    log: std::path::PathBuf,
}

impl Proxy {
    /// Starts it and waits until it has a writer and takes clients.
    fn start(lab: &Lab) -> Outcome<Self> {
        let address = lab.proxy_address(Site::Primary);
        let (config, log) = (lab.folder().join("oarlock.toml"), lab.folder().join("oarlock.log"));
        // A file with a password in it is refused when others may read it.
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&config)?;
        file.write_all(lab.config_toml(Site::Primary, address).as_bytes())?;
        let out = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new(program()?);
        command.arg("run").arg("--config").arg(config).stdout(out.try_clone()?).stderr(out);
        lab.adopt(&mut command);
        let process = command.spawn()?;
        let mut proxy = Self { process, applications: (address, 4006).into(), admin: (address, 4008).into(), log };
        let mut ended = false;
        let ready = until(READY_LIMIT, || {
            ended = !matches!(proxy.process.try_wait(), Ok(None));
            ended || (proxy.servers().iter().any(|s| s.state.contains("Master")) && proxy.accepts())
        });
        if ready && !ended { Ok(proxy) } else { Err(proxy.failure("oarlock did not come up")) }
    }

    fn accepts(&self) -> bool {
        std::net::TcpStream::connect_timeout(&self.applications, READY_LIMIT).is_ok()
    }

    /// What it says of the nodes; nothing if it doesn't answer.
    fn servers(&self) -> Vec<Server> {
        let answer = ureq::get(format!("http://{}/v1/servers", self.admin)).call();
        answer.ok().and_then(|mut answer| answer.body_mut().read_json().ok()).unwrap_or_default()
    }

    fn states(&self) -> String {
        let servers = self.servers();
        let writer =
            servers.iter().find(|server| server.state.contains("Master")).map_or("none", |server| &server.name);
        let states: Vec<_> = servers.iter().map(|server| format!("{}: {}", server.name, server.state)).collect();
        format!("writer {writer}   {}", states.join(" | "))
    }

    fn still_runs(&mut self) -> Outcome<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("oarlock ended during the load ({status})"))),
        }
    }

    fn failure(&self, what: &str) -> Box<dyn Error> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        eprintln!("{log}");
        format!("{what}; its log is above").into()
    }
}

/// Cargo puts an example one folder below the program.
fn program() -> Outcome<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(|folder| folder.parent()).ok_or("this example lies in no folder")?;
    Ok(folder.join("oarlock"))
}

const READY_LIMIT: Duration = Duration::from_secs(30);
