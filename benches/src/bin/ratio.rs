//! `ratio`: how much longer a job takes through cofferdam than through wasmtime's own API.
//!
//! Two arms by turns (ABBA, then BAAB), a ratio for each round, the median of the ratios with its
//! confidence interval. `benches/METHODOLOGY.md` says what the spans and arms are.

use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cofferdam::stats::{Interval, median, median_interval};
use cofferdam::{Isolation, Metering};
use cofferdam_benches::arms::{Once, aside, call, called, instantiate_and_call};
use cofferdam_benches::{
    Arm, Aside, ByHand, Failure, Round, Rounds, SUBJECTS, Subject, metering_name, pool_for,
    run_rounds,
};

/// Compare cofferdam with wasmtime's own API, job for job
#[derive(Debug, Parser)]
#[command(name = "ratio")]
struct Args {
    /// Five rounds: enough to see that everything works, not to cite
    #[arg(long)]
    quick: bool,
    /// Rounds of each comparison; 40 of @argon2 and 100 of the others unless told
    #[arg(long, value_name = "N", conflicts_with = "quick", value_parser = clap::value_parser!(u32).range(5..))]
    rounds: Option<u32>,
    /// Only this guest: argon2, sha256 or echo
    #[arg(long, value_name = "NAME", value_parser = SUBJECTS.map(|subject| subject.name))]
    guest: Option<String>,
    /// Write the times of every round to this file, as CSV
    #[arg(long, value_name = "FILE")]
    raw: Option<PathBuf>,
}

/// Which part of a job is compared, and with what.
#[derive(Clone, Copy, Debug)]
enum Span {
    /// Wasmtime against itself: what this machine makes of two arms that do not differ.
    Control,
    /// Inside the guest's `handle`; the null arm runs in a thread that wakes up for each job, too.
    Call(Isolation),
    /// From handing a job in to holding its reply; the null arm instantiates and calls in place.
    Whole(Isolation),
}

/// One line of the result.
struct Row {
    subject: Subject,
    metering: Metering,
    span: Span,
    rounds: Rounds,
    interval: Interval,
}

fn main() -> ExitCode {
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "ratio: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let mut raw = match &args.raw {
        None => None,
        Some(path) => {
            let file =
                File::create(path).map_err(|error| format!("--raw {}: {error}", path.display()))?;
            let mut raw = BufWriter::new(file);
            writeln!(raw, "guest,metering,span,isolation,round,a_s,b_s")?;
            Some(raw)
        }
    };
    print_header()?;
    for subject in SUBJECTS {
        if args.guest.as_ref().is_some_and(|name| name != subject.name) {
            continue;
        }
        for (metering, spans) in plan() {
            let mut control = None;
            for &span in spans {
                let rounds = compare(&subject, metering, span, rounds(args, &subject))?;
                let row = Row {
                    subject,
                    metering,
                    span,
                    interval: median_interval(&rounds.ratios()).ok_or("no rounds")?,
                    rounds,
                };
                row.print(control)?;
                if let Some(raw) = &mut raw {
                    row.write(raw)?;
                }
                if matches!(span, Span::Control) {
                    control = Some(row.interval);
                }
            }
        }
    }
    Ok(())
}

fn rounds(args: &Args, subject: &Subject) -> usize {
    let rounds = match args.rounds {
        Some(rounds) => rounds,
        None if args.quick => 5,
        // One takes a sixth of a second.
        None if subject.name == "argon2" => 40,
        None => 100,
    };
    rounds as usize
}

/// A guest in a process needs no metering: it is compared where it has none.
fn plan() -> [(Metering, &'static [Span]); 2] {
    const THREAD: Isolation = Isolation::Thread;
    const PROCESS: Isolation = Isolation::Process;
    [
        (
            Metering::Interruptible,
            &[Span::Control, Span::Call(THREAD), Span::Whole(THREAD)],
        ),
        (
            Metering::Unmetered,
            &[
                Span::Control,
                Span::Call(THREAD),
                Span::Whole(THREAD),
                Span::Call(PROCESS),
                Span::Whole(PROCESS),
            ],
        ),
    ]
}

fn compare(
    subject: &Subject,
    metering: Metering,
    span: Span,
    rounds: usize,
) -> Result<Rounds, Failure> {
    let guest = subject.guest()?;
    let by_hand = || ByHand::new(guest.wasm(), metering);
    let pool = |isolation| {
        pool_for(guest.clone(), isolation, |builder| {
            builder.metering(metering)
        })
    };
    match span {
        Span::Control => {
            let (a, b) = (Aside::new(by_hand()?)?, Aside::new(by_hand()?)?);
            let null = |null| segment("wasmtime, call", subject, aside(null, subject));
            run_rounds(null(&a), null(&b), rounds)
        }
        Span::Call(isolation) => {
            let (a, b) = (pool(isolation)?, Aside::new(by_hand()?)?);
            run_rounds(
                segment("cofferdam, call", subject, called(&a, subject)),
                segment("wasmtime, call", subject, aside(&b, subject)),
                rounds,
            )
        }
        Span::Whole(isolation) => {
            let (a, b) = (pool(isolation)?, by_hand()?);
            run_rounds(
                segment("cofferdam, whole", subject, call(&a, subject)),
                segment(
                    "wasmtime, whole",
                    subject,
                    instantiate_and_call(&b, subject),
                ),
                rounds,
            )
        }
    }
}

/// A segment: the work of one job as often as the subject wants.
fn segment<'a>(name: &'static str, subject: &Subject, mut once: impl Once + 'a) -> Arm<'a> {
    let jobs = subject.jobs;
    Arm::new(name, move || (0..jobs).map(|_| once()).sum())
}

impl Span {
    fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Call(_) => "call",
            Self::Whole(_) => "whole",
        }
    }

    fn isolation(self) -> Option<Isolation> {
        match self {
            Self::Control => None,
            Self::Call(isolation) | Self::Whole(isolation) => Some(isolation),
        }
    }
}

fn print_header() -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "a: cofferdam, in `control` wasmtime as b; b: wasmtime's own API; ratio: a over b, median of rounds"
    )?;
    writeln!(
        out,
        "{:<7} {:<9} {:<7} {:<9} {:>6} {:>16} {:>12} {:>12} {:>6}  call <= {GOAL}",
        "guest",
        "metering",
        "span",
        "isolation",
        "ratio",
        "95 % interval",
        "a, a job",
        "b, a job",
        "rounds",
    )
}

/// What a guest may take beside wasmtime's own API: goal P8.
const GOAL: f64 = 1.05;

/// Whether the goal holds, where it is set. A machine whose control is off by more than the miss
/// cannot tell.
fn verdict(span: Span, interval: Interval, control: Option<Interval>) -> &'static str {
    if !matches!(span, Span::Call(_)) {
        return "-";
    }
    let noise = control.map_or(1.0, |control| control.high);
    if interval.high <= GOAL {
        "met"
    } else if interval.low > GOAL.max(noise) {
        "missed"
    } else {
        "open"
    }
}

impl Row {
    fn isolation(&self) -> String {
        self.span
            .isolation()
            .map_or_else(|| "-".to_owned(), |isolation| isolation.to_string())
    }

    fn print(&self, control: Option<Interval>) -> std::io::Result<()> {
        let Interval {
            median, low, high, ..
        } = self.interval;
        writeln!(
            stdout().lock(),
            "{:<7} {:<9} {:<7} {:<9} {median:>6.3} {:>16} {:>12} {:>12} {:>6}  {}",
            self.subject.name,
            metering_name(self.metering),
            self.span.name(),
            self.isolation(),
            format!("{low:.3} to {high:.3}"),
            self.per_job(|round| round.a),
            self.per_job(|round| round.b),
            self.rounds.0.len(),
            verdict(self.span, self.interval, control),
        )
    }

    /// The median of the rounds, for one job.
    fn per_job(&self, of: fn(&Round) -> Duration) -> String {
        // Two segments of each arm in a round.
        let jobs = f64::from(2 * self.subject.jobs);
        let rounds = self.rounds.0.iter();
        let times: Vec<f64> = rounds.map(|round| of(round).as_secs_f64() / jobs).collect();
        median(&times).map_or_else(|| "-".to_owned(), |time| format!("{:.2} µs", time * 1e6))
    }

    fn write(&self, raw: &mut impl Write) -> std::io::Result<()> {
        for (number, round) in self.rounds.0.iter().enumerate() {
            writeln!(
                raw,
                "{},{},{},{},{number},{:.9},{:.9}",
                self.subject.name,
                metering_name(self.metering),
                self.span.name(),
                self.isolation(),
                round.a.as_secs_f64(),
                round.b.as_secs_f64(),
            )?;
        }
        raw.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Span = Span::Call(Isolation::Thread);

    fn between(low: f64, high: f64) -> Interval {
        Interval {
            median: f64::midpoint(low, high),
            low,
            high,
            confidence: 0.95,
        }
    }

    #[test]
    fn a_goal_is_met_or_missed_only_by_a_whole_interval() {
        let quiet = Some(between(0.99, 1.01));
        assert_eq!(verdict(CALL, between(0.99, 1.05), quiet), "met");
        assert_eq!(verdict(CALL, between(1.06, 1.10), quiet), "missed");
        assert_eq!(verdict(CALL, between(1.00, 1.10), quiet), "open");
    }

    #[test]
    fn a_noisy_machine_cannot_miss_a_goal_by_less_than_its_noise() {
        let noisy = Some(between(0.9, 1.2));
        assert_eq!(verdict(CALL, between(1.06, 1.30), noisy), "open");
    }

    #[test]
    fn the_goal_is_set_for_the_guests_own_time_alone() {
        let whole = Span::Whole(Isolation::Thread);
        assert_eq!(verdict(whole, between(2.0, 3.0), None), "-");
    }
}
