//! `cofferdam doctor`

use std::io::{IsTerminal, Write, stderr, stdout};

use cofferdam::Exit;
use cofferdam::doctor::{examine, render};
use indicatif::{ProgressBar, ProgressDrawTarget};

use super::Failure;
use super::common::width;

/// Say how noisy this machine is and what to do about it, and which isolation features it has
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// text, or one JSON object
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam doctor                before you believe what compare says
  cofferdam doctor --format json  for a script, or to be kept beside a result

It takes about two seconds, in which it uses all CPUs, and changes nothing.

Exit codes: 0 done, whatever was found · 2 usage · 125 cofferdam failed";

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn doctor(args: &Args) -> Result<Exit, Failure> {
    let spinner = spinner();
    let report = examine(|what| {
        spinner.set_message(what.to_owned());
        spinner.tick();
    });
    spinner.finish_and_clear();
    let mut out = stdout().lock();
    match args.format {
        Format::Text => out.write_all(render(&report, width()).as_bytes())?,
        Format::Json => {
            let object = serde_json::to_value(&report).map_err(anyhow::Error::from)?;
            writeln!(out, "{object:#}")?;
        }
    }
    Ok(Exit::Done)
}

/// Turns between the measurements only: a thread that turned it would be part of the noise.
fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.set_draw_target(if stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    });
    spinner
}
