//! How a running guest talks with the host, whatever lies between them.
//!
//! The runtime knows one trait. In a thread, and in the host's half of a process worker, it is the
//! job's own [`Mailbox`]; in the child's half it is a relay that turns each call into frames.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cofferdam_guest::abi::Level;
use crossbeam_channel::{Receiver, RecvError, TryRecvError, select};

use crate::fetch::{self, Fetched, Halt, Wanted};
use crate::hosts::Hosts;
use crate::job::{Inbox, Sender};
use crate::sys::shm::Arena;

pub(crate) type PostHandler = Arc<dyn Fn(&Sender<'_>, &[u8]) + Send + Sync>;
pub(crate) type LogHandler = Arc<dyn Fn(&Sender<'_>, Level, &str) + Send + Sync>;

/// What came of waiting for a message from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message.
    Message(Vec<u8>),
    /// None came in time.
    TimedOut,
    /// None will come any more.
    Closed,
    /// The wait was broken off: the job is over.
    Interrupted,
}

/// How long a guest waits for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    Poll,
    /// So long.
    For(Duration),
    /// Until one comes, the way is closed, or the wait is interrupted.
    Forever,
}

/// The host's side of `post`, `recv` and `log`, and of what a plugin fetches.
pub(crate) trait Mail: Send + Sync {
    /// Hands over a message that the guest posted. `false` when nobody can be reached any more.
    fn post(&self, message: &[u8]) -> bool;
    /// Takes the next message for the guest. Anything on `interrupt`, or its hang-up, ends the wait.
    fn recv(&self, wait: Wait, interrupt: &Receiver<()>) -> Received;
    /// Hands over a line that the guest logged.
    fn log(&self, level: Level, line: &str);
    /// Fetches something for the guest from the hosts that it may fetch from; the word that the job is over ends the wait.
    /// In a worker process both are of no account: its host knows its own.
    fn fetch(&self, wanted: Wanted, hosts: &Hosts, halt: &dyn Halt) -> Fetched;
    /// Where the guest's output is to lie, if not in a vector.
    fn arena(&self) -> Option<Arc<Arena>> {
        None
    }
}

/// The correspondence of one job.
#[derive(Clone, Default)]
pub(crate) struct Mailbox {
    pub(crate) on_post: Option<PostHandler>,
    pub(crate) on_log: Option<LogHandler>,
    pub(crate) inbox: Option<Inbox>,
    /// The worker's label and the job's number, where there are handlers to be told them.
    pub(crate) signature: Option<(Arc<str>, u64)>,
    /// Set on the child's side: everything goes over the link instead.
    pub(crate) relay: Option<Arc<dyn Mail>>,
}

impl Mailbox {
    /// The mailbox of a job that has none.
    pub(crate) fn none() -> &'static Self {
        static NONE: Mailbox = Mailbox {
            on_post: None,
            on_log: None,
            inbox: None,
            signature: None,
            relay: None,
        };
        &NONE
    }

    /// The mailbox of every job on the child's side.
    pub(crate) fn relayed(relay: Arc<dyn Mail>) -> Arc<Self> {
        Arc::new(Self {
            relay: Some(relay),
            ..Self::default()
        })
    }

    pub(crate) fn has_handlers(&self) -> bool {
        self.on_post.is_some() || self.on_log.is_some()
    }

    fn sender(&self) -> Sender<'_> {
        let signature = self.signature.as_ref();
        let (worker, job) = signature.map_or(("", 0), |(worker, job)| (&**worker, *job));
        Sender { worker, job }
    }
}

impl Mail for Mailbox {
    fn post(&self, message: &[u8]) -> bool {
        if let Some(relay) = &self.relay {
            return relay.post(message);
        }
        if let Some(handler) = &self.on_post {
            handler(&self.sender(), message);
        }
        true
    }

    fn recv(&self, wait: Wait, interrupt: &Receiver<()>) -> Received {
        if let Some(relay) = &self.relay {
            return relay.recv(wait, interrupt);
        }
        let Some(Inbox {
            messages: inbox,
            taken: mark,
        }) = &self.inbox
        else {
            return Received::Closed;
        };
        let taken =
            |result: Result<Vec<u8>, RecvError>| result.map_or(Received::Closed, Received::Message);
        let received = match wait {
            Wait::Poll => match inbox.try_recv() {
                Ok(message) => Received::Message(message),
                Err(TryRecvError::Empty) => Received::TimedOut,
                Err(TryRecvError::Disconnected) => Received::Closed,
            },
            Wait::For(span) => select! {
                recv(inbox) -> result => taken(result),
                recv(interrupt) -> _ => Received::Interrupted,
                default(span) => Received::TimedOut,
            },
            Wait::Forever => select! {
                recv(inbox) -> result => taken(result),
                recv(interrupt) -> _ => Received::Interrupted,
            },
        };
        if let Received::Message(_) = received {
            mark.store(true, Ordering::SeqCst);
        }
        received
    }

    fn log(&self, level: Level, line: &str) {
        if let Some(relay) = &self.relay {
            relay.log(level, line);
        } else if let Some(handler) = &self.on_log {
            handler(&self.sender(), level, &printable(line));
        }
    }

    fn fetch(&self, wanted: Wanted, hosts: &Hosts, halt: &dyn Halt) -> Fetched {
        match &self.relay {
            Some(relay) => relay.fetch(wanted, hosts, halt),
            None => fetch::fetch(&wanted, hosts, halt),
        }
    }

    fn arena(&self) -> Option<Arc<Arena>> {
        self.relay.as_ref().and_then(|relay| relay.arena())
    }
}

/// A guest's words with control characters escaped, so that they cannot steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The same for a text of several lines, whose ends stay.
pub(crate) fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Job;

    fn quiet() -> (crossbeam_channel::Sender<()>, Receiver<()>) {
        crossbeam_channel::bounded(1)
    }

    #[test]
    fn without_an_inbox_the_way_is_closed_at_once() {
        let (_keep, interrupt) = quiet();
        assert_eq!(
            Job::new("").mail().recv(Wait::Forever, &interrupt),
            Received::Closed
        );
    }

    #[test]
    fn messages_arrive_in_order_and_then_the_close() {
        let (_keep, interrupt) = quiet();
        let (job, outbox) = Job::new("").with_inbox();
        outbox.post("one").unwrap();
        outbox.post("two").unwrap();
        drop(outbox);
        assert_eq!(
            job.mail().recv(Wait::Poll, &interrupt),
            Received::Message(b"one".to_vec())
        );
        assert_eq!(
            job.mail().recv(Wait::Forever, &interrupt),
            Received::Message(b"two".to_vec())
        );
        assert_eq!(job.mail().recv(Wait::Forever, &interrupt), Received::Closed);
    }

    #[test]
    fn an_endless_wait_ends_when_it_is_interrupted() {
        let (interrupter, interrupt) = quiet();
        let (job, _outbox) = Job::new("").with_inbox();
        interrupter.send(()).unwrap();
        assert_eq!(
            job.mail().recv(Wait::Forever, &interrupt),
            Received::Interrupted
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_log() {
        assert_eq!(
            printable("a\u{1b}[2Jb\nc\u{9b}d\té"),
            r"a\u{1b}[2Jb\nc\u{9b}d".to_owned() + "\té"
        );
    }

    #[test]
    fn a_wait_with_an_open_inbox_times_out() {
        let (_keep, interrupt) = quiet();
        let (job, _outbox) = Job::new("").with_inbox();
        let wait = Wait::For(Duration::from_millis(1));
        assert_eq!(job.mail().recv(wait, &interrupt), Received::TimedOut);
    }
}
