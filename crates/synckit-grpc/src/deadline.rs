//! When a caller gives up: the header `grpc-timeout`.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Returns when the caller gives up, if it says so. A value that cannot be read counts as absent.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > 8 {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

/// Returns the header that tells the server when this side gives up.
pub(crate) fn timeout_header(timeout: Duration) -> (HeaderName, http::HeaderValue) {
    // The header has at most eight digits: more than a day in milliseconds, which is long enough.
    let millis = timeout.as_millis().min(99_999_999);
    let value = http::HeaderValue::try_from(format!("{millis}m"));
    (TIMEOUT, value.unwrap_or(http::HeaderValue::from_static("99999999m")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout_of(text: &'static str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(TIMEOUT, http::HeaderValue::from_static(text))]);
        deadline(&headers).map(|deadline| deadline - Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn every_unit_of_a_deadline_is_understood() {
        let known = [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("5m", Duration::from_millis(5)),
            ("99999999m", Duration::from_millis(99_999_999)),
        ];
        for (text, timeout) in known {
            assert_eq!(timeout_of(text), Some(timeout));
        }
        assert!(timeout_of("6u").is_some() && timeout_of("7n").is_some());
        for text in ["", "S", "1", "1x", "-1S", "999999999S"] {
            assert_eq!(timeout_of(text), None, "{text}");
        }
        let (name, value) = timeout_header(Duration::from_secs(30));
        assert_eq!((name, value), (TIMEOUT, http::HeaderValue::from_static("30000m")));
    }
}
