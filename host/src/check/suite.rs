//! A guest with its cases.

use super::Case;
use crate::guest::Guest;
use crate::pool::Surroundings;

/// The manifest that is looked for where none is named.
pub const MANIFEST: &str = "cofferdam.toml";
/// The folder of cases that is looked for where none is named.
pub const FOLDER: &str = "cases";

/// A guest with its cases, and what it is told beside their inputs.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The guest.
    pub guest: Guest,
    /// Its cases, in the order in which they were written.
    pub cases: Vec<Case>,
    /// What it finds around it.
    pub surroundings: Surroundings,
    /// Words after `cofferdam check` that name this suite, for commands that look again.
    pub named: Vec<String>,
    /// What makes the guest's random bytes and clock reproducible, if anything does.
    pub seed: Option<u64>,
}

impl Suite {
    /// `cofferdam check` of this suite, with these options.
    pub(super) fn again(&self, options: &[&str]) -> String {
        let words = ["cofferdam", "check"]
            .into_iter()
            .chain(options.iter().copied());
        let words = words.chain(self.named.iter().map(String::as_str));
        words.map(typed).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell takes it.
fn typed(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./@=:,+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
