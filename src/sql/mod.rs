//! Statement texts (pure): lexer, class, session effects, hints.

pub mod statement;
