//! The number of a call, which its answer repeats: an answer that was swapped with that to another call, by a proxy that
//! mixes up its connections or keeps answers, is a fault of the way. It would be taken for the page or the
//! acknowledgement that was asked for, and events would be missing for ever.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use synckit_core::Result;

use crate::error::damaged;

/// The name of the header.
const CALL: HeaderName = HeaderName::from_static("synckit-call");

/// The maximum length of a number in bytes. A longer one is not repeated.
const MOST: usize = 64;

/// The number of one call, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallNumber(Option<HeaderValue>);

impl CallNumber {
    /// Reads it from the headers of a request.
    pub fn in_headers(headers: &HeaderMap) -> Self {
        CallNumber(headers.get(CALL).filter(|number| number.len() <= MOST).cloned())
    }

    /// Adds it to the headers of a request or of its answer.
    pub fn put(&self, headers: &mut HeaderMap) {
        headers.extend(self.0.clone().map(|number| (CALL, number)));
    }

    /// Checks that an answer belongs to this call. One without a number may come from a server that does not repeat it.
    ///
    /// # Errors
    /// That of a damaged message.
    pub fn check(&self, answer: &HeaderMap) -> Result<()> {
        match answer.get(CALL) {
            Some(number) if Some(number) != self.0.as_ref() => {
                Err(damaged("the answer to another call came back; call again"))
            }
            _ => Ok(()),
        }
    }
}

/// The numbers of one client's calls. They begin at random, so that those of two clients differ.
#[derive(Debug)]
pub struct CallNumbers(AtomicU64);

impl CallNumbers {
    /// Creates the numbers of a new client.
    ///
    /// ```
    /// let numbers = synckit_remote::CallNumbers::new();
    /// assert_ne!(numbers.next(), numbers.next());
    /// ```
    pub fn new() -> Self {
        CallNumbers(AtomicU64::new(RandomState::new().build_hasher().finish()))
    }

    /// Returns the number of the next call.
    pub fn next(&self) -> CallNumber {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        CallNumber(HeaderValue::try_from(format!("{number:016x}")).ok())
    }
}

impl Default for CallNumbers {
    fn default() -> Self {
        CallNumbers::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_its_call() {
        let numbers = CallNumbers::new();
        let call = || {
            let (number, mut request, mut answer) = (numbers.next(), HeaderMap::new(), HeaderMap::new());
            number.put(&mut request);
            CallNumber::in_headers(&request).put(&mut answer);
            (number, answer)
        };
        let ((first, answer), (second, other)) = (call(), call());
        assert_ne!(first, second);
        assert!(first.check(&answer).is_ok() && second.check(&other).is_ok());
        assert!(first.check(&HeaderMap::new()).is_ok());
        let error = first.check(&other).expect_err("swapped");
        assert!(error.is_retryable() && error.is_in_transit());
    }

    #[test]
    fn a_long_number_is_not_repeated() {
        let long = HeaderMap::from_iter([(CALL, HeaderValue::try_from("9".repeat(65)).expect("valid"))]);
        assert_eq!(CallNumber::in_headers(&long), CallNumber(None));
    }
}
