//! The catalogue itself.
//!
//! The names of the families are those of the lists of faults that any host of foreign code has to think of: `G` are faults
//! of guests, `H` of host code, `W` of worker processes.

use std::time::Duration;

use super::Fault;
use super::entry::{Also, Entry, How, Injection, Misdeed, Next, Proof};
use super::expectation::{Ending, Expected, Loss, Refusal};
use crate::job::TrapKind;
use crate::runtime::Drill;
use crate::sys::escape::Act;

use Expected::{Absent, Ends, Told};

/// The proof by a guest of this name.
macro_rules! guest {
    ($name:literal) => {
        Proof::Injected(How(Injection::Guest(include_str!(concat!(
            "../guests/",
            $name,
            ".wat"
        )))))
    };
}

/// The ending of a guest that trapped.
macro_rules! trapped {
    ($kind:ident) => {
        &[(Ending::Trapped(TrapKind::$kind), Loss::Instance)]
    };
}

/// The ending of bytes that are no guest.
macro_rules! refused {
    ($why:ident) => {
        &[(Ending::NotAGuest(Refusal::$why), Loss::Nothing)]
    };
}

mod guest;
mod host;
mod worker;

/// Every fault that is known.
pub static CATALOGUE: &[Entry] = &ALL;

static ALL: [Entry; COUNT] = joined([guest::ENTRIES, host::ENTRIES, worker::ENTRIES]);

const COUNT: usize = guest::ENTRIES.len() + host::ENTRIES.len() + worker::ENTRIES.len();

const fn joined(parts: [&[Entry]; 3]) -> [Entry; COUNT] {
    let mut all = [parts[0][0]; COUNT];
    let (mut part, mut place) = (0, 0);
    while part < parts.len() {
        let mut within = 0;
        while within < parts[part].len() {
            all[place] = parts[part][within];
            place += 1;
            within += 1;
        }
        part += 1;
    }
    all
}

/// Ways in which a job may end, with the loss of each.
type Endings = &'static [(Ending, Loss)];

const WELL: Endings = &[(Ending::Output, Loss::Nothing)];
const MEMORY_LIMIT: Endings = &[(Ending::MemoryLimit, Loss::Instance)];
const OUTPUT_LIMIT: Endings = &[(Ending::OutputLimit, Loss::Instance)];
const BROKEN: Endings = &[(Ending::InterfaceViolation, Loss::Instance)];
const KILLED_AT_ITS_DEADLINE: Expected = Ends(&[(Ending::Deadline, Loss::Worker)]);
const GIVEN_UP: Expected = Ends(&[(Ending::Hung, Loss::Worker)]);
const GARBLED: Expected = Ends(&[(Ending::Garbled, Loss::Worker)]);

const fn drill(drill: Drill) -> Proof {
    Proof::Injected(How(Injection::Drill(drill)))
}

const fn act(act: Act) -> Proof {
    Proof::Injected(How(Injection::Act(act)))
}

const fn signal(signal: i32) -> Proof {
    Proof::Injected(How(Injection::Signal(signal)))
}

const fn native(misdeed: Misdeed) -> Proof {
    Proof::Injected(How(Injection::Native(misdeed)))
}

const fn module(bytes: &'static [u8]) -> Proof {
    Proof::Injected(How(Injection::Module(bytes)))
}

impl Entry {
    const fn new(
        id: &'static str,
        title: &'static str,
        proof: Proof,
        thread: Expected,
        process: Expected,
    ) -> Self {
        Self {
            id,
            title,
            proof,
            tests: &[],
            row: None,
            thread,
            process,
            deadline: None,
            also: Also::Nothing,
            next: Next::Good,
        }
    }

    /// The same in both isolations.
    const fn alike(
        id: &'static str,
        title: &'static str,
        proof: Proof,
        ends: &'static [(Ending, Loss)],
    ) -> Self {
        Self::new(id, title, proof, Ends(ends), Ends(ends))
    }

    /// What concerns worker processes alone.
    const fn of_processes(
        id: &'static str,
        title: &'static str,
        proof: Proof,
        process: Expected,
    ) -> Self {
        Self::new(id, title, proof, Absent("a thread is no process"), process)
    }

    /// What ends the job by its deadline in both isolations: a thread is interrupted, a process is killed.
    const fn overdue(id: &'static str, title: &'static str, proof: Proof) -> Self {
        let mut entry = Self::new(
            id,
            title,
            proof,
            Ends(&[(Ending::Deadline, Loss::Instance)]),
            KILLED_AT_ITS_DEADLINE,
        );
        entry.deadline = Some(BRIEF);
        entry
    }

    const fn row(mut self, row: Fault) -> Self {
        self.row = Some(row);
        self
    }

    const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    const fn also(mut self, also: Also) -> Self {
        self.also = also;
        self
    }

    const fn next(mut self, next: Next) -> Self {
        self.next = next;
        self
    }

    const fn tests(mut self, tests: &'static [(&'static str, &'static str)]) -> Self {
        self.tests = tests;
        self
    }
}

/// The deadline of jobs that never end: long enough to have begun by then.
const BRIEF: Duration = Duration::from_millis(100);

/// The deadline of jobs whose worker is stopped: the signal has to come before.
const LONGER: Duration = Duration::from_millis(500);

/// How long host code keeps a thread that is to be given up: past the deadline and the grace, and not for ever,
/// since a long run would be left with a thread for each.
const STUCK: u32 = 1500;

const NO_CALL_BACK: &str =
    "interface 1 has no import that calls back into the guest, so there is no such recursion";
const FLIPPED: &str = "refused by name, or it runs to a typed end";
const COMPILED_APART: &str = "compiled or refused in time, in a process of its own";
const CACHE: &str = "compiled anew, and told";
const DRAINED: &str = "what has begun is finished, then killed; no orphan";

const NO_ENTRY: &[u8] =
    br#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1")))"#;
const WRONG_ENTRY: &[u8] =
    br#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1"))
    (func (export "handle") (result i64) (i64.const 0)))"#;
const UNKNOWN_IMPORT: &[u8] =
    br#"(module (import "env" "nothing" (func)) (memory (export "memory") 1)
    (func (export "cofferdam_abi_1")) (func (export "handle") (result i32) (i32.const 0)))"#;
const INVALID_BODY: &[u8] =
    br#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1"))
    (func (export "handle") (result i32)))"#;
