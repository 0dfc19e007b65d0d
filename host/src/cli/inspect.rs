//! `cofferdam inspect`

use std::fs;
use std::io::{Write, stdout};

use cofferdam::{Anatomy, ByteSize, Entry, Exit, Extern, Guest, GuestSource, LoadError, printable};

use super::Failure;
use super::guest::GuestArgs;

/// Show what a module is, what it wants and what it offers, and whether it can be run
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    guest: GuestArgs,
    /// text, or one JSON object
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam inspect @argon2
  cofferdam inspect tool.wasm                 a WASI command?
  cofferdam inspect --invoke add math.wasm    can it be called so?

Exit codes: 0 it can be run · 126 it cannot · 127 not found";

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What is shown.
struct Finding<'a> {
    name: &'a str,
    anatomy: &'a Anatomy,
    /// The guest, or why it is none.
    guest: Result<&'a Guest, String>,
}

pub(crate) fn inspect(args: &Args) -> Result<Exit, Failure> {
    let source = args.guest.source()?;
    let guest = match Guest::load_with(&source, args.guest.entry()) {
        Ok(guest) => guest,
        Err(LoadError::NotAGuest { name, error }) => {
            // A module of another world is still worth a look; other files are not.
            let bytes = match source {
                GuestSource::File(path) => fs::read(path).ok(),
                GuestSource::Text(text) => Some(text.into_bytes()),
                GuestSource::Stdin | GuestSource::Embedded(_) => None,
            };
            let Some(anatomy) = bytes.and_then(|bytes| Anatomy::of_bytes(&bytes).ok()) else {
                return Err(LoadError::NotAGuest { name, error }.into());
            };
            let finding = Finding {
                name: &name,
                anatomy: &anatomy,
                guest: Err(error.to_string()),
            };
            finding.show(args.format)?;
            return Ok(Exit::CannotRun);
        }
        Err(error) => return Err(error.into()),
    };
    let anatomy =
        Anatomy::of_bytes(guest.wasm()).map_err(|error| Failure::new(Exit::CannotRun, error))?;
    let finding = Finding {
        name: guest.name(),
        anatomy: &anatomy,
        guest: Ok(&guest),
    };
    finding.show(args.format)?;
    Ok(Exit::Done)
}

/// The kind in one word.
fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::Handle => "interface-1",
        Entry::Start => "wasi-command",
        Entry::Run => "component-command",
        Entry::Worker => "component-worker",
        Entry::Function { .. } => "function",
        Entry::Packed(_) => "packed-u64",
        Entry::Extism { .. } => "extism-plugin",
        _ => "other",
    }
}

/// What shows that it is of that kind.
fn why(entry: &Entry) -> &'static str {
    match entry {
        Entry::Handle => "it exports the marker cofferdam_abi_1",
        Entry::Start => "it exports _start and asks for nothing but WASI",
        Entry::Run => "it exports wasi:cli/run",
        Entry::Worker => "it exports the function handle",
        Entry::Function { .. } => "--invoke names it",
        Entry::Packed(_) => "--packed names it",
        Entry::Extism { .. } => "it imports Extism's functions, or --call names it",
        _ => "",
    }
}

/// What a guest of this kind may do beside computing.
fn granted(entry: &Entry) -> &'static str {
    match entry {
        Entry::Handle => {
            "its imports of module cofferdam, and nothing else: no files, no network, no environment"
        }
        Entry::Start | Entry::Run => {
            "standard streams, clocks, random bytes; arguments, variables and folders (--dir) that are given to it; no other files, no network"
        }
        Entry::Worker => {
            "messages, lines for the log, clocks, random bytes; variables and folders (--dir) that are given to it; no other files, no network"
        }
        Entry::Extism { .. } => {
            "its input, output, variables and log; the settings that are given to it; what WASI offers, with the folders (--dir) that are given to it; what it fetches from the hosts (--allow-host) that are given to it; no other files, no other network"
        }
        _ => {
            "clocks, random bytes, lines for the log; variables and folders (--dir) that are given to it; no other files, no network"
        }
    }
}

impl Finding<'_> {
    /// Who answers when this is called; `None` where nobody will call it.
    fn served(&self, import: &Extern) -> Option<&'static str> {
        let guest = self.guest.as_ref().ok()?;
        Some(guest.entry().serves(import))
    }

    /// What may surprise whoever wrote it.
    fn warnings(&self) -> Vec<String> {
        let anatomy = self.anatomy;
        let mut warnings = Vec::new();
        let exports = |name: &str| anatomy.exports.iter().any(|export| export.name == name);
        if anatomy
            .memories
            .iter()
            .any(|memory| memory.maximum_pages.is_none())
        {
            warnings
                .push("its memory has no maximum of its own: only --memory bounds it".to_owned());
        }
        let entry = self.guest.as_ref().ok().map(|guest| guest.entry());
        if entry.is_some_and(|entry| *entry != Entry::Start) && exports("_start") {
            warnings.push("it exports _start too, which is not called".to_owned());
        }
        if entry == Some(&Entry::Start) && exports("_initialize") {
            warnings
                .push("it exports _initialize too, which is not called in a command".to_owned());
        }
        let debug: usize = anatomy
            .sections
            .iter()
            .filter(|(name, _)| name.starts_with("custom .debug"))
            .map(|(_, bytes)| bytes)
            .sum();
        if debug > 0 {
            warnings.push(format!(
                "{} of it are debug information, which nobody reads here",
                ByteSize::from_bytes(debug as u64)
            ));
        }
        warnings
    }

    fn show(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Text => self.show_text(),
            Format::Json => self.show_json(),
        }
    }

    fn show_json(&self) -> Result<(), Failure> {
        let guest = self.guest.as_ref().ok();
        let object = serde_json::json!({
            "name": self.name,
            "kind": guest.map_or(if self.anatomy.component { "component" } else { "core-module" }, |guest| kind(guest.entry())),
            "why": guest.map(|guest| why(guest.entry())),
            "runs": guest.is_some(),
            "why_not": self.guest.as_ref().err(),
            "entry": guest.map(|guest| guest.entry()),
            "bytes": guest.map(|guest| guest.wasm().len()),
            "sha256": guest.map(|guest| guest.sha256()),
            "granted": guest.map(|guest| granted(guest.entry())),
            "warnings": self.warnings(),
            "imports_served_by": self.anatomy.imports.iter().map(|import| self.served(import)).collect::<Vec<_>>(),
            "anatomy": self.anatomy,
        });
        writeln!(stdout().lock(), "{object:#}")?;
        Ok(())
    }

    fn show_text(&self) -> Result<(), Failure> {
        let anatomy = self.anatomy;
        let mut out = stdout().lock();
        writeln!(out, "{}", self.name)?;
        let mut row = |title: &str, text: &str| writeln!(out, "  {title:<10} {text}");
        match &self.guest {
            Ok(guest) => {
                let entry = guest.entry();
                row("kind", &format!("{entry}: {}", why(entry)))?;
                let size = ByteSize::from_bytes(guest.wasm().len() as u64);
                row("size", &size.to_string())?;
                row("sha256", &guest.sha256())?;
            }
            Err(why) => row(
                "kind",
                &format!(
                    "{}, not a guest: {why}",
                    if anatomy.component {
                        "a component"
                    } else {
                        "a core module"
                    }
                ),
            )?,
        }
        if let Some(name) = &anatomy.name {
            row("name", &printable(name))?;
        }
        for (place, producer) in anatomy.producers.iter().enumerate() {
            row(
                if place == 0 { "made by" } else { "" },
                &printable(producer),
            )?;
        }
        let at_the_start = match anatomy.start {
            true => ", one of them runs at the start",
            false => "",
        };
        row("functions", &format!("{}{at_the_start}", anatomy.functions))?;
        if anatomy.managed {
            row(
                "engine",
                "with a garbage collector, for its types, references or exceptions",
            )?;
        }
        for memory in &anatomy.memories {
            let size = |pages: u64| ByteSize::from_bytes(pages.saturating_mul(65536));
            let most = memory
                .maximum_pages
                .map_or("no maximum of its own".to_owned(), |pages| {
                    format!("at most {}", size(pages))
                });
            let text = format!("{} to begin with, {most}", size(memory.minimum_pages));
            row("memory", &text)?;
        }
        for (place, import) in anatomy.imports.iter().enumerate() {
            let served = self.served(import).map(|by| format!(" ← {by}"));
            let text = format!("{import}{}", served.unwrap_or_default());
            row(if place == 0 { "imports" } else { "" }, &text)?;
        }
        for (place, export) in anatomy.exports.iter().enumerate() {
            row(if place == 0 { "exports" } else { "" }, &export.to_string())?;
        }
        for (place, (section, bytes)) in anatomy.sections.iter().enumerate() {
            let text = format!("{section}: {}", ByteSize::from_bytes(*bytes as u64));
            row(if place == 0 { "sections" } else { "" }, &text)?;
        }
        if let Ok(guest) = &self.guest {
            row("granted", granted(guest.entry()))?;
        }
        for warning in self.warnings() {
            row("warning", &warning)?;
        }
        Ok(())
    }
}
