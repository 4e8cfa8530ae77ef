//! OK packets and session tracking. What is to hold, and what the input means, is said in tests/properties/tracking.rs.

#![no_main]

#[path = "../../tests/properties/tracking.rs"]
mod tracking;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking::holds(data));
