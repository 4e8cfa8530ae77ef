//! Whether a node numbers the cluster's transactions as the source before it did: what both have under one GTID must be the same.
//!
//! A node that came back into the cluster with other numbers would repeat transactions to a replica, or leave some out, and no position
//! shows it. So the newest transaction that was passed on is read in the node's own log, and its XID compared: in a cluster that is its
//! place in the order of all write sets (measured: the same on all nodes, with streaming replication too).

use tracing::debug;

use super::approach::Refusal;
use super::flow::Landmark;
use super::source::Unfit;
use crate::backend::line::{Line, Trouble};
use crate::gtid::{Gtid, Position};
use crate::wire::Malformed;
use crate::wire::binlog::{Event, Kind, look_up_setup, put_look_up};
use crate::wire::ok::OK;
use crate::wire::packet::{self, HEADER};

/// Reads what a node has as this transaction, which was no longer than `bytes_max`; the node is at `held`. Nothing can be proved where
/// its log does not hold it, as after a full state transfer.
pub async fn prove(mut line: Line, landmark: Landmark, held: &Position, bytes_max: usize) -> Result<(), Refusal> {
    let differs = || Err(Refusal::Unfit(Unfit::Differs(landmark.gtid)));
    line.query(&look_up_setup(before(landmark.gtid, held))).await?;
    let mut request = Vec::new();
    put_look_up(&mut request);
    line.stream.write_all(&request).await.map_err(Trouble::from)?;
    let mut reading = Reading { landmark, within: false };
    loop {
        let Some((header, payload)) = packet::first(&line.unused) else {
            if line.unused.len() > bytes_max + HEADER {
                return differs();
            }
            line.read().await.map_err(Trouble::from)?;
            continue;
        };
        match reading.take(payload).map_err(Trouble::from)? {
            Found::Nothing => drop(line.unused.drain(..header.total())),
            Found::Same => return Ok(()),
            Found::Other => return differs(),
            Found::End => {
                debug!(transaction = %landmark.gtid, "the node's log does not hold it: nothing is proved");
                return Ok(());
            }
        }
    }
}

/// A log, read for one transaction from the one before it.
struct Reading {
    landmark: Landmark,
    /// The transaction has begun.
    within: bool,
}

/// What a packet shows.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// It is the same transaction.
    Same,
    /// It is another one.
    Other,
    /// The log ends, or can't be read.
    End,
}

impl Reading {
    fn take(&mut self, payload: &[u8]) -> Result<Found, Malformed> {
        let Some((&OK, event)) = payload.split_first() else { return Ok(Found::End) };
        let same = |is_same| if is_same { Found::Same } else { Found::Other };
        Ok(match Event::parse(event)?.kind {
            Kind::Gtid(_) if self.within => Found::Other,
            Kind::Gtid(start) if start.domain == self.landmark.gtid.domain => {
                self.within = start.sequence == self.landmark.gtid.sequence;
                if self.within { Found::Nothing } else { Found::Other }
            }
            Kind::Commit(xid) if self.within => same(xid == Some(self.landmark.xid)),
            _ => Found::Nothing,
        })
    }
}

/// The position of a node that has everything it has but this transaction and those behind it.
fn before(gtid: Gtid, held: &Position) -> Position {
    let mut before = Position::default();
    held.iter().filter(|other| other.domain != gtid.domain).for_each(|other| before.set(other));
    if gtid.sequence > 1 {
        before.set(Gtid { sequence: gtid.sequence - 1, ..gtid });
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_transaction_is_asked_for() {
        for (gtid, held, expected) in [
            ("70-7000-9", "70-7000-12,71-7000-1,81-8000-4", "70-7000-8,71-7000-1,81-8000-4"),
            ("70-7000-10", "70-7000-10", "70-7000-9"),
            ("70-7000-1", "70-7000-3,81-8000-4", "81-8000-4"),
        ] {
            let from = before(gtid.parse().unwrap(), &held.parse().unwrap());
            assert_eq!(from.to_string(), expected, "{gtid} {held}");
        }
    }

    fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (19 + body.len()) as u32;
        [&[0, 0, 0, 0, 0, kind, 0x58, 0x1b, 0, 0][..], &length.to_le_bytes(), &[0; 6], body].concat()
    }

    fn gtid(domain: u32, sequence: u64) -> Vec<u8> {
        packet(162, &[&sequence.to_le_bytes()[..], &domain.to_le_bytes(), &[0; 7]].concat())
    }

    fn xid(xid: u64) -> Vec<u8> {
        packet(16, &xid.to_le_bytes())
    }

    #[test]
    fn the_first_of_that_number_counts() {
        let (format, ddl) = (packet(15, &[0; 60]), packet(2, b"CREATE TABLE t (a INT)"));
        let landmark = Landmark { gtid: "70-7000-9".parse().unwrap(), xid: 40 };
        for (packets, expected) in [
            (&[format.clone(), gtid(70, 9), xid(40), gtid(70, 10), xid(41)][..], Found::Same),
            (&[gtid(81, 3), xid(39), gtid(70, 9), xid(40)], Found::Same),
            // Another transaction, and then the same one under the same number again.
            (&[gtid(70, 9), xid(39), gtid(70, 9), xid(40)], Found::Other),
            (&[gtid(70, 9), ddl, gtid(70, 10), xid(40)], Found::Other),
            (&[gtid(70, 10), xid(40)], Found::Other),
            (&[format.clone(), gtid(81, 3), xid(40)], Found::Nothing),
            (&[format, vec![0xfe, 0, 0, 2, 0]], Found::End),
            (&[vec![0xff, 0xd4, 4]], Found::End),
        ] {
            let mut reading = Reading { landmark, within: false };
            let found =
                packets.iter().map(|packet| reading.take(packet).unwrap()).find(|found| *found != Found::Nothing);
            assert_eq!(found.unwrap_or(Found::Nothing), expected, "{packets:?}");
        }
        assert!(Reading { landmark, within: false }.take(&[0, 1]).is_err());
    }
}
