//! The dashboard for Grafana shows something in each of its panels: a real Prometheus reads the proxies of two sites while both are
//! written to, and is asked what Grafana would ask it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/sites.rs"]
mod sites;
mod support;

use std::fs;
use std::io::Write;
use std::net::SocketAddrV4;
use std::process::{Child, Command, Stdio};

use oarlock::lab::{Lab, until};
use serde_json::Value;
use sites::{Road, SOON, Sites, first_start, under_writes};
use support::{Proxy, service};

/// What Grafana puts in place of its variables: several times the second between two readings.
const VARIABLES: [(&str, &str); 2] = [("$instance", ".*"), ("$__rate_interval", "10s")];

/// Reads both proxies every second; ends with its owner.
struct Prometheus {
    address: SocketAddrV4,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn start(address: SocketAddrV4, sites: &Sites<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        let targets = [&sites.dc, &sites.dr].map(|proxy| format!("'{}'", proxy.admin())).join(", ");
        let jobs = format!("[{{job_name: oarlock, static_configs: [{{targets: [{targets}]}}]}}]");
        fs::write(&file, format!("global: {{scrape_interval: 1s}}\nscrape_configs: {jobs}\n")).unwrap();
        let child = service("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .args([&format!("--web.listen-address={address}"), "--log.level=error"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { address, child, _folder: folder }
    }

    /// The series that an expression comes to now; an error is one of the expression's.
    fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let asked = agent.get(format!("http://{}/api/v1/query", self.address)).query("query", expression).call();
        let answer: Value =
            asked.and_then(|mut answer| answer.body_mut().read_json()).map_err(|why| why.to_string())?;
        let series = answer["data"]["result"].as_array().cloned();
        series.ok_or_else(|| answer["error"].to_string())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_panel_shows_something() {
    let lab = Lab::builder().standalone(true).start().unwrap();
    let sites = Sites::start(&lab, Road::Proxies);
    first_start(&sites);
    let prometheus = Prometheus::start(SocketAddrV4::new(lab.address(90), 9090), &sites);
    let dashboard: Value = serde_json::from_str(include_str!("../config/grafana.json")).unwrap();
    under_writes(&lab, || {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                shows(&prometheus, panel["title"].as_str().unwrap(), target);
            }
        }
        let commands = || number(&prometheus, "sum(rate(oarlock_command_duration_seconds_count[10s]))");
        assert!(until(SOON, || commands() > 1.0), "{} commands a second", commands());
        assert_eq!(number(&prometheus, "sum(oarlock_node_fit)"), 4.0);
    });
    // What it has read is what it likes to read.
    for proxy in [&sites.dc, &sites.dr] {
        is_well_formed(proxy);
    }
}

/// There is at least one line in it, and each has the labels by which it is named.
fn shows(prometheus: &Prometheus, panel: &str, target: &Value) {
    let expression = target["expr"].as_str().unwrap();
    let expression = VARIABLES.iter().fold(expression.to_owned(), |text, (name, value)| text.replace(name, value));
    let series = || prometheus.query(&expression);
    let shown = until(SOON, || series().is_ok_and(|series| !series.is_empty()));
    assert!(shown, "{panel}: {expression}: {:?}", series());
    let legend = target["legendFormat"].as_str().unwrap_or_default();
    for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim()) {
        for line in series().unwrap() {
            assert!(line["metric"][label].is_string(), "{panel}: no {label} in {line}");
        }
    }
}

fn number(prometheus: &Prometheus, expression: &str) -> f64 {
    let series = prometheus.query(expression).unwrap_or_default();
    series.first().and_then(|line| line["value"][1].as_str()?.parse().ok()).unwrap_or(f64::NAN)
}

fn is_well_formed(proxy: &Proxy) {
    let text =
        ureq::get(format!("http://{}/metrics", proxy.admin())).call().unwrap().body_mut().read_to_string().unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
