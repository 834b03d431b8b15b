//! Errors on their way to callers, and errors for what is not a peer's.

use std::time::Duration;

use synckit_core::{Error, ErrorKind};

/// When a caller may try again, for an error that does not name a time itself.
const RETRY: Duration = Duration::from_secs(1);

/// The most characters of a foreign text that an error quotes.
const EXCERPT: usize = 160;

/// Adds to an error when to try again, if that is worthwhile and the error does not say so itself.
pub fn with_delay(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Busy if error.retry_after().is_none() => {
            error.with_retry_after(RETRY)
        }
        _ => error,
    }
}

/// Logs that a call at this path ended with an error, as an error of the log if this side is at fault.
pub fn report(path: &str, error: &Error) {
    match error.kind() {
        ErrorKind::Internal | ErrorKind::Corrupt => tracing::error!(path, %error, "a call failed"),
        _ => tracing::debug!(path, %error, "a call was refused"),
    }
}

/// Returns the error for a message that was damaged or broke off on its way. It asks for the message again at once.
pub fn damaged(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, message).with_retry_after(Duration::ZERO).in_transit()
}

/// Returns the error for an answer that is not a synckit peer's, such as a proxy's page or another server's: its HTTP
/// status, its content type and the beginning of its text. Its kind is never one by which a peer judges a message.
pub fn foreign(status: u16, content: Option<&str>, body: &[u8]) -> Error {
    let (kind, message) = match status {
        200..=299 => (ErrorKind::Unsupported, "the answer is not from a synckit server; check the address"),
        300..=399 => (ErrorKind::Unsupported, "the server redirects; use the address it names"),
        401 | 403 | 407 | 451 | 498 | 511 => (
            ErrorKind::Denied,
            "access is denied on the way to the server; check the credentials and the proxy",
        ),
        404 | 405 | 501 => {
            (ErrorKind::Unsupported, "there is no synckit server at this address; check its path")
        }
        408 => (ErrorKind::Timeout, "the server did not get the request in time"),
        413 | 414 | 431 => (ErrorKind::TooLarge, "the server or a proxy refuses a request of this size"),
        415 => (ErrorKind::Unsupported, "the server or a proxy does not take this kind of content"),
        429 => (ErrorKind::Busy, "the server asks to be called less often"),
        400..=499 => (
            ErrorKind::Unsupported,
            "something between here and the server refuses the request; nothing is lost, check the proxy",
        ),
        502 | 503 => (ErrorKind::Unavailable, "the server is not available"),
        504 => (ErrorKind::Timeout, "the server did not answer a proxy in time"),
        _ => (ErrorKind::Internal, "the server, or a proxy in front of it, failed"),
    };
    let mut error = Error::new(kind, message).with("status", status).in_transit();
    if let Some(content) = content {
        error = error.with("content", excerpt(content.as_bytes()));
    }
    match excerpt(body) {
        text if text.is_empty() => error,
        text => error.with("it says", text),
    }
}

/// Returns the beginning of a foreign text in one line, without tags and control characters.
fn excerpt(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(8 << 10)]);
    let (mut plain, mut tag) = (String::new(), false);
    for letter in text.chars() {
        match letter {
            '<' => tag = true,
            '>' if tag => {
                tag = false;
                plain.push(' ');
            }
            _ if tag => {}
            letter if letter.is_control() || letter == char::REPLACEMENT_CHARACTER => plain.push(' '),
            letter => plain.push(letter),
        }
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join(" ").chars().take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_foreign_answer_is_a_judgement_and_each_says_who_spoke() {
        for status in 100..600 {
            let error = foreign(status, Some("text/html"), b"<html>\n<title>Blocked</title> by\x07 policy 7");
            assert!(error.is_in_transit());
            assert!(!matches!(
                error.kind(),
                ErrorKind::Invalid | ErrorKind::CursorUnknown | ErrorKind::Conflict
            ));
            let text = error.to_string();
            assert!(text.contains(&format!("status: {status}")), "{text}");
            assert!(text.contains("content: text/html") && text.contains("Blocked by policy 7"), "{text}");
        }
        assert!(!foreign(500, None, b"").to_string().contains("it says"));
        assert_eq!(excerpt("é".repeat(10_000).as_bytes()).chars().count(), EXCERPT);
    }

    #[test]
    fn what_was_damaged_is_sent_again_at_once() {
        let error = with_delay(damaged("the message was damaged on its way"));
        assert_eq!((error.is_retryable(), error.retry_after()), (true, Some(Duration::ZERO)));
    }
}
