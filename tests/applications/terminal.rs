//! The `mariadb` client at a terminal: prompt, status, completion, Ctrl-C.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oarlock::lab::{APP_PASSWORD, APP_USER, Lab, until};

use crate::support::Proxy;

const SOON: Duration = Duration::from_secs(15);
const CTRL_C: &str = "\x03";
const PROMPT: &str = "MariaDB [shop]> ";

/// A client on a terminal of its own.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
    /// How much of the screen has been looked at.
    seen: usize,
}

impl Terminal {
    fn open(proxy: &Proxy) -> Self {
        let (host, port) = (proxy.address().ip().to_string(), proxy.address().port().to_string());
        let client = format!("mariadb --no-defaults -h{host} -P{port} -u{APP_USER} -p{APP_PASSWORD} shop");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "script", "-qefc", &client, "/dev/null"])
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keyboard = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let screen = Arc::new(Mutex::new(String::new()));
        let writer = screen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                writer.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, keyboard, screen, seen: 0 }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until the screen shows this behind what has been seen.
    fn expect(&mut self, text: &str) {
        let find = || self.screen.lock().unwrap().get(self.seen..).and_then(|rest| rest.find(text));
        assert!(until(SOON, || find().is_some()), "no {text:?} in {:?}", &self.screen.lock().unwrap()[self.seen..]);
        self.seen += find().unwrap() + text.len();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn all(lab: &Lab, proxy: &Proxy) {
    proxy.sql("CREATE OR REPLACE TABLE shop.completed_by_tab (a INT); SELECT * FROM shop.completed_by_tab");
    let mut terminal = Terminal::open(proxy);
    terminal.expect("Welcome to the MariaDB monitor");
    terminal.expect(PROMPT);
    terminal.press("\\s\n");
    for line in ["Connection id:", "Current user:", "Server version:", "Threads:", PROMPT] {
        terminal.expect(line);
    }
    terminal.press("SELECT COUNT(*) FROM completed_by\t");
    terminal.expect("completed_by_tab");
    terminal.press(";\n");
    terminal.expect("1 row in set");
    terminal.expect(PROMPT);
    interrupt(lab, &mut terminal);
    terminal.press("SELECT 40 + 2 AS answer, DATABASE();\n");
    terminal.expect("42 | shop");
    terminal.expect(PROMPT);
    terminal.press("exit\n");
    terminal.expect("Bye");
}

/// Ctrl-C ends the statement and not the session, on a reader and on the writer.
fn interrupt(lab: &Lab, terminal: &mut Terminal) {
    for (sql, sleep) in [("SELECT SLEEP(30)", 30), ("SELECT SLEEP(31) FOR UPDATE", 31), ("BEGIN; SELECT SLEEP(32)", 32)]
    {
        terminal.press(&format!("{sql};\n"));
        // This one, not the one before it on its way out.
        let asleep = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep' AND info LIKE '%SLEEP({sleep})%'"
        );
        let sleeps = || lab.nodes().iter().any(|node| node.value(&asleep).unwrap().as_deref() == Some("1"));
        assert!(until(SOON, sleeps), "{sql} does not run");
        terminal.press(CTRL_C);
        terminal.expect("ERROR 1317 (70100): Query execution was interrupted");
        terminal.expect(PROMPT);
    }
    terminal.press("COMMIT;\n");
    terminal.expect("Query OK");
    terminal.expect(PROMPT);
}
