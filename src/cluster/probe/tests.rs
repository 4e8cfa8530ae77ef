//! A probe against peers that are no healthy server: each is a listener that plays one part.

use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::config;

const DEADLINE: Duration = Duration::from_millis(300);

/// What a peer does with each connection.
enum Part {
    /// Sends these bytes and keeps the connection.
    Says(Vec<u8>),
    /// Closes it.
    Closes,
}

/// A whole packet: header and payload.
fn packet(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    [&length[..3], &[0], payload].concat()
}

fn probe_of(port: u16) -> Probe {
    let text = format!(
        "[site]\nname = \"t\"\nuser = \"u\"\npassword = \"p\"\n[cluster]\nconnect_timeout = \"{0}\"\nread_timeout = \"{0}\"\n\
         [[node]]\nname = \"n\"\naddress = \"127.0.0.1:{port}\"\n\
         [[listener]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\nservice = \"read-write-split\"\n",
        config::print_duration(DEADLINE)
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let config = config::load(file.path()).unwrap();
    Probe::new(&config.nodes[0], &config)
}

async fn observe(part: Part) -> Observation {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut probe = probe_of(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Part::Says(bytes) = &part {
                stream.write_all(bytes).await.unwrap();
                kept.push(stream);
            }
        }
    });
    let since = Instant::now();
    let observation = probe.observe().await;
    assert!(since.elapsed() < DEADLINE * 20, "no deadline: {:?}", since.elapsed());
    observation
}

#[tokio::test]
async fn nobody_there_or_hanging_up_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = probe_of(free).observe().await;
    assert_eq!(refused, Observation::Unreachable("Connection refused (os error 111)".into()));
    assert!(matches!(observe(Part::Closes).await, Observation::Unreachable(_)));
}

#[tokio::test]
async fn silence_is_late() {
    let expected = Observation::Late("no connection within 300ms".into());
    assert_eq!(observe(Part::Says(Vec::new())).await, expected);
    assert_eq!(observe(Part::Says(vec![80, 0, 0, 0, 10])).await, expected, "a greeting that stops");
}

#[tokio::test]
async fn nonsense_is_nonsense() {
    // The length of the scramble is 130: the client library has panicked at it.
    let mut long_scramble = b"\x0a5.5.5-10.11.19-MariaDB\0\x22\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81".to_vec();
    long_scramble.extend([130, 0, 0, 0, 0, 0, 0, 29, 0, 0, 0]);
    long_scramble.extend(b"ijklmnopqrst\0mysql_native_password\0");
    for bytes in [
        packet(b"\x0a"),
        packet(b"SSH-2.0-OpenSSH_9.2"),
        packet(&[0xff; 400]),
        packet(&long_scramble),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        let observation = observe(Part::Says(bytes.clone())).await;
        assert!(!matches!(observation, Observation::Seen(_) | Observation::Denied(_)), "{bytes:?}: {observation:?}");
    }
}

#[tokio::test]
async fn errors_of_the_server_are_passed_on() {
    let full = observe(Part::Says(packet(b"\xff\x10\x04Too many connections"))).await;
    assert_eq!(full, Observation::Nonsense("Too many connections (error 1040)".into()));
    let denied = observe(Part::Says(packet(b"\xff\x15\x04Access denied for user"))).await;
    assert_eq!(denied, Observation::Denied("Access denied for user (error 1045)".into()));
}
