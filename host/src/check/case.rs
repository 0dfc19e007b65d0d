//! One input, and what is to come of it.

use std::path::PathBuf;

use regex::Regex;
use serde_json::Value;

use super::seen::{Seen, difference, shown};
use crate::job::{Limits, Outcome};

/// One input, and what is to come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in every message about it.
    pub name: String,
    /// What the guest is given.
    pub input: Vec<u8>,
    /// Messages that are posted to it before it runs.
    pub messages: Vec<Vec<u8>>,
    /// What it may use.
    pub limits: Limits,
    /// Whether its limits may decide what it comes to: then it runs under no others.
    pub depends_on_limits: bool,
    /// What is to come of it.
    pub expected: Expected,
    /// Where it was written.
    pub origin: Origin,
}

/// Where a case was written, so that it can be written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a manifest, in this place among its cases.
    Manifest(usize),
    /// In a folder: the file with the output that is expected, whether or not it is there.
    Folder(PathBuf),
    /// In a program.
    Program,
}

/// What is to come of a case. What is not said may be anything, as long as it is the same everywhere.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The name of the outcome, as [`Outcome::name`] spells it.
    pub outcome: Option<String>,
    /// The code with which the guest refuses or exits.
    pub code: Option<i32>,
    /// What is in the reason that it gives.
    pub reason: Option<String>,
    /// What holds of the output.
    pub output: Rule,
    /// What it posts to the host, in order.
    pub posts: Option<Vec<Vec<u8>>>,
}

/// What holds of an output.
#[derive(Clone, Debug, Default)]
pub enum Rule {
    /// Nothing.
    #[default]
    Any,
    /// It is this.
    Exact(Vec<u8>),
    /// It is this value in JSON, however it is written.
    Json(Value),
    /// It is text in which this is found.
    Matches(Regex),
}

impl Expected {
    /// What differs from it, in words and lines; `None` if it came as it was to.
    #[must_use]
    pub fn misses(&self, seen: &Seen) -> Option<String> {
        let outcome = match &seen.ending {
            Ok(outcome) => outcome,
            Err(lost) => return Some(format!("the job was lost: {}", lost)),
        };
        let wanted = self.outcome.as_deref().unwrap_or(Outcome::Output.name());
        if outcome.name() != wanted {
            return Some(format!(
                "the outcome is to be {wanted}, and is {}: {outcome}",
                outcome.name()
            ));
        }
        let (code, reason) = match outcome {
            Outcome::Refused { code, reason } => (Some(*code), reason.as_str()),
            Outcome::Exited(code) => (Some(*code), ""),
            Outcome::Trapped { reason, .. } => (None, reason.as_str()),
            Outcome::InterfaceViolation(reason) => (None, reason.as_str()),
            _ => (None, ""),
        };
        if let Some(wanted) = self.code
            && code != Some(wanted)
        {
            return Some(format!("the code is to be {wanted}: {outcome}"));
        }
        if let Some(wanted) = &self.reason
            && !reason.contains(wanted.as_str())
        {
            return Some(format!("the reason is to contain `{wanted}`: {outcome}"));
        }
        if let Some(posts) = &self.posts
            && *posts != seen.posts
        {
            let all = |posts: &[Vec<u8>]| {
                posts
                    .iter()
                    .map(|post| shown(post) + "\n")
                    .collect::<String>()
            };
            let lines = difference(&all(posts), &all(&seen.posts));
            return Some(format!("it posts something else\n{lines}"));
        }
        self.output.misses(&seen.output)
    }
}

impl Rule {
    fn misses(&self, output: &[u8]) -> Option<String> {
        match self {
            Self::Any => None,
            Self::Exact(wanted) if wanted == output => None,
            Self::Exact(wanted) => {
                let lines = difference(&shown(wanted), &shown(output));
                Some(match lines.is_empty() {
                    true => format!(
                        "the output differs: {} bytes are expected, and {} came",
                        wanted.len(),
                        output.len()
                    ),
                    false => format!("the output differs\n{lines}"),
                })
            }
            Self::Json(wanted) => match serde_json::from_slice::<Value>(output) {
                // The order of keys means nothing to it.
                Ok(value) if value == *wanted => None,
                Ok(value) => {
                    let lines = difference(
                        &shown(format!("{wanted:#}").as_bytes()),
                        &shown(format!("{value:#}").as_bytes()),
                    );
                    Some(format!("the output is another value\n{lines}"))
                }
                Err(error) => Some(format!(
                    "the output is no JSON ({error}): {}",
                    shown(output)
                )),
            },
            Self::Matches(regex) => {
                let text = String::from_utf8_lossy(output);
                (!regex.is_match(&text))
                    .then(|| format!("the output does not match `{regex}`: {}", shown(output)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(outcome: Outcome, output: &str) -> Seen {
        Seen {
            output: output.into(),
            ..Seen::ended(Ok(outcome))
        }
    }

    fn with(output: Rule) -> Expected {
        Expected {
            output,
            ..Expected::default()
        }
    }

    #[test]
    fn what_is_not_said_may_be_anything_but_a_failure() {
        let expected = Expected::default();
        assert_eq!(expected.misses(&seen(Outcome::Output, "whatever")), None);
        assert!(expected.misses(&seen(Outcome::Deadline, "")).is_some());
    }

    #[test]
    fn values_are_compared_and_not_their_spelling() {
        let rule = Rule::Json(serde_json::json!({"a": [1, 2], "b": null}));
        let expected = with(rule);
        assert_eq!(
            expected.misses(&seen(Outcome::Output, r#" {"b":null, "a":[1,2]}"#)),
            None
        );
        let missed = expected.misses(&seen(Outcome::Output, r#"{"b":null,"a":[2,1]}"#));
        assert!(missed.unwrap().contains("another value"));
        assert!(
            expected
                .misses(&seen(Outcome::Output, "no"))
                .unwrap()
                .contains("no JSON")
        );
    }

    #[test]
    fn a_difference_shows_both_sides() {
        let missed =
            with(Rule::Exact(b"one\ntwo".to_vec())).misses(&seen(Outcome::Output, "one\nthree"));
        let missed = missed.unwrap();
        assert!(
            missed.contains("-two") && missed.contains("+three"),
            "{missed}"
        );
    }

    #[test]
    fn a_code_and_a_reason_are_looked_for() {
        let refused = seen(
            Outcome::Refused {
                code: 4,
                reason: "no such city".into(),
            },
            "",
        );
        let expected = |code, reason: &str| Expected {
            outcome: Some("refused".into()),
            code: Some(code),
            reason: Some(reason.into()),
            ..Expected::default()
        };
        assert_eq!(expected(4, "city").misses(&refused), None);
        assert!(
            expected(5, "city")
                .misses(&refused)
                .unwrap()
                .contains("code is to be 5")
        );
        assert!(
            expected(4, "town")
                .misses(&refused)
                .unwrap()
                .contains("`town`")
        );
    }
}
