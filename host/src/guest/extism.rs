//! Plugins of [Extism](https://extism.org), as far as their names and types go: what is offered to them, and does a
//! module ask for more?
//!
//! Newer plugins import from `extism:host/env`; those of before version 1 import the same functions from `env`, with
//! `extism_` before their names. Beside them a plugin may import WASI.

use super::anatomy::{Anatomy, Extern};
use super::{GuestError, interface, wasi};

/// Where newer plugins import from.
pub(crate) const MODULE: &str = "extism:host/env";

/// Where older ones do.
pub(crate) const OLDER_MODULE: &str = "env";

/// What names have before them there.
pub(crate) const OLDER_PREFIX: &str = "extism_";

/// The types that a function has which can be called for a job: no parameters, for the input is pulled.
pub(super) const CALLS: [&str; 2] = ["func () -> i32", "func ()"];

/// The functions, each with its type.
pub(crate) const FUNCTIONS: [(&str, &str); 27] = [
    ("alloc", "func (i64) -> i64"),
    ("config_get", "func (i64) -> i64"),
    ("error_set", "func (i64)"),
    ("free", "func (i64)"),
    ("get_log_level", "func () -> i32"),
    ("http_headers", "func () -> i64"),
    ("http_request", "func (i64, i64) -> i64"),
    ("http_status_code", "func () -> i32"),
    ("input_length", "func () -> i64"),
    ("input_load_u64", "func (i64) -> i64"),
    ("input_load_u8", "func (i64) -> i32"),
    ("length", "func (i64) -> i64"),
    ("length_unsafe", "func (i64) -> i64"),
    ("load_u64", "func (i64) -> i64"),
    ("load_u8", "func (i64) -> i32"),
    ("log_debug", "func (i64)"),
    ("log_error", "func (i64)"),
    ("log_info", "func (i64)"),
    ("log_trace", "func (i64)"),
    ("log_warn", "func (i64)"),
    ("memory_bytes", "func () -> i64"),
    ("output_set", "func (i64, i64)"),
    ("reset", "func ()"),
    ("store_u64", "func (i64, i64)"),
    ("store_u8", "func (i64, i32)"),
    ("var_get", "func (i64) -> i64"),
    ("var_set", "func (i64, i64)"),
];

/// Whether it asks for the network.
pub(super) fn is_of_network(import: &Extern) -> bool {
    own(import).is_some_and(|own| own.name == "http_request")
}

/// The import as it is called in [`MODULE`], if it is Extism's.
fn own(import: &Extern) -> Option<Extern> {
    let name = match import.module.as_str() {
        MODULE => import.name.as_str(),
        OLDER_MODULE => import.name.strip_prefix(OLDER_PREFIX)?,
        _ => return None,
    };
    Some(Extern {
        name: name.to_owned(),
        ..import.clone()
    })
}

/// Whether a module asks for anything of Extism's.
pub(super) fn is_plugin(anatomy: &Anatomy) -> bool {
    anatomy.imports.iter().any(|import| own(import).is_some())
}

/// The exports that can be called for a job. Names with underscores in front are a toolchain's own.
pub(super) fn calls(anatomy: &Anatomy) -> Vec<&str> {
    let is_call = |export: &&Extern| {
        CALLS.contains(&export.ty.as_str())
            && !export.name.starts_with('_')
            && export.name != HASKELL
    };
    let exports = anatomy.exports.iter().filter(is_call);
    exports.map(|export| export.name.as_str()).collect()
}

/// What starts the runtime of Haskell, with a count and a list of arguments.
pub(crate) const HASKELL: &str = "hs_init";

/// What runs the constructors of C++ and their like, where it is exported.
pub(crate) const CONSTRUCTORS: &str = "__wasm_call_ctors";

/// Checks that a module asks for nothing but Extism's functions and WASI's, of the types that they have.
pub(super) fn check(anatomy: &Anatomy) -> Result<(), GuestError> {
    let unknown: Vec<String> = anatomy.imports.iter().filter_map(misfit).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(GuestError::UnknownImports {
        wanted: interface::first_of(unknown),
        offered: format!(
            "Extism's functions, in the modules `{MODULE}` and `{OLDER_MODULE}`, and WASI preview 1; a plugin's own host functions are not"
        ),
    })
}

/// Says what is wrong with an import, and what is nearest to it.
fn misfit(import: &Extern) -> Option<String> {
    match own(import) {
        None => wasi::misfit(import),
        Some(own) => interface::misfit_among(&own, &FUNCTIONS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anatomy(body: &str) -> Anatomy {
        Anatomy::of_bytes(format!("(module {body})").as_bytes()).unwrap()
    }

    #[test]
    fn the_names_are_in_order_and_none_is_there_twice() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn both_spellings_are_plugins() {
        for (module, name) in [("extism:host/env", "alloc"), ("env", "extism_alloc")] {
            let plugin = anatomy(&format!(
                r#"(import "{module}" "{name}" (func (param i64) (result i64)))"#
            ));
            assert!(is_plugin(&plugin));
            assert_eq!(check(&plugin), Ok(()));
        }
        assert!(!is_plugin(&anatomy(r#"(import "env" "alloc" (func))"#)));
    }

    #[test]
    fn a_host_function_of_the_plugins_own_is_named() {
        let error = check(&anatomy(
            r#"(import "extism:host/user" "hello" (func (param i64) (result i64)))"#,
        ))
        .unwrap_err()
        .to_string();
        assert!(error.contains("extism:host/user.hello"), "{error}");
        assert!(error.contains("own host functions are not"), "{error}");
    }

    #[test]
    fn what_a_toolchain_exports_is_no_call() {
        let plugin = anatomy(
            r#"(func (export "_initialize")) (func (export "greet") (result i32) i32.const 0)
            (func (export "plain")) (func (export "add") (param i32))"#,
        );
        assert_eq!(calls(&plugin), ["greet", "plain"]);
    }
}
