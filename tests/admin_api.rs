//! The admin API is what its OpenAPI description says: each answer has a status and a shape that are described, whatever is asked, and
//! orders are taken from those who have the token. The command line uses it, of several proxies at once, too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

#[path = "support/dice.rs"]
mod dice;
mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use dice::Dice;
use mysql_async::prelude::Queryable;
use oarlock::lab::{Lab, Server, Site, until};
use serde_json::{Value, json};
use support::{Proxy, connect, succeeded};

const SEEN_MAX: Duration = Duration::from_secs(30);
const TOKEN: &str = "correct-horse-battery-staple";
/// Requests that make no sense, for each that does.
const NONSENSE: usize = 60;

struct Api<'a> {
    proxy: &'a Proxy,
    description: Value,
    /// Methods and paths that have been tried.
    tried: RefCell<BTreeSet<(String, String)>>,
}

#[test]
fn the_description_holds() {
    let server = Server::start(&[]).unwrap();
    let proxy = Proxy::start(server.lab(), Site::Dr);
    let api = Api::new(&proxy);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut session = runtime.block_on(connect(proxy.address()));
    runtime.block_on(session.query_drop("SELECT 1")).unwrap();
    let of_api = api.operations();
    for (method, path) in of_api.iter().filter(|(method, _)| method == "GET") {
        api.expect(method, path, path, None, 200);
    }
    let sessions = || serde_json::from_str::<Value>(&ask(&proxy, "GET", "/v1/sessions", None, &[]).2).unwrap();
    assert!(until(SEEN_MAX, || sessions().as_array().unwrap().len() == 1), "{}", sessions());
    orders_are_answered_as_described(&api);
    let id = sessions()[0]["id"].to_string();
    api.expect("DELETE", "/v1/sessions/{id}", &format!("/v1/sessions/{id}"), None, 204);
    assert!(until(SEEN_MAX, || sessions().as_array().unwrap().is_empty()), "{}", sessions());
    api.expect("DELETE", "/v1/sessions/{id}", &format!("/v1/sessions/{id}"), None, 404);
    api.expect("DELETE", "/v1/sessions/{id}", "/v1/sessions/x", None, 400);
    assert_eq!(*api.tried.borrow(), of_api, "all that is described is tried");
    assert_eq!(ask(&proxy, "GET", "/v1/nothing", None, &[]).0, 404);
    assert_eq!(ask(&proxy, "DELETE", "/v1/servers", None, &[]).0, 405);
    nonsense_is_answered_as_described(&api);
}

fn json_of(value: Value) -> Option<(&'static str, String)> {
    Some(("application/json", value.to_string()))
}

fn orders_are_answered_as_described(api: &Api) {
    let (server, link) = ("/v1/servers/{name}", "/v1/links/{name}");
    for order in ["drain", "clear", "maintenance", "clear"] {
        api.expect("POST", server, "/v1/servers/server-81", json_of(json!(order)), 200);
    }
    api.expect("POST", server, "/v1/servers/nobody", json_of(json!("drain")), 409);
    api.expect("POST", server, "/v1/servers/%00%ff", json_of(json!("drain")), 400);
    api.expect("POST", server, "/v1/servers/server-81", json_of(json!("dance")), 422);
    api.expect("POST", link, "/v1/links/nobody", json_of(json!({"order": "stop"})), 409);
    api.expect("POST", link, "/v1/links/nobody", json_of(json!({"order": "dance"})), 400);
    api.expect("POST", link, "/v1/links/nobody", json_of(json!({"order": 7})), 422);
    let host = "/v1/hosts/{address}";
    api.expect("DELETE", host, "/v1/hosts/10.1.2.3", None, 404);
    api.expect("DELETE", host, "/v1/hosts/nobody", None, 400);
    api.expect("POST", "/v1/reload", "/v1/reload", json_of(Value::Null), 200);
    api.expect("PUT", "/v1/log", "/v1/log", json_of(json!({"level": "debug"})), 200);
    assert_eq!(ask(api.proxy, "GET", "/v1/log", None, &[]).2, r#"{"level":"debug"}"#);
    assert!(api.proxy.log().contains("the log level is debug by order"), "{}", api.proxy.log());
    api.expect("PUT", "/v1/log", "/v1/log", json_of(json!({"level": "info"})), 200);
    api.expect("PUT", "/v1/log", "/v1/log", json_of(json!({"level": "loud"})), 422);
    api.expect("POST", "/v1/classify", "/v1/classify", json_of(json!({"sql": "SELECT 1"})), 200);
    too_long_is_refused_before_all_is_sent(api);
    api.expect("GET", "/v1/events", "/v1/events?after=1", None, 200);
    api.expect("GET", "/v1/events", "/v1/events?after=-1", None, 400);
    for (path, real) in [(server, "/v1/servers/server-81"), (link, "/v1/links/nobody"), ("/v1/reload", "/v1/reload")] {
        api.expect("POST", path, real, Some(("application/json", "nonsense".to_owned())), 400);
        api.expect("POST", path, real, Some(("text/plain", "\"drain\"".to_owned())), 415);
        let (status, _, why) = ask(api.proxy, "POST", real, json_of(json!("drain")), &[("host", "example.com")]);
        assert!(status == 403 && why.contains("localhost"), "{status} {why}");
    }
}

/// More than it takes, and not yet all of it: what a server has not read when it closes may keep its answer from arriving.
fn too_long_is_refused_before_all_is_sent(api: &Api) {
    let head = "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n";
    let mut socket = TcpStream::connect(api.proxy.admin()).unwrap();
    socket.set_read_timeout(Some(SEEN_MAX)).unwrap();
    socket.write_all(&[head.as_bytes(), &[b' '; (2 << 20) + 1]].concat()).unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 413 "), "{line}");
    assert!(api.description["paths"]["/v1/classify"]["post"]["responses"].get("413").is_some());
}

/// Whatever is sent, the answer is one that is described.
fn nonsense_is_answered_as_described(api: &Api) {
    let mut dice = Dice::new(6);
    for (method, path) in api.operations() {
        for _ in 0..NONSENSE {
            let mut noise =
                |length: usize| -> String { dice.bytes(length).iter().map(|byte| format!("%{byte:02x}")).collect() };
            let (name, query) = (format!("x{}", noise(20)), noise(20));
            let real = path.replace("{name}", &name).replace("{id}", &name);
            let real = format!("{real}?after={query}&{query}");
            let mut text = b"{\"order\": \"start\", \"argument\": \"1-2-3\", \"sql\": \"SELECT 1\"}".to_vec();
            dice.spoil(&mut text);
            let kind = *dice.pick(&["application/json", "text/plain", "application/json; charset=x"]);
            let body = (method != "GET").then(|| (kind, String::from_utf8_lossy(&text).into_owned()));
            api.try_it(&method, &path, &real, body);
        }
    }
}

#[test]
fn orders_need_the_token() {
    let server = Server::start(&[]).unwrap();
    let lab = server.lab();
    let address = lab.proxy_address(Site::Dr);
    let admin = format!("[admin]\naddress = \"{address}:4008\"\n");
    let text = lab.config_toml(Site::Dr, address).replacen("[site]\n", "[site]\nstate_dir = \"STATE\"\n", 1);
    let text = text.replace(&admin, &format!("{admin}console = \"{address}:4009\"\ntoken = \"{TOKEN}\"\n"));
    let proxy = Proxy::launch(address, &text);
    assert!(until(SEEN_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    let api = Api::new(&proxy);
    for (method, path) in api.operations() {
        let is_open = method == "GET" || path == "/v1/classify";
        let real = path.replace("{name}", "server-81").replace("{id}", "1");
        for (headers, wanted) in [(&[][..], 401), (&[("authorization", "Bearer other")][..], 401)] {
            let (status, _, why) = ask(&proxy, &method, &real, json_of(json!("drain")), headers);
            let is_refused = status == wanted && why.contains("`token` of [admin]");
            assert_eq!(is_refused, !is_open, "{method} {real}: {status} {why}");
        }
    }
    let bearer = format!("Bearer {TOKEN}");
    let done = ask(&proxy, "POST", "/v1/servers/server-81", json_of(json!("drain")), &[("authorization", &bearer)]);
    assert_eq!(done.0, 200, "{}", done.2);
    command_line_has_it(&proxy);
    console_wants_it(&proxy);
    others_find_nothing(&proxy);
    assert!(!proxy.log().contains(TOKEN));
}

fn command_line_has_it(proxy: &Proxy) {
    let clear = ["clear", "server", "server-81"];
    let refused = proxy.command(&clear);
    assert!(!refused.status.success());
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("OARLOCK_TOKEN") && why.contains("--token-file"), "{why}");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{TOKEN}").unwrap();
    let path = file.path().to_str().unwrap();
    succeeded(&proxy.command(&["clear", "server", "server-81", "--token-file", path]));
    let admin = proxy.admin().to_string();
    let mut command = oarlock(&["set", "server", "server-81", "drain", "--admin", &admin]);
    succeeded(&command.env("OARLOCK_TOKEN", TOKEN).output().unwrap());
    assert!(succeeded(&proxy.command(&["list", "servers"])).contains("Drain"));
}

/// Schemathesis, which makes requests up from a description, finds nothing either. `make conformance` says where it is.
fn others_find_nothing(proxy: &Proxy) {
    let Ok(program) = std::env::var("SCHEMATHESIS") else { return };
    let description = format!("http://{}/v1/openapi.json", proxy.admin());
    let header = format!("Authorization: Bearer {TOKEN}");
    // To it a 503 is a fault, whatever is described.
    let arguments = ["run", &description, "--header", &header, "--exclude-path", "/ready"];
    let bounds = ["--max-examples", "40", "--seed", "6", "--no-color"];
    // It keeps files where it runs.
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(program).current_dir(&folder).args(arguments).args(bounds).stdin(Stdio::null()).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", report.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
}

/// As the password of any user.
fn console_wants_it(proxy: &Proxy) {
    let ask = |password: &str| -> Output {
        let host = format!("-h{}", proxy.admin().ip());
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", &host, "-P4009", "-uoperator", "--skip-ssl", "-N", "-e", "SHOW SERVERS"]);
        command.arg(format!("--password={password}")).stdin(Stdio::null()).output().unwrap()
    };
    assert!(succeeded(&ask(TOKEN)).contains("server-81"));
    for password in ["", "other"] {
        let refused = ask(password);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("Authenticate failed"), "{refused:?}");
    }
}

fn oarlock(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Two proxies of one site are asked and told at once, and a list is shown again and again.
#[test]
fn the_command_line_speaks_to_several() {
    let server = Server::start(&[]).unwrap();
    let lab = server.lab();
    let second = |lab: &Lab| {
        let address = lab.address(90);
        let text = lab.config_toml(Site::Dr, address).replacen("[site]\n", "[site]\nstate_dir = \"STATE\"\n", 1);
        let proxy = Proxy::launch(address, &text);
        assert!(until(SEEN_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
        proxy
    };
    let proxies = [Proxy::start(lab, Site::Dr), second(lab)];
    let [first, second] = proxies.each_ref().map(|proxy| proxy.admin().to_string());
    let both = format!("{first},{second}");
    let on_both = |arguments: &[&str]| oarlock(arguments).args(["--admin", &both]).output().unwrap();
    let said = succeeded(&on_both(&["set", "server", "server-81", "maintenance"]));
    assert!(said.lines().count() == 2 && said.starts_with(&format!("{first}: ")), "{said}");
    let listed: Value = serde_json::from_str(&succeeded(&on_both(&["list", "servers", "--json"]))).unwrap();
    for admin in [&first, &second] {
        assert_eq!(listed[admin][0]["state"], "Maintenance", "{listed}");
    }
    let shown = succeeded(&on_both(&["show", "server", "server-81"]));
    assert_eq!(shown.matches("state        Maintenance").count(), 2, "{shown}");
    let refused = oarlock(&["clear", "server", "nobody", "--admin", &both]).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains(&format!("not told: {second}")), "{why}");
    for what in ["servers", "services", "listeners", "links", "replicas", "sessions", "accounts", "events"] {
        succeeded(&on_both(&["list", what]));
    }
    let accounts = succeeded(&proxies[0].command(&["list", "accounts"]));
    assert!(accounts.contains("maxuser") && !accounts.contains('*'), "{accounts}");
    succeeded(&on_both(&["set", "log", "notice"]));
    assert!(succeeded(&proxies[1].command(&["show", "log"])).ends_with("notice"));
    succeeded(&on_both(&["show", "site"]));
    let mut watch =
        oarlock(&["list", "servers", "--watch=1", "--admin", &first]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.by_ref().filter(|line| line.contains("Maintenance")).take(2).count(), 2);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

impl<'a> Api<'a> {
    fn new(proxy: &'a Proxy) -> Self {
        let (status, _, text) = ask(proxy, "GET", "/v1/openapi.json", None, &[]);
        assert_eq!(status, 200);
        Self { proxy, description: serde_json::from_str(&text).unwrap(), tried: RefCell::default() }
    }

    /// Methods and paths that are described.
    fn operations(&self) -> BTreeSet<(String, String)> {
        let of_path = |(path, methods): (&String, &Value)| -> Vec<_> {
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect()
        };
        self.description["paths"].as_object().unwrap().iter().flat_map(of_path).collect()
    }

    /// Asks, and compares the answer with its description, which must be that of this status.
    #[track_caller]
    fn expect(&self, method: &str, path: &str, real: &str, body: Option<(&str, String)>, status: u16) {
        let (got, text) = self.try_it(method, path, real, body);
        assert_eq!(got, status, "{method} {real}: {text}");
        self.tried.borrow_mut().insert((method.to_owned(), path.to_owned()));
    }

    /// The status and text of an answer that is as described.
    #[track_caller]
    fn try_it(&self, method: &str, path: &str, real: &str, body: Option<(&str, String)>) -> (u16, String) {
        let context = format!(
            "{method} {real} {:?}",
            body.as_ref().map(|(kind, text)| (kind, text.chars().take(200).collect::<String>()))
        );
        let (got, kind, text) = ask(self.proxy, method, real, body, &[]);
        let context = format!("{context}: {got} {kind} {text}");
        let responses = &self.description["paths"][path][method.to_lowercase()]["responses"];
        let described = responses.get(got.to_string()).unwrap_or_else(|| panic!("not described: {context}"));
        let Some(content) = described.get("content").and_then(Value::as_object) else {
            assert!(text.is_empty(), "{context}");
            return (got, text);
        };
        let (media, schema) = content.iter().next().unwrap();
        assert!(kind.starts_with(media.as_str()), "{context}");
        if media == "application/json" {
            let fault = self.fault(&schema["schema"], &serde_json::from_str(&text).unwrap());
            assert_eq!(fault, None, "{context}");
        }
        (got, text)
    }

    /// Where a value is not as a schema has it, for the words that schemas here use.
    fn fault(&self, schema: &Value, value: &Value) -> Option<String> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = name.trim_start_matches('#');
            return self.fault(self.description.pointer(pointer).unwrap(), value);
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return Some(format!("a schema without a type: {schema}")),
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.contains(&kind) {
            return Some(format!("{value} is no {kinds:?}"));
        }
        if let Some(known) = schema.get("enum").and_then(Value::as_array).filter(|known| !known.contains(value)) {
            return Some(format!("{value} is none of {known:?}"));
        }
        match value {
            Value::Array(items) => items.iter().find_map(|item| self.fault(&schema["items"], item)),
            Value::Object(fields) if schema.get("properties").is_some() => self.fault_of_fields(schema, fields),
            _ => None,
        }
    }

    fn fault_of_fields(&self, schema: &Value, fields: &serde_json::Map<String, Value>) -> Option<String> {
        let required = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str);
        let missing =
            required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{name} is missing")).next();
        missing.or_else(|| {
            fields.iter().find_map(|(name, value)| match schema["properties"].get(name) {
                Some(schema) => self.fault(schema, value),
                None => Some(format!("{name} is not described")),
            })
        })
    }
}

/// Status, media type and text of an answer.
fn ask(
    proxy: &Proxy,
    method: &str,
    path: &str,
    body: Option<(&str, String)>,
    headers: &[(&str, &str)],
) -> (u16, String, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).allow_non_standard_methods(true);
    let agent: ureq::Agent = config.build().into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", proxy.admin()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match body {
        Some((kind, text)) => agent.run(request.header("content-type", kind).body(text).unwrap()),
        None => agent.run(request.body(()).unwrap()),
    };
    let mut answer = answer.unwrap();
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    (answer.status().as_u16(), kind, answer.body_mut().read_to_string().unwrap())
}
