//! Faults of guests.

use super::*;

/// All of them, in the order of their families.
pub(super) const ENTRIES: &[Entry] = &[
    Entry::alike(
        "G1.unreachable",
        "the guest gives up",
        guest!("unreachable"),
        trapped!(Unreachable),
    )
    .row(Fault::Trap),
    Entry::alike(
        "G1.divide-by-zero",
        "the guest divides by zero",
        guest!("divide_by_zero"),
        trapped!(DivisionByZero),
    ),
    Entry::alike(
        "G1.integer-overflow",
        "a division of the guest overflows",
        guest!("integer_overflow"),
        trapped!(IntegerOverflow),
    ),
    Entry::alike(
        "G1.bad-conversion",
        "the guest converts what is no number",
        guest!("bad_conversion"),
        trapped!(BadConversion),
    ),
    Entry::alike(
        "G1.out-of-bounds",
        "the guest reads outside its memory",
        guest!("out_of_bounds"),
        trapped!(MemoryOutOfBounds),
    ),
    Entry::alike(
        "G1.null-call",
        "the guest calls through an empty table element",
        guest!("null_call"),
        trapped!(NullCall),
    ),
    Entry::alike(
        "G1.bad-signature",
        "the guest calls with the wrong signature",
        guest!("bad_signature"),
        trapped!(BadSignature),
    ),
    Entry::alike(
        "G1.table-out-of-bounds",
        "the guest calls past the end of a table",
        guest!("table_out_of_bounds"),
        trapped!(TableOutOfBounds),
    ),
    Entry::alike(
        "G1.in-start",
        "the guest traps in its start function",
        guest!("start_trap"),
        trapped!(Unreachable),
    )
    .next(Next::Alike),
    Entry::alike(
        "G2.recursion",
        "the guest calls itself without end",
        guest!("recursion"),
        trapped!(StackOverflow),
    )
    .row(Fault::Recursion),
    Entry::new(
        "G2.through-the-host",
        "the guest recurses through the host",
        Proof::Tested,
        Absent(NO_CALL_BACK),
        Absent(NO_CALL_BACK),
    ),
    Entry::overdue("G3.loop", "the guest loops without end", guest!("loop")).row(Fault::Loop),
    Entry::overdue(
        "G3.start-loop",
        "the guest loops in its start function",
        guest!("start_loop"),
    )
    .next(Next::Alike),
    Entry::new(
        "G4.fill",
        "huge `memory.fill`, which nothing interrupts",
        guest!("fill"),
        Ends(&[
            (Ending::Deadline, Loss::Instance),
            (Ending::Hung, Loss::Worker),
        ]),
        KILLED_AT_ITS_DEADLINE,
    )
    .within(BRIEF),
    Entry::new(
        "G4.copy",
        "huge `memory.copy`, which nothing interrupts",
        guest!("copy"),
        Ends(&[
            (Ending::Deadline, Loss::Instance),
            (Ending::Hung, Loss::Worker),
        ]),
        KILLED_AT_ITS_DEADLINE,
    )
    .within(BRIEF),
    Entry::overdue(
        "G5.waits-in-the-host",
        "the guest waits in the host for what never comes",
        guest!("wait"),
    )
    .row(Fault::Wait)
    .tests(&[
        (
            "tests/containment.rs",
            "a_guest_that_spins_through_the_host_is_stopped_too",
        ),
        (
            "tests/conformance.rs",
            "a_guest_that_waits_for_a_message_hears_the_deadline",
        ),
    ]),
    Entry::new(
        "G5.stuck-in-the-host",
        "a host function does not come back",
        drill(Drill::Sleep(STUCK)),
        GIVEN_UP,
        KILLED_AT_ITS_DEADLINE,
    )
    .within(BRIEF)
    .tests(&[(
        "tests/containment.rs",
        "a_thread_stuck_in_host_code_is_abandoned_and_its_job_hung",
    )]),
    Entry::alike(
        "G6.grow",
        "the guest takes all memory",
        guest!("grow"),
        MEMORY_LIMIT,
    )
    .row(Fault::Grow)
    .tests(&[(
        "tests/hardening.rs",
        "every_layer_holds_in_every_kind_of_worker_and_the_kernel_says_so",
    )]),
    Entry::alike(
        "G6.many-memories",
        "the guest takes memory in several memories",
        guest!("many_memories"),
        MEMORY_LIMIT,
    ),
    Entry::alike(
        "G6.huge-minimum",
        "the guest begins with 4 GiB",
        guest!("huge_minimum"),
        MEMORY_LIMIT,
    )
    .next(Next::Alike),
    Entry::alike(
        "G6.table-bomb",
        "the guest takes all memory by a table",
        guest!("table_bomb"),
        MEMORY_LIMIT,
    ),
    Entry::alike("G7.empty", "an empty file", module(b""), refused!(Empty)).next(Next::Nothing),
    Entry::alike(
        "G7.not-wasm",
        "a native program",
        module(b"\x7fELF\x02\x01\x01\0"),
        refused!(NotWasm),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.cut-in-the-header",
        "a module that is cut off in its header",
        module(b"\0asm\x01"),
        refused!(Invalid),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.truncated",
        "a module that is cut off in a section",
        module(b"\0asm\x01\0\0\0\x01\x7f\x60"),
        refused!(Invalid),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.flipped-magic",
        "a module with one bit of its magic number flipped",
        module(b"\0asl\x01\0\0\0"),
        refused!(NotWasm),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.flipped-version",
        "a module with one bit of its version flipped",
        module(b"\0asm\x03\0\0\0"),
        refused!(Invalid),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.component",
        "a component in place of a module",
        module(b"\0asm\x0d\0\x01\0"),
        refused!(Component),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.bad-text",
        "a text with a mistake",
        module(b"(module (func nonsense))"),
        refused!(InvalidText),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.no-marker",
        "a module without the marker of the interface",
        module(b"(module)"),
        refused!(NoMarker),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.missing-export",
        "a guest without an entry",
        module(NO_ENTRY),
        refused!(MissingExport),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.wrong-export",
        "a guest whose entry has the wrong type",
        module(WRONG_ENTRY),
        refused!(WrongExport),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.unknown-import",
        "a guest that imports what nobody offers",
        module(UNKNOWN_IMPORT),
        refused!(UnknownImports),
    )
    .next(Next::Nothing),
    Entry::alike(
        "G7.invalid-body",
        "a guest with a function that does not validate",
        module(INVALID_BODY),
        &[(Ending::NotCompiled, Loss::Nothing)],
    )
    .next(Next::Nothing)
    .tests(&[(
        "tests/compile.rs",
        "a_module_that_is_not_valid_is_refused_as_it_is_inline",
    )]),
    Entry::new(
        "G7.flipped-anywhere",
        "a guest with any one bit flipped",
        Proof::Tested,
        Told(FLIPPED),
        Told(FLIPPED),
    )
    .tests(&[
        (
            "tests/faults/main.rs",
            "a_guest_with_any_bit_flipped_is_refused_or_runs_to_an_end",
        ),
        (
            "src/guest/interface.rs",
            "a_module_that_is_cut_off_is_invalid_at_every_length",
        ),
    ]),
    Entry::new(
        "G8.huge-function",
        "a function that takes for ever to compile",
        Proof::Tested,
        Told(COMPILED_APART),
        Told(COMPILED_APART),
    )
    .tests(&[(
        "tests/compile.rs",
        "a_module_that_takes_too_long_to_compile_is_given_up_in_time",
    )]),
    Entry::new(
        "G8.memory",
        "a function that takes too much memory to compile",
        Proof::Tested,
        Told(COMPILED_APART),
        Told(COMPILED_APART),
    )
    .tests(&[(
        "tests/compile.rs",
        "a_module_that_takes_too_much_memory_to_compile_says_so",
    )]),
    Entry::new(
        "G8.many-parts",
        "very many functions, very many empty segments",
        Proof::Tested,
        Told(COMPILED_APART),
        Told(COMPILED_APART),
    )
    .tests(&[(
        "tests/compile.rs",
        "many_functions_and_many_empty_segments_are_compiled_or_refused_within_the_limits",
    )]),
    Entry::alike(
        "G9.range-wraps",
        "a range that wraps around",
        guest!("range_wraps"),
        BROKEN,
    )
    .row(Fault::Lie)
    .tests(&[
        (
            "tests/conformance.rs",
            "every_lie_of_the_liar_is_caught_in_the_call_that_told_it",
        ),
        (
            "tests/conformance.rs",
            "a_range_may_touch_the_end_of_the_memory_and_not_pass_it",
        ),
    ]),
    Entry::alike(
        "G9.range-of-4-gib",
        "a range of 4 GiB",
        guest!("range_of_four_gib"),
        BROKEN,
    ),
    Entry::alike(
        "G9.range-past-the-end",
        "a range that ends one byte behind the memory",
        guest!("range_past_the_end"),
        BROKEN,
    ),
    Entry::alike(
        "G9.range-to-write-to",
        "a range that the host is to write to",
        guest!("range_to_write_to"),
        BROKEN,
    ),
    Entry::alike(
        "G10.output-flood",
        "the guest floods its reply",
        guest!("output_flood"),
        OUTPUT_LIMIT,
    )
    .row(Fault::Flood),
    Entry::alike(
        "G10.message-flood",
        "the guest floods its host with messages",
        guest!("message_flood"),
        OUTPUT_LIMIT,
    ),
    Entry::alike(
        "G10.log-flood",
        "the guest floods its log",
        guest!("log_flood"),
        WELL,
    )
    .also(Also::DropsLogLines)
    .tests(&[(
        "tests/conformance.rs",
        "a_flood_of_log_lines_is_cut_at_the_jobs_share_and_the_rest_is_counted",
    )]),
    Entry::alike(
        "G10.terminal-escapes",
        "the guest logs what steers a terminal",
        guest!("escapes"),
        WELL,
    )
    .also(Also::LogsALine)
    .tests(&[
        (
            "tests/cli.rs",
            "no_control_character_of_a_guest_reaches_the_terminal",
        ),
        (
            "tests/cli.rs",
            "no_control_character_of_a_module_reaches_the_terminal",
        ),
    ]),
    Entry::alike(
        "G11.trap-after-output",
        "the guest traps after it wrote",
        guest!("trap_after_output"),
        trapped!(Unreachable),
    )
    .also(Also::KeepsOutput(b"partial")),
    Entry::alike(
        "G11.refuses-after-output",
        "the guest ends with a code after it wrote",
        guest!("refuses_after_output"),
        &[(Ending::Refused(3), Loss::Nothing)],
    )
    .also(Also::KeepsOutput(b"partial")),
];
