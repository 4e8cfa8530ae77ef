-- savepoints
START TRANSACTION
INSERT INTO work (note) VALUES ('one')
SAVEPOINT a
INSERT INTO work (note) VALUES ('two')
SAVEPOINT b
ROLLBACK TO b
SELECT note FROM work ORDER BY id
ROLLBACK TO SAVEPOINT a
RELEASE SAVEPOINT a
ROLLBACK TO SAVEPOINT a
COMMIT
SELECT note FROM work
TRUNCATE work
-- isolation levels
SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED
SELECT @@tx_isolation
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE
SELECT @@tx_isolation
SET TRANSACTION READ ONLY
INSERT INTO work (note) VALUES ('refused')
INSERT INTO work (note) VALUES ('taken')
TRUNCATE work
-- autocommit off
SET autocommit = 0
INSERT INTO work (note) VALUES ('a')
SELECT @@in_transaction, @@autocommit
ROLLBACK
SELECT COUNT(*) FROM work
INSERT INTO work (note) VALUES ('b')
CREATE TABLE implicit (id INT)
ROLLBACK
SELECT note FROM work
DROP TABLE implicit
SET autocommit = 1
TRUNCATE work
-- error in transaction
BEGIN
INSERT INTO work (note) VALUES ('kept')
INSERT INTO many VALUES (1, 'twice')
SELECT @@in_transaction
COMMIT
SELECT note FROM work
TRUNCATE work
-- affected rows
INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c')
UPDATE parents SET name = 'a'
UPDATE parents SET name = 'a'
INSERT INTO parents VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'y'
INSERT INTO parents VALUES (1, 'x') ON DUPLICATE KEY UPDATE name = 'y'
REPLACE INTO parents VALUES (2, 'z')
INSERT IGNORE INTO parents VALUES (2, 'z'), (4, 'd')
SELECT ROW_COUNT()
DELETE FROM parents
-- found rows
SELECT SQL_CALC_FOUND_ROWS id FROM many LIMIT 2
SELECT FOUND_ROWS()
-- last insert id
INSERT INTO work (note) VALUES ('a')
SELECT LAST_INSERT_ID()
INSERT INTO work (note) VALUES ('b'), ('c'), ('d')
SELECT LAST_INSERT_ID()
INSERT INTO work (id, note) VALUES (100, 'e')
UPDATE work SET id = LAST_INSERT_ID(id + 1) WHERE id = 100
SELECT LAST_INSERT_ID()
INSERT INTO work (note) VALUES ('f') RETURNING id, note
TRUNCATE work
-- warnings
SET sql_mode = ''
INSERT INTO work (note) VALUES ('longer than twenty characters are')
SHOW WARNINGS
SELECT @@warning_count
SELECT 1 / 0
SHOW COUNT(*) WARNINGS
DROP TABLE IF EXISTS nowhere
SHOW WARNINGS
TRUNCATE work
-- set names
SET NAMES utf8mb4 COLLATE utf8mb4_polish_ci
SELECT HEX('ü😀'), @@character_set_results, @@collation_connection
SET CHARACTER SET utf8mb3
SELECT @@character_set_client, @@character_set_connection, @@collation_connection
-- session variables
SET @a = 1, @b = 'ü😀', @c := NULL, @d = 1.50
SELECT @a, @b, @c, @d, @e
SET SESSION sort_buffer_size = 300000, @@session.sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')
SELECT "id", @@sort_buffer_size FROM many WHERE id = 1
SELECT @@sql_mode
SET sql_mode = DEFAULT
SET @id = (SELECT MAX(id) FROM many)
SELECT @id
SET STATEMENT sort_buffer_size = 400000 FOR SELECT @@sort_buffer_size
-- time zones
SET time_zone = '+05:30'
SELECT @@time_zone, CAST(stamp AS CHAR) FROM dates WHERE id = 1
SET time_zone = 'Mars/Crater'
SET timestamp = 1700000000.25
SELECT CAST(NOW(6) AS CHAR)
-- procedures
CALL two_sets(2)
SET @b = 10
CALL give(5, @b, @c)
SELECT @b, @c
CALL add_work(3)
CALL complain()
TRUNCATE work
-- temporary tables
CREATE TEMPORARY TABLE many (id INT)
INSERT INTO many VALUES (1), (2)
SELECT * FROM many
DROP TEMPORARY TABLE many
SELECT COUNT(*) FROM many
-- user locks
SELECT GET_LOCK('driven', 0)
SELECT IS_USED_LOCK('driven') = CONNECTION_ID()
SELECT RELEASE_LOCK('driven')
-- table locks
LOCK TABLES work WRITE, many READ
INSERT INTO work (note) VALUES ('a')
SELECT COUNT(*) FROM many
SELECT * FROM texts
UNLOCK TABLES
TRUNCATE work
-- statement timeouts
SET STATEMENT max_statement_time = 0.1 FOR SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word
SET max_statement_time = 0.1
SELECT COUNT(*) FROM many a, many b, many c WHERE a.word < b.word
SET max_statement_time = 0
-- xa
XA START 'x1'
INSERT INTO work (note) VALUES ('xa')
XA END 'x1'
XA PREPARE 'x1'
XA COMMIT 'x1'
SELECT note FROM work
TRUNCATE work
-- prepared by text
PREPARE p FROM 'SELECT ? + ?, word FROM many WHERE id = ?'
SET @x = 1, @y = 2
EXECUTE p USING @x, @y, @y
EXECUTE p USING @y, @y, @x
DEALLOCATE PREPARE p
EXECUTE p USING @x, @y, @y
EXECUTE IMMEDIATE 'SELECT ?' USING @x
-- schemas
SELECT DATABASE()
USE mysql
SELECT DATABASE()
USE nowhere
SELECT DATABASE()
SELECT COUNT(*) FROM driven.many
-- diagnostics
SELECT * FROM nowhere
SHOW ERRORS
GET DIAGNOSTICS CONDITION 1 @state = RETURNED_SQLSTATE, @text = MESSAGE_TEXT
SELECT @state, @text
SELECT @@error_count
