//! Where a client's upload ends: a command of 16 MiB and more, or the file of LOAD DATA LOCAL INFILE.

use super::packet::{HEADER, Header, set_sequence};

/// Follows the packets of an upload without looking into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Bytes of the current packet still to come.
    left: usize,
    /// What ends it.
    until: Until,
    begun: bool,
    done: bool,
    sequence: u8,
    renumbered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The end of the first packet that is not full.
    ShortPacket,
    /// An empty packet that does not end a chain.
    EmptyPacket { chained: bool },
}

impl Upload {
    /// A command, of which no byte has been seen.
    pub fn command() -> Self {
        Self { left: 0, until: Until::ShortPacket, begun: false, done: false, sequence: 0, renumbered: false }
    }

    /// The content of a file, asked for by a packet of this number. With `renumbered` its packets go on from there: over a
    /// compressed connection a client counts frames instead (server: `net_flush` in sql/net_serv.cc).
    pub fn file(sequence: u8, renumbered: bool) -> Self {
        let until = Until::EmptyPacket { chained: false };
        Self { left: 0, until, begun: false, done: false, sequence, renumbered }
    }

    /// Whether no byte of it has passed.
    pub fn is_fresh(&self) -> bool {
        !self.begun
    }

    /// Whether it is a command, not a file.
    pub fn is_command(&self) -> bool {
        self.until == Until::ShortPacket
    }

    /// The sequence number that an answer to it has.
    pub fn next_sequence(&self) -> u8 {
        self.sequence.wrapping_add(1)
    }

    /// How many of the front bytes belong to the upload and may be passed on; an incomplete header waits. Their packets
    /// get the numbers they need.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        let mut numbers = Vec::new();
        let renumbered = self.renumbered;
        let taken = self.follow(bytes, |at, number| {
            if renumbered {
                numbers.push((at, number));
            }
        });
        numbers.into_iter().for_each(|(at, number)| set_sequence(&mut bytes[at..], number));
        taken
    }

    /// The same for bytes that have their numbers.
    pub fn advance(&mut self, bytes: &[u8]) -> usize {
        self.follow(bytes, |_, _| ())
    }

    /// Calls `header_at` with the place of each header and the number that belongs there.
    fn follow(&mut self, bytes: &[u8], mut header_at: impl FnMut(usize, u8)) -> usize {
        let mut at = 0;
        loop {
            let step = self.left.min(bytes.len() - at);
            at += step;
            self.left -= step;
            if self.done || self.left > 0 {
                return at;
            }
            let Some(mut header) = Header::parse(&bytes[at..]) else { return at };
            if self.renumbered {
                header.sequence = self.sequence.wrapping_add(1);
            }
            header_at(at, header.sequence);
            at += HEADER;
            self.begun = true;
            self.left = header.length;
            self.sequence = header.sequence;
            self.done = match &mut self.until {
                Until::ShortPacket => !header.continued(),
                Until::EmptyPacket { chained } => {
                    let was_chained = std::mem::replace(chained, header.continued());
                    header.length == 0 && !was_chained
                }
            };
            if self.left == 0 && self.done {
                return at;
            }
        }
    }

    /// Whether all of it has passed.
    pub fn is_complete(&self) -> bool {
        self.done && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{PAYLOAD_MAX, put, put_chain};
    use super::*;

    fn run(mut upload: Upload, bytes: &[u8], piece: usize) -> (usize, bool) {
        let (mut at, mut end) = (0, 0);
        while end < bytes.len() && !upload.is_complete() {
            end = (end + piece).min(bytes.len());
            at += upload.advance(&bytes[at..end]);
        }
        (at, upload.is_complete())
    }

    #[test]
    fn commands_end_with_the_first_short_packet() {
        for length in [3, PAYLOAD_MAX - 1, PAYLOAD_MAX, PAYLOAD_MAX + 1] {
            let mut bytes = Vec::new();
            put_chain(&mut bytes, 0, &vec![3; length]);
            let total = bytes.len();
            put(&mut bytes, 0, |out| out.push(14));
            for piece in [997, 65_536, bytes.len()] {
                assert_eq!(run(Upload::command(), &bytes, piece), (total, true), "{length} {piece}");
            }
        }
    }

    #[test]
    fn only_the_first_packet_of_a_chain_is_fresh() {
        let mut bytes = Vec::new();
        put_chain(&mut bytes, 0, &vec![3; PAYLOAD_MAX + 1]);
        let mut upload = Upload::command();
        assert!(upload.is_fresh());
        assert_eq!(upload.advance(&bytes[..HEADER + PAYLOAD_MAX]), HEADER + PAYLOAD_MAX);
        assert!(!upload.is_fresh() && !upload.is_complete());
    }

    #[test]
    fn files_end_with_an_empty_packet() {
        let mut bytes = Vec::new();
        put(&mut bytes, 2, |out| out.extend_from_slice(b"1,2\n"));
        put(&mut bytes, 3, |_| ());
        let total = bytes.len();
        put(&mut bytes, 0, |out| out.push(14));
        for piece in 1..bytes.len() {
            assert_eq!(run(Upload::file(1, false), &bytes, piece), (total, true), "{piece}");
        }
    }

    #[test]
    fn nothing_is_complete_before_its_last_byte() {
        let mut bytes = Vec::new();
        put_chain(&mut bytes, 0, &vec![3; PAYLOAD_MAX + 1]);
        let (mut command, mut file, end) = (Upload::command(), Upload::file(0, false), bytes.len() - 1);
        assert!(command.is_command() && !file.is_command());
        command.advance(&bytes[..end]);
        file.advance(&bytes[..end]);
        assert!(!command.is_complete() && !file.is_complete());
        command.advance(&bytes[end..]);
        assert!(command.is_complete() && !file.is_complete());
    }

    #[test]
    fn packets_of_a_file_are_renumbered() {
        let packets = |numbers: [u8; 3]| {
            let mut bytes = Vec::new();
            for (number, content) in numbers.into_iter().zip([&b"1,2\n"[..], b"3,4\n", b""]) {
                put(&mut bytes, number, |out| out.extend_from_slice(content));
            }
            bytes
        };
        let mut bytes = packets([9, 0, 9]);
        let mut upload = Upload::file(254, true);
        assert_eq!(upload.pass(&mut bytes), bytes.len());
        assert_eq!((bytes, upload.next_sequence()), (packets([255, 0, 1]), 2));
    }
}
