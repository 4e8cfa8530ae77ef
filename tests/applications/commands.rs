//! The commands other than queries and prepared statements.

use oarlock::lab::{APP_PASSWORD, APP_USER};
use oarlock::wire::capability::Capabilities;
use oarlock::wire::reply::Shape;

use crate::raw::{command, packets};
use crate::talk::Talk;

const INIT_DB: u8 = 0x02;
const FIELD_LIST: u8 = 0x04;
const PROCESS_INFO: u8 = 0x0a;
const PROCESS_KILL: u8 = 0x0c;
const DEBUG: u8 = 0x0d;
const PING: u8 = 0x0e;
const CHANGE_USER: u8 = 0x11;
const SET_OPTION: u8 = 0x1b;
const RESET_CONNECTION: u8 = 0x1f;

/// Bytes that are commands compared elsewhere, or that end a session, stop a server, or turn it into a replication source.
const APART: [u8; 16] =
    [0x01, 0x03, 0x04, 0x08, 0x09, 0x0a, 0x0c, 0x11, 0x12, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1c];

/// Each command, known or not.
pub fn every_byte(talk: &mut Talk) {
    talk.quietly("CREATE OR REPLACE TABLE shop.fields (a INT NOT NULL DEFAULT 7, b VARCHAR(9), c BLOB)");
    talk.quietly("SELECT COUNT(*) FROM shop.fields");
    talk.command("INIT_DB", &command(INIT_DB, &[b"mysql"]));
    talk.sql("SELECT DATABASE()");
    talk.command("INIT_DB missing", &command(INIT_DB, &[b"missing"]));
    talk.command("INIT_DB nothing", &command(INIT_DB, &[]));
    talk.command("INIT_DB back", &command(INIT_DB, &[b"shop"]));
    talk.sql("SELECT DATABASE()");
    talk.command("FIELD_LIST", &command(FIELD_LIST, &[b"fields\0%"]));
    talk.command("FIELD_LIST one", &command(FIELD_LIST, &[b"fields\0b"]));
    talk.command("FIELD_LIST missing", &command(FIELD_LIST, &[b"missing\0"]));
    talk.command("FIELD_LIST without NUL", &command(FIELD_LIST, &[b"fields"]));
    talk.command("PING", &command(PING, &[]));
    talk.command("PING with data", &command(PING, &[b"x"]));
    talk.command("PROCESS_KILL nobody", &command(PROCESS_KILL, &[&4_000_000_000_u32.to_le_bytes()]));
    if !talk.raw.is_compressed() {
        // There a server reads on into what was in its buffer before.
        talk.command("PROCESS_KILL short", &command(PROCESS_KILL, &[b"x"]));
    }
    talk.command("DEBUG", &command(DEBUG, &[]));
    for option in [1_u16, 0, 7] {
        talk.command("SET_OPTION", &command(SET_OPTION, &[&option.to_le_bytes()]));
        talk.sql("SELECT 1; SELECT 2");
    }
    talk.command("SET_OPTION on", &command(SET_OPTION, &[&[0, 0]]));
    talk.command("SET_OPTION short", &command(SET_OPTION, &[b"x"]));
    for byte in (0..=255).filter(|byte| !APART.contains(byte)) {
        let payload = if byte == SET_OPTION { command(byte, &[&[0, 0]]) } else { command(byte, &[]) };
        talk.command(&format!("command {byte:#x}"), &payload);
    }
    reset(talk);
    talk.raw.write(&packets(0, b""));
    talk.hear("an empty packet", Shape::Ok);
    talk.sql("SELECT 'still there'");
    // What a node says of itself differs; that the answers are whole is checked.
    talk.raw.command(&command(0x09, &[]));
    talk.raw.command(&command(PROCESS_INFO, &[]));
    talk.pipeline(
        "in one write",
        &[
            command(PING, &[]),
            command(3, &[b"SELECT 1"]),
            command(3, &[b"SET @p = 3"]),
            command(3, &[b"SELECT @p"]),
            command(PING, &[]),
        ],
    );
}

/// Several commands in one write: answers come in their order, also behind errors.
pub fn pipelines(talk: &mut Talk) {
    let sql = |text: &str| command(3, &[text.as_bytes()]);
    talk.quietly("CREATE OR REPLACE TABLE piped (a INT PRIMARY KEY)");
    talk.quietly("SELECT * FROM piped");
    talk.pipeline(
        "reads and writes",
        &[
            sql("INSERT INTO piped VALUES (1)"),
            sql("SELECT * FROM piped"),
            sql("INSERT INTO piped VALUES (1)"),
            sql("SHOW WARNINGS"),
        ],
    );
    talk.pipeline(
        "a transaction",
        &[
            sql("BEGIN"),
            sql("INSERT INTO piped VALUES (2)"),
            sql("SELECT * FROM piped"),
            sql("COMMIT"),
            sql("SELECT * FROM piped"),
        ],
    );
    talk.pipeline(
        "state",
        &[
            sql("SET @a = 1"),
            sql("SET @b = @a + 1"),
            sql("SELECT @a, @b"),
            command(INIT_DB, &[b"mysql"]),
            sql("SELECT DATABASE()"),
            command(RESET_CONNECTION, &[]),
            sql("SELECT DATABASE(), @a"),
            command(INIT_DB, &[b"shop"]),
            sql("SELECT nonsense"),
            sql("SET nonsense = 1"),
            command(PING, &[]),
            command(0x77, &[]),
            sql("SELECT DATABASE()"),
        ],
    );
    let many: Vec<_> = (0..200).map(|number| sql(&format!("SELECT {number}, @a"))).collect();
    talk.pipeline("many", &many);
    let large = sql(&format!("SELECT '{}'", "x".repeat(100_000)));
    talk.pipeline("large answers", &vec![large; 20]);
}

fn reset(talk: &mut Talk) {
    talk.sql("SET NAMES latin1, sql_mode = 'ANSI', @v = 1");
    talk.sql("CREATE TEMPORARY TABLE shop.temporary_one (a INT)");
    talk.command("SET_OPTION off", &command(SET_OPTION, &[&[1, 0]]));
    talk.sql("BEGIN");
    talk.command("RESET_CONNECTION", &command(RESET_CONNECTION, &[]));
    let sql =
        "SELECT DATABASE(), @v, @@sql_mode, @@character_set_client, @@collation_connection, @@character_set_results";
    talk.sql(sql);
    talk.sql("SELECT 1 FROM shop.temporary_one");
    talk.sql("SELECT 1; SELECT 2");
    talk.command("SET_OPTION on", &command(SET_OPTION, &[&[0, 0]]));
    talk.command("PING", &command(PING, &[]));
}

/// COM_CHANGE_USER.
pub fn change_user(talk: &mut Talk, capabilities: Capabilities) {
    let answer = talk.raw.answer(APP_PASSWORD);
    let with_plugin = capabilities.contains(Capabilities::PLUGIN_AUTH);
    let plugin: &[u8] = if with_plugin { b"mysql_native_password\0" } else { b"" };
    let attributes: &[u8] =
        if capabilities.contains(Capabilities::CONNECT_ATTRS) { b"\x0c\x04_pid\x06123456" } else { b"" };
    let state = "SELECT DATABASE(), @v, @@sql_mode, @@character_set_client, @@collation_connection, CURRENT_USER()";
    for (schema, collation) in [("mysql", 8), ("", 45), ("shop", 33)] {
        talk.sql("SET @v = 1");
        let schema = [schema.as_bytes(), b"\0"].concat();
        let payload = [APP_USER.as_bytes(), b"\0\x14", &answer, &schema, &[collation, 0], plugin, attributes];
        talk.change_user("CHANGE_USER", &command(CHANGE_USER, &payload));
        talk.sql(state);
        talk.sql("SELECT 1; SELECT 2");
    }
    if !with_plugin {
        let payload = [APP_USER.as_bytes(), b"\0\x14", &answer, b"mysql\0"];
        talk.change_user("CHANGE_USER without a collation", &command(CHANGE_USER, &payload));
        talk.sql(state);
    }
}

/// A session that kills itself: what it is told before the end.
pub fn suicide(talk: &mut Talk, order: &str) {
    let text = format!("{order} {}", talk.raw.thread);
    talk.raw.send(&command(3, &[text.as_bytes()]));
    let last_words = talk.raw.rest();
    talk.note(order, &last_words);
}
