//! A stranger's module is compiled in a process that can be killed, and what that process makes is not mapped
//! in the host.

mod common;

use std::time::{Duration, Instant};

use cofferdam::{
    BuildError, ByteSize, Cache, Compile, CompileLimits, Guest, Isolation, Job, Pool, PoolBuilder,
    RuntimeError,
};

use common::{COFFERDAM, MS, children_of, for_each, guest, handle, reply, wait_until};

/// A number as wasm writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

fn export(name: &str, kind: u8, index: usize) -> Vec<u8> {
    [&leb(name.len()), name.as_bytes(), &[kind], &leb(index)].concat()
}

/// A guest that does nothing, with so many functions beside, all of this body.
fn bomb(functions: usize, body: &[u8]) -> Guest {
    let types = [&[2][..], b"\x60\x00\x00", b"\x60\x00\x01\x7f"].concat();
    let declared = [&leb(functions + 2), vec![0; functions + 1].as_slice(), &[1]].concat();
    let exports = [
        leb(3),
        export("memory", 2, 0),
        export("cofferdam_abi_1", 0, functions),
        export("handle", 0, functions + 1),
    ];
    let function = [&leb(body.len() + 2), &[0][..], body, &[0x0b]].concat();
    let code = [
        leb(functions + 2),
        function.repeat(functions),
        b"\x02\x00\x0b\x04\x00\x41\x00\x0b".to_vec(),
    ];
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &types),
        section(3, &declared),
        section(5, b"\x01\x00\x01"),
        section(7, &exports.concat()),
        section(10, &code.concat()),
    ];
    Guest::from_bytes("bomb", &module.concat()).expect("it is a guest")
}

/// One function that keeps any compiler busy: blocks in blocks, each with a way out of all of them.
fn huge_function() -> Guest {
    let (begin, leave, end) = (b"\x02\x40", b"\x41\x00\x0d\x00", b"\x0b");
    let nest = [
        begin.repeat(20_000),
        leave.repeat(20_000),
        end.repeat(20_000),
    ]
    .concat();
    bomb(1, &nest.repeat(20))
}

fn isolated(guest: &Guest, isolation: Isolation, limits: CompileLimits) -> PoolBuilder {
    Pool::builder(guest.clone())
        .isolation(isolation)
        .worker_program(COFFERDAM)
        .compile(Compile::Isolated(limits))
        .cache(Cache::off())
}

fn refused(builder: PoolBuilder) -> RuntimeError {
    match builder.build() {
        Err(BuildError::Guest { error, .. }) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was compiled"),
    }
}

fn within(timeout: Duration, memory: ByteSize) -> CompileLimits {
    CompileLimits { timeout, memory }
}

#[test]
fn a_module_that_takes_too_long_to_compile_is_given_up_in_time() {
    let bomb = huge_function();
    for isolation in Isolation::ALL {
        let start = Instant::now();
        let limits = within(MS(500), ByteSize::from_mib(4096));
        let error = refused(isolated(&bomb, isolation, limits));
        assert!(
            matches!(error, RuntimeError::CompileTimeout { .. }),
            "{error}"
        );
        assert!(start.elapsed() < MS(1500), "{:?}", start.elapsed());
    }
    wait_until("the compilers are gone", || {
        children_of(std::process::id()).is_empty()
    });
}

#[test]
fn a_module_that_takes_too_much_memory_to_compile_says_so() {
    let limits = within(Duration::from_secs(60), ByteSize::from_mib(64));
    for isolation in Isolation::ALL {
        let error = refused(isolated(&huge_function(), isolation, limits));
        assert!(
            matches!(error, RuntimeError::CompileMemory { .. }),
            "{error}"
        );
    }
}

#[test]
fn many_functions_and_many_empty_segments_are_compiled_or_refused_within_the_limits() {
    let segments = "(elem declare func)".repeat(20_000);
    let many_segments = format!(
        r#"(module (memory (export "memory") 1) {segments} (func (export "cofferdam_abi_1"))
           (func (export "handle") (result i32) (i32.const 0)))"#
    );
    let bombs = [bomb(100_000, b""), guest(&many_segments)];
    for bomb in bombs {
        let start = Instant::now();
        let limits = within(Duration::from_secs(5), ByteSize::from_mib(256));
        // Either is a good end. What must not be is a host that hangs or grows.
        let _ = isolated(&bomb, Isolation::Process, limits)
            .build()
            .map(drop);
        assert!(start.elapsed() < Duration::from_secs(6));
    }
}

#[test]
fn a_module_that_is_not_valid_is_refused_as_it_is_inline() {
    let broken = r#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1"))
        (func (export "handle") (result i32)))"#;
    let broken = Guest::from_bytes("broken", broken.as_bytes()).expect("its sections are fine");
    let apart = isolated(&broken, Isolation::Process, CompileLimits::default());
    let inline = apart.clone().compile(Compile::Inline);
    assert_eq!(refused(apart).to_string(), refused(inline).to_string());
}

#[test]
fn a_guest_that_was_compiled_apart_works_in_both_isolations() {
    let guest = handle("(call $output_write (i32.const 0) (i32.const 3)) (i32.const 0)");
    for_each(Isolation::ALL, |isolation| {
        let pool = isolated(&guest, isolation, CompileLimits::default())
            .build()
            .expect("the pool is built");
        assert_eq!(reply(&pool, Job::new("")).output, [0; 3]);
    });
}

#[test]
fn code_that_a_process_made_is_kept_for_processes_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let guest = handle("(i32.const 0)");
    let was_cached = |isolation, metering| {
        isolated(&guest, isolation, CompileLimits::default())
            .cache(Cache::at(folder.path()))
            .metering(metering)
            .build()
            .expect("the pool is built")
            .was_cached()
    };
    let unmetered = cofferdam::Metering::Unmetered;
    assert!(!was_cached(Isolation::Process, unmetered));
    assert!(was_cached(Isolation::Process, unmetered));
    // The same settings, so the same code, but not from that hand.
    assert!(!was_cached(Isolation::Thread, unmetered));
    assert!(was_cached(Isolation::Thread, unmetered));
}
