//! `make demo`: two real sites that follow each other, the program in front of each, under load, watched; the writer is killed meanwhile.
//!
//! Starts a lab and an `oarlock run` for each site, drives sysbench through the cluster's, says each second how it goes, kills the
//! writer, and at the end says what each node did before, what everybody noticed of the loss, and whether all have the same. The last
//! line is the verdict. With `--sites=galera` the other site is a cluster, too; with `--stay` everything stays up.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use oarlock::lab::{APP_PASSWORD, APP_USER, Builder, Lab, Site, until};

#[path = "../../tests/support/gauge.rs"]
mod gauge;
mod load;
mod measure;
mod pauses;
mod site;

use load::Sum;
use measure::{Work, cpu_seconds};
use pauses::{Watched, compare};
use site::{Proxy, program};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The two sites.
pub struct Sites<'a> {
    lab: &'a Lab,
    dc: Proxy,
    dr: Proxy,
}

/// In this second of the load the writer is killed.
const KILL_AT: u32 = load::SECONDS / 3;
/// From this second on it is watched what clients and sites notice, which takes a client on a reader that writes.
const WATCH_AT: u32 = KILL_AT - 3;
/// The killed node is back, and both sites have the same, within this.
const SETTLE_LIMIT: Duration = Duration::from_secs(90);
const TABLES: [&str; 5] = ["demo.marks", "sbtest.sbtest1", "sbtest.sbtest2", "sbtest.sbtest3", "sbtest.sbtest4"];

fn main() -> ExitCode {
    let stay = std::env::args().any(|argument| argument == "--stay");
    verdict(end_on_interrupt().and_then(|()| order(std::env::args())).and_then(|order| demo(order, stay)))
}

/// The lab as the arguments want it.
fn order(mut arguments: impl Iterator<Item = String>) -> Outcome<Builder> {
    // At REPEATABLE READ sysbench's transactions now and then deadlock with each other, proxy or not.
    let order = Lab::builder().option("transaction_isolation", "READ-COMMITTED");
    let sites = arguments.find_map(|argument| argument.strip_prefix("--sites=").map(str::to_owned));
    match sites.as_deref() {
        None => {
            println!("starting a Galera cluster of 3, and the standalone server of the other site ...");
            Ok(order.standalone(true).option("innodb_buffer_pool_size", "256M"))
        }
        Some("galera") => {
            println!("starting two Galera clusters of 3, one for each site ...");
            Ok(order.second_galera(3).option("innodb_buffer_pool_size", "128M"))
        }
        Some(other) => Err(format!("SITES can be galera, not {other}").into()),
    }
}

fn verdict(outcome: Outcome<Sum>) -> ExitCode {
    match outcome {
        Ok(total) => {
            println!("demo: ok, {} queries, {} errors, all tables equal", total.queries, total.errors);
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

fn demo(order: Builder, stay: bool) -> Outcome<Sum> {
    let lab = order.start()?;
    println!("starting oarlock in front of each, with links both ways ...");
    let mut sites = Sites { lab: &lab, dc: Proxy::start(&lab, Site::Primary)?, dr: Proxy::start(&lab, Site::Dr)? };
    lab.nodes()[0].sql(
        "GRANT RELOAD ON *.* TO maxuser@'%'; CREATE DATABASE sbtest; CREATE DATABASE demo; \
         CREATE TABLE demo.marks (id INT AUTO_INCREMENT PRIMARY KEY, site INT)",
    )?;
    println!("making 4 tables of 50000 rows through it ...");
    load::prepare(&lab, sites.dc.applications.into())?;
    // A reader that is still applying a CREATE INDEX ends the reads in its way with error 1213.
    lab.nodes_of(Site::Primary).try_for_each(|node| node.sql("SET wsrep_sync_wait = 15; SELECT 1").map(drop))?;
    if !until(SETTLE_LIMIT, || sites.dc.is_even() && sites.dr.is_even()) {
        return Err("the sites do not follow each other".into());
    }
    let total = under_load(&mut sites)?;
    if stay {
        let Sites { dc, .. } = sites;
        keep(lab, &dc)?;
    }
    Ok(total)
}

/// The load, the loss in the middle of it, and what came of both.
fn under_load(sites: &mut Sites<'_>) -> Outcome<Sum> {
    let lab = sites.lab;
    println!("{} through {} for {} s", load::WORDS, sites.dc.applications, load::SECONDS);
    let told = replication_log(lab)?;
    let before = (Work::of_all(lab)?, cpu_seconds(sites.dc.process.id())?);
    let (watched, work, victim) = (Watched::new(), Mutex::new(None), Mutex::new(None));
    let (total, pauses) = std::thread::scope(|scope| {
        let total = load::run(lab, sites.dc.applications.into(), |number, Sum { queries, errors }| {
            println!("{number:>3} s {queries:>8.0} qps {errors:>4.0} errors   {}", sites.dc.states());
            if number == WATCH_AT {
                *lock(&work) = Some(Work::of_all(lab).and_then(|work| watched.start(scope, sites).map(|()| work)));
            } else if number == KILL_AT {
                watched.reset();
                scope.spawn(|| *lock(&victim) = Some(kill_the_writer(sites)));
            }
        });
        let pauses = watched.end();
        Outcome::Ok((total?, pauses))
    })?;
    let victim = lock(&victim).take().ok_or("the load ended too early")??;
    let work = lock(&work).take().ok_or("the load ended too early")??;
    sites.dc.still_runs()?;
    sites.dr.still_runs()?;
    let cpu = cpu_seconds(sites.dc.process.id())? - before.1;
    let shares = measure::shares(lab, &before.0, &work);
    println!(
        "\n{} queries, {} errors, {:.0} a second",
        total.queries,
        total.errors,
        total.queries / f64::from(load::SECONDS)
    );
    println!("{}", measure::table(&shares));
    println!("CPU of the proxy: {:.1} microseconds a query", cpu * 1e6 / total.queries.max(1.0));
    println!("\nkill -9 of the writer {victim} in second {KILL_AT}:\n{}", pauses.table());
    settle(sites, &victim)?;
    let rows = compare(lab, &TABLES)?;
    println!("all {rows} rows of {} tables are the same on all {} servers", TABLES.len(), lab.nodes().len());
    let mut reconnects = replication_log(lab)?;
    reconnects.retain(|line| !told.contains(line));
    println!("reconnects of the DR site's replication: {}", reconnects.len());
    if let Some(line) = reconnects.first() {
        return Err(format!("the replica has noticed the loss: {line}").into());
    }
    measure::judge(&shares).map(|()| total)
}

/// What the DR site's servers have to say of their connection to the cluster.
fn replication_log(lab: &Lab) -> Outcome<Vec<String>> {
    let logs = lab.nodes_of(Site::Dr).map(|node| std::fs::read_to_string(node.log())).collect::<Result<String, _>>()?;
    let told = |line: &&str| line.contains("Slave I/O") || line.contains("reconnect");
    Ok(logs.lines().filter(told).map(str::to_owned).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Its name.
fn kill_the_writer(sites: &Sites<'_>) -> Outcome<String> {
    let name = sites.dc.writer().ok_or("there is no writer")?;
    sites.lab.node(&name)?.kill()?;
    println!("      kill -9 {name}");
    Ok(name)
}

/// The killed node comes back, and both sites catch up.
fn settle(sites: &Sites<'_>, victim: &str) -> Outcome<()> {
    sites.lab.node(victim)?.start()?;
    let position =
        |name: &str| -> Outcome<Option<String>> { Ok(sites.lab.node(name)?.value("SELECT @@gtid_binlog_pos")?) };
    let domains = [Site::Primary, Site::Dr].map(|site| format!("{}-", sites.lab.domain(site)));
    let shared = |text: Option<String>| -> Vec<String> {
        let is_shared = |gtid: &&str| domains.iter().any(|domain| gtid.starts_with(domain));
        text.unwrap_or_default().split(',').filter(is_shared).map(str::to_owned).collect()
    };
    let same = || {
        let all: Vec<_> =
            sites.lab.nodes().iter().map(|node| position(node.name()).map(shared).unwrap_or_default()).collect();
        sites.dc.is_even() && sites.dr.is_even() && all.iter().all(|one| *one == all[0])
    };
    if until(SETTLE_LIMIT, same) { Ok(()) } else { Err("the sites do not come to the same".into()) }
}

fn keep(lab: Lab, proxy: &Proxy) -> Outcome<()> {
    let lab = lab.keep()?;
    let folder = lab.folder().display();
    let program = program()?;
    let program = program.display();
    println!("\nEverything stays up:");
    println!("  mariadb -h{} -P4006 -u{APP_USER} -p{APP_PASSWORD} sbtest", proxy.applications.ip());
    println!("  {program} list servers --admin {}     (also links, replicas)", proxy.admin);
    println!("  {program} lab --folder {folder} status     (also kill, start, freeze, thaw NODE)");
    println!("  {program} lab --folder {folder} down       ends all of it");
    Ok(())
}
