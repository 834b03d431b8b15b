//! Skewed clocks and seeded randomness.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use synckit::Environment;
use synckit_core::Result;

use crate::Rng;

/// A clock that each replica reads with a different skew, and their randomness.
#[derive(Clone, Debug)]
pub(super) struct SimEnvironment {
    pub(super) now: Arc<AtomicU64>,
    pub(super) skew: Arc<AtomicI64>,
    pub(super) rng: Arc<Mutex<Rng>>,
}

impl Environment for SimEnvironment {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed).saturating_add_signed(self.skew.load(Ordering::Relaxed))
    }

    fn fill_random(&self, buffer: &mut [u8]) -> Result<()> {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.iter_mut().for_each(|byte| *byte = rng.next() as u8);
        Ok(())
    }
}
