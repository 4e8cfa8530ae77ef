//! Large commands, large values, and local files.

use oarlock::wire::packet::PAYLOAD_MAX;
use oarlock::wire::reply::Shape;

use crate::raw::{command, packets};
use crate::statements::{BLOB, LONG, LONG_DATA, PREPARE, execute};
use crate::talk::Talk;

const TEXT_COMMAND: u8 = 3;
const MIB: usize = 1 << 20;

/// Local files: the test's client takes a file's content from its name.
pub fn local_files(talk: &mut Talk) {
    talk.quietly("CREATE OR REPLACE TABLE shop.lines (a INT PRIMARY KEY, b VARCHAR(9))");
    let load = |content: &str| format!("LOAD DATA LOCAL INFILE '{content}' INTO TABLE lines FIELDS TERMINATED BY ','");
    talk.sql(&load("1,one;2,two;3,three"));
    talk.sql(&load("empty"));
    talk.sql(&format!("{};{}", load("4,four"), load("5,five;6,six")));
    talk.sql(&format!("{};SELECT COUNT(*) FROM lines;{}", load("empty"), load("7,seven")));
    talk.sql(&load("1,again;8,eight"));
    talk.sql("SHOW WARNINGS");
    talk.sql(&load("x,y,z"));
    talk.sql("SHOW WARNINGS");
    talk.sql("LOAD DATA LOCAL INFILE '1' INTO TABLE missing");
    talk.sql("BEGIN");
    talk.sql(&load("9,nine"));
    talk.sql("ROLLBACK");
    talk.sql("SELECT * FROM lines ORDER BY a");
    talk.pipeline(
        "a file, and commands behind it",
        &[command(TEXT_COMMAND, &[load("10,ten").as_bytes()]), command(TEXT_COMMAND, &[b"SELECT COUNT(*) FROM lines"])],
    );
}

/// A statement of exactly this many bytes of payload.
fn query_of(length: usize, head: &str, tail: &str) -> Vec<u8> {
    let filler = vec![b'x'; length - 1 - head.len() - tail.len()];
    command(TEXT_COMMAND, &[head.as_bytes(), &filler, tail.as_bytes()])
}

/// Around the places where packets are split, and where the proxy begins to stream.
pub fn sizes(talk: &mut Talk) {
    talk.quietly("CREATE OR REPLACE TABLE shop.large (a INT PRIMARY KEY, b LONGBLOB)");
    let lengths = [1023, 192 << 10, (192 << 10) + 1, PAYLOAD_MAX - 1, PAYLOAD_MAX, PAYLOAD_MAX + 1, 2 * PAYLOAD_MAX];
    for length in lengths {
        talk.command(&format!("a read of {length}"), &query_of(length, "SELECT LENGTH('", "')"));
    }
    talk.command("an insert of 20 MiB", &query_of(20 * MIB, "INSERT INTO large VALUES (2, '", "')"));
    talk.sql("SELECT a, LENGTH(b), MD5(b) FROM large ORDER BY a");
    talk.sql("SELECT b FROM large WHERE a = 2");
    for length in [PAYLOAD_MAX - 5, PAYLOAD_MAX - 4, PAYLOAD_MAX - 3] {
        // A length of 3 bytes goes before the value: the row's packet is at, below and above the limit.
        talk.sql(&format!("SELECT REPEAT('y', {length})"));
    }

    talk.pipeline(
        "large and small ones in one write",
        &[query_of(300_000, "SELECT LENGTH('", "')"), command(0x0e, &[]), query_of(250_000, "SELECT LENGTH('", "')")],
    );
}

/// Large values as parameters.
pub fn parameters(talk: &mut Talk) {
    talk.quietly("CREATE OR REPLACE TABLE shop.large (a INT PRIMARY KEY, b LONGBLOB)");
    let insert = talk.prepare("INSERT INTO large VALUES (?, ?)");
    let select = talk.prepare("SELECT b FROM large WHERE a = ?");
    let length = talk.prepare("SELECT LENGTH(?), ?");
    let types = [LONG, BLOB];
    let value = |length: usize| {
        let mut value = vec![0xfe];
        value.extend_from_slice(&(length as u64).to_le_bytes());
        value.resize(value.len() + length, b'v');
        value
    };
    let insert_of = |key: u32, length: usize, types: &[u8]| {
        execute(insert, 0, types, &[Some(&key.to_le_bytes()), Some(&value(length))])
    };
    talk.command("a parameter of 300 kB", &insert_of(1, 300_000, &types));
    talk.command("a parameter of 20 MiB, no types", &insert_of(5, 20 * MIB, &[]));
    talk.command("20 MiB back", &execute(select, 0, &[LONG], &[Some(&[5, 0, 0, 0])]));
    let read = |size: usize, types: &[u8]| execute(length, 0, types, &[Some(&value(size)), Some(&[7, 0, 0, 0])]);
    for size in [100_000, 300_000, PAYLOAD_MAX - 30, PAYLOAD_MAX] {
        talk.command(&format!("a read with a parameter of {size}"), &read(size, &[BLOB, LONG]));
    }
    talk.sql("BEGIN");
    talk.command("and in a transaction, no types", &read(17 * MIB, &[]));
    talk.sql("COMMIT");
    talk.command("and again, no types", &read(17 * MIB, &[]));
    for size in [6 * MIB, PAYLOAD_MAX] {
        talk.raw.send(&command(LONG_DATA, &[&length.to_le_bytes(), &[0, 0], &vec![b'l'; size]]));
    }
    let mut with = execute(length, 0, &[BLOB, LONG], &[None, Some(&[7, 0, 0, 0])]);
    with[10] = 0;
    talk.command("with long data", &with);
    talk.sql("SELECT a, LENGTH(b), MD5(b) FROM large ORDER BY a");
    let text = [b"SELECT LENGTH('".to_vec(), vec![b't'; 1 << 20], b"')".to_vec()].concat();
    let long = talk.command("PREPARE of a long text", &command(PREPARE, &[&text]));
    let id = u32::from_le_bytes(long[5..9].try_into().unwrap());
    talk.command("EXECUTE of a long text", &execute(id, 0, &[], &[]));
}

/// A client whose bytes come one by one.
pub fn drop_by_drop(talk: &mut Talk) {
    talk.quietly("CREATE OR REPLACE TABLE shop.lines (a INT PRIMARY KEY, b VARCHAR(9))");
    for sql in ["SELECT 'drop by drop'", "INSERT INTO lines VALUES (1, 'x')", "SELECT * FROM lines"] {
        for byte in packets(0, &command(TEXT_COMMAND, &[sql.as_bytes()])) {
            talk.raw.write(&[byte]);
        }
        talk.hear(sql, Shape::Results);
    }
}
