//! What it costs to end TLS: oarlock beside HAProxy, in turn, each before the same readers in plain, with one certificate (ECDSA, P-256).
//!
//! HAProxy can't do what MySQL's clients do, who ask for TLS within the protocol: it needs a client that begins with it. So sysbench
//! speaks plain to an envoy, a process of its own that speaks TLS 1.3 with AES-256-GCM in both cases, with HAProxy at once and with
//! oarlock when its greeting has offered it. The machine's load, the records and their sizes are the same; only the proxy's own CPU
//! counts. A third way is sysbench's own TLS to oarlock (MariaDB's client library on OpenSSL: the same version and suite), which
//! HAProxy has none to compare with; the fourth and fifth are both proxies without TLS, for what TLS adds.

use std::fs::{self, Permissions};
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oarlock::lab::{Lab, Site, until};

use crate::envoy::{Begins, Envoy};
use crate::haproxy::Haproxy;
use crate::support::{Proxy, path};
use crate::sysbench::{self, Workload};
use crate::{START_MAX, Way, median, run};

const THREADS: [usize; 3] = [1, 16, 64];

pub fn measure(seconds: usize, rounds: usize) {
    let lab = Lab::builder().galera(3).start().unwrap();
    let nodes: Vec<SocketAddrV4> = lab.nodes().iter().map(|node| node.address()).collect();
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificates(&lab, folder.path());
    let haproxy = Haproxy::start(lab.address(60), nodes[0], &nodes[1..], Some(&folder.path().join("both.pem")));
    let plain = Haproxy::start(lab.address(61), nodes[0], &nodes[1..], None);
    let oarlock = start(&lab, folder.path());
    oarlock.sql("CREATE DATABASE sbtest");
    sysbench::prepare(nodes[0]);
    let before_haproxy = Envoy::start(lab.address(62), haproxy.reads, Begins::AtOnce, &certificate);
    let before_oarlock = Envoy::start(lab.address(63), oarlock.address(), Begins::WhenOffered, &certificate);
    let way = |name, to, pid| Way { name, reads: to, writes: to, pid: Some(pid), tls: None };
    let ways = [
        way("haproxy", before_haproxy.address, haproxy.pid()),
        way("oarlock", before_oarlock.address, oarlock.pid()),
        Way { tls: Some(folder.path().to_owned()), ..way("oarlock, sysbench's TLS", oarlock.address(), oarlock.pid()) },
        way("haproxy, plain", plain.reads, plain.pid()),
        way("oarlock, plain", oarlock.address(), oarlock.pid()),
    ];
    println!("TLS 1.3, AES-256-GCM, point_select: medians of {rounds} rounds of {seconds} s");
    for threads in THREADS {
        let mut runs = [const { Vec::new() }; 5];
        for _ in 0..rounds {
            for (way, runs) in ways.iter().zip(&mut runs) {
                runs.push(run(way, Workload::PointSelect, threads, seconds));
            }
        }
        for (way, runs) in ways.iter().zip(&runs) {
            let (qps, cpu_us) = (median(runs, |run| run.qps), median(runs, |run| run.cpu_us));
            println!("{threads:>4} threads  {:<24}{qps:>10.0} queries/s{cpu_us:>8.1} us CPU a query", way.name);
        }
        let ratio = |value| median(&runs[1], value) / median(&runs[0], value);
        println!(
            "{threads:>4} threads  oarlock/haproxy: qps {:.2}, CPU {:.2}",
            ratio(|run| run.qps),
            ratio(|run| run.cpu_us)
        );
    }
}

/// Also by the names that sysbench knows, which are told by nobody: `cacert.pem`, and a certificate of its own.
fn certificates(lab: &Lab, folder: &Path) -> PathBuf {
    let hosts = [60, 70].map(|host| lab.address(host).to_string());
    let made = rcgen::generate_simple_self_signed(hosts).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let names = [("cacert.pem", &certificate), ("client-cert.pem", &certificate), ("client-key.pem", &key)];
    for (name, text) in names.into_iter().chain([("both.pem", &format!("{certificate}{key}"))]) {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    folder.join("cacert.pem")
}

fn start(lab: &Lab, folder: &Path) -> Proxy {
    let address = lab.proxy_address(Site::Primary);
    let listener = "service = \"read-write-split\"\n";
    let [certificate, key] = ["client-cert.pem", "client-key.pem"].map(|name| path(folder, name));
    let tls = format!("{listener}tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}\n");
    let text = lab.config_toml(Site::Primary, address).replace(listener, &tls);
    let proxy = Proxy::launch(address, &text.replacen("[site]\n", "[site]\nstate_dir = \"STATE\"\n", 1));
    let ready = || proxy.client(&["-e", "SELECT 1"]).status.success();
    assert!(until(START_MAX, ready), "{}", proxy.log());
    proxy
}
