//! What a manager remembers from one call to the next, only to ask for less: the store has the last word.

use std::sync::{Mutex, PoisonError};

/// The last value, if there was one.
#[derive(Debug)]
pub(crate) struct Remembered<T>(Mutex<Option<T>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Remembered(Mutex::new(None))
    }
}

impl<T: Clone> Remembered<T> {
    pub(crate) fn get(&self) -> Option<T> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}
