//! JSON text that is kept verbatim: its syntax and nesting are checked once, and it is never parsed again.

use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::error::{Error, Result};

/// The maximum nesting depth of JSON in events and messages.
pub const MAX_JSON_DEPTH: usize = 100;

/// Checks that nothing in this text is nested deeper than [`MAX_JSON_DEPTH`], without recursion.
///
/// The text need not be valid JSON.
///
/// # Errors
/// `TooLarge`, with the byte offset where the limit is exceeded.
pub fn check_depth(text: &[u8]) -> Result<()> {
    // With this few brackets, in strings or not, nothing is nested too deep. Counting them is much faster than tracking
    // the nesting.
    if brackets(text) <= MAX_JSON_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return Err(Error::too_large(format!(
                        "JSON nests deeper than {MAX_JSON_DEPTH} levels at byte {at}"
                    )));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Counts the opening brackets in bytes, 255 at a time, a loop that the compiler vectorises.
fn brackets(text: &[u8]) -> usize {
    let count = |part: &[u8]| part.iter().map(|byte| u8::from(matches!(byte, b'[' | b'{'))).sum::<u8>();
    text.chunks(255).map(|part| usize::from(count(part))).sum()
}

/// Checks the syntax and nesting of one JSON value, and returns its text without surrounding whitespace.
pub(crate) fn checked(text: &str) -> Result<Arc<str>> {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    check_depth(text.as_bytes())?;
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|error| Error::invalid("this is not valid JSON").with_source(error))?;
    Ok(Arc::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(checked(&deep(MAX_JSON_DEPTH)).is_ok());
        assert!(checked(&deep(MAX_JSON_DEPTH + 1)).is_err());
        assert!(check_depth(deep(100_000).as_bytes()).is_err());
        assert!(checked(&format!("{:?}", "[\\\"".repeat(1_000))).is_ok());
    }

    #[test]
    fn text_is_kept_as_it_came() {
        for text in ["9007199254740993", "1.0", r#"{"b":1,"a":[ 1 ]}"#, "null"] {
            assert_eq!(&*checked(&format!(" {text}\n")).expect("valid"), text);
        }
        assert!(checked("{\"a\":}").is_err() && checked("").is_err() && checked("1 2").is_err());
    }

    #[test]
    fn brackets_in_strings_do_not_count_however_many() {
        let brackets = format!("\"{}\"", "[{".repeat(10_000));
        assert!(check_depth(brackets.as_bytes()).is_ok());
    }
}
