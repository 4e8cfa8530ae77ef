//! Texts of statements: any bytes in any mode get a verdict, the same behind white space.
//!
//! Input: a byte for the mode, the text.

use crate::text::{mode, read};

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let Some((bits, text)) = data.split_first() else { return };
    let mode = mode(*bits);
    let verdict = read(text, mode);
    let indented = [b"\n ", text].concat();
    assert_eq!(read(&indented, mode), verdict);
}
