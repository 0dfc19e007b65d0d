//! Decoders against hundreds of millions of inputs, on the stable compiler: what has in common who tries
//! them out.
//!
//! There is no coverage to steer by. In its place each decoder has a generator that knows its layout, makes
//! about half of the inputs random and half nearly as they should be, and a second opinion that says what has
//! to be accepted. The generators stand beside what they try: `link/fuzz.rs` (ring, frames, sayings),
//! `runtime/fuzz.rs` (the guest interface, the cache), `report/fuzz.rs` (result files). A test run for every
//! day tries a few; one command tries as many as are wished of all of them:
//!
//! ```text
//! COFFERDAM_FUZZ_CASES=500000000 cargo test --release -p cofferdam --lib -- --ignored --nocapture fuzz
//! ```
//!
//! What is found becomes a test beside the decoder.

use std::io::Write;
use std::time::Instant;

use fastrand::Rng;

/// A trial of one case: whether it was accepted.
pub(crate) trait Trial: FnMut(&mut Rng) -> bool {}

impl<T: FnMut(&mut Rng) -> bool> Trial for T {}

/// Tries so many cases, and says how many were accepted.
pub(crate) fn try_out(cases: u64, seed: u64, mut trial: impl Trial) -> u64 {
    let mut rng = Rng::with_seed(seed);
    let accepted = (0..cases).filter(|_| trial(&mut rng)).count() as u64;
    // Else the cases would not be near enough to what is valid to prove anything, or too near.
    assert!(
        (cases / 20..cases * 19 / 20).contains(&accepted),
        "{accepted} of {cases}"
    );
    accepted
}

/// Tries as many cases as are wished, 5 × 10⁸ unless somebody says otherwise, and tells of it.
pub(crate) fn try_out_wished(name: &str, trial: impl Trial) {
    let wish = |variable: &str| std::env::var(variable).ok()?.parse().ok();
    let cases = wish("COFFERDAM_FUZZ_CASES").unwrap_or(500_000_000);
    let seed = wish("COFFERDAM_FUZZ_SEED").unwrap_or(1);
    let start = Instant::now();
    let accepted = try_out(cases, seed, trial);
    let seconds = start.elapsed().as_secs_f64();
    let _ = writeln!(
        std::io::stdout(),
        "{name}: {cases} cases with seed {seed}, {accepted} accepted and {} refused, each as it should be \
         ({seconds:.0} s)",
        cases - accepted
    );
}
