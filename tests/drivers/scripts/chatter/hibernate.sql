-- 01
SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@wait_timeout AS wait_timeout
-- 02
SET character_set_results = NULL
-- 03
SET NAMES utf8mb4
-- 04
SET sql_mode = 'STRICT_TRANS_TABLES'
-- 05
SET autocommit = 1
-- 06
select @@session.tx_isolation
-- 07
SELECT @@session.tx_read_only
-- 08
/* ping */ SELECT 1
-- 09
SHOW VARIABLES WHERE Variable_name IN ('system_time_zone', 'time_zone', 'auto_increment_increment')
-- 10
select table_name from information_schema.tables where table_schema = 'driven' and table_type = 'BASE TABLE' order by table_name
-- 11
drop table if exists hib_item
-- 12
create table hib_item (id bigint not null auto_increment, version integer not null, name varchar(255), primary key (id)) engine=InnoDB
-- 13
create table if not exists hib_sequence (next_val bigint) engine=InnoDB
-- 14
insert into hib_sequence values ( 1 )
-- 15
SET SESSION TRANSACTION READ WRITE
-- 16
SET autocommit = 0
-- 17
select next_val as id_val from hib_sequence for update
-- 18
update hib_sequence set next_val= 51 where next_val=1
-- 19
commit
-- 20
insert into hib_item (name, version) values ('first', 0)
-- 21
SELECT LAST_INSERT_ID()
-- 22
select item0_.id as id1_0_0_, item0_.name as name2_0_0_ from hib_item item0_ where item0_.id=1
-- 23
update hib_item set name='second', version=1 where id=1 and version=0
-- 24
update hib_item set name='stale', version=1 where id=1 and version=0
-- 25
rollback
-- 26
SET autocommit = 1
-- 27
select count(*) from hib_item
-- 28
SET SESSION TRANSACTION READ ONLY
-- 29
insert into hib_item (name, version) values ('refused', 0)
-- 30
SET SESSION TRANSACTION READ WRITE
-- 31
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
-- 32
select @@tx_isolation, @@tx_read_only
-- 33
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ
-- 34
drop table if exists hib_sequence
-- 35
drop table hib_item
