import java.io.ByteArrayInputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

/**
 * What Java applications do, by Connector/J. Prints a line a check: its name, a tab, what came of it as JSON.
 *
 *     java -cp mariadb-java-client.jar Checks.java connector-j HOST PORT [CA]
 *
 * The account is app, the schema is `driven`. With CA, a file of certificates, all of it goes in TLS,
 * verified by them. The same script against a server and against a proxy must print the same.
 */
public class Checks {
    static final int BIG = 20 << 20;
    static String place;
    static String tls = "";
    static final List<Connection> opened = new ArrayList<>();

    interface Check {
        Object run() throws Exception;
    }

    /** The statements of a file with their names. */
    static List<String[]> sections(String file) throws Exception {
        var found = new ArrayList<String[]>();
        for (String part : Files.readString(Path.of(file)).split("(?m)^-- ")) {
            if (part.isEmpty()) continue;
            int end = part.indexOf('\n');
            found.add(new String[] {part.substring(0, end), part.substring(end + 1).strip()});
        }
        return found;
    }

    static String sha1(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-1").digest(data));
    }

    static String text(String value) throws Exception {
        if (value.length() > 2000) return "[\"string\"," + value.length() + ",\"" + sha1(value.getBytes(StandardCharsets.UTF_8)) + "\"]";
        var out = new StringBuilder("\"");
        for (char c : value.toCharArray()) {
            if (c < ' ' || c == '"' || c == '\\') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    /** A value with its type, as JSON. */
    static String json(Object value) throws Exception {
        if (value == null || value instanceof Boolean || value instanceof Integer) return String.valueOf(value);
        if (value instanceof String string) return text(string);
        if (value instanceof byte[] bytes) return "[\"bytes\"," + text(bytes.length < 200 ? HexFormat.of().formatHex(bytes) : bytes.length + " " + sha1(bytes)) + "]";
        if (value instanceof int[] numbers) return Arrays.toString(numbers);
        if (value instanceof Object[] array) return json(Arrays.asList(array));
        if (value instanceof List<?> list) {
            var parts = new StringJoiner(",", "[", "]");
            for (Object each : list) parts.add(json(each));
            return parts.toString();
        }
        return "[" + text(value.getClass().getSimpleName()) + "," + text(value.toString()) + "]";
    }

    static Connection login(String schema, String account, String password, String... options) throws SQLException {
        var url = "jdbc:mariadb://" + place + "/" + schema + "?user=" + account + "&password=" + password + "&allowMultiQueries=true&" + tls + String.join("&", options);
        var conn = DriverManager.getConnection(url);
        opened.add(conn);
        return conn;
    }

    static Connection open(String... options) throws SQLException {
        return login("driven", "app", "app-secret", options);
    }

    static List<Object> error(SQLException fault) {
        // The driver puts the connection's id and where it leads into some texts.
        var text = fault.getMessage().replaceAll("\\(conn[:=]\\d+\\)", "(conn)").replaceAll("host=[^)]*\\)\\(port=\\d+", "host");
        // Whether the other side's end comes before or after what is still written to it is up to the machine.
        text = text.replaceAll("unexpected end of stream.*|Connection reset|Broken pipe", "the connection is closed");
        return Arrays.asList("error", fault.getErrorCode(), fault.getSQLState(), text);
    }

    static Object rows(ResultSet set) throws SQLException {
        var meta = set.getMetaData();
        var columns = new ArrayList<>();
        for (int at = 1; at <= meta.getColumnCount(); at++) {
            columns.add(List.of(meta.getColumnLabel(at), meta.getColumnName(at), meta.getTableName(at), meta.getColumnTypeName(at), meta.getPrecision(at), meta.getScale(at), meta.isNullable(at), meta.isSigned(at)));
        }
        var rows = new ArrayList<>();
        while (set.next()) {
            var row = new ArrayList<>();
            for (int at = 1; at <= meta.getColumnCount(); at++) {
                try {
                    row.add(set.getObject(at));
                } catch (SQLException fault) {
                    row.add(error(fault));
                }
            }
            rows.add(row);
        }
        return List.of(columns, rows);
    }

    static List<Object> results(Statement statement, boolean set) throws SQLException {
        var found = new ArrayList<>();
        while (set || statement.getUpdateCount() != -1) {
            if (set) {
                found.add(rows(statement.getResultSet()));
            } else {
                var keys = new ArrayList<>();
                try (var each = statement.getGeneratedKeys()) {
                    while (each.next()) keys.add(each.getString(1));
                }
                found.add(Arrays.asList(statement.getUpdateCount(), keys));
            }
            set = statement.getMoreResults();
        }
        for (var warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) found.add(error(warning));
        return found;
    }

    static Object run(Connection conn, String sql) {
        try (var statement = conn.createStatement()) {
            return results(statement, statement.execute(sql, Statement.RETURN_GENERATED_KEYS));
        } catch (SQLException fault) {
            return error(fault);
        }
    }

    static Object execute(Connection conn, String sql, Object... values) {
        try (var statement = conn.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
            for (int at = 0; at < values.length; at++) statement.setObject(at + 1, values[at]);
            return results(statement, statement.execute());
        } catch (SQLException fault) {
            return error(fault);
        }
    }

    static List<Object> all(Connection conn, String... statements) {
        var found = new ArrayList<>();
        for (var sql : statements) found.add(run(conn, sql));
        return found;
    }

    static Object attempt(Check check) throws Exception {
        try {
            return check.run();
        } catch (SQLException fault) {
            return error(fault);
        }
    }

    static Object eachOf(String file, Connection conn, boolean prepared) throws Exception {
        var found = new ArrayList<>();
        for (var section : sections(file)) {
            var answer = prepared ? List.of(execute(conn, section[1]), execute(conn, section[1])) : run(conn, section[1]);
            found.add(List.of(section[0], answer));
        }
        return found;
    }

    static long id(Connection conn) throws SQLException {
        try (var statement = conn.createStatement(); var set = statement.executeQuery("SELECT CONNECTION_ID()")) {
            set.next();
            return set.getLong(1);
        }
    }

    static Map<String, Check> checks() {
        var checks = new LinkedHashMap<String, Check>();
        checks.put("server_version", () -> {
            var meta = open().getMetaData();
            return List.of(meta.getDatabaseProductName(), meta.getDatabaseProductVersion(), meta.getDatabaseMajorVersion(), meta.getDefaultTransactionIsolation(), meta.getUserName());
        });
        checks.put("refused logins", () -> List.of(
            attempt(() -> login("driven", "app", "wrong")), attempt(() -> login("driven", "nobody", "x")), attempt(() -> login("nowhere", "app", "app-secret"))));
        checks.put("reads", () -> eachOf("reads.sql", open(), false));
        checks.put("prepared reads", () -> eachOf("reads.sql", open("useServerPrepStmts=true"), true));
        checks.put("failures", () -> eachOf("failures.sql", open(), false));
        checks.put("prepared failures", () -> eachOf("failures.sql", open("useServerPrepStmts=true"), true));
        checks.put("chatter hibernate", () -> eachOf("chatter/hibernate.sql", open("useServerPrepStmts=true"), false));
        checks.put("chatter hibernate prepared", () -> eachOf("chatter/hibernate.sql", open("useServerPrepStmts=true"), true));
        checks.put("chatter laravel", () -> eachOf("chatter/laravel.sql", open(), false));
        for (var client : new boolean[] {false, true}) {
            var option = "useServerPrepStmts=" + client;
            checks.put("parameters " + option, () -> {
                var conn = open(option);
                var found = new ArrayList<>();
                for (Object value : Arrays.asList(null, 0, -1, Long.MAX_VALUE, Long.MIN_VALUE, 1.5, 2.5f, true, new BigDecimal("12345678901234567890.123456789"), "", "it's \\ \"quoted\" ? ü😀\n\0", new byte[] {0, -1, 39, 92, 10}, Timestamp.valueOf("2024-02-29 01:02:03.000004"), java.sql.Date.valueOf("2024-02-29"), Time.valueOf("12:34:56"), "x".repeat(70000))) {
                    found.add(execute(conn, "SELECT ? AS a, ? AS b", value, value));
                }
                return found;
            });
            checks.put("batch " + option, () -> {
                var conn = open(option, "rewriteBatchedStatements=" + client, "useBulkStmts=" + client);
                var found = new ArrayList<>();
                try (var statement = conn.prepareStatement("INSERT INTO work (note, amount) VALUES (?, ?)")) {
                    for (int number = 0; number < 500; number++) {
                        statement.setString(1, number % 7 == 0 ? null : "note " + number);
                        statement.setBigDecimal(2, new BigDecimal(number).movePointLeft(2));
                        statement.addBatch();
                    }
                    found.add(statement.executeBatch());
                }
                found.add(attempt(() -> {
                    try (var statement = conn.prepareStatement("INSERT INTO many (id, word) VALUES (?, ?)")) {
                        for (int number : new int[] {9001, 1, 9002}) {
                            statement.setInt(1, number);
                            statement.setString(2, "batch " + number);
                            statement.addBatch();
                        }
                        return statement.executeBatch();
                    }
                }));
                return List.of(found, all(conn, "SELECT COUNT(*), SUM(amount), COUNT(note) FROM work", "DELETE FROM many WHERE id > 9000", "TRUNCATE work"));
            });
            checks.put("big values " + option, () -> {
                var conn = open(option);
                var blob = new byte[BIG];
                for (int at = 0; at < BIG; at++) blob[at] = (byte) (at % 251);
                var found = new ArrayList<>();
                try (var statement = conn.prepareStatement("INSERT INTO blobs (data) VALUES (?)")) {
                    statement.setBinaryStream(1, new ByteArrayInputStream(blob), BIG);
                    found.add(statement.executeUpdate());
                }
                found.add(execute(conn, "SELECT LENGTH(data), SHA1(data) FROM blobs"));
                try (var statement = conn.prepareStatement("SELECT data FROM blobs"); var set = statement.executeQuery()) {
                    set.next();
                    found.add(set.getBytes(1));
                }
                return List.of(found, blob, run(conn, "TRUNCATE blobs"));
            });
            checks.put("transactions " + option, () -> {
                var conn = open(option);
                conn.setAutoCommit(false);
                var found = new ArrayList<>();
                for (int round = 0; round < 4; round++) {
                    found.add(execute(conn, "INSERT INTO work (note) VALUES (?)", "round " + round));
                    var savepoint = conn.setSavepoint("middle");
                    found.add(execute(conn, "INSERT INTO work (note) VALUES (?)", "more " + round));
                    if (round == 1) conn.rollback(savepoint);
                    found.add(execute(conn, "SELECT note FROM work ORDER BY id"));
                    if (round % 2 == 0) conn.rollback(); else conn.commit();
                }
                conn.setAutoCommit(true);
                return List.of(found, all(conn, "SELECT note FROM work ORDER BY id", "TRUNCATE work"));
            });
            checks.put("out parameters " + option, () -> {
                try (var call = open(option).prepareCall("{call give(?, ?, ?)}")) {
                    call.setInt(1, 5);
                    call.setInt(2, 10);
                    call.registerOutParameter(2, Types.INTEGER);
                    call.registerOutParameter(3, Types.VARCHAR);
                    call.execute();
                    return List.of(call.getInt(2), call.getString(3));
                }
            });
            checks.put("multi results " + option, () -> List.of(execute(open(option), "CALL two_sets(?)", 2), run(open(option), "SELECT 1; INSERT INTO work (note) VALUES ('a'); SELECT * FROM nowhere; SELECT 2"), run(open(option), "TRUNCATE work")));
            checks.put("streaming " + option, () -> {
                var conn = open(option);
                int count = 0;
                try (var statement = conn.prepareStatement("SELECT id, word FROM many ORDER BY id")) {
                    statement.setFetchSize(100);
                    try (var set = statement.executeQuery()) {
                        while (set.next()) count += set.getInt(1);
                    }
                }
                try (var statement = conn.createStatement()) {
                    statement.setFetchSize(10);
                    statement.executeQuery("SELECT a.id FROM many a, many b WHERE b.id < 20").next();
                }
                return List.of(count, run(conn, "SELECT 'after'"));
            });
        }
        checks.put("local infile", () -> {
            var file = Files.createTempFile("driven", ".csv");
            var lines = new StringBuilder();
            for (int number = 1; number <= 3000; number++) lines.append(number).append(",note ü😀 ").append(number).append('\n');
            Files.writeString(file, lines);
            var load = "LOAD DATA LOCAL INFILE '" + file + "' INTO TABLE work CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' (id, note)";
            var found = List.of(all(open("allowLocalInfile=true"), load, "SELECT COUNT(*), MAX(id), MAX(note) FROM work", "TRUNCATE work"), String.valueOf(run(open("allowLocalInfile=false"), load)).replace(file.toString(), "FILE"));
            Files.delete(file);
            return found;
        });
        checks.put("metadata", () -> {
            var meta = open().getMetaData();
            return List.of(rows(meta.getTables("driven", null, "%", null)), rows(meta.getColumns("driven", null, "%", null)), rows(meta.getPrimaryKeys("driven", null, "work")), rows(meta.getImportedKeys("driven", null, "children")), rows(meta.getIndexInfo("driven", null, "children", false, true)), rows(meta.getProcedures("driven", null, "%")));
        });
        checks.put("isolation", () -> {
            var conn = open();
            var found = new ArrayList<>();
            for (int level : new int[] {1, 2, 4, 8}) {
                conn.setTransactionIsolation(level);
                found.add(List.of(conn.getTransactionIsolation(), run(conn, "SELECT @@tx_isolation")));
            }
            return found;
        });
        checks.put("read only", () -> {
            var conn = open();
            conn.setReadOnly(true);
            var found = run(conn, "INSERT INTO work (note) VALUES ('x')");
            conn.setReadOnly(false);
            return List.of(found, run(conn, "TRUNCATE work"));
        });
        checks.put("catalog", () -> {
            var conn = open();
            conn.setCatalog("mysql");
            var found = List.of(conn.getCatalog(), run(conn, "SELECT DATABASE()"));
            return List.of(found, attempt(() -> { conn.setCatalog("nowhere"); return null; }));
        });
        checks.put("query timeout", () -> attempt(() -> {
            try (var statement = open().createStatement()) {
                statement.setQueryTimeout(1);
                return rows(statement.executeQuery("SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word"));
            }
        }));
        checks.put("cancel", () -> {
            var conn = open();
            try (var statement = conn.createStatement()) {
                var canceller = Executors.newSingleThreadExecutor();
                var other = open();
                var done = canceller.submit(() -> {
                    while (!json(run(other, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(19)%'")).contains("\"1\"")) Thread.sleep(20);
                    statement.cancel();
                    return null;
                });
                var found = attempt(() -> rows(statement.executeQuery("SELECT SLEEP(19), 'killed'")));
                done.get();
                canceller.shutdown();
                return List.of(found, run(conn, "SELECT 'after'"));
            }
        });
        checks.put("kill idle", () -> {
            var one = open();
            return List.of(run(open(), "KILL " + id(one)), run(one, "SELECT 'after'"), one.isValid(1));
        });
        checks.put("valid", () -> List.of(open().isValid(1), open().isValid(2)));
        checks.put("reset", () -> {
            var conn = open("useResetConnection=true");
            all(conn, "SET @kept = 1", "SET time_zone = '+05:00'", "CREATE TEMPORARY TABLE mine (id INT)");
            conn.unwrap(org.mariadb.jdbc.MariaDbConnection.class).reset();
            return all(conn, "SELECT @kept, @@time_zone, DATABASE()", "SELECT * FROM mine");
        });
        checks.put("lock wait timeout", () -> {
            Connection one = open(), two = open("sessionVariables=innodb_lock_wait_timeout=1");
            all(one, "BEGIN", "UPDATE many SET word = 'locked' WHERE id = 1");
            return List.of(all(two, "BEGIN", "UPDATE many SET word = 'other' WHERE id = 1", "SELECT @@in_transaction", "ROLLBACK"), run(one, "ROLLBACK"));
        });
        checks.put("affected rows", () -> all(open("useAffectedRows=true"), "INSERT INTO parents VALUES (1, 'a')", "UPDATE parents SET name = 'a'", "DELETE FROM parents"));
        checks.put("short connections", () -> {
            var found = new ArrayList<>();
            for (int number = 0; number < 100; number++) {
                try (var conn = open()) {
                    found.add(run(conn, "SELECT " + number + " + COUNT(*) FROM many WHERE id < 10"));
                }
            }
            return found;
        });
        checks.put("zero dates", () -> List.of(run(open(), "SELECT * FROM zero_dates"), execute(open("useServerPrepStmts=true"), "SELECT * FROM zero_dates"), execute(open("useServerPrepStmts=true"), "SELECT * FROM dates ORDER BY id")));
        checks.put("session variables option", () -> run(open("sessionVariables=sql_mode='ANSI',wait_timeout=77"), "SELECT @@sql_mode, @@wait_timeout"));
        checks.put("updatable rows", () -> {
            var conn = open();
            run(conn, "INSERT INTO parents VALUES (1, 'a'), (2, 'b')");
            try (var statement = conn.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE); var set = statement.executeQuery("SELECT id, name FROM parents ORDER BY id")) {
                set.last();
                set.updateString(2, "changed");
                set.updateRow();
            }
            return all(conn, "SELECT * FROM parents ORDER BY id", "DELETE FROM parents");
        });
        return checks;
    }

    public static void main(String[] arguments) throws Exception {
        place = arguments[1] + ":" + arguments[2];
        if (arguments.length > 3) tls = "sslMode=verify-full&serverSslCert=" + arguments[3] + "&";
        var conn = login("", "app", "app-secret");
        for (var section : sections("schema.sql")) {
            if (run(conn, section[1]) instanceof List<?> found && !found.isEmpty() && "error".equals(found.get(0))) throw new Exception(section[0] + ": " + found);
        }
        var checks = checks();
        for (var section : sections("sequences.sql")) {
            checks.put(section[0], () -> all(open(), section[1].split("\n")));
        }
        for (var check : checks.entrySet()) {
            System.out.println(check.getKey() + "\t" + json(check.getValue().run()));
            for (var each : opened) each.close();
            opened.clear();
        }
        System.exit(0);
    }
}
