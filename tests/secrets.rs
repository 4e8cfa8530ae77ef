//! Sealed passwords: made by the program, opened by it, and by nothing that lacks the key.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod support;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use oarlock::lab::{SITE_PASSWORD, Server, Site, until};
use support::{Proxy, path, succeeded};

const START_MAX: Duration = Duration::from_secs(30);

fn oarlock(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{said}");
}

/// The configuration holds no password, so others may read it; the key may be read by nobody else.
#[test]
fn a_sealed_password_serves_as_well_as_a_plain_one() {
    let server = Server::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key = path(folder.path(), "key");
    refused(&oarlock(&["seal", "--key-file", &key], "a\n"), "can't be read");
    let sealed = succeeded(&oarlock(&["seal", "--new-key", "--key-file", &key], &format!("{SITE_PASSWORD}\n")));
    refused(&oarlock(&["seal", "--new-key", "--key-file", &key], "a\n"), "can't be made");
    assert_ne!(succeeded(&oarlock(&["seal", "--key-file", &key], SITE_PASSWORD)), sealed);

    let address = server.lab().proxy_address(Site::Dr);
    let text = server.lab().config_toml(Site::Dr, address);
    let text = text.replace(&format!("password = \"{SITE_PASSWORD}\""), &format!("password = \"{sealed}\""));
    assert!(!text.contains(SITE_PASSWORD), "{text}");
    let text = text.replacen("[site]\n", &format!("[site]\nkey_file = \"{key}\"\nstate_dir = \"STATE\"\n"), 1);
    let file = folder.path().join("oarlock.toml");
    fs::write(&file, &text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    checks(&file, &key);
    let proxy = Proxy::launch(address, &text);
    assert!(until(START_MAX, || proxy.client(&["-e", "SELECT 1"]).status.success()), "{}", proxy.log());
    assert!(!proxy.log().contains(SITE_PASSWORD));
}

fn checks(file: &Path, key: &str) {
    let check = || oarlock(&["check", "--config", file.to_str().unwrap()], "");
    let printed = succeeded(&check());
    assert!(printed.contains("password = \"***\"") && printed.contains(&format!("key_file = \"{key}\"")), "{printed}");
    fs::set_permissions(key, Permissions::from_mode(0o644)).unwrap();
    refused(&check(), "others can open the key file");
    fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    let other = format!("{key}.other");
    succeeded(&oarlock(&["seal", "--new-key", "--key-file", &other], "a"));
    fs::rename(key, format!("{key}.kept")).unwrap();
    fs::rename(other, key).unwrap();
    refused(&check(), "it was sealed with another key");
    fs::rename(format!("{key}.kept"), key).unwrap();
    succeeded(&check());
}
