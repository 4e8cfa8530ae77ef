//! Statement texts (pure): lexer, class, session effects, hints.

mod administration;
mod dynamic;
mod function;
mod head;
mod keyword;
mod lexer;
mod scan;
mod session;
mod set;
mod show;
pub mod statement;
mod transaction;
pub mod effect;
