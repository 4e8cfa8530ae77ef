"""What Python applications do, by the driver named first. Prints a line a check: its name, a tab, what came of it as JSON.

    checks.py pymysql|mysqlclient|mariadb HOST PORT [CA]

The account is app, the schema is `driven`. With CA, a file of certificates, all of it goes in TLS, verified by them. The same script against a server and against a proxy must print the same.
"""

import datetime
import decimal
import hashlib
import importlib
import json
import pathlib
import re
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
APP, OTHER = ("app", "app-secret"), ("other", "other-secret")
BIG = 20 << 20
DEADLINE = 20


def sections(name):
    """The statements of a file with their names."""
    parts = re.split(r"^-- (.*)\n", (HERE / name).read_text(), flags=re.M)
    return [(title, sql.strip()) for title, sql in zip(parts[1::2], parts[2::2])]


def plain(value):
    """A value with its type, as JSON has it."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value if len(value) < 2000 else ["str", len(value), hashlib.sha1(value.encode()).hexdigest()]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", value.hex() if len(value) < 200 else [len(value), hashlib.sha1(value).hexdigest()]]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted(value)]
    assert isinstance(value, (float, decimal.Decimal, datetime.date, datetime.time, datetime.timedelta)), type(value)
    return [type(value).__name__, str(value)]


class Driver:
    """What the three have in common."""

    def __init__(self, name, host, port, ca=None):
        self.api = importlib.import_module({"mysqlclient": "MySQLdb"}.get(name, name))
        self.host, self.port, self.name = host, int(port), name
        self.tls = self.trusting(ca) if ca else {}
        self.opened = []
        # Values that a driver can't decode are its own failures, and answers too.
        self.failed = (self.api.Error, SystemError, ValueError)

    def open(self, account=APP, schema="driven", found_rows=False, **options):
        user, password = account
        options = self.options(found_rows) | options
        if schema:
            options["database"] = schema
        conn = self.api.connect(host=self.host, port=self.port, user=user, password=password, **self.tls, **options)
        self.opened.append(conn)
        return conn

    def trusting(self, ca):
        return {"ssl": {"ca": ca}}

    def options(self, found_rows):
        flags = importlib.import_module(f"{self.api.__name__}.constants.CLIENT")
        flag = flags.MULTI_STATEMENTS | (flags.FOUND_ROWS if found_rows else 0)
        return {"charset": "utf8mb4", "local_infile": True, "client_flag": flag, "autocommit": True}

    def close_all(self):
        for conn in self.opened:
            try:
                conn.close()
            except self.failed:
                pass
        self.opened.clear()

    def cursor(self, conn):
        return conn.cursor()

    def streaming(self, conn):
        return conn.cursor(importlib.import_module(f"{self.api.__name__}.cursors").SSCursor)

    def error(self, error):
        return [type(error).__name__, *error.args]

    def info(self, conn):
        return None

    def thread_id(self, conn):
        return conn.thread_id()

    def version(self, conn):
        return conn.get_server_info()

    def results(self, cursor):
        """All results of what a cursor has run."""
        found = []
        while True:
            if cursor.description:
                columns = [[part for part in column] for column in cursor.description]
                found.append({"columns": columns, "rows": cursor.fetchall(), "count": cursor.rowcount})
            else:
                found.append({"count": cursor.rowcount, "id": cursor.lastrowid})
            if not cursor.nextset():
                return found

    def run(self, conn, sql, parameters=None):
        """What came of a statement, an error included."""
        cursor = self.cursor(conn)
        found = []
        try:
            cursor.execute(*([sql] if parameters is None else [sql, parameters]))
            found = self.results(cursor)
            found.append(self.info(conn))
        except self.failed as error:
            found = self.error(error)
        try:
            cursor.close()
        except self.failed as error:
            found.append(self.error(error))
        return found

    def all(self, conn, *statements):
        return [self.run(conn, sql) for sql in statements]

    def value(self, conn, sql):
        """The only value of a statement that succeeds."""
        found = self.run(conn, sql)
        assert isinstance(found[0], dict), found
        return found[0]["rows"][0][0]

    def attempt(self, do, *arguments):
        try:
            return do(*arguments)
        except self.failed as error:
            return self.error(error)


class PyMySQL(Driver):
    pass


class MySQLClient(Driver):
    def info(self, conn):
        info = conn.info()
        return [info.decode() if isinstance(info, bytes) else info, conn.warning_count()]


class MariaDB(Driver):
    def options(self, found_rows):
        flags = importlib.import_module("mariadb.constants.CLIENT")
        flag = flags.MULTI_STATEMENTS | (flags.FOUND_ROWS if found_rows else 0)
        return {"local_infile": True, "client_flag": flag, "autocommit": True}

    def trusting(self, ca):
        return {"ssl_ca": ca, "ssl_verify_cert": True}

    def streaming(self, conn):
        return conn.cursor(buffered=False)

    def error(self, error):
        if not isinstance(error, self.api.Error):
            return [type(error).__name__]
        return [type(error).__name__, *(getattr(error, part, None) for part in ('errno', 'sqlstate', 'errmsg'))]

    def info(self, conn):
        return conn.warnings

    def thread_id(self, conn):
        return conn.connection_id

    def version(self, conn):
        return [conn.server_info, conn.server_version]


DRIVERS = {"pymysql": PyMySQL, "mysqlclient": MySQLClient, "mariadb": MariaDB}
CHECKS = []


def check(*drivers):
    """A check for these drivers; for all without names."""

    def add(do):
        CHECKS.append((do.__name__, drivers or tuple(DRIVERS), do))
        return do

    return add


# Logins


@check()
def server_version(driver):
    return driver.version(driver.open())


@check()
def initial_schema(driver):
    conn = driver.open(schema=None)
    return [
        driver.all(conn, "SELECT DATABASE()", "SELECT * FROM many LIMIT 1", "USE driven", "SELECT DATABASE()"),
        driver.all(driver.open(schema="mysql"), "SELECT DATABASE()", "USE information_schema", "SELECT DATABASE()"),
        driver.attempt(lambda: driver.open(schema="nowhere")),
    ]


@check()
def select_db(driver):
    conn = driver.open(schema=None)
    select = (lambda name: setattr(conn, "database", name)) if driver.name == "mariadb" else conn.select_db
    return [
        driver.attempt(select, "driven"),
        driver.run(conn, "SELECT DATABASE()"),
        driver.attempt(select, "nowhere"),
        driver.run(conn, "SELECT DATABASE()"),
    ]


@check()
def refused_logins(driver):
    return [
        driver.attempt(lambda: driver.open(account=account, schema=schema))
        for account in [("app", "wrong"), ("app", ""), ("nobody", "x")]
        for schema in ["driven", None]
    ]


@check("pymysql", "mysqlclient")
def client_charsets(driver):
    found = []
    for charset in ["utf8mb4", "utf8", "latin1", "cp1250", "latin2", "ascii"]:
        conn = driver.open(charset=charset)
        found.append(
            driver.all(
                conn,
                "SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection",
                "SELECT 'ó', HEX('ó')" if charset != "ascii" else "SELECT 'o', HEX('o')",
                "SELECT latin, CONVERT(latin USING utf8mb3) FROM texts ORDER BY id",
                "SHOW VARIABLES LIKE 'character_set_re%'",
            )
        )
    return found


@check()
def set_names(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "SET NAMES latin1",
        "SELECT HEX('ab'), @@character_set_client, @@collation_connection",
        "SET NAMES utf8mb4 COLLATE utf8mb4_polish_ci",
        "SELECT HEX('ü😀'), @@character_set_results, @@collation_connection",
        "SET CHARACTER SET utf8mb3",
        "SELECT @@character_set_client, @@character_set_connection, @@collation_connection",
    )


# Values


@check()
def reads(driver):
    conn = driver.open()
    return [(name, driver.run(conn, sql)) for name, sql in sections("reads.sql")]


@check()
def prepared_reads(driver):
    if driver.name == "mariadb":
        conn = driver.open()
        found = []
        for name, sql in sections("reads.sql"):
            cursor = conn.cursor(prepared=True)
            found.append((name, driver.attempt(lambda: (cursor.execute(sql, ()), driver.results(cursor))[1])))
            cursor.close()
        return found
    conn = driver.open()
    quote = lambda sql: sql.replace("\\", "\\\\").replace("'", "\\'")
    return [
        (name, driver.all(conn, f"PREPARE r FROM '{quote(sql)}'", "EXECUTE r", "EXECUTE r", "DEALLOCATE PREPARE r"))
        for name, sql in sections("reads.sql")
    ]


@check()
def zero_dates(driver):
    conn = driver.open()
    return driver.attempt(lambda: driver.run(conn, "SELECT * FROM zero_dates ORDER BY id"))


VALUES = [
    None,
    0,
    -1,
    2**31,
    2**63 - 1,
    -(2**63),
    1.5,
    decimal.Decimal("12345678901234567890.123456789"),
    "",
    "it's \\ \"quoted\" %s ? ü😀\n\0",
    b"\x00\x7f'\\\n",
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 1, 2, 3, 4),
    datetime.timedelta(hours=-12, minutes=-5, microseconds=-7),
    True,
    "x" * 70000,
]


@check()
def parameters(driver):
    conn = driver.open()
    sql = "SELECT %s AS a, %s AS b"
    return [driver.run(conn, sql, (value, value)) for value in VALUES]


@check("mariadb")
def prepared_parameters(driver):
    conn = driver.open()
    cursor = conn.cursor(prepared=True)
    found = []
    for value in VALUES:
        found.append(driver.attempt(lambda: (cursor.execute("SELECT ? AS a, ? AS b", (value, value)), driver.results(cursor))[1]))
    cursor.close()
    return found


@check("mariadb")
def many_prepared(driver):
    conn = driver.open()
    cursors = [conn.cursor(prepared=True) for _ in range(100)]
    for number, cursor in enumerate(cursors):
        cursor.execute(f"SELECT {number} + ?, word FROM many WHERE id = ?", (1, number + 1))
        cursor.fetchall()
    found = []
    for number, cursor in reversed(list(enumerate(cursors))):
        cursor.execute(f"SELECT {number} + ?, word FROM many WHERE id = ?", (2, number + 2))
        found.append(cursor.fetchall())
        cursor.close()
    return found


@check()
def unsigned_round_trip(driver):
    conn = driver.open()
    return [
        driver.run(conn, "INSERT INTO numbers (ubig, dec_big, bits) VALUES (%s, %s, %s)", (2**64 - 1, decimal.Decimal("1e34"), 5)),
        driver.run(conn, "SELECT ubig, dec_big, bits FROM numbers WHERE id = LAST_INSERT_ID()"),
        driver.run(conn, "DELETE FROM numbers WHERE id > 3"),
    ]


@check()
def unicode_round_trip(driver):
    conn = driver.open()
    words = ["Zażółć", "日本語", "😀👍🏽", "e\u0301", "\u202e rtl", "a\\b'c\"d", "%", "%%s"]
    for word in words:
        driver.run(conn, "INSERT INTO work (note) VALUES (%s)", (word,))
    return [driver.run(conn, "SELECT note, HEX(note) FROM work ORDER BY id"), driver.run(conn, "TRUNCATE work")]


# Many rows


@check()
def batch(driver):
    conn = driver.open()
    cursor = conn.cursor()
    rows = [(f"note {number}" if number % 7 else None, decimal.Decimal(number) / 4) for number in range(500)]
    cursor.executemany("INSERT INTO work (note, amount) VALUES (%s, %s)", rows)
    found = [cursor.rowcount]
    cursor.executemany("UPDATE work SET note = %s WHERE id = %s", [("changed", 1), ("changed", 2), ("changed", 9999)])
    found.append(cursor.rowcount)
    failed = driver.attempt(cursor.executemany, "INSERT INTO many (id, word) VALUES (%s, %s)", [(9001, "new"), (1, "old")])
    return [found, failed, driver.all(conn, "SELECT COUNT(*), SUM(amount), COUNT(note) FROM work", "DELETE FROM many WHERE id > 9000", "TRUNCATE work")]


@check()
def streaming(driver):
    conn = driver.open()
    cursor = driver.streaming(conn)
    cursor.execute("SELECT id, word FROM many ORDER BY id")
    found = [cursor.fetchone(), cursor.fetchmany(3), len(cursor.fetchmany(1000)), len(cursor.fetchall()), cursor.fetchone()]
    cursor.close()
    cursor = driver.streaming(conn)
    cursor.execute("SELECT a.id, a.word FROM many a, many b WHERE b.id < 20")
    found.append(cursor.fetchone())
    cursor.close()
    return [found, driver.run(conn, "SELECT 'after a stream given up'")]


@check("mariadb")
def server_cursor(driver):
    from mariadb.constants import CURSOR

    conn = driver.open()
    found = []
    for size in [1, 7, 1000]:
        cursor = conn.cursor(cursor_type=CURSOR.READ_ONLY, prefetch_size=size, buffered=False)
        cursor.execute("SELECT id, word FROM many WHERE id < ? ORDER BY id", (2000 if size > 1 else 20,))
        found.append([cursor.fetchone(), cursor.fetchmany(5), len(cursor.fetchall())])
        cursor.close()
    return [found, driver.run(conn, "SELECT 'after'")]


# Transactions


def work_rows(driver, conn):
    return driver.value(conn, "SELECT COUNT(*) FROM work")


@check()
def transactions(driver):
    conn = driver.open()
    found = []
    for end in [conn.rollback, conn.commit]:
        found.append(driver.all(conn, "BEGIN", "INSERT INTO work (note) VALUES ('in')", "SELECT note FROM work"))
        end()
        found.append(driver.all(conn, "SELECT note FROM work", "SELECT @@in_transaction"))
    found.append(driver.all(conn, "TRUNCATE work"))
    return found


@check()
def savepoints(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "START TRANSACTION",
        "INSERT INTO work (note) VALUES ('one')",
        "SAVEPOINT a",
        "INSERT INTO work (note) VALUES ('two')",
        "SAVEPOINT b",
        "INSERT INTO work (note) VALUES ('three')",
        "ROLLBACK TO b",
        "SELECT note FROM work ORDER BY id",
        "ROLLBACK TO SAVEPOINT a",
        "RELEASE SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "COMMIT",
        "SELECT note FROM work",
        "TRUNCATE work",
    )


@check()
def chained(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "INSERT INTO work (note) VALUES ('one')",
        "COMMIT AND CHAIN",
        "SELECT @@in_transaction",
        "INSERT INTO work (note) VALUES ('two')",
        "ROLLBACK AND NO CHAIN",
        "SELECT @@in_transaction",
        "SELECT note FROM work",
        "TRUNCATE work",
        "SELECT @@in_transaction",
    )


@check()
def isolation_levels(driver):
    conn = driver.open()
    found = []
    for level in ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]:
        found.append(driver.all(conn, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", "SELECT @@tx_isolation"))
    found.append(
        driver.all(
            conn,
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SELECT @@tx_isolation",
            "START TRANSACTION",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "COMMIT",
            "SET TRANSACTION READ ONLY",
            "INSERT INTO work (note) VALUES ('refused')",
            "INSERT INTO work (note) VALUES ('taken')",
            "START TRANSACTION READ ONLY",
            "INSERT INTO work (note) VALUES ('refused')",
            "ROLLBACK",
            "TRUNCATE work",
        )
    )
    return found


@check()
def isolation_seen(driver):
    one, two = driver.open(), driver.open()
    found = []
    for level in ["READ COMMITTED", "REPEATABLE READ"]:
        driver.all(one, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", "BEGIN")
        before = work_rows(driver, one)
        driver.run(two, "INSERT INTO work (note) VALUES ('seen?')")
        found.append([level, before, work_rows(driver, one)])
        one.rollback()
    return [found, driver.run(two, "TRUNCATE work")]


@check()
def autocommit_off(driver):
    conn, other = driver.open(autocommit=False), driver.open()
    found = driver.all(conn, "SELECT @@autocommit", "SELECT @@in_transaction", "INSERT INTO work (note) VALUES ('a')", "SELECT note FROM work")
    found.append(driver.value(other, "SELECT COUNT(*) FROM work"))
    conn.rollback()
    found += driver.all(conn, "INSERT INTO work (note) VALUES ('b')", "CREATE TABLE implicit (id INT)")
    conn.rollback()
    found += driver.all(conn, "SELECT note FROM work", "SET autocommit = 1", "SELECT @@autocommit", "INSERT INTO work (note) VALUES ('c')")
    conn.rollback()
    found += driver.all(conn, "SELECT note FROM work ORDER BY id", "DROP TABLE implicit", "TRUNCATE work")
    return found


@check()
def autocommit_switch(driver):
    conn = driver.open()
    switch = (lambda on: setattr(conn, "autocommit", on)) if driver.name == "mariadb" else conn.autocommit
    switch(False)
    found = driver.all(conn, "SELECT @@autocommit", "INSERT INTO work (note) VALUES ('a')", "SELECT @@in_transaction")
    switch(True)
    conn.rollback()
    return [found, driver.all(conn, "SELECT @@autocommit", "SELECT note FROM work", "TRUNCATE work")]


@check()
def read_your_write(driver):
    conn = driver.open()
    found = []
    for number in range(20):
        driver.run(conn, "BEGIN")
        driver.run(conn, "INSERT INTO work (note) VALUES (%s)", (str(number),))
        found.append(driver.value(conn, "SELECT MAX(id) = LAST_INSERT_ID() FROM work"))
        conn.commit()
    return [found, driver.run(conn, "TRUNCATE work")]


@check()
def error_in_transaction(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "BEGIN",
        "INSERT INTO work (note) VALUES ('kept')",
        "INSERT INTO many VALUES (1, 'twice')",
        "SELECT @@in_transaction",
        "INSERT INTO work (note) VALUES ('too'), ('too long for the column, by far')",
        "COMMIT",
        "SELECT note FROM work",
        "TRUNCATE work",
    )


# Errors, counts, warnings


@check()
def failures(driver):
    conn = driver.open()
    return [(name, driver.run(conn, sql)) for name, sql in sections("failures.sql")]


@check()
def lock_wait_timeout(driver):
    one, two = driver.open(), driver.open()
    driver.all(two, "SET innodb_lock_wait_timeout = 1")
    driver.all(one, "BEGIN", "UPDATE many SET word = 'locked' WHERE id = 1")
    found = driver.all(two, "BEGIN", "UPDATE many SET word = 'other' WHERE id = 1", "SELECT @@in_transaction", "ROLLBACK")
    found += driver.all(two, "SELECT id FROM many WHERE id = 1 FOR UPDATE NOWAIT", "SELECT id FROM many WHERE id < 3 ORDER BY id FOR UPDATE SKIP LOCKED")
    return [found, driver.run(one, "ROLLBACK")]


@check()
def affected_rows(driver):
    found = []
    for found_rows in [False, True]:
        conn = driver.open(found_rows=found_rows)
        found.append(
            driver.all(
                conn,
                "INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c')",
                "UPDATE parents SET name = 'a'",
                "UPDATE parents SET name = 'a'",
                "INSERT INTO parents VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'y'",
                "INSERT INTO parents VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'y'",
                "REPLACE INTO parents VALUES (2, 'z')",
                "INSERT IGNORE INTO parents VALUES (2, 'z'), (4, 'd')",
                "SELECT ROW_COUNT()",
                "DELETE FROM parents WHERE id > 2",
                "SELECT ROW_COUNT()",
                "SELECT SQL_CALC_FOUND_ROWS id FROM many LIMIT 2",
                "SELECT FOUND_ROWS()",
                "DELETE FROM parents",
            )
        )
    return found


@check()
def last_insert_id(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "INSERT INTO work (note) VALUES ('a')",
        "SELECT LAST_INSERT_ID()",
        "INSERT INTO work (note) VALUES ('b'), ('c'), ('d')",
        "SELECT LAST_INSERT_ID(), @@last_insert_id, @@identity",
        "INSERT INTO work (id, note) VALUES (100, 'e')",
        "SELECT LAST_INSERT_ID()",
        "UPDATE work SET id = LAST_INSERT_ID(id + 1) WHERE id = 100",
        "SELECT LAST_INSERT_ID()",
        "INSERT INTO work (note) VALUES ('f') RETURNING id, note",
        "SELECT * FROM work WHERE id IS NULL",
        "TRUNCATE work",
    )


@check()
def warnings(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "SET sql_mode = ''",
        "INSERT INTO work (note, amount) VALUES ('longer than twenty characters are', 'x'), ('b', 1.005)",
        "SHOW WARNINGS",
        "SHOW WARNINGS LIMIT 1",
        "SHOW COUNT(*) WARNINGS",
        "SELECT @@warning_count",
        "SELECT 1 / 0, CAST('12x' AS INT)",
        "SHOW WARNINGS",
        "DROP TABLE IF EXISTS nowhere",
        "SHOW WARNINGS",
        "SELECT * FROM nowhere",
        "SHOW ERRORS",
        "SELECT @@error_count",
        "GET DIAGNOSTICS CONDITION 1 @state = RETURNED_SQLSTATE, @text = MESSAGE_TEXT",
        "SELECT @state, @text",
        "TRUNCATE work",
    )


# Big values


@check()
def big_values(driver):
    conn = driver.open()
    blob = bytes(place % 251 for place in range(1 << 20)) * (BIG >> 20)
    found = [driver.run(conn, "INSERT INTO blobs (data) VALUES (%s)", (blob,))]
    found += driver.all(conn, "SELECT LENGTH(data), SHA1(data) FROM blobs", "SELECT data FROM blobs")
    if driver.name == "mariadb":
        cursor = conn.cursor(prepared=True)
        cursor.execute("INSERT INTO blobs (data) VALUES (?)", (blob,))
        found.append(cursor.rowcount)
        cursor.close()
        cursor = conn.cursor(prepared=True)
        cursor.execute("SELECT data FROM blobs WHERE LENGTH(data) > ?", (1,))
        found.append(cursor.fetchall())
        cursor.close()
    return [found, driver.run(conn, "TRUNCATE blobs"), plain(blob)]


@check()
def packet_edges(driver):
    conn = driver.open()
    found = []
    for size in [(1 << 24) - 2, (1 << 24) - 1, 1 << 24, (1 << 24) + 1]:
        head = "SELECT LENGTH('"
        text = head + "x" * (size - len(head) - 3) + "')"
        found.append(driver.value(conn, text))
        found.append(driver.run(conn, f"SELECT REPEAT('y', {size - 5})"))
    return found


@check()
def too_big(driver):
    conn = driver.open()
    size = driver.value(conn, "SELECT @@max_allowed_packet")
    found = driver.all(conn, f"SELECT REPEAT('z', {size} + 1)", "SHOW WARNINGS")
    # Whether the client still reads the error or finds the connection closed is a matter of timing.
    failed = driver.run(conn, "SELECT '" + "x" * size + "'")
    return [found, isinstance(failed[0], str), driver.run(driver.open(), "SELECT 'another'")]


# Several statements, several results


@check()
def multi_statements(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "SELECT 1; SELECT 2, 3; SELECT 'x' WHERE 0",
        "INSERT INTO work (note) VALUES ('a'); SELECT LAST_INSERT_ID(); UPDATE work SET note = 'b'; SELECT note FROM work",
        "SELECT 1; SELECT * FROM nowhere; SELECT 3",
        "SET @a = 5; SELECT @a",
        "USE mysql; SELECT DATABASE(); USE driven",
        "BEGIN; INSERT INTO work (note) VALUES ('c'); ROLLBACK; SELECT COUNT(*) FROM work",
        "TRUNCATE work; SELECT COUNT(*) FROM work;",
        "SELECT 'after'",
    )


@check()
def procedures(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "CALL two_sets(2)",
        "SET @b = 10",
        "CALL give(5, @b, @c)",
        "SELECT @b, @c",
        "CALL add_work(3)",
        "SELECT note FROM work",
        "CALL complain()",
        "CALL two_sets(1); CALL two_sets(0)",
        "TRUNCATE work",
    )


@check()
def out_parameters(driver):
    conn = driver.open()
    cursor = conn.cursor()
    if driver.name == "mariadb":
        cursor.callproc("give", (5, 10, None))
        found = [cursor.sp_outparams, cursor.fetchone()]
        cursor.callproc("two_sets", (2,))
        found.append(cursor.fetchall())
        while cursor.nextset():
            found.append(cursor.fetchall() if cursor.description else None)
        return found
    found = [cursor.callproc("give", (5, 10, None)), driver.run(conn, "SELECT @_give_0, @_give_1, @_give_2")]
    cursor.callproc("two_sets", (2,))
    return [found, driver.results(cursor)]


@check()
def local_infile(driver):
    conn = driver.open()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        good, odd = pathlib.Path(folder, "good.csv"), pathlib.Path(folder, "odd.csv")
        good.write_text("".join(f"{number},note ü😀 {number}\n" for number in range(1, 3001)))
        odd.write_text("1\n2,longer than twenty characters are\nx,y,z\n")
        empty = pathlib.Path(folder, "empty.csv")
        empty.write_text("")
        load = "LOAD DATA LOCAL INFILE '{}' INTO TABLE work CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' (id, note)"
        for file in [good, odd, empty]:
            found.append(driver.run(conn, load.format(file)))
            found += driver.all(conn, "SHOW WARNINGS", "SELECT COUNT(*), MAX(id), MAX(note) FROM work", "TRUNCATE work")
        missing = driver.run(conn, load.format(pathlib.Path(folder, "missing.csv")))
        found.append(str(missing).replace(folder, "FOLDER"))
    found.append(driver.attempt(lambda: driver.run(conn, "SELECT 'after'")))
    refusing = driver.open(local_infile=False)
    found.append(driver.run(refusing, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE work"))
    return found


# Sessions


@check("mysqlclient", "mariadb")
def change_user(driver):
    conn = driver.open()
    driver.all(conn, "SET @kept = 1", "CREATE TEMPORARY TABLE mine (id INT)", "SET time_zone = '+05:00'", "BEGIN", "INSERT INTO work (note) VALUES ('lost')")
    ask = ["SELECT CURRENT_USER(), DATABASE(), @kept, @@time_zone, @@in_transaction", "SELECT * FROM driven.mine", "INSERT INTO driven.work (note) VALUES ('x')"]
    found = []
    for user, password, schema in [(*OTHER, "mysql"), (*APP, "driven"), ("app", "app-secret", "")]:
        found.append([driver.attempt(conn.change_user, user, password, schema), driver.all(conn, *ask)])
    found.append(driver.attempt(conn.change_user, "other", "wrong", "driven"))
    found.append(driver.all(driver.open(), "SELECT note FROM work", "TRUNCATE work"))
    return found


@check("mariadb")
def reset_connection(driver):
    conn = driver.open()
    driver.all(conn, "SET @kept = 1, time_zone = '+05:00', NAMES latin1", "CREATE TEMPORARY TABLE mine (id INT)", "PREPARE p FROM 'SELECT 1'", "DO GET_LOCK('reset', 0)", "BEGIN", "INSERT INTO work (note) VALUES ('lost')")
    before = driver.value(conn, "SELECT CONNECTION_ID()")
    conn.reset()
    return [
        driver.value(conn, "SELECT CONNECTION_ID()") == before,
        driver.all(conn, "SELECT @kept, @@time_zone, @@in_transaction, DATABASE(), @@character_set_client", "SELECT * FROM mine", "EXECUTE p", "SELECT IS_FREE_LOCK('reset')", "SELECT COUNT(*) FROM work"),
    ]


@check()
def session_variables(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "SET @a = 1, @b = 'ü😀', @c := NULL, @d = 1.50",
        "SELECT @a, @b, @c, @d, @e",
        "SELECT @a := @a + 1",
        "SELECT @a, COLLATION(@b)",
        "SET SESSION sort_buffer_size = 300000, @@session.sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')",
        'SELECT "id", @@sort_buffer_size FROM many WHERE id = 1',
        "SELECT @@sql_mode",
        "SET sql_mode = DEFAULT, group_concat_max_len = (SELECT 3 * 2)",
        "SELECT GROUP_CONCAT(word), @@group_concat_max_len FROM many WHERE id < 3",
        "SET @id = (SELECT MAX(id) FROM many)",
        "SELECT @id",
        "SET STATEMENT sort_buffer_size = 400000 FOR SELECT @@sort_buffer_size",
        "SELECT @@sort_buffer_size",
        "SET SESSION wait_timeout = 1000",
        "SHOW SESSION VARIABLES LIKE 'wait_timeout'",
        "SELECT VARIABLE_VALUE FROM information_schema.SESSION_VARIABLES WHERE VARIABLE_NAME = 'WAIT_TIMEOUT'",
    )


@check()
def time_zones(driver):
    conn = driver.open()
    found = []
    for zone in ["+00:00", "+05:30", "-11:00", "SYSTEM"]:
        found += driver.all(conn, f"SET time_zone = '{zone}'", "SELECT @@time_zone, stamp, FROM_UNIXTIME(1700000000.5) FROM dates WHERE id = 1")
    found += driver.all(conn, "SET time_zone = 'Mars/Crater'", "SET timestamp = 1700000000.25", "SELECT NOW(6), UTC_TIMESTAMP(), CURDATE()", "SET timestamp = DEFAULT")
    return found


@check()
def temporary_tables(driver):
    conn, other = driver.open(), driver.open()
    found = driver.all(
        conn,
        "CREATE TEMPORARY TABLE many (id INT, note VARCHAR(10))",
        "INSERT INTO many VALUES (1, 'mine'), (2, NULL)",
        "SELECT * FROM many",
        "CREATE TEMPORARY TABLE copy AS SELECT * FROM many",
        "SELECT COUNT(*) FROM copy",
    )
    found += driver.all(other, "SELECT COUNT(*) FROM many", "SELECT * FROM copy")
    return [found, driver.all(conn, "DROP TEMPORARY TABLE many", "SELECT COUNT(*) FROM many", "DROP TABLE copy", "SELECT * FROM copy")]


@check()
def user_locks(driver):
    one, two = driver.open(), driver.open()
    found = driver.all(one, "SELECT GET_LOCK('driven', 0)", "SELECT IS_USED_LOCK('driven') = CONNECTION_ID()")
    found += driver.all(two, "SELECT GET_LOCK('driven', 0)", "SELECT IS_FREE_LOCK('driven')", "SELECT RELEASE_LOCK('driven')")
    found += driver.all(one, "SELECT RELEASE_LOCK('driven')", "SELECT RELEASE_LOCK('driven')")
    found += driver.all(two, "SELECT GET_LOCK('driven', 0), GET_LOCK('second', 0)")
    two.close()
    found.append(driver.run(one, "SELECT GET_LOCK('driven', 10), GET_LOCK('second', 10)"))
    return [found, driver.run(one, "SELECT RELEASE_ALL_LOCKS()")]


@check()
def table_locks(driver):
    conn = driver.open()
    return driver.all(conn, "LOCK TABLES work WRITE, many READ", "INSERT INTO work (note) VALUES ('a')", "SELECT COUNT(*) FROM many", "SELECT * FROM texts", "INSERT INTO many VALUES (1, 'x')", "UNLOCK TABLES", "SELECT COUNT(*) FROM texts", "TRUNCATE work")


@check()
def statement_timeouts(driver):
    conn = driver.open()
    return driver.all(
        conn,
        "SET STATEMENT max_statement_time = 0.1 FOR SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word",
        "SET max_statement_time = 0.1",
        "SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word",
        "SELECT 1",
        "SET max_statement_time = 0",
        "SELECT SLEEP(0.2)",
    )


@check()
def idle_timeout(driver):
    conn = driver.open()
    found = driver.all(conn, "SET wait_timeout = 1", "SELECT 1")
    time.sleep(2.5)
    return [found, driver.run(conn, "SELECT 'too late'")]


@check()
def idle_then_use(driver):
    conn = driver.open()
    driver.all(conn, "SET @idle = 7", "BEGIN", "INSERT INTO work (note) VALUES ('idle')")
    time.sleep(1.5)
    return driver.all(conn, "SELECT @idle, note FROM work", "ROLLBACK", "SELECT COUNT(*) FROM work")


@check()
def pings(driver):
    conn = driver.open()
    found = [driver.attempt(conn.ping) for _ in range(5)]
    driver.run(conn, "BEGIN")
    return [found, driver.attempt(conn.ping), driver.all(conn, "SELECT @@in_transaction", "ROLLBACK")]


@check()
def connection_ids(driver):
    conns = [driver.open() for _ in range(5)]
    ids = [driver.thread_id(conn) for conn in conns]
    asked = [driver.value(conn, "SELECT CONNECTION_ID()") for conn in conns]
    listed = {row[0] for row in driver.run(conns[0], "SHOW PROCESSLIST")[0]["rows"]}
    known = {row[0] for row in driver.run(conns[0], "SELECT id FROM information_schema.processlist")[0]["rows"]}
    return [len(set(ids)), ids == asked, set(asked) <= listed, set(asked) <= known]


def running(driver, conn, like):
    """Waits until a statement runs."""
    sql = f"SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '{like}' AND id <> CONNECTION_ID() AND info NOT LIKE '%processlist%'"
    end = time.monotonic() + DEADLINE
    while not driver.value(conn, sql):
        assert time.monotonic() < end, "it never ran"
        time.sleep(0.02)


def killed(driver, order, kill):
    """What a client sees whose sleep is ended by another."""
    conn, other = driver.open(), driver.open()
    client_id = driver.thread_id(conn)
    found = []
    sleeper = threading.Thread(target=lambda: found.append(driver.run(conn, "SELECT SLEEP(19), 'killed'")))
    sleeper.start()
    running(driver, other, "SELECT SLEEP(19)%")
    found.append(kill(other, client_id))
    sleeper.join()
    return [order, sorted(found, key=str), driver.attempt(lambda: driver.run(conn, "SELECT 'after'"))]


@check()
def kill_query(driver):
    return killed(driver, "query", lambda conn, client_id: driver.run(conn, f"KILL QUERY {client_id}"))


@check()
def kill_connection(driver):
    return killed(driver, "connection", lambda conn, client_id: driver.run(conn, f"KILL {client_id}"))


@check()
def kill_command(driver):
    return killed(driver, "command", lambda conn, client_id: driver.attempt(lambda: (conn.kill(client_id), "asked")[1]))


@check()
def kill_oneself(driver):
    conn = driver.open()
    client_id = driver.thread_id(conn)
    return [driver.run(conn, f"KILL {client_id}"), driver.run(conn, "SELECT 'after'")]


@check()
def short_connections(driver):
    found = []
    for number in range(100):
        conn = driver.open()
        found.append(driver.value(conn, f"SELECT {number} + COUNT(*) FROM many WHERE id < 10"))
        conn.close()
    return found


@check()
def dirty_connections(driver):
    found = []
    for _ in range(10):
        conn = driver.open()
        found.append(
            driver.all(conn, "SELECT @dirt, @@time_zone, @@in_transaction, @@autocommit, DATABASE(), @@sql_mode", "SELECT * FROM dirt", "SELECT IS_FREE_LOCK('dirt'), COUNT(*) FROM work", "EXECUTE dirt")
        )
        driver.all(conn, "SET @dirt = 1, time_zone = '+03:00', sql_mode = ''", "CREATE TEMPORARY TABLE dirt (id INT)", "PREPARE dirt FROM 'SELECT 1'", "USE mysql", "BEGIN", "INSERT INTO driven.work (note) VALUES ('dirt')")
        conn.close()
    return found


@check("pymysql", "mysqlclient")
def reconnect_after_kill(driver):
    conn, other = driver.open(), driver.open()
    driver.run(other, f"KILL {driver.thread_id(conn)}")
    if driver.name == "pymysql":
        conn.ping(reconnect=True)
        return driver.run(conn, "SELECT 'again'")
    return [isinstance(driver.run(conn, "SELECT 1")[0], str), driver.run(driver.open(), "SELECT 'again'")]


@check("mysqlclient")
def statistics(driver):
    return re.sub(r"[\d.]+", "N", driver.open().stat())


@check()
def threads(driver):
    found = [None] * 8

    def work(number):
        conn = driver.open()
        total = 0
        for each in range(40):
            total += driver.value(conn, f"SELECT id + {number} FROM many WHERE id = {each + 1}")
        found[number] = total

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(found))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found


@check()
def xa(driver):
    conn = driver.open()
    return driver.all(conn, "XA START 'x1'", "INSERT INTO work (note) VALUES ('xa')", "XA END 'x1'", "XA PREPARE 'x1'", "XA COMMIT 'x1'", "SELECT note FROM work", "XA ROLLBACK 'nowhere'", "TRUNCATE work")


@check()
def explain_analyze(driver):
    conn = driver.open()
    return driver.all(conn, "EXPLAIN FORMAT=JSON SELECT id FROM many WHERE id = 1", "EXPLAIN UPDATE work SET note = 'x'", "CHECK TABLE many", "ANALYZE TABLE many", "CHECKSUM TABLE many")


@check()
def chatter_hibernate(driver):
    conn = driver.open()
    return [(name, driver.run(conn, sql)) for name, sql in sections("chatter/hibernate.sql")]


@check()
def chatter_laravel(driver):
    conn = driver.open()
    return [(name, driver.run(conn, sql)) for name, sql in sections("chatter/laravel.sql")]


def main():
    name, host, port, *ca = sys.argv[1:]
    driver = DRIVERS[name](name, host, port, *ca)
    conn = driver.open(schema=None)
    for title, sql in sections("schema.sql"):
        found = driver.run(conn, sql)
        assert isinstance(found[0], dict), (title, found)
    for name, drivers, do in CHECKS:
        if driver.name in drivers:
            print(name, json.dumps(plain(do(driver)), ensure_ascii=False), sep="\t", flush=True)
            driver.close_all()


main()
