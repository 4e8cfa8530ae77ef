//! HAProxy in TCP mode: one port for the writer, one for the readers.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use oarlock::lab::until;

use crate::support::service;

/// A running HAProxy; ends with its owner.
pub struct Haproxy {
    pub writes: SocketAddrV4,
    pub reads: SocketAddrV4,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Haproxy {
    /// Starts it on this address; with a file of certificate and key it speaks TLS with those who come.
    pub fn start(address: Ipv4Addr, writer: SocketAddrV4, readers: &[SocketAddrV4], tls: Option<&Path>) -> Self {
        let tls = tls.map(|file| format!(" ssl crt {}", file.display())).unwrap_or_default();
        let (writes, reads) = (SocketAddrV4::new(address, 4006), SocketAddrV4::new(address, 4007));
        let mut text = String::from(
            "global\n  nbthread 2\n  maxconn 2000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n",
        );
        write!(text, "listen writes\n  bind {writes}{tls}\n  server writer {writer}\nlisten reads\n  bind {reads}{tls}\n  balance leastconn\n").unwrap();
        for (number, reader) in readers.iter().enumerate() {
            writeln!(text, "  server reader{number} {reader}").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        let child = service("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(until(Duration::from_secs(10), || TcpStream::connect(reads).is_ok()), "haproxy does not listen");
        Self { writes, reads, child, _folder: folder }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
