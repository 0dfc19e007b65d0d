//! What an arm of `benches/peers/run` is told to do, and how it answers.
//!
//! An arm is a process of its own, in whatever language. It has the stopwatch, does the work some times
//! unmeasured, then some times measured, checks each reply outside the timed span, and prints one line:
//! `{"samples_ns":[…]}`. Told to hold workers, it prints `{"ready":N}` instead and waits for the end of
//! its standard input, so that somebody else can look at its memory. An arm that fails says why on
//! stderr, and exits with 1.
//!
//! `benches/peers/rust` includes this very file: it must know nothing of cofferdam.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use crate::Failure;

/// What is asked of an arm.
#[derive(Clone, Debug, Args)]
pub struct Task {
    /// What is measured
    #[arg(long, value_enum)]
    pub measure: Measure,
    /// Bytes of a message
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub bytes: usize,
    /// Samples at the most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub samples: usize,
    /// Begin no sample after this time, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 400)]
    pub budget: u64,
    /// Do the same work unmeasured for so long first, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100)]
    pub warm_up: u64,
    /// Workers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: usize,
    /// Messages on their way at the same time, where all workers are to be busy
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub in_flight: usize,
    /// Messages in one sample of throughput
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub batch: usize,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// From nothing to the first reply
    Start,
    /// One message there and back, one at a time
    Echo,
    /// Many messages at once, per message
    Throughput,
    /// Nothing: hold workers that have done a job each and wait
    Hold,
}

/// Fewer samples have no middle worth the name; they are taken even where the budget is spent.
const LEAST_SAMPLES: usize = 3;

impl Task {
    /// The message that is sent: all bytes in turn, so that neither a compressor nor a decimal notation
    /// has an easy time.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        (0..=u8::MAX).cycle().take(self.bytes).collect()
    }

    /// Takes samples of `one`, which has the stopwatch and gives back what it read.
    ///
    /// # Errors
    /// The first failure of `one`.
    pub fn sample(
        &self,
        mut one: impl FnMut() -> Result<Duration, Failure>,
    ) -> Result<Vec<Duration>, Failure> {
        // The first time a worker may have to start: that is no warm-up of what follows.
        one()?;
        let warm = Instant::now() + Duration::from_millis(self.warm_up);
        while Instant::now() < warm {
            one()?;
        }
        let spent = Instant::now() + Duration::from_millis(self.budget);
        let mut samples = Vec::new();
        while samples.len() < self.samples
            && (samples.len() < LEAST_SAMPLES || Instant::now() < spent)
        {
            samples.push(one()?);
        }
        Ok(samples)
    }

    /// One message there and back by `ping`, whose reply is checked outside the timed span.
    ///
    /// # Errors
    /// Those of `ping`, and a reply that is not the message.
    pub fn echo<R: AsRef<[u8]>>(
        &self,
        mut ping: impl FnMut() -> Result<R, Failure>,
    ) -> Result<Vec<Duration>, Failure> {
        let payload = self.payload();
        self.sample(|| {
            let start = Instant::now();
            let reply = ping()?;
            let took = start.elapsed();
            check(&payload, reply.as_ref())?;
            Ok(took)
        })
    }

    /// Says that the workers are there, and waits until whoever looks at them has seen enough.
    ///
    /// # Errors
    /// If the standard streams are broken.
    pub fn hold(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{{\"ready\":{}}}", self.workers)?;
        out.flush()?;
        io::stdin().lock().read_to_end(&mut Vec::new())?;
        Ok(())
    }

    /// The failure of an arm that was asked for what it does not do.
    #[must_use]
    pub fn refused(&self) -> Failure {
        format!("{:?} makes no sense here", self.measure).into()
    }
}

/// The time of a wrong reply is no measurement.
///
/// # Errors
/// If the reply is not the message.
pub fn check(sent: &[u8], reply: &[u8]) -> Result<(), Failure> {
    if reply == sent {
        return Ok(());
    }
    Err(format!(
        "a wrong reply: {} bytes for {}, or others",
        reply.len(),
        sent.len()
    )
    .into())
}

/// Prints an arm's line. All of its `main` but the work.
pub fn answer(arm: &str, samples: Result<Vec<Duration>, Failure>) -> ExitCode {
    let said = samples.and_then(|samples| Ok(print(&samples)?));
    match said {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{arm}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints nothing where there are no samples: a task that held workers has had its say.
fn print(samples: &[Duration]) -> io::Result<()> {
    if samples.is_empty() {
        return Ok(());
    }
    let samples: Vec<_> = samples
        .iter()
        .map(|sample| sample.as_nanos().to_string())
        .collect();
    let mut out = io::stdout().lock();
    writeln!(out, "{{\"samples_ns\":[{}]}}", samples.join(","))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(samples: usize, budget: u64) -> Task {
        Task {
            measure: Measure::Echo,
            bytes: 300,
            samples,
            budget,
            warm_up: 0,
            workers: 1,
            in_flight: 32,
            batch: 1,
        }
    }

    #[test]
    fn the_first_time_is_not_counted() {
        let mut calls = 0;
        let samples = task(5, 60_000).sample(|| {
            calls += 1;
            Ok(Duration::from_nanos(calls))
        });
        assert_eq!(samples.unwrap(), [2, 3, 4, 5, 6].map(Duration::from_nanos));
    }

    #[test]
    fn a_spent_budget_leaves_enough_samples_for_a_middle() {
        let samples = task(5, 0).sample(|| Ok(Duration::ZERO)).unwrap();
        assert_eq!(samples.len(), LEAST_SAMPLES);
    }

    #[test]
    fn a_wrong_reply_ends_the_arm() {
        let task = task(5, 0);
        let mut wrong = task.payload();
        wrong[299] ^= 1;
        assert!(task.echo(|| Ok(task.payload())).is_ok());
        assert!(task.echo(|| Ok(wrong.clone())).is_err());
        assert!(task.echo(|| Ok(&wrong[..299])).is_err());
    }
}
