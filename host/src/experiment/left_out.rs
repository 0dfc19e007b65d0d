//! What would have been measured with more time or memory, and why it was not.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Budget;
use crate::units::{ByteSize, three_digits};

/// Something that belongs to a part, and was not measured. What is not there must not look as if nobody had
/// thought of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// The experiment.
    pub experiment: String,
    /// Its part.
    pub part: String,
    /// What was left out, in words: `32 idle workers`.
    pub what: String,
    /// Why.
    pub why: Reason,
}

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// It is for those who give more time: the budget that has it.
    Budget {
        /// The smallest budget in which it is measured.
        from: Budget,
    },
    /// With jobs as long as this guest's it would take too large a share of the time.
    Time {
        /// Seconds that it would take.
        needs_s: f64,
        /// Seconds that it may take.
        has_s: f64,
    },
    /// With as much memory as this guest takes it would not fit into this machine.
    Memory {
        /// Bytes that it would take.
        needs: u64,
        /// Bytes that it may take.
        has: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Budget { from } => write!(f, "only with {}", from.option()),
            Self::Time { needs_s, has_s } => write!(
                f,
                "would take {} s of the {} s that it may have",
                three_digits(needs_s),
                three_digits(has_s)
            ),
            Self::Memory { needs, has } => write!(
                f,
                "would take {} of the {} that it may have",
                ByteSize::from_bytes(needs),
                ByteSize::from_bytes(has)
            ),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            experiment,
            what,
            why,
            ..
        } = self;
        write!(f, "{experiment}: {what} ({why})")
    }
}

/// Nothing of a part is left out.
pub(super) fn nothing(_: &super::Effort) -> Vec<(String, Reason)> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_what_it_would_have_taken() {
        let of = |why| {
            let left_out = LeftOut {
                experiment: "memory".to_owned(),
                part: "held".to_owned(),
                what: "32 workers at work".to_owned(),
                why,
            };
            left_out.to_string()
        };
        assert_eq!(
            of(Reason::Time {
                needs_s: 8.64,
                has_s: 5.4
            }),
            "memory: 32 workers at work (would take 8.64 s of the 5.40 s that it may have)"
        );
        assert_eq!(
            of(Reason::Memory {
                needs: 3 << 30,
                has: 1 << 30
            }),
            "memory: 32 workers at work (would take 3 GiB of the 1 GiB that it may have)"
        );
        assert_eq!(
            of(Reason::Budget {
                from: Budget::Rigorous
            }),
            "memory: 32 workers at work (only with --rigorous)"
        );
    }
}
