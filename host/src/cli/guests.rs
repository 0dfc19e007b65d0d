//! `cofferdam guests`

use std::io::{Write, stdout};

use cofferdam::{EMBEDDED, Exit, Guest};

use super::Failure;

/// List the guests that are built in
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also show the size and the SHA-256 digest of each module
    #[arg(long)]
    long: bool,
}

pub(crate) fn guests(args: &Args) -> Result<Exit, Failure> {
    let mut out = stdout().lock();
    for (title, misbehaves) in [
        ("Guests that work:", false),
        ("Guests that misbehave:", true),
    ] {
        writeln!(out, "{title}")?;
        for guest in EMBEDDED
            .iter()
            .filter(|guest| guest.misbehaves == misbehaves)
        {
            writeln!(out, "  @{:<8} {}", guest.name, guest.summary)?;
            if args.long {
                let module = Guest::embedded(guest.name)?;
                writeln!(
                    out,
                    "            {} bytes, sha256 {}",
                    module.wasm().len(),
                    module.sha256()
                )?;
            }
        }
    }
    Ok(Exit::Done)
}
