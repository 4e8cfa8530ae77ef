-- 01
use `driven`
-- 02
set names 'utf8mb4' collate 'utf8mb4_unicode_ci'
-- 03
set time_zone = '+00:00'
-- 04
set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'
-- 05
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
-- 06
select * from information_schema.tables where table_schema = 'driven' and table_name = 'migrations' and table_type = 'BASE TABLE'
-- 07
create table `migrations` (`id` int unsigned not null auto_increment primary key, `migration` varchar(255) not null, `batch` int not null) default character set utf8mb4 collate 'utf8mb4_unicode_ci'
-- 08
select `migration` from `migrations` order by `batch` asc, `migration` asc
-- 09
insert into `migrations` (`migration`, `batch`) values ('2014_10_12_000000_create_users_table', 1)
-- 10
select max(`batch`) as aggregate from `migrations`
-- 11
create table `users` (`id` bigint unsigned not null auto_increment primary key, `name` varchar(255) not null, `email` varchar(255) not null, `created_at` timestamp null, `updated_at` timestamp null) default character set utf8mb4 collate 'utf8mb4_unicode_ci'
-- 12
alter table `users` add unique `users_email_unique`(`email`)
-- 13
START TRANSACTION
-- 14
insert into `users` (`name`, `email`, `updated_at`, `created_at`) values ('Zoë 😀', 'z@example.org', '2024-01-01 00:00:00', '2024-01-01 00:00:00')
-- 15
SAVEPOINT trans2
-- 16
insert into `users` (`name`, `email`) values ('Again', 'z@example.org')
-- 17
ROLLBACK TO SAVEPOINT trans2
-- 18
select * from `users` where `users`.`email` = 'z@example.org' limit 1
-- 19
COMMIT
-- 20
select exists(select * from `users` where `email` = 'z@example.org') as `exists`
-- 21
insert into `users` (`id`, `name`, `email`) values (1, 'Up', 'z@example.org') on duplicate key update `name` = values(`name`)
-- 22
insert ignore into `users` (`name`, `email`) values ('Ignored', 'z@example.org')
-- 23
START TRANSACTION
-- 24
select * from `users` where `id` = 1 limit 1 for update
-- 25
update `users` set `name` = 'Locked', `updated_at` = '2024-01-02 00:00:00' where `id` = 1
-- 26
COMMIT
-- 27
select count(*) as aggregate from `users`
-- 28
select column_name as `name`, data_type as `type_name`, column_type as `type`, collation_name as `collation`, is_nullable as `nullable`, column_default as `default`, column_comment as `comment`, generation_expression as `expression`, extra as `extra` from information_schema.columns where table_schema = 'driven' and table_name = 'users' order by ordinal_position asc
-- 29
SELECT version()
-- 30
SET FOREIGN_KEY_CHECKS=0;
-- 31
drop table `users`,`migrations`
-- 32
SET FOREIGN_KEY_CHECKS=1;
-- 33
select @@foreign_key_checks, @@time_zone, @@collation_connection
