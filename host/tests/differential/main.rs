//! The same guest ends in the same way in a thread, in a process, and where wasmtime runs it alone.
//!
//! Five hundred random modules are a sample; `COFFERDAM_MODULES=10000` or, quicker, in a release build,
//! `endure differential` of the benches is the whole.

#[path = "../common/mod.rs"]
mod common;
mod trial;

use std::io::Write;
use std::path::Path;

use cofferdam::TrapKind;
use common::{COFFERDAM, wat};
use trial::direct::{Direct, Run};
use trial::ending::{Ending, Kind};
use trial::{Tally, compare, in_pools};

fn program() -> Option<&'static Path> {
    Some(Path::new(COFFERDAM))
}

#[test]
fn random_modules_end_alike_in_threads_in_processes_and_in_wasmtime_alone() {
    let wish = std::env::var("COFFERDAM_MODULES").ok();
    let count = wish.map_or(500, |wish| wish.parse().expect("a number of modules"));
    let tally = compare(0..count, program());
    let _ = writeln!(std::io::stdout(), "{tally}");
    assert_eq!(tally.modules, count);
    if let Err(why) = tally.verdict() {
        panic!("{why}");
    }
}

/// The body of a `handle` that comes to a bad end, after it has written three bytes.
struct Bad {
    name: &'static str,
    body: &'static str,
    end: Kind,
}

fn trap(kind: TrapKind) -> Kind {
    Kind::Trapped {
        kind,
        reason: "why".to_owned(),
    }
}

/// Every kind of trap that a guest can reach. `TrapKind::Other` is for traps of proposals that are
/// compiled out, so that no guest comes to one.
fn bad_guests() -> Vec<Bad> {
    let bad = |name, body, end| Bad { name, body, end };
    let traps = |name, body, kind| bad(name, body, trap(kind));
    vec![
        traps("unreachable", "unreachable", TrapKind::Unreachable),
        traps(
            "deep recursion",
            "(call $deep) (i32.const 0)",
            TrapKind::StackOverflow,
        ),
        traps(
            "a load past the end",
            "(i32.load (i32.const 65533))",
            TrapKind::MemoryOutOfBounds,
        ),
        traps(
            "a store at a huge offset",
            "(i32.store offset=0xffffffff (i32.const -1) (i32.const 0)) (i32.const 0)",
            TrapKind::MemoryOutOfBounds,
        ),
        traps(
            "a fill past the end",
            "(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7)) (i32.const 0)",
            TrapKind::MemoryOutOfBounds,
        ),
        traps(
            "a copy past the end",
            "(memory.copy (i32.const 0) (i32.const 65530) (i32.const 7)) (i32.const 0)",
            TrapKind::MemoryOutOfBounds,
        ),
        traps(
            "an indirect call past the table",
            "(call_indirect (result i32) (i32.const 3))",
            TrapKind::TableOutOfBounds,
        ),
        traps(
            "an indirect call of nothing",
            "(call_indirect (result i32) (i32.const 1))",
            TrapKind::NullCall,
        ),
        traps(
            "an indirect call of another type",
            "(call_indirect (result i32) (i32.const 0))",
            TrapKind::BadSignature,
        ),
        traps(
            "the least number by -1",
            "(i32.div_s (i32.const 0x80000000) (i32.const -1))",
            TrapKind::IntegerOverflow,
        ),
        traps(
            "a division by zero",
            "(i32.div_s (i32.const 1) (call $input_len))",
            TrapKind::DivisionByZero,
        ),
        traps(
            "a remainder by zero",
            "(i32.rem_u (i32.const 1) (call $input_len))",
            TrapKind::DivisionByZero,
        ),
        traps(
            "a NaN as an integer",
            "(i32.trunc_f64_s (f64.const nan))",
            TrapKind::BadConversion,
        ),
        traps(
            "a float too large for an integer",
            "(i32.trunc_f32_u (f32.const 1e20))",
            TrapKind::IntegerOverflow,
        ),
        bad(
            "a loop without end",
            "(loop $forever (br $forever)) unreachable",
            Kind::OutOfFuel,
        ),
        bad(
            "a refusal",
            "(i32.const -7)",
            Kind::Refused {
                code: -7,
                reason: "why".to_owned(),
            },
        ),
        bad(
            "an output without end",
            "(loop $more (call $output_write (i32.const 0) (i32.const 60000)) (br $more)) unreachable",
            Kind::OutputLimit,
        ),
        bad(
            "a message that is too long with what was said before",
            "(loop $more (call $post (i32.const 0) (i32.const 65536)) (br $more)) unreachable",
            Kind::OutputLimit,
        ),
        bad(
            "a range past the end",
            "(call $output_write (i32.const 65530) (i32.const 7)) (i32.const 0)",
            Kind::InterfaceViolation,
        ),
        bad(
            "a range past all numbers",
            "(call $random (i32.const -1) (i32.const -1)) (i32.const 0)",
            Kind::InterfaceViolation,
        ),
        bad(
            "a region that is not there",
            "(drop (call $region_load (i64.const 0))) (i32.const 0)",
            Kind::InterfaceViolation,
        ),
        bad(
            "a trap over memory that was denied",
            "(if (i32.ne (memory.grow $large (i32.const 17)) (i32.const -1)) (then (return (i32.const 1)))) unreachable",
            Kind::MemoryLimit,
        ),
    ]
}

/// The text of a guest with this body. The interface's memory is the first one, and the one without a name.
fn whole(body: &str) -> String {
    wat(&format!(
        r#"(memory $large 0)
        (table 2 2 funcref)
        (elem (i32.const 0) $deep)
        (data (i32.const 100) "why")
        (func $deep (local i64 i64) (call $deep))
        (func (export "handle") (result i32)
            (call $output_write (i32.const 100) (i32.const 3))
            (call $post (i32.const 101) (i32.const 2))
            (call $fail (i32.const 100) (i32.const 3))
            {body})"#
    ))
}

#[test]
fn every_kind_of_trap_is_the_same_in_threads_in_processes_and_in_wasmtime_alone() {
    let direct = Direct::new();
    for Bad { name, body, end } in bad_guests() {
        let wasm = ::wat::parse_str(whole(body)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let run = direct.run(&wasm, b"");
        assert_eq!(run.ending.kind, end, "{name}");
        assert!(run.ending.output.starts_with(b"why"), "{name}");
        assert_eq!(run.ending.posts[0], b"hy", "{name}");
        for (isolation, ending) in in_pools(name, &wasm, b"", program()) {
            let difference = run.ending.difference(&ending);
            assert_eq!(difference, None, "{name} in a {isolation}");
        }
    }
}

#[test]
fn the_suite_of_bad_ends_knows_every_kind_of_trap_that_a_guest_can_reach() {
    let bad = bad_guests();
    let kinds = [
        TrapKind::Unreachable,
        TrapKind::StackOverflow,
        TrapKind::MemoryOutOfBounds,
        TrapKind::TableOutOfBounds,
        TrapKind::NullCall,
        TrapKind::BadSignature,
        TrapKind::IntegerOverflow,
        TrapKind::DivisionByZero,
        TrapKind::BadConversion,
    ];
    for kind in kinds {
        assert!(bad.iter().any(|bad| bad.end == trap(kind)), "{kind}");
    }
}

fn ended(kind: Kind, output: &[u8]) -> Ending {
    Ending {
        output: output.to_vec(),
        ..Ending::bare(kind)
    }
}

#[test]
fn a_single_byte_that_differs_is_a_difference() {
    let tally_of = |thread: Ending, process: Ending| {
        let mut tally = Tally::default();
        let run = Run {
            ending: ended(Kind::Output, b"abc"),
            reached_handle: true,
        };
        tally.add(
            "a module",
            &run,
            &[("thread", thread), ("process", process)],
        );
        tally
    };
    let good = ended(Kind::Output, b"abc");
    assert_eq!(tally_of(good.clone(), good.clone()).verdict(), Ok(()));
    let why = tally_of(good.clone(), ended(Kind::Output, b"abd")).verdict();
    let why = why.unwrap_err();
    assert!(
        why.contains("wasmtime and process: 3 bytes of output and 3, which differ from byte 2 on"),
        "{why}"
    );
    let why = tally_of(ended(Kind::OutOfFuel, b"abc"), good).verdict();
    assert!(why.unwrap_err().contains("Output and OutOfFuel"));
}

#[test]
fn modules_that_get_nowhere_prove_nothing() {
    let mut tally = Tally::default();
    let run = Run {
        ending: Ending::bare(Kind::NotCompiled),
        reached_handle: false,
    };
    tally.add("a module", &run, &[]);
    assert!(tally.verdict().unwrap_err().contains("prove little"));
}
