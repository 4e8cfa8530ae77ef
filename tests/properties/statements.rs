//! Texts of statements: any bytes in any mode get a verdict, the same behind white space and with a marker.
//!
//! Input: a byte for the mode, the text.

use oarlock::sql::marker::{self, Marker};

use crate::text::{mode, read};

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let Some((bits, text)) = data.split_first() else { return };
    let mode = mode(*bits);
    let verdict = read(text, mode);
    let indented = [b"\n ", text].concat();
    assert_eq!(read(&indented, mode), verdict);
    if let Some(at) = marker::place(text, mode) {
        let mine = Marker { session: u128::MAX / 3, statement: 7 };
        let mut marked = text[..at].to_vec();
        marker::put(mine, &mut marked);
        marked.extend_from_slice(&text[at..]);
        assert_eq!(read(&marked, mode), verdict);
        assert_eq!(marker::find(&marked), Some(mine));
    }
}
