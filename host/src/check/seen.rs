//! What came of one job, as far as it can be compared.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use similar::TextDiff;

use super::case::Case;
use crate::job::{Job, Outcome};
use crate::pool::{Completion, Lost, Pool, Ticket};
use crate::runtime::Weight;
use crate::units::ByteSize;

/// How a job ended, and all that its guest said to the host.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How the guest ended, or what became of the job where no guest ended it.
    pub ending: Result<Outcome, Lost>,
    /// The reply's bytes.
    pub output: Vec<u8>,
    /// What the guest posted, in order.
    pub posts: Vec<Vec<u8>>,
    /// Bytes of all that it posted, also of what is not kept.
    pub(super) posted: u64,
    /// From the moment when a worker took the job up to its reply.
    pub wall: Duration,
    /// What it took; `None` where its worker did not live to say it.
    pub(super) weight: Option<Weight>,
}

/// What is heard of a job before it ends.
#[derive(Default)]
struct Heard {
    posts: Vec<Vec<u8>>,
    posted: u64,
    weight: Option<Weight>,
}

/// Further messages of a job are not compared.
const MOST_POSTS: usize = 10_000;

/// What a job is given.
pub(super) struct Given<'a> {
    pub(super) input: &'a [u8],
    pub(super) messages: &'a [Vec<u8>],
    /// Its own time limit, in place of the pool's.
    pub(super) timeout: Option<Duration>,
}

impl<'a> Given<'a> {
    pub(super) fn of(case: &'a Case) -> Self {
        Self {
            input: &case.input,
            messages: &case.messages,
            timeout: None,
        }
    }

    /// An input alone.
    pub(super) fn input(input: &'a [u8]) -> Self {
        Self {
            input,
            messages: &[],
            timeout: None,
        }
    }
}

/// A job that was handed in, and what its guest posts meanwhile.
pub(super) struct Pending {
    ticket: Ticket,
    heard: Arc<Mutex<Heard>>,
}

/// Hands in a job.
///
/// # Errors
/// Why the pool does not take it.
pub(super) fn hand_in(pool: &Pool, given: &Given<'_>) -> Result<Pending, String> {
    let heard = Arc::<Mutex<Heard>>::default();
    let ears = Arc::clone(&heard);
    let mut job = Job::new(given.input).on_post(move |_, message| {
        let mut heard = ears.lock().unwrap_or_else(PoisonError::into_inner);
        // The worker's own word comes last.
        if let Some(weight) = Weight::from_bytes(message) {
            heard.weight = Some(weight);
            return;
        }
        heard.posted += message.len() as u64;
        // A guest may post without end what costs it nothing.
        if heard.posts.len() < MOST_POSTS {
            heard.posts.push(message.to_vec());
        }
    });
    if let Some(timeout) = given.timeout {
        job = job.timeout(timeout);
    }
    if !given.messages.is_empty() {
        let outbox;
        (job, outbox) = job.with_inbox();
        for message in given.messages {
            let posted = outbox.post(message.as_slice());
            posted.map_err(|error| error.to_string())?;
        }
    }
    let ticket = pool.submit(job).map_err(|error| error.to_string())?;
    Ok(Pending { ticket, heard })
}

impl Pending {
    pub(super) fn wait(self) -> Seen {
        let Completion { result, wall, .. } = self.ticket.wait();
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        let (ending, output) = match result {
            Ok(reply) => (Ok(reply.outcome), reply.output),
            Err(lost) => (Err(lost), Vec::new()),
        };
        Seen {
            ending,
            output,
            posts: heard.posts,
            posted: heard.posted,
            wall,
            weight: heard.weight,
        }
    }
}

impl Seen {
    /// A job of which nothing is known but its ending.
    pub(super) fn ended(ending: Result<Outcome, Lost>) -> Self {
        Self {
            ending,
            output: Vec::new(),
            posts: Vec::new(),
            posted: 0,
            wall: Duration::ZERO,
            weight: None,
        }
    }

    /// Linear memory of the instance when the job had ended; `None` where its worker did not live to say it.
    #[must_use]
    pub fn memory(&self) -> Option<ByteSize> {
        self.weight.map(|weight| ByteSize::from_bytes(weight.after))
    }

    /// Bytes that the guest said: its reply, its posted messages and its requests together.
    pub(super) fn said(&self) -> u64 {
        let told = self.weight.map_or(0, |weight| weight.said);
        told.max(self.output.len() as u64 + self.posted)
    }

    /// One line that says how it ended.
    #[must_use]
    pub fn ending_in_words(&self) -> String {
        match &self.ending {
            Ok(outcome) => outcome.to_string(),
            Err(lost) => lost.to_string(),
        }
    }

    /// Whether the same is to be seen, as far as it may not differ. What a guest had written when it was stopped
    /// depends on when that was.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let is_stopped = |seen: &Self| matches!(seen.ending, Ok(Outcome::Deadline));
        match is_stopped(self) && is_stopped(other) {
            true => true,
            false => {
                self.ending == other.ending
                    && self.output == other.output
                    && self.posts == other.posts
                    && self.posted == other.posted
            }
        }
    }

    /// Whether one of the two was stopped at its deadline and the other was not: how busy the machine is decides that.
    pub(super) fn is_a_matter_of_time(&self, other: &Self) -> bool {
        let is_stopped = |seen: &Self| matches!(seen.ending, Ok(Outcome::Deadline));
        is_stopped(self) != is_stopped(other)
    }

    /// What differs, line by line: `self` with minus, `other` with plus.
    pub(super) fn difference(&self, other: &Self) -> String {
        difference(&self.to_string(), &other.to_string())
    }
}

/// Lines that differ, with those around them.
pub(super) fn difference(expected: &str, seen: &str) -> String {
    const PATIENCE: Duration = Duration::from_secs(1);
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(expected, seen);
    let unified = diff.unified_diff().context_radius(2).to_string();
    // The places in the texts mean nothing here, and neither does a last line without an end.
    let is_said = |line: &&str| !line.starts_with("@@") && !line.starts_with("\\ No newline");
    let lines = unified.lines().filter(is_said);
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes as a person can read them.
pub(super) fn shown(bytes: &[u8]) -> String {
    cut_at(2000, bytes)
}

/// The same, and of long ones only what is enough to know them by.
pub(super) fn beginning(bytes: &[u8]) -> String {
    cut_at(100, bytes)
}

fn cut_at(most: usize, bytes: &[u8]) -> String {
    let (kept, cut) = match bytes.len() > most {
        true => (
            &bytes[..most],
            format!("… and {} bytes more", bytes.len() - most),
        ),
        false => (bytes, String::new()),
    };
    // A character that was cut through is left out.
    let kept = match std::str::from_utf8(kept) {
        Err(error) if error.error_len().is_none() && kept.len() < bytes.len() => {
            &kept[..error.valid_up_to()]
        }
        _ => kept,
    };
    match std::str::from_utf8(kept) {
        Ok(text) => {
            let lines: Vec<String> = text.split('\n').map(crate::mail::printable).collect();
            lines.join("\n") + &cut
        }
        Err(_) => kept.escape_ascii().to_string() + &cut,
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.ending_in_words())?;
        if !self.output.is_empty() {
            writeln!(f, "{}", shown(&self.output))?;
        }
        for post in &self.posts {
            writeln!(f, "posts: {}", shown(post))?;
        }
        Ok(())
    }
}
