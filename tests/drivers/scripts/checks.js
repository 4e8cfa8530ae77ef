// What Node.js applications do, by the driver named first. Prints a line a check: its name, a tab, what came of it as JSON.
//
//     checks.js mysql2|mariadb-js HOST PORT [CA]
//
// The account is app, the schema is `driven`. With CA, a file of certificates, all of it goes in TLS, verified by them. The same script against a server and against a proxy must print the same.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');
const installed = require('module').createRequire(path.join(__dirname, '../../../target/drivers/node/'));

const [name, host, port, ca] = process.argv.slice(2);
const TLS = ca ? { ssl: { ca: fs.readFileSync(ca) } } : {};
const APP = { user: 'app', password: 'app-secret' };
const OTHER = { user: 'other', password: 'other-secret' };
const BIG = 20 << 20;
const sleep = milliseconds => new Promise(done => setTimeout(done, milliseconds));

/** The statements of a file with their names. */
function sections(file) {
  const parts = fs.readFileSync(path.join(__dirname, file), 'utf8').split(/^-- (.*)\n/m);
  const found = [];
  for (let at = 1; at < parts.length; at += 2) found.push([parts[at], parts[at + 1].trim()]);
  return found;
}

const sha1 = data => crypto.createHash('sha1').update(data).digest('hex');

/** A value with its type, as JSON has it. */
function plain(value) {
  if (value === undefined) return ['undefined'];
  if (typeof value === 'bigint') return ['bigint', value.toString()];
  if (typeof value === 'number') return Number.isFinite(value) ? value : ['number', String(value)];
  if (typeof value === 'string') return value.length < 2000 ? value : ['string', value.length, sha1(value)];
  if (Buffer.isBuffer(value)) return ['buffer', value.length < 200 ? value.toString('hex') : [value.length, sha1(value)]];
  if (value instanceof Date) return ['date', isNaN(value) ? 'invalid' : value.toISOString()];
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).filter(([, each]) => typeof each !== 'function').map(([key, each]) => [key, plain(each)]));
  }
  return value;
}

const error = fault => ['error', fault.errno, fault.sqlState, fault.sqlMessage ?? fault.message, fault.code];

class Mysql2 {
  api = installed('mysql2/promise');

  options({ foundRows = false, infile = false, ...more }) {
    return {
      ...APP, ...TLS, host, port, database: 'driven', multipleStatements: true, supportBigNumbers: true, bigNumberStrings: true, jsonStrings: true,
      flags: [foundRows ? 'FOUND_ROWS' : '-FOUND_ROWS'],
      infileStreamFactory: infile ? file => fs.createReadStream(file) : undefined,
      ...more,
    };
  }
  connect(options) { return this.api.createConnection(options); }
  pool(options) { return this.api.createPool({ ...options, connectionLimit: 3 }); }
  id(conn) { return conn.threadId ?? conn.connection.threadId; }
  version(conn) { return conn.connection._handshakePacket?.serverVersion ?? conn.connection.serverVersion; }
  columns(fields) { return fields && plain(fields.map(field => field && (Array.isArray(field) ? this.columns(field) : [field.name, field.columnType, field.columnLength, field.flags, field.characterSet, field.decimals, field.table, field.orgName]))); }
  shape([rows, fields]) { return [plain(rows), this.columns(fields)]; }
  query(conn, sql, values) { return conn.query({ sql, rowsAsArray: true }, values).then(found => this.shape(found)); }
  execute(conn, sql, values) { return conn.execute({ sql, rowsAsArray: true }, values).then(found => this.shape(found)); }
  stream(conn, sql) { return conn.connection.query(sql).stream(); }
  async batch(conn, sql, rows) { return this.query(conn, sql.replace(/\(\?.*\)/, '?'), [rows]); }
  prepare(conn, sql) { return conn.prepare(sql).then(statement => ({ execute: values => statement.execute(values).then(([rows]) => plain(rows)), close: () => statement.close() })); }
  reset(conn) { return conn.reset(); }
}

class MariaDB {
  api = installed('mariadb');

  options({ foundRows = false, infile = false, ...more }) {
    return { ...APP, ...TLS, host, port: Number(port), database: 'driven', multipleStatements: true, foundRows, permitLocalInfile: infile, checkDuplicate: false, ...more };
  }
  connect(options) { return this.api.createConnection(options); }
  pool(options) { return this.api.createPool({ ...options, connectionLimit: 3, resetAfterUse: true, noControlAfterUse: false }); }
  id(conn) { return conn.threadId; }
  version(conn) { return conn.serverVersion(); }
  shape(found) { return [plain(found), found && found.meta ? plain(found.meta.map(column => [column.name(), column.type, column.columnLength, column.flags, column.scale, column.table(), column.orgName()])) : null]; }
  query(conn, sql, values) { return conn.query({ sql, rowsAsArray: true, metaAsArray: false }, values).then(found => this.shape(found)); }
  execute(conn, sql, values) { return conn.execute({ sql, rowsAsArray: true, metaAsArray: false }, values).then(found => this.shape(found)); }
  stream(conn, sql) { return conn.queryStream(sql); }
  batch(conn, sql, rows) { return conn.batch(sql, rows).then(plain); }
  prepare(conn, sql) { return conn.prepare(sql).then(statement => ({ execute: values => statement.execute(values).then(plain), close: () => statement.close() })); }
  reset(conn) { return conn.reset(); }
}

const driver = name === 'mysql2' ? new Mysql2() : new MariaDB();
let opened = [];

async function open(options = {}) {
  const conn = await driver.connect(driver.options(options));
  conn.on('error', () => {});
  opened.push(conn);
  return conn;
}
const attempt = promise => Promise.resolve(promise).catch(error);
const run = (conn, sql, values) => attempt(driver.query(conn, sql, values));
const execute = (conn, sql, values = []) => attempt(driver.execute(conn, sql, values));
async function all(conn, ...statements) {
  const found = [];
  for (const sql of statements) found.push(await run(conn, sql));
  return found;
}
async function value(conn, sql) {
  const found = await driver.query(conn, sql);
  return found[0][0][0];
}
async function until(condition) {
  for (const end = Date.now() + 20000; !(await condition()); await sleep(20)) {
    if (Date.now() > end) throw new Error('it never came to be');
  }
}

const VALUES = [
  null, 0, -1, 2 ** 31, 2 ** 53, 1.5, -0.25, true, '', 'it\'s \\ "quoted" ? ü😀\n\0', Buffer.from([0, 255, 39, 92, 10]),
  new Date(Date.UTC(2024, 1, 29, 1, 2, 3, 456)), 9223372036854775807n, 18446744073709551615n, 'x'.repeat(70000),
];

const checks = {
  async server_version() { return driver.version(await open()); },
  async initial_schema() {
    const conn = await open({ database: undefined });
    return [await all(conn, 'SELECT DATABASE()', 'SELECT * FROM many', 'USE driven', 'SELECT DATABASE()'), await attempt(open({ database: 'nowhere' }))];
  },
  async refused_logins() {
    const found = [];
    for (const account of [{ user: 'app', password: 'wrong' }, { user: 'app', password: '' }, { user: 'nobody', password: 'x' }]) found.push(await attempt(open(account)));
    return found;
  },
  async client_charsets() {
    const found = [];
    for (const charset of ['UTF8MB4_UNICODE_CI', 'LATIN1_SWEDISH_CI', 'UTF8MB4_GENERAL_CI', 'CP1250_GENERAL_CI']) {
      const conn = await attempt(open(name === 'mysql2' ? { charset } : { collation: charset }));
      found.push(Array.isArray(conn) ? conn : await all(conn, 'SELECT @@character_set_client, @@character_set_results, @@collation_connection', "SELECT 'ó', HEX('ó')", 'SELECT latin FROM texts ORDER BY id'));
    }
    return found;
  },
  async set_names() {
    return all(await open(), "SET NAMES utf8mb4 COLLATE utf8mb4_polish_ci", "SELECT HEX('ü😀'), @@collation_connection", 'SET NAMES utf8mb3', 'SELECT @@character_set_client');
  },
  async reads() {
    const conn = await open();
    const found = [];
    for (const [title, sql] of sections('reads.sql')) found.push([title, await run(conn, sql)]);
    return found;
  },
  async prepared_reads() {
    const conn = await open();
    const found = [];
    for (const [title, sql] of sections('reads.sql')) found.push([title, await execute(conn, sql), await execute(conn, sql)]);
    return found;
  },
  async zero_dates() {
    const conn = await open({ dateStrings: true });
    return [await run(conn, 'SELECT * FROM zero_dates'), await execute(conn, 'SELECT * FROM zero_dates'), await execute(conn, 'SELECT * FROM dates ORDER BY id')];
  },
  async parameters() {
    const conn = await open();
    const found = [];
    for (const each of VALUES) found.push(await run(conn, 'SELECT ? AS a, ? AS b', [each, each]));
    return found;
  },
  async prepared_parameters() {
    const conn = await open();
    const found = [];
    for (const each of VALUES) found.push(await execute(conn, 'SELECT ? AS a, ? AS b', [each, each]));
    return found;
  },
  async many_prepared() {
    const conn = await open();
    const statements = [];
    for (let number = 0; number < 100; number++) statements.push(await driver.prepare(conn, `SELECT ${number} + ?, word FROM many WHERE id = ?`));
    const found = [];
    for (const [number, statement] of [...statements.entries()].reverse()) {
      found.push(await statement.execute([1, number + 1]));
      await statement.close();
    }
    return found;
  },
  async pipelined() {
    const conn = await open();
    const asked = [];
    for (let number = 0; number < 200; number++) asked.push(number % 3 ? run(conn, `SELECT ${number}, word FROM many WHERE id = ${number}`) : execute(conn, 'SELECT ? + 1', [number]));
    asked.push(run(conn, 'SELECT * FROM nowhere'), run(conn, 'INSERT INTO work (note) VALUES (1)'), run(conn, 'SELECT COUNT(*) FROM work'), run(conn, 'TRUNCATE work'));
    return Promise.all(asked);
  },
  async unsigned_round_trip() {
    const conn = await open();
    return [await execute(conn, 'INSERT INTO numbers (ubig, dec_big, bits) VALUES (?, ?, ?)', ['18446744073709551615', '1e34', 5]), ...await all(conn, 'SELECT ubig, dec_big, bits FROM numbers WHERE id = LAST_INSERT_ID()', 'DELETE FROM numbers WHERE id > 3')];
  },
  async unicode_round_trip() {
    const conn = await open();
    for (const word of ['Zażółć', '日本語', '😀👍🏽', 'e\u0301', "a\\b'c\"d"]) await execute(conn, 'INSERT INTO work (note) VALUES (?)', [word]);
    return all(conn, 'SELECT note, HEX(note) FROM work ORDER BY id', 'TRUNCATE work');
  },
  async batch() {
    const conn = await open();
    const rows = Array.from({ length: 500 }, (_, number) => [number % 7 ? `note ${number}` : null, number / 4]);
    return [
      await attempt(driver.batch(conn, 'INSERT INTO work (note, amount) VALUES (?, ?)', rows)),
      await attempt(driver.batch(conn, 'INSERT INTO many (id, word) VALUES (?, ?)', [[9001, 'new'], [1, 'old']])),
      await all(conn, 'SELECT COUNT(*), SUM(amount), COUNT(note) FROM work', 'DELETE FROM many WHERE id > 9000', 'TRUNCATE work'),
    ];
  },
  async streaming() {
    const conn = await open();
    const hash = crypto.createHash('sha1');
    let count = 0;
    for await (const row of driver.stream(conn, 'SELECT id, word FROM many ORDER BY id')) { hash.update(JSON.stringify(plain(row))); count++; }
    return [count, hash.digest('hex'), await run(conn, "SELECT 'after'")];
  },
  async transactions() {
    const conn = await open();
    const found = [];
    for (const end of ['rollback', 'commit']) {
      await conn.beginTransaction();
      found.push(await all(conn, "INSERT INTO work (note) VALUES ('in')", 'SELECT note FROM work'), await execute(conn, 'SELECT COUNT(*) FROM work WHERE note = ?', ['in']));
      await conn[end]();
      found.push(await all(conn, 'SELECT note FROM work', 'SELECT @@in_transaction'));
    }
    return [found, await run(conn, 'TRUNCATE work')];
  },
  async savepoints() {
    return all(await open(), 'START TRANSACTION', "INSERT INTO work (note) VALUES ('one')", 'SAVEPOINT a', "INSERT INTO work (note) VALUES ('two')", 'ROLLBACK TO a', 'RELEASE SAVEPOINT a', 'ROLLBACK TO a', 'COMMIT', 'SELECT note FROM work', 'TRUNCATE work');
  },
  async isolation_levels() {
    const conn = await open();
    const found = [];
    for (const level of ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) found.push(await all(conn, `SET SESSION TRANSACTION ISOLATION LEVEL ${level}`, 'SELECT @@tx_isolation'));
    return [found, await all(conn, 'SET TRANSACTION READ ONLY', "INSERT INTO work (note) VALUES ('refused')", "INSERT INTO work (note) VALUES ('taken')", 'TRUNCATE work')];
  },
  async autocommit_off() {
    const conn = await open();
    const found = await all(conn, 'SET autocommit = 0', "INSERT INTO work (note) VALUES ('a')", 'SELECT @@in_transaction, @@autocommit');
    await conn.rollback();
    return [found, await all(conn, 'SELECT COUNT(*) FROM work', 'SET autocommit = 1', 'TRUNCATE work')];
  },
  async read_your_write() {
    const conn = await open();
    const found = [];
    for (let number = 0; number < 20; number++) {
      await conn.beginTransaction();
      await execute(conn, 'INSERT INTO work (note) VALUES (?)', [String(number)]);
      found.push(await execute(conn, 'SELECT note FROM work WHERE id = LAST_INSERT_ID()'));
      await conn.commit();
    }
    return [found, await run(conn, 'TRUNCATE work')];
  },
  async error_in_transaction() {
    return all(await open(), 'BEGIN', "INSERT INTO work (note) VALUES ('kept')", "INSERT INTO many VALUES (1, 'twice')", 'SELECT @@in_transaction', 'COMMIT', 'SELECT note FROM work', 'TRUNCATE work');
  },
  async failures() {
    const conn = await open();
    const found = [];
    for (const [title, sql] of sections('failures.sql')) found.push([title, await run(conn, sql)]);
    return found;
  },
  async prepared_failures() {
    const conn = await open();
    const found = [];
    for (const [title, sql] of sections('failures.sql')) found.push([title, await execute(conn, sql)]);
    found.push(await execute(conn, 'INSERT INTO work (note) VALUES (?)', ['longer than twenty characters are']), await execute(conn, 'SELECT ?', []));
    return found;
  },
  async lock_wait_timeout() {
    const [one, two] = [await open(), await open()];
    await all(one, 'BEGIN', "UPDATE many SET word = 'locked' WHERE id = 1");
    return [await all(two, 'SET innodb_lock_wait_timeout = 1', 'BEGIN', "UPDATE many SET word = 'other' WHERE id = 1", 'SELECT @@in_transaction', 'ROLLBACK'), await run(one, 'ROLLBACK')];
  },
  async affected_rows() {
    const found = [];
    for (const foundRows of [false, true]) {
      const conn = await open({ foundRows });
      found.push(await all(conn, "INSERT INTO parents VALUES (1, 'a'), (2, 'b')", "UPDATE parents SET name = 'a'", "UPDATE parents SET name = 'a'", "INSERT INTO parents VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'y'", "REPLACE INTO parents VALUES (2, 'z')", 'SELECT ROW_COUNT()'), await execute(conn, 'UPDATE parents SET name = ?', ['z']), await run(conn, 'DELETE FROM parents'));
    }
    return found;
  },
  async last_insert_id() {
    return all(await open(), "INSERT INTO work (note) VALUES ('a')", 'SELECT LAST_INSERT_ID()', "INSERT INTO work (note) VALUES ('b'), ('c')", 'SELECT LAST_INSERT_ID()', "INSERT INTO work (id, note) VALUES (100, 'e')", 'UPDATE work SET id = LAST_INSERT_ID(id + 1) WHERE id = 100', 'SELECT LAST_INSERT_ID()', "INSERT INTO work (note) VALUES ('f') RETURNING id", 'TRUNCATE work');
  },
  async warnings() {
    return all(await open(), "SET sql_mode = ''", "INSERT INTO work (note) VALUES ('longer than twenty characters are')", 'SHOW WARNINGS', 'SELECT @@warning_count', 'SELECT 1 / 0', 'SHOW COUNT(*) WARNINGS', 'DROP TABLE IF EXISTS nowhere', 'SHOW WARNINGS', 'TRUNCATE work');
  },
  async big_values() {
    const conn = await open({ maxAllowedPacket: 32 << 20 });
    // mysql2 writes a buffer in a text as hexadecimal digits.
    const blob = Buffer.alloc(name === 'mysql2' ? BIG / 2 : BIG, Buffer.from(Array.from({ length: 251 }, (_, place) => place)));
    const found = [await run(conn, 'INSERT INTO blobs (data) VALUES (?)', [blob])].concat([await execute(conn, 'INSERT INTO blobs (data) VALUES (?)', [blob])]);
    found.push(await run(conn, 'SELECT SHA1(data), data FROM blobs'), await execute(conn, 'SELECT data FROM blobs WHERE LENGTH(data) > ?', [1]));
    return [found, plain(blob), await run(conn, 'TRUNCATE blobs')];
  },
  async packet_edges() {
    const found = [];
    for (const size of [(1 << 24) - 2, (1 << 24) - 1, 1 << 24, (1 << 24) + 1]) {
      // mysql2 sends an empty packet behind one of 16 MiB - 2. It is told that packets are out of order, and when it reads that is chance.
      for (const sql of [`SELECT LENGTH('${'x'.repeat(size - 18)}')`, `SELECT REPEAT('y', ${size - 5})`]) found.push(await run(await open({ maxAllowedPacket: 32 << 20 }), sql));
    }
    return plain(found);
  },
  async multi_statements() {
    return all(await open(), "SELECT 1; SELECT 2, 3; SELECT 'x' WHERE 0", "INSERT INTO work (note) VALUES ('a'); SELECT LAST_INSERT_ID(); UPDATE work SET note = 'b'", 'SELECT 1; SELECT * FROM nowhere; SELECT 3', 'USE mysql; SELECT DATABASE(); USE driven', 'TRUNCATE work', "SELECT 'after'");
  },
  async procedures() {
    const conn = await open();
    return [await all(conn, 'CALL two_sets(2)', 'SET @b = 10', 'CALL give(5, @b, @c)', 'SELECT @b, @c', 'CALL add_work(3)', 'CALL complain()', 'TRUNCATE work'), await execute(conn, 'CALL two_sets(?)', [2]), await execute(conn, 'CALL give(?, ?, ?)', [5, 10, null])];
  },
  async local_infile() {
    const conn = await open({ infile: true });
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'driven-'));
    const file = path.join(folder, 'good.csv');
    fs.writeFileSync(file, Array.from({ length: 3000 }, (_, number) => `${number + 1},note ü😀 ${number + 1}\n`).join(''));
    const load = `LOAD DATA LOCAL INFILE '${file}' INTO TABLE work CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' (id, note)`;
    const found = await all(conn, load, 'SHOW WARNINGS', 'SELECT COUNT(*), MAX(id), MAX(note) FROM work', 'TRUNCATE work', "SELECT 'after'");
    const refusing = await open();
    found.push((await run(refusing, load))[0]);
    fs.rmSync(folder, { recursive: true });
    return found;
  },
  async change_user() {
    const conn = await open();
    await all(conn, 'SET @kept = 1', 'CREATE TEMPORARY TABLE mine (id INT)', "SET time_zone = '+05:00'", 'BEGIN', "INSERT INTO work (note) VALUES ('lost')");
    const ask = ['SELECT CURRENT_USER(), DATABASE(), @kept, @@time_zone, @@in_transaction', 'SELECT * FROM driven.mine', "INSERT INTO driven.work (note) VALUES ('x')"];
    const found = [];
    for (const next of [{ ...OTHER, database: 'mysql' }, { ...APP, database: 'driven' }]) found.push(await attempt(conn.changeUser(next).then(() => 'changed')), await all(conn, ...ask));
    return [found, await run(conn, 'TRUNCATE work')];
  },
  async reset_connection() {
    const conn = await open();
    await all(conn, "SET @kept = 1, time_zone = '+05:00'", 'CREATE TEMPORARY TABLE mine (id INT)', "DO GET_LOCK('reset', 0)", 'BEGIN', "INSERT INTO work (note) VALUES ('lost')");
    await execute(conn, 'SELECT ?', [1]);
    return [await attempt(Promise.resolve(driver.reset(conn)).then(() => 'reset')), await all(conn, 'SELECT @kept, @@time_zone, @@in_transaction, DATABASE()', 'SELECT * FROM mine', "SELECT IS_FREE_LOCK('reset')", 'SELECT COUNT(*) FROM work'), await execute(conn, 'SELECT ?', [2])];
  },
  async session_variables() {
    return all(await open(), "SET @a = 1, @b = 'ü😀', @c := NULL, @d = 1.50", 'SELECT @a, @b, @c, @d', "SET SESSION sort_buffer_size = 300000, @@session.sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", 'SELECT "id", @@sort_buffer_size FROM many WHERE id = 1', 'SELECT @@sql_mode', 'SET sql_mode = DEFAULT', 'SET @id = (SELECT MAX(id) FROM many)', 'SELECT @id', 'SET STATEMENT sort_buffer_size = 400000 FOR SELECT @@sort_buffer_size');
  },
  async time_zones() {
    const conn = await open();
    const found = [];
    for (const zone of ['+00:00', '+05:30', 'SYSTEM']) found.push(await all(conn, `SET time_zone = '${zone}'`, 'SELECT @@time_zone, CAST(stamp AS CHAR) FROM dates WHERE id = 1'));
    return [found, await all(conn, 'SET timestamp = 1700000000.25', 'SELECT CAST(NOW(6) AS CHAR)')];
  },
  async temporary_tables() {
    const [conn, other] = [await open(), await open()];
    return [await all(conn, 'CREATE TEMPORARY TABLE many (id INT)', 'INSERT INTO many VALUES (1), (2)', 'SELECT * FROM many'), await run(other, 'SELECT COUNT(*) FROM many'), await all(conn, 'DROP TEMPORARY TABLE many', 'SELECT COUNT(*) FROM many')];
  },
  async user_locks() {
    const [one, two] = [await open(), await open()];
    const found = await all(one, "SELECT GET_LOCK('driven', 0)", "SELECT IS_USED_LOCK('driven') = CONNECTION_ID()");
    found.push(await all(two, "SELECT GET_LOCK('driven', 0)"));
    await one.end();
    found.push(await all(two, "SELECT GET_LOCK('driven', 10)", "SELECT RELEASE_ALL_LOCKS()"));
    return found;
  },
  async statement_timeouts() {
    return all(await open(), 'SET STATEMENT max_statement_time = 0.1 FOR SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word', 'SET max_statement_time = 0.1', 'SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word', 'SET max_statement_time = 0');
  },
  async idle_timeout() {
    const conn = await open();
    const found = await all(conn, 'SET wait_timeout = 1');
    await sleep(2500);
    return [found, Array.isArray((await run(conn, "SELECT 'too late'"))[0])];
  },
  async idle_then_use() {
    const conn = await open();
    await all(conn, 'SET @idle = 7', 'BEGIN', "INSERT INTO work (note) VALUES ('idle')");
    await sleep(1500);
    return all(conn, 'SELECT @idle, note FROM work', 'ROLLBACK', 'SELECT COUNT(*) FROM work');
  },
  async pings() {
    const conn = await open();
    await Promise.all([conn.ping(), conn.ping(), conn.ping()]);
    return all(conn, "SELECT 'after pings'");
  },
  async connection_ids() {
    const conns = [await open(), await open(), await open()];
    const found = [];
    for (const conn of conns) found.push(Number(driver.id(conn)) === Number((await value(conn, 'SELECT CONNECTION_ID()'))[1] ?? await value(conn, 'SELECT CONNECTION_ID()')));
    return found;
  },
  async kill_query() {
    const [conn, other] = [await open(), await open()];
    const asked = run(conn, "SELECT SLEEP(19), 'killed'");
    await until(async () => String(plain(await value(other, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(19)%'"))).endsWith('1'));
    return [await run(other, `KILL QUERY ${driver.id(conn)}`), await asked, await run(conn, "SELECT 'after'")];
  },
  async kill_connection() {
    const [conn, other] = [await open(), await open()];
    const asked = run(conn, "SELECT SLEEP(19), 'killed'");
    await until(async () => String(plain(await value(other, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(19)%'"))).endsWith('1'));
    return [await run(other, `KILL ${driver.id(conn)}`), await asked];
  },
  async short_connections() {
    const found = [];
    for (let number = 0; number < 100; number++) {
      const conn = await open();
      found.push(await run(conn, `SELECT ${number} + COUNT(*) FROM many WHERE id < 10`));
      await conn.end();
    }
    return found;
  },
  async pool() {
    const pool = driver.pool(driver.options({}));
    const asked = [];
    for (let number = 0; number < 100; number++) asked.push(pool.query(`SELECT ${number} + 1 AS sum, word FROM many WHERE id = ${number + 1}`).then(found => plain(name === 'mysql2' ? found[0] : [...found])));
    const found = await Promise.all(asked);
    await pool.end();
    return found;
  },
  async dirty_pool() {
    const pool = driver.pool({ ...driver.options({}), connectionLimit: 1 });
    const found = [];
    for (let round = 0; round < 5; round++) {
      const conn = await pool.getConnection();
      found.push(await all(conn, 'SELECT @@in_transaction, @dirt', 'SELECT COUNT(*) FROM work', "SET @dirt = 1", 'CREATE TEMPORARY TABLE IF NOT EXISTS dirt (id INT)', 'BEGIN', "INSERT INTO work (note) VALUES ('dirt')"));
      await conn.release();
    }
    await pool.end();
    return [found, await run(await open(), 'TRUNCATE work')];
  },
  async xa() {
    return all(await open(), "XA START 'x1'", "INSERT INTO work (note) VALUES ('xa')", "XA END 'x1'", "XA PREPARE 'x1'", "XA COMMIT 'x1'", 'SELECT note FROM work', 'TRUNCATE work');
  },
  async table_locks() {
    return all(await open(), 'LOCK TABLES work WRITE, many READ', "INSERT INTO work (note) VALUES ('a')", 'SELECT * FROM texts', 'UNLOCK TABLES', 'TRUNCATE work');
  },
  async chatter_hibernate() {
    const conn = await open();
    const found = [];
    for (const [title, sql] of sections('chatter/hibernate.sql')) found.push([title, await run(conn, sql)]);
    return found;
  },
  async chatter_laravel() {
    const conn = await open();
    const found = [];
    for (const [title, sql] of sections('chatter/laravel.sql')) found.push([title, await run(conn, sql)]);
    return found;
  },
};

async function main() {
  const conn = await open({ database: undefined });
  for (const [title, sql] of sections('schema.sql')) {
    const found = await run(conn, sql);
    if (found[0] === 'error') throw new Error(`${title}: ${found}`);
  }
  for (const [title, check] of Object.entries(checks)) {
    const found = plain(await check());
    process.stdout.write(`${title}\t${JSON.stringify(found)}\n`);
    for (const each of opened) await Promise.resolve(each.destroy()).catch(() => {});
    opened = [];
  }
}

main().then(() => process.exit(0), fault => { console.error(fault); process.exit(1); });
