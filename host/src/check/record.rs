//! What a guest was told and what it said, call by call, in a file; and the same told again.
//!
//! A guest whose random bytes, clock or messages decide what it does fails once and not again. A record has all that
//! the host told it and another run may not, so that the same guest, or one that was mended, can be run on the very
//! same answers. Files that it read are not in it.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::bench::{Bench, Options, Wanted};
use super::case::{Case, Expected, Origin};
use super::finding::{Call, Finding, Sort};
use super::manifest::CheckError;
use super::places::Place;
use super::runs::{Checked, Cost, Fuzzed, Report};
use super::seen::{Seen, difference, shown};
use super::suite::Suite;
use crate::job::{Job, Limits, Outbox, Outcome};
use crate::options::Isolation;
use crate::pool::{Completion, Lost, Pool};
use crate::runtime::{Drill, Told};
use crate::units::ByteSize;

/// What cases were told and said: one JSON object a line.
#[derive(Clone, Debug)]
pub struct Record {
    head: Head,
    cases: Vec<Recorded>,
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// The version of this form.
    cofferdam_record: u32,
    guest: String,
    sha256: String,
}

const VERSION: u32 = 1;

#[derive(Clone, Debug)]
struct Recorded {
    case: String,
    events: Vec<Event>,
}

/// Every other line.
#[derive(Serialize, Deserialize)]
struct Line {
    case: String,
    #[serde(flatten)]
    event: Event,
}

/// Something that passed between a guest and its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
enum Event {
    /// What the job is given.
    Input { bytes: Bytes },
    /// Random bytes that it was told.
    Random { bytes: Bytes },
    /// Nanoseconds of a clock that does not go back.
    Clock { ns: i64 },
    /// Nanoseconds since 1970.
    TimeOfDay { ns: i64 },
    /// A message that it received.
    Received { bytes: Bytes },
    /// That no message came in time.
    ReceivedNothing,
    /// That no message comes any more.
    ReceivedTheLast,
    /// A message that it posted.
    Posted { bytes: Bytes },
    /// A line that it logged.
    Logged { level: String, line: String },
    /// That nothing was noted from here on: it was too much.
    Cut,
    /// How it ended, and its output.
    Ended {
        outcome: String,
        words: String,
        output: Bytes,
    },
}

/// Text where the bytes are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Base64 { base64: String },
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64 {
                base64: STANDARD.encode(bytes),
            },
        }
    }
}

impl Bytes {
    fn decoded(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Base64 { base64 } => STANDARD.decode(base64).map_err(|error| error.to_string()),
        }
    }
}

impl Event {
    fn of(told: Told) -> Self {
        match told {
            Told::Random { bytes } => Self::Random {
                bytes: bytes.as_slice().into(),
            },
            Told::Clock { ns } => Self::Clock { ns },
            Told::Time { ns } => Self::TimeOfDay { ns },
            Told::Message { bytes } => Self::Received {
                bytes: bytes.as_slice().into(),
            },
            Told::NoMessage => Self::ReceivedNothing,
            Told::NoMore => Self::ReceivedTheLast,
        }
    }

    /// What the guest is told by it, if it is told anything.
    fn told(&self) -> Result<Option<Told>, String> {
        Ok(Some(match self {
            Self::Random { bytes } => Told::Random {
                bytes: bytes.decoded()?,
            },
            Self::Clock { ns } => Told::Clock { ns: *ns },
            Self::TimeOfDay { ns } => Told::Time { ns: *ns },
            Self::Received { bytes } => Told::Message {
                bytes: bytes.decoded()?,
            },
            Self::ReceivedNothing => Told::NoMessage,
            Self::ReceivedTheLast => Told::NoMore,
            Self::Input { .. }
            | Self::Posted { .. }
            | Self::Logged { .. }
            | Self::Cut
            | Self::Ended { .. } => {
                return Ok(None);
            }
        }))
    }

    /// What the guest says by it, in lines that can be compared.
    fn said(&self) -> Option<String> {
        let of = |bytes: &Bytes| bytes.decoded().map(|bytes| shown(&bytes));
        match self {
            Self::Posted { bytes } => Some(format!("posts: {}\n", of(bytes).ok()?)),
            Self::Logged { level, line } => Some(format!("logs ({level}): {line}\n")),
            Self::Ended { words, output, .. } => Some(format!("{words}\n{}\n", of(output).ok()?)),
            Self::Input { .. }
            | Self::Random { .. }
            | Self::Clock { .. }
            | Self::TimeOfDay { .. }
            | Self::Received { .. }
            | Self::ReceivedNothing
            | Self::Cut
            | Self::ReceivedTheLast => None,
        }
    }
}

/// What is kept of one case: a guest may ask for the time, and post nothing, without end.
#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    bytes: usize,
}

impl Heard {
    const MOST_EVENTS: usize = 100_000;
    const MOST_BYTES: usize = 64 << 20;

    /// Keeps an event of so many bytes, as long as there is room.
    fn note(&mut self, bytes: usize, event: impl FnOnce() -> Event) {
        if self.events.last() == Some(&Event::Cut) {
            return;
        }
        self.bytes += bytes;
        let has_room = self.events.len() < Self::MOST_EVENTS && self.bytes <= Self::MOST_BYTES;
        self.events
            .push(if has_room { event() } else { Event::Cut });
    }
}

/// Runs each case once in a thread, on a fresh instance, and notes what passes between it and the host. `told` hears
/// when a case is done. Where a signal ends it ([`Options::stop`]) that comes back in place of a record.
///
/// # Errors
/// [`CheckError`] if the guest cannot be run at all.
pub fn record(
    suite: &Suite,
    options: &Options,
    mut told: impl FnMut(),
) -> Result<Result<Record, i32>, CheckError> {
    let bench = Bench::new(suite, options);
    let mut cases = Vec::new();
    for case in &suite.cases {
        if let Some(signal) = bench.stopped() {
            return Ok(Err(signal));
        }
        let wanted = Wanted::one(Place::fresh(Isolation::Thread), case.limits, suite.seed);
        let pool = bench.pool_for_once(wanted, Drill::Record)?;
        let (job, outbox) = Job::new(case.input.as_slice()).with_inbox();
        let messages = case.messages.iter().map(Vec::as_slice);
        let (heard, _) = listen(&pool, job, outbox, messages);
        let input = Event::Input {
            bytes: case.input.as_slice().into(),
        };
        cases.push(Recorded {
            case: case.name.clone(),
            events: std::iter::once(input).chain(heard).collect(),
        });
        told();
    }
    let head = Head {
        cofferdam_record: VERSION,
        guest: suite.guest.name().to_owned(),
        sha256: suite.guest.sha256(),
    };
    Ok(Ok(Record { head, cases }))
}

/// Runs a job to whose guest these messages go, and gives back all that passed and the job's time.
fn listen<'a>(
    pool: &Pool,
    job: Job,
    outbox: Outbox,
    mut messages: impl Iterator<Item = &'a [u8]> + Send,
) -> (Vec<Event>, Seen) {
    // What is there before the job begins does not depend on who is faster.
    for message in messages.by_ref().take(Outbox::CAPACITY) {
        // The job is in our hands.
        let _ = outbox.post(message);
    }
    let heard = Arc::<Mutex<Heard>>::default();
    let (posts, logs) = (Arc::clone(&heard), Arc::clone(&heard));
    let job = job
        .on_post(move |_, message| {
            let mut heard = posts.lock().unwrap_or_else(PoisonError::into_inner);
            heard.note(message.len(), || match Told::from_bytes(message) {
                Some(told) => Event::of(told),
                None => Event::Posted {
                    bytes: message.into(),
                },
            });
        })
        .on_log(move |_, level, line| {
            let mut heard = logs.lock().unwrap_or_else(PoisonError::into_inner);
            heard.note(line.len(), || Event::Logged {
                level: level.name().to_owned(),
                line: line.to_owned(),
            });
        });
    let completion = std::thread::scope(|scope| {
        // More may be posted than an inbox holds, so somebody has to wait there; a job that has ended takes no more.
        scope.spawn(move || {
            for message in messages {
                if outbox.post(message).is_err() {
                    return;
                }
            }
        });
        pool.submit(job).map(crate::pool::Ticket::wait)
    });
    let (ending, output, wall) = match completion {
        Ok(Completion {
            result: Ok(reply),
            wall,
            ..
        }) => (Ok(reply.outcome), reply.output, wall),
        Ok(Completion {
            result: Err(lost),
            wall,
            ..
        }) => (Err(lost), Vec::new(), wall),
        Err(error) => (
            Err(Lost::NoWorkers(error.to_string())),
            Vec::new(),
            Duration::ZERO,
        ),
    };
    let seen = Seen {
        output,
        wall,
        ..Seen::ended(ending)
    };
    let ended = Event::Ended {
        outcome: match &seen.ending {
            Ok(outcome) => outcome.name().to_owned(),
            Err(_) => "lost".to_owned(),
        },
        words: seen.ending_in_words(),
        output: seen.output.as_slice().into(),
    };
    let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    let mut events = heard.events;
    events.push(ended);
    (events, seen)
}

impl Record {
    /// How many cases there are, and how often one of them was told something that another run may not be.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let answers = self
            .cases
            .iter()
            .flat_map(|case| &case.events)
            .filter(|event| matches!(event.told(), Ok(Some(_))))
            .count();
        (self.cases.len(), answers)
    }

    /// Keeps only the cases whose name contains this.
    pub fn filter(&mut self, text: &str) {
        self.cases.retain(|case| case.case.contains(text));
    }

    /// Writes it down, a line for each thing that passed.
    ///
    /// # Errors
    /// [`CheckError`] names the file.
    pub fn write(&self, path: &Path) -> Result<(), CheckError> {
        let mut text = serde_json::to_string(&self.head).unwrap_or_default() + "\n";
        for case in &self.cases {
            for event in &case.events {
                let line = Line {
                    case: case.case.clone(),
                    event: event.clone(),
                };
                let _ = writeln!(text, "{}", serde_json::to_string(&line).unwrap_or_default());
            }
        }
        fs::write(path, text).map_err(|error| CheckError::File {
            path: path.to_owned(),
            error,
        })
    }

    /// Reads what [`Record::write`] wrote.
    ///
    /// # Errors
    /// [`CheckError`] names the file, and the line that is not understood.
    pub fn read(path: &Path) -> Result<Self, CheckError> {
        let text = fs::read_to_string(path).map_err(|error| CheckError::File {
            path: path.to_owned(),
            error,
        })?;
        let refused = |number: usize, why: String| CheckError::Manifest {
            path: path.to_owned(),
            why: format!("line {number}: {why} (`cofferdam check --record` writes such files)"),
        };
        let mut lines = text.lines().zip(1..);
        let (first, _) = lines
            .next()
            .ok_or_else(|| refused(1, "it is empty".to_owned()))?;
        let head: Head =
            serde_json::from_str(first).map_err(|error| refused(1, error.to_string()))?;
        if head.cofferdam_record != VERSION {
            let why = format!(
                "its version is {}, and only {VERSION} is known",
                head.cofferdam_record
            );
            return Err(refused(1, why));
        }
        let mut cases: Vec<Recorded> = Vec::new();
        for (line, number) in lines {
            let line: Line =
                serde_json::from_str(line).map_err(|error| refused(number, error.to_string()))?;
            line.event.told().map_err(|why| refused(number, why))?;
            match cases.last_mut() {
                Some(last) if last.case == line.case => last.events.push(line.event),
                _ => cases.push(Recorded {
                    case: line.case,
                    events: vec![line.event],
                }),
            }
        }
        Ok(Self { head, cases })
    }

    /// Runs each recorded case in both isolations, told what it was told then; what it says otherwise is a finding.
    /// Of a case that was stopped at its deadline nothing is compared: it depends on the time how far it came.
    ///
    /// # Errors
    /// [`CheckError`] if the guest cannot be run at all.
    pub fn replay(
        &self,
        suite: &Suite,
        options: &Options,
        path: &Path,
        mut told: impl FnMut(),
    ) -> Result<Report, CheckError> {
        let bench = Bench::new(suite, options);
        let mut cases = Vec::new();
        for recorded in &self.cases {
            if bench.stopped().is_some() {
                break;
            }
            cases.push(recorded.replay(&bench, path)?);
            told();
        }
        Ok(Report {
            cases,
            random: Fuzzed::default(),
            interrupted_by: bench.stopped(),
        })
    }
}

impl Recorded {
    fn input(&self) -> Vec<u8> {
        let input = self.events.iter().find_map(|event| match event {
            Event::Input { bytes } => bytes.decoded().ok(),
            _ => None,
        });
        input.unwrap_or_default()
    }

    fn was_cut(&self) -> bool {
        self.events.contains(&Event::Cut)
    }

    fn was_stopped(&self) -> bool {
        let stopped = Outcome::Deadline.name();
        self.events
            .iter()
            .any(|event| matches!(event, Event::Ended { outcome, .. } if outcome == stopped))
    }

    fn replay(&self, bench: &Bench<'_>, path: &Path) -> Result<Checked, CheckError> {
        let suite = bench.suite;
        let limits = suite
            .cases
            .iter()
            .find(|case| case.name == self.case)
            .map_or_else(Limits::default, |case| case.limits);
        let case = Case {
            name: self.case.clone(),
            input: self.input(),
            messages: Vec::new(),
            limits,
            depends_on_limits: false,
            expected: Expected::default(),
            origin: Origin::Program,
        };
        if self.was_cut() {
            let what = format!(
                "its record was cut after {} events or {}: there is not enough to be told again",
                Heard::MOST_EVENTS,
                ByteSize::from_bytes(Heard::MOST_BYTES as u64)
            );
            let place = Place::fresh(Isolation::Thread);
            let finding = Finding::of(suite, &case, place, Call::Replayed, (Sort::Replay, what));
            return Ok(Checked {
                jobs: 0,
                findings: vec![finding],
                ..Checked::of(&case, Seen::ended(Err(Lost::Cancelled)))
            });
        }
        let answers: Vec<Vec<u8>> = self
            .events
            .iter()
            .filter_map(|event| event.told().ok().flatten())
            .map(|told| told.to_bytes())
            .collect();
        let said = |events: &[Event]| events.iter().filter_map(Event::said).collect::<String>();
        let then = said(&self.events);
        let mut checked = Checked {
            calls: 1,
            jobs: 0,
            ..Checked::of(&case, Seen::ended(Err(Lost::Cancelled)))
        };
        for place in Isolation::ALL.map(Place::fresh) {
            // The seed is what it was: in the record.
            let pool = bench.pool_for_once(Wanted::one(place, limits, None), Drill::Replay)?;
            let (job, outbox) = Job::new(case.input.as_slice()).with_inbox();
            let messages = answers.iter().map(Vec::as_slice);
            let (events, seen) = listen(&pool, job, outbox, messages);
            checked.jobs += 1;
            checked.costs.extend(Cost::of(place, vec![seen.wall]));
            checked.seen = seen;
            let now = said(&events);
            if now != then && !self.was_stopped() && checked.findings.is_empty() {
                let what = format!(
                    "told what the record has, it says something else: then (-), now (+)\n{}",
                    difference(&then, &now)
                );
                let what = (Sort::Replay, what);
                let mut finding = Finding::of(suite, &case, place, Call::Replayed, what);
                let path = path.display().to_string();
                finding.again = suite.again(&["--replay", &path, "--filter", &case.name]);
                checked.findings.push(finding);
            }
        }
        Ok(checked)
    }
}
