//! Does this module fit interface 1? Answered by reading its sections, without compiling it.
//!
//! The interface itself is told in `guest/INTERFACE.md`, and its names stand in
//! `cofferdam_guest::abi`, the one place that both sides use.

use std::fmt;

use cofferdam_guest::abi;
use serde::Serialize;
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef,
    ValType,
};

use super::footprint::Table;
use super::kind;
use crate::mail::{printable, printable_lines};

/// Why bytes are not a guest of interface 1. Each names what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// Not wasm in either of its forms.
    #[error("it is {0}, not WebAssembly: a guest is a .wasm module or a .wat text")]
    NotWasm(&'static str),
    /// A component, which is another kind of file.
    #[error(
        "it is a WebAssembly component, and this version runs core modules: build it for wasm32-unknown-unknown instead"
    )]
    Component,
    /// The text format has a mistake.
    #[error("its text is not valid:\n{}", printable_lines(.0))]
    InvalidText(String),
    /// The binary is cut off or damaged.
    #[error("it is not a valid module: {}", printable(.0))]
    Invalid(String),
    /// The marker export is missing.
    #[error(
        "it does not export the function `{marker}` that marks a guest of interface 1{hint} (the contract is in guest/INTERFACE.md)",
        marker = abi::MARKER
    )]
    NoMarker {
        /// What it looks like instead; empty or beginning with `: `.
        hint: &'static str,
    },
    /// An export that the interface wants is missing.
    #[error(
        "it does not export {0}, which interface 1 wants (the contract is in guest/INTERFACE.md)"
    )]
    MissingExport(&'static str),
    /// An export has the right name and the wrong type.
    #[error("its export `{name}` is {found}, where interface 1 wants {wanted}")]
    WrongExport {
        /// The export.
        name: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Imports that nothing offers.
    #[error("it imports what this host does not offer: {}. Offered in module `{}`: {}", .0.join("; "), abi::MODULE, abi::import::ALL.join(", "))]
    UnknownImports(Vec<String>),
}

/// The outside of a module: what it wants, what it offers, how large it is.
#[derive(Clone, Debug, Serialize)]
pub struct Anatomy {
    /// What it imports, as `module` and `name` with the type.
    pub imports: Vec<Extern>,
    /// What it exports.
    pub exports: Vec<Extern>,
    /// Its own linear memories.
    pub memories: Vec<Memory>,
    /// Functions with a body.
    pub functions: u32,
    /// Whether it has a start function.
    pub start: bool,
    /// Bytes of each section, in the order of the file.
    pub sections: Vec<(String, usize)>,
    /// Its own tables; only how far they grow matters to anybody.
    #[serde(skip)]
    pub(super) tables: Vec<Table>,
}

/// One import or export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extern {
    /// The import's module; empty for exports.
    pub module: String,
    /// The name.
    pub name: String,
    /// The type, as `func (i32, i32) -> i32`, `memory`, `table`, `global` or `tag`.
    pub ty: String,
}

/// One linear memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// Pages of 64 KiB that it begins with.
    pub minimum_pages: u64,
    /// Pages of 64 KiB that it never passes, if it says so.
    pub maximum_pages: Option<u64>,
    /// Whether addresses have 64 bits.
    pub memory64: bool,
    /// Whether it is shared between threads.
    pub shared: bool,
}

impl Anatomy {
    /// Reads a guest's anatomy whether or not it fits the interface; for `inspect`.
    ///
    /// # Errors
    /// [`GuestError`] when the bytes are no core module.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, GuestError> {
        Self::read(&kind::to_binary(bytes)?)
    }

    /// What keeps this module from being a guest of interface 1, if anything does.
    ///
    /// # Errors
    /// That reason.
    pub fn fits_interface(&self) -> Result<(), GuestError> {
        check(self)
    }

    pub(super) fn read(wasm: &[u8]) -> Result<Self, GuestError> {
        Reader::default().read(wasm).map_err(|error| {
            GuestError::Invalid(format!("{} (at byte {})", error.message(), error.offset()))
        })
    }

    pub(super) fn export(&self, name: &str) -> Option<&Extern> {
        self.exports.iter().find(|export| export.name == name)
    }
}

#[derive(Default)]
struct Reader {
    /// Function types by type index; `None` where the type is something else.
    types: Vec<Option<String>>,
    /// Type index of each function, imported ones first.
    functions: Vec<u32>,
    imports: Vec<Extern>,
    exports: Vec<Extern>,
    memories: Vec<Memory>,
    tables: Vec<Table>,
    imported_functions: usize,
    start: bool,
    sections: Vec<(String, usize)>,
}

impl Reader {
    fn read(mut self, wasm: &[u8]) -> Result<Anatomy, BinaryReaderError> {
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                self.sections
                    .push((section_name(id, &payload), range.len()));
            }
            match payload {
                Payload::TypeSection(section) => {
                    for group in section {
                        for ty in group?.into_types() {
                            self.types.push(match ty.composite_type.inner {
                                CompositeInnerType::Func(ty) => Some(signature(&ty)),
                                _ => None,
                            });
                        }
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let ty = match import.ty {
                            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                                self.functions.push(index);
                                self.imported_functions += 1;
                                self.function_type(index)
                            }
                            TypeRef::Table(_) => "table".to_owned(),
                            TypeRef::Memory(_) => "memory".to_owned(),
                            TypeRef::Global(_) => "global".to_owned(),
                            TypeRef::Tag(_) => "tag".to_owned(),
                        };
                        self.imports.push(Extern {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                            ty,
                        });
                    }
                }
                Payload::FunctionSection(section) => {
                    for index in section {
                        self.functions.push(index?);
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory?;
                        self.memories.push(Memory {
                            minimum_pages: memory.initial,
                            maximum_pages: memory.maximum,
                            memory64: memory.memory64,
                            shared: memory.shared,
                        });
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        self.tables.push(Table {
                            maximum: table?.ty.maximum,
                        });
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        self.exports.push(Extern {
                            module: String::new(),
                            name: export.name.to_owned(),
                            ty: self.export_type(export.kind, export.index),
                        });
                    }
                }
                Payload::StartSection { .. } => self.start = true,
                _ => {}
            }
        }
        let functions = self.functions.len() - self.imported_functions;
        Ok(Anatomy {
            imports: self.imports,
            exports: self.exports,
            memories: self.memories,
            functions: u32::try_from(functions).unwrap_or(u32::MAX),
            start: self.start,
            sections: self.sections,
            tables: self.tables,
        })
    }

    fn function_type(&self, type_index: u32) -> String {
        let ty = usize::try_from(type_index)
            .ok()
            .and_then(|index| self.types.get(index));
        match ty {
            Some(Some(signature)) => signature.clone(),
            _ => "func of an unknown type".to_owned(),
        }
    }

    fn export_type(&self, kind: ExternalKind, index: u32) -> String {
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                let index = usize::try_from(index).ok();
                match index.and_then(|index| self.functions.get(index)) {
                    Some(&type_index) => self.function_type(type_index),
                    None => "func of an unknown type".to_owned(),
                }
            }
            ExternalKind::Table => "table".to_owned(),
            ExternalKind::Memory => "memory".to_owned(),
            ExternalKind::Global => "global".to_owned(),
            ExternalKind::Tag => "tag".to_owned(),
        }
    }
}

fn section_name(id: u8, payload: &Payload<'_>) -> String {
    const NAMES: [&str; 14] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
        "tag",
    ];
    match payload {
        Payload::CustomSection(custom) => format!("custom {}", printable(custom.name())),
        _ => NAMES
            .get(usize::from(id))
            .map_or_else(|| format!("section {id}"), |&name| name.to_owned()),
    }
}

fn signature(ty: &FuncType) -> String {
    let list = |types: &[ValType]| {
        types
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match ty.results() {
        [] => format!("func ({})", list(ty.params())),
        results => format!("func ({}) -> {}", list(ty.params()), list(results)),
    }
}

/// The type of each import that the host offers, in [`abi::MODULE`].
const OFFERED: [(&str, &str); 16] = [
    (abi::import::INPUT_LEN, "func () -> i32"),
    (abi::import::INPUT_READ, "func (i32, i32, i32) -> i32"),
    (abi::import::OUTPUT_WRITE, "func (i32, i32)"),
    (abi::import::FAIL, "func (i32, i32)"),
    (abi::import::POST, "func (i32, i32)"),
    (abi::import::RECV, "func (i32, i32, i32) -> i32"),
    (abi::import::LOG, "func (i32, i32, i32)"),
    (abi::import::RANDOM, "func (i32, i32)"),
    (abi::import::CLOCK, "func () -> i64"),
    (abi::import::REGION_LEN, "func () -> i64"),
    (abi::import::REGION_READ, "func (i32, i64, i32)"),
    (abi::import::REGION_WRITE, "func (i32, i64, i32)"),
    (abi::import::REGION_LOAD, "func (i64) -> i64"),
    (abi::import::REGION_STORE, "func (i64, i64)"),
    (abi::import::REGION_ADD, "func (i64, i64) -> i64"),
    (
        abi::import::REGION_COMPARE_EXCHANGE,
        "func (i64, i64, i64) -> i64",
    ),
];

/// Checks a module against interface 1.
pub(super) fn check(anatomy: &Anatomy) -> Result<(), GuestError> {
    // The imports first: a module of another world is best told by what it asks for.
    let unknown: Vec<String> = anatomy.imports.iter().filter_map(misfit).collect();
    if !unknown.is_empty() && anatomy.export(abi::MARKER).is_some() {
        return Err(GuestError::UnknownImports(unknown));
    }
    match anatomy.export(abi::MARKER) {
        None => {
            return Err(GuestError::NoMarker {
                hint: stranger(anatomy),
            });
        }
        Some(marker) => wants(marker, "func ()")?,
    }
    match anatomy.export(abi::ENTRY) {
        None => return Err(GuestError::MissingExport("the function `handle`")),
        Some(entry) => wants(entry, "func () -> i32")?,
    }
    if let Some(initialize) = anatomy.export(abi::INITIALIZE) {
        wants(initialize, "func ()")?;
    }
    match anatomy.export(abi::MEMORY) {
        None => return Err(GuestError::MissingExport("its `memory`")),
        Some(memory) => wants(memory, "memory")?,
    }
    match anatomy.memories.first() {
        Some(memory) if memory.memory64 => Err(GuestError::WrongExport {
            name: abi::MEMORY.to_owned(),
            found: "a 64-bit memory".to_owned(),
            wanted: "a 32-bit memory",
        }),
        Some(memory) if memory.shared => Err(GuestError::WrongExport {
            name: abi::MEMORY.to_owned(),
            found: "a shared memory".to_owned(),
            wanted: "a memory of its own",
        }),
        _ => Ok(()),
    }
}

fn wants(export: &Extern, wanted: &'static str) -> Result<(), GuestError> {
    if export.ty == wanted {
        return Ok(());
    }
    Err(GuestError::WrongExport {
        name: export.name.clone(),
        found: export.ty.clone(),
        wanted,
    })
}

/// Says what is wrong with an import, if the host does not offer just that.
fn misfit(import: &Extern) -> Option<String> {
    let offered = OFFERED
        .iter()
        .find(|(name, _)| import.module == abi::MODULE && import.name == *name);
    match offered {
        Some((_, ty)) if *ty == import.ty => None,
        Some((_, ty)) => Some(format!("{import}, which is offered as {ty}")),
        None => Some(import.to_string()),
    }
}

/// What a module without the marker probably is.
fn stranger(anatomy: &Anatomy) -> &'static str {
    let imports_from = |prefix: &str| {
        anatomy
            .imports
            .iter()
            .any(|import| import.module.starts_with(prefix))
    };
    if anatomy
        .exports
        .iter()
        .any(|export| export.name.starts_with(abi::MARKER_PREFIX))
    {
        ": it is of another version of the interface"
    } else if imports_from("wasi_") {
        ": it looks like a WASI program, which this version does not run"
    } else if imports_from("extism") {
        ": it looks like an Extism plugin, which this version does not run"
    } else if imports_from(abi::MODULE) {
        ": it imports from the interface but leaves out the marker"
    } else {
        ""
    }
}

impl fmt::Display for Extern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A module chooses its names, and must not steer a terminal by them.
        let name = printable(&self.name);
        match self.module.as_str() {
            "" => write!(f, "{name} {}", self.ty),
            module => write!(f, "{}.{name} {}", printable(module), self.ty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"(memory (export "memory") 1) (func (export "cofferdam_abi_1"))
        (func (export "handle") (result i32) i32.const 0)"#;

    fn check_text(body: &str) -> Result<(), GuestError> {
        Anatomy::of_bytes(format!("(module {body})").as_bytes())?.fits_interface()
    }

    #[test]
    fn the_smallest_guest_fits() {
        assert_eq!(check_text(GOOD), Ok(()));
    }

    #[test]
    fn every_offered_import_is_in_the_list_of_the_interface() {
        assert_eq!(OFFERED.map(|(name, _)| name), abi::import::ALL);
    }

    #[test]
    fn unknown_imports_are_named_with_what_is_offered() {
        let body = format!(r#"(import "env" "print" (func (param i32))) {GOOD}"#);
        let error = check_text(&body).unwrap_err().to_string();
        assert!(error.contains("env.print func (i32)"), "{error}");
        assert!(error.contains("input_len, input_read"), "{error}");
    }

    #[test]
    fn an_import_of_the_wrong_type_is_shown_with_the_right_one() {
        let body = format!(r#"(import "cofferdam" "post" (func (param i64))) {GOOD}"#);
        let error = check_text(&body).unwrap_err().to_string();
        assert!(
            error.contains("cofferdam.post func (i64), which is offered as func (i32, i32)"),
            "{error}"
        );
    }

    #[test]
    fn a_wasi_program_is_recognised() {
        let body = r#"(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
            (memory (export "memory") 1) (func (export "_start"))"#;
        assert!(
            check_text(body)
                .unwrap_err()
                .to_string()
                .contains("looks like a WASI program")
        );
    }

    #[test]
    fn each_missing_export_is_named() {
        let no_entry = r#"(memory (export "memory") 1) (func (export "cofferdam_abi_1"))"#;
        assert_eq!(
            check_text(no_entry),
            Err(GuestError::MissingExport("the function `handle`"))
        );
        let no_memory = r#"(func (export "cofferdam_abi_1"))
            (func (export "handle") (result i32) i32.const 0)"#;
        assert_eq!(
            check_text(no_memory),
            Err(GuestError::MissingExport("its `memory`"))
        );
        assert!(matches!(
            check_text(""),
            Err(GuestError::NoMarker { hint: "" })
        ));
    }

    #[test]
    fn an_export_of_the_wrong_type_is_shown_with_the_right_one() {
        let body = r#"(memory (export "memory") 1) (func (export "cofferdam_abi_1"))
            (func (export "handle") (param i64))"#;
        let error = check_text(body).unwrap_err().to_string();
        assert_eq!(
            error,
            "its export `handle` is func (i64), where interface 1 wants func () -> i32"
        );
    }

    #[test]
    fn a_64_bit_memory_is_refused() {
        let body = GOOD.replace("memory\") 1", "memory\") i64 1");
        assert!(
            check_text(&body)
                .unwrap_err()
                .to_string()
                .contains("64-bit memory")
        );
    }

    #[test]
    fn a_module_that_is_cut_off_is_invalid_at_every_length() {
        let whole = wat::parse_str(format!("(module {GOOD})")).unwrap();
        for length in 1..whole.len() {
            assert!(
                Anatomy::of_bytes(&whole[..length])
                    .and_then(|a| a.fits_interface())
                    .is_err(),
                "cut at {length}"
            );
        }
    }
}
