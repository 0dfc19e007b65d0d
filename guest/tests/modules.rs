//! Every module under `guest/`, and every example in its documents, is a valid guest of interface 1.
//!
//! What they do is for the host to test; here no engine is at hand, only a validator.

use cofferdam_guest::abi;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator};

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

/// The imports' types, as `INTERFACE.md` tells them.
fn interface() -> BTreeMap<&'static str, FuncType> {
    [
        (abi::import::INPUT_LEN, FuncType::new([], [I32])),
        (abi::import::INPUT_READ, FuncType::new([I32; 3], [I32])),
        (abi::import::OUTPUT_WRITE, FuncType::new([I32; 2], [])),
        (abi::import::FAIL, FuncType::new([I32; 2], [])),
        (abi::import::POST, FuncType::new([I32; 2], [])),
        (abi::import::RECV, FuncType::new([I32; 3], [I32])),
        (abi::import::LOG, FuncType::new([I32; 3], [])),
        (abi::import::RANDOM, FuncType::new([I32; 2], [])),
        (abi::import::CLOCK, FuncType::new([], [I64])),
        (abi::import::REGION_LEN, FuncType::new([], [I64])),
        (abi::import::REGION_READ, FuncType::new([I32, I64, I32], [])),
        (
            abi::import::REGION_WRITE,
            FuncType::new([I32, I64, I32], []),
        ),
        (abi::import::REGION_LOAD, FuncType::new([I64], [I64])),
        (abi::import::REGION_STORE, FuncType::new([I64; 2], [])),
        (abi::import::REGION_ADD, FuncType::new([I64; 2], [I64])),
        (
            abi::import::REGION_COMPARE_EXCHANGE,
            FuncType::new([I64; 3], [I64]),
        ),
    ]
    .into()
}

/// The module's imports and exports, all checked: the names that it imports, and the names that it exports.
fn checked(name: &str, module: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let module = wat::parse_bytes(module).unwrap_or_else(|error| panic!("{name}: {error}"));
    let types = Validator::new()
        .validate_all(&module)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let types = types.as_ref();
    let interface = interface();
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    for payload in Parser::new(0).parse_all(&module) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.unwrap();
                    assert_eq!(import.module, abi::MODULE, "{name} imports {}", import.name);
                    let TypeRef::Func(index) = import.ty else {
                        panic!(
                            "{name} imports {} as something else than a function",
                            import.name
                        );
                    };
                    let ty = types[types.core_type_at_in_module(index)].unwrap_func();
                    assert_eq!(
                        Some(ty),
                        interface.get(import.name),
                        "{name} imports {}",
                        import.name
                    );
                    imports.insert(import.name.to_owned());
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.unwrap();
                    let expected = match export.name {
                        abi::MARKER | abi::INITIALIZE => Some(FuncType::new([], [])),
                        abi::ENTRY => Some(FuncType::new([], [I32])),
                        _ => None,
                    };
                    if let Some(expected) = expected {
                        assert_eq!(
                            export.kind,
                            ExternalKind::Func,
                            "{name} exports {}",
                            export.name
                        );
                        let ty = types.core_function_at(export.index);
                        assert_eq!(
                            types[ty].unwrap_func(),
                            &expected,
                            "{name} exports {}",
                            export.name
                        );
                    }
                    if export.name == abi::MEMORY {
                        assert_eq!(export.kind, ExternalKind::Memory, "{name}");
                    }
                    exports.insert(export.name.to_owned());
                }
            }
            _ => {}
        }
    }
    for due in [abi::MARKER, abi::ENTRY, abi::MEMORY] {
        assert!(exports.contains(due), "{name} does not export {due}");
    }
    (imports, exports)
}

/// The files with this extension in a folder of this package, by name.
fn files(folder: &str, extension: &str) -> BTreeMap<String, Vec<u8>> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The fenced blocks of a language in a document.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    document
        .split(fence.as_str())
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect()
}

#[test]
fn the_interface_of_this_test_is_the_one_in_abi() {
    assert_eq!(
        interface().into_keys().collect::<BTreeSet<_>>(),
        BTreeSet::from(abi::import::ALL)
    );
}

#[test]
fn every_prebuilt_guest_is_valid_and_exports_nothing_odd() {
    let guests = files("prebuilt", "wasm");
    let names: Vec<_> = guests.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["argon2", "blur", "echo", "encrypt", "hello", "sha256"]
    );
    for (name, module) in guests {
        let (_, mut exports) = checked(&name, &module);
        // rustc exports these two of every module for this target, and there is no flag against it.
        for export in [
            abi::MARKER,
            abi::ENTRY,
            abi::MEMORY,
            "__data_end",
            "__heap_base",
        ] {
            exports.remove(export);
        }
        assert_eq!(exports, BTreeSet::new(), "{name}");
    }
}

#[test]
fn no_prebuilt_guest_says_where_it_was_built() {
    for (name, module) in files("prebuilt", "wasm") {
        let text = String::from_utf8_lossy(&module);
        for trace in [
            "/home/",
            "/root/",
            "/Users/",
            "/tmp/",
            ".cargo",
            ".rustup",
            "index.crates.io",
        ] {
            assert!(!text.contains(trace), "{name} contains {trace}");
        }
    }
}

#[test]
fn every_misbehaving_guest_is_valid() {
    let guests = files("wat", "wat");
    let names: Vec<_> = guests.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["deep", "flood", "grow", "liar", "sleep", "spin", "trap"]
    );
    for (name, module) in guests {
        checked(&name, &module);
    }
}

#[test]
fn the_example_of_the_contract_is_a_valid_guest() {
    let contract = document("INTERFACE.md");
    let examples = blocks(&contract, "wat");
    assert_eq!(examples.len(), 1);
    let (imports, exports) = checked("the example", examples[0].as_bytes());
    assert_eq!(
        imports.len(),
        4,
        "it shows the imports that most guests need"
    );
    assert_eq!(exports.len(), 3);
}

#[test]
fn the_contract_tells_every_import_and_every_limit() {
    let contract = document("INTERFACE.md");
    for import in abi::import::ALL {
        assert!(contract.contains(&format!("| `{import}")), "{import}");
    }
    for (what, bytes) in [
        ("a reason", abi::MAX_REASON),
        ("a log line", abi::MAX_LOG_LINE),
        ("a job's log", abi::MAX_LOG_PER_JOB),
    ] {
        let told = format!("| {what} | {} KiB |", bytes / 1024);
        assert!(contract.contains(&told), "{told}");
    }
    for level in abi::Level::ALL {
        let told = format!("{} {}", level.as_i32(), level.name());
        assert!(contract.contains(&told), "{told}");
    }
}
