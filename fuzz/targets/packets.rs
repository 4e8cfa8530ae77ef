//! Where packets and uploads end. What is to hold, and what the input means, is said in tests/properties/packets.rs.

#![no_main]

#[path = "../../tests/support/dice.rs"]
mod dice;
#[path = "../../tests/properties/packets.rs"]
mod packets;
#[path = "../../tests/properties/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|data: &[u8]| packets::holds(data));
