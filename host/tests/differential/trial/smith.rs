//! Modules that nobody wrote: random ones of `wasm-smith` that speak interface 1.
//!
//! A random module as it comes would hardly ever get anywhere, and nobody would see what it did. Each is
//! therefore made in the shape of a guest, and its `handle` is wrapped: whatever the random body returned,
//! the wrapper writes the whole linear memory out, so that a single byte that differs is a difference.

use arbitrary::Unstructured;
use fastrand::Rng;
use wasm_smith::{Config, Module};

/// A module and what was asked for in making it.
pub(crate) struct Smithed {
    pub(crate) wasm: Vec<u8>,
    pub(crate) input: Vec<u8>,
}

/// The functions that a random module may call. `output_write` is the first: the wrapper needs it.
const QUIET: &[&str] = &[
    r#"(import "cofferdam" "output_write" (func (param i32 i32)))"#,
    r#"(import "cofferdam" "input_len" (func (result i32)))"#,
    r#"(import "cofferdam" "clock" (func (result i64)))"#,
];

/// The others, nearly all of which end a job when their arguments are out of range.
const LOUD: &[&str] = &[
    r#"(import "cofferdam" "input_read" (func (param i32 i32 i32) (result i32)))"#,
    r#"(import "cofferdam" "fail" (func (param i32 i32)))"#,
    r#"(import "cofferdam" "post" (func (param i32 i32)))"#,
    r#"(import "cofferdam" "recv" (func (param i32 i32 i32) (result i32)))"#,
    r#"(import "cofferdam" "log" (func (param i32 i32 i32)))"#,
    r#"(import "cofferdam" "random" (func (param i32 i32)))"#,
    r#"(import "cofferdam" "region_len" (func (result i64)))"#,
    r#"(import "cofferdam" "region_read" (func (param i32 i64 i32)))"#,
    r#"(import "cofferdam" "region_write" (func (param i32 i64 i32)))"#,
    r#"(import "cofferdam" "region_load" (func (param i64) (result i64)))"#,
    r#"(import "cofferdam" "region_store" (func (param i64 i64)))"#,
    r#"(import "cofferdam" "region_add" (func (param i64 i64) (result i64)))"#,
    r#"(import "cofferdam" "region_compare_exchange" (func (param i64 i64 i64) (result i64)))"#,
];

/// Makes the module of a seed, always the same one.
///
/// # Panics
/// If `wasm-smith` makes none of a hundred strings of random bytes: it is then another version.
pub(crate) fn smith(seed: u64) -> Smithed {
    let mut rng = Rng::with_seed(seed);
    let input = (0..rng.usize(0..300)).map(|_| rng.u8(..)).collect();
    let imports = imports(&mut rng);
    let config = config(&mut rng, &imports);
    let mut last = None;
    let module = (0..100).find_map(|_| {
        let bytes: Vec<u8> = (0..rng.usize(2000..12_000)).map(|_| rng.u8(..)).collect();
        let made = Module::new(config.clone(), &mut Unstructured::new(&bytes));
        made.map_err(|error| last = Some(error)).ok()
    });
    let module = module.unwrap_or_else(|| panic!("random bytes make no module: {last:?}"));
    Smithed {
        wasm: wrapped(&module.to_bytes(), imports.len()),
        input,
    }
}

fn imports(rng: &mut Rng) -> Vec<&'static str> {
    let mut imports = QUIET.to_vec();
    if rng.u32(0..4) == 0 {
        imports.extend(LOUD.iter().filter(|_| rng.bool()));
    }
    imports
}

fn config(rng: &mut Rng, imports: &[&str]) -> Config {
    let (least, most) = (rng.u32(1..=2), rng.u32(2..=12));
    let shape = format!(
        r#"(module {}
            (memory (export "memory") {least} {most})
            (func (export "cofferdam_abi_1"))
            (func (export "handle") (result i32) unreachable))"#,
        imports.concat()
    );
    Config {
        module_shape: Some(wat::parse_str(shape).expect("it is a module")),
        // What the engine is built without.
        gc_enabled: false,
        exceptions_enabled: false,
        threads_enabled: false,
        memory64_enabled: false,
        // A few modules that the compiler refuses, so that the refusals are compared as well.
        reference_types_enabled: rng.u32(0..16) == 0,
        // The bits of a NaN are nobody's promise.
        canonicalize_nans: true,
        disallow_traps: rng.bool(),
        allow_start_export: rng.u32(0..4) == 0,
        max_instructions: rng.usize(20..200),
        // The least is counted beside those of the shape, the most with them: the imports and two exports.
        min_funcs: 1,
        max_funcs: imports.len() + 3 + rng.usize(0..10),
        max_globals: 12,
        max_memories: rng.usize(1..=2),
        max_memory32_bytes: 12 << 16,
        memory_max_size_required: true,
        max_table_elements: 2000,
        table_max_size_required: true,
        max_imports: imports.len(),
        ..Config::default()
    }
}

/// One section of a module.
struct Section<'a> {
    id: u8,
    bytes: &'a [u8],
}

const FUNCTIONS: u8 = 3;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

/// The same module, whose `handle` is a function that calls the former one and writes the memory out.
fn wrapped(wasm: &[u8], imported: usize) -> Vec<u8> {
    let (header, rest) = wasm.split_at(8);
    let sections = sections(rest);
    let find = |id| sections.iter().find(|section| section.id == id);
    let bytes = |id| find(id).expect("a guest has functions and exports").bytes;
    let types = numbers(bytes(FUNCTIONS));
    let (exports, former) = exports(bytes(EXPORTS), imported + types.len());
    let its_type = types[former - imported];
    let mut made = header.to_vec();
    for section in &sections {
        let content = match section.id {
            FUNCTIONS => one_more(section.bytes, &leb(its_type)),
            EXPORTS => exports.clone(),
            CODE => {
                let body = wrapper(former);
                one_more(section.bytes, &[leb(body.len()), body].concat())
            }
            _ => section.bytes.to_vec(),
        };
        made.push(section.id);
        made.extend(leb(content.len()));
        made.extend(content);
    }
    made
}

fn sections(mut rest: &[u8]) -> Vec<Section<'_>> {
    let mut sections = Vec::new();
    while let Some((&id, after)) = rest.split_first() {
        rest = after;
        let length = take_leb(&mut rest);
        let (bytes, after) = rest.split_at(length);
        sections.push(Section { id, bytes });
        rest = after;
    }
    sections
}

/// The same vector with one more element.
fn one_more(mut vector: &[u8], element: &[u8]) -> Vec<u8> {
    let count = take_leb(&mut vector);
    [&leb(count + 1), vector, element].concat()
}

fn numbers(mut vector: &[u8]) -> Vec<usize> {
    let count = take_leb(&mut vector);
    (0..count).map(|_| take_leb(&mut vector)).collect()
}

/// The exports with another function as `handle`; and which one it was.
fn exports(mut vector: &[u8], wrapper: usize) -> (Vec<u8>, usize) {
    let count = take_leb(&mut vector);
    let mut made = leb(count);
    let mut former = None;
    for _ in 0..count {
        let length = take_leb(&mut vector);
        let (name, rest) = vector.split_at(length);
        let (&kind, rest) = rest.split_first().expect("a kind follows the name");
        vector = rest;
        let mut index = take_leb(&mut vector);
        if name == b"handle" {
            former = Some(index);
            index = wrapper;
        }
        made.extend(leb(length));
        made.extend_from_slice(name);
        made.push(kind);
        made.extend(leb(index));
    }
    (made, former.expect("the shape has a `handle`"))
}

/// The body of the new `handle`. It refuses with every odd code of the former one.
fn wrapper(former: usize) -> Vec<u8> {
    const CALL: u8 = 0x10;
    let mut body = vec![1, 1, 0x7f, CALL]; // One local, an i32.
    body.extend(leb(former));
    body.extend([
        0x21, 0, // local.set 0
        0x41, 0, // i32.const 0
        0x3f, 0, // memory.size
        0x41, 16,   // i32.const 16
        0x74, // i32.shl
        CALL, 0, // output_write
        0x20, 0, // local.get 0
        0x41, 1,    // i32.const 1
        0x71, // i32.and
        0x04, 0x40, // if
        0x20, 0,    // local.get 0
        0x0f, // return
        0x0b, // end
        0x41, 0,    // i32.const 0
        0x0b, // end
    ]);
    body
}

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

fn take_leb(bytes: &mut &[u8]) -> usize {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let (&byte, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}
