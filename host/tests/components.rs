//! Guests that are components, in both isolations.

mod common;

use std::time::Duration;

use cofferdam::{ByteSize, Entry, Guest, Limits, Outcome, PoolBuilder, TrapKind};

use common::everywhere::{Ending, everywhere, output};
use common::{limits, preview2};

/// A worker that does what the first byte of its input says.
const WORKER: &str = r#"(component
    (import "cofferdam:guest/types@1.0.0" (instance $types
        (type $refusal (record (field "code" s32) (field "reason" string)))
        (export "refusal" (type (eq $refusal)))))
    (alias export $types "refusal" (type $refusal))
    (import "cofferdam:guest/host@1.0.0" (instance $host
        (type $level (enum "error" "warn" "info" "debug" "trace"))
        (export "level" (type $l (eq $level)))
        (export "log" (func (param "level" $l) (param "line" string)))))
    (core module $memory
        (memory (export "memory") 1)
        (global $free (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (global.get $free))
            (global.set $free (i32.add (global.get $free) (local.get 3)))
            (local.get $at)))
    (core instance $m (instantiate $memory))
    (core func $log (canon lower (func $host "log") (memory (core memory $m "memory"))))
    (core module $code
        (import "m" "memory" (memory 1))
        (import "host" "log" (func $log (param i32 i32 i32)))
        (data (i32.const 100) "hello")
        (func $deep (call $deep) (call $deep))
        (func (export "handle") (param $at i32) (param $length i32) (result i32) (local $what i32)
            (local.set $what (i32.load8_u (local.get $at)))
            (i32.store (i32.const 0) (i32.const 0))
            (i32.store (i32.const 4) (local.get $at))
            (i32.store (i32.const 8) (local.get $length))
            ;; l: logs, and echoes
            (if (i32.eq (local.get $what) (i32.const 108))
                (then (call $log (i32.const 2) (i32.const 100) (i32.const 5))))
            ;; r, z: refuses with 7, or with 0
            (if (i32.eq (local.get $what) (i32.const 114)) (then
                (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 7))
                (i32.store (i32.const 8) (i32.const 100)) (i32.store (i32.const 12) (i32.const 5))))
            (if (i32.eq (local.get $what) (i32.const 122)) (then
                (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 0))
                (i32.store (i32.const 8) (i32.const 100)) (i32.store (i32.const 12) (i32.const 5))))
            ;; t: traps; d: recurses; f: runs forever
            (if (i32.eq (local.get $what) (i32.const 116)) (then unreachable))
            (if (i32.eq (local.get $what) (i32.const 100)) (then (call $deep)))
            (if (i32.eq (local.get $what) (i32.const 102)) (then (loop $forever (br $forever))))
            ;; m: takes memory until there is none
            (if (i32.eq (local.get $what) (i32.const 109)) (then (loop $more
                (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))) unreachable)))
            ;; o: answers with 128 KiB
            (if (i32.eq (local.get $what) (i32.const 111)) (then
                (drop (memory.grow (i32.const 2)))
                (i32.store (i32.const 4) (i32.const 0)) (i32.store (i32.const 8) (i32.const 131072))))
            (i32.const 0)))
    (core instance $c (instantiate $code
        (with "m" (instance $m))
        (with "host" (instance (export "log" (func $log))))))
    (func (export "handle") (param "input" (list u8)) (result (result (list u8) (error $refusal)))
        (canon lift (core func $c "handle") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))"#;

/// A command that copies its input to its output, and exits with a code if there is one in its name.
fn command(version: &str, code: Option<u8>) -> Guest {
    let ending = code.map_or(String::new(), |code| {
        format!("(call $exit (i32.const {code}))")
    });
    let text = format!(
        r#"(component
        (import "wasi:io/error@{version}" (instance $errors (export "error" (type (sub resource)))))
        (alias export $errors "error" (type $error))
        (import "wasi:io/streams@{version}" (instance $streams
            (export "output-stream" (type $out (sub resource)))
            (export "input-stream" (type $in (sub resource)))
            (alias outer 1 $error (type $outer))
            (export "error" (type $e (eq $outer)))
            (type $failure (variant (case "last-operation-failed" (own $e)) (case "closed")))
            (export "stream-error" (type $f (eq $failure)))
            (export "[method]output-stream.blocking-splice" (func
                (param "self" (borrow $out)) (param "src" (borrow $in)) (param "len" u64)
                (result (result u64 (error $f)))))))
        (alias export $streams "output-stream" (type $out))
        (alias export $streams "input-stream" (type $in))
        (import "wasi:cli/stdin@{version}" (instance $stdin
            (alias outer 1 $in (type $outer)) (export "input-stream" (type $t (eq $outer)))
            (export "get-stdin" (func (result (own $t))))))
        (import "wasi:cli/stdout@{version}" (instance $stdout
            (alias outer 1 $out (type $outer)) (export "output-stream" (type $t (eq $outer)))
            (export "get-stdout" (func (result (own $t))))))
        (import "wasi:cli/exit@{version}" (instance $exits
            (export "exit-with-code" (func (param "status-code" u8)))))
        (core module $memory (memory (export "memory") 1))
        (core instance $m (instantiate $memory))
        (core func $splice (canon lower (func $streams "[method]output-stream.blocking-splice")
            (memory (core memory $m "memory"))))
        (core func $get_stdin (canon lower (func $stdin "get-stdin")))
        (core func $get_stdout (canon lower (func $stdout "get-stdout")))
        (core func $exit (canon lower (func $exits "exit-with-code")))
        (core module $code
            (import "m" "memory" (memory 1))
            (import "host" "splice" (func $splice (param i32 i32 i64 i32)))
            (import "host" "stdin" (func $stdin (result i32)))
            (import "host" "stdout" (func $stdout (result i32)))
            (import "host" "exit" (func $exit (param i32)))
            (func (export "run") (result i32) (local $in i32) (local $out i32)
                (local.set $in (call $stdin))
                (local.set $out (call $stdout))
                (loop $next
                    (call $splice (local.get $out) (local.get $in) (i64.const 3) (i32.const 0))
                    (br_if $next (i32.eqz (i32.load8_u (i32.const 0)))))
                {ending}
                (i32.const 0)))
        (core instance $c (instantiate $code (with "m" (instance $m)) (with "host" (instance
            (export "splice" (func $splice)) (export "stdin" (func $get_stdin))
            (export "stdout" (func $get_stdout)) (export "exit" (func $exit))))))
        (func $run (result (result)) (canon lift (core func $c "run")))
        (instance $main (export "run" (func $run)))
        (export "wasi:cli/run@{version}" (instance $main)))"#
    );
    Guest::from_bytes("a command", text.as_bytes()).unwrap()
}

fn worker() -> Guest {
    let worker = Guest::from_bytes("a worker", WORKER.as_bytes()).unwrap();
    assert_eq!(*worker.entry(), Entry::Worker);
    worker
}

fn as_it_is(builder: PoolBuilder) -> PoolBuilder {
    builder
}

fn only(outcome: Outcome) -> Ending {
    Ending {
        outcome,
        output: Vec::new(),
        lines: Vec::new(),
    }
}

#[test]
fn a_worker_answers_logs_and_refuses_the_same_everywhere() {
    let worker = worker();
    everywhere(&worker, as_it_is, b"echo", &output("echo"));
    let logged = Ending {
        lines: vec!["hello".to_owned()],
        ..output("l")
    };
    everywhere(&worker, as_it_is, b"l", &logged);
    let refused = Outcome::Refused {
        code: 7,
        reason: "hello".to_owned(),
    };
    everywhere(&worker, as_it_is, b"r", &only(refused));
}

#[test]
fn a_worker_traps_the_same_everywhere() {
    let trapped = |kind| {
        only(Outcome::Trapped {
            kind,
            reason: String::new(),
        })
    };
    everywhere(&worker(), as_it_is, b"t", &trapped(TrapKind::Unreachable));
    everywhere(&worker(), as_it_is, b"d", &trapped(TrapKind::StackOverflow));
}

#[test]
fn a_worker_is_held_to_its_limits_everywhere() {
    let small = |builder: PoolBuilder| {
        builder.limits(Limits {
            memory: ByteSize::from_mib(2),
            output: ByteSize::from_kib(64),
            ..limits(Some(Duration::from_millis(300)))
        })
    };
    everywhere(&worker(), small, b"m", &only(Outcome::MemoryLimit));
    everywhere(&worker(), small, b"o", &only(Outcome::OutputLimit));
    everywhere(&worker(), small, b"f", &only(Outcome::Deadline));
    let metered = |builder: PoolBuilder| {
        builder.limits(Limits {
            fuel: Some(100_000),
            ..Limits::default()
        })
    };
    everywhere(&worker(), metered, b"f", &only(Outcome::OutOfFuel));
}

#[test]
fn a_command_reads_and_writes_its_streams_and_exits_everywhere() {
    for version in ["0.2.0", "0.2.3", "0.2.12"] {
        let guest = command(version, None);
        assert_eq!(*guest.entry(), Entry::Run);
        everywhere(&guest, as_it_is, b"some words", &output("some words"));
    }
    let exited = Ending {
        output: b"words".to_vec(),
        ..only(Outcome::Exited(3))
    };
    everywhere(&command("0.2.3", Some(3)), as_it_is, b"words", &exited);
}

#[test]
fn a_command_of_the_standard_library_finds_what_it_expects_everywhere() {
    let Some(wasm) = preview2::built("command") else {
        return;
    };
    let guest = Guest::from_bytes("command", wasm).expect("it is a command");
    assert_eq!(guest.entry(), &Entry::Run);
    let seeded = |builder: PoolBuilder| {
        let builder = builder.args(["one", "two"]).env("A", "b");
        builder
            .seed(Some(5))
            .limits(limits(Some(Duration::from_secs(60))))
    };
    let told = output(r#"["one", "two"] ["A=b"]"#);
    everywhere(&guest, seeded, b"told", &told);
    everywhere(&guest, seeded, b"time", &output("slept"));
    let lines = |lines: &[&str], said: &str| Ending {
        lines: lines.iter().map(|&line| line.to_owned()).collect(),
        ..output(said)
    };
    everywhere(&guest, seeded, b"lines", &lines(&["one", "two"], "out"));
    let refused = "No such file or directory (os error 44); No such file or directory (os error 44); \
                   Permission denied (os error 2); Permission denied (os error 2)";
    everywhere(&guest, seeded, b"denied", &lines(&[refused], "denied"));
    let exited = Ending {
        // `std` says no more of a code than that it is not 0.
        outcome: Outcome::Exited(1),
        ..output("")
    };
    everywhere(&guest, seeded, b"7", &exited);
    everywhere(&guest, seeded, b"0", &output(""));
}

#[test]
fn a_command_that_sleeps_ends_at_its_deadline_and_a_loud_one_at_its_limit() {
    let Some(wasm) = preview2::built("command") else {
        return;
    };
    let guest = Guest::from_bytes("command", wasm).expect("it is a command");
    let over = |outcome: Outcome, said: &str| Ending {
        outcome,
        ..output(said)
    };
    let short = |builder: PoolBuilder| builder.limits(limits(Some(Duration::from_millis(500))));
    everywhere(&guest, short, b"sleep", &over(Outcome::Deadline, ""));
    let little = |builder: PoolBuilder| {
        builder.limits(Limits {
            output: ByteSize::from_kib(100),
            ..limits(Some(Duration::from_secs(60)))
        })
    };
    for (place, builder) in common::everywhere::places(&guest) {
        let pool = common::everywhere::build(little(builder));
        let seen = common::everywhere::ending(&pool, b"large");
        assert_eq!(seen.outcome, Outcome::OutputLimit, "{place}");
        assert!(seen.output.len() <= 100 << 10, "{place}");
    }
}
