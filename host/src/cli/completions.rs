//! `cofferdam completions`

use std::io::{Write, stdout};

use clap::{Command, CommandFactory};
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
    // The generators show hidden commands too, unless there are none.
    let typed = Cli::command();
    let visible = typed
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let mut shown = Command::new("cofferdam")
        .version(env!("CARGO_PKG_VERSION"))
        .args(typed.get_arguments().cloned())
        .subcommands(visible.cloned());
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown, "cofferdam", &mut script);
    stdout().write_all(&script)?;
    Ok(Exit::Done)
}
