//! What was typed, and what to do about it. The only place that knows clap.

mod check;
mod common;
mod compare;
mod completions;
mod doctor;
mod exports;
mod failure;
mod guest;
mod guests;
mod input;
mod inspect;
mod log;
mod man;
mod new;
mod report;
mod run;
mod signals;

use clap::{Parser, Subcommand};
use cofferdam::Exit;

use failure::Failure;

/// Runs guest WebAssembly modules in threads or in processes, and measures what each isolation costs
/// and what it saves you from.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log on stderr what becomes of workers
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "LEVEL",
        default_value = "off",
        help_heading = "Log"
    )]
    log: log::LevelArg,
    /// As text, or as one JSON object a line
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Log"
    )]
    log_format: log::FormatArg,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam compare                              hash passwords, both ways
  cofferdam compare --lines data.txt guest.wasm  your guest, your data
  cofferdam run --input hello @sha256            one job
  cofferdam run --workers 4 --lines - @argon2    a job a line of standard input
  cofferdam compare --report out.html @blur      the same as a web page
  cofferdam run --env LANG=C tool.wasm -- -v     a WASI command
  cofferdam check plugin.wasm                    do its cases hold, everywhere?
  cofferdam new --lang c plugin                  a guest of your own, to begin with
  cofferdam inspect guest.wasm                   is it a guest?
  cofferdam doctor                               is this machine quiet?

Exit codes:
  0 done · 1 some job failed · 2 usage · 4 no case was selected
  100 check found something · 101 --fail-if tripped · 124 deadline
  125 cofferdam failed · 126 the guest cannot be run · 127 not found · 134 trap
  128+n a worker died of signal n, or cofferdam was stopped by signal n";

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Compare(Box<compare::Args>),
    Check(Box<check::Args>),
    Report(Box<report::Args>),
    New(new::Args),
    Inspect(inspect::Args),
    Guests(guests::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(name = "__trial", hide = true)]
    Trial,
}

/// Runs the program, and tells how it ended.
pub(crate) fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, and are no errors.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    log::begin(cli.log, cli.log_format);
    let result = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Compare(args) => compare::compare(&args),
        Command::Check(args) => check::check(&args),
        Command::Report(args) => report::report(&args),
        Command::New(args) => new::new(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Guests(args) => guests::guests(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => man::man(&args),
        Command::Trial => compare::trial(),
    };
    match result {
        Ok(exit) => exit,
        // Whoever read our output has enough of it: `cofferdam guests | head -1`.
        Err(failure) if failure.is_closed_pipe() => Exit::Done,
        Err(failure) => {
            common::complain(&format!("error: {failure}"));
            failure.exit
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
