//! Rows that were inserted, as row events have them (pure): how many, and the whole numbers in the first and the last.
//!
//! A value has no length of its own: the type of its column and what the table's event says of it tell where the next one begins. Where
//! a type is not known, or the rows do not end with their event, nothing is told. Sources: server sql/log_event.h (layouts),
//! sql/log_event.cc (`calc_field_event_length`), sql/field.cc (metadata of each type).

use super::super::Malformed;
use super::super::cursor::Cursor;
use super::EVENT_HEADER;

/// A table whose rows follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: Box<[u8]>,
    /// Its name.
    pub name: Box<[u8]>,
    columns: Box<[Column]>,
}

/// A column's type, and what else its length depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    kind: u8,
    metadata: u16,
}

/// The whole numbers of a row, by column: each with the length of its type in bytes. None for NULL and for anything else.
pub type Numbers = Box<[Option<(u64, usize)>]>;

/// Rows that were inserted into one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Numbers,
    /// The last.
    pub last: Numbers,
}

const TINY: u8 = 1;
const SHORT: u8 = 2;
const LONG: u8 = 3;
const LONGLONG: u8 = 8;
const INT24: u8 = 9;

impl Table {
    /// Reads a whole Table_map event without checksum.
    pub fn parse(event: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(event);
        // Header, the table's id in the stream, flags.
        cursor.take(EVENT_HEADER + 8)?;
        let length = usize::from(cursor.u8()?);
        let schema = cursor.take(length)?.into();
        cursor.take(1)?;
        let length = usize::from(cursor.u8()?);
        let name = cursor.take(length)?.into();
        cursor.take(1)?;
        let count = usize::try_from(cursor.lenenc()?).map_err(|_| Malformed("more columns than a table has"))?;
        let kinds = cursor.take(count)?;
        let mut metadata = Cursor::new(cursor.lenenc_bytes()?);
        let column = |&kind: &u8| {
            let metadata = match metadata_length(kind) {
                0 => 0,
                1 => metadata.u8()?.into(),
                _ => metadata.u16()?,
            };
            Ok(Column { kind, metadata })
        };
        Ok(Self { schema, name, columns: kinds.iter().map(column).collect::<Result<_, _>>()? })
    }

    /// How many columns it has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }
}

/// How much of the table's metadata is a type's.
fn metadata_length(kind: u8) -> usize {
    match kind {
        // FLOAT, DOUBLE, BLOB_COMPRESSED, TIMESTAMP2, DATETIME2, TIME2, the BLOBs, GEOMETRY.
        4 | 5 | 17..=19 | 140 | 249..=252 | 255 => 1,
        // VARCHAR, BIT, VARCHAR_COMPRESSED, NEWDECIMAL, ENUM, SET, VAR_STRING, STRING.
        15 | 16 | 141 | 246..=248 | 253 | 254 => 2,
        _ => 0,
    }
}

impl Column {
    /// Passes a value; tells it if it is a whole number.
    fn pass(self, cursor: &mut Cursor<'_>) -> Result<Option<(u64, usize)>, Malformed> {
        let [low, high] = self.metadata.to_le_bytes();
        let length = match self.kind {
            TINY | SHORT | INT24 | LONG | LONGLONG => return number(cursor, self.kind).map(Some),
            13 => 1,
            10 | 11 | 14 => 3,
            4 | 7 => 4,
            5 | 12 => 8,
            6 => 0,
            17 => 4 + fraction(low),
            18 => 5 + fraction(low),
            19 => 3 + fraction(low),
            16 => usize::from(high) + usize::from(low > 0),
            246 => decimal(low, high)?,
            15 | 141 | 253 => prefixed(cursor, if self.metadata > 255 { 2 } else { 1 })?,
            140 | 249..=252 | 255 => prefixed(cursor, low)?,
            // CHAR, ENUM or SET: the true type comes first, and two bits of the length are hidden in it.
            254 if matches!(low, 247 | 248) => usize::from(high),
            254 => {
                let length = u16::from(high) | (u16::from(low & 0x30) ^ 0x30) << 4;
                prefixed(cursor, if length > 255 { 2 } else { 1 })?
            }
            _ => return Err(Malformed("a column of an unknown type")),
        };
        cursor.take(length)?;
        Ok(None)
    }
}

fn number(cursor: &mut Cursor<'_>, kind: u8) -> Result<(u64, usize), Malformed> {
    let length = match kind {
        TINY => 1,
        SHORT => 2,
        INT24 => 3,
        LONG => 4,
        _ => 8,
    };
    let mut bytes = [0; 8];
    bytes[..length].copy_from_slice(cursor.take(length)?);
    Ok((u64::from_le_bytes(bytes), length))
}

/// Digits behind a second's point, two a byte.
fn fraction(digits: u8) -> usize {
    usize::from(digits).div_ceil(2)
}

/// Nine digits are four bytes, on each side of the point.
fn decimal(precision: u8, scale: u8) -> Result<usize, Malformed> {
    const BYTES: [usize; 9] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
    let whole = precision.checked_sub(scale).ok_or(Malformed("a decimal with more digits than it has"))?;
    let side = |digits: u8| usize::from(digits / 9) * 4 + BYTES[usize::from(digits % 9)];
    Ok(side(whole) + side(scale))
}

/// The length in front of a value, which has so many bytes itself.
fn prefixed(cursor: &mut Cursor<'_>, bytes: u8) -> Result<usize, Malformed> {
    let bytes = cursor.take(usize::from(bytes).min(4))?;
    Ok(bytes.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

impl Inserted {
    /// Adds the rows of a whole Write_rows event without checksum.
    pub fn add(&mut self, event: &[u8], table: &Table) -> Result<(), Malformed> {
        let mut cursor = Cursor::new(event);
        cursor.take(EVENT_HEADER + 8)?;
        let width = cursor.lenenc()?;
        if width != table.columns.len() as u64 {
            return Err(Malformed("rows of another width than their table"));
        }
        let present = cursor.take(table.columns.len().div_ceil(8))?;
        let count = (0..table.columns.len()).filter(|at| bit(present, *at)).count();
        while !cursor.is_empty() {
            let nulls = cursor.take(count.div_ceil(8))?;
            if nulls.is_empty() {
                return Err(Malformed("rows without columns"));
            }
            let (mut row, mut place) = (Vec::with_capacity(table.columns.len()), 0);
            for (at, column) in table.columns.iter().enumerate() {
                let here = bit(present, at);
                row.push(if here && !bit(nulls, place) { column.pass(&mut cursor)? } else { None });
                place += usize::from(here);
            }
            self.last = row.into();
            if self.count == 0 {
                self.first = self.last.clone();
            }
            self.count += 1;
        }
        Ok(())
    }
}

fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(body: &[u8]) -> Vec<u8> {
        [&[0; EVENT_HEADER + 8], body].concat()
    }

    /// `shop.t` of columns of these types, with this metadata.
    fn table(kinds: &[u8], metadata: &[u8]) -> Table {
        let body = [&b"\x04shop\0\x01t\0"[..], &[kinds.len() as u8], kinds, &[metadata.len() as u8], metadata, &[0xff]];
        Table::parse(&event(&body.concat())).unwrap()
    }

    fn inserted(table: &Table, rows: &[u8]) -> Result<Inserted, Malformed> {
        let width = table.columns.len();
        let head = [&[width as u8][..], &vec![0xff; width.div_ceil(8)]].concat();
        let mut inserted = Inserted::default();
        inserted.add(&event(&[&head, rows].concat()), table).map(|()| inserted)
    }

    #[test]
    fn numbers_of_the_first_and_the_last_row() {
        let table = table(&[LONG, 15, LONGLONG], &[40, 0]);
        assert_eq!((&*table.schema, &*table.name), (&b"shop"[..], &b"t"[..]));
        let rows = b"\x00\x07\0\0\0\x02ab\x01\0\0\0\0\0\0\0\x06\x08\0\0\0\x04\x09\0\0\0\x01c";
        let rows = inserted(&table, rows).unwrap();
        assert_eq!(rows.count, 3);
        assert_eq!(*rows.first, [Some((7, 4)), None, Some((1, 8))]);
        assert_eq!(*rows.last, [Some((9, 4)), None, None]);
    }

    #[test]
    fn lengths_of_values() {
        for (kind, metadata, value) in [
            (TINY, &[][..], &b"\x01"[..]),
            (SHORT, &[], b"12"),
            (INT24, &[], b"123"),
            (4, &[4], b"1234"),
            (5, &[8], b"12345678"),
            (6, &[], b""),
            (7, &[], b"1234"),
            (10, &[], b"123"),
            (12, &[], b"12345678"),
            (13, &[], b"1"),
            (17, &[0], b"1234"),
            (17, &[3], b"123456"),
            (18, &[6], b"12345678"),
            (19, &[1], b"1234"),
            (15, &[0, 1], b"\x02\0ab"),
            (16, &[3, 1], b"12"),
            (16, &[0, 2], b"12"),
            (246, &[10, 2], b"12345"),
            (246, &[65, 30], &[b'1'; 30]),
            (252, &[2], b"\x03\0abc"),
            (251, &[4], b"\x01\0\0\0a"),
            (255, &[4], b"\x00\0\0\0"),
            (254, &[0xfe, 10], b"\x02ab"),
            (254, &[0xee, 0x2c], b"\x02\0ab"),
            (254, &[247, 2], b"12"),
            (254, &[248, 8], b"12345678"),
            (141, &[10, 0], b"\x01a"),
        ] {
            let table = table(&[kind, TINY], metadata);
            let row = [b"\0", value, b"\x05"].concat();
            let rows = inserted(&table, &[row.clone(), row].concat());
            assert_eq!(rows.map(|rows| (rows.count, rows.last[1])), Ok((2, Some((5, 1)))), "{kind} {metadata:?}");
        }
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let table = table(&[LONG, 15], &[40, 0]);
        let row = b"\0\x07\0\0\0\x02ab";
        for end in 1..row.len() {
            assert!(inserted(&table, &row[..end]).is_err(), "{end}");
        }
        assert!(inserted(&self::table(&[0], &[]), b"\0a").is_err(), "an unknown type");
        assert!(inserted(&self::table(&[246], &[2, 10]), b"\0a").is_err());
        assert!(Inserted::default().add(&event(b"\x03\xff"), &table).is_err(), "another width");
        assert!(Inserted::default().add(&event(b"\x02\0\0\0"), &table).is_err(), "no columns");
        let whole = event(b"\x04shop\0\x01t\0\x01\x0f\x02\x28\0\x01");
        for end in 0..whole.len() - 1 {
            assert!(Table::parse(&whole[..end]).is_err(), "{end}");
        }
    }
}
