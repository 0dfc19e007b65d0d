//! `cofferdam compare`

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::time::Instant;

use cofferdam::experiment::{Budget, Plan, Runner, Subject, serve_trial};
use cofferdam::machine::Machine;
use cofferdam::report::{Comparison, ResultFile, analyse, render};
use cofferdam::{Exit, Guest, GuestSource, Isolation, Pool, TimeSpan};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;
use super::common::{CacheArgs, InstanceArg, LimitArgs, STDIN_TWICE, complain};
use super::input::InputArgs;
use super::signals::signals;

/// Do the same work in both isolations, side by side, and say what each costs and saves
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A .wasm or .wat file, `-` for standard input, or @name
    #[arg(default_value = "@argon2")]
    guest: GuestSource,

    /// 15 seconds: a look, with wide intervals (slow jobs take longer)
    #[arg(long, conflicts_with = "rigorous")]
    quick: bool,
    /// Up to 10 minutes: narrow intervals, to be cited
    #[arg(long)]
    rigorous: bool,
    /// Decides the order of the trials and the guest's random bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Whether a job finds what the job before it left behind
    #[arg(long, value_enum, default_value = "fresh")]
    instance: InstanceArg,

    #[command(flatten)]
    given: InputArgs,
    /// Also write the result, with all samples, to this file; it is saved after each trial
    #[arg(long, value_name = "FILE", help_heading = "Input and output")]
    export_json: Option<PathBuf>,

    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam compare                              hash passwords, within a minute
  cofferdam compare --quick @echo                a guest that does next to nothing
  cofferdam compare --lines data.txt guest.wasm  your data, a line a job
  cofferdam compare --rigorous --export-json result.json @blur

A ratio is process ÷ thread. A verdict needs its 95 % interval to lie outside of
what the machine shows for two arms that are the same, and outside of 5 %.
Ctrl-C stops, and shows what there is.

Exit codes: 0 done · 1 a trial failed, or the guest fails on its first input
  2 usage · 125 cofferdam failed · 126 the guest cannot be run · 127 not found
  130 stopped by Ctrl-C";

/// More inputs make no better comparison, and each trial is handed all of them.
const MOST_INPUTS: usize = 256;
/// The same, in bytes.
const MOST_INPUT_BYTES: usize = 64 << 20;

pub(crate) fn compare(args: &Args) -> Result<Exit, Failure> {
    let guest = Guest::load(&args.guest)?;
    let limits = args.limits.limits()?;
    if args.guest == GuestSource::Stdin && args.given.wants_stdin() {
        return Err(Failure::usage(STDIN_TWICE));
    }
    let inputs = inputs(&args.given, &guest, limits.input)?;
    let file = match &args.export_json {
        None => None,
        Some(path) => {
            let failed = |error| anyhow::anyhow!("--export-json {}: {error}", path.display());
            Some((path, ResultFile::open(path).map_err(failed)?))
        }
    };
    // Compiled here, for each isolation: a module that does not compile is told as such, and no trial
    // has to do it again.
    let mut trouble = None;
    for isolation in [Isolation::Thread, Isolation::Process] {
        let builder = Pool::builder(guest.clone())
            .isolation(isolation)
            .limits(limits);
        let pool = builder.cache(args.cache.cache()).build()?;
        trouble = pool.cache_trouble().map(str::to_owned).or(trouble);
    }
    if let Some(trouble) = trouble {
        complain(&format!("warning: {trouble}"));
    }
    let budget = match (args.quick, args.rigorous) {
        (true, _) => Budget::Quick,
        (_, true) => Budget::Rigorous,
        (false, false) => Budget::Default,
    };
    let subject = Subject {
        guest,
        inputs,
        limits,
        instance: args.instance.into(),
        cache: args.cache.cache(),
    };
    let plan = Plan::new(subject, budget, args.seed);

    let machine = Machine::here();
    let command = command();
    let stop = signals()?;
    let bar = bar();
    let started = Instant::now();
    let mut trouble = None;
    let mut warned = false;
    let collected = Runner::new(&plan, &stop).run(|progress, collected| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000"
        )]
        bar.set_position((progress.done * 1000.0) as u64);
        bar.set_message(progress.what.clone());
        if let Some(least) = plan.overrun(collected).filter(|_| !warned) {
            warned = true;
            let least = TimeSpan::new(least);
            bar.suspend(|| complain(&format!("jobs of this guest are slow: this takes {least} at the least (Ctrl-C shows what there is)")));
        }
        if let Some((_, file)) = &file {
            let partial = Comparison {
                complete: false,
                ..analyse(&plan, collected, &machine, &command, started.elapsed())
            };
            trouble = file.save(&partial).err();
        }
    });
    bar.finish_and_clear();
    let collected = collected.map_err(|why| {
        let guest = plan.guest_name();
        Failure::new(
            Exit::JobFailed,
            anyhow::anyhow!(
                "{guest} fails on its first input, so there is nothing to compare: {why}"
            ),
        )
    })?;
    let comparison = analyse(&plan, &collected, &machine, &command, started.elapsed());
    stdout().write_all(render(&comparison, width()).as_bytes())?;
    if let Some((path, file)) = &file {
        trouble = file.save(&comparison).err();
        if let Some(error) = trouble {
            return Err(anyhow::anyhow!("--export-json {}: {error}", path.display()).into());
        }
    }
    if let Some(signal) = collected.interrupted_by() {
        return Ok(Exit::Signal(u8::try_from(signal).unwrap_or(0)));
    }
    Ok(if comparison.failures.is_empty() {
        Exit::Done
    } else {
        Exit::JobFailed
    })
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

/// The terminal's width, from 80 to 120 columns; 80 where there is none.
fn width() -> u16 {
    let columns = rustix::termios::tcgetwinsize(stdout()).map_or(80, |size| size.ws_col);
    columns.clamp(80, 120)
}
