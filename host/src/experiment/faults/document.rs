//! The page about the catalogue, made from it.

use std::fmt::Write;

use super::entry::{Entry, Proof};
use super::table::CATALOGUE;

/// What stands above the table.
const HEAD: &str = "\
# Faults

What can go wrong, what is made to go wrong, and what must happen then. This page is made from the catalogue in
`src/experiment/faults/table`, by a test that says how.

Each fault is injected by `tests/faults` in process isolation, by every start method and link; in thread isolation where the
host survives it, and else in a host that is there to be lost. `cargo run --release -p cofferdam-benches --bin endure -- inject`
does the same at random for as long as is wanted. What is compared each time: the job's ending, what is lost with it, the next
good job of the same pool, the replies of bystanders, and that no deadline is overrun by a second. Whoever is not named as lost
survives: an instance, where instances are reused; the worker; everybody else's jobs; the host.

Where there are several endings it is a matter of time which of them comes. The twelve faults in bold are those of
`cofferdam compare`.
";

/// The title of a family of faults.
const FAMILIES: [(char, &str); 3] = [
    ('G', "Guests"),
    ('H', "Host code"),
    ('W', "Worker processes"),
];

/// The page, in Markdown.
#[must_use]
pub fn document() -> String {
    let mut page = HEAD.to_owned();
    for (letter, title) in FAMILIES {
        let rows: Vec<String> = CATALOGUE
            .iter()
            .filter(|entry| entry.id.starts_with(letter))
            .map(row)
            .collect();
        let _ = write!(
            page,
            "\n## {title}\n\n\
             | id | fault | how | in a thread | in a process | shown by |\n\
             | --- | --- | --- | --- | --- | --- |\n{}",
            rows.concat()
        );
    }
    page
}

fn row(entry: &Entry) -> String {
    let id = match entry.row {
        Some(_) => format!("**{}**", entry.id),
        None => entry.id.to_owned(),
    };
    let own = match entry.proof {
        Proof::Injected(_) => Some("`tests/faults/main.rs`".to_owned()),
        Proof::Tested | Proof::Open(_) => None,
    };
    let others = entry
        .tests
        .iter()
        .map(|(file, name)| format!("`{file}`: `{name}`"));
    let shown: Vec<String> = own.into_iter().chain(others).collect();
    format!(
        "| {id} | {} | {} | {} | {} | {} |\n",
        entry.title,
        entry.means(),
        entry.thread,
        entry.process,
        shown.join("; ")
    )
}
