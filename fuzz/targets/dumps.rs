//! What reaches a replica of a dump. What is to hold, and what the input means, is said in tests/properties/dumps.rs.

#![no_main]

#[path = "../../tests/support/dice.rs"]
mod dice;
#[path = "../../tests/properties/dumps.rs"]
mod dumps;
#[path = "../../tests/properties/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dumps::holds(data));
