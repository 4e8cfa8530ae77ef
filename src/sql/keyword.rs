//! Keywords as numbers: a word of up to 16 bytes packed, in lower case, into a `u128`.
//!
//! So asking "is this FOR?" is one comparison. A longer word is known by its last 16 bytes: the few keywords of that
//! length are not worth a second comparison.

/// Packs a word.
pub const fn pack(word: &[u8]) -> u128 {
    let length = word.len();
    if let (Some(first), Some(last)) = (word.first_chunk::<8>(), word.last_chunk::<8>()) {
        if let Some(last) = word.last_chunk::<16>() {
            return u128::from_be_bytes(*last) | CASE_BITS;
        }
        // The two halves may overlap in the middle, where they are the same.
        let high = (u64::from_be_bytes(*first) as u128) << (8 * (length - 8));
        return high | u64::from_be_bytes(*last) as u128 | CASE_BITS >> (8 * (16 - length));
    }
    let (mut packed, mut at) = (0, 0);
    while at < length {
        packed = packed << 8 | (word[at] | 0x20) as u128;
        at += 1;
    }
    packed
}

/// The bit that makes a letter small, in each byte.
const CASE_BITS: u128 = u128::from_ne_bytes([0x20; 16]);

/// Declares packed keywords under their own names.
macro_rules! keywords {
    ($($name:ident)*) => {
        $(pub(super) const $name: u128 = pack(stringify!($name).as_bytes());)*
    };
}

keywords! {
    ALL ALTER ANALYZE AS AUTHORS AUTOCOMMIT BACKUP BEGIN BODY CALL CASE CHAR CHARACTER CHARACTER_SET_CONNECTION
    CHARSET CHECK CHECKSUM CLOSE COLLATION COLLATION_CONNECTION COLUMNS COMMIT CONCAT CONCAT_WS CONTRIBUTORS COUNT
    CREATE CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURRVAL DATABASE DATABASES
    DEALLOCATE DECLARE DEFAULT DELETE DESC DESCRIBE DISTINCT DISTINCTROW DO DROP EACH END ENGINES ERRORS ERROR_COUNT
    EVENT EVENTS EXECUTE EXISTS EXPLAIN EXPORT EXTENDED FIELDS FLUSH FOR FORMAT FROM FULL FUNCTION GET GLOBAL GRANT
    GRANTS GTID_BINLOG_POS GTID_BINLOG_STATE GTID_CURRENT_POS GTID_SEQ_NO GTID_SLAVE_POS HANDLER HELP HIGH_PRIORITY
    HOSTNAME ID IDENTITY IF IMMEDIATE INDEX INDEXES INSERT INSERT_ID INSTALL INTO IN_TRANSACTION KEYS KILL LAST_GTID
    LAST_INSERT_ID LOAD LOCAL LOCALES LOCALTIME LOCALTIMESTAMP LOCK LOOP NAMES NEXT NEXTVAL NOT ONLY OPEN OPTIMIZE
    PACKAGE PARTITIONS PASSWORD PLUGINS PORT PREPARE PREVIOUS PRIVILEGES PROCEDURE PROFILE PROFILES PROXY_PORT
    PSEUDO_THREAD_ID RAND_SEED1 RAND_SEED2 READ RELEASE RENAME REPAIR REPEAT REPLACE RESET REVOKE ROLE ROLLBACK SAVEPOINT SCHEMA
    SCHEMAS SELECT SEQUENCE SERVER SERVER_ID SESSION SET SHARE SHOW SHUTDOWN SQL_BIG_RESULT SQL_BUFFER_RESULT
    SQL_CACHE SQL_CALC_FOUND_ROWS SQL_MODE SQL_NO_CACHE SQL_SMALL_RESULT STAGE START STATEMENT STATUS STORAGE
    STRAIGHT_JOIN SYSDATE TABLE TABLES TEMPORARY TIMESTAMP TO TRANSACTION TRIGGER TRIGGERS TRUNCATE TX_ISOLATION
    TX_READ_ONLY UNINSTALL UNLOCK UPDATE USE USER UTC_DATE UTC_TIME UTC_TIMESTAMP VALUE VALUES VARIABLES VIEW
    WARNINGS WARNING_COUNT WHILE WITH WORK XA
}
