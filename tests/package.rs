//! The Debian package holds what it should, and its program runs.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_package_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = said("config/debian/build", &[env!("CARGO_BIN_EXE_oarlock"), folder.path().to_str().unwrap()]);
    let package = out.trim();
    assert_eq!(said("dpkg-deb", &["--field", package, "Package", "Section"]), "Package: oarlock\nSection: database\n");
    let root = folder.path().join("root");
    said("dpkg-deb", &["--extract", package, root.to_str().unwrap()]);
    for file in [
        "usr/lib/systemd/system/oarlock.service",
        "usr/share/doc/oarlock/README.md",
        "usr/share/doc/oarlock/copyright",
        "usr/share/doc/oarlock/examples/primary-dc.toml",
        "usr/share/doc/oarlock/examples/grafana.json",
        "usr/share/man/man1/oarlock.1.gz",
        "usr/share/man/man1/oarlock-list.1.gz",
        "usr/share/bash-completion/completions/oarlock",
        "usr/share/zsh/vendor-completions/_oarlock",
        "usr/share/fish/vendor_completions.d/oarlock.fish",
    ] {
        assert!(root.join(file).metadata().is_ok_and(|of| of.len() > 0), "{file}");
    }
    let unit = std::fs::read_to_string(root.join("usr/lib/systemd/system/oarlock.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/oarlock run"), "{unit}");
    let program = root.join("usr/bin/oarlock");
    let version = said(program.to_str().unwrap(), &["--version"]);
    assert_eq!(version, format!("oarlock {}\n", env!("CARGO_PKG_VERSION")));
    let listed = said("dpkg-deb", &["--contents", package]);
    assert!(listed.lines().all(|line| line.contains(" root/root ")), "{listed}");
    let control = folder.path().join("control");
    said("dpkg-deb", &["--control", package, control.to_str().unwrap()]);
    for script in ["postinst", "prerm", "postrm"] {
        said("sh", &["-n", control.join(script).to_str().unwrap()]);
    }
}

/// What a program has printed.
fn said(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let output = Command::new(program.as_ref()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
