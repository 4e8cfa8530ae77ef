//! Sessions under way. What is to hold, and what the input means, is said in tests/properties/commands.rs.

#![no_main]

#[path = "../../tests/support/actors.rs"]
mod actors;
#[path = "../../tests/properties/commands.rs"]
mod commands;
#[path = "../../tests/support/dice.rs"]
mod dice;
#[path = "../../tests/support/logins.rs"]
mod logins;
#[path = "../../tests/support/play.rs"]
mod play;
#[path = "../../tests/support/stage.rs"]
mod stage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| commands::holds(data));
