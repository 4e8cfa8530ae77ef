<?php
// What PHP applications do, by the driver named first. Prints a line a check: its name, a tab, what came of it as JSON.
//
//     checks.php mysqli|pdo HOST PORT [CA]
//
// The account is app, the schema is `driven`. With CA, a file of certificates, all of it goes in TLS, verified by them. The same script against a server and against a proxy must print the same.
declare(strict_types=1);
error_reporting(E_ALL & ~E_WARNING);

const APP = ['app', 'app-secret'];
const OTHER = ['other', 'other-secret'];
const BIG = 20 << 20;

/** The statements of a file with their names. */
function sections(string $file): array
{
    $parts = preg_split('/^-- (.*)\n/m', file_get_contents(__DIR__ . "/$file"), -1, PREG_SPLIT_DELIM_CAPTURE);
    $found = [];
    for ($at = 1; $at < count($parts); $at += 2) {
        $found[] = [$parts[$at], trim($parts[$at + 1])];
    }
    return $found;
}

/** A value with its type, as JSON has it. */
function plain(mixed $value): mixed
{
    return match (true) {
        is_array($value) => array_map(plain(...), $value),
        is_object($value) => plain(get_object_vars($value)),
        is_float($value) => ['float', var_export($value, true)],
        is_string($value) && strlen($value) > 2000 => ['string', strlen($value), sha1($value)],
        is_string($value) && preg_match('//u', $value) !== 1 => ['bytes', bin2hex($value)],
        default => $value,
    };
}

interface Driver
{
    /** @param array{account?: array, schema?: ?string, charset?: string, found_rows?: bool, infile?: bool} $how */
    public function open(array $how): object;
    /** All results of a statement; the errors too. */
    public function run(object $conn, string $sql): array;
    public function execute(object $conn, string $sql, array $values): array;
    public function id(object $conn): int;
    public function begin(object $conn): void;
    public function commit(object $conn): void;
    public function rollback(object $conn): void;
    public function version(object $conn): array;
    /** Rows taken one by one as they come. */
    public function stream(object $conn, string $sql): iterable;
}

final class Mysqli_ implements Driver
{
    public function __construct(private string $host, private int $port, private ?string $ca)
    {
        mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    }

    public function open(array $how): mysqli
    {
        [$user, $password] = $how['account'] ?? APP;
        $conn = mysqli_init();
        $conn->options(MYSQLI_OPT_LOCAL_INFILE, (int) ($how['infile'] ?? false));
        $flags = ($how['found_rows'] ?? false) ? MYSQLI_CLIENT_FOUND_ROWS : 0;
        $schema = array_key_exists('schema', $how) ? $how['schema'] : 'driven';
        $this->ca === null || $conn->ssl_set(null, null, $this->ca, null, null);
        $conn->real_connect($this->host, $user, $password, $schema, $this->port, null, $flags);
        $conn->set_charset($how['charset'] ?? 'utf8mb4');
        return $conn;
    }

    private function error(mysqli_sql_exception $fault): array
    {
        return ['error', $fault->getCode(), $fault->getSqlState(), $fault->getMessage()];
    }

    private function fields(mysqli_result $result): array
    {
        $keep = array_flip(['name', 'orgname', 'table', 'orgtable', 'db', 'length', 'charsetnr', 'flags', 'type', 'decimals']);
        return array_map(fn ($field) => array_values(array_intersect_key(get_object_vars($field), $keep)), $result->fetch_fields());
    }

    public function run(object $conn, string $sql): array
    {
        $found = [];
        try {
            $conn->multi_query($sql);
            do {
                $result = $conn->store_result();
                $found[] = $result
                    ? [$this->fields($result), $result->fetch_all(), $conn->warning_count]
                    : [$conn->affected_rows, $conn->insert_id, $conn->info, $conn->warning_count];
            } while ($conn->more_results() && $conn->next_result());
        } catch (mysqli_sql_exception $fault) {
            $found[] = $this->error($fault);
        }
        return $found;
    }

    public function execute(object $conn, string $sql, array $values): array
    {
        $found = [];
        try {
            $statement = $conn->prepare($sql);
            $found[] = [$statement->param_count, $statement->field_count];
            if ($values) {
                $types = implode('', array_map(fn ($value) => is_int($value) ? 'i' : (is_float($value) ? 'd' : 's'), $values));
                $statement->bind_param($types, ...$values);
            }
            $statement->execute();
            do {
                $result = $statement->get_result();
                $found[] = $result
                    ? [$this->fields($result), $result->fetch_all()]
                    : [$statement->affected_rows, $statement->insert_id];
            } while ($statement->more_results() && $statement->next_result());
            $statement->close();
        } catch (mysqli_sql_exception $fault) {
            $found[] = $this->error($fault);
        }
        return $found;
    }

    public function id(object $conn): int
    {
        return $conn->thread_id;
    }

    public function begin(object $conn): void
    {
        $conn->begin_transaction();
    }

    public function commit(object $conn): void
    {
        $conn->commit();
    }

    public function rollback(object $conn): void
    {
        $conn->rollback();
    }

    public function version(object $conn): array
    {
        return [$conn->server_info, $conn->server_version, $conn->protocol_version, preg_replace('/[\d.]+/', 'N', $conn->stat())];
    }

    public function stream(object $conn, string $sql): iterable
    {
        $result = $conn->query($sql, MYSQLI_USE_RESULT);
        while ($row = $result->fetch_row()) {
            yield $row;
        }
        $result->free();
    }
}

final class Pdo_ implements Driver
{
    public function __construct(private string $host, private int $port, private ?string $ca)
    {
    }

    public function open(array $how): PDO
    {
        [$user, $password] = $how['account'] ?? APP;
        $schema = array_key_exists('schema', $how) ? $how['schema'] : 'driven';
        $place = "mysql:host=$this->host;port=$this->port;charset=" . ($how['charset'] ?? 'utf8mb4') . ($schema ? ";dbname=$schema" : '');
        return new PDO($place, $user, $password, [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_EMULATE_PREPARES => false,
            PDO::MYSQL_ATTR_FOUND_ROWS => $how['found_rows'] ?? false,
            PDO::MYSQL_ATTR_LOCAL_INFILE => $how['infile'] ?? false,
        ] + ($this->ca === null ? [] : [PDO::MYSQL_ATTR_SSL_CA => $this->ca]));
    }

    private function results(PDO $conn, PDOStatement $statement): array
    {
        $found = [];
        do {
            $columns = [];
            for ($at = 0; $at < $statement->columnCount(); $at++) {
                $columns[] = $statement->getColumnMeta($at);
            }
            $found[] = $columns ? [$columns, $statement->fetchAll(PDO::FETCH_NUM)] : [$statement->rowCount(), $conn->lastInsertId()];
        } while ($statement->nextRowset());
        return $found;
    }

    public function run(object $conn, string $sql): array
    {
        try {
            $conn->setAttribute(PDO::ATTR_EMULATE_PREPARES, true);
            return $this->results($conn, $conn->query($sql));
        } catch (PDOException $fault) {
            return ['error', $fault->getCode(), $fault->getMessage()];
        } catch (ValueError $fault) {
            return ['refused', $fault->getMessage()];
        }
    }

    public function execute(object $conn, string $sql, array $values): array
    {
        try {
            $conn->setAttribute(PDO::ATTR_EMULATE_PREPARES, false);
            $statement = $conn->prepare($sql);
            foreach ($values as $at => $value) {
                $statement->bindValue($at + 1, $value, is_int($value) ? PDO::PARAM_INT : (is_null($value) ? PDO::PARAM_NULL : PDO::PARAM_STR));
            }
            $statement->execute();
            return $this->results($conn, $statement);
        } catch (PDOException $fault) {
            return ['error', $fault->getCode(), $fault->getMessage()];
        } catch (ValueError $fault) {
            return ['refused', $fault->getMessage()];
        }
    }

    public function id(object $conn): int
    {
        return (int) $conn->query('SELECT CONNECTION_ID()')->fetchColumn();
    }

    public function begin(object $conn): void
    {
        $conn->beginTransaction();
    }

    public function commit(object $conn): void
    {
        $conn->commit();
    }

    public function rollback(object $conn): void
    {
        $conn->rollBack();
    }

    public function version(object $conn): array
    {
        return [$conn->getAttribute(PDO::ATTR_SERVER_VERSION), $conn->getAttribute(PDO::ATTR_CLIENT_VERSION), preg_replace('/[\d.]+/', 'N', $conn->getAttribute(PDO::ATTR_SERVER_INFO))];
    }

    public function stream(object $conn, string $sql): iterable
    {
        $conn->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, false);
        $statement = $conn->query($sql);
        while ($row = $statement->fetch(PDO::FETCH_NUM)) {
            yield $row;
        }
        $statement->closeCursor();
        $conn->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, true);
    }
}

[, $name, $host, $port, $ca] = $argv + [4 => null];
$driver = $name === 'mysqli' ? new Mysqli_($host, (int) $port, $ca) : new Pdo_($host, (int) $port, $ca);

function open(array $how = []): object
{
    return $GLOBALS['driver']->open($how);
}

function run(object $conn, string $sql): array
{
    return $GLOBALS['driver']->run($conn, $sql);
}

function execute(object $conn, string $sql, array $values = []): array
{
    return $GLOBALS['driver']->execute($conn, $sql, $values);
}

function all(object $conn, string ...$statements): array
{
    return array_map(fn ($sql) => run($conn, $sql), $statements);
}

function each_of(string $file, callable $do): array
{
    return array_map(fn ($section) => [$section[0], $do($section[1])], sections($file));
}

function attempt(callable $do): mixed
{
    try {
        return $do();
    } catch (mysqli_sql_exception | PDOException $fault) {
        return ['error', $fault->getCode(), $fault->getMessage()];
    }
}

const VALUES = [
    null, 0, -1, 2147483648, PHP_INT_MAX, PHP_INT_MIN, 1.5, -0.25, '', "it's \\ \"quoted\" ? ü😀\n\0", '2024-02-29 01:02:03.000004', '18446744073709551615',
    '12345678901234567890.123456789',
];

$checks = [
    'server_version' => fn () => $driver->version(open()),
    'initial_schema' => fn () => [
        all(open(['schema' => null]), 'SELECT DATABASE()', 'SELECT * FROM many', 'USE driven', 'SELECT DATABASE()'),
        attempt(fn () => open(['schema' => 'nowhere'])),
    ],
    'refused_logins' => fn () => array_map(fn ($account) => attempt(fn () => open(['account' => $account])), [['app', 'wrong'], ['app', ''], ['nobody', 'x']]),
    'client_charsets' => fn () => array_map(
        fn ($charset) => all(open(['charset' => $charset]), 'SELECT @@character_set_client, @@character_set_results, @@collation_connection', "SELECT 'o', HEX('é')", 'SELECT latin FROM texts ORDER BY id'),
        ['utf8mb4', 'utf8', 'latin1', 'cp1250', 'latin2', 'ascii', 'binary'],
    ),
    'set_names' => fn () => all(open(), 'SET NAMES utf8mb4 COLLATE utf8mb4_polish_ci', "SELECT HEX('ü😀'), @@collation_connection", 'SET NAMES latin1', 'SELECT @@character_set_client'),
    'reads' => function () {
        $conn = open();
        return each_of('reads.sql', fn ($sql) => run($conn, $sql));
    },
    'prepared_reads' => function () {
        $conn = open();
        return each_of('reads.sql', fn ($sql) => [execute($conn, $sql), execute($conn, $sql)]);
    },
    'zero_dates' => fn () => [run(open(), 'SELECT * FROM zero_dates'), execute(open(), 'SELECT * FROM zero_dates'), execute(open(), 'SELECT * FROM dates ORDER BY id')],
    'prepared_parameters' => function () {
        $conn = open();
        return array_map(fn ($value) => execute($conn, 'SELECT ? AS a, ? AS b', [$value, $value]), VALUES);
    },
    'many_prepared' => function () {
        $conn = open();
        if ($conn instanceof PDO) {
            $conn->setAttribute(PDO::ATTR_EMULATE_PREPARES, false);
        }
        $statements = array_map(fn ($number) => $conn->prepare("SELECT $number + ?, word FROM many WHERE id = ?"), range(1, 100));
        $found = [];
        foreach (array_reverse($statements, true) as $number => $statement) {
            $statement->execute([1, $number + 1]);
            $found[] = $statement instanceof PDOStatement ? $statement->fetchAll(PDO::FETCH_NUM) : $statement->get_result()->fetch_all();
        }
        return $found;
    },
    'statement_reused' => function () {
        $conn = open();
        $statement = $conn->prepare('INSERT INTO work (note, amount) VALUES (?, ?)');
        foreach ([['a', 1], ['b', '2.5'], [null, null], ['ü😀', -1]] as $row) {
            $statement->execute($row);
        }
        return all($conn, 'SELECT note, amount FROM work ORDER BY id', 'TRUNCATE work');
    },
    'unsigned_round_trip' => function () {
        $conn = open();
        return [execute($conn, 'INSERT INTO numbers (ubig, dec_big, bits) VALUES (?, ?, ?)', ['18446744073709551615', '1e34', 5]), all($conn, 'SELECT ubig, dec_big, bits FROM numbers WHERE id = LAST_INSERT_ID()', 'DELETE FROM numbers WHERE id > 3')];
    },
    'unicode_round_trip' => function () {
        $conn = open();
        foreach (['Zażółć', '日本語', '😀👍🏽', "e\u{301}", "a\\b'c\"d"] as $word) {
            execute($conn, 'INSERT INTO work (note) VALUES (?)', [$word]);
        }
        return all($conn, 'SELECT note, HEX(note) FROM work ORDER BY id', 'TRUNCATE work');
    },
    'streaming' => function () use ($driver) {
        $conn = open();
        $found = [];
        foreach ($driver->stream($conn, 'SELECT id, word FROM many ORDER BY id') as $row) {
            $found[] = implode(' ', $row);
        }
        foreach ($driver->stream($conn, 'SELECT a.id FROM many a, many b WHERE b.id < 20') as $row) {
            $found[] = implode(' ', $row);
            break;
        }
        gc_collect_cycles();
        return [count($found), implode(',', $found), run(open(), "SELECT 'after'")];
    },
    'transactions' => function () use ($driver) {
        $conn = open();
        $found = [];
        foreach (['rollback', 'commit'] as $end) {
            $driver->begin($conn);
            $found[] = all($conn, "INSERT INTO work (note) VALUES ('in')", 'SELECT note FROM work');
            $driver->$end($conn);
            $found[] = all($conn, 'SELECT note FROM work', 'SELECT @@in_transaction');
        }
        return [$found, run($conn, 'TRUNCATE work')];
    },
    'savepoints' => fn () => all(open(), 'START TRANSACTION', "INSERT INTO work (note) VALUES ('one')", 'SAVEPOINT a', "INSERT INTO work (note) VALUES ('two')", 'ROLLBACK TO a', 'RELEASE SAVEPOINT a', 'ROLLBACK TO a', 'COMMIT', 'SELECT note FROM work', 'TRUNCATE work'),
    'isolation_levels' => function () {
        $conn = open();
        $found = [];
        foreach (['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as $level) {
            $found[] = all($conn, "SET SESSION TRANSACTION ISOLATION LEVEL $level", 'SELECT @@tx_isolation');
        }
        return [$found, all($conn, 'SET TRANSACTION READ ONLY', "INSERT INTO work (note) VALUES ('refused')", "INSERT INTO work (note) VALUES ('taken')", 'TRUNCATE work')];
    },
    'autocommit_off' => function () {
        $conn = open();
        $conn instanceof mysqli ? $conn->autocommit(false) : $conn->setAttribute(PDO::ATTR_AUTOCOMMIT, 0);
        $found = all($conn, "INSERT INTO work (note) VALUES ('a')", 'SELECT @@in_transaction, @@autocommit', 'ROLLBACK', 'SELECT COUNT(*) FROM work');
        $conn instanceof mysqli ? $conn->autocommit(true) : $conn->setAttribute(PDO::ATTR_AUTOCOMMIT, 1);
        return [$found, all($conn, 'SELECT @@autocommit', 'TRUNCATE work')];
    },
    'read_your_write' => function () use ($driver) {
        $conn = open();
        $found = [];
        for ($number = 0; $number < 20; $number++) {
            $driver->begin($conn);
            execute($conn, 'INSERT INTO work (note) VALUES (?)', [(string) $number]);
            $found[] = execute($conn, 'SELECT note FROM work WHERE id = LAST_INSERT_ID()');
            $driver->commit($conn);
        }
        return [$found, run($conn, 'TRUNCATE work')];
    },
    'error_in_transaction' => fn () => all(open(), 'BEGIN', "INSERT INTO work (note) VALUES ('kept')", "INSERT INTO many VALUES (1, 'twice')", 'SELECT @@in_transaction', 'COMMIT', 'SELECT note FROM work', 'TRUNCATE work'),
    'failures' => function () {
        $conn = open();
        return each_of('failures.sql', fn ($sql) => run($conn, $sql));
    },
    'prepared_failures' => function () {
        $conn = open();
        return [each_of('failures.sql', fn ($sql) => $sql === '' ? null : execute($conn, $sql)), execute($conn, 'INSERT INTO work (note) VALUES (?)', ['longer than twenty characters are'])];
    },
    'lock_wait_timeout' => function () {
        [$one, $two] = [open(), open()];
        all($one, 'BEGIN', "UPDATE many SET word = 'locked' WHERE id = 1");
        return [all($two, 'SET innodb_lock_wait_timeout = 1', 'BEGIN', "UPDATE many SET word = 'other' WHERE id = 1", 'SELECT @@in_transaction', 'ROLLBACK'), run($one, 'ROLLBACK')];
    },
    'affected_rows' => fn () => array_map(function ($found_rows) {
        $conn = open(['found_rows' => $found_rows]);
        return [all($conn, "INSERT INTO parents VALUES (1, 'a'), (2, 'b')", "UPDATE parents SET name = 'a'", "UPDATE parents SET name = 'a'", "INSERT INTO parents VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'y'", "REPLACE INTO parents VALUES (2, 'z')", 'SELECT ROW_COUNT()'), execute($conn, 'UPDATE parents SET name = ?', ['z']), run($conn, 'DELETE FROM parents')];
    }, [false, true]),
    'last_insert_id' => fn () => all(open(), "INSERT INTO work (note) VALUES ('a')", 'SELECT LAST_INSERT_ID()', "INSERT INTO work (note) VALUES ('b'), ('c')", 'SELECT LAST_INSERT_ID()', "INSERT INTO work (id, note) VALUES (100, 'e')", 'UPDATE work SET id = LAST_INSERT_ID(id + 1) WHERE id = 100', 'SELECT LAST_INSERT_ID()', "INSERT INTO work (note) VALUES ('f') RETURNING id", 'TRUNCATE work'),
    'warnings' => fn () => all(open(), "SET sql_mode = ''", "INSERT INTO work (note) VALUES ('longer than twenty characters are')", 'SHOW WARNINGS', 'SELECT @@warning_count', 'SELECT 1 / 0', 'SHOW COUNT(*) WARNINGS', 'DROP TABLE IF EXISTS nowhere', 'SHOW WARNINGS', 'TRUNCATE work'),
    'big_values' => function () {
        $conn = open();
        $blob = substr(str_repeat(implode('', array_map('chr', range(0, 250))), intdiv(BIG, 251) + 1), 0, BIG);
        $found = [execute($conn, 'INSERT INTO blobs (data) VALUES (?)', [$blob]), run($conn, "INSERT INTO blobs (data) VALUES (x'" . bin2hex(substr($blob, 0, 10 << 20)) . "')")];
        return [$found, plain(run($conn, 'SELECT SHA1(data), data FROM blobs')), plain(execute($conn, 'SELECT data FROM blobs WHERE LENGTH(data) > ?', [1])), run($conn, 'TRUNCATE blobs')];
    },
    'long_data' => function () {
        $conn = open();
        $statement = $conn->prepare('INSERT INTO blobs (data) VALUES (?)');
        if ($statement instanceof mysqli_stmt) {
            $data = null;
            $statement->bind_param('b', $data);
            for ($piece = 0; $piece < 5; $piece++) {
                $statement->send_long_data(0, str_repeat(chr(65 + $piece), 100000));
            }
        } else {
            $file = fopen('php://memory', 'r+');
            fwrite($file, str_repeat('lob', 100000));
            rewind($file);
            $statement->bindParam(1, $file, PDO::PARAM_LOB);
        }
        $statement->execute();
        return all($conn, 'SELECT LENGTH(data), SHA1(data) FROM blobs', 'TRUNCATE blobs');
    },
    'packet_edges' => function () {
        $conn = open();
        $found = [];
        foreach ([(1 << 24) - 2, (1 << 24) - 1, 1 << 24, (1 << 24) + 1] as $size) {
            $found[] = [run($conn, "SELECT LENGTH('" . str_repeat('x', $size - 18) . "')"), plain(run($conn, "SELECT REPEAT('y', $size - 5)"))];
        }
        return $found;
    },
    'multi_statements' => fn () => all(open(), "SELECT 1; SELECT 2, 3; SELECT 'x' WHERE 0", "INSERT INTO work (note) VALUES ('a'); SELECT LAST_INSERT_ID(); UPDATE work SET note = 'b'", 'SELECT 1; SELECT * FROM nowhere; SELECT 3', 'USE mysql; SELECT DATABASE(); USE driven', 'TRUNCATE work', "SELECT 'after'"),
    'procedures' => fn () => [all(open(), 'CALL two_sets(2)', 'SET @b = 10', 'CALL give(5, @b, @c)', 'SELECT @b, @c', 'CALL add_work(3)', 'CALL complain()', 'TRUNCATE work'), execute(open(), 'CALL two_sets(?)', [2]), execute(open(), 'CALL complain()')],
    'local_infile' => function () {
        $conn = open(['infile' => true]);
        $file = tempnam(sys_get_temp_dir(), 'driven');
        file_put_contents($file, implode('', array_map(fn ($number) => "$number,note ü😀 $number\n", range(1, 3000))));
        $load = "LOAD DATA LOCAL INFILE '%s' INTO TABLE work CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' (id, note)";
        $found = all($conn, sprintf($load, $file), 'SHOW WARNINGS', 'SELECT COUNT(*), MAX(id), MAX(note) FROM work', 'TRUNCATE work', sprintf($load, '/nowhere/missing.csv'), "SELECT 'after'");
        $found[] = run(open(), sprintf($load, '/nowhere/missing.csv'));
        unlink($file);
        return $found;
    },
    'session_variables' => fn () => all(open(), "SET @a = 1, @b = 'ü😀', @c := NULL, @d = 1.50", 'SELECT @a, @b, @c, @d', "SET SESSION sort_buffer_size = 300000, @@session.sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", 'SELECT "id", @@sort_buffer_size FROM many WHERE id = 1', 'SELECT @@sql_mode', 'SET sql_mode = DEFAULT', 'SET @id = (SELECT MAX(id) FROM many)', 'SELECT @id', 'SET STATEMENT sort_buffer_size = 400000 FOR SELECT @@sort_buffer_size'),
    'time_zones' => function () {
        $conn = open();
        return array_map(fn ($zone) => all($conn, "SET time_zone = '$zone'", 'SELECT @@time_zone, stamp FROM dates WHERE id = 1', 'SET timestamp = 1700000000.25', 'SELECT NOW(6)'), ['+00:00', '+05:30', 'SYSTEM']);
    },
    'temporary_tables' => function () {
        [$conn, $other] = [open(), open()];
        return [all($conn, 'CREATE TEMPORARY TABLE many (id INT)', 'INSERT INTO many VALUES (1), (2)', 'SELECT * FROM many'), run($other, 'SELECT COUNT(*) FROM many'), all($conn, 'DROP TEMPORARY TABLE many', 'SELECT COUNT(*) FROM many')];
    },
    'user_locks' => function () {
        [$one, $two] = [open(), open()];
        $found = [all($one, "SELECT GET_LOCK('driven', 0)", "SELECT IS_USED_LOCK('driven') = CONNECTION_ID()"), run($two, "SELECT GET_LOCK('driven', 0)")];
        $one = null;
        return [$found, all($two, "SELECT GET_LOCK('driven', 10)", 'SELECT RELEASE_ALL_LOCKS()')];
    },
    'statement_timeouts' => fn () => all(open(), 'SET STATEMENT max_statement_time = 0.1 FOR SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word', 'SET max_statement_time = 0.1', 'SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word', 'SET max_statement_time = 0'),
    'idle_timeout' => function () {
        $conn = open();
        $found = run($conn, 'SET wait_timeout = 1');
        usleep(2500000);
        return [$found, run($conn, "SELECT 'too late'")];
    },
    'idle_then_use' => function () {
        $conn = open();
        all($conn, 'SET @idle = 7', 'BEGIN', "INSERT INTO work (note) VALUES ('idle')");
        usleep(1500000);
        return all($conn, 'SELECT @idle, note FROM work', 'ROLLBACK', 'SELECT COUNT(*) FROM work');
    },
    'connection_ids' => function () use ($driver) {
        $conns = [open(), open(), open()];
        return array_map(fn ($conn) => all($conn, "SELECT CONNECTION_ID() = {$driver->id($conn)} AS same", "SELECT COUNT(*) FROM information_schema.processlist WHERE id = {$driver->id($conn)}"), $conns);
    },
    'kill_idle' => function () use ($driver) {
        [$one, $two] = [open(), open()];
        return [run($two, 'KILL ' . $driver->id($one)), run($one, "SELECT 'after'")];
    },
    'kill_query_idle' => function () use ($driver) {
        [$one, $two] = [open(), open()];
        return [run($two, 'KILL QUERY ' . $driver->id($one)), run($one, "SELECT 'after'")];
    },
    'kill_oneself' => function () use ($driver) {
        $conn = open();
        return [run($conn, 'KILL ' . $driver->id($conn)), run($conn, "SELECT 'after'")];
    },
    'short_connections' => fn () => array_map(fn ($number) => run(open(), "SELECT $number + COUNT(*) FROM many WHERE id < 10"), range(1, 100)),
    'dirty_connections' => fn () => array_map(function () {
        $conn = open();
        $found = all($conn, 'SELECT @dirt, @@time_zone, @@in_transaction, @@autocommit, DATABASE(), @@sql_mode', 'SELECT * FROM dirt', "SELECT IS_FREE_LOCK('dirt'), COUNT(*) FROM work", 'EXECUTE dirt');
        all($conn, "SET @dirt = 1, time_zone = '+03:00', sql_mode = ''", 'CREATE TEMPORARY TABLE dirt (id INT)', "PREPARE dirt FROM 'SELECT 1'", 'USE mysql', 'BEGIN', "INSERT INTO driven.work (note) VALUES ('dirt')");
        return $found;
    }, range(1, 10)),
    'xa' => fn () => all(open(), "XA START 'x1'", "INSERT INTO work (note) VALUES ('xa')", "XA END 'x1'", "XA PREPARE 'x1'", "XA COMMIT 'x1'", 'SELECT note FROM work', 'TRUNCATE work'),
    'table_locks' => fn () => all(open(), 'LOCK TABLES work WRITE, many READ', "INSERT INTO work (note) VALUES ('a')", 'SELECT * FROM texts', 'UNLOCK TABLES', 'TRUNCATE work'),
    'chatter_hibernate' => function () {
        $conn = open();
        return each_of('chatter/hibernate.sql', fn ($sql) => run($conn, $sql));
    },
    'chatter_laravel' => function () {
        $conn = open();
        return each_of('chatter/laravel.sql', fn ($sql) => execute($conn, $sql));
    },
];

if ($name === 'mysqli') {
    $checks['change_user'] = function () {
        $conn = open();
        all($conn, 'SET @kept = 1', 'CREATE TEMPORARY TABLE mine (id INT)', "SET time_zone = '+05:00'", 'BEGIN', "INSERT INTO work (note) VALUES ('lost')");
        $found = [];
        foreach ([[...OTHER, 'mysql'], [...APP, 'driven'], [...APP, '']] as [$user, $password, $schema]) {
            $found[] = [attempt(fn () => $conn->change_user($user, $password, $schema)), all($conn, 'SELECT CURRENT_USER(), DATABASE(), @kept, @@time_zone, @@in_transaction', 'SELECT * FROM driven.mine')];
        }
        return [$found, run(open(), 'SELECT COUNT(*) FROM work')];
    };
    $checks['refused_change_user'] = function () {
        $conn = open();
        return [attempt(fn () => $conn->change_user('other', 'wrong', 'driven')), run($conn, 'SELECT CURRENT_USER()')];
    };
    $checks['select_db'] = function () {
        $conn = open();
        return [attempt(fn () => $conn->select_db('mysql')), run($conn, 'SELECT DATABASE()'), attempt(fn () => $conn->select_db('nowhere')), run($conn, 'SELECT DATABASE()')];
    };
    $checks['server_cursor'] = function () {
        $conn = open();
        $statement = $conn->prepare('SELECT id, word FROM many WHERE id < ? ORDER BY id');
        $statement->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
        $statement->execute([300]);
        $statement->bind_result($id, $word);
        $found = [];
        while ($statement->fetch()) {
            $found[] = "$id $word";
        }
        $statement->close();
        return [$found, run($conn, "SELECT 'after'")];
    };
    $checks['kill_query'] = function () {
        [$one, $two] = [open(), open()];
        $one->query("SELECT SLEEP(19), 'killed'", MYSQLI_ASYNC);
        while (run($two, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(19)%'")[0][1][0][0] === '0') {
            usleep(20000);
        }
        return [run($two, "KILL QUERY $one->thread_id"), attempt(fn () => $one->reap_async_query()), run($one, "SELECT 'after'")];
    };
    $checks['kill_command'] = function () {
        [$one, $two] = [open(), open()];
        return [attempt(fn () => $two->kill($one->thread_id)), run($one, "SELECT 'after'")];
    };
    $checks['get_warnings'] = function () {
        $conn = open();
        run($conn, "SELECT 1 / 0, CAST('x' AS INT)");
        $warning = $conn->get_warnings();
        return $warning ? [$warning->message, $warning->sqlstate, $warning->errno] : null;
    };
}

$conn = open(['schema' => null]);
foreach (sections('schema.sql') as [$title, $sql]) {
    $found = run($conn, $sql);
    if (str_contains(json_encode($found), '"error"')) {
        fwrite(STDERR, "$title: " . json_encode($found) . "\n");
        exit(1);
    }
}
foreach ($checks as $title => $check) {
    echo "$title\t", json_encode(plain($check()), JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE), "\n";
}
