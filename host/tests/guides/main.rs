//! The guides of `host/guides`, executed: what a reader is told to type is typed, and what he is told to see has to be seen.
//!
//! How a guide is written:
//!
//! - A block ```` ```console ```` is a session. A line `$ COMMAND` is run by `sh`; lines `> …` below it go on with the
//!   command; all other lines up to the next `$` are what the command says, on either stream, in full.
//! - In such a line `…` stands for any text, and a line `[…]` stands for any lines, one at the least. What differs from
//!   run to run (times, process ids) is left out so. A command of which everything is left out is refused.
//! - A command has to end with code 0, unless the next command is `$ echo $?`, which shows the code.
//! - A block whose head is a language and a name, ```` ```toml cofferdam.toml ````, makes that file.
//! - Blocks of Rust in `embed.md` are doc tests of the library.
//! - Any other block is refused: nobody would run it.
//! - A guide has one empty folder and one shell from its beginning to its end; `cofferdam` is the one under test, and
//!   `benches` is that of the repository. Tables and sentences are not executed.
//!
//! The numbers of `thread-or-process.md` come from records: see [`figures`].

mod console;
mod figures;
mod records;
mod session;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use console::{Rust, steps};
use figures::verify;
use records::Shelf;
use session::{Surroundings, play};

/// The program that the guides are about.
const COFFERDAM: &str = env!("CARGO_BIN_EXE_cofferdam");

fn host() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn repository() -> &'static Path {
    host().parent().expect("the host is a part of something")
}

fn guides() -> PathBuf {
    host().join("guides")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Executes a guide.
#[track_caller]
fn holds(name: &str, rust: Rust) {
    let guide = read(&guides().join(name));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cofferdam-cache");
    let surroundings = Surroundings {
        program: Path::new(COFFERDAM),
        cache: &cache,
        benches: &repository().join("benches"),
    };
    let played = steps(&guide, rust).and_then(|steps| {
        let nothing_to_run = steps.is_empty() && rust == Rust::IsRefused;
        if nothing_to_run {
            return Err("there is nothing to run in it".to_owned());
        }
        play(&steps, &surroundings)
    });
    if let Err(why) = played {
        panic!("{name}, {why}");
    }
}

#[test]
fn the_guide_to_run_holds() {
    holds("run.md", Rust::IsRefused);
}

#[test]
fn the_guide_to_compare_holds() {
    holds("compare.md", Rust::IsRefused);
}

#[test]
fn the_guide_to_writing_a_guest_holds() {
    holds("write-a-guest.md", Rust::IsRefused);
}

#[test]
fn the_guide_to_embedding_holds() {
    holds("embed.md", Rust::IsDocTests);
    let library = read(&host().join("src/lib.rs"));
    let included = r#"#[doc = include_str!("../guides/embed.md")]"#;
    assert!(library.contains(included), "nobody runs its blocks of Rust");
}

/// Those that are executed above, and the page of numbers.
const GUIDES: [&str; 5] = [
    "compare.md",
    "embed.md",
    "run.md",
    "thread-or-process.md",
    "write-a-guest.md",
];

#[test]
fn every_guide_is_executed_and_the_readme_names_it() {
    let entries = fs::read_dir(guides()).expect("there are guides");
    let there: BTreeSet<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, BTreeSet::from(GUIDES.map(ToOwned::to_owned)));
    let readme = read(&repository().join("README.md"));
    for guide in GUIDES {
        assert!(
            readme.contains(&format!("(host/guides/{guide})")),
            "{guide}"
        );
    }
}

#[test]
fn every_link_of_a_guide_leads_somewhere() {
    for guide in GUIDES {
        let text = read(&guides().join(guide));
        for target in text.split("](").skip(1) {
            let target = target.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            let is_there = target.starts_with("https://") || guides().join(file).exists();
            assert!(is_there, "{guide}: {target}");
        }
    }
}

/// What the page calls the records.
const RECORDS: [(&str, &str); 6] = [
    ("intel", "2026-11-28-argon2.json"),
    ("intel goals", "2026-11-28-goals.txt"),
    ("peers", "2026-11-28-peers.json"),
    ("amd", "2026-11-23-argon2-readme.json"),
    ("amd goals", "2026-11-23-goals.txt"),
    ("early", "2026-11-23-argon2-rigorous.json"),
];

fn shelf() -> Shelf {
    let folder = repository().join("benches/records");
    Shelf::read(Path::new(COFFERDAM), &folder, &RECORDS)
}

#[test]
fn every_number_of_thread_or_process_is_what_its_record_shows() {
    let page = read(&guides().join("thread-or-process.md"));
    match verify(&page, &shelf()) {
        Ok(verified) => assert!(verified > 100, "only {verified} numbers"),
        Err(why) => panic!("thread-or-process.md, {why}"),
    }
    for (_, file) in RECORDS {
        assert!(page.contains(file), "it does not say that it uses {file}");
    }
}

#[test]
fn no_digit_of_thread_or_process_can_change_unseen() {
    let page = read(&guides().join("thread-or-process.md"));
    let shelf = shelf();
    let mut changes = 0;
    // A paragraph has its sources within itself.
    for paragraph in page.split("\n\n") {
        assert_eq!(verify(paragraph, &shelf).err(), None, "as it is");
        for at in digits_of_numbers(paragraph) {
            let digit = &paragraph[at..=at];
            let other = if digit == "7" { "8" } else { "7" };
            let changed = format!("{}{other}{}", &paragraph[..at], &paragraph[at + 1..]);
            assert!(verify(&changed, &shelf).is_err(), "{changed}");
            changes += 1;
        }
    }
    assert!(changes > 400, "only {changes} digits");
}

/// The places of the digits that a reader takes for a number's.
fn digits_of_numbers(text: &str) -> Vec<usize> {
    let mut in_comment = false;
    let mut in_name = false;
    let mut places = Vec::new();
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        in_comment = (in_comment || rest.starts_with("<!--")) && !rest.starts_with("-->");
        in_name ^= c == '`' && !in_comment;
        let is_elsewhere = in_comment || in_name || is_in_target(text, at) || is_in_word(text, at);
        if c.is_ascii_digit() && !is_elsewhere {
            places.push(at);
        }
    }
    places
}

/// Whether a place is within the target of a link.
fn is_in_target(page: &str, at: usize) -> bool {
    let before = &page[..at];
    let opened = before.rfind("](");
    opened.is_some_and(|opened| !before[opened..].contains(')'))
}

/// Whether a place is within a word that begins with a letter.
fn is_in_word(page: &str, at: usize) -> bool {
    let before = &page[..at];
    let digits = before.trim_end_matches(|c: char| c.is_ascii_digit());
    digits.ends_with(char::is_alphabetic)
}
