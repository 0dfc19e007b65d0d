//! What the criterion benches have in common: one `main`, and one way to run an arm.
//!
//! The arms are those of `cofferdam_benches::arms`, which hold their own stopwatch, and which the command
//! `goals` measures by turns. Criterion runs one arm after the other: its numbers are for orders of
//! magnitude and for profiles, those of `goals` and `ratio` for ratios.

use std::cell::LazyCell;
use std::process::ExitCode;
use std::time::Duration;

use cofferdam_benches::arms::Once;
use cofferdam_benches::{Failure, main_of_a_bench};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};

/// One goal's arms.
pub(crate) type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// An arm, for as long as what it works with.
pub(crate) type Arm<'s> = Box<dyn Once + 's>;

/// The whole `main` of a bench.
pub(crate) fn main(benches: impl FnOnce(&mut Criterion)) -> ExitCode {
    main_of_a_bench(|| {
        let mut criterion = Criterion::default()
            .sample_size(20)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        benches(&mut criterion);
        criterion.final_summary();
    })
}

/// Runs an arm. What it works with is made when it is its turn, if it has one, and is gone when the next
/// arm begins: one that spins while it waits would be in all others' way.
pub(crate) fn bench<S>(
    group: &mut Group<'_>,
    name: impl Into<String>,
    make: impl FnOnce() -> Result<S, Failure>,
    arm: impl for<'s> Fn(&'s S) -> Arm<'s>,
) {
    let state = LazyCell::new(|| make().unwrap());
    group.bench_function(name, |bencher| {
        let mut once = arm(&state);
        bencher.iter_custom(|count| (0..count).map(|_| once().unwrap()).sum());
    });
}

/// Runs an arm that works with nothing.
pub(crate) fn bench_alone<O: Once + 'static>(
    group: &mut Group<'_>,
    name: impl Into<String>,
    once: impl Fn() -> O,
) {
    bench(group, name, || Ok(()), |()| Box::new(once()));
}
