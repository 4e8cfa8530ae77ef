//! Long texts of statements. What is to hold, and what the input means, is said in tests/properties/growth.rs.

#![no_main]

#[path = "../../tests/properties/growth.rs"]
mod growth;
#[path = "../../tests/properties/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|data: &[u8]| growth::holds(data));
