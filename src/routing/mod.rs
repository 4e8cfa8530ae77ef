//! Where a statement goes (pure): the route of a statement, and the choice of a reader or the writer for it.

pub mod causal;
pub mod reader;
pub mod split;
pub mod writer;
