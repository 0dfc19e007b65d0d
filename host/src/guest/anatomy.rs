//! The outside of a module, read from its sections without compiling it: imports, exports, memories, sizes.

use std::fmt;

use serde::Serialize;
use wasmparser::{
    BinaryReaderError, ComponentExternalKind, CompositeInnerType, Encoding, ExternalKind, FuncType,
    KnownCustom, Name, Parser, Payload, RefType, TypeRef, ValType,
};

use super::footprint::Table;
use super::{GuestError, form};
use crate::mail::printable;

/// The outside of a module: what it wants, what it offers, how large it is.
#[derive(Clone, Debug, Serialize)]
pub struct Anatomy {
    /// What it imports, as `module` and `name` with the type.
    pub imports: Vec<Extern>,
    /// What it exports.
    pub exports: Vec<Extern>,
    /// Whether it is a component. Its imports and exports are then its own, mostly whole interfaces of the type
    /// `instance`; memories, tables and functions are those of all modules in it.
    pub component: bool,
    /// Whether it needs a garbage collector: for structures, arrays, exceptions, or references to other things than
    /// functions.
    pub managed: bool,
    /// Its own linear memories.
    pub memories: Vec<Memory>,
    /// Functions with a body.
    pub functions: u32,
    /// Whether it has a start function.
    pub start: bool,
    /// Bytes of each section, in the order of the file; of a component, which may have many hundred, of each sort.
    pub sections: Vec<(String, usize)>,
    /// What its name section calls it.
    pub name: Option<String>,
    /// What made it, as its producers section says: language, tools, SDK, each with a version.
    pub producers: Vec<String>,
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
        Self::read(&form::to_binary(bytes)?)
    }

    /// What keeps this module from being a guest of interface 1, if anything does.
    ///
    /// # Errors
    /// That reason.
    pub fn fits_interface(&self) -> Result<(), GuestError> {
        super::interface::check(self)
    }

    pub(super) fn read(wasm: &[u8]) -> Result<Self, GuestError> {
        Reader::default().read(wasm).map_err(|oddity| {
            GuestError::Invalid(match oddity {
                Oddity::Invalid(error) => {
                    format!("{} (at byte {})", error.message(), error.offset())
                }
                Oddity::TooMany(what) => what,
            })
        })
    }

    pub(super) fn export(&self, name: &str) -> Option<&Extern> {
        self.exports.iter().find(|export| export.name == name)
    }
}

/// What is wrong with a module's sections.
enum Oddity {
    Invalid(BinaryReaderError),
    TooMany(String),
}

impl From<BinaryReaderError> for Oddity {
    fn from(error: BinaryReaderError) -> Self {
        Self::Invalid(error)
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
    component: bool,
    managed: bool,
    /// What is being read: the whole is at depth 1.
    depth: usize,
    /// Functions with a body of the modules that were read.
    bodies: usize,
    start: bool,
    sections: Vec<(String, usize)>,
    name: Option<String>,
    producers: Vec<String>,
}

impl Reader {
    fn read(mut self, wasm: &[u8]) -> Result<Anatomy, Oddity> {
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::Version { encoding, .. } => {
                    self.depth += 1;
                    self.component |= *encoding == Encoding::Component;
                    self.types.clear();
                    self.functions.clear();
                    self.imported_functions = 0;
                }
                Payload::End(_) => {
                    self.depth -= 1;
                    self.bodies += self.functions.len() - self.imported_functions;
                    self.functions.clear();
                    self.imported_functions = 0;
                }
                Payload::ComponentImportSection(section) if self.depth == 1 => {
                    for import in section.clone() {
                        let import = import?;
                        Self::bound(self.imports.len(), "imports")?;
                        self.imports.push(Extern {
                            module: String::new(),
                            name: import.name.name.to_owned(),
                            ty: component_kind(import.ty.kind()).to_owned(),
                        });
                    }
                }
                Payload::ComponentExportSection(section) if self.depth == 1 => {
                    for export in section.clone() {
                        let export = export?;
                        Self::bound(self.exports.len(), "exports")?;
                        self.exports.push(Extern {
                            module: String::new(),
                            name: export.name.name.to_owned(),
                            ty: component_kind(export.kind).to_owned(),
                        });
                    }
                }
                _ => {}
            }
            self.managed = self.managed || needs_a_collector(&payload)?;
            // What modules within a component have between each other is nobody else's concern.
            if self.component
                && matches!(
                    payload,
                    Payload::ImportSection(_) | Payload::ExportSection(_)
                )
            {
                self.inner(&payload)?;
                continue;
            }
            match payload.as_section() {
                Some((id, range)) if self.component && self.depth == 1 => {
                    self.add_to_section(component_section_name(id, &payload), range.len());
                }
                // Those of a component's modules are within its own.
                Some(_) if self.component => {}
                Some((id, range)) => {
                    self.sections
                        .push((section_name(id, &payload), range.len()));
                }
                None => {}
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
                        Self::bound(self.imports.len(), "imports")?;
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
                        Self::bound(self.exports.len(), "exports")?;
                        self.exports.push(Extern {
                            module: String::new(),
                            name: export.name.to_owned(),
                            ty: self.export_type(export.kind, export.index),
                        });
                    }
                }
                Payload::StartSection { .. } => self.start = true,
                // No part of the module proper: what is garbled in there is left out.
                Payload::CustomSection(custom) => match custom.as_known() {
                    KnownCustom::Name(names) => {
                        self.name = names.into_iter().flatten().find_map(|name| match name {
                            Name::Module { name, .. } => Some(name.to_owned()),
                            _ => None,
                        });
                    }
                    KnownCustom::Producers(fields) => {
                        for field in fields.into_iter().flatten() {
                            self.producers
                                .extend(field.values.into_iter().flatten().map(|value| {
                                    format!("{} {}", value.name, value.version)
                                        .trim_end()
                                        .to_owned()
                                }));
                        }
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        let functions = self.bodies;
        Ok(Anatomy {
            imports: self.imports,
            exports: self.exports,
            component: self.component,
            managed: self.managed,
            memories: self.memories,
            functions: u32::try_from(functions).unwrap_or(u32::MAX),
            start: self.start,
            sections: self.sections,
            name: self.name,
            producers: self.producers,
            tables: self.tables,
        })
    }

    fn add_to_section(&mut self, name: String, bytes: usize) {
        match self.sections.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += bytes,
            None => self.sections.push((name, bytes)),
        }
    }

    /// Counts the functions that a module in a component imports: they have no body in it.
    fn inner(&mut self, payload: &Payload<'_>) -> Result<(), Oddity> {
        let Payload::ImportSection(section) = payload else {
            return Ok(());
        };
        for import in section.clone().into_imports() {
            if let TypeRef::Func(index) | TypeRef::FuncExact(index) = import?.ty {
                self.functions.push(index);
                self.imported_functions += 1;
            }
        }
        Ok(())
    }

    /// Refuses a module with more of something than any has.
    fn bound(count: usize, what: &str) -> Result<(), Oddity> {
        const MOST: usize = 100_000;
        match count < MOST {
            true => Ok(()),
            false => Err(Oddity::TooMany(format!("it has more than {MOST} {what}"))),
        }
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

/// Whether something of these sections lies on the heap of a garbage collector. Code that makes such things has to
/// name a type or a tag. What only catches all exceptions, and has no tag to throw one by, goes unnoticed here, since
/// instructions are not read, of which a large module has millions; the compiler then refuses it, and is asked again.
fn needs_a_collector(payload: &Payload<'_>) -> Result<bool, BinaryReaderError> {
    let of_reference = |ty: RefType| !ty.is_func_ref();
    let of_value = |ty: ValType| match ty {
        ValType::Ref(ty) => of_reference(ty),
        ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64 | ValType::V128 => false,
    };
    Ok(match payload {
        Payload::TypeSection(section) => {
            for group in section.clone() {
                for ty in group?.into_types() {
                    let managed = match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => ty
                            .params()
                            .iter()
                            .chain(ty.results())
                            .any(|&ty| of_value(ty)),
                        CompositeInnerType::Struct(_) | CompositeInnerType::Array(_) => true,
                        CompositeInnerType::Cont(_) => false,
                    };
                    if managed {
                        return Ok(true);
                    }
                }
            }
            false
        }
        Payload::ImportSection(section) => {
            for import in section.clone().into_imports() {
                let managed = match import?.ty {
                    TypeRef::Tag(_) => true,
                    TypeRef::Table(ty) => of_reference(ty.element_type),
                    TypeRef::Global(ty) => of_value(ty.content_type),
                    TypeRef::Func(_) | TypeRef::FuncExact(_) | TypeRef::Memory(_) => false,
                };
                if managed {
                    return Ok(true);
                }
            }
            false
        }
        Payload::TableSection(section) => {
            for table in section.clone() {
                if of_reference(table?.ty.element_type) {
                    return Ok(true);
                }
            }
            false
        }
        Payload::GlobalSection(section) => {
            for global in section.clone() {
                if of_value(global?.ty.content_type) {
                    return Ok(true);
                }
            }
            false
        }
        Payload::TagSection(_) => true,
        Payload::CodeSectionEntry(body) => {
            for local in body.get_locals_reader()? {
                let (_, ty) = local?;
                if of_value(ty) {
                    return Ok(true);
                }
            }
            false
        }
        _ => false,
    })
}

fn component_kind(kind: ComponentExternalKind) -> &'static str {
    match kind {
        ComponentExternalKind::Module => "module",
        ComponentExternalKind::Func => "func",
        ComponentExternalKind::Value => "value",
        ComponentExternalKind::Type => "type",
        ComponentExternalKind::Instance => "instance",
        ComponentExternalKind::Component => "component",
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

fn component_section_name(id: u8, payload: &Payload<'_>) -> String {
    const NAMES: [&str; 13] = [
        "custom",
        "core modules",
        "core instances",
        "core types",
        "components",
        "instances",
        "aliases",
        "types",
        "canonical functions",
        "start",
        "imports",
        "exports",
        "values",
    ];
    match payload {
        Payload::CustomSection(custom) => format!("custom {}", printable(custom.name())),
        _ => NAMES
            .get(usize::from(id))
            .map_or_else(|| format!("section {id}"), |&name| name.to_owned()),
    }
}

fn signature(ty: &FuncType) -> String {
    // What is longer is nothing that anybody offers or wants, and each import and export has a copy.
    const MOST: usize = 32;
    let list = |types: &[ValType]| {
        let mut names: Vec<String> = types.iter().take(MOST).map(ToString::to_string).collect();
        if types.len() > MOST {
            names.push(format!("and {} more", types.len() - MOST));
        }
        names.join(", ")
    };
    match ty.results() {
        [] => format!("func ({})", list(ty.params())),
        results => format!("func ({}) -> {}", list(ty.params()), list(results)),
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

    #[test]
    fn sections_of_a_component_are_summed_by_their_sort_and_called_by_its_names() {
        let text = br#"(component
            (core module $a (memory 1) (func (export "f")))
            (core module $b (memory 1))
            (component (core module (memory 2)))
            (core instance $i (instantiate $a))
            (func (export "f") (canon lift (core func $i "f"))))"#;
        let anatomy = Anatomy::of_bytes(text).unwrap();
        let mut found: Vec<&str> = anatomy
            .sections
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !name.starts_with("custom"))
            .collect();
        found.sort_unstable();
        let mut expected = [
            "core modules",
            "components",
            "core instances",
            "types",
            "aliases",
            "canonical functions",
            "exports",
        ];
        expected.sort_unstable();
        assert_eq!(found, expected);
        let modules = anatomy
            .sections
            .iter()
            .find(|(name, _)| name == "core modules");
        // Both of them, and not the one of the inner component.
        let inner = anatomy
            .sections
            .iter()
            .find(|(name, _)| name == "components");
        assert!(modules.unwrap().1 > inner.unwrap().1);
        assert_eq!(anatomy.memories.len(), 3);
    }

    #[test]
    fn sections_of_a_module_stand_in_their_order() {
        let anatomy = Anatomy::of_bytes(b"(module (memory 1) (func (export \"f\")))").unwrap();
        let names = anatomy.sections.iter().map(|(name, _)| name.as_str());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["type", "function", "memory", "export", "code"]
        );
    }
}
