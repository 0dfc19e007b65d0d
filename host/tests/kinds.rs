//! Every kind of guest, in every isolation, start method and link: the same job gives the same outcome.

mod common;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cofferdam::{Entry, Guest, Isolation, Job, Limits, Outcome, Packed, PoolBuilder, TrapKind};

use common::everywhere::{Ending, build, ending, everywhere, output, places};
use common::{complete, limits, reply};

/// A command of one edition of WASI, whose imports are all there by their names.
fn command_of(module: &str, body: &str) -> Guest {
    let text = format!(
        r#"(module
        (import "{module}" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
        (import "{module}" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (import "{module}" "fd_close" (func $fd_close (param i32) (result i32)))
        (import "{module}" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
        (import "{module}" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
        (import "{module}" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "{module}" "args_get" (func $args_get (param i32 i32) (result i32)))
        (import "{module}" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
        (import "{module}" "environ_get" (func $environ_get (param i32 i32) (result i32)))
        (import "{module}" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
        (import "{module}" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
        (import "{module}" "random_get" (func $random_get (param i32 i32) (result i32)))
        (import "{module}" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
        (import "{module}" "proc_exit" (func $proc_exit (param i32)))
        (memory (export "memory") 2)
        ;; Writes $length bytes from $at to $fd.
        (func $write (param $fd i32) (param $at i32) (param $length i32)
            (i32.store (i32.const 0) (local.get $at))
            (i32.store (i32.const 4) (local.get $length))
            (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
        ;; Reads up to 100 bytes to 100; gives back how many.
        (func $read (result i32)
            (i32.store (i32.const 0) (i32.const 100))
            (i32.store (i32.const 4) (i32.const 100))
            (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
            (i32.load (i32.const 8)))
        {body})"#
    );
    Guest::from_bytes("a command", text.as_bytes()).unwrap()
}

const EDITIONS: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

fn command(body: &str) -> Guest {
    command_of(EDITIONS[0], body)
}

const CAT: &str = r#"(func (export "_start") (local $read i32)
    (loop $next
        (local.set $read (call $read))
        (if (local.get $read) (then
            (call $write (i32.const 1) (i32.const 100) (local.get $read))
            (br $next)))))"#;

#[test]
fn a_command_reads_standard_input_and_its_standard_output_is_the_reply() {
    let input = "a line, and another one\n".repeat(40);
    for edition in EDITIONS {
        let cat = command_of(edition, CAT);
        assert_eq!(*cat.entry(), Entry::Start);
        everywhere(&cat, |builder| builder, input.as_bytes(), &output(&input));
        everywhere(&cat, |builder| builder, b"", &output(""));
    }
}

#[test]
fn a_command_is_told_its_arguments_and_its_environment_and_nothing_of_ours() {
    let tell = command(
        r#"(func (export "_start")
            (if (call $args_sizes_get (i32.const 100) (i32.const 104)) (then unreachable))
            (if (call $args_get (i32.const 200) (i32.const 1000)) (then unreachable))
            (call $write (i32.const 1) (i32.const 1000) (i32.load (i32.const 104)))
            (if (call $environ_sizes_get (i32.const 100) (i32.const 104)) (then unreachable))
            (if (call $environ_get (i32.const 200) (i32.const 1000)) (then unreachable))
            (call $write (i32.const 1) (i32.const 1000) (i32.load (i32.const 104))))"#,
    );
    everywhere(&tell, |builder| builder, b"", &output("a command\0"));
    let told = |builder: PoolBuilder| {
        builder
            .args(["-v", "two words", ""])
            .env("LANG", "C")
            .env("EMPTY", "")
    };
    let expected = output("a command\0-v\0two words\0\0LANG=C\0EMPTY=\0");
    everywhere(&tell, told, b"", &expected);
}

#[test]
fn what_cannot_be_told_is_an_error_that_says_so() {
    let cat = command(CAT);
    let builder = || common::builder(&cat, Isolation::Thread);
    for (builder, expected) in [
        (builder().args(["a\0b"]), "zero byte"),
        (builder().env("a=b", "c"), "`a=b` is no name"),
        (builder().args(["x".repeat(40_000)]), "the most is 32 KiB"),
    ] {
        let error = builder.build().map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_exit_code_is_an_outcome_and_zero_is_success() {
    for (code, outcome) in [
        (0, Outcome::Output),
        (3, Outcome::Exited(3)),
        (255, Outcome::Exited(255)),
    ] {
        let exit = command(&format!(
            r#"(data (i32.const 100) "said")
            (func (export "_start")
                (call $write (i32.const 1) (i32.const 100) (i32.const 4))
                (call $proc_exit (i32.const {code})) unreachable)"#
        ));
        let expected = Ending {
            outcome,
            ..output("said")
        };
        everywhere(&exit, |builder| builder, b"", &expected);
    }
}

#[test]
fn what_a_command_wrote_before_a_trap_is_kept_with_the_trap() {
    let trap = command(
        r#"(data (i32.const 100) "half")
        (func (export "_start") (call $write (i32.const 1) (i32.const 100) (i32.const 4)) unreachable)"#,
    );
    let outcome = Outcome::Trapped {
        kind: TrapKind::Unreachable,
        reason: String::new(),
    };
    let expected = Ending {
        outcome,
        ..output("half")
    };
    everywhere(&trap, |builder| builder, b"", &expected);
}

#[test]
fn lines_on_standard_error_are_log_lines_even_the_last_one() {
    let complain = command(
        r#"(data (i32.const 100) "one\r\ntw")  (data (i32.const 120) "o\n\nthree")
        (func (export "_start")
            (call $write (i32.const 2) (i32.const 100) (i32.const 7))
            (call $write (i32.const 2) (i32.const 120) (i32.const 8)))"#,
    );
    let expected = Ending {
        lines: ["one", "two", "", "three"].map(str::to_owned).into(),
        ..output("")
    };
    everywhere(&complain, |builder| builder, b"", &expected);
}

#[test]
fn standard_error_is_bounded_and_what_is_dropped_is_counted() {
    let flood = command(
        r#"(func (export "_start") (local $i i32)
            (memory.fill (i32.const 100) (i32.const 120) (i32.const 5000))
            (i32.store8 (i32.const 5099) (i32.const 10))
            (loop $next
                (call $write (i32.const 2) (i32.const 100) (i32.const 5000))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.const 20)))))"#,
    );
    for (place, builder) in places(&flood) {
        let pool = build(builder);
        let lines = Arc::new(Mutex::new(0));
        let heard = Arc::clone(&lines);
        let job = Job::new("").on_log(move |_, _, line| *heard.lock().unwrap() += line.len());
        let reply = reply(&pool, job);
        assert!(*lines.lock().unwrap() <= 64 << 10, "{place}");
        assert!(reply.dropped_logs > 0, "{place}");
    }
}

#[test]
fn standard_output_is_bounded_as_every_output_is() {
    let flood = command(
        r#"(func (export "_start")
            (loop $next (call $write (i32.const 1) (i32.const 100) (i32.const 60000)) (br $next)))"#,
    );
    for (place, builder) in places(&flood) {
        let small = Limits {
            output: cofferdam::ByteSize::from_kib(64),
            ..limits(None)
        };
        let seen = ending(&build(builder.limits(small)), b"");
        assert_eq!(seen.outcome, Outcome::OutputLimit, "{place}");
        assert_eq!(seen.output.len(), 60_000, "{place}");
    }
}

/// Sleeps so long in `poll_oneoff`, by the monotonic clock.
fn sleeper(edition: &str, nanos: u64) -> Guest {
    // In the older edition the clock stands 8 bytes further on.
    let clock = 200 + if edition == EDITIONS[0] { 16 } else { 24 };
    command_of(
        edition,
        &format!(
            r#"(func (export "_start")
            (i64.store (i32.const 200) (i64.const 7))
            (i32.store (i32.const {clock}) (i32.const 1))
            (i64.store (i32.const {timeout}) (i64.const {nanos}))
            (if (call $poll_oneoff (i32.const 200) (i32.const 400) (i32.const 1) (i32.const 100)) (then unreachable))
            ;; One event, of that subscription, without an error.
            (if (i32.ne (i32.load (i32.const 100)) (i32.const 1)) (then unreachable))
            (if (i64.ne (i64.load (i32.const 400)) (i64.const 7)) (then unreachable))
            (if (i32.load (i32.const 408)) (then unreachable)))"#,
            timeout = clock + 8,
        ),
    )
}

#[test]
fn a_command_that_sleeps_is_woken_and_one_that_sleeps_too_long_meets_its_deadline() {
    for edition in EDITIONS {
        let short = sleeper(edition, 20_000_000);
        let long = sleeper(edition, 3_600_000_000_000);
        for isolation in Isolation::ALL {
            let job = complete(&build(common::builder(&short, isolation)), Job::new(""));
            assert_eq!(job.result.unwrap().outcome, Outcome::Output);
            assert!(job.wall >= Duration::from_millis(20), "{isolation}");
            let pool = build(common::builder(&long, isolation).limits(Limits {
                ..limits(Some(Duration::from_millis(100)))
            }));
            let job = complete(&pool, Job::new(""));
            assert_eq!(
                job.result.unwrap().outcome,
                Outcome::Deadline,
                "{isolation}"
            );
            assert_eq!(
                pool.health().abandoned,
                0,
                "a thread that sleeps can be woken"
            );
        }
    }
}

#[test]
fn under_a_seed_time_passes_without_being_waited_for_and_all_agree_about_it() {
    let look = command(
        r#"(func (export "_start")
            (if (call $random_get (i32.const 100) (i32.const 16)) (then unreachable))
            (if (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 116)) (then unreachable))
            (i32.store (i32.const 216) (i32.const 1))
            (i64.store (i32.const 224) (i64.const 3600000000000))
            (if (call $poll_oneoff (i32.const 200) (i32.const 400) (i32.const 1) (i32.const 90)) (then unreachable))
            (if (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 124)) (then unreachable))
            (call $write (i32.const 1) (i32.const 100) (i32.const 32)))"#,
    );
    let mut seen = BTreeSet::new();
    for (_, builder) in places(&look) {
        let pool = build(builder.seed(Some(5)));
        let reply = ending(&pool, b"").output;
        let clock = |at: usize| i64::from_le_bytes(reply[at..at + 8].try_into().unwrap());
        assert!(clock(24) - clock(16) >= 3_600_000_000_000);
        seen.insert(reply);
    }
    assert_eq!(seen.len(), 1);
}

#[test]
fn a_command_finds_no_folder_and_no_path_and_its_streams_are_no_files() {
    let look = command(
        r#"(func (export "_start")
            (if (i32.ne (call $fd_prestat_get (i32.const 3) (i32.const 100)) (i32.const 8)) (then unreachable))
            (if (i32.ne (call $path_open (i32.const 3) (i32.const 0) (i32.const 100) (i32.const 1)
                (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 100)) (i32.const 8))
                (then unreachable))
            (if (call $fd_filestat_get (i32.const 1) (i32.const 100)) (then unreachable))
            (if (i32.load8_u (i32.const 116)) (then unreachable))
            (if (call $fd_close (i32.const 1)) (then unreachable))
            (if (i32.ne (call $fd_close (i32.const 1)) (i32.const 8)) (then unreachable))
            (i64.store (i32.const 0) (i64.const 0))
            (if (i32.ne (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (i32.const 8))
                (then unreachable)))"#,
    );
    everywhere(&look, |builder| builder, b"", &output(""));
}

#[test]
fn a_pointer_outside_of_the_memory_breaks_the_interface() {
    let lie = command(
        r#"(func (export "_start") (drop (call $random_get (i32.const 131070) (i32.const 3))))"#,
    );
    for (place, builder) in places(&lie) {
        let outcome = ending(&build(builder), b"").outcome;
        let Outcome::InterfaceViolation(what) = outcome else {
            panic!("{place}: {outcome:?}")
        };
        assert!(what.contains("random_get was given 3 bytes"), "{what}");
    }
}

fn with_entry(text: &str, entry: Entry) -> Guest {
    Guest::with_entry("a module", text.as_bytes(), entry).unwrap()
}

#[test]
fn a_function_is_called_with_the_numbers_of_its_input() {
    let text = r#"(module
        (func (export "add") (param i32 i64) (result i64)
            (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
        (func (export "halves") (param f32 f64) (result f32 f64)
            (f32.div (local.get 0) (f32.const 2)) (f64.div (local.get 1) (f64.const 2)))
        (func (export "nothing")))"#;
    let function = |name: &str| {
        with_entry(
            text,
            Entry::Function {
                name: name.to_owned(),
            },
        )
    };
    let same = |builder| builder;
    everywhere(&function("add"), same, b"-1 0x10", &output("15"));
    everywhere(&function("add"), same, b" 4294967295\t-1 ", &output("-2"));
    everywhere(&function("halves"), same, b"1 -3e2", &output("0.5 -150"));
    everywhere(&function("nothing"), same, b"", &output(""));
    for (input, reason) in [
        (
            &b"1"[..],
            "1 arguments were given, and the function takes (i32, i64)",
        ),
        (b"1 two", "`two` is no i64"),
        (b"4294967296 1", "`4294967296` is no i32"),
        (b"\xff 1", "the arguments are no text"),
    ] {
        let refused = Ending {
            outcome: Outcome::Refused {
                code: 2,
                reason: reason.to_owned(),
            },
            ..output("")
        };
        everywhere(&function("add"), same, input, &refused);
    }
}

#[test]
fn what_a_called_function_prints_is_logged_and_its_exit_is_the_jobs() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\08\00\00\00\03\00\00\00hey")
        (func (export "say") (param i32) (result i32)
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
            (if (local.get 0) (then (call $exit (local.get 0))))
            (i32.const 7)))"#;
    let say = with_entry(
        text,
        Entry::Function {
            name: "say".to_owned(),
        },
    );
    let expected = Ending {
        lines: vec!["hey".to_owned()],
        ..output("7")
    };
    everywhere(&say, |builder| builder, b"0", &expected);
    let expected = Ending {
        outcome: Outcome::Exited(4),
        output: Vec::new(),
        ..expected
    };
    everywhere(&say, |builder| builder, b"4", &expected);
}

#[test]
fn what_is_no_command_is_to_return_and_an_exit_is_an_exit() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "leave") (call $exit (i32.const 0))))"#;
    let leave = with_entry(
        text,
        Entry::Function {
            name: "leave".to_owned(),
        },
    );
    let expected = Ending {
        outcome: Outcome::Exited(0),
        ..output("")
    };
    everywhere(&leave, |builder| builder, b"", &expected);
}

/// A module that does this before its first job, and replies 7 to each.
fn beginning(body: &str) -> Guest {
    let text = format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\08\00\00\00\04\00\00\00weak")
        (func $complain
            (if (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 20)) (then unreachable)))
        ;; By the monotonic clock.
        (func $sleep (param $nanos i64)
            (i32.store (i32.const 216) (i32.const 1))
            (i64.store (i32.const 224) (local.get $nanos))
            (if (call $poll (i32.const 200) (i32.const 400) (i32.const 1) (i32.const 100)) (then unreachable)))
        (func (export "_initialize") {body})
        (func (export "seven") (result i32) (i32.const 7)))"#
    );
    let name = "seven".to_owned();
    with_entry(&text, Entry::Function { name })
}

/// Each job in an instance of its own, which begins anew.
fn each_fresh_job_ends(guest: &Guest, expected: &Ending) {
    for (place, builder) in places(guest) {
        let pool = build(builder);
        for turn in 0..2 {
            assert_eq!(ending(&pool, b""), *expected, "{place}, job {turn}");
        }
    }
}

#[test]
fn what_is_called_by_name_may_print_sleep_and_give_up_before_its_first_job() {
    let weak = Ending {
        lines: vec!["weak".to_owned()],
        ..output("7")
    };
    each_fresh_job_ends(&beginning("(call $complain)"), &weak);
    let sleeps = "(call $sleep (i64.const 1000000)) (call $complain)";
    each_fresh_job_ends(&beginning(sleeps), &weak);
    let gives_up = Ending {
        outcome: Outcome::Exited(5),
        output: Vec::new(),
        ..weak
    };
    let body = "(call $complain) (call $exit (i32.const 5))";
    each_fresh_job_ends(&beginning(body), &gives_up);
    let finds_nothing = "(if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 20)) (then unreachable))
        (if (i32.load (i32.const 20)) (then unreachable))";
    each_fresh_job_ends(&beginning(finds_nothing), &output("7"));
}

#[test]
fn what_sleeps_too_long_before_its_first_job_meets_its_deadline() {
    let guest = beginning("(call $sleep (i64.const 3600000000000))");
    for isolation in Isolation::ALL {
        let pool = build(
            common::builder(&guest, isolation).limits(limits(Some(Duration::from_millis(100)))),
        );
        let outcome = reply(&pool, Job::new("")).outcome;
        assert_eq!(outcome, Outcome::Deadline, "{isolation}");
        assert_eq!(pool.health().abandoned, 0, "{isolation}");
    }
}

#[test]
fn a_commands_streams_are_its_jobs_and_not_there_before() {
    let early = command(
        r#"(start $begin)
        (func $begin (call $write (i32.const 2) (i32.const 100) (i32.const 4)))
        (func (export "_start"))"#,
    );
    for (place, builder) in places(&early) {
        let outcome = ending(&build(builder), b"").outcome;
        let Outcome::InterfaceViolation(what) = outcome else {
            panic!("{place}: {outcome:?}")
        };
        assert!(
            what.starts_with("fd_write was called before the job began"),
            "{what}"
        );
    }
}

#[test]
fn an_argument_of_any_length_is_refused_in_the_same_words_everywhere() {
    let text = r#"(module (func (export "f") (param i32)))"#;
    let function = with_entry(
        text,
        Entry::Function {
            name: "f".to_owned(),
        },
    );
    let refused = Ending {
        outcome: Outcome::Refused {
            code: 2,
            reason: format!("`{}…` is no i32", "x".repeat(40)),
        },
        ..output("")
    };
    everywhere(&function, |builder| builder, &[b'x'; 100_000], &refused);
}

#[test]
fn more_lines_than_a_call_may_say_are_taken_in_part() {
    let flood = command(
        r#"(func (export "_start")
            (i32.store (i32.const 0) (i32.const 0))
            (i32.store (i32.const 4) (i32.const 100000))
            (if (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 100100)) (then unreachable))
            (if (i32.ne (i32.load (i32.const 100100)) (i32.const 65536)) (then unreachable))
            ;; More buffers than any system takes at once.
            (if (i32.ne (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1025) (i32.const 100100)) (i32.const 28))
                (then unreachable)))"#,
    );
    for (place, builder) in places(&flood) {
        assert_eq!(
            ending(&build(builder), b"").outcome,
            Outcome::Output,
            "{place}"
        );
    }
}

#[test]
fn a_packed_guest_that_answers_in_place_frees_one_thing() {
    let text = r#"(module
        (memory (export "memory") 1)
        (global $freed (mut i32) (i32.const 0))
        (func (export "alloc") (param i32) (result i32) (global.set $freed (i32.const 0)) (i32.const 64))
        (func (export "free") (param i32)
            (if (global.get $freed) (then unreachable))
            (global.set $freed (i32.const 1)))
        (func (export "same") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
        (func (export "none") (param i32) (result i32) (i32.const 0)))"#;
    let packed = |alloc: &str| {
        let packed = Packed {
            alloc: alloc.to_owned(),
            free: Some("free".to_owned()),
            ..Packed::new("same")
        };
        with_entry(text, Entry::Packed(packed))
    };
    everywhere(
        &packed("alloc"),
        |builder| builder,
        b"same",
        &output("same"),
    );
    let refused = Ending {
        outcome: Outcome::InterfaceViolation("alloc gave no place for 4 bytes".to_owned()),
        ..output("")
    };
    everywhere(&packed("none"), |builder| builder, b"same", &refused);
}

/// Greets by a private interface: it takes and returns pointer and length. Each call of `free` adds to a counter,
/// which stands behind the greeting when an instance is reused.
const GREETER: &str = r#"(module
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (data (i32.const 0) "Hello, ")
    (func $alloc (export "alloc") (param $length i32) (result i32) (local $at i32)
        (local.set $at (global.get $next))
        (global.set $next (i32.add (global.get $next) (local.get $length)))
        (local.get $at))
    (func (export "free") (param $at i32) (param $length i32)
        ;; Whatever is freed was alive: the last one first.
        (if (i32.gt_u (i32.add (local.get $at) (local.get $length)) (global.get $next)) (then unreachable))
        (global.set $next (local.get $at)))
    (func (export "greet") (param $at i32) (param $length i32) (result i64) (local $to i32)
        (local.set $to (call $alloc (i32.add (i32.const 7) (local.get $length))))
        (memory.copy (local.get $to) (i32.const 0) (i32.const 7))
        (memory.copy (i32.add (local.get $to) (i32.const 7)) (local.get $at) (local.get $length))
        (i64.or
            (i64.shl (i64.extend_i32_u (local.get $to)) (i64.const 32))
            (i64.extend_i32_u (i32.add (i32.const 7) (local.get $length)))))
    (func (export "lie") (param i32 i32) (result i64) (i64.const 0x0000ffff_00010000))
    (func (export "lies") (param i32) (result i32) (i32.const -1)))"#;

#[test]
fn a_packed_interface_carries_bytes_both_ways_and_frees_them() {
    for free in [None, Some("free".to_owned())] {
        let packed = Packed {
            free,
            ..Packed::new("greet")
        };
        let greeter = with_entry(GREETER, Entry::Packed(packed));
        everywhere(
            &greeter,
            |builder| builder,
            b"World",
            &output("Hello, World"),
        );
        everywhere(&greeter, |builder| builder, b"", &output("Hello, "));
    }
}

#[test]
fn a_packed_pointer_outside_of_the_memory_breaks_the_interface() {
    for (packed, what) in [
        (
            Packed::new("lie"),
            "its answer was given 65536 bytes at 0xffff",
        ),
        (
            Packed {
                alloc: "lies".to_owned(),
                ..Packed::new("greet")
            },
            "alloc was given 2 bytes at 0xffffffff",
        ),
    ] {
        let liar = with_entry(GREETER, Entry::Packed(packed));
        for (place, builder) in places(&liar) {
            let outcome = ending(&build(builder), b"in").outcome;
            let Outcome::InterfaceViolation(why) = outcome else {
                panic!("{place}: {outcome:?}")
            };
            assert!(why.contains(what), "{why}");
        }
    }
}

#[test]
fn every_function_of_wasi_is_there_by_its_name_and_type() {
    for edition in EDITIONS {
        let inspected = common::run(["inspect", "--format", "json", "--wat", &everything(edition)]);
        let found: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
        assert_eq!(found["runs"], true, "{}", found["why_not"]);
        let guest = Guest::from_bytes("everything", everything(edition).as_bytes()).unwrap();
        for (place, builder) in places(&guest) {
            assert_eq!(ending(&build(builder), b""), output(""), "{place}");
        }
    }
}

/// Imports each function, by the list of the contract.
fn everything(edition: &str) -> String {
    const FUNCTIONS: &str = "
        args_get ii:i args_sizes_get ii:i environ_get ii:i environ_sizes_get ii:i clock_res_get ii:i
        clock_time_get ili:i fd_advise illi:i fd_allocate ill:i fd_close i:i fd_datasync i:i fd_fdstat_get ii:i
        fd_fdstat_set_flags ii:i fd_fdstat_set_rights ill:i fd_filestat_get ii:i fd_filestat_set_size il:i
        fd_filestat_set_times illi:i fd_pread iiili:i fd_prestat_get ii:i fd_prestat_dir_name iii:i
        fd_pwrite iiili:i fd_read iiii:i fd_readdir iiili:i fd_renumber ii:i fd_seek ilii:i fd_sync i:i
        fd_tell ii:i fd_write iiii:i path_create_directory iii:i path_filestat_get iiiii:i
        path_filestat_set_times iiiilli:i path_link iiiiiii:i path_open iiiiillii:i path_readlink iiiiii:i
        path_remove_directory iii:i path_rename iiiiii:i path_symlink iiiii:i path_unlink_file iii:i
        poll_oneoff iiii:i proc_exit i: proc_raise i:i sched_yield :i random_get ii:i sock_accept iii:i
        sock_recv iiiiii:i sock_send iiiii:i sock_shutdown ii:i";
    let types = |letters: &str| -> String {
        let names = letters
            .chars()
            .map(|c| if c == 'i' { " i32" } else { " i64" });
        names.collect()
    };
    let words: Vec<&str> = FUNCTIONS.split_whitespace().collect();
    let imports: String = words
        .chunks_exact(2)
        .map(|pair| {
            let (parameters, results) = pair[1].split_once(':').unwrap();
            format!(
                r#"(import "{edition}" "{}" (func (param{}) (result{})))"#,
                pair[0],
                types(parameters),
                types(results)
            )
        })
        .collect();
    format!(r#"(module {imports} (memory (export "memory") 1) (func (export "_start")))"#)
}
