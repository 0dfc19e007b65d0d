//! What does it cost that a guest can be stopped, and how late is it stopped?
//!
//! *Arms*: a thread without any checks, which nothing could stop (and once more, as the control); a thread
//! with epoch checks, as threads are used; a thread that counts fuel; a process without checks, which the
//! system can kill. *Stopwatch*: the trial's main thread, from handing in a job until it holds the reply;
//! for lateness, from handing in an endless loop until its end is told, less its limit of 20 ms. Fuel knows
//! no time: it is given as much as burns in 20 ms at the rate that was measured just before. *Expectation*:
//! checks cost some per cent of a tight loop; an epoch is noticed within microseconds, a kill takes the time
//! of a process's end.

use std::time::{Duration, Instant};

use super::left_out::nothing;
use super::trial::{Bench, Checked, built_in, reply_of, staffed};
use super::{Arm, Effort, Part, PartWork, RowSpec, Samples, Stage};
use crate::guest::Guest;
use crate::job::{Job, Limits, Outcome};
use crate::pool::Pool;
use crate::runtime::Metering;

pub(super) static LIMITS: Part = Part {
    experiment: "limits",
    name: "checks",
    question: "What does it cost that a guest can be stopped, and how late is it stopped?",
    arms: |_| {
        &[
            Arm::Unmetered,
            Arm::Thread,
            Arm::Fuel,
            Arm::Process,
            Arm::Control,
        ]
    },
    twin: Arm::Unmetered,
    weight: 2.5,
    core: 0,
    most: [8, 30, 100],
    rows,
    left_out: nothing,
    work: PartWork::Staged {
        segments: |effort| effort.segments(effort.jobs_in_a_row()),
        prepare,
    },
};

/// After so long an endless loop is to be stopped.
const LIMIT: Duration = Duration::from_millis(20);

fn rows(_: &Effort) -> Vec<RowSpec> {
    let job = |meter: &str, title: &str, arm| {
        RowSpec::seconds("job", format!("job, {title}"), "job")
            .at("meter", meter)
            .comparing(arm, Arm::Unmetered)
    };
    vec![
        job("epoch", "epoch checks", Arm::Thread),
        job("fuel", "fuel", Arm::Fuel),
        job("kill", "kill by the system", Arm::Process),
        RowSpec {
            // An arm without checks is no control for how late one with checks is stopped.
            twin: Some(Arm::Thread),
            ..RowSpec::seconds("overrun", "an endless loop's overrun", "overrun")
                .at("after", "20ms")
        },
    ]
}

struct Checks<'b> {
    bench: &'b Bench,
    pool: Pool,
    jobs: usize,
    checked: Checked,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let mut stage = Checks {
        bench,
        pool: bench.pool(&bench.guest, 1)?,
        jobs: bench.effort().jobs_in_a_row(),
        checked: Checked::default(),
        samples: Samples::default(),
    };
    stage.job(0)?;
    stage.samples = Samples::default();
    Ok(Box::new(stage))
}

impl Checks<'_> {
    fn job(&mut self, place: usize) -> Result<(), String> {
        let job = self.bench.job(place);
        let start = Instant::now();
        let ticket = self.pool.submit(job).map_err(|error| error.to_string())?;
        let completion = ticket.wait();
        let seconds = self.bench.stop(start);
        self.samples.add("job", seconds);
        self.checked.reply("job", &reply_of(completion)?);
        Ok(())
    }

    fn overrun(&mut self) -> Result<(), String> {
        let spin = built_in("spin")?;
        let seconds = match self.bench.order.arm {
            // The control of this row is a thread once more.
            Arm::Unmetered if self.bench.order.is_control => {
                let timeout = Some(LIMIT);
                let limits = self.bench.roomy();
                let metering = Metering::Interruptible;
                self.run_away(
                    &spin,
                    Limits { timeout, ..limits },
                    metering,
                    &Outcome::Deadline,
                )?
            }
            // Nothing would stop it.
            Arm::Unmetered | Arm::Control | Arm::Mixed => return Ok(()),
            Arm::Fuel => {
                const PROBE: u64 = 10_000_000;
                let burnt = self.burn(&spin, PROBE)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "fuel for 20 ms, some ten millions"
                )]
                let fuel = (PROBE as f64 * LIMIT.as_secs_f64() / burnt) as u64;
                self.burn(&spin, fuel)?
            }
            _ => {
                let timeout = Some(LIMIT);
                let limits = self.bench.roomy();
                let metering = self.bench.metering();
                self.run_away(
                    &spin,
                    Limits { timeout, ..limits },
                    metering,
                    &Outcome::Deadline,
                )?
            }
        };
        // Fuel may also run out too early.
        self.samples.add("overrun", seconds - LIMIT.as_secs_f64());
        Ok(())
    }

    fn burn(&self, spin: &Guest, fuel: u64) -> Result<f64, String> {
        let fuel = Some(fuel.max(1));
        let limits = self.bench.limits();
        let metering = self.bench.metering();
        self.run_away(
            spin,
            Limits { fuel, ..limits },
            metering,
            &Outcome::OutOfFuel,
        )
    }

    /// Seconds until an endless loop has come to this end.
    fn run_away(
        &self,
        spin: &Guest,
        limits: Limits,
        metering: Metering,
        end: &Outcome,
    ) -> Result<f64, String> {
        let builder = self
            .bench
            .builder(spin, 1)
            .metering(metering)
            .limits(limits);
        let pool = builder.build().map_err(|error| error.to_string())?;
        // The worker is up, so that its start is not counted.
        staffed(&pool, 1)?;
        let start = Instant::now();
        let ticket = pool
            .submit(Job::new(""))
            .map_err(|error| error.to_string())?;
        let completion = ticket.wait();
        let seconds = start.elapsed().as_secs_f64();
        match completion.result {
            Ok(reply) if reply.outcome == *end => Ok(seconds),
            Ok(reply) => Err(format!("an endless loop ended so: {}", reply.outcome)),
            Err(lost) => Err(lost.to_string()),
        }
    }
}

impl Stage for Checks<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        for job in 0..self.jobs {
            self.job(1 + place * self.jobs + job)?;
        }
        if place == 0 {
            self.overrun()?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(Samples {
            replies: self.checked.digests(),
            ..self.samples
        })
    }
}
