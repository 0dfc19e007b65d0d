//! `cofferdam inspect`

use std::fs;
use std::io::{Write, stdout};

use cofferdam::{Anatomy, ByteSize, Exit, Guest, GuestSource, LoadError};

use super::Failure;

/// Show what a module is, what it wants and what it offers, and whether it can be run
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 it is a guest · 126 it is not · 127 not found")]
pub(crate) struct Args {
    /// A .wasm or .wat file, `-` for standard input, or @name
    guest: GuestSource,
    /// text, or one JSON object
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn inspect(args: &Args) -> Result<Exit, Failure> {
    let guest = match Guest::load(&args.guest) {
        Ok(guest) => guest,
        Err(LoadError::NotAGuest { name, error }) => {
            // A module of another world is still worth a look; other files are not.
            if let GuestSource::File(path) = &args.guest
                && let Ok(bytes) = fs::read(path)
                && let Ok(anatomy) = Anatomy::of_bytes(&bytes)
            {
                show(args, &name, None, &anatomy, Some(&error.to_string()))?;
                return Ok(Exit::CannotRun);
            }
            return Err(LoadError::NotAGuest { name, error }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let anatomy =
        Anatomy::of_bytes(guest.wasm()).map_err(|error| Failure::new(Exit::CannotRun, error))?;
    show(args, guest.name(), Some(&guest), &anatomy, None)?;
    Ok(Exit::Done)
}

fn show(
    args: &Args,
    name: &str,
    guest: Option<&Guest>,
    anatomy: &Anatomy,
    misfit: Option<&str>,
) -> Result<(), Failure> {
    let mut out = stdout().lock();
    if let Format::Json = args.format {
        let object = serde_json::json!({
            "name": name,
            "kind": if misfit.is_none() { "interface-1" } else { "core-module" },
            "runs": misfit.is_none(),
            "why_not": misfit,
            "bytes": guest.map(|guest| guest.wasm().len()),
            "sha256": guest.map(Guest::sha256),
            "anatomy": anatomy,
        });
        writeln!(out, "{object:#}")?;
        return Ok(());
    }
    writeln!(out, "{name}")?;
    match misfit {
        None => writeln!(out, "  kind       a guest of interface 1")?,
        Some(why) => writeln!(out, "  kind       a core module, not a guest: {why}")?,
    }
    if let Some(guest) = guest {
        writeln!(
            out,
            "  size       {}",
            ByteSize::from_bytes(guest.wasm().len() as u64)
        )?;
        writeln!(out, "  sha256     {}", guest.sha256())?;
    }
    writeln!(
        out,
        "  functions  {}{}",
        anatomy.functions,
        if anatomy.start {
            ", one of them runs at the start"
        } else {
            ""
        }
    )?;
    for memory in &anatomy.memories {
        let size = |pages: u64| ByteSize::from_bytes(pages.saturating_mul(65536));
        let most = memory
            .maximum_pages
            .map_or("no maximum of its own".to_owned(), |pages| {
                format!("at most {}", size(pages))
            });
        writeln!(
            out,
            "  memory     {} to begin with, {most}",
            size(memory.minimum_pages)
        )?;
    }
    for (title, externs) in [("imports", &anatomy.imports), ("exports", &anatomy.exports)] {
        for (row, item) in externs.iter().enumerate() {
            writeln!(out, "  {:<10} {item}", if row == 0 { title } else { "" })?;
        }
    }
    for (row, (section, bytes)) in anatomy.sections.iter().enumerate() {
        let title = if row == 0 { "sections" } else { "" };
        writeln!(
            out,
            "  {title:<10} {section}: {}",
            ByteSize::from_bytes(*bytes as u64)
        )?;
    }
    if misfit.is_none() {
        writeln!(
            out,
            "  granted    its imports of module cofferdam, and nothing else: no files, no network, no environment"
        )?;
    }
    Ok(())
}
