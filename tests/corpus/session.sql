-- SET, USE, PREPARE, transactions: what changes the session or is bound to it.
-- setup CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(50), KEY ia (a)) ENGINE=InnoDB
-- setup INSERT INTO t (a, b) VALUES (1, 'one'), (2, 'two'), (3, 'three')
-- setup CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1
-- setup CREATE SEQUENCE s
-- setup CREATE OR REPLACE ROLE corpus_role
-- setup GRANT corpus_role TO root@localhost
-- expect session SETS_VARIABLES_ONLY
SET @a = (SELECT 1)
SET @a = 1
set @a=1;
SET @a := 1
SET @a = 1, @b = 2, @c := 3
SET @a = 'x'
SET @a = "x"
SET @a = 'it''s; here', @b = 'a,b'
SET @`a b` = 1, @'c' = 2, @"d" = 3
SET @a = NULL
SET @a = TRUE, @b = FALSE
SET @a = -1, @b = +1.5e3, @c = .5
SET @a = 0x4D, @b = X'4D', @c = B'1', @d = N'n', @e = _utf8mb4'x'
SET @a = 1 + 2 * 3
SET @a = (1), @b = (1 + 1)
SET @a = @b
SET @a = @a + 1
SET @a = CONCAT('a', 'b')
SET @a = CONCAT(@b, ',', @c), @d = UPPER('x')
SET @a = @@sql_mode
SET @a = @@session.sql_mode, @b = @@autocommit
SET @a = IF(@b > 1, 'x', 'y')
SET @a = CASE WHEN @b THEN 1 ELSE 2 END
SET @a = REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', '')
SET @a = @b IN (1, 2, 3)
SET @a = CAST('1' AS SIGNED)
SET @a = DATABASE()
SET @a = 'é', @b = '名前'
SET @x.y = 1
SET @a = 1 -- comment
SET /* c */ @a = 1
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES */
SET @a = JSON_EXTRACT('{"a":1}', '$.a')
SET @a = MD5(@b)
SET @a = '2024-01-01' + INTERVAL 1 DAY
-- expect session
SET sql_mode = (SELECT '')
SET @@wait_timeout = (SELECT 100)
SET autocommit = 1
SET autocommit = 0
SET AUTOCOMMIT=ON
SET @@autocommit = 0
SET @@session.autocommit = 1
SET SESSION autocommit = 0
SET LOCAL autocommit = 0
SET @@local.autocommit := 0
SET NAMES utf8
SET NAMES utf8mb4
set names utf8mb4;
SET NAMES 'utf8mb4'
SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci
SET NAMES 'utf8' COLLATE 'utf8_bin'
SET NAMES DEFAULT
SET NAMES latin1
SET CHARACTER SET utf8
SET CHARACTER SET DEFAULT
SET CHARSET utf8mb4
SET CHARACTER SET 'latin1'
SET NAMES utf8, @a = 1
SET character_set_client = utf8, character_set_results = NULL
SET character_set_results = utf8mb4
SET character_set_connection = latin1
SET collation_connection = utf8mb4_bin
SET collation_connection = @@collation_database
SET sql_mode = ''
SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'
SET SESSION sql_mode = 'ANSI_QUOTES'
SET SESSION sql_mode='STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'
SET sql_mode = ANSI
SET sql_mode = DEFAULT
SET sql_mode = TRADITIONAL
SET sql_mode = ORACLE
SET @@sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')
SET @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'),  @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483
SET SESSION sql_mode = REPLACE(@@sql_mode, 'STRICT_TRANS_TABLES', '')
SET sql_mode = @@global.sql_mode
SET sql_mode = 0
SET `sql_mode` = ''
SET time_zone = '+00:00'
SET SESSION time_zone = 'SYSTEM'
SET wait_timeout = 100, interactive_timeout = 100
SET SESSION wait_timeout = 100, @@lock_wait_timeout = 5, @x = 1
SET SESSION sort_buffer_size = 1000000, join_buffer_size = 1000000
SET foreign_key_checks = 0
SET FOREIGN_KEY_CHECKS=0, UNIQUE_CHECKS=0
SET unique_checks = OFF
SET sql_notes = 0
SET sql_safe_updates = 1, sql_select_limit = 1000, max_join_size = 1000000
SET SESSION group_concat_max_len = 100000
SET SESSION max_statement_time = 5.5
SET innodb_lock_wait_timeout = 5
SET lc_time_names = 'de_DE', lc_messages = 'en_US'
SET timestamp = 1700000000
SET timestamp = DEFAULT
SET tx_isolation = 'READ-COMMITTED'
SET SESSION tx_isolation = 'SERIALIZABLE'
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE
SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED
SET LOCAL TRANSACTION READ ONLY
SET SESSION TRANSACTION READ WRITE
set session transaction isolation level read committed;
SET ROLE corpus_role
SET ROLE 'corpus_role'
SET ROLE NONE
SET profiling = 1
SET SESSION optimizer_switch = 'mrr=on,mrr_cost_based=off'
SET default_storage_engine = InnoDB
SET auto_increment_increment = 2, auto_increment_offset = 2
SET SESSION transaction_prealloc_size = 8192
SET wsrep_sync_wait = 1
SET SESSION session_track_system_variables = '*'
SET div_precision_increment = 6
SET max_error_count = 100, @@sql_warnings = 1
SET big_tables = 1
SET low_priority_updates = 1
/*!40101 SET NAMES utf8 */
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET TIME_ZONE='+00:00' */
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */
/*!40014 SET FOREIGN_KEY_CHECKS=0 */
/*!40101 SET SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */
USE corpus
use corpus;
USE `corpus`
USE mysql
USE information_schema
USE/**/corpus
-- before SET @old = 'ANSI'
SET sql_mode = @old
-- before SET @c = 'utf8'
SET character_set_client = @c
-- expect begin
BEGIN
BEGIN WORK
begin;
START TRANSACTION
START TRANSACTION READ WRITE
START TRANSACTION WITH CONSISTENT SNAPSHOT
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE
start transaction;
START /* c */ TRANSACTION -- read only
-- expect begin-read-only
START TRANSACTION READ ONLY
START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY
START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT
start transaction read only;
-- expect end
COMMIT
COMMIT WORK
COMMIT AND CHAIN
COMMIT AND NO CHAIN
COMMIT NO RELEASE
COMMIT WORK AND CHAIN NO RELEASE
commit;
ROLLBACK
ROLLBACK WORK
ROLLBACK AND CHAIN
ROLLBACK AND NO CHAIN NO RELEASE
rollback;
-- expect write
SAVEPOINT sp
savepoint `sp`;
-- expect prepare
PREPARE st FROM 'SELECT 1'
PREPARE `st` FROM "SELECT a FROM t WHERE id = ?"
PREPARE st FROM 'INSERT INTO t (a) VALUES (?)'
PREPARE st FROM 'UPDATE t SET a = a + 1'
prepare st from 'select * from t for update';
-- before PREPARE st FROM 'SELECT 1'
DEALLOCATE PREPARE st
-- before PREPARE st FROM 'SELECT 1'
DROP PREPARE st
-- before PREPARE st FROM 'SELECT 1'
deallocate prepare `st`;
-- expect write
-- before PREPARE st FROM 'SELECT 1'
EXECUTE st
-- before PREPARE st FROM 'UPDATE t SET a = 1'
EXECUTE `st`
EXECUTE IMMEDIATE 'SELECT 1'
EXECUTE IMMEDIATE 'UPDATE t SET a = 1'
EXECUTE IMMEDIATE 'SELECT ?' USING 1
EXECUTE IMMEDIATE "INSERT INTO t (a) VALUES (?)" USING 5
-- before PREPARE st FROM 'SELECT ?'
EXECUTE st USING 1
-- expect write READS_VARIABLE
-- before PREPARE st FROM 'SELECT ?'
EXECUTE st USING @a
-- before PREPARE st FROM 'SELECT ?, ?'
EXECUTE st USING @a, @b
-- expect write UNREPEATABLE
PREPARE st FROM 'SET autocommit = 0'
PREPARE st FROM 'SET @a = 1'
PREPARE st FROM 'SELECT \'x\''
PREPARE st FROM 'SELECT ''x'''
PREPARE st FROM CONCAT('SELECT ', '1')
-- before SET @q = 'SELECT 1'
PREPARE st FROM @q
-- before SET @q = 'UPDATE t SET a = 1'
EXECUTE IMMEDIATE @q
EXECUTE IMMEDIATE CONCAT('SELECT ', 1)
EXECUTE IMMEDIATE 'SET @x = 1'
EXECUTE IMMEDIATE 'SET SESSION sql_mode = \'\''
BEGIN NOT ATOMIC SELECT 1; END
BEGIN NOT ATOMIC DECLARE n INT; SELECT MAX(a) INTO n FROM t; UPDATE t SET a = n; END
BEGIN NOT ATOMIC SET time_zone = '+00:00'; SET @x = 1; END;
IF 1 THEN SELECT 1; END IF
IF 1 THEN UPDATE t SET a = 1; ELSE SELECT 2; END IF;
CASE 1 WHEN 1 THEN SELECT 1; END CASE
WHILE 0 DO SELECT 1; END WHILE
REPEAT SELECT 1; UNTIL 1 END REPEAT
FOR i IN 1..2 DO UPDATE t SET a = i; END FOR
FOR r IN (SELECT a FROM t) DO UPDATE t SET a = r.a; END FOR
-- values that only one node and moment has
SET sql_mode = (SELECT '' FROM t LIMIT 1)
SET @@wait_timeout = (SELECT 100 FROM t LIMIT 1)
SET timestamp = UNIX_TIMESTAMP()
SET insert_id = 500
SET SESSION insert_id = 500
SET last_insert_id = 5
SET identity = 5
SET @@identity = 5
SET rand_seed1 = 1, rand_seed2 = 2
SET sql_auto_is_null = 1
SET wait_timeout = f() + 100
-- alone
SET gtid_seq_no = 100000
SET @a = NOW(), time_zone = '+00:00'
SET NAMES utf8, @a = NOW()
-- expect write UNREPEATABLE CHANGES_BEGINNINGS
-- after SET GLOBAL sort_buffer_size = DEFAULT
SET GLOBAL sort_buffer_size = 100000, SESSION wait_timeout = 100
-- after SET GLOBAL sort_buffer_size = DEFAULT
SET @@global.sort_buffer_size = 100000, sql_mode = ''
-- expect write TAINTS_VARIABLES
SET @a = NOW()
SET @a = CURRENT_TIMESTAMP
SET @a = RAND()
SET @a = UUID()
SET @a = (SELECT MAX(a) FROM t)
SET @a = f()
SET @a = corpus.f()
SET @a = `f`()
SET @a = LAST_INSERT_ID()
SET @a = @@last_insert_id
SET @a = @@hostname
SET @a = @@server_id
SET @a = CONNECTION_ID()
SET @a = USER()
SET @a = VERSION()
SET @a = NEXTVAL(s)
SET @a = NEXT VALUE FOR s
SET @a = LASTVAL(s)
SET @a = EXISTS (SELECT 1 FROM t)
SET @a = 1 IN (SELECT a FROM t)
SET @a = (@b := 5)
SET @a = CONCAT(NOW(), 'x')
SET @a = 1, @b = SYSDATE()
SET @a = CURRENT_USER
SET @a = LOAD_FILE('{data}')
SET @a = @@gtid_binlog_pos
SET @a = @@timestamp
SET @a = GET_LOCK('l', 0)
SET @a = (SELECT a FROM t WHERE id = 1 LOCK IN SHARE MODE)
-- after SET GLOBAL sort_buffer_size = DEFAULT
SET GLOBAL sort_buffer_size = 100000, @a = 1
-- expect set-transaction
-- alone
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
-- alone
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY
-- alone
SET TRANSACTION READ ONLY
-- alone
SET TRANSACTION READ WRITE
-- alone
set transaction isolation level repeatable read;
-- alone
SET @@tx_isolation = 'READ-COMMITTED'
-- alone
SET @@tx_read_only = 1
-- expect session
-- alone
SET tx_read_only = 0
-- alone
SET SESSION binlog_format = 'ROW'
-- alone
SET sql_log_bin = 0
-- alone
SET wsrep_on = 0
-- alone
SET @@session.tx_read_only = 0
-- alone
SET gtid_domain_id = 5
-- expect diagnostics TAINTS_VARIABLES
SET @trace = (SELECT JSON_EXTRACT(trace, '$**.table') FROM INFORMATION_SCHEMA.OPTIMIZER_TRACE)
SET @a = FOUND_ROWS()
SET @a = FOUND_ROWS(), @b = ROW_COUNT()
SET @a = @@warning_count
SET @a = 1, @b = ROW_COUNT() + 1
SELECT FOUND_ROWS() INTO @a
SELECT ROW_COUNT(), @@error_count INTO @a, @b
SELECT @a := ROW_COUNT()
-- expect write
SET @a = FOUND_ROWS(), @b = LAST_INSERT_ID()
SET @a = ROW_COUNT(), time_zone = '+00:00'
SELECT FOUND_ROWS() INTO OUTFILE '{file}'
SELECT FOUND_ROWS(), f()
