//! A text of statements, and everything that is read of one.

use oarlock::sql::effect::change;
use oarlock::sql::hint::{Hint, hint};
use oarlock::sql::statement::{Class, LexMode, Verdict, classify};

/// The mode of an input's first byte.
pub fn mode(bits: u8) -> LexMode {
    LexMode { ansi_quotes: bits & 1 != 0, no_backslash_escapes: bits & 2 != 0 }
}

/// Everything that is read of a text.
pub fn read(text: &[u8], mode: LexMode) -> Verdict {
    let verdict = classify(text, mode);
    if let Some(Hint::Node(name)) = hint(text, mode) {
        assert!(!name.is_empty());
    }
    let change = change(text, mode);
    if verdict.class == Class::Session {
        assert!(change.keys.iter().all(|key| !key.is_empty()));
    }
    verdict
}
