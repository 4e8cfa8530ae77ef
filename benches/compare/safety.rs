//! What it costs that sessions outlive nodes and see their own writes: a proxy with all of that beside one without, in turn.

use std::net::Ipv4Addr;

use oarlock::lab::{Lab, Site, until};

use crate::support::Proxy;
use crate::sysbench::{self, Workload};
use crate::{Way, median, run};

const THREADS: usize = 16;
const OFF: &str = "\n[read-write-split]\nreplay = false\noutcome = \"error\"\ncausal_reads = \"off\"\n";

pub fn measure(seconds: usize, rounds: usize) {
    let lab = Lab::builder().galera(3).start().unwrap();
    let proxies = [start(&lab, 60, OFF), start(&lab, 61, "")];
    proxies[0].sql("CREATE DATABASE sbtest");
    sysbench::prepare(lab.nodes()[0].address());
    let ways = [("all off", &proxies[0]), ("all on", &proxies[1])].map(|(name, proxy)| Way {
        name,
        reads: proxy.address(),
        writes: proxy.address(),
        pid: Some(proxy.pid()),
        tls: None,
    });
    println!("replay, outcome and causal_reads, {THREADS} clients: medians of {rounds} rounds of {seconds} s");
    for workload in [Workload::ReadWrite, Workload::Mixed] {
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (way, runs) in ways.iter().zip(&mut runs) {
                runs.push(run(way, workload, THREADS, seconds));
            }
        }
        for (way, runs) in ways.iter().zip(&runs) {
            let (qps, cpu_us) = (median(runs, |run| run.qps), median(runs, |run| run.cpu_us));
            println!("{:<14}{:<9}{qps:>10.0} queries/s{cpu_us:>8.1} us CPU a query", workload.name(), way.name);
        }
        let ratio = |value| median(&runs[1], value) / median(&runs[0], value);
        println!("{:<14}on/off: qps {:.2}, CPU {:.2}", workload.name(), ratio(|run| run.qps), ratio(|run| run.cpu_us));
    }
}

fn start(lab: &Lab, host: u8, more: &str) -> Proxy {
    let address: Ipv4Addr = lab.address(host);
    let text = lab.config_toml(Site::Primary, address).replacen("[site]\n", "[site]\nstate_dir = \"STATE\"\n", 1);
    let proxy = Proxy::launch(address, &format!("{text}{more}"));
    let ready = || proxy.client(&["-e", "SELECT 1"]).status.success();
    assert!(until(crate::START_MAX, ready), "{}", proxy.log());
    proxy
}
