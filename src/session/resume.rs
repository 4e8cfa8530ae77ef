//! Reads whose node is lost, or refuses to go on, while their rows arrive: they run again, and go on where the client's part ends. So do
//! all statements of a transaction that runs again before them.
//!
//! What the client has got is remembered by its length and digest. What comes again must begin with the same bytes, which are left out;
//! if it doesn't, the client gets the error that it would have got. A reply that comes in one piece is not looked at.

use xxhash_rust::xxh3::Xxh3Default;

use crate::fault::Fault;
use crate::sql::statement::Class;
use crate::wire::reply::Shape;

use super::desk::{Desk, Peer, Slot};
use super::loss::commits;
use super::machine::Machine;
use super::work::Work;

/// What the client has got of a reply.
#[derive(Default)]
pub(super) struct Delivered {
    bytes: u64,
    digest: Xxh3Default,
    again: Option<Again>,
}

/// The same comes once more.
struct Again {
    /// Bytes still to come of what the client has.
    left: u64,
    digest: Xxh3Default,
    loss: Loss,
}

/// What the client is told if something else comes.
#[derive(Clone)]
pub(super) struct Loss {
    pub(super) fault: Fault,
    /// In which place; none where it takes no error.
    pub(super) sequence: Option<u8>,
}

impl Delivered {
    fn record(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
    }

    /// The reply is lost, and is to come once more. A loss while it does changes nothing for the client.
    fn begin_again(&mut self, loss: Loss) {
        let loss = self.again.take().map_or(loss, |again| again.loss);
        self.again = Some(Again { left: self.bytes, digest: Xxh3Default::default(), loss });
    }

    /// How much of a piece of the reply, the last one if it `ends`, the client has already; the loss if that is something else.
    fn skip(&mut self, bytes: &[u8], ends: bool) -> Result<usize, Loss> {
        let Some(again) = &mut self.again else { return Ok(0) };
        let known = bytes.len().min(usize::try_from(again.left).unwrap_or(usize::MAX));
        again.digest.update(&bytes[..known]);
        again.left -= known as u64;
        if again.left > 0 {
            return if ends { Err(again.loss.clone()) } else { Ok(known) };
        }
        if again.digest.digest() != self.digest.digest() {
            return Err(again.loss.clone());
        }
        self.again = None;
        Ok(known)
    }
}

impl Machine {
    /// Passes a piece of the client's reply on, which starts at `at` in the bytes of the event, but for what the client has got before.
    /// Keeps in mind what it gets, unless the reply ends with it.
    pub(super) fn deliver(&mut self, slot: Slot, piece: &[u8], at: usize, ends: bool, desk: &mut Desk) {
        let Some(work) = self.work.as_mut().filter(|work| work.runs_on(slot)) else { return };
        let skipped = work.delivered.as_mut().map_or(Ok(0), |delivered| delivered.skip(piece, ends));
        let skipped = match skipped {
            Ok(skipped) => skipped,
            Err(loss) => return self.differs(slot, loss, desk),
        };
        if !ends && skipped < piece.len() && can_resume(work) {
            work.delivered.get_or_insert_default().record(&piece[skipped..]);
        }
        desk.forward(Peer::Client, at + skipped..at + piece.len());
    }

    /// A reply has ended within: true if it comes once more.
    pub(super) fn resume(&mut self, loss: Loss) -> bool {
        let delivered = self.work.as_mut().filter(|work| can_resume(work)).and_then(|work| work.delivered.as_mut());
        delivered.map(|delivered| delivered.begin_again(loss)).is_some()
    }

    /// The client has got a part of a reply that was to come once more: in which place it takes an error, if at all.
    pub(super) fn interrupted_at(&self) -> Option<Option<u8>> {
        let again = self.work.as_ref()?.delivered.as_ref()?.again.as_ref()?;
        Some(again.loss.sequence)
    }

    /// What comes once more is not what the client has.
    fn differs(&mut self, slot: Slot, loss: Loss, desk: &mut Desk) {
        self.drop_conn(slot, desk);
        if self.journal.is_some() {
            self.end_journal(desk);
            self.state.end_transaction();
        }
        match loss.sequence {
            Some(sequence) => self.fail_at(loss.fault, sequence, desk),
            None => self.hang_up(desk),
        }
    }
}

/// Whether it may run again although the client has got a part of its reply.
fn can_resume(work: &Work) -> bool {
    let repeats = if work.journaled { !commits(work) } else { work.retry && work.class() == Some(Class::Read) };
    repeats && work.is_kept() && !work.killed && work.shape == Shape::Results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Retry;

    fn loss(sequence: u8) -> Loss {
        Loss { fault: Fault::node(Retry::Never, 1105, b"08S01", "lost"), sequence: Some(sequence) }
    }

    #[test]
    fn what_comes_again_goes_on_where_the_client_is() {
        // Pieces of the first reply, then of the second one: what the client gets of those, or that it is something else.
        type Case<'a> = (&'a [&'a str], &'a [&'a str], Result<&'a str, u8>);
        let cases: [Case; 7] = [
            (&["abc"], &["abcdef"], Ok("def")),
            (&["ab", "c"], &["a", "bcd", "ef"], Ok("def")),
            (&["abc"], &["abc", "def"], Ok("def")),
            (&["abc"], &["abd"], Err(7)),
            (&["abc"], &["abx", "def"], Err(7)),
            (&["abc"], &["ab"], Err(7)),
            (&["abc"], &["abc"], Ok("")),
        ];
        for (first, second, expected) in cases {
            let mut delivered = Delivered::default();
            first.iter().for_each(|piece| delivered.record(piece.as_bytes()));
            delivered.begin_again(loss(7));
            let mut got = String::new();
            let pieces = second.iter().enumerate();
            let end = pieces.into_iter().try_for_each(|(place, piece)| {
                let skipped = delivered.skip(piece.as_bytes(), place + 1 == second.len())?;
                got.push_str(&piece[skipped..]);
                Ok::<_, Loss>(())
            });
            assert_eq!(end.map(|()| &*got).map_err(|loss| loss.sequence.unwrap_or_default()), expected, "{second:?}");
        }
    }

    #[test]
    fn it_may_be_lost_more_than_once() {
        let mut delivered = Delivered::default();
        delivered.record(b"abc");
        delivered.begin_again(loss(1));
        assert_eq!(delivered.skip(b"ab", false).ok(), Some(2));
        delivered.begin_again(loss(2));
        assert_eq!(delivered.skip(b"abcd", false).ok(), Some(3));
        delivered.record(b"d");
        delivered.begin_again(loss(3));
        assert_eq!(delivered.skip(b"abcx", true).unwrap_err().sequence, Some(3));
    }
}
