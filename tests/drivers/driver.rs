//! The drivers: how the script of each is run.

use std::net::SocketAddrV4;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::in_rust;
use super::with_mysql_async::MysqlAsync;
use super::with_sqlx::Sqlx;

/// The checks of a script in their order, each with what came of it.
pub type Checks = Vec<(String, Value)>;

/// A script that takes longer hangs.
pub const SCRIPT_MAX: Duration = Duration::from_secs(120);

/// A driver and its script.
pub struct Driver {
    pub name: &'static str,
    script: Script,
    /// Whether it runs without being asked for.
    default: bool,
}

enum Script {
    /// The program and its arguments; the driver's name, the host and the port come after them, and with TLS the certificates' file.
    Program(&'static [&'static str]),
    /// Of this program.
    Function(fn(SocketAddrV4, Option<&str>) -> Result<Checks, String>),
}

use Script::{Function, Program};

/// Where `make drivers-tools` has put Python's packages.
const PYTHON: &str = "target/drivers/python/bin/python";
const JAVA: &[&str] =
    &["java", "-Dfile.encoding=UTF-8", "-cp", "/usr/share/java/mariadb-java-client.jar", "Checks.java"];
const PHP: Script = Program(&["php", "-d", "mysqli.allow_local_infile=1", "-d", "memory_limit=1G", "checks.php"]);

const DRIVERS: &[Driver] = &[
    Driver { name: "pymysql", script: Program(&["/usr/bin/python3", "checks.py"]), default: true },
    Driver { name: "mysqlclient", script: Program(&[PYTHON, "checks.py"]), default: false },
    Driver { name: "mariadb", script: Program(&[PYTHON, "checks.py"]), default: false },
    Driver { name: "mysql2", script: Program(&["node", "checks.js"]), default: false },
    Driver { name: "mariadb-js", script: Program(&["node", "checks.js"]), default: false },
    Driver { name: "mysqli", script: PHP, default: false },
    Driver { name: "pdo", script: PHP, default: false },
    Driver { name: "connector-j", script: Program(JAVA), default: false },
    Driver { name: "sqlalchemy", script: Program(&[PYTHON, "orm.py"]), default: false },
    Driver { name: "django", script: Program(&[PYTHON, "orm.py"]), default: false },
    Driver { name: "mysql_async", script: Function(in_rust::run::<MysqlAsync>), default: true },
    Driver { name: "sqlx", script: Function(in_rust::run::<Sqlx>), default: true },
];

impl Driver {
    /// Those of a list with commas; all of `all`; the default ones of none.
    pub fn chosen(list: Option<&str>) -> Vec<&'static Self> {
        match list {
            None | Some("") => DRIVERS.iter().filter(|driver| driver.default).collect(),
            Some("all") => DRIVERS.iter().collect(),
            Some(list) => list.split(',').map(Self::named).collect(),
        }
    }

    fn named(name: &str) -> &'static Self {
        let names: Vec<_> = DRIVERS.iter().map(|driver| driver.name).collect();
        let found = DRIVERS.iter().find(|driver| driver.name == name);
        found.unwrap_or_else(|| panic!("no driver {name}, there are: {}, all", names.join(", ")))
    }

    /// Runs the script against an address, with TLS if there are certificates to trust.
    pub fn run(&self, address: SocketAddrV4, ca: Option<&str>) -> Result<Checks, String> {
        let script = match self.script {
            Program(script) => script,
            Function(script) => return script(address, ca),
        };
        let [program, script @ ..] = script else { panic!("{} has no script", self.name) };
        let root = env!("CARGO_MANIFEST_DIR");
        let program = if program.starts_with("target/") { format!("{root}/{program}") } else { (*program).to_owned() };
        let output = Command::new("timeout")
            .args([&SCRIPT_MAX.as_secs().to_string(), &program])
            .current_dir(format!("{root}/tests/drivers/scripts"))
            .args(script)
            .args([self.name, &address.ip().to_string(), &address.port().to_string()])
            .args(ca)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{program}: {error}; `make drivers-tools` installs what drivers need"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let last = text.lines().last().and_then(|line| line.split('\t').next()).unwrap_or("the start");
            return Err(format!("ended after {last}:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        text.lines().map(check).collect()
    }
}

/// `name<TAB>json`.
fn check(line: &str) -> Result<(String, Value), String> {
    let read = line.split_once('\t').and_then(|(name, json)| Some((name.to_owned(), serde_json::from_str(json).ok()?)));
    read.ok_or_else(|| format!("not a check: {line}"))
}
