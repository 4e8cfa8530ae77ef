//! OK packets and the session tracking in them: what is read is what was written, and nothing else is lost without it.
//!
//! Input: the payload of an OK packet.

use oarlock::wire::capability::Status;
use oarlock::wire::ok::{Ok as OkPacket, eof_status, put_welcome};
use oarlock::wire::packet;

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    if let Ok(ok) = OkPacket::parse(data) {
        let mut out = Vec::new();
        assert_eq!(ok.put_untracked(&mut out, 7), 8);
        let (header, payload) = packet::first(&out).expect("it is whole");
        assert_eq!((header.sequence, header.total()), (7, out.len()));
        let status = ok.status - Status::SESSION_STATE_CHANGED;
        assert_eq!(OkPacket::parse(payload), Ok(OkPacket { status, tracking: &[], ..ok }));
        if let Some(schema) = ok.tracked_schema() {
            assert!(schema.len() < ok.tracking.len());
        }
    }
    if let Ok(status) = eof_status(data) {
        assert_eq!(status.bits().to_le_bytes(), data[3..5]);
    }
    let mut out = Vec::new();
    put_welcome(&mut out, 2, Status::AUTOCOMMIT, b"", Some(data));
    let (_, payload) = packet::first(&out).expect("it is whole");
    assert_eq!(OkPacket::parse(payload).ok().and_then(|ok| ok.tracked_schema()), Some(data));
}
