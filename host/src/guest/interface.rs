//! Does this module fit interface 1? Answered by its anatomy, without compiling it.
//!
//! The interface itself is told in `guest/INTERFACE.md`, and its names stand in
//! `cofferdam_guest::abi`, the one place that both sides use.

use cofferdam_guest::abi;

use super::GuestError;
use super::anatomy::{Anatomy, Extern};

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
        return Err(GuestError::UnknownImports {
            wanted: first_of(unknown),
            offered: format!(
                "{} in module `{}`",
                abi::import::ALL.join(", "),
                abi::MODULE
            ),
        });
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
    check_memory(anatomy)
}

/// Checks that the host can reach what it reads and writes: one memory of 32 bits, of the guest's own.
pub(super) fn check_memory(anatomy: &Anatomy) -> Result<(), GuestError> {
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

pub(super) fn wants(export: &Extern, wanted: &'static str) -> Result<(), GuestError> {
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
    match import.module == abi::MODULE {
        true => misfit_among(import, &OFFERED),
        false => Some(import.to_string()),
    }
}

/// Says what is wrong with an import, and what of this module's functions is nearest to it.
pub(super) fn misfit_among(import: &Extern, offered: &[(&str, &str)]) -> Option<String> {
    if let Some((_, ty)) = offered.iter().find(|(name, _)| import.name == *name) {
        return (*ty != import.ty).then(|| format!("{import}, which is offered as {ty}"));
    }
    // A name that is so long is none of these.
    if import.name.len() > 64 {
        return Some(import.to_string());
    }
    let distance = |name: &str| strsim::damerau_levenshtein(name, &import.name);
    let nearest = offered
        .iter()
        .map(|(name, _)| *name)
        .min_by_key(|name| distance(name));
    Some(match nearest.filter(|name| distance(name) <= CLOSE) {
        Some(name) => format!("{import} (is it `{name}`?)"),
        None => import.to_string(),
    })
}

/// As many as anybody reads, and how many there are beside those.
pub(super) fn first_of(mut all: Vec<String>) -> Vec<String> {
    const MOST: usize = 20;
    let more = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all
}

/// A name that is so many letters off is probably meant.
const CLOSE: usize = 3;

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
        ": it looks like a WASI program without `_start`: call one of its exports by name (--invoke, --packed)"
    } else if imports_from(abi::MODULE) {
        ": it imports from the interface but leaves out the marker"
    } else if anatomy.imports.is_empty()
        && anatomy
            .exports
            .iter()
            .any(|export| export.ty.starts_with("func"))
    {
        ": call one of its exports by name (--invoke, --packed)"
    } else {
        ""
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
            "its export `handle` is func (i64), where func () -> i32 is wanted"
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
