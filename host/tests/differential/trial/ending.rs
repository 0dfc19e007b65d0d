//! How a job ended, in words in which three ways of running it can be compared.

use std::fmt;

use cofferdam::{Lost, Outcome, Reply, TrapKind};

/// All that anybody outside can see of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) kind: Kind,
    pub(crate) output: Vec<u8>,
    pub(crate) posts: Vec<Vec<u8>>,
    pub(crate) dropped_logs: u64,
}

/// An [`Outcome`] without the words that only people read, and what else may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Output,
    Refused {
        code: i32,
        reason: String,
    },
    Trapped {
        kind: TrapKind,
        reason: String,
    },
    OutOfFuel,
    MemoryLimit,
    OutputLimit,
    InterfaceViolation,
    InvalidGuest,
    /// The compiler refuses the module.
    NotCompiled,
    /// What none of these modules may come to: a deadline, a worker that died.
    Unexpected(String),
}

impl Ending {
    /// One of which nothing was seen.
    pub(crate) fn bare(kind: Kind) -> Self {
        Self {
            kind,
            output: Vec::new(),
            posts: Vec::new(),
            dropped_logs: 0,
        }
    }

    pub(crate) fn of(result: Result<Reply, Lost>, posts: Vec<Vec<u8>>) -> Self {
        match result {
            Ok(reply) => Self {
                kind: Kind::of(reply.outcome),
                output: reply.output,
                posts,
                dropped_logs: reply.dropped_logs,
            },
            Err(lost) => Self::bare(Kind::Unexpected(lost.to_string())),
        }
    }

    /// Whether one of the two ran out of stack where the other ran out of fuel. How deep a recursion goes before
    /// the stack ends is nobody's promise: code with checks that can interrupt it has larger frames than code
    /// without.
    pub(crate) fn is_as_deep_as(&self, other: &Self) -> bool {
        let is_deep = |kind: &Kind| {
            matches!(
                kind,
                Kind::Trapped {
                    kind: TrapKind::StackOverflow,
                    ..
                }
            )
        };
        let (one, two) = (&self.kind, &other.kind);
        (is_deep(one) && *two == Kind::OutOfFuel) || (is_deep(two) && *one == Kind::OutOfFuel)
    }

    /// In what it differs from another one, if in anything.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.kind != other.kind {
            return Some(format!("{:?} and {:?}", self.kind, other.kind));
        }
        if self.output != other.output {
            let (one, two) = (&self.output, &other.output);
            let at = one.iter().zip(two).position(|(one, two)| one != two);
            let at = at.unwrap_or(one.len().min(two.len()));
            return Some(format!(
                "{} bytes of output and {}, which differ from byte {at} on",
                one.len(),
                two.len()
            ));
        }
        if self.posts != other.posts {
            return Some(format!(
                "{} messages and {}, or others",
                self.posts.len(),
                other.posts.len()
            ));
        }
        (self.dropped_logs != other.dropped_logs).then(|| {
            format!(
                "{} dropped lines and {}",
                self.dropped_logs, other.dropped_logs
            )
        })
    }
}

impl Kind {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Output => Self::Output,
            Outcome::Refused { code, reason } => Self::Refused { code, reason },
            Outcome::Trapped { kind, reason } => Self::Trapped { kind, reason },
            Outcome::OutOfFuel => Self::OutOfFuel,
            Outcome::MemoryLimit => Self::MemoryLimit,
            Outcome::OutputLimit => Self::OutputLimit,
            Outcome::InterfaceViolation(_) => Self::InterfaceViolation,
            Outcome::InvalidGuest(_) => Self::InvalidGuest,
            other => Self::Unexpected(other.to_string()),
        }
    }
}

/// The kind, as it is counted.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output => f.write_str("output"),
            Self::Refused { .. } => f.write_str("refused"),
            Self::Trapped { kind, .. } => write!(f, "trapped: {kind}"),
            Self::OutOfFuel => f.write_str("out of fuel"),
            Self::MemoryLimit => f.write_str("memory limit"),
            Self::OutputLimit => f.write_str("output limit"),
            Self::InterfaceViolation => f.write_str("interface violation"),
            Self::InvalidGuest => f.write_str("invalid guest"),
            Self::NotCompiled => f.write_str("refused by the compiler"),
            Self::Unexpected(_) => f.write_str("unexpected"),
        }
    }
}
