//! How much does this machine change the time of work that is always the same?
//!
//! Measured for about two seconds, by the wall clock; the figures are computed from the times by pure
//! functions. In a build without optimisation the work is another one, but takes as long: only the
//! cost of the clock is then told too high.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::Ticks;
use crate::stats::{Interval, median, median_interval, quantile};

/// The figures. What could not be measured is `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Noise {
    /// The fixed work in one thread, the machine otherwise left alone.
    pub alone: Option<Spread>,
    /// The fixed work in as many threads as there are CPUs, at once.
    pub all_cpus: Option<Spread>,
    /// The median of the work on all CPUs ÷ that in one thread, taken in each round; the median of the
    /// rounds. 1 if each CPU has a core of its own.
    pub slowdown: Option<f64>,
    /// How long a sleeping thread takes to run after it was woken.
    pub wake_up: Option<WakeUp>,
    /// The clock that all this was measured with.
    pub clock: Clock,
    /// Share of the CPUs' time that the hypervisor gave to others while this was measured, 0 to 1.
    pub steal: Option<f64>,
    /// Share of the CPUs' time spent idle while a disk was waited for, 0 to 1.
    pub iowait: Option<f64>,
    /// A/A: every second run of the work in one thread against the others, which are the same. The
    /// ratio of their medians in each round; the median of the rounds.
    pub control: Option<Interval>,
    /// How long the measuring took, in seconds.
    pub took_s: f64,
}

/// How far the times of the same work lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// How often the work was done.
    pub runs: usize,
    /// The median, in seconds.
    pub p50_s: f64,
    /// The 99th percentile ÷ the median.
    pub p99_ratio: f64,
    /// The longest ÷ the median.
    pub max_ratio: f64,
    /// Share of the time beyond what it would have been if each run had been the fastest, 0 to 1.
    pub lost: f64,
}

/// How long a sleeping thread takes to run after it was woken: half of a round trip between two
/// threads that sleep by turns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WakeUp {
    /// Round trips.
    pub rounds: usize,
    /// The median, in seconds.
    pub p50_s: f64,
    /// The 99th percentile, in seconds.
    pub p99_s: f64,
}

/// The monotonic clock, `std::time::Instant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// What one look costs, in seconds.
    pub cost_s: f64,
    /// The least difference between two looks that was seen, in seconds.
    pub step_s: f64,
}

/// Rounds. In each the work is done in one thread and then on all CPUs, so that what changes slowly
/// (the clock frequency, a neighbour) meets both.
const ROUNDS: usize = 30;
/// How often the work is done in each thread, in each round: ten to a side of the A/A test.
const RUNS: usize = 20;
/// How long the work is to take. Longer than a wake-up, shorter than a slice of the scheduler's.
const WORK: Duration = Duration::from_millis(1);
/// How long the CPU is warmed up while the work is measured out.
const WARM_UP: Duration = Duration::from_millis(50);
/// Round trips between two threads, if there is time for all of them.
const TRIPS: usize = 2000;
/// They end after this time: a busy machine takes milliseconds for each.
const MOST_FOR_TRIPS: Duration = Duration::from_secs(1);
/// Looks at the clock.
const LOOKS: u32 = 20_000;

/// Measures. It takes about two seconds, longer where the machine has no time for it.
pub(super) fn measure(mut progress: impl FnMut(&str)) -> Noise {
    let started = Instant::now();
    let ticks = Ticks::now();
    progress("the clock");
    let clock = look_at_the_clock();
    progress("the same work, again and again");
    let rounds = rounds(measure_out());
    progress("waking threads up");
    let trips = round_trips();
    let spent = ticks
        .zip(Ticks::now())
        .map(|(before, after)| after.since(before));
    Noise {
        clock,
        steal: spent.and_then(Ticks::steal),
        iowait: spent.and_then(Ticks::iowait),
        took_s: started.elapsed().as_secs_f64(),
        ..Noise::of(&rounds, &trips)
    }
}

/// The times of one round, in seconds, in the order of the runs.
#[derive(Clone, Debug, Default)]
struct Round {
    /// In one thread.
    alone: Vec<f64>,
    /// In all threads at once, one after the other. Empty if the system had not enough threads for us.
    together: Vec<f64>,
}

impl Noise {
    /// The figures that follow from the rounds, and from the times of round trips in seconds.
    fn of(rounds: &[Round], trips: &[f64]) -> Self {
        let all = |times: fn(&Round) -> &Vec<f64>| -> Vec<f64> {
            rounds.iter().flat_map(times).copied().collect()
        };
        let slowdowns = rounds
            .iter()
            .filter_map(|round| ratio(&round.together, &round.alone));
        let slowdowns: Vec<f64> = slowdowns.collect();
        Self {
            alone: Spread::of(&all(|round| &round.alone)),
            all_cpus: Spread::of(&all(|round| &round.together)),
            slowdown: median(&slowdowns),
            wake_up: WakeUp::of(trips),
            control: control(rounds),
            ..Self::default()
        }
    }
}

/// The ratio of the medians; `None` if there are none, or if the clock stood still.
fn ratio(above: &[f64], below: &[f64]) -> Option<f64> {
    let below = median(below).filter(|&below| below > 0.0)?;
    Some(median(above)? / below)
}

impl Spread {
    /// Of the times of the same work, in seconds; `None` for no times, or if the clock stood still.
    #[must_use]
    pub fn of(times: &[f64]) -> Option<Self> {
        let at = |q| quantile(times, q).filter(|&time| time > 0.0);
        let (least, p50, p99, most) = (at(0.0)?, at(0.5)?, at(0.99)?, at(1.0)?);
        let all: f64 = times.iter().sum();
        let beyond: f64 = times.iter().map(|time| time - least).sum();
        Some(Self {
            runs: times.len(),
            p50_s: p50,
            p99_ratio: p99 / p50,
            max_ratio: most / p50,
            lost: beyond / all,
        })
    }
}

impl WakeUp {
    /// Of the times of round trips, in seconds; `None` for no times.
    #[must_use]
    pub fn of(trips: &[f64]) -> Option<Self> {
        Some(Self {
            rounds: trips.len(),
            p50_s: quantile(trips, 0.5)? / 2.0,
            p99_s: quantile(trips, 0.99)? / 2.0,
        })
    }
}

/// The A/A test: even runs against odd ones, in each round.
fn control(rounds: &[Round]) -> Option<Interval> {
    let side = |round: &Round, first| -> Vec<f64> {
        round.alone.iter().skip(first).step_by(2).copied().collect()
    };
    let ratios = rounds
        .iter()
        .filter_map(|round| ratio(&side(round, 0), &side(round, 1)));
    let ratios: Vec<f64> = ratios.collect();
    median_interval(&ratios)
}

/// The work: integers in eight chains that do not wait for each other, so that it wants the whole core
/// and feels a neighbour in the other half.
fn work(steps: u64) {
    let mut lanes = black_box([1_u64, 2, 3, 5, 7, 11, 13, 17]);
    for step in 0..steps {
        for lane in &mut lanes {
            *lane = (*lane ^ step)
                .wrapping_mul(6_364_136_223_846_793_005)
                .rotate_left(17);
        }
    }
    black_box(lanes);
}

/// How many steps take [`WORK`] at their fastest. Warms the CPU up on the way.
fn measure_out() -> u64 {
    const PROBE: u64 = 2000;
    let until = Instant::now() + WARM_UP;
    let mut fastest = Duration::MAX;
    while Instant::now() < until {
        let began = Instant::now();
        work(PROBE);
        fastest = fastest.min(began.elapsed());
    }
    // Were the clock too coarse to see the probe, `max` keeps the quotient finite.
    let probes = WORK.as_nanos() / fastest.as_nanos().max(1);
    PROBE * u64::try_from(probes).unwrap_or(1).max(1)
}

/// Seconds of each run, in order.
fn series(steps: u64) -> Vec<f64> {
    (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            work(steps);
            began.elapsed().as_secs_f64()
        })
        .collect()
}

/// All rounds. The threads that are needed for all CPUs sleep while the work is done in one.
fn rounds(steps: u64) -> Vec<Round> {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let start = Barrier::new(cpus);
    thread::scope(|scope| {
        // One series of each round is done here. They are called up by a word, since a thread that
        // cannot be had would leave the others waiting at the barrier for ever.
        let crew: Vec<_> = (1..cpus)
            .map_while(|_| {
                let (word, words) = crossbeam_channel::bounded::<()>(1);
                let (times, reply) = crossbeam_channel::bounded(1);
                let start = &start;
                let work = move || {
                    for () in words {
                        start.wait();
                        let _ = times.send(series(steps));
                    }
                };
                thread::Builder::new().spawn_scoped(scope, work).ok()?;
                Some((word, reply))
            })
            .collect();
        let complete = crew.len() + 1 == cpus;
        let together = || {
            if !complete {
                return Vec::new();
            }
            for (word, _) in &crew {
                let _ = word.send(());
            }
            start.wait();
            let mut times = series(steps);
            for (_, reply) in &crew {
                times.extend(reply.recv().unwrap_or_default());
            }
            times
        };
        (0..ROUNDS)
            .map(|_| Round {
                alone: series(steps),
                together: together(),
            })
            .collect()
    })
}

/// Seconds from waking another thread to being woken by it, again and again. Empty if the system has
/// no threads for us.
///
/// The two are kept on different CPUs where there are two: on one, the scheduler changes from one
/// thread to the other and no CPU sleeps, which a worker on another CPU cannot count on.
fn round_trips() -> Vec<f64> {
    let turns = AtomicUsize::new(0);
    let places = places();
    thread::scope(|scope| {
        let trips = || {
            keep_on(places.first());
            // Odd turns are the other thread's. It ends when the turn is one that never comes.
            let here = thread::current();
            let other = thread::Builder::new().spawn_scoped(scope, || {
                let here = here;
                keep_on(places.last());
                for turn in (1..).step_by(2) {
                    if wait_for_turn(&turns, turn) == OVER {
                        return;
                    }
                    turns.store(turn + 1, Ordering::Release);
                    here.unpark();
                }
            });
            let Ok(other) = other else {
                return Vec::new();
            };
            let until = Instant::now() + MOST_FOR_TRIPS;
            let mut times = Vec::with_capacity(TRIPS);
            for turn in (1..).step_by(2).take(TRIPS) {
                let began = Instant::now();
                turns.store(turn, Ordering::Release);
                other.thread().unpark();
                wait_for_turn(&turns, turn + 1);
                times.push(began.elapsed().as_secs_f64());
                if Instant::now() > until {
                    break;
                }
            }
            turns.store(OVER, Ordering::Release);
            other.thread().unpark();
            times
        };
        // In a thread of its own: the caller's may go on where it likes.
        let trips = thread::Builder::new().spawn_scoped(scope, trips);
        let times = trips.ok().and_then(|trips| trips.join().ok());
        times.unwrap_or_default()
    })
}

/// The CPUs that this thread may use, in order. The first and the last are rarely halves of one core.
fn places() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .collect()
}

/// Keeps this thread on one CPU. Where that is not allowed it stays free.
fn keep_on(cpu: Option<&usize>) {
    if let Some(&cpu) = cpu {
        let mut set = CpuSet::new();
        set.set(cpu);
        let _ = sched_setaffinity(None, &set);
    }
}

/// The turn that ends all turns.
const OVER: usize = usize::MAX;

/// Sleeps until it is that turn, or a later one, and tells which.
fn wait_for_turn(turns: &AtomicUsize, turn: usize) -> usize {
    loop {
        let now = turns.load(Ordering::Acquire);
        if now >= turn {
            return now;
        }
        thread::park();
    }
}

fn look_at_the_clock() -> Clock {
    let began = Instant::now();
    let mut last = began;
    let mut step = Duration::MAX;
    for _ in 0..LOOKS {
        let now = Instant::now();
        let passed = now.duration_since(last);
        if !passed.is_zero() {
            step = step.min(passed);
        }
        last = now;
    }
    let all = last.duration_since(began);
    Clock {
        cost_s: all.as_secs_f64() / f64::from(LOOKS),
        step_s: step.min(all).as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounded, since the figures are quotients.
    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    /// Rounds of runs that all take the same time.
    fn even(alone: f64, together: f64) -> Vec<Round> {
        let round = Round {
            alone: vec![alone; RUNS],
            together: vec![together; 2 * RUNS],
        };
        vec![round; ROUNDS]
    }

    #[test]
    fn work_that_always_takes_the_same_time_has_no_noise() {
        let noise = Noise::of(&even(0.001, 0.001), &[0.000_02; 10]);
        let alone = noise.alone.unwrap();
        assert_eq!((alone.runs, alone.p50_s), (600, 0.001));
        assert_eq!((alone.p99_ratio, alone.max_ratio), (1.0, 1.0));
        assert_eq!(alone.lost, 0.0);
        assert_eq!(noise.all_cpus.unwrap().runs, 1200);
        assert_eq!(noise.slowdown, Some(1.0));
        let control = noise.control.unwrap();
        assert_eq!((control.low, control.median, control.high), (1.0, 1.0, 1.0));
    }

    #[test]
    fn the_share_lost_is_what_lies_above_the_fastest() {
        // Three of 1 ms and one of 5 ms: 8 ms for what 4 ms would have done.
        let spread = Spread::of(&[0.001, 0.005, 0.001, 0.001]).unwrap();
        assert!(near(spread.lost, 0.5), "{spread:?}");
        assert!(near(spread.max_ratio, 5.0), "{spread:?}");
    }

    #[test]
    fn quantiles_are_told_as_multiples_of_the_median() {
        // 0.1 % steps from 1 to 2: the median is 1.5, the 99th percentile 1.99.
        let times: Vec<f64> = (0..=1000)
            .map(|step| 1.0 + f64::from(step) / 1000.0)
            .collect();
        let spread = Spread::of(&times).unwrap();
        assert!(near(spread.p50_s, 1.5), "{spread:?}");
        assert!(near(spread.p99_ratio, 1.99 / 1.5), "{spread:?}");
        assert!(near(spread.max_ratio, 2.0 / 1.5), "{spread:?}");
    }

    #[test]
    fn the_slowdown_is_that_within_rounds_whatever_changes_between_them() {
        assert!(near(
            Noise::of(&even(0.001, 0.0019), &[]).slowdown.unwrap(),
            1.9
        ));
        let mut rounds = even(0.001, 0.0019);
        rounds.extend(even(0.004, 0.0076));
        assert!(near(Noise::of(&rounds, &[]).slowdown.unwrap(), 1.9));
    }

    #[test]
    fn a_wake_up_is_half_of_a_round_trip() {
        let wake_up = WakeUp::of(&[0.000_04, 0.000_02, 0.000_04]).unwrap();
        assert_eq!(wake_up.rounds, 3);
        assert!(near(wake_up.p50_s, 0.000_02), "{wake_up:?}");
    }

    #[test]
    fn the_control_sees_a_bias_between_its_sides_and_no_drift_of_both() {
        let mut biased = even(1.0, 1.0);
        for round in &mut biased {
            round
                .alone
                .iter_mut()
                .step_by(2)
                .for_each(|time| *time = 1.1);
        }
        let interval = control(&biased).unwrap();
        assert!(
            near(interval.median, 1.1) && near(interval.low, 1.1),
            "{interval:?}"
        );
        let mut drifting = even(1.0, 1.0);
        drifting.extend(even(2.0, 1.0));
        let interval = control(&drifting).unwrap();
        assert!(
            near(interval.low, 1.0) && near(interval.high, 1.0),
            "{interval:?}"
        );
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(Noise::of(&[], &[]), Noise::default());
        assert_eq!(Noise::of(&[Round::default()], &[]), Noise::default());
        assert_eq!(Spread::of(&[0.0, 0.0]), None);
        assert_eq!(control(&even(0.0, 0.0)), None);
    }

    #[test]
    fn this_machine_can_be_measured() {
        let mut said = Vec::new();
        let noise = measure(|what| said.push(what.to_owned()));
        assert_eq!(said.len(), 3);
        let alone = noise.alone.unwrap();
        assert_eq!(alone.runs, RUNS * ROUNDS);
        assert!(
            alone.max_ratio >= alone.p99_ratio && alone.p99_ratio >= 1.0,
            "{alone:?}"
        );
        assert!((0.0..1.0).contains(&alone.lost), "{alone:?}");
        assert!(noise.all_cpus.unwrap().runs >= RUNS * ROUNDS);
        assert!(noise.wake_up.unwrap().p50_s > 0.0);
        assert!(noise.clock.cost_s > 0.0 && noise.clock.step_s > 0.0);
        assert!(noise.control.is_some());
        assert!(noise.took_s > 0.5, "{}", noise.took_s);
    }
}
