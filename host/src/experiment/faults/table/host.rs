//! Faults of host code, and what an escaped guest does in its place.

use super::*;

/// All of them, in the order of their families.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::alike(
        "H1.panic",
        "a host function panics",
        drill(Drill::Panic),
        &[(Ending::Panicked, Loss::Worker)],
    )
    .row(Fault::HostPanic)
    .tests(&[(
        "tests/containment.rs",
        "a_handler_that_panics_costs_its_worker_and_nothing_else",
    )]),
    Entry::new(
        "H2.abort",
        "a host function aborts",
        drill(Drill::Abort),
        Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)]),
    )
    .row(Fault::HostAbort),
    Entry::new(
        "H2.exit",
        "a host function ends the program",
        drill(Drill::Exit(3)),
        Ends(&[(Ending::HostExited(3), Loss::Host)]),
        Ends(&[(Ending::Exited(3), Loss::Worker)]),
    ),
    Entry::new(
        "H2.double-panic",
        "a host function panics while it panics",
        drill(Drill::DoublePanic),
        Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)]),
    ),
    Entry::new(
        "H3.overflow",
        "the native stack overflows in host code",
        drill(Drill::Overflow),
        Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)]),
    ),
    Entry::new(
        "H4.segfault",
        "host code touches memory that is not there",
        drill(Drill::Segfault),
        Ends(&[(Ending::HostDied(libc::SIGSEGV), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGSEGV), Loss::Worker)]),
    )
    .row(Fault::HostSegfault),
    Entry::new(
        "H5.allocation",
        "the allocator has no more memory",
        drill(Drill::Allocate),
        Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)]),
    ),
    Entry::new(
        "H6.reads-a-file",
        "an escaped guest reads a file",
        act(Act::ReadFile),
        Ends(WELL),
        Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)]),
    )
    .also(Also::Could),
    Entry::new(
        "H6.lists-a-folder",
        "an escaped guest lists a folder",
        act(Act::ListFolder),
        Ends(WELL),
        Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)]),
    )
    .also(Also::Could),
    Entry::new(
        "H6.makes-a-socket",
        "an escaped guest makes a socket",
        act(Act::Socket),
        Ends(WELL),
        Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)]),
    )
    .also(Also::Could),
    Entry::new(
        "H6.asks-for-the-host",
        "an escaped guest asks whether it may signal its host",
        act(Act::SignalHost),
        Ends(WELL),
        Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)]),
    )
    .also(Also::Could),
    Entry::new(
        "H6.copies-host-memory",
        "an escaped guest copies memory out of its host",
        act(Act::CopyHostMemory),
        Ends(WELL),
        Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)]),
    )
    .also(Also::Could),
    Entry::new(
        "H6.makes-code",
        "an escaped guest makes memory that is code",
        act(Act::MakeCode),
        Ends(WELL),
        Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)]),
    )
    .also(Also::Could),
    Entry::new(
        "H6.everything-else",
        "an escaped guest tries all that it must not",
        Proof::Tested,
        Told("most of it is done; the report lists it"),
        Told("nothing of it is done"),
    )
    .tests(&[(
        "tests/compare.rs",
        "a_quick_comparison_judges_every_claim_and_every_form_is_made_from_its_file",
    )]),
];
