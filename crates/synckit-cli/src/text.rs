//! How numbers, times and foreign text are shown to people.

use std::borrow::Cow;
use std::fmt::Display;

/// Returns foreign text without control characters: a log line stays one line, and no name controls the terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => plain.push(' '),
            character if character.is_control() => plain.extend(character.escape_unicode()),
            character => plain.push(character),
        }
    }
    Cow::Owned(plain)
}

/// Returns foreign text, cut to a number of characters.
pub(crate) fn short(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", plain(&text[..end])),
        None => plain(text).into_owned(),
    }
}

/// Formats a number with its thousands apart: `1,234,567`.
pub(crate) fn number(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number of things: `1 event`, `2 events`.
pub(crate) fn count(count: impl Display, thing: &str) -> String {
    let digits = number(count);
    let plural = if digits == "1" { "" } else { "s" };
    format!("{digits} {thing}{plural}")
}

/// Formats a number of bytes: `987 B`, `12.3 KiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Formats Unix milliseconds as UTC: `2026-01-31T12:00:00.123Z`.
///
/// The date is computed as in Howard Hinnant, *chrono-compatible low-level date algorithms*, `civil_from_days`.
pub(crate) fn time(unix_millis: u64) -> String {
    let (days, millis) = (unix_millis / 86_400_000, unix_millis % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let seconds = millis / 1_000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        millis % 1_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[2J\nb\u{9b}"), "a\\u{1b}[2J b\\u{9b}");
        assert!(matches!(plain("é {}"), Cow::Borrowed(_)));
        assert_eq!(short("ééé", 2), "éé…");
        assert_eq!(short("éé", 2), "éé");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([number(0), number(999), number(1_000)], ["0", "999", "1,000"]);
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!([count(1, "event"), count(0, "event")], ["1 event", "0 events"]);
        assert_eq!([bytes(1023), bytes(1024), bytes(1 << 20)], ["1023 B", "1.0 KiB", "1.0 MiB"]);
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(951_826_123_456), "2000-02-29T12:08:43.456Z");
        assert_eq!(time(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
    }
}
