-- duplicate 1062
INSERT INTO parents SELECT 1, 'a' UNION ALL SELECT 1, 'b'
-- syntax 1064
SELEC 1
-- no table 1146
SELECT * FROM nowhere
-- no column 1054
SELECT nothing FROM many
-- no schema 1049
USE nowhere
-- no table in schema
SELECT * FROM nowhere.nothing
-- too long 1406
INSERT INTO work (note) VALUES ('longer than twenty characters are')
-- out of range 1264
INSERT INTO numbers (utiny) VALUES (256)
-- bad date 1292
INSERT INTO work (at) VALUES ('2024-02-30')
-- foreign key 1452
INSERT INTO children (parent) VALUES (99)
-- no null 1048
INSERT INTO parents VALUES (1, NULL)
-- no default 1364
INSERT INTO parents (id) VALUES (1)
-- table exists 1050
CREATE TABLE many (id INT)
-- unknown table 1051
DROP TABLE nowhere
-- bad field count 1136
INSERT INTO parents VALUES (1)
-- two columns 1241
SELECT (SELECT 1, 2)
-- more than one row 1242
SELECT (SELECT id FROM many)
-- no function 1305
SELECT nofunction(1)
-- no procedure 1305
CALL noprocedure()
-- unknown variable 1193
SET nothing_of_this = 1
-- bad value 1231
SET sql_mode = 'NOTHING'
-- read only variable 1238
SET version = '1'
-- global only 1229
SET max_connections = 10
-- unknown charset 1115
SET NAMES nothing
-- truncated 1265
INSERT INTO texts (e) VALUES ('four')
-- json 4025
INSERT INTO texts (j) VALUES ('{')
-- division 1365
INSERT INTO work (amount) VALUES (1 / 0)
-- savepoint 1305
ROLLBACK TO SAVEPOINT nowhere
-- kill 1094
KILL 4294967290
-- signal
SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'ünïcode 😀 message', MYSQL_ERRNO = 31000
-- signal in procedure
CALL complain()
-- group 1056
SELECT SUM(id) AS s FROM many GROUP BY s
-- ambiguous 1052
SELECT id FROM many, numbers
-- alias 1066
SELECT 1 FROM many JOIN many
-- execute unknown 1243
EXECUTE nowhere
-- aggregate 1111
SELECT id FROM many WHERE SUM(id) > 1
-- empty 1065

