//! A node's answer to one short statement, collected packet by packet (pure).

use super::login::refusal;
use crate::fault::Fault;
use crate::wire::Malformed;
use crate::wire::capability::Capabilities;
use crate::wire::cursor::Cursor;
use crate::wire::err::ERR;
use crate::wire::ok::{EOF, OK};

/// Values of a row; NULL is none.
pub type Row = Vec<Option<Box<[u8]>>>;

/// Nothing that is asked here has more rows.
const ROWS_MAX: usize = 16;
/// Or more columns.
const COLUMNS_MAX: u64 = 32;
const NULL: u8 = 0xfb;

/// An answer that is arriving.
#[derive(Debug)]
pub struct Answer {
    deprecated_eof: bool,
    stage: Stage,
    rows: Vec<Row>,
}

#[derive(Debug)]
enum Stage {
    First,
    Columns { left: u64 },
    ColumnsEnd,
    Rows,
}

/// Whether more is to come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The next packet belongs to it.
    More,
    /// It is complete: its rows.
    Done(Vec<Row>),
    /// The node refuses.
    Refused(Fault),
}

impl Answer {
    /// To a statement on a connection with these capabilities.
    pub fn new(capabilities: Capabilities) -> Self {
        let deprecated_eof = capabilities.contains(Capabilities::DEPRECATE_EOF);
        Self { deprecated_eof, stage: Stage::First, rows: Vec::new() }
    }

    /// Takes its next packet.
    pub fn take(&mut self, payload: &[u8]) -> Result<Progress, Malformed> {
        if payload.first() == Some(&ERR) {
            return Ok(Progress::Refused(refusal(payload)?));
        }
        self.stage = match self.stage {
            Stage::First if payload.first() == Some(&OK) => return Ok(Progress::Done(Vec::new())),
            Stage::First => match Cursor::new(payload).lenenc()? {
                left @ 1..=COLUMNS_MAX => Stage::Columns { left },
                _ => return Err(Malformed("more columns than were asked for")),
            },
            Stage::Columns { left: 1 } if self.deprecated_eof => Stage::Rows,
            Stage::Columns { left: 1 } => Stage::ColumnsEnd,
            Stage::Columns { left } => Stage::Columns { left: left - 1 },
            Stage::ColumnsEnd => Stage::Rows,
            Stage::Rows if payload.first() == Some(&EOF) => return Ok(Progress::Done(std::mem::take(&mut self.rows))),
            Stage::Rows if self.rows.len() == ROWS_MAX => return Err(Malformed("more rows than were asked for")),
            Stage::Rows => {
                self.rows.push(row(payload)?);
                Stage::Rows
            }
        };
        Ok(Progress::More)
    }
}

fn row(payload: &[u8]) -> Result<Row, Malformed> {
    let mut cursor = Cursor::new(payload);
    let mut values = Vec::new();
    while let Some(first) = cursor.rest().first() {
        if *first == NULL {
            cursor.take(1)?;
            values.push(None);
        } else {
            values.push(Some(cursor.lenenc_bytes()?.into()));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(capabilities: Capabilities, packets: &[&[u8]]) -> Vec<Result<Progress, Malformed>> {
        let mut answer = Answer::new(capabilities);
        packets.iter().map(|packet| answer.take(packet)).collect()
    }

    #[test]
    fn rows_of_both_kinds() {
        let rows =
            || vec![vec![Some(b"70-7000-6"[..].into()), None], vec![Some(b""[..].into()), Some(b"1"[..].into())]];
        let (first, second): (&[u8], &[u8]) = (b"\x0970-7000-6\xfb", b"\0\x011");
        let packets: &[&[u8]] = &[b"\x02", b"def", b"def", b"\xfe\0\0\x02\0", first, second, b"\xfe\0\0\x02\0"];
        let old = answer(Capabilities::empty(), packets);
        assert_eq!(old.last(), Some(&Ok(Progress::Done(rows()))));
        let packets: &[&[u8]] = &[b"\x02", b"def", b"def", first, second, b"\xfe\0\0\x02\0\0\0"];
        let new = answer(Capabilities::DEPRECATE_EOF, packets);
        assert_eq!(new.last(), Some(&Ok(Progress::Done(rows()))));
        assert!(new[..5].iter().all(|step| *step == Ok(Progress::More)));
    }

    #[test]
    fn without_rows() {
        assert_eq!(answer(Capabilities::empty(), &[b"\0\0\0\x02\0\0\0"]), [Ok(Progress::Done(vec![]))]);
        let refused = answer(Capabilities::empty(), &[b"\xff\xcb\x04#42000Access denied"]);
        assert!(matches!(&refused[..], [Ok(Progress::Refused(fault))] if fault.code == 1227));
        assert!(answer(Capabilities::empty(), &[b"\x28"])[0].is_err());
        assert!(answer(Capabilities::empty(), &[b""])[0].is_err());
    }
}
