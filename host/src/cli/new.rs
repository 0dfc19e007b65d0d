//! `cofferdam new`

mod language;
mod name;

use std::fs;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use cofferdam::Exit;

use super::Failure;
use language::Language;
use name::Name;

/// Make a guest project that builds and passes `check`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder to make; its last part is the project's name
    #[arg(required_unless_present = "list")]
    name: Option<PathBuf>,
    /// What the guest is written in
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value = "rust")]
    lang: Language,
    /// Show the languages and what each takes to build, and make nothing
    #[arg(long, conflicts_with = "name")]
    list: bool,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam new shout                 a guest in Rust, in the folder shout
  cofferdam new --lang c plugins/sum  a guest in C
  cofferdam new --list                what there is, and what it takes

The folder must be new or empty (a .git may be in it). Its README.md says how the
guest is built, and its cofferdam.toml what the guest is to do.

Exit codes: 0 done · 2 no such name, or there is something · 125 cannot be written";

pub(crate) fn new(args: &Args) -> Result<Exit, Failure> {
    let mut out = stdout().lock();
    let folder = match &args.name {
        Some(folder) if !args.list => folder,
        _ => {
            for language in Language::ALL {
                writeln!(out, "{:<15} {}", language.word(), language.takes())?;
            }
            return Ok(Exit::Done);
        }
    };
    let name = Name::of(folder).map_err(Failure::usage)?;
    must_be_vacant(folder)?;
    let files = args.lang.files(&name);
    for (path, text) in &files {
        write_anew(&folder.join(path), text)?;
    }
    writeln!(
        out,
        "{} is made, in {}. Next:\n",
        folder.display(),
        args.lang.word()
    )?;
    writeln!(out, "  cd {}", typed(folder))?;
    for command in args.lang.build(&name) {
        writeln!(out, "  {command}")?;
    }
    writeln!(out, "  cofferdam check\n")?;
    writeln!(out, "To build it takes: {}", args.lang.takes())?;
    Ok(Exit::Done)
}

/// Refuses a place where there is something already. A repository that was made ahead is nothing yet.
fn must_be_vacant(folder: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Failure::usage(format!(
                "{} is there, and is no folder: give another name",
                folder.display()
            )));
        }
        Err(error) => return Err(Failure::input("new:", folder, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| Failure::input("new:", folder, &error))?;
        if entry.file_name() != ".git" {
            return Err(Failure::usage(format!(
                "{} is there, and is not empty ({} is in it): give another name, or empty it",
                folder.display(),
                entry.file_name().display()
            )));
        }
    }
    Ok(())
}

/// Writes a file that must not be there yet, and the folders above it.
fn write_anew(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::File::create_new(path)?.write_all(text.as_bytes())
    };
    write().map_err(|error| {
        let told = anyhow::anyhow!("cannot write {}: {error}", path.display());
        Failure::new(Exit::Internal, told)
    })
}

/// A path as a shell takes it for one word.
fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    match text.chars().all(is_plain) && !text.starts_with('-') {
        true => text,
        false => format!("-- '{}'", text.replace('\'', r"'\''")),
    }
}
