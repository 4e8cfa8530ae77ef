//! The shape of the tree: which part may use which, how long files and functions are, what every file begins with.
//!
//! A rule without a test is an opinion. Each rule here is a function of a path and a text, tested on small planted faults, and
//! then on every source file.

use std::fmt::Write;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

/// Everything wrong with one file, as `path:line: what`.
fn faults(path: &str, text: &str) -> Vec<String> {
    let code = strip_tests(text);
    let mut faults = name(path);
    faults.extend(module_doc(path, text));
    if is_test(path) {
        return faults;
    }
    faults.extend(length(path, &code));
    faults.extend(functions(path, &code));
    faults.extend(arrows(path, &code));
    faults.extend(purity(path, &code));
    faults
}

/// Tests are tables: they may be long, and use what they like.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.ends_with("tests.rs") || path.contains("/tests/")
}

// Names

const BANNED_NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "manager", "types"];

fn name(path: &str) -> Vec<String> {
    let named = |part: &str| BANNED_NAMES.contains(&part.trim_end_matches(".rs"));
    path.split('/')
        .filter(|part| named(part))
        .map(|part| format!("{path}:1: `{part}` says nothing of what is in it"))
        .collect()
}

fn module_doc(path: &str, text: &str) -> Vec<String> {
    if text.starts_with("//! ") { vec![] } else { vec![format!("{path}:1: no module doc: what it owns, and why")] }
}

// Sizes

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Lines that hold code: neither empty nor only a comment.
fn code_lines<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn length(path: &str, code: &str) -> Vec<String> {
    let lines = code_lines(code.lines());
    if lines > FILE_LINES_MAX {
        vec![format!("{path}:1: {lines} lines of code, at most {FILE_LINES_MAX}")]
    } else {
        vec![]
    }
}

/// The code is formatted, so a function ends with a line that is a brace in the column where it began.
fn functions(path: &str, code: &str) -> Vec<String> {
    let lines: Vec<&str> = code.lines().collect();
    let mut faults = vec![];
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line.trim_start())) {
        let indent = &line[..line.len() - line.trim_start().len()];
        // What has no body, or one on the same line, has no such brace of its own.
        let body = &lines[start..];
        let ends = |line: &&str| {
            line.strip_prefix(indent).is_some_and(|rest| rest == "}" || rest.starts_with(") ") && rest.ends_with(';'))
        };
        let end = if line.ends_with(['}', ';']) { None } else { body.iter().position(ends) };
        let count = end.map_or(0, |end| code_lines(body[..=end].iter().copied()));
        if count > FUNCTION_LINES_MAX {
            faults.push(format!("{path}:{}: {count} lines, at most {FUNCTION_LINES_MAX} a function", start + 1));
        }
    }
    faults
}

fn is_function(line: &str) -> bool {
    let modifier = |word: &str| word.starts_with("pub") || ["async", "const", "in", "super)"].contains(&word);
    line.starts_with("fn ") || line.split_once(" fn ").is_some_and(|(before, _)| before.split(' ').all(modifier))
}

// Arrows

/// Each part and what it may use besides itself. `app`, `cli` and `lib` may use everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &["fault"]),
    ("sql", &[]),
    ("gtid", &[]),
    ("fault", &[]),
    // The names of routing policies are settings.
    ("config", &["routing"]),
    // The watch asks routing which node is the writer; routing knows the view and nothing else of the cluster.
    ("cluster", &["wire", "config", "gtid", "routing"]),
    ("routing", &["cluster", "sql", "gtid"]),
    ("auth", &["wire", "fault", "cluster", "config"]),
    ("net", &["wire", "config"]),
    ("backend", &["wire", "fault", "auth", "net", "cluster", "config"]),
    ("outcome", &["wire", "sql", "gtid", "fault", "config", "cluster", "auth", "net", "backend"]),
    (
        "session",
        &[
            "outcome",
            "wire",
            "sql",
            "gtid",
            "fault",
            "config",
            "cluster",
            "routing",
            "auth",
            "net",
            "backend",
            "telemetry",
        ],
    ),
    ("replication", &["wire", "gtid", "fault", "config", "cluster", "auth", "net", "backend", "telemetry"]),
    ("telemetry", &["cluster", "config"]),
    ("audit", &["cluster", "config", "gtid", "replication"]),
    ("admin", &["auth", "cluster", "config", "gtid", "net", "replication", "session", "sql", "telemetry", "wire"]),
    ("lab", &[]),
];
const FREE: [&str; 4] = ["app", "cli", "lib", "main"];

fn arrows(path: &str, code: &str) -> Vec<String> {
    let Some(part) = part(path).filter(|part| !FREE.contains(part)) else { return vec![] };
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == part) else {
        return vec![format!("{path}:1: the part `{part}` has no arrows in tests/tidy.rs")];
    };
    let mut faults = vec![];
    for (number, line) in numbered(code) {
        for used in used_parts(line) {
            if used != part && !allowed.contains(&used) {
                faults.push(format!("{path}:{number}: `{part}` may not use `{used}`"));
            }
        }
    }
    faults
}

/// `session` of `src/session/machine.rs`.
fn part(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
}

/// The parts named by `crate::` in a line: `crate::wire::x`, `crate::{wire, sql::y}`.
fn used_parts(line: &str) -> Vec<&str> {
    let mut parts = vec![];
    for (at, found) in line.match_indices("crate::") {
        let rest = &line[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => parts.extend(top_level(list).into_iter().map(first_word)),
            None => parts.push(first_word(rest)),
        }
    }
    parts.retain(|part| part.starts_with(|c: char| c.is_lowercase()));
    parts
}

/// The entries of a `use` list, without what is nested in them.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut entries) = (0, 0, vec![]);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                entries.push(list[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                entries.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    entries
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

// Purity

/// Parts that decide and never do.
const PURE_PARTS: [&str; 4] = ["wire", "sql", "gtid", "routing"];
/// What a pure file must not import: runtimes, clocks, sockets, locks, files, processes.
const IMPURE: [&str; 9] = [
    "tokio",
    "mysql_async",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::Tcp",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::fs",
    "std::process",
];

/// Files of the pure parts, and those whose doc says so in its first line.
fn purity(path: &str, code: &str) -> Vec<String> {
    let first = code.lines().next().unwrap_or_default();
    let marked = first.contains("Pure") || first.contains("(pure)") || first.contains(" pure ");
    if !marked && !part(path).is_some_and(|part| PURE_PARTS.contains(&part)) {
        return vec![];
    }
    let mut faults = vec![];
    for (number, line) in numbered(code) {
        for banned in IMPURE {
            if line.contains(&format!("{banned}::")) || line.contains(&format!("use {banned}")) {
                faults.push(format!("{path}:{number}: a pure file may not use {banned}"));
            }
        }
    }
    faults
}

// Reading

/// Lines with code, comments cut off, numbered from 1.
fn numbered(code: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(code.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The text up to its module of unit tests, which comes last.
fn strip_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod tests {")) {
            break;
        }
        // Writing to a string can't fail.
        let _ = writeln!(code, "{line}");
    }
    code
}

/// Every Rust file below a folder, with its text; no folder, no files.
fn rust_files(folder: &Path, found: &mut Vec<(PathBuf, String)>) -> std::io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = read_to_string(&path)?;
            found.push((path, text));
        }
    }
    Ok(())
}

fn sources() -> std::io::Result<Vec<(String, String)>> {
    let mut files = vec![];
    for folder in ["src", "tests", "benches", "examples", "fuzz/targets"] {
        rust_files(Path::new(folder), &mut files)?;
    }
    files.sort();
    Ok(files.into_iter().map(|(path, text)| (path.display().to_string(), text)).collect())
}

#[test]
fn the_tree_is_tidy() {
    let sources = sources().unwrap();
    assert!(sources.iter().any(|(path, _)| path == "src/lib.rs"), "the sources were not found");
    let faults: Vec<_> = sources.iter().flat_map(|(path, text)| faults(path, text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A part that is only named in the table is a leftover.
#[test]
fn every_arrow_belongs_to_a_part() {
    let sources = sources().unwrap();
    let parts: Vec<_> = sources.iter().filter_map(|(path, _)| part(path)).collect();
    for (name, allowed) in ARROWS {
        for part in allowed.iter().chain([name]) {
            assert!(parts.contains(part), "`{part}` in the table of arrows is no part of src");
        }
    }
}

mod planted {
    use super::*;

    fn check(path: &str, text: &str, expect: &[&str]) {
        let found = faults(path, text);
        assert_eq!(found.len(), expect.len(), "{path}: {found:?}");
        for (fault, want) in found.iter().zip(expect) {
            assert!(fault.contains(want), "{fault} lacks {want}");
        }
    }

    #[test]
    fn names_and_docs() {
        check("src/wire/packet.rs", "//! Packets.\n", &[]);
        check("src/wire/util.rs", "//! Things.\n", &["`util.rs` says nothing"]);
        check("src/common/packet.rs", "//! Things.\n", &["`common` says nothing", "no arrows"]);
        check("src/wire/packet.rs", "use std::fmt;\n", &["packet.rs:1: no module doc"]);
    }

    #[test]
    fn file_length() {
        let file = |lines| format!("//! Doc.\n{}// a comment\n\n", "const A: u8 = 1;\n".repeat(lines));
        check("src/wire/packet.rs", &file(400), &[]);
        check("src/wire/packet.rs", &file(401), &["401 lines of code"]);
        check("src/wire/tests.rs", &file(401), &[]);
        let with_tests =
            format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", file(300), "    const A: u8 = 1;\n".repeat(300));
        check("src/wire/packet.rs", &with_tests, &[]);
    }

    #[test]
    fn function_length() {
        let body = |lines| "        let a = 1;\n".repeat(lines);
        let method = |lines| {
            format!(
                "//! Doc.\nimpl A {{\n    pub(super) async fn long(\n        &self,\n    ) {{\n{}    }}\n}}\n",
                body(lines)
            )
        };
        check("src/wire/packet.rs", &method(66), &[]);
        check("src/wire/packet.rs", &method(67), &["packet.rs:3: 71 lines"]);
        let plain = format!("//! Doc.\nfn long() -> u8 {{\n{}}}\nfn short() {{}}\n", body(69));
        check("src/cli/run.rs", &plain, &["run.rs:2: 71 lines"]);
        check("src/cli/tests.rs", &plain, &[]);
        check("src/wire/packet.rs", "//! Doc.\ntrait T {\n    fn declared(&self);\n}\n", &[]);
    }

    #[test]
    fn arrows_between_parts() {
        check("src/session/task.rs", "//! Doc.\nuse crate::wire::packet;\nuse crate::net::stream;\n", &[]);
        check("src/net/stream.rs", "//! Doc.\nuse crate::sql::lexer;\n", &["stream.rs:2: `net` may not use `sql`"]);
        check(
            "src/backend/dial.rs",
            "//! Doc.\nfn f() { crate::session::g() }\n",
            &["`backend` may not use `session`"],
        );
        check(
            "src/wire/ok.rs",
            "//! Doc.\nuse crate::{fault::{Side, Fault}, session, Error};\n",
            &["may not use `session`"],
        );
        check("src/wire/ok.rs", "//! Doc.\n// crate::session is elsewhere\n", &[]);
        check("src/wire/ok.rs", "//! Doc.\n#[cfg(test)]\nmod tests {\n    use crate::lab::Lab;\n}\n", &[]);
        check("src/app.rs", "//! Doc.\nuse crate::session::task;\n", &[]);
    }

    #[test]
    fn pure_files_do_nothing() {
        let imports = "//! Doc.\nuse tokio::net::TcpStream;\nuse std::time::Instant;\nuse std::sync::Mutex;\n";
        check("src/wire/packet.rs", imports, &["tokio", "Instant", "Mutex"]);
        check("src/net/stream.rs", imports, &[]);
        check("src/session/machine.rs", &imports.replace("Doc.", "The machine. Pure."), &["tokio", "Instant", "Mutex"]);
        check("src/routing/split.rs", "//! Doc.\nuse std::time::Duration;\n", &[]);
    }
}
