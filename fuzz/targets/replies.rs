//! What replies consist of. What is to hold, and what the input means, is said in tests/properties/replies.rs.

#![no_main]

#[path = "../../tests/support/dice.rs"]
mod dice;
#[path = "../../tests/properties/pieces.rs"]
mod pieces;
#[path = "../../tests/properties/replies.rs"]
mod replies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| replies::holds(data));
