//! Waiting for a condition with a deadline.

use std::time::{Duration, Instant};

/// Asks again and again until `condition` is true; says whether it became true within `limit`.
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(INTERVAL);
    }
}

const INTERVAL: Duration = Duration::from_millis(25);
