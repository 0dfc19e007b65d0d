//! Waiting for something that nobody tells.

use std::time::{Duration, Instant};

use crate::Failure;

/// Long enough for the busiest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something.
///
/// # Errors
/// What `look` fails with; or `complaint`, when it has taken far too long.
pub fn until<T>(
    complaint: &str,
    mut look: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(complaint.into());
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}
