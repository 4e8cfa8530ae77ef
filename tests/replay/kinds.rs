//! Every kind of statement that may be in a transaction, and what is said before one begins: the same conversations are held twice, and
//! the second time the writer dies in the middle of each. All answers are to be the same, byte by byte.

use std::net::SocketAddrV4;

use oarlock::wire::capability::Capabilities;

use crate::raw::{PLAIN, Raw, command, lines};

const QUERY: u8 = 3;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const LONG_DATA: u8 = 0x18;
const CLOSE: u8 = 0x19;
const RESET: u8 = 0x1a;
const FETCH: u8 = 0x1c;
/// Types of parameters.
const LONG: u8 = 3;
const TEXT: u8 = 253;
/// A read-only cursor.
const CURSOR: u8 = 1;

/// One step of a conversation.
enum Step {
    /// A command, and its answer.
    Ask(Vec<u8>),
    /// A command that has none.
    Tell(Vec<u8>),
    /// The writer dies here, or does not.
    Loss,
}

/// Conversations, each with a session of its own.
pub struct Talks {
    talks: Vec<(Raw, Vec<Step>)>,
    answers: Vec<Vec<u8>>,
    asked: Vec<String>,
}

impl Talks {
    /// The first half of all.
    pub fn begin(proxy: SocketAddrV4) -> Self {
        let mut talks = Self { talks: Vec::new(), answers: Vec::new(), asked: Vec::new() };
        for steps in scripts() {
            let capabilities = PLAIN | Capabilities::LOCAL_FILES;
            talks.talks.push((Raw::login(proxy, capabilities, b"shop"), steps));
        }
        talks.go_on();
        talks
    }

    /// The second half; all answers.
    pub fn end(mut self) -> Vec<(String, Vec<String>)> {
        self.go_on();
        let answers = self.answers.iter().map(|answer| lines(answer));
        self.asked.into_iter().zip(answers).collect()
    }

    fn go_on(&mut self) {
        for (place, (raw, steps)) in self.talks.iter_mut().enumerate() {
            let now = steps.iter().position(|step| matches!(step, Step::Loss)).map_or(steps.len(), |place| place + 1);
            for step in steps.drain(..now) {
                match step {
                    Step::Ask(payload) => {
                        let shown = payload[..payload.len().min(80)].escape_ascii();
                        self.asked.push(format!("talk {place}: {shown}"));
                        self.answers.push(raw.command(&payload));
                    }
                    Step::Tell(payload) => raw.send(&payload),
                    Step::Loss => {}
                }
            }
        }
    }
}

/// The conversations. The rows of each have keys of their own.
fn scripts() -> Vec<Vec<Step>> {
    use Step::Loss;
    let insert = || sql("INSERT INTO shop.kinds VALUES (99, 'not here')");
    let read_only = || sql("SET TRANSACTION READ ONLY");
    let count = || sql("SELECT COUNT(*) FROM shop.kinds WHERE id = 99");
    let rows =
        |from: u32| sql(&format!("SELECT id, b FROM shop.kinds WHERE id BETWEEN {from} AND {} ORDER BY id", from + 99));
    let add = |id: u32| sql(&format!("INSERT INTO shop.kinds VALUES ({id}, 'row')"));
    let (begin, commit) = (|| sql("BEGIN"), || sql("COMMIT"));
    let close = |id: u32| Step::Tell(command(CLOSE, &[&id.to_le_bytes()]));
    let fill = |id: u32, key: u32| execute(id, 0, &[LONG, TEXT], &[&key.to_le_bytes(), b"\x05short"]);
    let to_find = || ask(PREPARE, &[b"SELECT b FROM shop.kinds WHERE id = ?"]);
    let find = |id: u32, key: u32| execute(id, 0, &[LONG], &[&key.to_le_bytes()]);
    let to_fill = || ask(PREPARE, &[b"INSERT INTO shop.kinds VALUES (?, ?)"]);
    vec![
        vec![read_only(), Loss, begin(), insert(), count(), commit(), add(10), rows(10)],
        vec![read_only(), begin(), count(), Loss, insert(), commit(), add(110), rows(110)],
        vec![ask(PREPARE, &[b"SET TRANSACTION READ ONLY"]), execute(1, 0, &[], &[]), Loss, begin(), insert(), commit()],
        vec![
            sql("SET autocommit = 0"),
            read_only(),
            count(),
            Loss,
            insert(),
            commit(),
            add(210),
            sql("ROLLBACK"),
            rows(210),
        ],
        vec![
            sql("PREPARE s FROM 'INSERT INTO shop.kinds VALUES (?, ?)'"),
            begin(),
            sql("SET @id = 310, @b = 'text'"),
            sql("EXECUTE s USING @id, @b"),
            sql("EXECUTE IMMEDIATE 'UPDATE shop.kinds SET b = CONCAT(b, ?) WHERE id = 310' USING @b"),
            Loss,
            sql("EXECUTE s USING @id, @b"),
            sql("SET @id = 311"),
            sql("EXECUTE s USING @id, @b"),
            commit(),
            rows(310),
        ],
        vec![
            begin(),
            sql("LOAD DATA LOCAL INFILE '410,one;411,two' INTO TABLE shop.kinds FIELDS TERMINATED BY ','"),
            sql("LOAD DATA LOCAL INFILE 'empty' INTO TABLE shop.kinds FIELDS TERMINATED BY ','"),
            Loss,
            rows(410),
            commit(),
            rows(410),
        ],
        vec![
            to_fill(),
            begin(),
            data(b"long "),
            data(b"data"),
            with_data(510),
            execute(1, 0, &[LONG, TEXT], &[&511_u32.to_le_bytes(), b"\x05short"]),
            data(b"more "),
            Loss,
            data(b"of it"),
            with_data(512),
            data(b"again"),
            with_data(510),
            ask(RESET, &[&1_u32.to_le_bytes()]),
            execute(1, 0, &[LONG, TEXT], &[&513_u32.to_le_bytes(), b"\x05short"]),
            rows(510),
            commit(),
            rows(510),
        ],
        vec![to_fill(), data(b"by itself"), Loss, with_data(610), rows(610)],
        vec![
            begin(),
            sql("INSERT INTO shop.kinds SELECT 700 + seq, seq FROM shop.seq_1_to_9"),
            ask(PREPARE, &[b"SELECT id, b FROM shop.kinds WHERE id BETWEEN 700 AND 799 ORDER BY id"]),
            execute(1, CURSOR, &[], &[]),
            fetch(1, 2),
            ask(PREPARE, &[b"SELECT b FROM shop.kinds WHERE id = 701"]),
            execute(2, CURSOR, &[], &[]),
            ask(RESET, &[&2_u32.to_le_bytes()]),
            Loss,
            fetch(1, 3),
            fetch(1, 9),
            fetch(2, 1),
            execute(1, CURSOR, &[], &[]),
            fetch(1, 1),
            commit(),
            rows(700),
        ],
        vec![
            begin(),
            sql(&format!("INSERT INTO shop.kinds VALUES (810, '{}')", "long".repeat(60_000))),
            Loss,
            sql("SELECT LENGTH(b), MD5(b) FROM shop.kinds WHERE id = 810"),
            commit(),
            sql("SELECT LENGTH(b) FROM shop.kinds WHERE id = 810"),
        ],
        // As PDO and mysqli do: each statement is prepared, run and closed.
        vec![
            begin(),
            to_fill(),
            fill(1, 910),
            close(1),
            to_find(),
            find(2, 910),
            close(2),
            to_fill(),
            fill(3, 911),
            close(3),
            to_find(),
            Loss,
            find(4, 911),
            close(4),
            find(2, 910),
            to_fill(),
            fill(5, 912),
            close(5),
            commit(),
            rows(910),
        ],
        // Prepared before, with data and a cursor, and run without types.
        vec![
            to_fill(),
            to_find(),
            begin(),
            data(b"long"),
            with_data(1010),
            ask(EXECUTE, &[&1_u32.to_le_bytes(), &[0, 1, 0, 0, 0, 0, 0], &1011_u32.to_le_bytes(), b"\x01a"]),
            close(1),
            execute(2, CURSOR, &[LONG], &[&1010_u32.to_le_bytes()]),
            fetch(2, 1),
            close(2),
            sql("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')"),
            to_fill(),
            fill(3, 1012),
            close(3),
            Loss,
            rows(1010),
            commit(),
            rows(1010),
        ],
    ]
}

fn sql(text: &str) -> Step {
    ask(QUERY, &[text.as_bytes()])
}

fn ask(byte: u8, parts: &[&[u8]]) -> Step {
    Step::Ask(command(byte, parts))
}

/// COM_STMT_EXECUTE with values as in the protocol.
fn execute(id: u32, flags: u8, types: &[u8], values: &[&[u8]]) -> Step {
    let types: Vec<u8> = types.iter().flat_map(|kind| [*kind, 0]).collect();
    // No NULL, and types are told.
    let front: &[u8] = if types.is_empty() { b"" } else { &[0, 1] };
    ask(EXECUTE, &[&id.to_le_bytes(), &[flags, 1, 0, 0, 0], front, &types, &values.concat()])
}

/// The second parameter of the first statement, or a part of it.
fn data(part: &[u8]) -> Step {
    Step::Tell(command(LONG_DATA, &[&1_u32.to_le_bytes(), &1_u16.to_le_bytes(), part]))
}

/// An execute of the first statement, whose second parameter was sent before.
fn with_data(key: u32) -> Step {
    execute(1, 0, &[LONG, TEXT], &[&key.to_le_bytes()])
}

fn fetch(id: u32, rows: u32) -> Step {
    ask(FETCH, &[&id.to_le_bytes(), &rows.to_le_bytes()])
}
