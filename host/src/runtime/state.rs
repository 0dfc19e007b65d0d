//! What the host keeps for a running guest.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use cofferdam_guest::abi;
use crossbeam_channel::Receiver;
use wasmtime::Memory;
use wasmtime::component::ResourceTable;

use super::extism::Plugin;
use super::limiter::Limiter;
use super::tape::{MOST_RANDOM, OutOfStep, Tape, Told};
use super::wasi::{Streams, Table};
use super::wasi2;
use super::{Drill, Interrupt, World};
use crate::folder::Grants;
use crate::job::{Job, Outcome};
use crate::mail::{Received, Wait};
use crate::payload::Output;
use crate::region::Shared;

/// Lives as long as a store, and so through many jobs where the instance is reused.
pub(super) struct StoreState {
    pub(super) limiter: Limiter,
    /// Known once the instance exists; a start function runs before.
    pub(super) memory: Option<Memory>,
    /// Set when the start function and `_initialize` are done: from then on there is a job.
    pub(super) ready: bool,
    pub(super) interrupt: Interrupt,
    /// What `log` does in place of its work; `None` outside of the experiments.
    pub(super) drill: Option<Drill>,
    pub(super) region: Option<Arc<Shared>>,
    /// The folders that were granted, if any was.
    pub(super) grants: Option<Grants>,
    pub(super) world: Arc<World>,
    /// What an Extism plugin keeps; most guests are none.
    pub(super) plugin: Option<Box<Plugin>>,
    /// What a component waits for; it may hold that from one job to the next.
    pub(super) awaited: ResourceTable,
    /// What stands behind a component's handles to files is numbered, and no number comes twice.
    pub(super) numbers: wasi2::Numbers,
    pub(super) job: JobState,
}

/// Lives as long as a job.
pub(super) struct JobState {
    pub(super) job: Job,
    pub(super) output: Output,
    /// Bytes that the job may still say.
    pub(super) allowance: usize,
    pub(super) reason: String,
    /// A message that the guest asked for with too small a buffer.
    pub(super) pending: Option<Vec<u8>>,
    pub(super) log_allowance: usize,
    pub(super) dropped_logs: u64,
    /// Set by a host function that ends the job.
    pub(super) ending: Option<Outcome>,
    pub(super) streams: Streams,
    /// What the job has open beside them; made when it is first asked for.
    pub(super) files: Option<Box<Table>>,
    /// The same, where the guest is a component.
    pub(super) handles: Option<Box<wasi2::Table>>,
    chance: Chance,
    tape: Tape,
}

/// Where `random` and `clock` come from.
enum Chance {
    System,
    Seeded { rng: fastrand::Rng, ticks: i64 },
}

impl JobState {
    pub(super) fn new(job: &Job, max_output: usize, drill: Option<Drill>) -> Self {
        Self {
            job: job.clone(),
            output: Output::new(job.mail().arena()),
            allowance: max_output,
            reason: String::new(),
            pending: None,
            log_allowance: abi::MAX_LOG_PER_JOB,
            dropped_logs: 0,
            ending: None,
            streams: Streams::default(),
            files: None,
            handles: None,
            chance: match job.seed() {
                None => Chance::System,
                Some(seed) => Chance::Seeded {
                    // Jobs with neighbouring numbers must not have neighbouring streams.
                    rng: fastrand::Rng::with_seed(mix(seed ^ mix(job.number()))),
                    ticks: 0,
                },
            },
            tape: match drill {
                Some(Drill::Record) => Tape::Records,
                Some(Drill::Replay) => Tape::Plays,
                _ => Tape::Off,
            },
        }
    }

    /// Lets go of the job and of what it has open, for an instance that waits: whoever posts to it has to hear that it
    /// ended. The next job finds nothing of the rest, since it brings a state of its own.
    pub(super) fn let_go(&mut self, idle: &Job) {
        self.job.clone_from(idle);
        self.pending = None;
        self.files = None;
        self.handles = None;
    }

    /// Logs a line, within what the job may log. An empty line costs its place too, or a flood of them would be
    /// free.
    pub(super) fn log(&mut self, level: abi::Level, line: &[u8]) {
        match self.log_allowance.checked_sub(line.len().max(1)) {
            None => self.dropped_logs += 1,
            Some(rest) => {
                self.log_allowance = rest;
                self.job.mail().log(level, &String::from_utf8_lossy(line));
            }
        }
    }

    /// Takes the next message for the guest, or what a record says of it.
    pub(super) fn hear(
        &mut self,
        wait: Wait,
        interrupt: &Receiver<()>,
    ) -> Result<Received, OutOfStep> {
        if self.tape == Tape::Plays {
            return self.played("a message", |told| match told {
                Told::Message { bytes } => Ok(Received::Message(bytes)),
                Told::NoMessage => Ok(Received::TimedOut),
                Told::NoMore => Ok(Received::Closed),
                other => Err(other),
            });
        }
        let mail = self.job.mail();
        let received = mail.recv(wait, interrupt);
        if self.tape == Tape::Records {
            let told = Told::of(&received);
            told.into_iter()
                .for_each(|told| self.tape.note(mail, || told));
        }
        Ok(received)
    }

    /// The time of day, in nanoseconds since 1970; that of [`JobState::clock`] where the job is seeded.
    pub(super) fn time_of_day(&mut self) -> Result<i64, OutOfStep> {
        if self.tape == Tape::Plays {
            return self.played("the time of day", |told| match told {
                Told::Time { ns } => Ok(ns),
                other => Err(other),
            });
        }
        let ns = match self.chance {
            Chance::Seeded { .. } => self.ticked(),
            Chance::System => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
            }
        };
        self.tape.note(self.job.mail(), || Told::Time { ns });
        Ok(ns)
    }

    /// What a record has next. Where the guest went another way its job ends, and that is why.
    fn played<T>(
        &mut self,
        asked: &'static str,
        wanted: impl FnOnce(Told) -> Result<T, Told>,
    ) -> Result<T, OutOfStep> {
        Tape::next(self.job.mail(), asked, wanted).inspect_err(|error| {
            let why = || Outcome::InterfaceViolation(error.to_string());
            self.ending.get_or_insert_with(why);
        })
    }

    /// Lets so much time pass by the job's clock, if that is not the system's: then nobody has to wait.
    pub(super) fn skip(&mut self, span: Duration) -> bool {
        match &mut self.chance {
            // What it would see of the time is in the record.
            Chance::System => self.tape == Tape::Plays,
            Chance::Seeded { ticks, .. } => {
                let span = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
                *ticks = ticks.saturating_add(span);
                true
            }
        }
    }

    pub(super) fn fill_random(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        match self.tape {
            Tape::Off => self.draw(bytes),
            Tape::Records => {
                self.draw(bytes)?;
                for part in bytes.chunks(MOST_RANDOM) {
                    self.tape.note(self.job.mail(), || Told::Random {
                        bytes: part.to_vec(),
                    });
                }
                Ok(())
            }
            Tape::Plays => {
                for part in bytes.chunks_mut(MOST_RANDOM) {
                    let told = self.played("random bytes", |told| match told {
                        Told::Random { bytes } if bytes.len() == part.len() => Ok(bytes),
                        other => Err(other),
                    });
                    part.copy_from_slice(&told.map_err(std::io::Error::other)?);
                }
                Ok(())
            }
        }
    }

    fn draw(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        match &mut self.chance {
            Chance::Seeded { rng, .. } => rng.fill(bytes),
            Chance::System => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let filled =
                        rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())?;
                    rest = &mut rest[filled..];
                }
            }
        }
        Ok(())
    }

    /// Nanoseconds, monotonic; one microsecond a call where the job is seeded.
    pub(super) fn clock(&mut self) -> Result<i64, OutOfStep> {
        if self.tape == Tape::Plays {
            return self.played("the clock", |told| match told {
                Told::Clock { ns } => Ok(ns),
                other => Err(other),
            });
        }
        let ns = self.ticked();
        self.tape.note(self.job.mail(), || Told::Clock { ns });
        Ok(ns)
    }

    fn ticked(&mut self) -> i64 {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        match &mut self.chance {
            Chance::Seeded { ticks, .. } => {
                *ticks = ticks.saturating_add(1000);
                *ticks
            }
            Chance::System => {
                let since = ORIGIN.get_or_init(Instant::now).elapsed();
                i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
            }
        }
    }
}

/// The finaliser of `SplitMix64`: every input bit changes about half of the output bits.
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014, figure 17.
pub(crate) fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(seed: Option<u64>, number: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        let job = Job::new("").numbered(number, seed);
        JobState::new(&job, 0, None)
            .fill_random(&mut bytes)
            .unwrap();
        bytes
    }

    #[test]
    fn a_seed_and_a_number_decide_the_random_bytes() {
        assert_eq!(bytes(Some(7), 3), bytes(Some(7), 3));
        assert_ne!(bytes(Some(7), 3), bytes(Some(7), 4));
        assert_ne!(bytes(Some(7), 3), bytes(Some(8), 3));
    }

    #[test]
    fn without_a_seed_no_two_jobs_get_the_same_bytes() {
        assert_ne!(bytes(None, 0), bytes(None, 0));
    }

    #[test]
    fn a_seeded_clock_counts_microseconds() {
        let mut state = JobState::new(&Job::new("").numbered(0, Some(1)), 0, None);
        assert_eq!(
            [state.clock().unwrap(), state.clock().unwrap()],
            [1000, 2000]
        );
    }

    #[test]
    fn the_systems_clock_never_goes_back() {
        let mut state = JobState::new(&Job::new(""), 0, None);
        let first = state.clock().unwrap();
        assert!(state.clock().unwrap() >= first);
    }
}
