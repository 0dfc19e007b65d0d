//! `cofferdam man`

use std::io::{Write, stdout};

use clap::CommandFactory;
use clap_mangen::Man;
use cofferdam::Exit;

use super::{Cli, Failure};

/// Print the manual page, of cofferdam or of one of its commands
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cofferdam man run | man -l -")]
pub(crate) struct Args {
    /// A command, such as run
    command: Option<String>,
}

pub(crate) fn man(args: &Args) -> Result<Exit, Failure> {
    let mut whole = Cli::command();
    whole.build();
    let page = match &args.command {
        None => whole,
        Some(name) => {
            let visible = whole
                .get_subcommands()
                .filter(|command| !command.is_hide_set());
            let known: Vec<_> = visible
                .map(|command| command.get_name().to_owned())
                .collect();
            let found = whole
                .find_subcommand(name)
                .filter(|command| !command.is_hide_set());
            let found = found.ok_or_else(|| {
                Failure::usage(format!("no command {name}: there are {}", known.join(", ")))
            })?;
            found.clone()
        }
    };
    let mut text = Vec::new();
    let title = args
        .command
        .as_ref()
        .map_or("cofferdam".to_owned(), |name| format!("cofferdam-{name}"));
    Man::new(page).title(title).render(&mut text)?;
    stdout().write_all(&text)?;
    Ok(Exit::Done)
}
