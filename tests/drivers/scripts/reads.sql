-- constants
SELECT 1, -1, 1.50, 1e0, 'text', NULL, TRUE, x'00ff', b'101', DATE '2024-01-02', TIME '03:04:05.6', TIMESTAMP '2024-01-02 03:04:05'
-- numbers
SELECT * FROM numbers ORDER BY id
-- unsigned sums
SELECT SUM(ubig), MAX(ubig), COUNT(*), AVG(i), ubig + 0, ~0, -ui FROM numbers WHERE id = 2 GROUP BY id
-- decimals
SELECT CAST('0.1' AS DECIMAL(3,1)), 0.1 + 0.2, 1 / 3, 10 DIV 3, CAST(-0.00 AS DECIMAL(5,2)), 123456789012345678901234567890.123
-- floats
SELECT 0.1e0, 1e-10, 1e300, CAST(1 AS FLOAT) / 3, PI(), SQRT(2)
-- dates
SELECT id, day, clock_us, at, at_us, stamp, y FROM dates WHERE id IN (1, 3) ORDER BY id
-- times
SELECT id, clock FROM dates WHERE id IN (1, 3) ORDER BY id
-- dates as text
SELECT id, CAST(day AS CHAR), CAST(clock AS CHAR), CAST(clock_us AS CHAR), CAST(at AS CHAR), CAST(at_us AS CHAR), CAST(stamp AS CHAR), CAST(y AS CHAR) FROM dates ORDER BY id
-- zero dates as text
SELECT id, CAST(day AS CHAR), CAST(at AS CHAR), CAST(stamp AS CHAR) FROM zero_dates ORDER BY id
-- intervals
SELECT '2024-01-31' + INTERVAL 1 MONTH, DATEDIFF('2024-03-01', '2024-02-01'), TIMEDIFF('10:00:00', '12:30:00.5'), UNIX_TIMESTAMP('2024-01-01 00:00:00.25')
-- bits
SELECT id, bits, bits + 0, yes FROM numbers ORDER BY id
-- texts
SELECT id, c, v, t, e, s, latin FROM texts ORDER BY id
-- binaries
SELECT id, b, bl, lb FROM texts ORDER BY id
-- json
SELECT id, j, JSON_EXTRACT(j, '$.a[2]'), JSON_OBJECT('k', id) FROM texts ORDER BY id
-- uuid inet
SELECT id, CAST(u AS CHAR), CAST(ip AS CHAR), HEX(p) FROM texts ORDER BY id
-- unicode
SELECT '😀', 'Ω≈ç√', HEX('😀'), CHAR_LENGTH('😀é'), LENGTH('😀é'), _latin1 x'e9', _utf8mb4 'ß' COLLATE utf8mb4_bin
-- empty set
SELECT id, word FROM many WHERE id < 0
-- names
SELECT 1 AS `a b`, 2 AS `ü😀`, 3 AS '', 4 AS `select`, 5 AS a, 6 AS a
-- joins
SELECT m.id, m.word, w.word FROM many m LEFT JOIN first_words w USING (id) WHERE m.id < 6 ORDER BY m.id
-- union
SELECT 1 AS a, 'x' AS b UNION ALL SELECT NULL, 'yy' UNION ALL SELECT 18446744073709551615, NULL
-- with
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r
-- values
VALUES (1, 'a'), (2, 'b')
-- window
SELECT id, ROW_NUMBER() OVER (ORDER BY word DESC) FROM many WHERE id < 4
-- function
SELECT twice(21)
-- explain
EXPLAIN SELECT * FROM many WHERE id = 1
-- describe
DESCRIBE numbers
-- columns
SHOW FULL COLUMNS FROM texts
-- create
SHOW CREATE TABLE children
-- tables
SHOW FULL TABLES
-- keys
SHOW KEYS FROM children
-- schema
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'driven' ORDER BY TABLE_NAME, ORDINAL_POSITION
-- constraints
SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'driven'
-- identity
SELECT DATABASE(), CURRENT_USER(), CONNECTION_ID() > 0
-- session
SELECT @@sql_mode, @@time_zone, @@autocommit, @@tx_isolation, @@wait_timeout, @@max_allowed_packet, @@lower_case_table_names
-- version
SELECT VERSION(), @@version_comment, @@hostname = @@hostname
-- charsets
SHOW VARIABLES LIKE 'character_set_%'
-- collations
SHOW VARIABLES LIKE 'collation_%'
-- grants
SHOW GRANTS
-- wide
SELECT REPEAT('é', 300), REPEAT('x', 70000)
-- locking read
SELECT id FROM many WHERE id = 7 FOR UPDATE
-- comment first
/* app:web */ SELECT /*!100000 1 + */ 1 -- done
