//! `cofferdam report`

use std::path::PathBuf;

use cofferdam::Exit;
use cofferdam::report::{csv, difference, html, markdown, render, render_difference, to_json};

use super::Failure;
use super::common::{ColourArgs, print, width};
use super::exports::{ExportArgs, TrustArg, read_result};

/// Show a result file again, or what differs between two
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A file that `compare --export-json` wrote
    result: PathBuf,
    /// A later one: shows what differs, row by row, with intervals
    after: Option<PathBuf>,

    /// What stdout gets; two files can be shown as text or json
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Whom the guest comes from: gives the advice anew
    #[arg(long, value_enum)]
    trust: Option<TrustArg>,
    #[command(flatten)]
    colour: ColourArgs,
    #[command(flatten)]
    exports: ExportArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
    Markdown,
    Html,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam report result.json
  cofferdam report result.json --report result.html
  cofferdam report --format markdown result.json | xclip
  cofferdam report before.json after.json
  cofferdam report before.json after.json --fail-if 'process.job.p50 > 1.10x'

Nothing is measured: everything is made from the file alone, and the same file
gives the same bytes.

Exit codes: 0 done · 2 usage, or the file is no such result · 101 --fail-if tripped
  125 cofferdam failed · 127 not found";

pub(crate) fn report(args: &Args) -> Result<Exit, Failure> {
    let mut gates = args.exports.gates(args.after.is_some())?;
    let mut result = read_result("the result", &args.result)?;
    if let Some(trust) = args.trust {
        result = result.trusting(trust.into());
    }
    let text = match &args.after {
        None => match args.format {
            Format::Text => render(&result, width(), args.colour.colour()).into_bytes(),
            Format::Json => to_json(&result),
            Format::Csv => csv(&result).into_bytes(),
            Format::Markdown => markdown(&result).into_bytes(),
            Format::Html => html(&result).into_bytes(),
        },
        Some(path) => {
            let after = read_result("the result", path)?;
            let difference = difference(&result, &after);
            // Bounds are for the later one, against the earlier.
            gates = gates.or_against(&result);
            result = after;
            match args.format {
                Format::Text => render_difference(&difference, width()).into_bytes(),
                Format::Json => {
                    let mut bytes = serde_json::to_vec(&difference).map_err(anyhow::Error::from)?;
                    bytes.push(b'\n');
                    bytes
                }
                Format::Csv | Format::Markdown | Format::Html => {
                    return Err(Failure::usage(
                        "--format: what differs between two results is shown as text or json",
                    ));
                }
            }
        }
    };
    if args.after.is_some() && args.exports.any_file() {
        return Err(Failure::usage(
            "files are written of one result, not of two: leave out the second, or the option",
        ));
    }
    args.exports
        .open(std::slice::from_ref(&args.result))?
        .save(&result)?;
    print(&text)?;
    Ok(gates.check(&result).unwrap_or(Exit::Done))
}
