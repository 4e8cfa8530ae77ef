//! Durations as operators write them: a whole number and a unit (pure).

use std::time::Duration;

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `500ms`, `3s`, `2m`, `1h`; `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*factor)?))
}

/// Prints a duration in the largest unit that divides it.
pub fn print_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match UNITS.iter().find(|(_, factor)| ms != 0 && ms % factor == 0) {
        Some((unit, factor)) => format!("{}{unit}", ms / factor),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, ms, printed) in [
            ("500ms", 500, "500ms"),
            ("3s", 3000, "3s"),
            ("60s", 60_000, "1m"),
            ("1500ms", 1500, "1500ms"),
            ("24h", 86_400_000, "24h"),
            ("0s", 0, "0ms"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration.as_millis(), ms, "{text}");
            assert_eq!(print_duration(duration), printed);
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "3", "s", "-3s", "3 s", "3S", "1.5s", "3d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
