//! A headless Chromium, driven by its DevTools protocol over a pair of pipes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// One page of a browser that ends with the test.
pub struct Browser {
    child: Child,
    orders: File,
    answers: BufReader<File>,
    /// The session of the page; none while there is no page.
    page: Option<String>,
    last: u64,
    /// What has happened in the page, unasked.
    pub happened: Vec<Value>,
    _folder: tempfile::TempDir,
}

/// The browser takes its orders from descriptor 3, and answers on 4. Everything it may do by itself is turned off.
const START: &str = "exec chromium --headless=new --no-sandbox --disable-gpu --disable-background-networking \
    --disable-component-update --disable-extensions --no-first-run --force-prefers-reduced-motion \
    --remote-debugging-pipe --user-data-dir=profile 3<orders 4>answers";

impl Browser {
    /// Starts it with an empty page.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(Command::new("mkfifo").args([at("orders"), at("answers")]).status().unwrap().success());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "sh", "-c", START]).current_dir(folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // In the order in which the other end opens them.
        let orders = OpenOptions::new().write(true).open(at("orders")).unwrap();
        let answers = BufReader::new(File::open(at("answers")).unwrap());
        let mut browser = Self { child, orders, answers, page: None, last: 0, happened: Vec::new(), _folder: folder };
        let target = browser.order("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.order("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.page = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log", "Accessibility"] {
            browser.order(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Gives an order, and waits for what comes of it.
    pub fn order(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut order = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(page) = &self.page {
            order["sessionId"] = json!(page);
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let mut message = Vec::new();
            self.answers.read_until(0, &mut message).unwrap();
            assert_eq!(message.pop(), Some(0), "Chromium has ended; is it installed? {method}");
            let mut message: Value = serde_json::from_slice(&message).unwrap();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.happened.push(message);
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.order("Runtime.evaluate", parameters);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// A window of this size.
    pub fn resize(&mut self, width: u32, height: u32, mobile: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.order("Emulation.setDeviceMetricsOverride", size);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
