-- SELECT in all its forms that only read.
-- setup CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(50), c DATETIME DEFAULT CURRENT_TIMESTAMP, `select` INT, value INT, KEY ia (a), KEY ib (b)) ENGINE=InnoDB
-- setup INSERT INTO t (a, b) VALUES (1, 'one'), (2, 'two'), (3, 'three')
-- setup CREATE TABLE u (id INT PRIMARY KEY, t_id INT, note TEXT, KEY (t_id)) ENGINE=InnoDB
-- setup INSERT INTO u VALUES (1, 1, 'x'), (2, 1, 'y;z'), (3, 2, NULL)
-- setup CREATE TABLE p (id INT, y INT) PARTITION BY RANGE (y) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)
-- setup CREATE TABLE h (id INT, a INT) WITH SYSTEM VERSIONING
-- setup CREATE VIEW v AS SELECT id, a FROM t
-- setup CREATE SEQUENCE s
-- expect read
SELECT 1
select 1;
SELECT 1 AS one, 'x' AS `two`, "y" three
SELECT 1 FROM DUAL
SELECT * FROM t
SELECT t.* FROM t
SELECT corpus.t.a FROM corpus.t
SELECT `t`.`a`,`t`.`b` FROM `corpus`.`t`
SELECT id, a, b FROM t WHERE id = 1
SELECT c FROM t WHERE id=12345
SELECT c FROM t WHERE id BETWEEN 1 AND 100
SELECT SUM(a) FROM t WHERE id BETWEEN 1 AND 100
SELECT c FROM t WHERE id BETWEEN 1 AND 100 ORDER BY c
SELECT DISTINCT c FROM t WHERE id BETWEEN 1 AND 100 ORDER BY c
SELECT ALL a FROM t
SELECT DISTINCTROW a FROM t
SELECT HIGH_PRIORITY a FROM t
SELECT STRAIGHT_JOIN t.a FROM t, u
SELECT SQL_SMALL_RESULT a, COUNT(*) FROM t GROUP BY a
SELECT SQL_BIG_RESULT a, COUNT(*) FROM t GROUP BY a
SELECT SQL_BUFFER_RESULT a FROM t
SELECT SQL_CACHE a FROM t
SELECT SQL_NO_CACHE a FROM t
SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1
SELECT SQL_NO_CACHE (1), (2)
SELECT DISTINCT (a), (b) FROM t
-- conditions
SELECT * FROM t WHERE a = 1 AND b = 'x' OR NOT (a > 2)
SELECT * FROM t WHERE a <> 1 AND a != 2 AND a <=> 3
SELECT * FROM t WHERE a IN (1, 2, 3)
SELECT * FROM t WHERE a NOT IN (1)
SELECT * FROM t WHERE (a, b) IN ((1, 'one'), (2, 'two'))
SELECT * FROM t WHERE ROW(a, b) = ROW(1, 'one')
SELECT * FROM t WHERE b LIKE 'o%' ESCAPE '|'
SELECT * FROM t WHERE b LIKE '%for update%'
SELECT * FROM t WHERE b = 'into outfile ''x'''
SELECT * FROM t WHERE b = 'it\'s; DELETE FROM t'
SELECT * FROM t WHERE b = "a ""quoted"" string"
SELECT * FROM t WHERE b = "it's"
SELECT * FROM t WHERE b = 'say "hi"' AND a = 1
SELECT * FROM t WHERE b = '\\'
SELECT * FROM t WHERE b = '' OR b = ""
SELECT * FROM t WHERE b REGEXP '^[a-z]+$'
SELECT * FROM t WHERE a IS NULL
SELECT * FROM t WHERE a IS NOT NULL AND b IS NOT NULL
SELECT * FROM t WHERE a BETWEEN 1 AND 2 AND c > '2020-01-01'
SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t_id = t.id)
SELECT * FROM t WHERE NOT EXISTS (SELECT * FROM u WHERE u.t_id = t.id)
SELECT * FROM t WHERE a = ANY (SELECT id FROM u)
SELECT * FROM t WHERE a > ALL (SELECT id FROM u)
SELECT * FROM t WHERE a = SOME (SELECT t_id FROM u)
SELECT * FROM t WHERE a = (SELECT MAX(id) FROM u)
SELECT * FROM t WHERE (a, id) = (SELECT id, t_id FROM u LIMIT 1)
SELECT * FROM t WHERE id IN (SELECT t_id FROM u WHERE note IS NOT NULL)
SELECT (SELECT COUNT(*) FROM u WHERE u.t_id = t.id) AS n FROM t
SELECT a, (SELECT b FROM t x WHERE x.id = t.id) FROM t
-- order, groups, limits
SELECT a FROM t ORDER BY a
SELECT a FROM t ORDER BY a DESC, b ASC
SELECT a FROM t ORDER BY 1
SELECT a FROM t ORDER BY (a), (b)
SELECT a FROM t ORDER BY RAND()
SELECT a FROM t ORDER BY FIELD(a, 3, 1, 2)
SELECT a FROM t LIMIT 1
SELECT a FROM t LIMIT 1, 2
SELECT a FROM t LIMIT 2 OFFSET 1
SELECT a FROM t ORDER BY a OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY
SELECT a FROM t ORDER BY a FETCH FIRST 1 ROW WITH TIES
SELECT a FROM t ORDER BY a FETCH FIRST ROW ONLY
SELECT a FROM t LIMIT ROWS EXAMINED 100
SELECT a FROM t LIMIT 2 ROWS EXAMINED 100
SELECT a, COUNT(*) FROM t GROUP BY a
SELECT a, COUNT(*) n FROM t GROUP BY a HAVING n > 0
SELECT a, COUNT(*) FROM t GROUP BY (a) HAVING (COUNT(*) > 0)
SELECT a, b, SUM(id) FROM t GROUP BY a, b WITH ROLLUP
SELECT a, COUNT(*) FROM t GROUP BY a DESC
SELECT YEAR(c) y, MONTH(c) m, COUNT(*) FROM t GROUP BY y, m ORDER BY y, m
-- joins
SELECT * FROM t JOIN u ON t.id = u.t_id
SELECT * FROM t INNER JOIN u ON (t.id = u.t_id)
SELECT * FROM t CROSS JOIN u
SELECT * FROM t LEFT JOIN u ON t.id = u.t_id
SELECT * FROM t LEFT OUTER JOIN u ON (t.id = u.t_id AND u.note = 'x')
SELECT * FROM t RIGHT JOIN u ON t.id = u.t_id
SELECT * FROM t NATURAL JOIN u
SELECT * FROM t NATURAL LEFT JOIN u
SELECT * FROM t JOIN u USING (id)
SELECT * FROM t STRAIGHT_JOIN u ON t.id = u.t_id
SELECT * FROM t, u WHERE t.id = u.t_id
SELECT * FROM (t, u)
SELECT * FROM t JOIN (u CROSS JOIN v) ON t.id = u.t_id
SELECT * FROM (t JOIN u ON t.id = u.t_id) LEFT JOIN v ON v.id = t.id
SELECT x.a, y.a FROM t AS x JOIN t AS y ON x.id = y.id + 1
SELECT * FROM {OJ t LEFT OUTER JOIN u ON t.id = u.t_id}
SELECT t0.id FROM t t0 LEFT JOIN u u1 ON t0.id = u1.t_id LEFT JOIN u u2 ON u1.id = u2.id WHERE t0.a IN (1,2) ORDER BY t0.id ASC LIMIT 25
-- index hints
SELECT * FROM t USE INDEX (ia) WHERE a = 1
SELECT * FROM t FORCE INDEX (ia, ib) WHERE a = 1
SELECT * FROM t IGNORE KEY (ia) WHERE a = 1
SELECT * FROM t USE INDEX () WHERE a = 1
SELECT * FROM t USE INDEX FOR JOIN (ia) WHERE a = 1
SELECT * FROM t FORCE INDEX FOR ORDER BY (ia) ORDER BY a
SELECT * FROM t IGNORE INDEX FOR GROUP BY (ia) WHERE a = 1
SELECT * FROM t FORCE KEY (PRIMARY) JOIN u FORCE INDEX (t_id) ON t.id = u.t_id
-- derived tables, common table expressions
SELECT * FROM (SELECT a, b FROM t) x
SELECT x.n FROM (SELECT COUNT(*) AS n FROM t) AS x
SELECT * FROM (SELECT 1 AS a UNION SELECT 2) x WHERE a > 1
SELECT * FROM ((SELECT 1 AS a)) x
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) x
WITH x AS (SELECT a FROM t) SELECT * FROM x
WITH x (n) AS (SELECT a FROM t) SELECT n FROM x
WITH x(n) AS (SELECT a FROM t), y(m, k) AS (SELECT n, n FROM x) SELECT * FROM y
WITH `x y`(`n`) AS (SELECT a FROM t) SELECT * FROM `x y`
WITH x AS (SELECT 1 AS a) SELECT * FROM x UNION SELECT a FROM t
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT SUM(n) FROM r
WITH RECURSIVE r(n, path) AS (SELECT 1, CAST('1' AS CHAR(100)) UNION ALL SELECT n + 1, CONCAT(path, ',', n + 1) FROM r WHERE n < 3) SELECT * FROM r
WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n + 1 FROM r WHERE n < 3) CYCLE n RESTRICT SELECT * FROM r
SELECT * FROM (WITH x(n) AS (SELECT 1) SELECT n FROM x) y
SELECT * FROM t WHERE a IN (WITH x AS (SELECT 1 AS n) SELECT n FROM x)
WITH a AS (WITH b AS (SELECT 1 AS n) SELECT n FROM b) SELECT * FROM a
-- unions
SELECT a FROM t UNION SELECT id FROM u
SELECT a FROM t UNION ALL SELECT id FROM u ORDER BY 1 LIMIT 3
SELECT a FROM t UNION DISTINCT SELECT id FROM u
SELECT a FROM t INTERSECT SELECT id FROM u
SELECT a FROM t EXCEPT SELECT id FROM u
SELECT a FROM t INTERSECT ALL SELECT id FROM u
SELECT a FROM t EXCEPT ALL SELECT id FROM u
(SELECT a FROM t)
((SELECT a FROM t))
(SELECT a FROM t ORDER BY a LIMIT 1) UNION (SELECT id FROM u ORDER BY id LIMIT 1)
(SELECT a FROM t) UNION ALL (SELECT id FROM u) ORDER BY 1
(SELECT 1) UNION (SELECT 2) INTERSECT (SELECT 2)
SELECT 1 UNION (SELECT 2 UNION SELECT 3)
(SELECT 1 UNION SELECT 2) UNION ALL SELECT 3
SELECT 1 UNION VALUES (2)
VALUES (1, 2), (3, 4)
VALUES (1), (2) ORDER BY 1 LIMIT 1
VALUES (1), (2) UNION SELECT a FROM t
(VALUES (1), (2))
-- partitions, history
SELECT * FROM p PARTITION (p0)
SELECT * FROM p PARTITION (p0, p1) x WHERE x.y = 1
SELECT * FROM h FOR SYSTEM_TIME ALL
SELECT * FROM h FOR SYSTEM_TIME AS OF NOW()
SELECT * FROM h FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01 00:00:00'
SELECT * FROM h FOR SYSTEM_TIME BETWEEN '2024-01-01' AND NOW()
SELECT * FROM h FOR SYSTEM_TIME FROM '2024-01-01' TO NOW()
SELECT *, ROW_START, ROW_END FROM h FOR SYSTEM_TIME ALL x
-- names that look like something else
SELECT `select`, t.`select`, t.select FROM t
SELECT value, t.value, value value FROM t
SELECT a AS `into`, a AS `for update`, a AS 'lock in share mode' FROM t
SELECT a nextval, a lastval FROM t
SELECT a AS share, a AS skip, a AS locked, a AS wait FROM t
SELECT share.a FROM t AS share
SELECT a AS début FROM t
SELECT a AS `größe`, a AS 名前 FROM t
SELECT a AS $x, a AS _y, a AS x$1, a AS 1st FROM t
SELECT t.a,t.b,t .c,t. id FROM t
SELECT s.next_not_cached_value FROM s
SELECT * FROM s
SELECT 'NEXT VALUE FOR s', 'GET_LOCK(1)'
SELECT -1, - 1, +1, --1, 1--1, 1 - -1
SELECT 1.5, .5, 5., 1e10, 1.5E-3, 1e+3, 0xFF, 0b101, 1.e2
SELECT 2*3, 2 *3, 2/1, 4/2*2
SELECT NULL, TRUE, FALSE, \N
SELECT 'a' 'b' "c"
SELECT a'x' FROM (SELECT 1 a) q
-- comments
SELECT /* one */ a /* two */ FROM t
SELECT a FROM t -- to the end
SELECT a FROM t --	after a tab
SELECT a FROM t # to the end; DELETE FROM t
SELECT a FROM t /* ; DELETE FROM t */
/* before */ SELECT a FROM t
/* ping */ SELECT 1
SELECT /* 'not a string */ 1
SELECT /* -- */ 1
SELECT '/*', a, '*/' FROM t
SELECT '-- ', a FROM t
SELECT /**/ a /***/ FROM t
SELECT a/**/FROM/**/t
SELECT a FROM t;-- end
SELECT a FROM t ; /* end */ ;
SELECT 2 --
SELECT /*!40001 SQL_NO_CACHE */ * FROM t
SELECT /*!50000 STRAIGHT_JOIN */ t.a FROM t, u
SELECT /*! HIGH_PRIORITY */ a FROM t
SELECT /*M! SQL_NO_CACHE */ a FROM t
SELECT /*M!100100 SQL_NO_CACHE */ a FROM t
SELECT /*!99999 SQL_NO_CACHE */ a FROM t
SELECT /*!40001 SQL_NO_CACHE */ /*!40002 SQL_BUFFER_RESULT */ 1
/*!40100 SELECT 1 */
/*! SELECT a FROM t */;
-- expect read
-- system variables of the session and the names of nodes
SELECT @@version, @@version_comment
SELECT @@version_comment LIMIT 1
SELECT @@session.sql_mode, @@SESSION.autocommit, @@local.time_zone, @@sql_mode
SELECT @@autocommit
SELECT @@max_allowed_packet,@@system_time_zone,@@time_zone,@@auto_increment_increment
SELECT @@hostname, @@server_id, @@port
SELECT @@global.server_id, @@GLOBAL.hostname
SELECT @@wsrep_node_name, @@wsrep_cluster_name, @@wsrep_on
SELECT @@tx_isolation
SELECT @@session.tx_isolation, @@session.tx_read_only
SELECT @@in_transaction
SELECT @@character_set_client, @@character_set_connection, @@collation_connection, @@character_set_results
SELECT @@lower_case_table_names
SELECT @@datadir, @@basedir
SELECT @@read_only
SELECT @@gtid_binlog_pos, @@gtid_current_pos, @@gtid_slave_pos
SELECT @@timestamp
SELECT @@session . sql_mode
SELECT a FROM t LIMIT 3 -- oarlock: reader
-- expect read READS_VARIABLE
SELECT @a
SELECT @a, @A, @`a b`, @'c', @"d"
SELECT @a + 1, CONCAT(@b, 'x')
SELECT * FROM t WHERE a = @a
SELECT * FROM t WHERE a > @min AND a < @max ORDER BY a
SELECT @a.b, @a$c, @_x
-- expect read
-- the server's own tables
SELECT * FROM information_schema.tables WHERE table_schema = 'corpus'
SELECT table_name, engine FROM information_schema.TABLES WHERE table_schema = DATABASE()
SELECT * FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position
SELECT * FROM information_schema.schemata
SELECT * FROM information_schema.processlist
SELECT * FROM information_schema.innodb_trx
SELECT * FROM information_schema.global_status LIMIT 1
SELECT * FROM information_schema.global_variables LIMIT 1
SELECT id FROM `information_schema`.`PROCESSLIST` WHERE user = CURRENT_USER()
SELECT thread_id FROM performance_schema.threads LIMIT 1
SELECT * FROM information_schema.session_variables LIMIT 1
SELECT * FROM information_schema.key_column_usage LIMIT 1
SELECT * FROM information_schema.routines LIMIT 1
SELECT * FROM information_schema.statistics WHERE table_name = 't'
SELECT user, host FROM mysql.user
SELECT * FROM mysql.gtid_slave_pos
SELECT * FROM seq_1_to_10
