//! The admin API is what its OpenAPI description says: each answer has a status and a shape that are described, whatever is asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it stands")]

mod support;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use oarlock::lab::{Server, Site, until};
use serde_json::{Value, json};
use support::{Proxy, connect};

const SEEN_MAX: Duration = Duration::from_secs(30);

struct Api<'a> {
    proxy: &'a Proxy,
    description: Value,
}

#[test]
fn the_description_holds() {
    let server = Server::start(&[]).unwrap();
    let proxy = Proxy::start(server.lab(), Site::Dr);
    let (status, _, text) = ask(&proxy, "GET", "/v1/openapi.json", None);
    assert_eq!(status, 200);
    let api = Api { proxy: &proxy, description: serde_json::from_str(&text).unwrap() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut session = runtime.block_on(connect(proxy.address()));
    runtime.block_on(session.query_drop("SELECT 1")).unwrap();
    let paths: Vec<String> = api.description["paths"].as_object().unwrap().keys().cloned().collect();
    for path in &paths {
        if api.description["paths"][path].get("get").is_some() {
            api.expect("GET", path, path, None, 200);
        }
    }
    let sessions = || serde_json::from_str::<Value>(&ask(&proxy, "GET", "/v1/sessions", None).2).unwrap();
    assert!(until(SEEN_MAX, || sessions().as_array().unwrap().len() == 1), "{}", sessions());
    orders_are_answered_as_described(&api);
    let id = sessions()[0]["id"].to_string();
    api.expect("DELETE", "/v1/sessions/{id}", &format!("/v1/sessions/{id}"), None, 204);
    assert!(until(SEEN_MAX, || sessions().as_array().unwrap().is_empty()), "{}", sessions());
    api.expect("DELETE", "/v1/sessions/{id}", &format!("/v1/sessions/{id}"), None, 404);
    api.expect("DELETE", "/v1/sessions/{id}", "/v1/sessions/x", None, 400);
    assert_eq!(ask(&proxy, "GET", "/v1/nothing", None).0, 404);
}

fn orders_are_answered_as_described(api: &Api) {
    let (server, link) = ("/v1/servers/{name}", "/v1/links/{name}");
    let json = |value: Value| Some(("application/json", value.to_string()));
    for order in ["drain", "clear", "maintenance", "clear"] {
        api.expect("POST", server, "/v1/servers/server-81", json(json!(order)), 200);
    }
    api.expect("POST", server, "/v1/servers/nobody", json(json!("drain")), 409);
    api.expect("POST", server, "/v1/servers/%00%ff", json(json!("drain")), 400);
    api.expect("POST", server, "/v1/servers/server-81", json(json!("dance")), 422);
    api.expect("POST", link, "/v1/links/nobody", json(json!({"order": "stop"})), 409);
    api.expect("POST", link, "/v1/links/nobody", json(json!({"order": "dance"})), 400);
    api.expect("POST", link, "/v1/links/nobody", json(json!({"order": 7})), 422);
    api.expect("POST", "/v1/reload", "/v1/reload", json(Value::Null), 200);
    for (path, real) in [(server, "/v1/servers/server-81"), (link, "/v1/links/nobody"), ("/v1/reload", "/v1/reload")] {
        api.expect("POST", path, real, Some(("application/json", "nonsense".to_owned())), 400);
        api.expect("POST", path, real, Some(("text/plain", "\"drain\"".to_owned())), 415);
    }
}

impl Api<'_> {
    /// Asks, and compares the answer with this status's description.
    #[track_caller]
    fn expect(&self, method: &str, path: &str, real: &str, body: Option<(&str, String)>, status: u16) {
        let (got, kind, text) = ask(self.proxy, method, real, body.clone());
        let context = format!("{method} {real} {body:?}: {got} {kind} {text}");
        assert_eq!(got, status, "{context}");
        let responses = &self.description["paths"][path][method.to_lowercase()]["responses"];
        let described = responses.get(got.to_string()).unwrap_or_else(|| panic!("not described: {context}"));
        let Some(content) = described.get("content").and_then(Value::as_object) else {
            return assert!(text.is_empty(), "{context}");
        };
        let (media, schema) = content.iter().next().unwrap();
        assert!(kind.starts_with(media.as_str()), "{context}");
        if media == "application/json" {
            let fault = self.fault(&schema["schema"], &serde_json::from_str(&text).unwrap());
            assert_eq!(fault, None, "{context}");
        }
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
fn ask(proxy: &Proxy, method: &str, path: &str, body: Option<(&str, String)>) -> (u16, String, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let url = format!("http://{}{path}", proxy.admin());
    let answer = match (method, body) {
        ("POST", Some((kind, text))) => agent.post(url).header("content-type", kind).send(text),
        ("DELETE", _) => agent.delete(url).call(),
        _ => agent.get(url).call(),
    };
    let mut answer = answer.unwrap();
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    (answer.status().as_u16(), kind, answer.body_mut().read_to_string().unwrap())
}
