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

macro_rules! guest {
    ($name:literal) => {
        Proof::Injected(How(Injection::Guest(include_str!(concat!(
            "guests/", $name, ".wat"
        )))))
    };
}

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
            Ends(&[(Ending::Deadline, Loss::Worker)]),
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

const NO_ENTRY: &[u8] = br#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1")))"#;
const WRONG_ENTRY: &[u8] = br#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1"))
    (func (export "handle") (result i64) (i64.const 0)))"#;
const UNKNOWN_IMPORT: &[u8] = br#"(module (import "env" "nothing" (func)) (memory (export "memory") 1)
    (func (export "cofferdam_abi_1")) (func (export "handle") (result i32) (i32.const 0)))"#;
const INVALID_BODY: &[u8] = br#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1"))
    (func (export "handle") (result i32)))"#;

/// Every fault that is known.
pub const CATALOGUE: &[Entry] = &[
    Entry::alike("G1.unreachable", "the guest gives up", guest!("unreachable"), &[(Ending::Trapped(TrapKind::Unreachable), Loss::Instance)]).row(Fault::Trap),
    Entry::alike("G1.divide-by-zero", "the guest divides by zero", guest!("divide_by_zero"), &[(Ending::Trapped(TrapKind::DivisionByZero), Loss::Instance)]),
    Entry::alike("G1.integer-overflow", "a division of the guest overflows", guest!("integer_overflow"), &[(Ending::Trapped(TrapKind::IntegerOverflow), Loss::Instance)]),
    Entry::alike("G1.bad-conversion", "the guest converts what is no number", guest!("bad_conversion"), &[(Ending::Trapped(TrapKind::BadConversion), Loss::Instance)]),
    Entry::alike("G1.out-of-bounds", "the guest reads outside its memory", guest!("out_of_bounds"), &[(Ending::Trapped(TrapKind::MemoryOutOfBounds), Loss::Instance)]),
    Entry::alike("G1.null-call", "the guest calls through an empty table element", guest!("null_call"), &[(Ending::Trapped(TrapKind::NullCall), Loss::Instance)]),
    Entry::alike("G1.bad-signature", "the guest calls with the wrong signature", guest!("bad_signature"), &[(Ending::Trapped(TrapKind::BadSignature), Loss::Instance)]),
    Entry::alike("G1.table-out-of-bounds", "the guest calls past the end of a table", guest!("table_out_of_bounds"), &[(Ending::Trapped(TrapKind::TableOutOfBounds), Loss::Instance)]),
    Entry::alike("G1.in-start", "the guest traps in its start function", guest!("start_trap"), &[(Ending::Trapped(TrapKind::Unreachable), Loss::Instance)]).next(Next::Alike),
    Entry::alike("G2.recursion", "the guest calls itself without end", guest!("recursion"), &[(Ending::Trapped(TrapKind::StackOverflow), Loss::Instance)]).row(Fault::Recursion),
    Entry::new("G2.through-the-host", "the guest recurses through the host", Proof::Tested, Absent(NO_CALL_BACK), Absent(NO_CALL_BACK)),
    Entry::overdue("G3.loop", "the guest loops without end", guest!("loop")).row(Fault::Loop),
    Entry::overdue("G3.start-loop", "the guest loops in its start function", guest!("start_loop")).next(Next::Alike),
    Entry::new("G4.fill", "huge `memory.fill`, which nothing interrupts", guest!("fill"), Ends(&[(Ending::Deadline, Loss::Instance), (Ending::Hung, Loss::Worker)]), Ends(&[(Ending::Deadline, Loss::Worker)])).within(BRIEF),
    Entry::new("G4.copy", "huge `memory.copy`, which nothing interrupts", guest!("copy"), Ends(&[(Ending::Deadline, Loss::Instance), (Ending::Hung, Loss::Worker)]), Ends(&[(Ending::Deadline, Loss::Worker)])).within(BRIEF),
    Entry::overdue("G5.waits-in-the-host", "the guest waits in the host for what never comes", guest!("wait")).row(Fault::Wait).tests(&[("tests/containment.rs", "a_guest_that_spins_through_the_host_is_stopped_too"), ("tests/conformance.rs", "a_guest_that_waits_for_a_message_hears_the_deadline")]),
    Entry::new("G5.stuck-in-the-host", "a host function does not come back", drill(Drill::Sleep(STUCK)), Ends(&[(Ending::Hung, Loss::Worker)]), Ends(&[(Ending::Deadline, Loss::Worker)])).within(BRIEF).tests(&[("tests/containment.rs", "a_thread_stuck_in_host_code_is_abandoned_and_its_job_hung")]),
    Entry::alike("G6.grow", "the guest takes all memory", guest!("grow"), &[(Ending::MemoryLimit, Loss::Instance)]).row(Fault::Grow).tests(&[("tests/hardening.rs", "every_layer_holds_in_every_kind_of_worker_and_the_kernel_says_so")]),
    Entry::alike("G6.many-memories", "the guest takes memory in several memories", guest!("many_memories"), &[(Ending::MemoryLimit, Loss::Instance)]),
    Entry::alike("G6.huge-minimum", "the guest begins with 4 GiB", guest!("huge_minimum"), &[(Ending::MemoryLimit, Loss::Instance)]).next(Next::Alike),
    Entry::alike("G6.table-bomb", "the guest takes all memory by a table", guest!("table_bomb"), &[(Ending::MemoryLimit, Loss::Instance)]),
    Entry::alike("G7.empty", "an empty file", module(b""), &[(Ending::NotAGuest(Refusal::Empty), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.not-wasm", "a native program", module(b"\x7fELF\x02\x01\x01\0"), &[(Ending::NotAGuest(Refusal::NotWasm), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.cut-in-the-header", "a module that is cut off in its header", module(b"\0asm\x01"), &[(Ending::NotAGuest(Refusal::Invalid), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.truncated", "a module that is cut off in a section", module(b"\0asm\x01\0\0\0\x01\x7f\x60"), &[(Ending::NotAGuest(Refusal::Invalid), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.flipped-magic", "a module with one bit of its magic number flipped", module(b"\0asl\x01\0\0\0"), &[(Ending::NotAGuest(Refusal::NotWasm), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.flipped-version", "a module with one bit of its version flipped", module(b"\0asm\x03\0\0\0"), &[(Ending::NotAGuest(Refusal::Invalid), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.component", "a component in place of a module", module(b"\0asm\x0d\0\x01\0"), &[(Ending::NotAGuest(Refusal::Component), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.bad-text", "a text with a mistake", module(b"(module (func nonsense))"), &[(Ending::NotAGuest(Refusal::InvalidText), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.no-marker", "a module without the marker of the interface", module(b"(module)"), &[(Ending::NotAGuest(Refusal::NoMarker), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.missing-export", "a guest without an entry", module(NO_ENTRY), &[(Ending::NotAGuest(Refusal::MissingExport), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.wrong-export", "a guest whose entry has the wrong type", module(WRONG_ENTRY), &[(Ending::NotAGuest(Refusal::WrongExport), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.unknown-import", "a guest that imports what nobody offers", module(UNKNOWN_IMPORT), &[(Ending::NotAGuest(Refusal::UnknownImports), Loss::Nothing)]).next(Next::Nothing),
    Entry::alike("G7.invalid-body", "a guest with a function that does not validate", module(INVALID_BODY), &[(Ending::NotCompiled, Loss::Nothing)]).next(Next::Nothing).tests(&[("tests/compile.rs", "a_module_that_is_not_valid_is_refused_as_it_is_inline")]),
    Entry::new("G7.flipped-anywhere", "a guest with any one bit flipped", Proof::Tested, Told(FLIPPED), Told(FLIPPED)).tests(&[("tests/faults/main.rs", "a_guest_with_any_bit_flipped_is_refused_or_runs_to_an_end"), ("src/guest/interface.rs", "a_module_that_is_cut_off_is_invalid_at_every_length")]),
    Entry::new("G8.huge-function", "a function that takes for ever to compile", Proof::Tested, Told(COMPILED_APART), Told(COMPILED_APART)).tests(&[("tests/compile.rs", "a_module_that_takes_too_long_to_compile_is_given_up_in_time")]),
    Entry::new("G8.memory", "a function that takes too much memory to compile", Proof::Tested, Told(COMPILED_APART), Told(COMPILED_APART)).tests(&[("tests/compile.rs", "a_module_that_takes_too_much_memory_to_compile_says_so")]),
    Entry::new("G8.many-parts", "very many functions, very many empty segments", Proof::Tested, Told(COMPILED_APART), Told(COMPILED_APART)).tests(&[("tests/compile.rs", "many_functions_and_many_empty_segments_are_compiled_or_refused_within_the_limits")]),
    Entry::alike("G9.range-wraps", "a range that wraps around", guest!("range_wraps"), &[(Ending::InterfaceViolation, Loss::Instance)]).row(Fault::Lie).tests(&[("tests/conformance.rs", "every_lie_of_the_liar_is_caught_in_the_call_that_told_it"), ("tests/conformance.rs", "a_range_may_touch_the_end_of_the_memory_and_not_pass_it")]),
    Entry::alike("G9.range-of-4-gib", "a range of 4 GiB", guest!("range_of_four_gib"), &[(Ending::InterfaceViolation, Loss::Instance)]),
    Entry::alike("G9.range-past-the-end", "a range that ends one byte behind the memory", guest!("range_past_the_end"), &[(Ending::InterfaceViolation, Loss::Instance)]),
    Entry::alike("G9.range-to-write-to", "a range that the host is to write to", guest!("range_to_write_to"), &[(Ending::InterfaceViolation, Loss::Instance)]),
    Entry::alike("G10.output-flood", "the guest floods its reply", guest!("output_flood"), &[(Ending::OutputLimit, Loss::Instance)]).row(Fault::Flood),
    Entry::alike("G10.message-flood", "the guest floods its host with messages", guest!("message_flood"), &[(Ending::OutputLimit, Loss::Instance)]),
    Entry::alike("G10.log-flood", "the guest floods its log", guest!("log_flood"), &[(Ending::Output, Loss::Nothing)]).also(Also::DropsLogLines).tests(&[("tests/conformance.rs", "a_flood_of_log_lines_is_cut_at_the_jobs_share_and_the_rest_is_counted")]),
    Entry::alike("G10.terminal-escapes", "the guest logs what steers a terminal", guest!("escapes"), &[(Ending::Output, Loss::Nothing)]).also(Also::LogsALine).tests(&[("tests/cli.rs", "no_control_character_of_a_guest_reaches_the_terminal"), ("tests/cli.rs", "no_control_character_of_a_module_reaches_the_terminal")]),
    Entry::alike("G11.trap-after-output", "the guest traps after it wrote", guest!("trap_after_output"), &[(Ending::Trapped(TrapKind::Unreachable), Loss::Instance)]).also(Also::KeepsOutput(b"partial")),
    Entry::alike("G11.refuses-after-output", "the guest ends with a code after it wrote", guest!("refuses_after_output"), &[(Ending::Refused(3), Loss::Nothing)]).also(Also::KeepsOutput(b"partial")),
    Entry::alike("H1.panic", "a host function panics", drill(Drill::Panic), &[(Ending::Panicked, Loss::Worker)]).row(Fault::HostPanic).tests(&[("tests/containment.rs", "a_handler_that_panics_costs_its_worker_and_nothing_else")]),
    Entry::new("H2.abort", "a host function aborts", drill(Drill::Abort), Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)])).row(Fault::HostAbort),
    Entry::new("H2.exit", "a host function ends the program", drill(Drill::Exit(3)), Ends(&[(Ending::HostExited(3), Loss::Host)]), Ends(&[(Ending::Exited(3), Loss::Worker)])),
    Entry::new("H2.double-panic", "a host function panics while it panics", drill(Drill::DoublePanic), Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)])),
    Entry::new("H3.overflow", "the native stack overflows in host code", drill(Drill::Overflow), Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)])),
    Entry::new("H4.segfault", "host code touches memory that is not there", drill(Drill::Segfault), Ends(&[(Ending::HostDied(libc::SIGSEGV), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGSEGV), Loss::Worker)])).row(Fault::HostSegfault),
    Entry::new("H5.allocation", "the allocator has no more memory", drill(Drill::Allocate), Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)])),
    Entry::new("H6.reads-a-file", "an escaped guest reads a file", act(Act::ReadFile), Ends(&[(Ending::Output, Loss::Nothing)]), Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)])).also(Also::Could),
    Entry::new("H6.lists-a-folder", "an escaped guest lists a folder", act(Act::ListFolder), Ends(&[(Ending::Output, Loss::Nothing)]), Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)])).also(Also::Could),
    Entry::new("H6.makes-a-socket", "an escaped guest makes a socket", act(Act::Socket), Ends(&[(Ending::Output, Loss::Nothing)]), Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)])).also(Also::Could),
    Entry::new("H6.asks-for-the-host", "an escaped guest asks whether it may signal its host", act(Act::SignalHost), Ends(&[(Ending::Output, Loss::Nothing)]), Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)])).also(Also::Could),
    Entry::new("H6.copies-host-memory", "an escaped guest copies memory out of its host", act(Act::CopyHostMemory), Ends(&[(Ending::Output, Loss::Nothing)]), Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)])).also(Also::Could),
    Entry::new("H6.makes-code", "an escaped guest makes memory that is code", act(Act::MakeCode), Ends(&[(Ending::Output, Loss::Nothing)]), Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)])).also(Also::Could),
    Entry::new("H6.everything-else", "an escaped guest tries all that it must not", Proof::Tested, Told("most of it is done; the report lists it"), Told("nothing of it is done")).tests(&[("tests/compare.rs", "a_quick_comparison_judges_every_claim_and_every_form_is_made_from_its_file")]),
    Entry::new("W1.kill", "the worker gets SIGKILL", signal(libc::SIGKILL), Ends(&[(Ending::HostDied(libc::SIGKILL), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGKILL), Loss::Worker)])).row(Fault::Kill).tests(&[("tests/containment.rs", "the_job_in_flight_gets_the_real_cause_and_the_next_one_is_served")]),
    Entry::new("W1.segv", "the worker gets SIGSEGV", signal(libc::SIGSEGV), Ends(&[(Ending::HostDied(libc::SIGSEGV), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGSEGV), Loss::Worker)])),
    Entry::new("W1.abrt", "the worker gets SIGABRT", signal(libc::SIGABRT), Ends(&[(Ending::HostDied(libc::SIGABRT), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGABRT), Loss::Worker)])),
    Entry::new("W1.bus", "the worker gets SIGBUS", signal(libc::SIGBUS), Ends(&[(Ending::HostDied(libc::SIGBUS), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGBUS), Loss::Worker)])),
    Entry::new("W1.sys", "the worker gets SIGSYS", signal(libc::SIGSYS), Ends(&[(Ending::HostDied(libc::SIGSYS), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGSYS), Loss::Worker)])),
    Entry::new("W1.term", "the worker gets SIGTERM", signal(libc::SIGTERM), Ends(&[(Ending::HostDied(libc::SIGTERM), Loss::Host)]), Ends(&[(Ending::Signalled(libc::SIGTERM), Loss::Worker)])),
    Entry::of_processes("W1.exit-early", "the worker exits with code 0 in the middle of a job", native(Misdeed::ExitEarly), Ends(&[(Ending::Exited(0), Loss::Worker)])),
    Entry::of_processes("W1.exit-mid-reply", "the worker exits in the middle of its reply", native(Misdeed::ExitMidReply), Ends(&[(Ending::Exited(9), Loss::Worker)])).tests(&[("tests/hostile/main.rs", "a_hostile_worker_costs_nobody_but_the_job_that_it_was_given")]),
    Entry::new("W2.stop", "the worker gets SIGSTOP", signal(libc::SIGSTOP), Ends(&[(Ending::HostStopped, Loss::HostStopped)]), Ends(&[(Ending::Hung, Loss::Worker)])).within(LONGER).row(Fault::Stop).tests(&[("tests/containment.rs", "a_worker_that_is_stopped_hangs_and_is_replaced"), ("tests/containment.rs", "a_worker_that_was_stopped_before_its_job_hangs_too")]),
    Entry::new("W2.livelock", "host code spins", drill(Drill::Spin(STUCK)), Ends(&[(Ending::Hung, Loss::Worker)]), Ends(&[(Ending::Deadline, Loss::Worker)])).within(BRIEF),
    Entry::of_processes("W2.silent", "a native worker spins and says nothing", native(Misdeed::Livelock), Ends(&[(Ending::Deadline, Loss::Worker)])).within(BRIEF),
    Entry::of_processes("W3.out-of-memory", "the kernel kills the worker for want of memory", Proof::Open("there is no such death yet; it is told as signal 9"), Told("worker died of signal 9, worker replaced")),
    Entry::of_processes("W4.dies-at-every-start", "the worker dies at every start", Proof::Tested, Told("back-off, then quarantine, with its last words")).tests(&[("tests/containment.rs", "a_worker_program_that_does_not_serve_is_given_up_with_its_last_words"), ("src/pool/tests.rs", "a_worker_that_never_starts_is_given_up_and_every_job_is_told_why"), ("src/pool/policy.rs", "pauses_double_and_the_fifth_failure_is_the_last"), ("tests/hostile/main.rs", "a_worker_that_attacks_before_it_is_ready_is_no_worker")]),
    Entry::of_processes("W5.host-killed", "the host is killed at any point", Proof::Tested, Told("no worker is left after a second")).tests(&[("tests/containment.rs", "no_worker_outlives_a_host_that_is_killed_by_a_second")]),
    Entry::of_processes("W6.leaks", "workers crash and are replaced, over and over", Proof::Tested, Told("no zombie, no descriptor, no map is left")).tests(&[("tests/containment.rs", "two_hundred_kills_leave_no_zombie_and_no_descriptor"), ("tests/containment.rs", "pools_that_come_and_go_leave_nothing")]),
    Entry::of_processes("W7.noise", "the worker writes a GiB of garbage to stdout and stderr", native(Misdeed::Noise), Ends(&[(Ending::Output, Loss::Nothing)])).tests(&[("src/worker/nursery.rs", "a_child_that_floods_its_stdout_does_not_block"), ("src/worker/chatter.rs", "the_end_is_kept_and_the_rest_is_counted")]),
    Entry::of_processes("W8.torn", "half a reply, and then nothing", native(Misdeed::HalfAReply), Ends(&[(Ending::Deadline, Loss::Worker)])).within(BRIEF).tests(&[("src/link/pipe.rs", "a_frame_that_is_torn_anywhere_is_a_hang_up")]),
    Entry::of_processes("W8.byte-by-byte", "a good reply, one byte at a time", native(Misdeed::ByteByByte), Ends(&[(Ending::Output, Loss::Nothing)])),
    Entry::of_processes("W8.magic", "a reply with the wrong magic number", native(Misdeed::WrongMagic), Ends(&[(Ending::Garbled, Loss::Worker)])),
    Entry::of_processes("W8.version", "a reply of another version", native(Misdeed::WrongVersion), Ends(&[(Ending::Garbled, Loss::Worker)])),
    Entry::of_processes("W8.kind", "a reply of an unknown kind", native(Misdeed::WrongKind), Ends(&[(Ending::Garbled, Loss::Worker)])),
    Entry::of_processes("W8.job", "a reply to another job", native(Misdeed::WrongJob), Ends(&[(Ending::Garbled, Loss::Worker)])),
    Entry::of_processes("W8.length", "a reply that announces 4 GiB", native(Misdeed::LengthLie), Ends(&[(Ending::Garbled, Loss::Worker)])),
    Entry::of_processes("W8.trailer", "a reply whose trailer is too short", native(Misdeed::ShortTrailer), Ends(&[(Ending::Garbled, Loss::Worker)])),
    Entry::of_processes("W8.ready", "the word that it is ready, in the middle of a job", native(Misdeed::ReadyAgain), Ends(&[(Ending::Garbled, Loss::Worker)])),
    Entry::of_processes("W8.twice", "a good reply, twice", native(Misdeed::DoubleReply), Ends(&[(Ending::Output, Loss::Worker)])).next(Next::GoodAfterOne),
    Entry::of_processes("W8.late", "a reply when the deadline is over", native(Misdeed::LateReply), Ends(&[(Ending::Deadline, Loss::Worker)])).within(BRIEF),
    Entry::of_processes("W8.shared-memory", "the same through shared memory", Proof::Tested, Told("worker broke the protocol, worker replaced; or the reply of an honest one")).tests(&[("tests/hostile/main.rs", "a_hostile_worker_costs_nobody_but_the_job_that_it_was_given"), ("src/link/fuzz.rs", "a_few_frame_headers_are_judged_as_by_a_second_opinion")]),
    Entry::of_processes("W9.shared-memory", "hostile indices, lengths, writes after the reply, truncation, endless wake-ups", Proof::Tested, Told("worker broke the protocol or deadline, worker replaced; the seals hold")).tests(&[("tests/hostile/main.rs", "a_hostile_worker_costs_nobody_but_the_job_that_it_was_given"), ("src/link/shm/tests.rs", "nothing_that_a_worker_writes_does_more_than_to_break_its_link"), ("src/link/fuzz.rs", "a_few_ring_records_are_judged_as_by_a_second_opinion")]),
    Entry::new("W10.nth-call-fails", "any system call fails in turn", Proof::Open("no test makes each call fail in turn; short reads and writes are tested on the pipe"), Told("typed error, or another try"), Told("typed error, or another try")).tests(&[("src/link/pipe.rs", "a_frame_that_arrives_byte_by_byte_is_whole")]),
    Entry::new("W11.cache", "the cache of compiled code is damaged, cut off, stale or not to be used", Proof::Tested, Told(CACHE), Told(CACHE)).tests(&[("src/runtime/cache.rs", "an_entry_with_any_byte_changed_is_damaged"), ("src/runtime/cache.rs", "an_entry_cut_off_anywhere_is_damaged"), ("src/runtime/cache.rs", "a_folder_that_others_may_write_is_not_used"), ("tests/cli.rs", "a_damaged_cache_entry_is_made_anew_with_a_warning"), ("tests/cli.rs", "a_cache_that_cannot_be_used_is_a_warning_and_no_more")]),
    Entry::of_processes("W12.fork-server-dies", "the fork server is killed at any moment", Proof::Tested, Told("no job is lost, no orphan is left, it is replaced")).tests(&[("tests/start_methods.rs", "a_server_killed_at_any_moment_costs_no_job_and_leaves_no_orphan"), ("tests/start_methods.rs", "workers_outlive_the_server_that_they_were_forked_from")]),
    Entry::of_processes("W12.another-build", "the worker program is another build", Proof::Open("the fingerprint is compared by each worker; no test has two builds"), Told("worker did not start: the fingerprints differ")).tests(&[("src/runtime/config.rs", "what_changes_the_compiled_code_changes_the_fingerprint")]),
    Entry::new("W13.signals-to-the-host", "Ctrl-C once and twice, SIGTERM", Proof::Tested, Told(DRAINED), Told(DRAINED)).tests(&[("tests/cli.rs", "the_first_signal_finishes_the_jobs_that_have_begun"), ("tests/cli.rs", "the_second_signal_kills_the_jobs_that_run"), ("tests/cli.rs", "a_signal_while_nothing_comes_ends_the_program")]),
    Entry::of_processes("W14.no-sandbox", "the kernel does not have what workers are hardened with", Proof::Tested, Told("best effort runs, and says what is missing; `required` does not start")).tests(&[("tests/hardening.rs", "what_the_kernel_does_not_have_is_told_with_the_reason_and_the_rest_holds"), ("tests/hardening.rs", "a_worker_that_cannot_be_hardened_as_required_does_not_start")]),
];
