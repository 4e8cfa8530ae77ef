//! Statement texts (pure): lexer, class, session effects, hints.

pub mod effect;
pub mod statement;
