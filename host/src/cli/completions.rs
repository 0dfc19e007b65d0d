//! `cofferdam completions`

use std::io::{Write, stdout};

use clap::CommandFactory;
use clap_complete::Shell;
use cofferdam::Exit;

use super::{Cli, Failure};

/// Print a completion script for your shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  cofferdam completions bash > ~/.local/share/bash-completion/completions/cofferdam"
)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(args: &Args) -> Result<Exit, Failure> {
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cofferdam", &mut script);
    stdout().write_all(&script)?;
    Ok(Exit::Done)
}
