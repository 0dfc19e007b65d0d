//! `cofferdam compare`

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cofferdam::experiment::{
    Budget, Collected, Plan, Rigging, Runner, Selection, Subject, serve_trial,
};
use cofferdam::machine::Machine;
use cofferdam::report::{Circumstances, Comparison, analyse, ending, render, short_time};
use cofferdam::{
    Cache, Compile, Enforcement, Exit, Guest, GuestSource, Isolation, Job, Pool, SubmitError,
    TimeSpan,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;
use super::common::{
    CacheArgs, ColourArgs, HardeningArg, InstanceArg, LimitArgs, STDIN_TWICE, complain, print,
    width,
};
use super::exports::{ExportArgs, TrustArg};
use super::guest::{GuestArgs, TWO_INPUTS, ToldArgs};
use super::input::{InputArgs, STDIN};
use super::signals::signals;

/// Do the same work in both isolations, side by side, and say what each costs and saves
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The guest [default: @argon2]
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    told: ToldArgs,

    /// 15 seconds: a look, with wide intervals, and without limits, scaling, jobs under load and
    /// what sharing costs (slow jobs take longer)
    #[arg(long, conflicts_with = "rigorous")]
    quick: bool,
    /// Up to 10 minutes: narrow intervals, to be cited
    #[arg(long)]
    rigorous: bool,
    /// Another time, after which no round is begun but the first ones of what matters most
    #[arg(long, value_name = "TIME")]
    time_budget: Option<TimeSpan>,
    /// Only these experiments: start, message, job, memory, limits, scaling, sharing, identity,
    /// containment, recovery, crossover
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    experiments: Vec<String>,
    /// Decides the order of the trials and the guest's random bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Whether a job finds what the job before it left behind
    #[arg(long, value_enum, default_value = "fresh")]
    instance: InstanceArg,
    /// What process workers give up before they run the guest
    #[arg(long, value_enum, default_value = "best-effort")]
    hardening: HardeningArg,

    /// Whom the guest comes from: what to deploy depends on it
    #[arg(long, value_enum)]
    trust: Option<TrustArg>,
    #[command(flatten)]
    colour: ColourArgs,

    #[command(flatten)]
    given: InputArgs,
    #[command(flatten)]
    exports: ExportArgs,

    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    cache: CacheArgs,

    /// Proves the statistics: the process arm becomes a thread arm, slower by this many per cent
    #[arg(long, value_name = "PER CENT", hide = true)]
    rig: Option<f64>,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam compare                              hash passwords, within a minute
  cofferdam compare --quick @echo                a guest that does next to nothing
  cofferdam compare --lines data.txt guest.wasm  your data, a line a job
  cofferdam compare --experiments job,memory guest.wasm
  cofferdam compare --invoke fib math.wasm -- 30
  cofferdam compare --call count_vowels --input hello plugin.wasm
  cofferdam compare --input-file in.csv tool.wasm -- --sort
  cofferdam compare --rigorous --report out.html --export-json out.json @blur
  cofferdam compare --baseline main.json --fail-if 'process.job.p50 > 1.10x' guest.wasm

A ratio is process ÷ thread. A verdict needs the whole 95 % interval to lie
outside of the margin: how far the control (two arms that are the same) strays
from 1 in its median, and half of the way to the end of its interval, 2 % at the
least.
Ctrl-C stops, and shows what there is.

Exit codes: 0 done · 1 a trial failed, the guest fails on its first input, or a
  fault went otherwise than expected · 2 usage · 101 --fail-if tripped · 125 cofferdam failed
  126 the guest cannot be run · 127 not found · 130 stopped by Ctrl-C";

/// More inputs make no better comparison, and each trial is handed all of them.
const MOST_INPUTS: usize = 256;
/// The same, in bytes.
const MOST_INPUT_BYTES: usize = 64 << 20;

pub(crate) fn compare(args: &Args) -> Result<Exit, Failure> {
    let selection = selection(args)?;
    let gates = args.exports.gates(false)?;
    let source = args.source();
    let guest = Guest::load_with(&source, args.guest.entry())?;
    let surroundings = args.told.told(&guest)?;
    if !guest.entry().may_be_reused() {
        complain(&format!(
            "{} is a command, which gets a fresh instance for each job: rows of reused instances measure the same",
            guest.name()
        ));
    }
    let limits = args.limits.limits()?;
    if source == GuestSource::Stdin && args.given.wants_stdin() {
        return Err(Failure::usage(STDIN_TWICE));
    }
    let numbers = args.told.numbers(guest.entry());
    if numbers.is_some() && args.given.is_given() {
        return Err(Failure::usage(TWO_INPUTS));
    }
    let inputs = match numbers {
        Some(numbers) => vec![numbers.into_bytes()],
        None => inputs(&args.given, &guest, limits.input)?,
    };
    let exports = args.exports.open(&read(args)?)?;
    let subject = Subject {
        guest: guest.clone(),
        surroundings: surroundings.clone(),
        inputs,
        limits,
        instance: args.instance.into(),
        hardening: args.hardening.into(),
        cache: args.cache.cache(),
    };
    let plan = plan(args, subject, &selection)?;
    gates.suit(&plan)?;
    // Compiled here, for each isolation: a module that does not compile is told as such, and no trial
    // has to do it again.
    let mut trouble = None;
    let mut enforcement = None;
    let builder = Pool::builder(guest.clone())
        .surroundings(surroundings)
        .limits(limits)
        .hardening(args.hardening.into());
    // First apart, where a module that is a trap for compilers is caught; then as trials take it, which are
    // processes of their own, of the same program.
    let vetted = builder.clone().compile(args.cache.compile());
    vetted.cache(Cache::off()).prepare()?;
    for isolation in [Isolation::Thread, Isolation::Process] {
        let builder = builder
            .clone()
            .isolation(isolation)
            .compile(Compile::Inline);
        let pool = builder.cache(args.cache.cache()).build()?;
        trouble = pool.cache_trouble().map(str::to_owned).or(trouble);
        if isolation == Isolation::Process {
            enforcement = hardened(&pool).map_err(anyhow::Error::from)?;
        }
    }
    if let Some(trouble) = trouble {
        complain(&format!("warning: {trouble}"));
    }
    let circumstances = Circumstances {
        machine: Machine::here(),
        command: command(),
        trust: args.trust.map(Into::into),
        enforcement,
    };
    let started = Instant::now();
    let mut told = false;
    let collected = measure(&plan, |collected| {
        let partial = Comparison {
            complete: false,
            ..analyse(&plan, collected, &circumstances, started.elapsed())
        };
        match exports.keep(&partial) {
            Err(failure) if !told => {
                told = true;
                complain(&format!("warning: {failure}"));
            }
            Ok(()) | Err(_) => {}
        }
    })?;
    let comparison = analyse(&plan, &collected, &circumstances, started.elapsed());
    // Neither a closed pipe nor a full disk must lose what the other one keeps.
    let saved = exports.save(&comparison);
    let text = render(&comparison, width(), args.colour.colour());
    print(text.as_bytes())?;
    saved?;
    if let Some(signal) = collected.interrupted_by() {
        return Ok(Exit::Signal(u8::try_from(signal).unwrap_or(0)));
    }
    if let Some(exit) = gates.check(&comparison) {
        return Ok(exit);
    }
    Ok(ending(&comparison))
}

/// What of the hardening holds in the worker that a pool starts first, once that is there.
fn hardened(pool: &Pool) -> Result<Option<Enforcement>, SubmitError> {
    let patience = Instant::now() + Duration::from_secs(10);
    while pool.enforcement().is_none() && Instant::now() < patience {
        // A pool whose workers do not start says why.
        if pool.health().quarantined > 0 {
            pool.call(Job::new(""))?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(pool.enforcement())
}

impl Args {
    /// The guest, or the one that is always there.
    fn source(&self) -> GuestSource {
        let usual = || GuestSource::Embedded("argon2".to_owned());
        self.guest.named().unwrap_or_else(usual)
    }
}

/// Every file that this comparison reads, but for the baseline, which its own options know.
fn read(args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let mut read = args.given.paths()?;
    match args.source() {
        GuestSource::File(path) => read.push(path),
        GuestSource::Stdin => read.push(PathBuf::from(STDIN)),
        GuestSource::Embedded(_) | GuestSource::Text(_) => {}
    }
    Ok(read)
}

fn selection(args: &Args) -> Result<Selection, Failure> {
    if args.experiments.is_empty() {
        return Ok(Selection::Usual);
    }
    let names = args.experiments.iter().cloned();
    Selection::these(names).map_err(|error| Failure::usage(format!("--experiments: {error}")))
}

fn plan(args: &Args, subject: Subject, selection: &Selection) -> Result<Plan, Failure> {
    let budget = match (args.quick, args.rigorous) {
        (true, _) => Budget::Quick,
        (_, true) => Budget::Rigorous,
        (false, false) => Budget::Default,
    };
    let mut plan = Plan::new(subject, budget, args.seed).select(selection);
    if let Some(time) = args.time_budget {
        let shortest = Plan::SHORTEST;
        if time.duration() < shortest {
            let shortest = TimeSpan::new(shortest);
            return Err(Failure::usage(format!(
                "--time-budget {time}: nothing can be said in less than {shortest}"
            )));
        }
        plan = plan.within(time.duration());
    }
    let rigging = match args.rig {
        Some(per_cent) if !(0.0..=1000.0).contains(&per_cent) => {
            return Err(Failure::usage("--rig: per cent from 0 to 1000"));
        }
        rig => rig.map(|per_cent| Rigging {
            delay: per_cent / 100.0,
        }),
    };
    Ok(plan.rigged(rigging))
}

/// Runs the plan, with a bar; `keep` is called whenever there is more than before.
fn measure(plan: &Plan, mut keep: impl FnMut(&Collected)) -> Result<Collected, Failure> {
    let stop = signals()?;
    let bar = bar();
    let mut warned = false;
    let mut rounds = 0;
    let mut kept = Instant::now();
    let mut failing = false;
    let mut untimed = false;
    let mut short = false;
    let collected = Runner::new(plan, &stop).run(|progress, collected| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000"
        )]
        bar.set_position((progress.done.min(1.0) * 1000.0) as u64);
        bar.set_message(progress.what.clone());
        // The last round may end a little late.
        if progress.done >= 1.15 && !warned {
            warned = true;
            let told = "jobs of this guest are slow: this takes longer than planned (Ctrl-C shows what there is)";
            bar.suspend(|| complain(told));
        }
        if let Some(why) = collected.guest_fails().filter(|_| !failing) {
            failing = true;
            let guest = plan.guest_name();
            let told = match collected.guest_works() {
                true => format!("warning: {guest} fails on some inputs, which are left out: {why}"),
                false => format!("warning: {guest} fails on its first input, so nothing can be said about its jobs: {why}"),
            };
            bar.suspend(|| complain(&told));
        }
        if let Some(why) = collected.untimed().filter(|_| !untimed) {
            untimed = true;
            bar.suspend(|| complain(&format!("warning: nobody knows how long a job takes: {why}")));
        }
        if let Some(warning) = short_time(plan, collected).filter(|_| !short) {
            short = true;
            let remedy = warning.remedy();
            bar.suspend(|| complain(&format!("warning: {warning}; {remedy}")));
        }
        if collected.rounds() != rounds || kept.elapsed() > Duration::from_secs(1) {
            rounds = collected.rounds();
            kept = Instant::now();
            keep(collected);
        }
    });
    bar.finish_and_clear();
    Ok(collected)
}

/// The hidden subcommand: this process is one trial.
pub(crate) fn trial() -> Result<Exit, Failure> {
    Ok(serve_trial())
}

fn inputs(
    given: &InputArgs,
    guest: &Guest,
    limit: cofferdam::ByteSize,
) -> Result<Vec<Vec<u8>>, Failure> {
    let source = given.open(guest.sample().unwrap_or_default(), limit)?;
    let mut inputs = Vec::new();
    let mut bytes = 0;
    for item in source.read(1, limit)? {
        let input = item
            .bytes
            .map_err(|why| Failure::usage(format!("{}: {why}", item.name)))?;
        bytes += input.len();
        inputs.push(input);
        if inputs.len() == MOST_INPUTS || bytes > MOST_INPUT_BYTES {
            complain(&format!(
                "comparing on the first {} inputs; more would not make it better",
                inputs.len()
            ));
            break;
        }
    }
    if inputs.is_empty() {
        return Err(Failure::usage(
            "the input is empty, so there is no job to compare on",
        ));
    }
    Ok(inputs)
}

/// The same words, but for the values of variables and settings: results are passed on, and those may be secrets.
fn without_values(words: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let mut is_pair = false;
    words.map(move |word| {
        let was_pair = std::mem::replace(&mut is_pair, matches!(&*word, "--env" | "--config"));
        let joined = ["--env=", "--config="];
        let (option, pair) = match joined.iter().find_map(|option| word.strip_prefix(option)) {
            Some(pair) => (&word[..word.len() - pair.len()], pair),
            None if was_pair => ("", word.as_str()),
            None => return word,
        };
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        format!("{option}{key}=…")
    })
}

/// The command line that repeats this, fit for a shell.
fn command() -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./@=:,+".contains(c))
    };
    let words = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned());
    let words = without_values(words);
    let words = words.map(|word| match plain(&word) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    });
    std::iter::once("cofferdam".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn bar() -> ProgressBar {
    let target = if stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(1000), target);
    match ProgressStyle::with_template("{bar:30} {elapsed} {wide_msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_not_handed_on() {
        let words = "compare --env A=secret --config=B=secret --input c=d x.wasm -- e=f";
        let told: Vec<String> = without_values(words.split(' ').map(str::to_owned)).collect();
        let expected = "compare --env A=… --config=B=… --input c=d x.wasm -- e=f";
        assert_eq!(told.join(" "), expected);
    }
}
