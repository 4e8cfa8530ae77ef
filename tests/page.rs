//! The page of the admin address in a real browser: what it shows is what the API says, while all is well and while a node is lost. It
//! asks nobody else, has its parts named for readers of screens, and fits a phone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/sites.rs"]
mod sites;
mod support;

use browser::Browser;
use oarlock::lab::{Lab, Site, until};
use serde_json::{Value, json};
use sites::{Road, SOON, Sites, first_start};
use support::Proxy;

/// The whole page, so that it loads at once over any line.
const PAGE_BYTES_MAX: usize = 100_000;

/// What the page shows, table by table and node by node.
const SHOWN: &str = r#"(() => {
    const rows = id => [...document.querySelectorAll(`#${id} tbody tr`)].map(row => [...row.cells].map(cell => cell.textContent));
    const drawn = kind => [...document.querySelectorAll(`#picture .${kind}`)].map(group => ({...group.dataset}));
    return {servers: rows("servers"), links: rows("links"), replicas: rows("replicas"),
        nodes: drawn("node"), far: drawn("far"), arrows: [...drawn("link"), ...drawn("dump")]};
})()"#;

#[test]
fn the_page_shows_what_the_api_says() {
    let lab = Lab::builder().standalone(true).fast_eviction(true).start().unwrap();
    let dr = Sites::dr(&lab, Road::Proxies);
    let link = sites::link_to("dr", &[sites::replication_address(&lab, Site::Dr)]);
    let dc = Proxy::start_with(&lab, Site::Primary, &format!("{link}admin = \"{}\"\n", dr.admin()));
    let sites = Sites { lab: &lab, road: Road::Proxies, dc, dr };
    first_start(&sites);
    let mut browser = Browser::start();
    browser.resize(1000, 1150, false);
    let address = format!("http://{}/", sites.dc.admin());
    browser.order("Page.navigate", json!({"url": address}));
    same(&mut browser, &sites.dc);
    let steady = browser.value(SHOWN);
    assert_eq!(steady["nodes"].as_array().unwrap().len(), 3, "{steady}");
    assert_eq!(steady["arrows"].as_array().unwrap().len(), 2, "a link and a dump: {steady}");
    assert_eq!(steady["far"][0]["name"], "server-81", "the other site's node: {steady}");
    parts_are_named(&mut browser);
    sites::under_writes(&lab, || load_is_seen(&mut browser));
    picture(&mut browser, "steady.png");
    sites.node(71).kill().unwrap();
    let lost = |shown: &Value| {
        let state = |name: &str| {
            shown["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap()["state"].clone()
        };
        state("galera-71") == "Down" && (state("galera-72") == "Master, Synced, Running")
    };
    assert!(until(SOON, || lost(&browser.value(SHOWN))), "{}", browser.value(SHOWN));
    let told = |browser: &mut Browser| browser.value("changes.textContent").as_str().unwrap().to_owned();
    assert!(until(SOON, || told(&mut browser).contains(" is ")), "a change is announced");
    same(&mut browser, &sites.dc);
    picture(&mut browser, "failover.png");
    sites.node(71).start().unwrap();
    assert!(
        until(SOON, || told(&mut browser).contains("galera-71 is Slave, Synced, Running")),
        "{}",
        told(&mut browser)
    );
    same(&mut browser, &sites.dc);
    fits_a_phone(&mut browser);
    asks_nobody_else(&mut browser, &address);
}

/// Waits until both say the same, in every cell.
#[track_caller]
fn same(browser: &mut Browser, proxy: &Proxy) {
    let events = |proxy: &Proxy| api(proxy, "events").as_array().unwrap().len();
    let shown = "document.querySelectorAll('#events li').length";
    let mut both = (Value::Null, Value::Null);
    let equal = until(SOON, || {
        both = (browser.value(SHOWN), said(proxy));
        both.0 == both.1 && browser.value(shown) == events(proxy)
    });
    assert!(equal, "the page: {:#}\nthe API: {:#}", both.0, both.1);
}

/// What the page should show, by what the API says.
fn said(proxy: &Proxy) -> Value {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows = |what: &str, row: &dyn Fn(&Value) -> Vec<String>| -> Vec<Vec<String>> {
        api(proxy, what).as_array().unwrap().iter().map(row).collect()
    };
    let of = |row: &Value, fields: &[&str]| fields.iter().map(|field| text(&row[*field])).collect::<Vec<_>>();
    let server = |row: &Value| {
        let mut cells = of(row, &["name", "address", "state", "connections", "gtid", "reason"]);
        cells[1] = format!("{}:{}", cells[1], row["port"]);
        cells
    };
    let link = |row: &Value| {
        let mut cells = of(row, &["link", "state", "node", "remote", "position", "lag_transactions", "reason"]);
        let remedy = text(&row["remedy"]);
        if !remedy.is_empty() {
            cells[6] = format!("{} -> {remedy}", cells[6]);
        }
        cells
    };
    let replica = |row: &Value| of(row, &["server_id", "address", "source", "position", "lag", "takeovers", "warning"]);
    let (servers, links, replicas) = (rows("servers", &server), rows("links", &link), rows("replicas", &replica));
    let node = |row: &Vec<String>| json!({"name": row[0], "state": row[2], "gtid": row[4]});
    let nodes: Vec<Value> = servers.iter().map(node).collect();
    let remotes = api(proxy, "remotes");
    let far = remotes.as_array().unwrap().iter().flat_map(|remote| remote["servers"].as_array().unwrap());
    let far: Vec<Value> = far.map(|server| node(&of(server, &["name", "address", "state", "port", "gtid"]))).collect();
    let arrow = |name: &str, node: &str, state: &str, lag: &str| json!({"name": name, "node": node, "state": state, "lag": lag});
    let mut arrows: Vec<Value> = links.iter().map(|row| arrow(&row[0], &row[2], &row[1], &row[5])).collect();
    arrows.extend(replicas.iter().map(|row| arrow(&row[0], &row[2], "", &row[4])));
    json!({"servers": servers, "links": links, "replicas": replicas, "nodes": nodes, "far": far, "arrows": arrows})
}

fn api(proxy: &Proxy, what: &str) -> Value {
    ureq::get(format!("http://{}/v1/{what}", proxy.admin())).call().unwrap().body_mut().read_json().unwrap()
}

/// As a reader of screens has them.
fn parts_are_named(browser: &mut Browser) {
    let tree = browser.order("Accessibility.getFullAXTree", json!({}));
    let parts: Vec<(&str, &str)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (node["role"]["value"].as_str().unwrap_or_default(), node["name"]["value"].as_str().unwrap_or_default())
        })
        .collect();
    for (role, name) in [
        ("banner", ""),
        ("main", ""),
        ("status", ""),
        ("alert", ""),
        ("region", "Sites"),
        ("region", "Load"),
        ("table", "Nodes"),
        ("table", "Links"),
        ("table", "Replicas"),
        ("log", "Events"),
        ("rowheader", "galera-71"),
        ("columnheader", "State"),
    ] {
        assert!(parts.contains(&(role, name)), "{role} {name}: {parts:?}");
    }
    assert!(parts.iter().any(|(role, name)| role.starts_with("im") && name.contains("This site's nodes")), "{parts:?}");
}

fn load_is_seen(browser: &mut Browser) {
    let numbers =
        "[Number(queries.textContent), Number(sessions.textContent), document.querySelectorAll('polyline').length]";
    let seen = until(SOON, || {
        let numbers = browser.value(numbers);
        numbers[0].as_u64() > Some(0) && numbers[1].as_u64() > Some(0) && numbers[2] == 2
    });
    assert!(seen, "{}", browser.value(numbers));
}

fn fits_a_phone(browser: &mut Browser) {
    browser.resize(360, 740, true);
    let drawn = "((drawn, width) => drawn <= 360 && width >= drawn - 1)(by('picture').viewBox.baseVal.width, by('picture').clientWidth)";
    assert!(until(SOON, || browser.value(drawn) == json!(true)), "the picture is drawn for this width");
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 360, "nothing is wider than the screen");
    picture(browser, "phone.png");
}

fn asks_nobody_else(browser: &mut Browser, address: &str) {
    let asked = |event: &&Value| event["method"] == "Network.requestWillBeSent";
    let urls: Vec<&str> =
        browser.happened.iter().filter(asked).filter_map(|event| event["params"]["request"]["url"].as_str()).collect();
    assert!(urls.len() > 5 && urls.iter().all(|url| url.starts_with(address)), "{urls:?}");
    for fault in ["Runtime.exceptionThrown", "Log.entryAdded"] {
        let faults: Vec<&Value> = browser.happened.iter().filter(|event| event["method"] == fault).collect();
        assert!(faults.is_empty(), "{faults:?}");
    }
    let page = ureq::get(address).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    assert!(!page.contains("https://"), "nothing is fetched from elsewhere");
}

/// Kept where the variable PICTURES says, if it does.
fn picture(browser: &mut Browser, name: &str) {
    let Ok(folder) = std::env::var("PICTURES") else { return };
    let taken = browser.order("Page.captureScreenshot", json!({"format": "png"}));
    let text = taken["data"].as_str().unwrap();
    std::fs::write(std::path::Path::new(&folder).join(name), decoded(text)).unwrap();
}

/// Base64.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte);
    let digits: Vec<usize> = text.as_bytes().iter().filter_map(digit).collect();
    let group = |four: &[usize]| {
        let number = four.iter().fold(0, |number, digit| number << 6 | digit) << (6 * (4 - four.len()));
        [(number >> 16) as u8, (number >> 8) as u8, number as u8].into_iter().take(four.len() - 1).collect::<Vec<_>>()
    };
    digits.chunks(4).flat_map(group).collect()
}
