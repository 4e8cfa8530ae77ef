//! Texts of statements. What is to hold, and what the input means, is said in tests/properties/statements.rs.

#![no_main]

#[path = "../../tests/properties/statements.rs"]
mod statements;
#[path = "../../tests/properties/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|data: &[u8]| statements::holds(data));
