//! The wall clock and randomness, as parameters.

use std::time::{SystemTime, UNIX_EPOCH};

use synckit_core::{Error, ErrorKind, Result};
use synckit_plan::Entropy;

/// The source of time and random bytes.
///
/// ```
/// use synckit::{Environment, Result};
///
/// /// A clock that stands still, and bytes that are all alike: for tests.
/// struct Still;
///
/// impl Environment for Still {
///     fn now(&self) -> u64 {
///         1_764_000_000_000
///     }
///
///     fn fill_random(&self, buffer: &mut [u8]) -> Result<()> {
///         buffer.fill(7);
///         Ok(())
///     }
/// }
/// ```
pub trait Environment: Send + Sync + 'static {
    /// Returns the wall clock, in Unix milliseconds.
    fn now(&self) -> u64;

    /// Fills the buffer with random bytes.
    ///
    /// # Errors
    /// `Internal` when no randomness is available.
    fn fill_random(&self, buffer: &mut [u8]) -> Result<()>;
}

/// Draws the randomness of one commit.
pub(crate) fn entropy(environment: &dyn Environment) -> Result<Entropy> {
    let mut bytes = [0; Entropy::BYTES];
    environment.fill_random(&mut bytes)?;
    Ok(Entropy::from_bytes(bytes))
}

/// The clock and the randomness of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, buffer: &mut [u8]) -> Result<()> {
        getrandom::fill(buffer).map_err(|error| {
            Error::new(ErrorKind::Internal, "the system has no randomness")
                .with_source(std::io::Error::other(error.to_string()))
        })
    }
}
