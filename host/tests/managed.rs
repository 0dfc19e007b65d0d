//! Guests whose structures, arrays and exceptions a garbage collector manages: the same endings in both isolations, and
//! the same limits.

mod common;

use std::time::Duration;

use cofferdam::{ByteSize, Entry, Guest, Limits, Outcome, PoolBuilder, TrapKind};
use common::everywhere::{Ending, everywhere, output};
use common::limits;

/// A guest of interface 1 with these types and this `handle`. Its memory has one page.
fn guest(types: &str, body: &str) -> Guest {
    let text = format!(
        r#"(module
        {types}
        (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
        (memory (export "memory") 1 1)
        (func (export "cofferdam_abi_1"))
        (func $say (param $what i32)
            (i32.store8 (i32.const 0) (local.get $what))
            (call $output_write (i32.const 0) (i32.const 1)))
        {body})"#
    );
    let guest = Guest::from_bytes("a guest with a collector", text.as_bytes()).expect("a guest");
    assert_eq!(*guest.entry(), Entry::Handle);
    guest
}

const CELL: &str =
    "(type $cell (struct (field $value (mut i32)) (field $next (mut (ref null $cell)))))";

/// Makes a list of so many cells, and keeps all of it or only the last one.
fn cells(count: u32, keeps: bool) -> Guest {
    let next = match keeps {
        true => "(local.get $last)",
        false => "(ref.null $cell)",
    };
    guest(
        CELL,
        &format!(
            r#"(func (export "handle") (result i32)
                (local $count i32) (local $last (ref null $cell))
                (loop $more
                    (local.set $count (i32.add (local.get $count) (i32.const 1)))
                    (local.set $last (struct.new $cell (i32.const 65) {next}))
                    (br_if $more (i32.lt_u (local.get $count) (i32.const {count}))))
                (call $say (struct.get $cell $value (local.get $last)))
                (i32.const 0))"#
        ),
    )
}

fn small(builder: PoolBuilder) -> PoolBuilder {
    builder.limits(Limits {
        memory: ByteSize::from_mib(1),
        ..limits(Some(Duration::from_secs(60)))
    })
}

#[test]
fn what_nobody_holds_any_more_is_collected_and_the_job_goes_on() {
    // At 16 bytes a cell and more they are many times the limit.
    everywhere(&cells(1_000_000, false), small, b"", &output("A"));
}

#[test]
fn what_is_held_counts_towards_the_memory_limit() {
    let over = Ending {
        outcome: Outcome::MemoryLimit,
        output: Vec::new(),
        lines: Vec::new(),
    };
    everywhere(&cells(1_000_000, true), small, b"", &over);
    everywhere(&cells(1000, true), small, b"", &output("A"));
}

#[test]
fn an_exception_is_caught_or_ends_the_job() {
    let catches = guest(
        "(tag $oh (param i32))",
        r#"(func $throws (throw $oh (i32.const 66)))
        (func (export "handle") (result i32)
            (block $caught (result i32)
                (try_table (catch $oh $caught) (call $throws))
                (i32.const 67))
            (call $say)
            (i32.const 0))"#,
    );
    everywhere(&catches, |builder| builder, b"", &output("B"));
    let throws = guest(
        "(tag $oh (param i32))",
        r#"(func (export "handle") (result i32) (throw $oh (i32.const 66)))"#,
    );
    let uncaught = Ending {
        outcome: Outcome::Trapped {
            kind: TrapKind::UncaughtException,
            reason: String::new(),
        },
        output: Vec::new(),
        lines: Vec::new(),
    };
    everywhere(&throws, |builder| builder, b"", &uncaught);
}

#[test]
fn a_guest_that_only_makes_garbage_is_stopped_at_its_deadline() {
    let short = |builder: PoolBuilder| builder.limits(limits(Some(Duration::from_millis(300))));
    let over = Ending {
        outcome: Outcome::Deadline,
        output: Vec::new(),
        lines: Vec::new(),
    };
    everywhere(&cells(u32::MAX, false), short, b"", &over);
}

#[test]
fn what_only_instructions_show_is_found_too() {
    for body in [
        r#"(func (export "handle") (result i32)
            (drop (ref.is_null (ref.null extern)))
            (call $say (i32.const 65))
            (i32.const 0))"#,
        r#"(func (export "handle") (result i32)
            (block $caught (try_table (catch_all $caught) (call $say (i32.const 65))))
            (i32.const 0))"#,
    ] {
        everywhere(&guest("", body), |builder| builder, b"", &output("A"));
    }
}

#[test]
fn a_null_that_is_followed_is_a_trap() {
    let guest = guest(
        CELL,
        r#"(func (export "handle") (result i32)
            (call $say (struct.get $cell $value (ref.null $cell)))
            (i32.const 0))"#,
    );
    let trapped = Ending {
        outcome: Outcome::Trapped {
            kind: TrapKind::Other,
            reason: String::new(),
        },
        output: Vec::new(),
        lines: Vec::new(),
    };
    everywhere(&guest, |builder| builder, b"", &trapped);
}

#[test]
fn an_exception_while_the_instance_is_made_is_the_jobs_ending() {
    let guest = guest(
        "(tag $oh)",
        r#"(func $start (throw $oh)) (start $start)
        (func (export "handle") (result i32) (i32.const 0))"#,
    );
    let uncaught = Ending {
        outcome: Outcome::Trapped {
            kind: TrapKind::UncaughtException,
            reason: String::new(),
        },
        output: Vec::new(),
        lines: Vec::new(),
    };
    everywhere(&guest, |builder| builder, b"", &uncaught);
}

#[test]
fn an_exception_for_want_of_memory_is_the_memory_limit() {
    let text = r#"(module
        (tag $bad_alloc)
        (memory (export "memory") 1)
        (func (export "cofferdam_abi_1"))
        (func (export "handle") (result i32)
            (if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then (throw $bad_alloc)))
            (i32.const 0)))"#;
    let guest = Guest::from_bytes("a guest that throws", text.as_bytes()).expect("a guest");
    let over = Ending {
        outcome: Outcome::MemoryLimit,
        output: Vec::new(),
        lines: Vec::new(),
    };
    everywhere(&guest, small, b"", &over);
}
