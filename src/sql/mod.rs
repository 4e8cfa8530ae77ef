//! Statement texts (pure): lexer, class, session effects, hints.

mod administration;
pub mod columns;
mod dynamic;
pub mod effect;
pub mod explain;
mod function;
mod head;
pub mod hint;
mod keyword;
pub(crate) mod lexer;
pub mod marker;
mod scan;
mod session;
mod set;
mod show;
pub mod statement;
mod transaction;
