//! What a session command changes (stub until the real one lands).

use super::statement::LexMode;

/// Can it be repeated?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Constant.
    Constant,
    /// Dependent.
    Dependent,
    /// Volatile.
    Volatile,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Keys.
    pub keys: Vec<Box<[u8]>>,
    /// Nature.
    pub nature: Nature,
    /// Schema.
    pub schema: Option<Box<[u8]>>,
}

/// Describes.
pub fn change(_text: &[u8], _mode: LexMode) -> Change {
    Change { keys: Vec::new(), nature: Nature::Dependent, schema: None }
}
