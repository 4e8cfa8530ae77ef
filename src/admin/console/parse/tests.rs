//! Statements of the console, understood or refused.

use super::*;

#[test]
fn own_statements() {
    let node = |name: &str, order| Question::Node(name.to_owned(), order);
    for (text, expected) in [
        ("SET SERVER galera-71 MAINTENANCE", node("galera-71", Order::Maintenance)),
        ("set server `galera-71` drain;", node("galera-71", Order::Drain)),
        ("CLEAR SERVER db_2.b-c", node("db_2", Order::Clear)),
        ("SWITCH WRITER 'db.2'", node("db.2", Order::Write)),
        ("START LINK dr", Question::Link("dr".to_owned(), "start")),
        ("stop link dr-2", Question::Link("dr-2".to_owned(), "stop")),
        ("RETRY LINK dr", Question::Link("dr".to_owned(), "retry")),
        ("KILL 1073741825", Question::End(1_073_741_825)),
        ("KILL CONNECTION 7", Question::End(7)),
        ("show servers", Question::Rows(all_of(Table::Servers))),
        ("/* c */ SHOW FULL PROCESSLIST", Question::Rows(all_of(Table::Sessions))),
        ("SHOW DATABASES", Question::Databases),
        ("SHOW TABLES", Question::Tables),
    ] {
        let found = parse(text);
        if text.contains("db_2.b") {
            assert_eq!(found.unwrap_err().code, 1064, "a name with a dot needs quotes");
        } else {
            assert_eq!(found, Ok(expected), "{text}");
        }
    }
}

#[test]
fn tables_are_selected_from() {
    let places = |places: &[usize]| Columns::Places(places.to_vec());
    for (text, table, columns, filter, limit) in [
        ("SELECT * FROM stats.links", Table::Links, places(&(0..12).collect::<Vec<_>>()), &[][..], None),
        ("SELECT state, NAME FROM servers LIMIT 1", Table::Servers, places(&[4, 0]), &[], Some(1)),
        ("SELECT COUNT(*) FROM sessions", Table::Sessions, Columns::Count("COUNT(*)".into()), &[], None),
        ("SELECT count(id) AS n FROM sessions", Table::Sessions, Columns::Count("n".into()), &[], None),
        (
            "select `lag` from stats.replicas where server_id = 8000 and source = 'a''b'",
            Table::Replicas,
            places(&[4]),
            &[(0, "8000"), (2, "a'b")],
            None,
        ),
    ] {
        let filter = filter.iter().map(|(place, value)| (*place, (*value).to_owned())).collect();
        assert_eq!(parse(text), Ok(Question::Rows(Selection { table, columns, filter, limit })), "{text}");
    }
}

#[test]
fn what_clients_send_when_they_connect() {
    let text = |text: &str| Constant::Text(text.to_owned());
    for (sql, expected) in [
        ("select @@version_comment limit 1", vec![("@@version_comment", text("oarlock console"))]),
        ("SELECT @@global.wait_timeout AS w, 1", vec![("w", Constant::Number(28800)), ("1", Constant::Number(1))]),
        ("SELECT VERSION(), DATABASE() d", vec![("VERSION()", text(VERSION)), ("d", text("stats"))]),
        ("SELECT USER(), CONNECTION_ID()", vec![("USER()", Constant::User), ("CONNECTION_ID()", Constant::Connection)]),
        ("SELECT 'x' `y`", vec![("y", text("x"))]),
    ] {
        let expected = expected.into_iter().map(|(heading, value)| (heading.to_owned(), value)).collect();
        assert_eq!(parse(sql), Ok(Question::Values(expected)), "{sql}");
    }
    for text in ["SET NAMES utf8mb4", "SET autocommit=1", "set @@session.sql_mode = ''", "COMMIT", "SET SESSION a = 1"]
    {
        assert_eq!(parse(text), Ok(Question::Nothing), "{text}");
    }
    assert_eq!(parse("SHOW VARIABLES LIKE 'sql_mode'"), Ok(Question::Variables(Some("sql_mode".to_owned()))));
    let text = "SHOW GLOBAL VARIABLES WHERE Variable_name = 'version'";
    assert_eq!(parse(text), Ok(Question::Variables(Some("version".to_owned()))));
    assert_eq!(parse("SHOW GLOBAL STATUS"), Ok(Question::Status(None)));
    assert_eq!(parse("SHOW STATUS LIKE 'Uptime'"), Ok(Question::Status(Some("Uptime".to_owned()))));
    assert_eq!(parse("RELOAD"), Ok(Question::Reload));
    assert_eq!(parse("CLEAR HOST '::ffff:10.0.0.1'"), Ok(Question::Forgive("10.0.0.1".parse().unwrap())));
}

#[test]
fn what_it_does_not_know_is_refused() {
    for (text, code) in [
        ("", 1064),
        ("DELETE FROM stats.servers", 1064),
        ("SET SERVERS a", 1064),
        ("SET SERVER a SLEEPING", 1064),
        ("SET SERVER", 1064),
        ("KILL", 1064),
        ("KILL 99999999999", 1064),
        ("SHOW SERVERS x", 1064),
        ("CLEAR HOST 'somebody'", 1064),
        ("SELECT", 1064),
        ("SELECT *", 1096),
        ("SELECT a", 1054),
        ("SELECT a FROM servers", 1054),
        ("SELECT * FROM servers WHERE a = 1", 1054),
        ("SELECT * FROM servers WHERE name LIKE 'a'", 1064),
        ("SELECT * FROM tables", 1146),
        ("SELECT * FROM mysql.user", 1049),
        ("SELECT @@nothing", 1193),
        ("SELECT SLEEP(1)", 1305),
        ("SELECT COUNT(*", 1064),
        ("SELECT '", 1064),
        ("SHOW VARIABLES LIKE", 1064),
    ] {
        assert_eq!(parse(text).map_err(|refusal| refusal.code), Err(code), "{text}");
    }
}

#[test]
fn patterns_of_show() {
    for (name, pattern, expected) in [
        ("sql_mode", "sql_mode", true),
        ("sql_mode", "SQL%", true),
        ("sql_mode", "%mo_e", true),
        ("sqlxmode", "sql\\_mode", false),
        ("sql_mode", "sql\\_mode", true),
        ("sql_mode", "", false),
        ("", "%", true),
    ] {
        assert_eq!(is_like(name.as_bytes(), pattern.as_bytes()), expected, "{name} {pattern}");
    }
}
