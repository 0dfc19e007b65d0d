//! `goals`: the goals of speed, measured, in one table.
//!
//! Each goal is a ratio of arms that take turns, or a time; `benches/METHODOLOGY.md` says what the arms
//! are. The exit code does not depend on what is met: a wrong reply or a dead worker fails the command,
//! a slow machine does not.

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use cofferdam::machine::Machine;
use cofferdam_benches::Failure;
use cofferdam_benches::goals::{
    Effort, Finding, GOALS, Goal, Setting, Style, Usual, details, doubts, header, hold, placed,
    record, table,
};

/// Measure the goals of speed, and say which are met
#[derive(Debug, Parser)]
#[command(name = "goals")]
struct Args {
    /// Only these, separated by commas: P4,P5; `growth` is measured only so
    #[arg(long, value_name = "IDS", value_delimiter = ',', ignore_case = true, value_parser = GOALS.map(|goal| goal.id))]
    only: Vec<String>,
    /// Six rounds: enough to see that everything works, not to cite
    #[arg(long)]
    quick: bool,
    /// Rounds of each goal, in place of its own number
    #[arg(long, value_name = "N", conflicts_with = "quick", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Decides the order of the arms
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the times of every round to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the table for a document
    #[arg(long)]
    markdown: bool,
    /// Say what would be measured, and stop
    #[arg(long)]
    list: bool,
    /// Hold some workers, and tell what that takes
    #[arg(long, value_name = "ISOLATION:WORKERS", hide = true)]
    hold: Option<String>,
    /// Measure the arms of P5 in one placement, and tell the times
    #[arg(long, value_name = "PLACEMENT", hide = true)]
    placed: Option<String>,
}

fn main() -> ExitCode {
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(stderr(), "goals: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    if let Some(what) = &args.hold {
        writeln!(stdout(), "{}", hold(what)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(placement) = &args.placed {
        let times = placed(placement, &setting(args, &|_, _| ()))?;
        writeln!(stdout(), "{times}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = chosen(&args.only);
    if args.list {
        for goal in chosen {
            writeln!(stdout(), "{:<6} {}", goal.id, goal.title)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let machine = Machine::here();
    let measured: Vec<_> = chosen
        .into_iter()
        .map(|goal| (goal, measured(&goal, args)))
        .collect();
    let goals: Vec<_> = measured
        .iter()
        .map(|(goal, result)| (*goal, result.as_ref()))
        .collect();
    print(args, &machine, &goals)?;
    if let Some(path) = &args.json {
        let record = record(&machine, &setting(args, &|_, _| ()), &goals);
        let text = format!("{record:#}\n");
        std::fs::write(path, text)
            .map_err(|error| format!("--json {}: {error}", path.display()))?;
    }
    let all_ran = goals.iter().all(|(_, result)| result.is_ok());
    Ok(if all_ran {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(only: &[String]) -> Vec<Goal> {
    let is_named = |goal: &Goal| only.iter().any(|id| id.eq_ignore_ascii_case(goal.id));
    let is_usual = |goal: &Goal| only.is_empty() && goal.usual == Usual::Always;
    let chosen = GOALS.into_iter();
    chosen
        .filter(|goal| is_named(goal) || is_usual(goal))
        .collect()
}

fn setting<'a>(args: &Args, progress: &'a dyn Fn(usize, usize)) -> Setting<'a> {
    let effort = match args.rounds {
        Some(rounds) => Effort::Rounds(rounds as usize),
        None if args.quick => Effort::Quick,
        None => Effort::Full,
    };
    Setting {
        effort,
        seed: args.seed,
        progress,
    }
}

/// How often the line of progress is drawn again. It must not cost the arms their CPU.
const REDRAW: Duration = Duration::from_millis(500);

fn measured(goal: &Goal, args: &Args) -> Result<Finding, Failure> {
    let start = Instant::now();
    let drawn = Cell::new(None::<Instant>);
    let progress = |done: usize, of: usize| {
        if stderr().is_terminal() && drawn.get().is_none_or(|last| last.elapsed() > REDRAW) {
            drawn.set(Some(Instant::now()));
            let _ = write!(
                stderr(),
                "\r{:<6} {}: {done} of {of}\x1b[K",
                goal.id,
                goal.title
            );
        }
    };
    let result = (goal.measure)(&setting(args, &progress));
    let end = if result.is_ok() { "done" } else { "FAILED" };
    let clear = if stderr().is_terminal() {
        "\r\x1b[K"
    } else {
        ""
    };
    let seconds = start.elapsed().as_secs_f64();
    let _ = writeln!(
        stderr(),
        "{clear}{:<6} {}: {end} ({seconds:.1} s)",
        goal.id,
        goal.title
    );
    result
}

fn print(
    args: &Args,
    machine: &Machine,
    goals: &[(Goal, Result<&Finding, &Failure>)],
) -> std::io::Result<()> {
    let mut out = stdout().lock();
    let (style, fence) = if args.markdown {
        (Style::Markdown, "```\n")
    } else {
        (Style::Plain, "")
    };
    let (header, table, details) = (header(machine), table(goals, style), details(goals));
    write!(out, "{fence}{header}{fence}\n{table}")?;
    if let Some(doubts) = doubts(goals) {
        write!(out, "\n{doubts}")?;
    }
    if args.markdown {
        write!(out, "\n```{details}```\n")
    } else {
        write!(out, "{details}")
    }
}
