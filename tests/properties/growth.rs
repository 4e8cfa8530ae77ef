//! Long texts of statements: they take no more time than their length says.
//!
//! Input: a byte for the mode, one that says what of the text is its start, what its middle, which is repeated, and what its end, and the
//! text. Each `?` of the middle is another number each time.

use oarlock::sql::statement::LexMode;
use rustix::time::{ClockId, clock_gettime};

use crate::text::{mode, read};

/// Lengths in bytes at which the time is measured.
const SHORT: usize = 8 << 10;
const LONG: usize = 64 << 10;
/// The longer text may take this many times the time of the shorter one: between 8, which is in proportion, and 64, the square.
const RATIO_MAX: u64 = 24;
/// What is not worth a measurement, in microseconds.
const NOISE: u64 = 10_000;

/// Any bytes will do.
pub fn holds(data: &[u8]) {
    let [bits, parts, text @ ..] = data else { return };
    let (mode, parts) = (mode(*bits), usize::from(*parts));
    let start = parts / 16 * text.len() / 16;
    let end = start + (parts % 16 + 1) * (text.len() - start) / 16;
    let (start, middle, end) = (&text[..start], &text[start..end], &text[end..]);
    if middle.is_empty() {
        return;
    }
    let of_length = |length: usize| {
        let mut text = start.to_vec();
        for number in 0..length / middle.len() {
            for byte in middle {
                match byte {
                    b'?' => text.extend(number.to_string().bytes()),
                    other => text.push(*other),
                }
            }
        }
        text.extend_from_slice(end);
        text
    };
    let (short, long) = (of_length(SHORT), of_length(LONG));
    let is_slow = || microseconds(&long, mode) > NOISE + RATIO_MAX * microseconds(&short, mode);
    // What happens once may have other reasons.
    assert!((0..3).any(|_| !is_slow()), "long texts take too long");
}

/// The time that this thread was at work for a text.
fn microseconds(text: &[u8], mode: LexMode) -> u64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
    };
    let begun = now();
    read(text, mode);
    now() - begun
}
