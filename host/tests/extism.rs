//! Plugins of Extism, in both isolations: one that is built with Extism's own kit for Rust, and others by hand.

mod common;

use cofferdam::{
    Entry, Guest, GuestError, InstancePolicy, Job, Limits, Outcome, PoolBuilder, TrapKind,
};

use common::everywhere::{Ending, build, ending, everywhere, output, places};
use common::kit::{behaviours, call};
use common::limits;

fn refused(code: i32, reason: &str) -> Ending {
    Ending {
        outcome: Outcome::Refused {
            code,
            reason: reason.to_owned(),
        },
        ..output("")
    }
}

/// With 64 MiB of memory in all.
fn in_little_memory(builder: PoolBuilder) -> PoolBuilder {
    builder.limits(Limits {
        memory: cofferdam::ByteSize::from_mib(64),
        ..Limits::default()
    })
}

fn as_it_is(builder: PoolBuilder) -> PoolBuilder {
    builder
}

#[test]
fn a_plugin_of_extisms_kit_behaves_the_same_everywhere() {
    let Some(plugin) = behaviours() else {
        return;
    };
    let quick = |name: &str, input: &str, expected: &Ending| {
        everywhere(&call(&plugin, name), as_it_is, input.as_bytes(), expected);
    };
    quick("echo", "as it is", &output("as it is"));
    quick("echo", "", &output(""));
    quick("greet", "World", &output("Hello, World!"));
    quick("count_vowels", "a big river", &output(r#"{"count":4}"#));
    quick("fail", "it is Monday", &refused(7, "it is Monday"));
    quick("forget", "", &output(r#"Some("a while") None"#));
    quick("churn", "", &output("true"));
    let lines = ["an info", "a warning", "an error"];
    let talk = Ending {
        lines: lines.map(ToOwned::to_owned).to_vec(),
        ..output("")
    };
    quick("talk", "", &talk);
    let set = |builder: PoolBuilder| builder.config("colour", "green");
    everywhere(&call(&plugin, "setting"), set, b"colour", &output("green"));
    everywhere(&call(&plugin, "setting"), set, b"size", &output("unset"));
}

#[test]
fn a_plugin_of_extisms_kit_meets_every_limit() {
    let Some(plugin) = behaviours() else {
        return;
    };
    let with = |limits: Limits| move |builder: PoolBuilder| builder.limits(limits);
    let short = limits(Some(common::MS(300)));
    let over = |outcome: Outcome| Ending {
        outcome,
        ..output("")
    };
    everywhere(
        &call(&plugin, "spin"),
        with(short),
        b"",
        &over(Outcome::Deadline),
    );
    for (place, builder) in places(&call(&plugin, "hog")) {
        let outcome = ending(&build(in_little_memory(builder)), b"").outcome;
        assert_eq!(outcome, Outcome::MemoryLimit, "{place}");
    }
    for (place, builder) in places(&call(&plugin, "panic")) {
        let outcome = ending(&build(builder), b"").outcome;
        let is_trap = matches!(
            &outcome,
            Outcome::Trapped {
                kind: TrapKind::Unreachable,
                ..
            }
        );
        assert!(is_trap, "{place}: {outcome:?}");
    }
    let small = Limits {
        output: cofferdam::ByteSize::from_kib(64),
        ..Limits::default()
    };
    let produce = call(&plugin, "produce");
    everywhere(&produce, with(small), b"65536", &output(&"x".repeat(65536)));
    everywhere(&produce, with(small), b"65537", &over(Outcome::OutputLimit));
}

#[test]
fn variables_live_as_long_as_the_instance() {
    let Some(plugin) = behaviours() else {
        return;
    };
    for (place, builder) in places(&call(&plugin, "turn")) {
        for (instance, expected) in [
            (InstancePolicy::Fresh, ["1", "1", "1"]),
            (InstancePolicy::Reused, ["1", "2", "3"]),
        ] {
            let pool = build(builder.clone().instance(instance));
            for turn in expected {
                assert_eq!(ending(&pool, b""), output(turn), "{place}, {instance:?}");
            }
        }
    }
}

/// A plugin by hand. `$text` makes a block of the first bytes of its memory.
fn plugin(module: &str, prefix: &str, body: &str) -> Vec<u8> {
    let import = |name: &str, ty: &str| {
        format!(r#"(import "{module}" "{prefix}{name}" (func ${name} {ty}))"#)
    };
    let imports = [
        import("alloc", "(param i64) (result i64)"),
        import("length", "(param i64) (result i64)"),
        import("store_u8", "(param i64 i32)"),
        import("load_u8", "(param i64) (result i32)"),
        import("load_u64", "(param i64) (result i64)"),
        import("input_length", "(result i64)"),
        import("input_load_u8", "(param i64) (result i32)"),
        import("output_set", "(param i64 i64)"),
        import("error_set", "(param i64)"),
        import("var_set", "(param i64 i64)"),
        import("http_request", "(param i64 i64) (result i64)"),
    ]
    .join("\n");
    format!(
        r#"(module {imports}
        (memory (export "memory") 1)
        (data (i32.const 0) "{{\"url\":\"http://example.org/\"}}")
        (func $text (param $length i32) (result i64) (local $block i64) (local $at i32)
            (local.set $block (call $alloc (i64.extend_i32_u (local.get $length))))
            (loop $next
                (call $store_u8
                    (i64.add (local.get $block) (i64.extend_i32_u (local.get $at)))
                    (i32.load8_u (local.get $at)))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $at) (local.get $length))))
            (local.get $block))
        {body})"#
    )
    .into_bytes()
}

const NEW: &str = "extism:host/env";

#[test]
fn plugins_of_before_version_1_run_too() {
    let body = r#"(func (export "answer") (local $block i64)
        (local.set $block (call $text (i32.const 6)))
        (call $output_set (local.get $block) (call $length (local.get $block))))"#;
    for (module, prefix) in [("env", "extism_"), (NEW, "")] {
        let guest = Guest::from_bytes("answer", &plugin(module, prefix, body)).unwrap();
        assert_eq!(
            guest.entry(),
            &Entry::Extism {
                call: "answer".into()
            }
        );
        everywhere(&guest, as_it_is, b"", &output(r#"{"url""#));
    }
}

#[test]
fn a_wrong_number_reads_as_nothing_and_writes_nowhere() {
    // Beyond the heap, at its edge, before any block; and an output that is not there.
    let body = r#"(func (export "stray") (result i32)
        (call $store_u8 (i64.const -1) (i32.const 7))
        (call $store_u8 (i64.const 1) (i32.const 7))
        (call $output_set (i64.const 0x7fffffffffffffff) (i64.const 0x7fffffffffffffff))
        (i32.or
            (i32.wrap_i64 (i64.or (call $load_u64 (i64.const -8)) (call $length (i64.const 5))))
            (i32.or (call $load_u8 (i64.const -1)) (call $input_load_u8 (i64.const 3)))))"#;
    let guest = Guest::from_bytes("stray", &plugin(NEW, "", body)).unwrap();
    everywhere(&guest, as_it_is, b"abc", &output(""));
}

#[test]
fn nothing_of_a_job_is_left_for_the_next() {
    // The first byte of the heap's memory that a block has, before it is written to; then it is written to.
    let body = r#"(func (export "peek") (result i32) (local $block i64) (local $found i32)
        (local.set $block (call $alloc (i64.const 64)))
        (local.set $found (call $load_u8 (local.get $block)))
        (call $store_u8 (local.get $block) (call $input_load_u8 (i64.const 0)))
        (local.get $found))"#;
    let guest = Guest::from_bytes("peek", &plugin(NEW, "", body)).unwrap();
    everywhere(&guest, as_it_is, b"secret", &output(""));
}

#[test]
fn what_is_not_allowed_ends_the_job_with_the_reason() {
    let http = r#"(func (export "fetch") (result i32)
        (drop (call $http_request (call $text (i32.const 29)) (i64.const 0))) (i32.const 0))"#;
    let key = r#"(func (export "keep") (result i32)
        (call $var_set (i64.const 3) (i64.const 0)) (i32.const 0))"#;
    let flood = r#"(func (export "flood") (result i32)
        (call $var_set (call $text (i32.const 1)) (call $alloc (i64.const 1048576))) (i32.const 0))"#;
    for (body, expected) in [
        (http, "http_request of http://example.org/ is not allowed"),
        (
            key,
            "var_set was given 0x3, where no block of memory begins",
        ),
        (flood, "var_set would keep more than 1024 KiB of variables"),
    ] {
        let guest = Guest::from_bytes("denied", &plugin(NEW, "", body)).unwrap();
        for (place, builder) in places(&guest) {
            let outcome = ending(&build(builder), b"").outcome;
            let is_so =
                matches!(&outcome, Outcome::InterfaceViolation(why) if why.starts_with(expected));
            assert!(is_so, "{place}: {outcome:?}");
        }
    }
}

#[test]
fn constructors_run_within_the_job_and_its_time() {
    let body = r#"(func (export "__wasm_call_ctors") (loop $forever (br $forever)))
        (func (export "greet") (result i32) i32.const 0)"#;
    let guest = Guest::from_bytes("constructed", &plugin(NEW, "", body)).unwrap();
    let short = |builder: PoolBuilder| builder.limits(limits(Some(common::MS(300))));
    let over = Ending {
        outcome: Outcome::Deadline,
        ..output("")
    };
    everywhere(&guest, short, b"", &over);
}

#[test]
fn a_reason_beside_a_trap_is_kept() {
    let body = r#"(func (export "give_up") (result i32)
        (call $error_set (call $text (i32.const 6))) unreachable)"#;
    let guest = Guest::from_bytes("give up", &plugin(NEW, "", body)).unwrap();
    for (place, builder) in places(&guest) {
        let outcome = ending(&build(builder), b"").outcome;
        let expected = Outcome::Trapped {
            kind: TrapKind::Unreachable,
            reason: r#"{"url""#.to_owned(),
        };
        assert_eq!(outcome, expected, "{place}");
    }
}

#[test]
fn memory_of_the_host_counts_as_the_guests() {
    // Half of what it may have in all, and as much again, beside its own memory.
    let body = r#"(func (export "ask") (result i32)
        (drop (call $alloc (i64.const 33554432))) (drop (call $alloc (i64.const 33554432)))
        (i32.const 0))"#;
    let guest = Guest::from_bytes("ask", &plugin(NEW, "", body)).unwrap();
    let over = Ending {
        outcome: Outcome::MemoryLimit,
        ..output("")
    };
    everywhere(&guest, in_little_memory, b"", &over);
}

#[test]
fn a_plugin_of_several_functions_asks_which() {
    let two = plugin(
        NEW,
        "",
        r#"(func (export "a") (result i32) i32.const 0) (func (export "b"))"#,
    );
    let error = Guest::from_bytes("two", &two).unwrap_err();
    assert!(matches!(error, GuestError::NoCall { .. }), "{error}");
    let guest = call(&two, "b");
    everywhere(&guest, as_it_is, b"", &output(""));
    let job = Job::new("");
    let pool = build(places(&guest).remove(0).1);
    assert!(pool.call(job).is_ok());
}
