//! Faults of worker processes, and of what they need.

use super::*;

/// All of them, in the order of their families.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::new(
        "W1.kill",
        "the worker gets SIGKILL",
        signal(libc::SIGKILL),
        Ends(&[(Ending::HostDied(libc::SIGKILL), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGKILL), Loss::Worker)]),
    )
    .row(Fault::Kill)
    .tests(&[(
        "tests/containment.rs",
        "the_job_in_flight_gets_the_real_cause_and_the_next_one_is_served",
    )]),
    Entry::new(
        "W1.segv",
        "the worker gets SIGSEGV",
        signal(libc::SIGSEGV),
        Ends(&[(Ending::HostDied(libc::SIGSEGV), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGSEGV), Loss::Worker)]),
    ),
    Entry::new(
        "W1.abrt",
        "the worker gets SIGABRT",
        signal(libc::SIGABRT),
        Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)]),
    ),
    Entry::new(
        "W1.bus",
        "the worker gets SIGBUS",
        signal(libc::SIGBUS),
        Ends(&[(Ending::HostDied(libc::SIGBUS), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGBUS), Loss::Worker)]),
    ),
    Entry::new(
        "W1.sys",
        "the worker gets SIGSYS",
        signal(libc::SIGSYS),
        Ends(&[(Ending::HostDied(libc::SIGSYS), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)]),
    ),
    Entry::new(
        "W1.term",
        "the worker gets SIGTERM",
        signal(libc::SIGTERM),
        Ends(&[(Ending::HostDied(libc::SIGTERM), Loss::Host)]),
        Ends(&[(Ending::Signalled(libc::SIGTERM), Loss::Worker)]),
    ),
    Entry::of_processes(
        "W1.exit-early",
        "the worker exits with code 0 in the middle of a job",
        native(Misdeed::ExitEarly),
        Ends(&[(Ending::Exited(0), Loss::Worker)]),
    ),
    Entry::of_processes(
        "W1.exit-mid-reply",
        "the worker exits in the middle of its reply",
        native(Misdeed::ExitMidReply),
        Ends(&[(Ending::Exited(9), Loss::Worker)]),
    )
    .tests(&[(
        "tests/hostile/main.rs",
        "a_hostile_worker_costs_nobody_but_the_job_that_it_was_given",
    )]),
    Entry::new(
        "W2.stop",
        "the worker gets SIGSTOP",
        signal(libc::SIGSTOP),
        Ends(&[(Ending::HostStopped, Loss::HostStopped)]),
        GIVEN_UP,
    )
    .within(LONGER)
    .row(Fault::Stop)
    .tests(&[
        (
            "tests/containment.rs",
            "a_worker_that_is_stopped_hangs_and_is_replaced",
        ),
        (
            "tests/containment.rs",
            "a_worker_that_was_stopped_before_its_job_hangs_too",
        ),
    ]),
    Entry::new(
        "W2.livelock",
        "host code spins",
        drill(Drill::Spin(STUCK)),
        GIVEN_UP,
        KILLED_AT_ITS_DEADLINE,
    )
    .within(BRIEF),
    Entry::of_processes(
        "W2.silent",
        "a native worker spins and says nothing",
        native(Misdeed::Livelock),
        KILLED_AT_ITS_DEADLINE,
    )
    .within(BRIEF),
    Entry::of_processes(
        "W3.out-of-memory",
        "the kernel kills the worker for want of memory",
        Proof::Open("there is no such death yet; it is told as signal 9"),
        Told("worker died of signal 9, worker replaced"),
    ),
    Entry::of_processes(
        "W4.dies-at-every-start",
        "the worker dies at every start",
        Proof::Tested,
        Told("back-off, then quarantine, with its last words"),
    )
    .tests(&[
        (
            "tests/containment.rs",
            "a_worker_program_that_does_not_serve_is_given_up_with_its_last_words",
        ),
        (
            "src/pool/tests.rs",
            "a_worker_that_never_starts_is_given_up_and_every_job_is_told_why",
        ),
        (
            "src/pool/policy.rs",
            "pauses_double_and_the_fifth_failure_is_the_last",
        ),
        (
            "tests/hostile/main.rs",
            "a_worker_that_attacks_before_it_is_ready_is_no_worker",
        ),
    ]),
    Entry::of_processes(
        "W5.host-killed",
        "the host is killed at any point",
        Proof::Tested,
        Told("no worker is left after a second"),
    )
    .tests(&[(
        "tests/containment.rs",
        "no_worker_outlives_a_host_that_is_killed_by_a_second",
    )]),
    Entry::of_processes(
        "W6.leaks",
        "workers crash and are replaced, over and over",
        Proof::Tested,
        Told("no zombie, no descriptor, no map is left"),
    )
    .tests(&[
        (
            "tests/containment.rs",
            "two_hundred_kills_leave_no_zombie_and_no_descriptor",
        ),
        (
            "tests/containment.rs",
            "pools_that_come_and_go_leave_nothing",
        ),
    ]),
    Entry::of_processes(
        "W7.noise",
        "the worker writes a GiB of garbage to stdout and stderr",
        native(Misdeed::Noise),
        Ends(WELL),
    )
    .tests(&[
        (
            "src/worker/nursery.rs",
            "a_child_that_floods_its_stdout_does_not_block",
        ),
        (
            "src/worker/chatter.rs",
            "the_end_is_kept_and_the_rest_is_counted",
        ),
    ]),
    Entry::of_processes(
        "W8.torn",
        "half a reply, and then nothing",
        native(Misdeed::HalfAReply),
        KILLED_AT_ITS_DEADLINE,
    )
    .within(BRIEF)
    .tests(&[(
        "src/link/pipe.rs",
        "a_frame_that_is_torn_anywhere_is_a_hang_up",
    )]),
    Entry::of_processes(
        "W8.byte-by-byte",
        "a good reply, one byte at a time",
        native(Misdeed::ByteByByte),
        Ends(WELL),
    ),
    Entry::of_processes(
        "W8.magic",
        "a reply with the wrong magic number",
        native(Misdeed::WrongMagic),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.version",
        "a reply of another version",
        native(Misdeed::WrongVersion),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.kind",
        "a reply of an unknown kind",
        native(Misdeed::WrongKind),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.job",
        "a reply to another job",
        native(Misdeed::WrongJob),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.length",
        "a reply that announces 4 GiB",
        native(Misdeed::LengthLie),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.trailer",
        "a reply whose trailer is too short",
        native(Misdeed::ShortTrailer),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.ready",
        "the word that it is ready, in the middle of a job",
        native(Misdeed::ReadyAgain),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.twice",
        "a good reply, twice",
        native(Misdeed::DoubleReply),
        Ends(&[(Ending::Output, Loss::Worker)]),
    )
    .next(Next::GoodAfterOne),
    Entry::of_processes(
        "W8.late",
        "a reply when the deadline is over",
        native(Misdeed::LateReply),
        KILLED_AT_ITS_DEADLINE,
    )
    .within(BRIEF),
    Entry::of_processes(
        "W8.request",
        "it asks for something to be fetched, in too short a frame",
        native(Misdeed::ShortRequest),
        GARBLED,
    ),
    Entry::of_processes(
        "W8.network",
        "it asks its host to fetch what nobody allowed",
        native(Misdeed::AsksForTheNetwork),
        Ends(WELL),
    )
    .tests(&[(
        "tests/hostile/main.rs",
        "a_hostile_worker_fetches_from_no_other_host_than_those_that_were_allowed",
    )]),
    Entry::of_processes(
        "W8.shared-memory",
        "the same through shared memory",
        Proof::Tested,
        Told("worker broke the protocol, worker replaced; or the reply of an honest one"),
    )
    .tests(&[
        (
            "tests/hostile/main.rs",
            "a_hostile_worker_costs_nobody_but_the_job_that_it_was_given",
        ),
        (
            "src/link/fuzz.rs",
            "a_few_frame_headers_are_judged_as_by_a_second_opinion",
        ),
    ]),
    Entry::of_processes(
        "W9.shared-memory",
        "hostile indices, lengths, writes after the reply, truncation, endless wake-ups",
        Proof::Tested,
        Told("worker broke the protocol or deadline, worker replaced; the seals hold"),
    )
    .tests(&[
        (
            "tests/hostile/main.rs",
            "a_hostile_worker_costs_nobody_but_the_job_that_it_was_given",
        ),
        (
            "src/link/shm/tests.rs",
            "nothing_that_a_worker_writes_does_more_than_to_break_its_link",
        ),
        (
            "src/link/fuzz.rs",
            "a_few_ring_records_are_judged_as_by_a_second_opinion",
        ),
    ]),
    Entry::new(
        "W10.nth-call-fails",
        "any system call fails in turn",
        Proof::Open(
            "no test makes each call fail in turn; short reads and writes are tested on the pipe",
        ),
        Told("typed error, or another try"),
        Told("typed error, or another try"),
    )
    .tests(&[(
        "src/link/pipe.rs",
        "a_frame_that_arrives_byte_by_byte_is_whole",
    )]),
    Entry::new(
        "W11.cache",
        "the cache of compiled code is damaged, cut off, stale or not to be used",
        Proof::Tested,
        Told(CACHE),
        Told(CACHE),
    )
    .tests(&[
        (
            "src/runtime/cache.rs",
            "an_entry_with_any_byte_changed_is_damaged",
        ),
        (
            "src/runtime/cache.rs",
            "an_entry_cut_off_anywhere_is_damaged",
        ),
        (
            "src/runtime/cache.rs",
            "a_folder_that_others_may_write_is_not_used",
        ),
        (
            "tests/cli.rs",
            "a_damaged_cache_entry_is_made_anew_with_a_warning",
        ),
        (
            "tests/cli.rs",
            "a_cache_that_cannot_be_used_is_a_warning_and_no_more",
        ),
    ]),
    Entry::of_processes(
        "W12.fork-server-dies",
        "the fork server is killed at any moment",
        Proof::Tested,
        Told("no job is lost, no orphan is left, it is replaced"),
    )
    .tests(&[
        (
            "tests/start_methods.rs",
            "a_server_killed_at_any_moment_costs_no_job_and_leaves_no_orphan",
        ),
        (
            "tests/start_methods.rs",
            "workers_outlive_the_server_that_they_were_forked_from",
        ),
    ]),
    Entry::of_processes(
        "W12.another-build",
        "the worker program is another build",
        Proof::Open("the fingerprint is compared by each worker; no test has two builds"),
        Told("worker did not start: the fingerprints differ"),
    )
    .tests(&[(
        "src/runtime/config.rs",
        "what_changes_the_compiled_code_changes_the_fingerprint",
    )]),
    Entry::new(
        "W13.signals-to-the-host",
        "Ctrl-C once and twice, SIGTERM",
        Proof::Tested,
        Told(DRAINED),
        Told(DRAINED),
    )
    .tests(&[
        (
            "tests/cli.rs",
            "the_first_signal_finishes_the_jobs_that_have_begun",
        ),
        ("tests/cli.rs", "the_second_signal_kills_the_jobs_that_run"),
        (
            "tests/cli.rs",
            "a_signal_while_nothing_comes_ends_the_program",
        ),
    ]),
    Entry::of_processes(
        "W14.no-sandbox",
        "the kernel does not have what workers are hardened with",
        Proof::Tested,
        Told("best effort runs, and says what is missing; `required` does not start"),
    )
    .tests(&[
        (
            "tests/hardening.rs",
            "what_the_kernel_does_not_have_is_told_with_the_reason_and_the_rest_holds",
        ),
        (
            "tests/hardening.rs",
            "a_worker_that_cannot_be_hardened_as_required_does_not_start",
        ),
    ]),
];
