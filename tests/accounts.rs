//! Does the proxy let in whom the server lets in, and refuse in the same words?
//!
//! A real server is the oracle: for each user, source address, password and schema the same login goes to the server directly
//! and to `Accounts::admit` with a snapshot loaded from that server. What `admit` lets in must also get in at the server with
//! nothing but what `admit` made of the client's answer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use oarlock::auth::accounts::Accounts;
use oarlock::auth::admit::Login;
use oarlock::auth::load::{Service, load};
use oarlock::auth::native::{Sha1Password, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What a login came to: the server's code, SQLSTATE and text, or in.
type Verdict = Result<(), (u16, String, String)>;

// === the server ===

struct Server {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let install = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"];
        let done = Command::new("mariadb-install-db")
            .args(install)
            .arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(folder.path(), port, options);
        let server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(server.address).await.is_err() {
            assert!(Instant::now() < deadline, "the server does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    async fn root(&self) -> mysql_async::Conn {
        let options = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.address.port())
            .user(Some("root"))
            .prefer_socket(false);
        mysql_async::Conn::new(mysql_async::Opts::from(options)).await.unwrap()
    }

    async fn run(&self, statements: &str) {
        let mut root = self.root().await;
        for statement in statements.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            root.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    async fn snapshot(&self) -> Accounts {
        let service = Service { user: "maxuser".into(), password: "SecretP@ssw0rd".into() };
        load(&self.address.to_string(), &service).await.unwrap().with_generation(1)
    }
}

fn spawn(folder: &Path, port: u16, options: &[&str]) -> Child {
    Command::new("mariadbd")
        .args(["--no-defaults", "--user=root", "--bind-address=*", "--max-connect-errors=1000000"])
        .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--plugin-load-add=auth_ed25519"])
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg(format!("--socket={}", folder.join("socket").display()))
        .arg(format!("--port={port}"))
        .args(options)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

// === a client that does one login ===

/// How a client answers a challenge.
#[derive(Clone, Copy)]
struct Client<'a> {
    user: &'a str,
    from: IpAddr,
    password: Option<&'a Sha1Password>,
    schema: Option<&'a str>,
}

impl Client<'_> {
    fn answer(&self, scramble: &[u8; 20]) -> Vec<u8> {
        self.password.map(|password| answer(password, scramble).to_vec()).unwrap_or_default()
    }

    async fn login(&self, server: SocketAddr) -> Verdict {
        let server = if self.from.is_ipv6() { SocketAddr::from((self.from, server.port())) } else { server };
        let socket = if self.from.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        let (_, greeting) = receive(&mut stream).await;
        refused(&greeting)?;
        send(&mut stream, 1, &self.response(&scramble_of_greeting(&greeting))).await;
        loop {
            let (sequence, packet) = receive(&mut stream).await;
            refused(&packet)?;
            match packet[0] {
                0 => return Ok(()),
                0xfe => {
                    let end = packet.iter().position(|byte| *byte == 0).unwrap();
                    let reply = match &packet[1..end] {
                        b"mysql_native_password" => self.answer(packet[end + 1..end + 21].try_into().unwrap()),
                        // A wrong signature, or the empty password.
                        b"client_ed25519" => self.password.map(|_| vec![0; 64]).unwrap_or_default(),
                        _ => vec![0],
                    };
                    send(&mut stream, sequence + 1, &reply).await;
                }
                other => panic!("unexpected packet {other:#x}"),
            }
        }
    }

    fn response(&self, scramble: &[u8; 20]) -> Vec<u8> {
        // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CLIENT_MYSQL; CONNECT_WITH_DB.
        let capabilities: u32 = 1 | 1 << 9 | 1 << 15 | 1 << 19 | if self.schema.is_some() { 1 << 3 } else { 0 };
        let mut packet = capabilities.to_le_bytes().to_vec();
        packet.extend((1u32 << 24).to_le_bytes());
        packet.push(45);
        packet.extend([0; 23]);
        packet.extend(self.user.as_bytes());
        packet.push(0);
        let answer = self.answer(scramble);
        packet.push(answer.len() as u8);
        packet.extend(answer);
        if let Some(schema) = self.schema {
            packet.extend(schema.as_bytes());
            packet.push(0);
        }
        packet.extend(b"mysql_native_password\0");
        packet
    }
}

fn scramble_of_greeting(greeting: &[u8]) -> [u8; 20] {
    let at = greeting.iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut scramble = [0; 20];
    scramble[..8].copy_from_slice(&greeting[at..at + 8]);
    scramble[8..].copy_from_slice(&greeting[at + 27..at + 39]);
    scramble
}

fn refused(packet: &[u8]) -> Verdict {
    if packet[0] != 0xff {
        return Ok(());
    }
    let code = u16::from_le_bytes([packet[1], packet[2]]);
    let text = String::from_utf8_lossy(&packet[3..]).into_owned();
    // Before the greeting there is no SQLSTATE.
    let (state, text) = match text.strip_prefix('#') {
        Some(text) => text.split_at(5),
        None => ("HY000", &*text),
    };
    Err((code, state.into(), text.into()))
}

async fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.unwrap();
    let mut packet = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut packet).await.unwrap();
    (header[3], packet)
}

async fn send(stream: &mut TcpStream, sequence: u8, packet: &[u8]) {
    let mut bytes = (packet.len() as u32).to_le_bytes();
    bytes[3] = sequence;
    stream.write_all(&[&bytes, packet].concat()).await.unwrap();
}

// === the comparison ===

const SCRAMBLE: &[u8; 20] = b"a scramble, 20 bytes";

fn admit<'a>(
    accounts: &'a Accounts,
    client: &Client,
    proxy: IpAddr,
) -> Result<oarlock::auth::admit::Admitted<'a>, (u16, String, String)> {
    let (user, answer) = (client.user.as_bytes(), client.answer(SCRAMBLE));
    let schema = client.schema.map(str::as_bytes);
    let login = Login { user, client: client.from, proxy, scramble: SCRAMBLE, answer: &answer, schema };
    accounts
        .admit(&login)
        .map_err(|fault| (fault.code, String::from_utf8_lossy(&fault.state).into_owned(), fault.message.into_string()))
}

/// The proxy's refusals may go on with a reason, where the server's end; what the node says itself at login is not the proxy's to say.
fn agree(server: &Verdict, proxy: &Verdict) -> bool {
    match (server, proxy) {
        (Ok(()), Ok(())) => true,
        (Err((1049 | 1102, ..)), Ok(())) => true,
        (Err(server), Err(proxy)) => {
            let (said, text) = (&proxy.2, &server.2);
            (server.0, &server.1) == (proxy.0, &proxy.1)
                && (said == text || said.strip_prefix(&**text).is_some_and(|rest| rest.starts_with(": ")))
        }
        _ => false,
    }
}

/// Compares all combinations; a schema is tried only where the login without one succeeds. Returns how often which code was seen.
async fn compare(
    server: &Server,
    users: &[&str],
    addresses: &[&str],
    passwords: &[&str],
    schemas: &[&str],
) -> BTreeMap<u16, usize> {
    let accounts = server.snapshot().await;
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for user in users {
        for from in addresses.iter().map(|address| address.parse().unwrap()) {
            for typed in passwords {
                let password = Sha1Password::of(typed.as_bytes());
                let mut open = vec![None];
                while let Some(schema) = open.pop() {
                    let client = Client { user, from, password: password.as_ref(), schema };
                    let direct = client.login(server.address).await;
                    let admitted = admit(&accounts, &client, from);
                    *seen.entry(direct.as_ref().err().map_or(0, |error| error.0)).or_insert(0) += 1;
                    let verdict = admitted.as_ref().map(|_| ()).map_err(Clone::clone);
                    // To somebody it doesn't know the server plays an account picked by chance, whose plugin decides the text.
                    let unknown = accounts.lookup(user.as_bytes(), from).is_none();
                    let played =
                        unknown && matches!(direct, Err((1045 | 1698, ..))) && matches!(verdict, Err((1045, ..)));
                    if !agree(&direct, &verdict) && !played {
                        wrong.push(format!(
                            "{user} from {from} with {typed:?} to {schema:?}\n  server {direct:?}\n  proxy  {verdict:?}"
                        ));
                    } else if schema.is_none() && direct.is_ok() {
                        open.extend(schemas.iter().map(|schema| Some(*schema)));
                        let known = admitted.unwrap().password;
                        let again = Client { password: known.as_ref(), ..client };
                        assert_eq!(again.login(server.address).await, Ok(()), "{user} with what the proxy knows");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    seen
}

const SERVICE: &str = "
CREATE USER maxuser@'%' IDENTIFIED BY 'SecretP@ssw0rd';
GRANT SELECT ON mysql.* TO maxuser@'%';
GRANT SHOW DATABASES ON *.* TO maxuser@'%';
GRANT SUPER ON *.* TO maxuser@'%';
";

const HOSTS: &str = r"
CREATE USER spec@'%' IDENTIFIED BY 'alpha';
CREATE USER spec@'127.%' IDENTIFIED BY 'beta';
CREATE USER spec@'127.1.%' IDENTIFIED BY 'gamma';
CREATE USER spec@'127.1.2._' IDENTIFIED BY 'beta';
CREATE USER spec@'127.1.2.3' IDENTIFIED BY 'alpha';
CREATE USER net@'127.0.0.0/255.0.0.0' IDENTIFIED BY 'alpha';
CREATE USER net@'127.1.2.0/255.255.255.0' IDENTIFIED BY 'beta';
CREATE USER net@'127.1.2.3/255.255.255.255' IDENTIFIED BY 'gamma';
CREATE USER hostbits@'127.1.2.9/255.255.255.0' IDENTIFIED BY 'alpha';
CREATE USER zeromask@'0.0.0.0/0.0.0.0' IDENTIFIED BY 'alpha';
CREATE USER prefix@'127.1.2.0/24' IDENTIFIED BY 'alpha';
CREATE USER mixed@'127.1.2.0/255.255.255.0' IDENTIFIED BY 'alpha';
CREATE USER mixed@'127.1.2.%' IDENTIFIED BY 'beta';
CREATE USER mixed@'127.1.%.3' IDENTIFIED BY 'gamma';
CREATE USER under@'127._.2.3' IDENTIFIED BY 'alpha';
CREATE USER under@'127.1.2.%' IDENTIFIED BY 'beta';
CREATE USER esc@'127.1.2.\\_' IDENTIFIED BY 'alpha';
CREATE USER six@'::1' IDENTIFIED BY 'alpha';
CREATE USER six@'::%' IDENTIFIED BY 'beta';
CREATE USER sixany@'%' IDENTIFIED BY 'alpha';
CREATE USER local@localhost IDENTIFIED BY 'alpha';
CREATE USER local@'127.0.0.1' IDENTIFIED BY 'beta';
CREATE USER named@'app.example.com' IDENTIFIED BY 'alpha';
CREATE USER named@'%' IDENTIFIED BY 'beta';
CREATE USER `Case`@'%' IDENTIFIED BY 'alpha';
CREATE USER `case`@'%' IDENTIFIED BY 'beta';
CREATE USER `müller`@'%' IDENTIFIED BY 'alpha';
CREATE USER `日本`@'127.1.%' IDENTIFIED BY 'beta';
CREATE USER `o'brien`@'%' IDENTIFIED BY 'alpha';
CREATE USER empty@'%';
CREATE USER empty@'127.1.%' IDENTIFIED BY 'alpha';
CREATE USER ''@'127.9.%';
CREATE USER ''@'127.8.8.8' IDENTIFIED BY 'beta';
CREATE USER shadowed@'%' IDENTIFIED BY 'alpha';
CREATE USER shadowed@'127.8.8.8' IDENTIFIED BY 'alpha';
";

const WAYS_IN: &str = "
CREATE USER locked@'%' IDENTIFIED BY 'alpha' ACCOUNT LOCK;
CREATE USER lockedempty@'%' ACCOUNT LOCK;
CREATE USER expired@'%' IDENTIFIED BY 'alpha' PASSWORD EXPIRE;
CREATE USER tls@'%' IDENTIFIED BY 'alpha' REQUIRE SSL;
CREATE USER x509@'%' IDENTIFIED BY 'alpha' REQUIRE X509;
CREATE USER subject@'%' IDENTIFIED BY 'alpha' REQUIRE SUBJECT '/CN=x';
CREATE USER notls@'%' IDENTIFIED BY 'alpha' REQUIRE NONE;
CREATE USER tlslocked@'%' IDENTIFIED BY 'alpha' REQUIRE SSL ACCOUNT LOCK;
CREATE USER sock@'%' IDENTIFIED VIA unix_socket;
CREATE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('alpha');
CREATE USER nativeorsock@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('alpha') OR unix_socket;
CREATE USER sockornative@'%' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('alpha');
CREATE USER edornative@'%' IDENTIFIED VIA ed25519 USING PASSWORD('beta') OR mysql_native_password USING PASSWORD('alpha');
CREATE USER nativeored@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('alpha') OR ed25519 USING PASSWORD('beta');
CREATE USER twonatives@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('alpha') OR mysql_native_password USING PASSWORD('beta');
CREATE USER invalid@'%' IDENTIFIED VIA mysql_native_password USING 'invalid';
";

const GRANTS: &str = r"
CREATE DATABASE app;
CREATE DATABASE App;
CREATE DATABASE app_1;
CREATE DATABASE appx1;
CREATE DATABASE secret;
CREATE DATABASE pub;
CREATE DATABASE `größe`;
CREATE TABLE secret.t (a INT, b INT);
CREATE PROCEDURE secret.p() DO 1;
CREATE FUNCTION secret.f() RETURNS INT RETURN 1;
CREATE USER everything@'%' IDENTIFIED BY 'alpha';
GRANT ALL ON *.* TO everything@'%';
CREATE USER globalselect@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON *.* TO globalselect@'%';
CREATE USER globaltrigger@'%' IDENTIFIED BY 'alpha';
GRANT TRIGGER ON *.* TO globaltrigger@'%';
CREATE USER admin@'%' IDENTIFIED BY 'alpha';
GRANT SUPER, SHOW DATABASES, PROCESS, RELOAD, REPLICATION SLAVE, CREATE USER, FILE ON *.* TO admin@'%';
CREATE USER usage_only@'%' IDENTIFIED BY 'alpha';
CREATE USER db@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON app.* TO db@'%';
CREATE USER dbescaped@'%' IDENTIFIED BY 'alpha';
GRANT CREATE ON `app\_1`.* TO dbescaped@'%';
CREATE USER dbwild@'%' IDENTIFIED BY 'alpha';
GRANT DELETE HISTORY ON `app_1`.* TO dbwild@'%';
CREATE USER dbpercent@'%' IDENTIFIED BY 'alpha';
GRANT EVENT ON `ap%`.* TO dbpercent@'%';
CREATE USER dbumlaut@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON `gr__e`.* TO dbumlaut@'%';
CREATE USER dbumlautbytes@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON `gr____e`.* TO dbumlautbytes@'%';
CREATE USER dbupper@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON App.* TO dbupper@'%';
CREATE USER grantonly@'%' IDENTIFIED BY 'alpha';
GRANT USAGE ON app.* TO grantonly@'%' WITH GRANT OPTION;
CREATE USER tbl@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON secret.t TO tbl@'%';
CREATE USER col@'%' IDENTIFIED BY 'alpha';
GRANT SELECT (a) ON secret.t TO col@'%';
CREATE USER proc@'%' IDENTIFIED BY 'alpha';
GRANT EXECUTE ON PROCEDURE secret.p TO proc@'%';
CREATE USER func@'%' IDENTIFIED BY 'alpha';
GRANT EXECUTE ON FUNCTION secret.f TO func@'%';
CREATE USER wasgranted@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON secret.t TO wasgranted@'%';
REVOKE SELECT ON secret.t FROM wasgranted@'%';
GRANT SELECT ON app.* TO wasgranted@'%';
REVOKE SELECT ON app.* FROM wasgranted@'%';
CREATE USER mysqldb@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON mysql.user TO mysqldb@'%';
CREATE USER dbhost@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON app.* TO dbhost@'%';
CREATE USER dbhost@'127.1.%' IDENTIFIED BY 'alpha';
CREATE USER tblhost@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON secret.t TO tblhost@'%';
CREATE USER tblhost@'127.1.%' IDENTIFIED BY 'alpha';
GRANT SELECT ON app_1.* TO ''@'127.9.%';
GRANT SELECT ON secret.t TO ''@'127.9.%';
CREATE USER alsoanon@'%' IDENTIFIED BY 'alpha';
GRANT SELECT ON app.* TO alsoanon@'%';
CREATE USER alsoanon@'127.9.9.9' IDENTIFIED BY 'alpha';
";

const ROLES: &str = "
CREATE ROLE r_db;
GRANT SELECT ON app.* TO r_db;
CREATE ROLE r_nested;
GRANT r_db TO r_nested;
CREATE ROLE r_deeper;
GRANT r_nested TO r_deeper;
CREATE ROLE r_table;
GRANT SELECT ON secret.t TO r_table;
CREATE ROLE r_nestedtable;
GRANT r_table TO r_nestedtable;
CREATE ROLE r_proc;
GRANT EXECUTE ON PROCEDURE secret.p TO r_proc;
CREATE ROLE r_global;
GRANT SELECT ON *.* TO r_global;
CREATE ROLE r_nestedglobal;
GRANT r_global TO r_nestedglobal;
GRANT SELECT ON pub.* TO PUBLIC;
CREATE USER rdb@'%' IDENTIFIED BY 'alpha';
GRANT r_db TO rdb@'%';
SET DEFAULT ROLE r_db FOR rdb@'%';
CREATE USER rnested@'%' IDENTIFIED BY 'alpha';
GRANT r_nested TO rnested@'%';
SET DEFAULT ROLE r_nested FOR rnested@'%';
CREATE USER rdeeper@'%' IDENTIFIED BY 'alpha';
GRANT r_deeper TO rdeeper@'%';
SET DEFAULT ROLE r_deeper FOR rdeeper@'%';
CREATE USER rtable@'%' IDENTIFIED BY 'alpha';
GRANT r_table TO rtable@'%';
SET DEFAULT ROLE r_table FOR rtable@'%';
CREATE USER rnestedtable@'%' IDENTIFIED BY 'alpha';
GRANT r_nestedtable TO rnestedtable@'%';
SET DEFAULT ROLE r_nestedtable FOR rnestedtable@'%';
CREATE USER rproc@'%' IDENTIFIED BY 'alpha';
GRANT r_proc TO rproc@'%';
SET DEFAULT ROLE r_proc FOR rproc@'%';
CREATE USER rglobal@'%' IDENTIFIED BY 'alpha';
GRANT r_nestedglobal TO rglobal@'%';
SET DEFAULT ROLE r_nestedglobal FOR rglobal@'%';
CREATE USER rnodefault@'%' IDENTIFIED BY 'alpha';
GRANT r_db TO rnodefault@'%';
CREATE USER rrevoked@'%' IDENTIFIED BY 'alpha';
GRANT r_db TO rrevoked@'%';
SET DEFAULT ROLE r_db FOR rrevoked@'%';
REVOKE r_db FROM rrevoked@'%';
CREATE USER rindirect@'%' IDENTIFIED BY 'alpha';
GRANT r_db TO rindirect@'%';
GRANT r_nested TO rindirect@'%';
SET DEFAULT ROLE r_db FOR rindirect@'%';
REVOKE r_db FROM rindirect@'%';
CREATE USER rhost@'%' IDENTIFIED BY 'alpha';
GRANT r_db TO rhost@'%';
CREATE USER rhost@'127.1.%' IDENTIFIED BY 'alpha';
GRANT r_db TO rhost@'127.1.%';
SET DEFAULT ROLE r_db FOR rhost@'127.1.%';
REVOKE r_db FROM rhost@'127.1.%';
CREATE USER r_db@'%' IDENTIFIED BY 'alpha';
";

const SCHEMAS: [&str; 18] = [
    "",
    "app",
    "App",
    "APP",
    "app_1",
    "appx1",
    "secret",
    "pub",
    "größe",
    "mysql",
    "information_schema",
    "INFORMATION_SCHEMA",
    "performance_schema",
    "sys",
    "nosuch",
    "app ",
    "apples",
    "a_very_long_name_of_a_schema_that_has_more_than_64_characters_in_it",
];

/// All user names of these statements, and some that are not there.
fn users<'a>(statements: &[&'a str]) -> Vec<&'a str> {
    let mut users = vec!["", "nobody", "ROOT", "root"];
    for part in statements.iter().flat_map(|text| text.split("CREATE USER ")).skip(1) {
        let name = part.split('@').next().unwrap().trim_matches(['`', '\'']);
        if !name.contains(char::is_whitespace) && !users.contains(&name) {
            users.push(name);
        }
    }
    users
}

#[tokio::test]
async fn the_proxy_decides_as_the_server() {
    let server = Server::start(&["--skip-name-resolve"]).await;
    let statements = [SERVICE, HOSTS, WAYS_IN, GRANTS, ROLES];
    server.run(&statements.concat()).await;
    let users = users(&statements);
    let addresses = ["127.0.0.1", "127.1.2.3", "127.1.2.44", "127.9.9.9", "127.8.8.8", "::1"];
    let seen = compare(&server, &users, &addresses, &["", "alpha", "beta", "gamma"], &SCHEMAS).await;
    println!("{} users, verdicts by code: {seen:?}", users.len());
    for code in [0, 1044, 1045, 1049, 1102, 1698, 4151] {
        assert!(seen.contains_key(&code), "{code} never came up: {seen:?}");
    }
}
