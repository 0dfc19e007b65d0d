//! What a hostile worker does, by name, and how a job may end that such a worker runs.

use std::fmt;
use std::time::Duration;

use crate::common::PATIENCE;

/// The time limit of jobs that will not end before it.
pub(crate) const TIGHT: Duration = Duration::from_millis(25);

/// The time limit of jobs that may have to be ended by it, where an attack hides from the worker itself
/// what it wrote.
const LOOSE: Duration = Duration::from_millis(250);

/// One way to attack. The job's input says which, and with what seed, so that any can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Attack {
    /// None: the reply is the input. If this failed, the others would prove nothing.
    Honest,
    /// Writes garbage to its stdout and stderr, a MiB of it, and is honest else.
    Noise,
    /// Random values in every control word.
    Words,
    /// Replies well, but lies all the time about what it has consumed.
    Heads,
    /// Headers of random bytes, whole or from somewhere on.
    Headers,
    /// Good headers with lengths and tails at and past every bound.
    Lengths,
    /// Large bodies of every kind, up to the bound of their zone and past it.
    Zones,
    /// Replies whose endings are random bytes.
    Endings,
    /// Everything that a worker may say, with random content, at the wrong time.
    Talk,
    /// A good reply to a job that nobody gave it.
    Impostor,
    /// A good reply, twice.
    Doubled,
    /// A good reply, and then one to each of the next jobs, before they come.
    Prophet,
    /// A good reply, about when the deadline passes.
    Late,
    /// Good frames, and then garbage.
    Prefix,
    /// Wakes the host all the time, for nothing.
    Wakes,
    /// Asks the system for what the seals forbid; the reply names what was allowed all the same.
    Seals,
    /// Punches holes into its own memory while it replies.
    Holes,
    /// Writes to ring and zone after and while it replies.
    Afterwards,
    /// Changes the header, the trailer and the tail of its reply between good and bad as fast as it can.
    Flips,
    /// Never says anything.
    Hang,
    /// Stops itself.
    Stop,
    /// Ends in the middle of whatever it does, of its own will or by a signal.
    Exit,
    /// Posts, logs or asks for mail without end.
    Flood,
    /// Asks for mail without end, and takes none.
    Glutton,
    /// Asks the host to fetch from where nobody allowed, and is honest if each time that is refused.
    Beggar,
    /// Asks for what is no request, and for what has no end: random heads and lengths, one after another.
    Grabber,
}

/// How a job ended, as far as attacks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    Output,
    /// Any other outcome that a reply may claim.
    Other,
    Deadline,
    Garbled,
    /// The process exited or was signalled.
    Died,
    Hung,
    Panicked,
}

/// What is known beforehand of the output of a good reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the input.
    Input,
    /// It is empty.
    Nothing,
    /// It is within the limit.
    Limit,
}

impl Attack {
    pub(crate) const ALL: [Attack; 26] = [
        Self::Honest,
        Self::Noise,
        Self::Words,
        Self::Heads,
        Self::Headers,
        Self::Lengths,
        Self::Zones,
        Self::Endings,
        Self::Talk,
        Self::Impostor,
        Self::Doubled,
        Self::Prophet,
        Self::Late,
        Self::Prefix,
        Self::Wakes,
        Self::Seals,
        Self::Holes,
        Self::Afterwards,
        Self::Flips,
        Self::Hang,
        Self::Stop,
        Self::Exit,
        Self::Flood,
        Self::Glutton,
        Self::Beggar,
        Self::Grabber,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|attack| attack.to_string() == name)
    }

    /// The input of a job that is to be attacked: which attack, its seed, and so many bytes more.
    pub(crate) fn input(self, seed: u64, padding: usize) -> Vec<u8> {
        let mut input = vec![self as u8];
        input.extend(seed.to_le_bytes());
        let mut rest = vec![0; padding];
        fastrand::Rng::with_seed(seed).fill(&mut rest);
        input.extend(rest);
        input
    }

    /// Attack and seed of such a job.
    pub(crate) fn in_input(input: &[u8]) -> Option<(Self, u64)> {
        let (head, _) = input.split_at_checked(9)?;
        let attack = *Self::ALL.get(usize::from(head[0]))?;
        Some((attack, u64::from_le_bytes(head[1..].try_into().ok()?)))
    }

    /// The ways in which such a job may end; the first of them has to be seen.
    pub(crate) fn endings(self) -> &'static [Ending] {
        use Ending::{Deadline, Died, Garbled, Hung, Other, Output, Panicked};
        match self {
            Self::Honest | Self::Noise | Self::Seals | Self::Beggar => &[Output],
            Self::Words => &[Garbled, Died],
            Self::Headers | Self::Impostor | Self::Prefix | Self::Grabber => &[Garbled],
            Self::Heads | Self::Doubled => &[Garbled, Output],
            Self::Prophet => &[Output, Garbled],
            Self::Lengths => &[Garbled, Died, Output, Other, Deadline],
            Self::Zones => &[Garbled, Output],
            Self::Endings => &[Garbled, Output, Other, Deadline],
            Self::Talk => &[Garbled, Panicked, Died],
            Self::Late => &[Deadline, Output],
            Self::Holes | Self::Afterwards | Self::Flips => &[Garbled, Output, Other, Deadline],
            Self::Wakes | Self::Hang | Self::Glutton => &[Deadline],
            // Garbled, where it is requests and what it may say is used up.
            Self::Flood => &[Deadline, Garbled],
            // On a busy machine the deadline may come before it has stopped itself.
            Self::Stop => &[Hung, Deadline],
            Self::Exit => &[Died, Garbled, Output],
        }
    }

    /// Whether such a job takes as long as it is allowed to.
    pub(crate) fn outlasts_its_deadline(self) -> bool {
        let endings = self.endings();
        matches!(endings[0], Ending::Deadline | Ending::Hung)
    }

    /// How long a job may take that is attacked like this. One that has to end before has all the time
    /// that a busy machine may need.
    pub(crate) fn limit(self) -> Duration {
        if self.outlasts_its_deadline() {
            TIGHT
        } else if self.endings().contains(&Ending::Deadline) {
            LOOSE
        } else {
            PATIENCE
        }
    }

    /// What is known of a good reply.
    pub(crate) fn claim(self) -> Claim {
        match self {
            Self::Honest
            | Self::Noise
            | Self::Heads
            | Self::Doubled
            | Self::Late
            | Self::Exit
            | Self::Beggar => Claim::Input,
            Self::Seals => Claim::Nothing,
            _ => Claim::Limit,
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").to_lowercase())
    }
}
