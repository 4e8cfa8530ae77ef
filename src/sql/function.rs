//! The built-in functions of MariaDB 10.11 and what calling them means for the route.
//!
//! A name that is not here is a stored function or a UDF, which may write. A stored function can't take the name of a
//! native one. Source: `information_schema.SQL_FUNCTIONS` and `KEYWORDS` of a server; a test compares.

use super::keyword;

/// What calling a function means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Not a function but a keyword that may stand before a parenthesis.
    Keyword,
    /// The same on every node: depends on its arguments and the session's settings only.
    Pure,
    /// A read, but with a value of its own at each time or node.
    Volatile,
    /// Tells about the previous statement.
    Previous,
    /// Belongs to the writer: changes something, or tells what only the session's connection to the writer knows.
    Writer,
    /// Takes, or tells of, the values of a sequence.
    Sequence,
    /// GET_LOCK.
    Lock,
    /// A stored function or a UDF.
    Unknown,
}

/// What `name(` means; `touching`: the parenthesis follows without a space.
pub fn call(name: &[u8], touching: bool) -> Call {
    let mut at = slot(keyword::pack(name), name.len());
    loop {
        let Entry { list, length, start } = TABLE[at];
        if list == 0 {
            return Call::Unknown;
        }
        let list = &LISTS[usize::from(list) - 1];
        if usize::from(length) == name.len() {
            let start = usize::from(start);
            if list.names.as_bytes()[start..start + usize::from(length)].eq_ignore_ascii_case(name) {
                return if list.must_touch && !touching { Call::Unknown } else { list.call };
            }
        }
        at = (at + 1) % SLOTS;
    }
}

/// The names that mean the same.
struct List {
    call: Call,
    /// Without IGNORE_SPACE the name is the built-in function's only directly before the parenthesis.
    must_touch: bool,
    names: &'static str,
}

const LISTS: [List; 9] = [
    List { call: Call::Pure, must_touch: true, names: AGGREGATES },
    List { call: Call::Volatile, must_touch: true, names: "now curdate curtime session_user system_user" },
    List { call: Call::Pure, must_touch: false, names: PURE },
    List { call: Call::Volatile, must_touch: false, names: VOLATILE },
    List { call: Call::Previous, must_touch: false, names: "found_rows row_count" },
    List { call: Call::Writer, must_touch: false, names: WRITER },
    List { call: Call::Sequence, must_touch: false, names: "lastval nextval setval" },
    List { call: Call::Lock, must_touch: false, names: "get_lock" },
    List { call: Call::Keyword, must_touch: false, names: KEYWORDS },
];

const AGGREGATES: &str = "adddate bit_and bit_or bit_xor cast count cume_dist date_add date_sub dense_rank extract \
    first_value group_concat json_arrayagg json_objectagg lag lead max median mid min nth_value ntile percent_rank \
    percentile_cont percentile_disc position rank std stddev stddev_pop stddev_samp subdate substr substring sum trim \
    trim_oracle var_pop var_samp variance";

const PURE: &str = "abs acos add_months addtime aes_decrypt aes_encrypt ascii asin atan atan2 avg bin bit_count bit_length \
    ceil ceiling char char_length character_length charset chr coalesce coercibility collation column_add column_check \
    column_create column_delete column_exists column_get column_json column_list compress concat \
    concat_operator_oracle concat_ws conv convert convert_tz cos cot crc32 crc32c database date date_format datediff \
    day dayname dayofmonth dayofweek dayofyear decode decode_histogram decode_oracle default degrees des_decrypt \
    des_encrypt elt encode exp export_set extractvalue field find_in_set floor format from_base64 from_days \
    from_unixtime get_format greatest hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa insert instr is_ipv4 \
    is_ipv4_compat is_ipv4_mapped is_ipv6 isnull json_array json_array_append json_array_insert json_compact \
    json_contains json_contains_path json_depth json_detailed json_equals json_exists json_extract json_insert \
    json_keys json_length json_loose json_merge json_merge_patch json_merge_preserve json_normalize json_object \
    json_overlaps json_pretty json_query json_quote json_remove json_replace json_search json_set json_type \
    json_unquote json_valid json_value last_day last_value lcase least left length lengthb ln locate log log10 log2 \
    lower lpad lpad_oracle ltrim ltrim_oracle make_set makedate maketime md5 microsecond minute mod month monthname \
    name_const natural_sort_key nullif nvl nvl2 oct octet_length old_password ord password period_add period_diff pi \
    pow power quarter quote radians regexp_instr regexp_replace regexp_substr repeat replace replace_oracle reverse \
    right round row_number rownum rpad rpad_oracle rtrim rtrim_oracle schema sec_to_time second sformat sha sha1 sha2 \
    sign sin soundex space sqrt str_to_date strcmp substr_oracle substring_index subtime tan time time_format \
    time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_char to_days to_seconds truncate ucase \
    uncompress uncompressed_length unhex updatexml upper value values week weekday weekofyear weight_string year \
    yearweek \
    area asbinary astext aswkb aswkt boundary buffer centroid contains convexhull crosses dimension disjoint endpoint \
    envelope equals exteriorring geomcollfromtext geomcollfromwkb geometrycollection geometrycollectionfromtext \
    geometrycollectionfromwkb geometryfromtext geometryfromwkb geometryn geometrytype geomfromtext geomfromwkb glength \
    interiorringn intersects isclosed isempty isring issimple linefromtext linefromwkb linestring linestringfromtext \
    linestringfromwkb mbrcontains mbrdisjoint mbrequal mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin \
    mlinefromtext mlinefromwkb mpointfromtext mpointfromwkb mpolyfromtext mpolyfromwkb multilinestring \
    multilinestringfromtext multilinestringfromwkb multipoint multipointfromtext multipointfromwkb multipolygon \
    multipolygonfromtext multipolygonfromwkb numgeometries numinteriorrings numpoints overlaps point pointfromtext \
    pointfromwkb pointn pointonsurface polyfromtext polyfromwkb polygon polygonfromtext polygonfromwkb srid st_area \
    st_asbinary st_asgeojson st_astext st_aswkb st_aswkt st_boundary st_buffer st_centroid st_contains st_convexhull \
    st_crosses st_difference st_dimension st_disjoint st_distance st_distance_sphere st_endpoint st_envelope st_equals \
    st_exteriorring st_geomcollfromtext st_geomcollfromwkb st_geometrycollectionfromtext \
    st_geometrycollectionfromwkb st_geometryfromtext st_geometryfromwkb st_geometryn st_geometrytype \
    st_geomfromgeojson st_geomfromtext st_geomfromwkb st_interiorringn st_intersection st_intersects st_isclosed \
    st_isempty st_isring st_issimple st_length st_linefromtext st_linefromwkb st_linestringfromtext \
    st_linestringfromwkb st_numgeometries st_numinteriorrings st_numpoints st_overlaps st_pointfromtext \
    st_pointfromwkb st_pointn st_pointonsurface st_polyfromtext st_polyfromwkb st_polygonfromtext st_polygonfromwkb \
    st_relate st_srid st_startpoint st_symdifference st_touches st_union st_within st_x st_y startpoint touches within \
    x y";

const VOLATILE: &str = "benchmark current_date current_role current_time current_timestamp current_user encrypt \
    localtime localtimestamp rand random_bytes sleep sys_guid sysdate unix_timestamp user utc_date utc_time \
    utc_timestamp uuid uuid_short version";

const WRITER: &str = "binlog_gtid_pos connection_id is_free_lock is_used_lock last_insert_id load_file \
    master_gtid_wait master_pos_wait release_all_locks release_lock wsrep_last_seen_gtid \
    wsrep_last_written_gtid wsrep_sync_wait_upto_gtid";

const KEYWORDS: &str = "against all and any as between bigint binary bit blob by case character columns cross dec \
    decimal distinct distinctrow div double else enum escape except exists fixed float float4 float8 from group having \
    high_priority in index inner int int1 int2 int3 int4 int8 integer intersect interval is join json_table key \
    like limit match mediumint middleint minus national natural nchar not number numeric nvarchar on or order \
    outer over partition path raw real recursive regexp return rlike row rows select set smallint some \
    sql_big_result sql_buffer_result sql_cache sql_calc_found_rows sql_no_cache sql_small_result straight_join table \
    text then tinyint tinyblob tinytext union use using varbinary varchar varchar2 varcharacter when where with \
    xor datetime offset range";

const SLOTS: usize = 2048;

/// Where a name is: the list counted from 1 (0: nothing here), and its bytes there.
#[derive(Clone, Copy)]
struct Entry {
    list: u8,
    length: u8,
    start: u16,
}

static TABLE: [Entry; SLOTS] = table();

const fn slot(key: u128, length: usize) -> usize {
    let folded = (key as u64) ^ ((key >> 64) as u64).rotate_left(29) ^ length as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize
}

const fn table() -> [Entry; SLOTS] {
    let mut table = [Entry { list: 0, length: 0, start: 0 }; SLOTS];
    let mut list = 0;
    while list < LISTS.len() {
        let (mut rest, mut start) = (LISTS[list].names.as_bytes(), 0);
        while !rest.is_empty() {
            let mut length = 0;
            while length < rest.len() && rest[length] != b' ' {
                length += 1;
            }
            let (name, behind) = rest.split_at(length);
            let mut free = slot(keyword::pack(name), length);
            while table[free].list != 0 {
                free = (free + 1) % SLOTS;
            }
            table[free] = Entry { list: list as u8 + 1, length: length as u8, start };
            rest = if behind.is_empty() { behind } else { behind.split_at(1).1 };
            start += length as u16 + 1;
        }
        list += 1;
    }
    table
}
