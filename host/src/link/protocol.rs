//! What the frames carry, and who may send which.
//!
//! The host trusts nothing of what a worker sends: every field is checked when it is decoded, and
//! [`FromWorker::decode`] refuses what a worker may not say.

use std::time::Duration;

use cofferdam_guest::abi;
use serde::{Deserialize, Serialize};

use super::frame::{Frame, Kind, Parts};
use super::{Link, LinkError};
use crate::fetch::{Answer, Fetched, MOST_HEAD, Wanted};
use crate::folder::{FolderAccess, Place};
use crate::harden::{Enforcement, Legibility};
use crate::job::{Job, Limits, Outcome, Phases, Reply, TrapKind};
use crate::mail::{Received, Wait};
use crate::options::{Hardening, LinkKind, WaitPolicy};
use crate::payload::{Content, Input, Output};
use crate::region::Extent;
use crate::runtime::{Drill, InstancePolicy, Settings, World};

/// The first frame: what the worker is to run. The descriptors precede it, in this order: the artifact's,
/// the region's if there is one, those of the folders that were granted, and those of the link's memory if it has any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) role: Role,
    pub(crate) fingerprint: String,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) instance: InstancePolicy,
    pub(crate) world: World,
    pub(crate) drill: Option<Drill>,
    pub(crate) region: Option<Extent>,
    pub(crate) folders: Vec<Place>,
    /// What everything after this frame goes over.
    pub(crate) link: LinkKind,
    pub(crate) wait: WaitPolicy,
    /// Threads that want a CPU at once when all workers are busy.
    pub(crate) crowd: usize,
    pub(crate) hardening: Hardening,
    pub(crate) legibility: Legibility,
}

/// What a process that was spawned is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// A worker.
    Worker,
    /// One that is forked into workers, and runs no job itself.
    ForkServer,
    /// One that compiles one guest, and runs none.
    Compiler,
}

/// When a worker process came to be: readings of the system's monotonic clock. As true as the worker
/// is; nothing but statistics rests on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Birth {
    /// Its first code ran.
    pub(crate) began: Duration,
    /// The guest was loaded, and the first job could come.
    pub(crate) loaded: Duration,
}

/// Everything that a worker may say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FromWorker {
    /// What holds of the hardening is said by a process that did it; a forked one inherits what its server
    /// said, or is not ready.
    Ready(Birth, Option<Enforcement>),
    Failed(String),
    Reply(Reply),
    Post(Vec<u8>),
    Recv(Wait),
    Log(abi::Level, String),
    Panicked(String),
    Fetch(Wanted),
}

/// Everything that the host says to a worker that is set up.
pub(crate) enum FromHost {
    Job {
        number: u64,
        seed: Option<u64>,
        input: Input,
    },
    Mail(Received),
    Fetched(Fetched),
}

/// Text in frames is cut here: enough for a reason, and no way to fill the host's memory.
const MAX_TEXT: usize = 16 << 10;

fn garbled(what: &str) -> LinkError {
    LinkError::Garbled(what.to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]).into_owned()
}

impl Setup {
    /// The most that is granted of any folder; `None` if none is.
    pub(crate) fn reach(&self) -> Option<FolderAccess> {
        self.folders.iter().map(|place| place.access).max()
    }

    pub(crate) fn send(&self, link: &mut dyn Link) -> Result<(), LinkError> {
        let body =
            serde_json::to_vec(self).map_err(|error| LinkError::Garbled(error.to_string()))?;
        link.send(Parts {
            kind: Kind::Setup,
            job: 0,
            body: body.as_slice().into(),
            trailer: &[],
        })
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, LinkError> {
        if frame.kind != Kind::Setup {
            return Err(garbled("the first frame is no setup"));
        }
        serde_json::from_slice(&frame.body.into_vec())
            .map_err(|error| LinkError::Garbled(error.to_string()))
    }
}

/// Sends a job: its input is the body, its seed (8 bytes, or none) the trailer.
pub(crate) fn send_job(link: &mut dyn Link, job: &Job) -> Result<(), LinkError> {
    let seed = job.seed().map(u64::to_le_bytes);
    let trailer: &[u8] = seed.as_ref().map_or(&[], |bytes| bytes);
    link.send(Parts {
        kind: Kind::Job,
        job: job.number(),
        body: job.input().into(),
        trailer,
    })
}

const MAIL_MESSAGE: u8 = 0;
const MAIL_TIMED_OUT: u8 = 1;
const MAIL_CLOSED: u8 = 2;

/// Answers a worker's `Recv`.
pub(crate) fn send_mail(
    link: &mut dyn Link,
    job: u64,
    received: &Received,
) -> Result<(), LinkError> {
    let (tag, body): (u8, &[u8]) = match received {
        Received::Message(message) => (MAIL_MESSAGE, message),
        Received::TimedOut => (MAIL_TIMED_OUT, &[]),
        // An interrupted wait ends with the worker's death, before it can read this.
        Received::Closed | Received::Interrupted => (MAIL_CLOSED, &[]),
    };
    link.send(Parts {
        kind: Kind::Mail,
        job,
        body: body.into(),
        trailer: &[tag],
    })
}

/// Asks for something to be fetched: what is sent along is the body; how large the answer may be (8) and the head are
/// the trailer.
pub(crate) fn send_fetch(link: &mut dyn Link, job: u64, wanted: &Wanted) -> Result<(), LinkError> {
    let trailer = [&wanted.most.to_le_bytes()[..], &wanted.head].concat();
    link.send(Parts {
        kind: Kind::Fetch,
        job,
        body: wanted.body.as_slice().into(),
        trailer: &trailer,
    })
}

const FETCHED_ANSWER: u8 = 0;
const FETCHED_REFUSED: u8 = 1;
const FETCHED_FAILED: u8 = 2;
const FETCHED_TOO_LARGE: u8 = 3;
const FETCHED_INTERRUPTED: u8 = 4;

/// Answers a worker's `Fetch`: an answer's status (2) and headers follow the tag in the trailer, and its body is the
/// frame's; else that is the reason.
pub(crate) fn send_fetched(
    link: &mut dyn Link,
    job: u64,
    fetched: &Fetched,
) -> Result<(), LinkError> {
    let mut trailer = Vec::new();
    let body = match fetched {
        Fetched::Answer(answer) => {
            trailer.push(FETCHED_ANSWER);
            trailer.extend_from_slice(&answer.status.to_le_bytes());
            trailer.extend_from_slice(answer.headers.as_bytes());
            answer.body.as_slice()
        }
        Fetched::Refused(why) => {
            trailer.push(FETCHED_REFUSED);
            why.as_bytes()
        }
        Fetched::Failed(why) => {
            trailer.push(FETCHED_FAILED);
            why.as_bytes()
        }
        Fetched::TooLarge => {
            trailer.push(FETCHED_TOO_LARGE);
            &[]
        }
        // As a rule the worker is dead by then, and nobody reads this.
        Fetched::Interrupted => {
            trailer.push(FETCHED_INTERRUPTED);
            &[]
        }
    };
    link.send(Parts {
        kind: Kind::Fetched,
        job,
        body: body.into(),
        trailer: &trailer,
    })
}

fn decode_fetched(body: Vec<u8>, trailer: &[u8]) -> Result<Fetched, LinkError> {
    match trailer {
        [FETCHED_ANSWER, low, high, headers @ ..] => Ok(Fetched::Answer(Answer {
            status: u16::from_le_bytes([*low, *high]),
            headers: String::from_utf8_lossy(headers).into_owned(),
            body,
        })),
        [FETCHED_REFUSED] => Ok(Fetched::Refused(text(&body))),
        [FETCHED_FAILED] => Ok(Fetched::Failed(text(&body))),
        [FETCHED_TOO_LARGE] => Ok(Fetched::TooLarge),
        [FETCHED_INTERRUPTED] => Ok(Fetched::Interrupted),
        _ => Err(garbled("it cannot be told what came of a request")),
    }
}

/// How large the answer may be 8 │ the head …
fn decode_fetch(body: Vec<u8>, trailer: &[u8]) -> Result<Wanted, LinkError> {
    match trailer.split_at_checked(8) {
        Some((most, head)) if head.len() <= MOST_HEAD => Ok(Wanted {
            head: head.to_vec(),
            body,
            most: number(most, 0),
        }),
        _ => Err(garbled(
            "what it wants to be fetched is cut off or too long",
        )),
    }
}

/// Sends a message that the guest posts, from where it lies.
pub(crate) fn send_post(link: &mut dyn Link, job: u64, message: &[u8]) -> Result<(), LinkError> {
    link.send(Parts {
        kind: Kind::Post,
        job,
        body: message.into(),
        trailer: &[],
    })
}

/// Sends the end of a job, whose output lies apart.
pub(crate) fn send_reply(
    link: &mut dyn Link,
    job: u64,
    reply: &Reply,
    output: &Output,
) -> Result<(), LinkError> {
    send_ending(link, job, reply, output.content())
}

fn send_ending(
    link: &mut dyn Link,
    job: u64,
    reply: &Reply,
    output: Content<'_>,
) -> Result<(), LinkError> {
    let (fields, reason) = encode_ending(reply);
    let with_reason;
    let trailer: &[u8] = match reason {
        [] => &fields,
        reason => {
            with_reason = [&fields, reason].concat();
            &with_reason
        }
    };
    link.send(Parts {
        kind: Kind::Reply,
        job,
        body: output,
        trailer,
    })
}

impl FromHost {
    pub(crate) fn decode(frame: Frame) -> Result<Self, LinkError> {
        match (frame.kind, &*frame.trailer) {
            (Kind::Job, trailer) => {
                let seed = match trailer {
                    [] => None,
                    bytes => Some(u64::from_le_bytes(
                        bytes
                            .try_into()
                            .map_err(|_| garbled("a seed has not 8 bytes"))?,
                    )),
                };
                Ok(Self::Job {
                    number: frame.job,
                    seed,
                    input: frame.body.into(),
                })
            }
            (Kind::Mail, [MAIL_MESSAGE]) => {
                Ok(Self::Mail(Received::Message(frame.body.into_vec())))
            }
            (Kind::Mail, [MAIL_TIMED_OUT]) => Ok(Self::Mail(Received::TimedOut)),
            (Kind::Mail, [MAIL_CLOSED]) => Ok(Self::Mail(Received::Closed)),
            (Kind::Fetched, trailer) => {
                decode_fetched(frame.body.into_vec(), trailer).map(Self::Fetched)
            }
            (kind, _) => Err(LinkError::Garbled(format!(
                "the host may not send {kind} here"
            ))),
        }
    }
}

impl FromWorker {
    /// Sends this, as part of job `job`.
    pub(crate) fn send(&self, link: &mut dyn Link, job: u64) -> Result<(), LinkError> {
        let mut trailer = Vec::new();
        let (kind, body): (Kind, &[u8]) = match self {
            Self::Ready(birth, enforcement) => {
                trailer.extend_from_slice(&nanos(birth.began));
                trailer.extend_from_slice(&nanos(birth.loaded));
                if let Some(enforcement) = enforcement {
                    trailer.extend_from_slice(&enforcement.encode());
                }
                (Kind::Ready, &[])
            }
            Self::Failed(why) => (Kind::Failed, why.as_bytes()),
            Self::Reply(reply) => {
                return send_ending(link, job, reply, Content::Bytes(&reply.output));
            }
            Self::Post(message) => return send_post(link, job, message),
            Self::Fetch(wanted) => return send_fetch(link, job, wanted),
            Self::Recv(wait) => {
                trailer.extend_from_slice(&encode_wait(*wait));
                (Kind::Recv, &[])
            }
            Self::Log(level, line) => {
                trailer.extend_from_slice(&level.as_i32().to_le_bytes());
                (Kind::Log, line.as_bytes())
            }
            Self::Panicked(message) => (Kind::Panicked, message.as_bytes()),
        };
        link.send(Parts {
            kind,
            job,
            body: body.into(),
            trailer: &trailer,
        })
    }

    pub(crate) fn decode(frame: Frame) -> Result<Self, LinkError> {
        let Frame {
            kind,
            body,
            trailer,
            job: _,
        } = frame;
        let body = body.into_vec();
        match kind {
            Kind::Ready => decode_ready(&trailer),
            Kind::Failed => Ok(Self::Failed(text(&body))),
            Kind::Reply => decode_reply(body, &trailer).map(Self::Reply),
            Kind::Post => Ok(Self::Post(body)),
            Kind::Recv => {
                let bytes = (*trailer)
                    .try_into()
                    .map_err(|_| garbled("a wait has not 8 bytes"))?;
                Ok(Self::Recv(decode_wait(bytes)))
            }
            Kind::Log => {
                let level = (*trailer)
                    .try_into()
                    .map_err(|_| garbled("a log level has not 4 bytes"))?;
                Ok(Self::Log(
                    abi::Level::from_i32(i32::from_le_bytes(level)),
                    text(&body),
                ))
            }
            Kind::Panicked => Ok(Self::Panicked(text(&body))),
            Kind::Fetch => decode_fetch(body, &trailer).map(Self::Fetch),
            Kind::Setup | Kind::Job | Kind::Mail | Kind::Fetched => {
                Err(LinkError::Garbled(format!("a worker may not send {kind}")))
            }
        }
    }
}

/// Began 8 │ loaded 8 │ what holds of the hardening, or nothing.
fn decode_ready(trailer: &[u8]) -> Result<FromWorker, LinkError> {
    const BIRTH: usize = 16;
    let (birth, held) = trailer
        .split_at_checked(BIRTH)
        .ok_or_else(|| garbled("a birth has not 16 bytes"))?;
    let enforcement = match held {
        [] => None,
        held => {
            let decoded = Enforcement::decode(held);
            Some(decoded.ok_or_else(|| garbled("it says nothing sensible of its hardening"))?)
        }
    };
    let birth = Birth {
        began: Duration::from_nanos(number(birth, 0)),
        loaded: Duration::from_nanos(number(birth, 8)),
    };
    Ok(FromWorker::Ready(birth, enforcement))
}

/// Milliseconds; negative for ever.
fn encode_wait(wait: Wait) -> [u8; 8] {
    let millis = match wait {
        Wait::Poll => 0,
        Wait::For(span) => i64::try_from(span.as_millis()).unwrap_or(i64::MAX),
        Wait::Forever => -1,
    };
    millis.to_le_bytes()
}

fn decode_wait(bytes: [u8; 8]) -> Wait {
    match u64::try_from(i64::from_le_bytes(bytes)) {
        Ok(0) => Wait::Poll,
        Ok(millis) => Wait::For(Duration::from_millis(millis)),
        Err(_) => Wait::Forever,
    }
}

/// Outcome 1 │ trap 1 │ code 4 │ dropped logs 8 │ instantiate 8 │ call 8 │ release 8 │ received 8 │
/// reason …
const ENDING: usize = 46;

const OUTPUT: u8 = 0;
const REFUSED: u8 = 1;
const TRAPPED: u8 = 2;
const DEADLINE: u8 = 3;
const OUT_OF_FUEL: u8 = 4;
const MEMORY_LIMIT: u8 = 5;
const OUTPUT_LIMIT: u8 = 6;
const INTERFACE_VIOLATION: u8 = 7;
const INVALID_GUEST: u8 = 8;
const EXITED: u8 = 9;

fn nanos(span: Duration) -> [u8; 8] {
    u64::try_from(span.as_nanos())
        .unwrap_or(u64::MAX)
        .to_le_bytes()
}

/// The eight bytes from `at` on; whoever calls has checked that they are there.
fn number(fields: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&fields[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// The fields, and the reason, which follows them.
fn encode_ending(reply: &Reply) -> ([u8; ENDING], &[u8]) {
    let (tag, trap, code, reason): (u8, u8, i32, &str) = match &reply.outcome {
        Outcome::Output => (OUTPUT, 0, 0, ""),
        Outcome::Refused { code, reason } => (REFUSED, 0, *code, reason),
        Outcome::Trapped { kind, reason } => {
            let place = TrapKind::ALL.iter().position(|known| known == kind);
            (
                TRAPPED,
                place
                    .and_then(|place| u8::try_from(place).ok())
                    .unwrap_or(u8::MAX),
                0,
                reason,
            )
        }
        Outcome::Deadline => (DEADLINE, 0, 0, ""),
        Outcome::OutOfFuel => (OUT_OF_FUEL, 0, 0, ""),
        Outcome::MemoryLimit => (MEMORY_LIMIT, 0, 0, ""),
        Outcome::OutputLimit => (OUTPUT_LIMIT, 0, 0, ""),
        Outcome::InterfaceViolation(what) => (INTERFACE_VIOLATION, 0, 0, what),
        Outcome::InvalidGuest(why) => (INVALID_GUEST, 0, 0, why),
        Outcome::Exited(code) => (EXITED, 0, *code, ""),
    };
    let Phases {
        instantiate,
        call,
        release,
        received,
    } = reply.phases;
    let mut fields = [0; ENDING];
    fields[..2].copy_from_slice(&[tag, trap]);
    fields[2..6].copy_from_slice(&code.to_le_bytes());
    fields[6..14].copy_from_slice(&reply.dropped_logs.to_le_bytes());
    let spans = [instantiate, call, release, received];
    for (place, span) in fields[14..].chunks_exact_mut(8).zip(spans) {
        place.copy_from_slice(&nanos(span));
    }
    (fields, &reason.as_bytes()[..reason.len().min(MAX_TEXT)])
}

fn decode_reply(output: Vec<u8>, trailer: &[u8]) -> Result<Reply, LinkError> {
    let (fields, reason) = trailer
        .split_at_checked(ENDING)
        .ok_or_else(|| garbled("a reply is cut off"))?;
    let number = |at| number(fields, at);
    let code = i32::from_le_bytes([fields[2], fields[3], fields[4], fields[5]]);
    let outcome = match fields[0] {
        OUTPUT => Outcome::Output,
        REFUSED => Outcome::Refused {
            code,
            reason: text(reason),
        },
        TRAPPED => Outcome::Trapped {
            kind: *TrapKind::ALL
                .get(usize::from(fields[1]))
                .ok_or_else(|| garbled("a reply names an unknown trap"))?,
            reason: text(reason),
        },
        DEADLINE => Outcome::Deadline,
        OUT_OF_FUEL => Outcome::OutOfFuel,
        MEMORY_LIMIT => Outcome::MemoryLimit,
        OUTPUT_LIMIT => Outcome::OutputLimit,
        INTERFACE_VIOLATION => Outcome::InterfaceViolation(text(reason)),
        EXITED => Outcome::Exited(code),
        INVALID_GUEST => Outcome::InvalidGuest(text(reason)),
        _ => return Err(garbled("a reply names an unknown outcome")),
    };
    let phases = Phases {
        instantiate: Duration::from_nanos(number(14)),
        call: Duration::from_nanos(number(22)),
        release: Duration::from_nanos(number(30)),
        received: Duration::from_nanos(number(38)),
    };
    Ok(Reply {
        outcome,
        output,
        dropped_logs: number(6),
        phases,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;
    use crate::link::pipe::Pipe;
    use crate::payload::Body;

    fn over_a_pipe(said: &FromWorker) -> FromWorker {
        let (ours, theirs) = UnixStream::pair().unwrap();
        said.send(&mut Pipe::new(ours, 1 << 20), 3).unwrap();
        FromWorker::decode(Pipe::new(theirs, 1 << 20).receive().unwrap()).unwrap()
    }

    #[test]
    fn every_outcome_arrives_as_it_was_sent() {
        let mut outcomes = vec![
            Outcome::Output,
            Outcome::Refused {
                code: -7,
                reason: "no".into(),
            },
            Outcome::Deadline,
            Outcome::OutOfFuel,
            Outcome::MemoryLimit,
            Outcome::OutputLimit,
            Outcome::InterfaceViolation("out of range".into()),
            Outcome::InvalidGuest("too much".into()),
            Outcome::Exited(-3),
        ];
        let trapped = |kind| Outcome::Trapped {
            kind,
            reason: "because".into(),
        };
        outcomes.extend(TrapKind::ALL.map(trapped));
        for outcome in outcomes {
            let reply = FromWorker::Reply(Reply {
                outcome,
                output: b"partial".to_vec(),
                dropped_logs: 12,
                phases: Phases {
                    instantiate: Duration::from_nanos(34),
                    call: Duration::from_micros(56),
                    release: Duration::from_nanos(7),
                    received: Duration::from_secs(78),
                },
            });
            assert_eq!(over_a_pipe(&reply), reply);
        }
    }

    #[test]
    fn everything_else_that_a_worker_says_arrives_too() {
        let birth = Birth {
            began: Duration::from_nanos(12),
            loaded: Duration::from_secs(34),
        };
        let sayings = [
            FromWorker::Ready(birth, None),
            FromWorker::Ready(birth, Some(Enforcement::default())),
            FromWorker::Failed("no such file".into()),
            FromWorker::Post(vec![0, 255]),
            FromWorker::Recv(Wait::Poll),
            FromWorker::Recv(Wait::For(Duration::from_millis(1500))),
            FromWorker::Recv(Wait::Forever),
            FromWorker::Log(abi::Level::Warn, "hot".into()),
            FromWorker::Panicked("oh".into()),
            FromWorker::Fetch(Wanted {
                head: b"a head".to_vec(),
                body: vec![0, 255],
                most: 1 << 40,
            }),
            FromWorker::Fetch(Wanted {
                head: vec![b'x'; MOST_HEAD],
                body: vec![],
                most: 0,
            }),
        ];
        for said in sayings {
            assert_eq!(over_a_pipe(&said), said);
        }
    }

    #[test]
    fn whatever_comes_of_a_request_arrives() {
        let all = [
            Fetched::Answer(Answer {
                status: 404,
                headers: r#"{"a":"b"}"#.into(),
                body: vec![0, 255],
            }),
            Fetched::Answer(Answer::default()),
            Fetched::Refused("it is not allowed".into()),
            Fetched::Failed("nobody is there".into()),
            Fetched::TooLarge,
            Fetched::Interrupted,
        ];
        for fetched in all {
            let (ours, theirs) = UnixStream::pair().unwrap();
            send_fetched(&mut Pipe::new(ours, 1 << 20), 3, &fetched).unwrap();
            let frame = Pipe::new(theirs, 1 << 20).receive().unwrap();
            assert_eq!(frame.job, 3);
            let heard = FromHost::decode(frame).unwrap();
            assert!(matches!(heard, FromHost::Fetched(heard) if heard == fetched));
        }
    }

    #[test]
    fn a_request_that_describes_itself_at_too_great_a_length_is_refused() {
        let wanted = Wanted {
            head: vec![b'x'; MOST_HEAD + 1],
            body: vec![],
            most: 0,
        };
        let (ours, theirs) = UnixStream::pair().unwrap();
        send_fetch(&mut Pipe::new(ours, 1 << 20), 3, &wanted).unwrap();
        let frame = Pipe::new(theirs, 1 << 20).receive().unwrap();
        assert!(matches!(
            FromWorker::decode(frame),
            Err(LinkError::Garbled(_))
        ));
    }

    #[test]
    fn a_worker_may_not_speak_for_the_host() {
        for kind in [Kind::Setup, Kind::Job, Kind::Mail, Kind::Fetched] {
            let frame = Frame {
                kind,
                job: 0,
                body: Body::Owned(vec![]),
                trailer: (&[][..]).into(),
            };
            assert!(matches!(
                FromWorker::decode(frame),
                Err(LinkError::Garbled(_))
            ));
        }
    }

    proptest! {
        #[test]
        fn no_trailer_makes_the_decoder_panic(kind in 0usize..8, trailer: Vec<u8>, body: Vec<u8>) {
            let kinds = [Kind::Ready, Kind::Failed, Kind::Reply, Kind::Post, Kind::Recv, Kind::Log, Kind::Panicked, Kind::Fetch];
            let frame = Frame { kind: kinds[kind], job: 0, body: Body::Owned(body.clone()), trailer: trailer.as_slice().into() };
            let _ = FromWorker::decode(frame);
            for kind in [Kind::Job, Kind::Mail, Kind::Fetched] {
                let frame = Frame { kind, job: 0, body: Body::Owned(body.clone()), trailer: trailer.as_slice().into() };
                let _ = FromHost::decode(frame);
            }
        }
    }
}
