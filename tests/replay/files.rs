//! LOAD DATA LOCAL whose node dies while the file is on its way, or before it has answered.

use std::net::SocketAddrV4;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use oarlock::lab::{Node, until};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::ok::Ok as OkPacket;
use oarlock::wire::packet::{self, HEADER};

use crate::raw::{PLAIN, Raw, command};
use crate::support::connect;

/// Rows of each half of a file. All four halves of two files fit into `replay_bytes_max`.
const ROWS: u32 = 2000;
/// Rows of half of a file that does not, and those of one whose half does.
const TOO_MANY: u32 = 200_000;
const MANY: u32 = 90_000;
/// Until the one that is to wait for a lock does.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A session that is to load a file.
pub struct Loader {
    raw: Raw,
    first: u32,
    rows: u32,
    /// It has sent all of it.
    whole: bool,
    transaction: bool,
    sequence: u8,
}

/// All that load, each with half of its file sent. The last one has sent all, and waits for a lock that `rival` holds.
pub async fn begin(proxy: SocketAddrV4, writer: &Node, rival: &mut mysql_async::Conn) -> Vec<Loader> {
    let mut loaders = Vec::new();
    for (first, rows, before) in [
        (0, ROWS, &[][..]),
        (100_000, ROWS, &["BEGIN"]),
        (200_000, ROWS, &["SET autocommit = 0"]),
        (1_000_000, TOO_MANY, &[]),
        (2_000_000, MANY, &[]),
    ] {
        let mut loader = Loader::begin(proxy, first, rows, before);
        loader.send_rows(first..first + rows);
        loaders.push(loader);
    }
    rival.query_drop("BEGIN").await.unwrap();
    rival.query_drop("INSERT INTO shop.files VALUES (600000)").await.unwrap();
    let mut blocked = Loader::begin(proxy, 600_000, ROWS, &[]);
    blocked.send_rows(600_000..600_000 + 2 * ROWS);
    blocked.end();
    let waits = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS
                 WHERE VARIABLE_NAME = 'Innodb_row_lock_current_waits'";
    assert!(until(WAIT_MAX, || writer.value(waits).unwrap().as_deref() == Some("1")));
    loaders.push(blocked);
    loaders
}

/// Sends what is left, and takes the answers.
pub async fn end(proxy: SocketAddrV4, loaders: Vec<Loader>) {
    let mut conn = connect(proxy).await;
    for mut loader in loaders {
        let (first, rows) = (loader.first, loader.rows);
        if !loader.whole {
            loader.send_rows(first + rows..first + 2 * rows);
            loader.end();
        }
        let answer = loader.raw.packet();
        assert_eq!(answer[3], loader.sequence, "{}", answer.escape_ascii());
        let count = format!(
            "SELECT COUNT(*) FROM shop.files WHERE id BETWEEN {first} AND {first} + 2 * {rows} - 1 LOCK IN SHARE MODE"
        );
        if rows > ROWS {
            let said = String::from_utf8_lossy(&answer[HEADER..]);
            let why = ["longer than replay_bytes_max", "it did not run"];
            assert!(answer[HEADER] == 0xff && why.iter().any(|why| said.contains(why)), "{said}");
            assert_eq!(conn.query_first::<i64, _>(count).await.unwrap(), Some(0));
            continue;
        }
        let ok = OkPacket::parse(&answer[HEADER..]).unwrap();
        assert_eq!(ok.affected_rows, u64::from(2 * rows), "{first}");
        if loader.transaction {
            loader.raw.command(&command(3, &[b"COMMIT"]));
        }
        assert_eq!(conn.query_first::<i64, _>(count).await.unwrap(), Some(i64::from(2 * rows)), "{first}");
    }
}

impl Loader {
    fn begin(proxy: SocketAddrV4, first: u32, rows: u32, before: &[&str]) -> Self {
        let mut raw = Raw::login(proxy, PLAIN | Capabilities::LOCAL_FILES, b"shop");
        for text in before {
            raw.command(&command(3, &[text.as_bytes()]));
        }
        raw.send(&command(3, &[b"LOAD DATA LOCAL INFILE 'rows' INTO TABLE files"]));
        let request = raw.packet();
        assert_eq!(request[HEADER], 0xfb, "{}", request.escape_ascii());
        let sequence = request[3].wrapping_add(1);
        Self { raw, first, rows, whole: false, transaction: !before.is_empty(), sequence }
    }

    /// A packet for each thousand rows.
    fn send_rows(&mut self, rows: std::ops::Range<u32>) {
        let rows: Vec<String> = rows.map(|row| format!("{row}\n")).collect();
        for part in rows.chunks(1000) {
            let mut bytes = Vec::new();
            self.sequence = packet::put_chain(&mut bytes, self.sequence, part.concat().as_bytes());
            self.raw.write(&bytes);
        }
    }

    fn end(&mut self) {
        let mut bytes = Vec::new();
        self.sequence = packet::put_chain(&mut bytes, self.sequence, b"");
        self.raw.write(&bytes);
        self.whole = true;
    }
}
