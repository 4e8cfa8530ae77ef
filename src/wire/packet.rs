//! Packets: three bytes of payload length, one of sequence, the payload.
//!
//! A payload of exactly [`PAYLOAD_MAX`] bytes is continued by the next packet (a chain); the last one is shorter, maybe empty.

/// Length of a packet's header in bytes.
pub const HEADER: usize = 4;
/// The longest payload of one packet in bytes: 16 MiB - 1.
pub const PAYLOAD_MAX: usize = 0xff_ffff;

/// A packet's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload length in bytes.
    pub length: usize,
    /// Sequence number, wraps at 256.
    pub sequence: u8,
}

impl Header {
    /// Reads a header; `None` if fewer than four bytes are there.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, sequence, ..] = bytes else { return None };
        Some(Self { length: usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16, sequence })
    }

    /// Length of header and payload.
    #[inline]
    pub fn total(self) -> usize {
        HEADER + self.length
    }

    /// Whether the next packet continues this payload.
    #[inline]
    pub fn continued(self) -> bool {
        self.length == PAYLOAD_MAX
    }
}

/// The first whole packet of `bytes`: its header and payload; `None` if it is not all there.
#[inline]
pub fn first(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let header = Header::parse(bytes)?;
    Some((header, bytes.get(HEADER..header.total())?))
}

/// Appends packets to `out` that carry the payload which `write` appends. Returns the next sequence number.
pub fn put(out: &mut Vec<u8>, sequence: u8, write: impl FnOnce(&mut Vec<u8>)) -> u8 {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    let length = out.len() - start - HEADER;
    if length < PAYLOAD_MAX {
        set_header(out, start, length, sequence);
        return sequence.wrapping_add(1);
    }
    let payload = out.split_off(start + HEADER);
    out.truncate(start);
    put_chain(out, sequence, &payload)
}

/// Appends a payload of any length as a chain of packets. Returns the next sequence number.
pub fn put_chain(out: &mut Vec<u8>, mut sequence: u8, payload: &[u8]) -> u8 {
    let mut rest = payload;
    loop {
        let (piece, tail) = rest.split_at(rest.len().min(PAYLOAD_MAX));
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        set_header(out, start, piece.len(), sequence);
        out.extend_from_slice(piece);
        sequence = sequence.wrapping_add(1);
        rest = tail;
        if piece.len() < PAYLOAD_MAX {
            return sequence;
        }
    }
}

/// Gives the packet at the front of `bytes` another sequence number.
pub fn set_sequence(bytes: &mut [u8], sequence: u8) {
    if let Some(place) = bytes.get_mut(HEADER - 1) {
        *place = sequence;
    }
}

fn set_header(out: &mut [u8], at: usize, length: usize, sequence: u8) {
    let [a, b, c, ..] = (length as u32).to_le_bytes();
    out[at..at + HEADER].copy_from_slice(&[a, b, c, sequence]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_needs_four_bytes() {
        assert_eq!(Header::parse(&[1, 0, 0]), None);
        assert_eq!(Header::parse(&[0x10, 0x20, 0x30, 7, 9]), Some(Header { length: 0x30_2010, sequence: 7 }));
    }

    #[test]
    fn first_waits_for_the_whole_packet() {
        assert_eq!(first(&[2, 0, 0, 0, b'a']), None);
        assert_eq!(first(&[1, 0, 0, 3, b'a', b'b']), Some((Header { length: 1, sequence: 3 }, &b"a"[..])));
    }

    #[test]
    fn chains_end_with_a_shorter_packet() {
        for (length, packets) in
            [(0, 1), (PAYLOAD_MAX - 1, 1), (PAYLOAD_MAX, 2), (PAYLOAD_MAX + 1, 2), (2 * PAYLOAD_MAX, 3)]
        {
            let mut out = Vec::new();
            let next = put(&mut out, 255, |out| out.resize(out.len() + length, b'x'));
            assert_eq!(usize::from(next.wrapping_sub(255)), packets, "{length}");
            let (mut at, mut seen, mut headers) = (0, 0, 0);
            while let Some((header, payload)) = first(&out[at..]) {
                assert_eq!(usize::from(header.sequence.wrapping_sub(255)), headers);
                at += header.total();
                seen += payload.len();
                headers += 1;
            }
            assert_eq!((at, seen, headers), (out.len(), length, packets));
        }
    }
}
