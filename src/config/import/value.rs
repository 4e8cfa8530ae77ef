//! Values as the other program writes them (pure).

use std::time::Duration;

use super::super::duration::print_duration;

/// `true`, `on`, `yes`, `1`, and their opposites.
pub(super) fn truth(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// A duration as the configuration has it; `unit` is that of a bare number.
pub(super) fn duration(text: &str, unit: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, given) = text.split_at(digits);
    let ms = match if given.is_empty() { unit } else { given } {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(ms)?);
    Some(format!("\"{}\"", print_duration(duration)))
}

/// A number of bytes: `1Mi`, `1M`, `1048576`.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match &*unit.to_ascii_lowercase() {
        "" => 1,
        "k" => 1000,
        "ki" => 1 << 10,
        "m" => 1_000_000,
        "mi" => 1 << 20,
        "g" => 1_000_000_000,
        "gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
