//! WASI preview 1, as far as its names and types go: what of it is offered, and does a module ask for more?
//!
//! The contract is [witx](https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md). The older
//! `wasi_unstable` has the same functions but for sockets' `sock_accept`; some records are laid out otherwise.

use super::anatomy::{Anatomy, Extern};
use super::{GuestError, interface};

/// The entry of a command.
pub(crate) const START: &str = "_start";

/// Which of the two a function was imported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    /// `wasi_unstable`
    Unstable,
    /// `wasi_snapshot_preview1`
    Preview1,
}

impl Edition {
    pub(crate) const ALL: [Self; 2] = [Self::Unstable, Self::Preview1];

    /// The module from which its functions are imported.
    pub(crate) fn module(self) -> &'static str {
        match self {
            Self::Unstable => "wasi_unstable",
            Self::Preview1 => "wasi_snapshot_preview1",
        }
    }
}

/// Whether imports from this module are WASI's, of any preview.
pub(super) fn is_module(name: &str) -> bool {
    name.starts_with("wasi_")
}

/// The functions, each with its type.
pub(crate) const FUNCTIONS: [(&str, &str); 46] = [
    ("args_get", "func (i32, i32) -> i32"),
    ("args_sizes_get", "func (i32, i32) -> i32"),
    ("clock_res_get", "func (i32, i32) -> i32"),
    ("clock_time_get", "func (i32, i64, i32) -> i32"),
    ("environ_get", "func (i32, i32) -> i32"),
    ("environ_sizes_get", "func (i32, i32) -> i32"),
    ("fd_advise", "func (i32, i64, i64, i32) -> i32"),
    ("fd_allocate", "func (i32, i64, i64) -> i32"),
    ("fd_close", "func (i32) -> i32"),
    ("fd_datasync", "func (i32) -> i32"),
    ("fd_fdstat_get", "func (i32, i32) -> i32"),
    ("fd_fdstat_set_flags", "func (i32, i32) -> i32"),
    ("fd_fdstat_set_rights", "func (i32, i64, i64) -> i32"),
    ("fd_filestat_get", "func (i32, i32) -> i32"),
    ("fd_filestat_set_size", "func (i32, i64) -> i32"),
    ("fd_filestat_set_times", "func (i32, i64, i64, i32) -> i32"),
    ("fd_pread", "func (i32, i32, i32, i64, i32) -> i32"),
    ("fd_prestat_dir_name", "func (i32, i32, i32) -> i32"),
    ("fd_prestat_get", "func (i32, i32) -> i32"),
    ("fd_pwrite", "func (i32, i32, i32, i64, i32) -> i32"),
    ("fd_read", "func (i32, i32, i32, i32) -> i32"),
    ("fd_readdir", "func (i32, i32, i32, i64, i32) -> i32"),
    ("fd_renumber", "func (i32, i32) -> i32"),
    ("fd_seek", "func (i32, i64, i32, i32) -> i32"),
    ("fd_sync", "func (i32) -> i32"),
    ("fd_tell", "func (i32, i32) -> i32"),
    ("fd_write", "func (i32, i32, i32, i32) -> i32"),
    ("path_create_directory", "func (i32, i32, i32) -> i32"),
    ("path_filestat_get", "func (i32, i32, i32, i32, i32) -> i32"),
    (
        "path_filestat_set_times",
        "func (i32, i32, i32, i32, i64, i64, i32) -> i32",
    ),
    (
        "path_link",
        "func (i32, i32, i32, i32, i32, i32, i32) -> i32",
    ),
    (
        "path_open",
        "func (i32, i32, i32, i32, i32, i64, i64, i32, i32) -> i32",
    ),
    (
        "path_readlink",
        "func (i32, i32, i32, i32, i32, i32) -> i32",
    ),
    ("path_remove_directory", "func (i32, i32, i32) -> i32"),
    ("path_rename", "func (i32, i32, i32, i32, i32, i32) -> i32"),
    ("path_symlink", "func (i32, i32, i32, i32, i32) -> i32"),
    ("path_unlink_file", "func (i32, i32, i32) -> i32"),
    ("poll_oneoff", "func (i32, i32, i32, i32) -> i32"),
    ("proc_exit", "func (i32)"),
    ("proc_raise", "func (i32) -> i32"),
    ("random_get", "func (i32, i32) -> i32"),
    ("sched_yield", "func () -> i32"),
    ("sock_accept", "func (i32, i32, i32) -> i32"),
    ("sock_recv", "func (i32, i32, i32, i32, i32, i32) -> i32"),
    ("sock_send", "func (i32, i32, i32, i32, i32) -> i32"),
    ("sock_shutdown", "func (i32, i32) -> i32"),
];

/// Checks that a module asks for nothing but WASI, of the types that it has.
pub(super) fn check(anatomy: &Anatomy) -> Result<(), GuestError> {
    let unknown: Vec<String> = anatomy.imports.iter().filter_map(misfit).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let offered = Edition::ALL.map(|edition| format!("`{}`", edition.module()));
    Err(GuestError::UnknownImports {
        wanted: interface::first_of(unknown),
        offered: format!("WASI preview 1, in the modules {}", offered.join(" and ")),
    })
}

/// Says what is wrong with an import, and what is nearest to it.
pub(super) fn misfit(import: &Extern) -> Option<String> {
    let edition = Edition::ALL
        .into_iter()
        .find(|edition| edition.module() == import.module);
    if edition.is_none() {
        return Some(import.to_string());
    }
    interface::misfit_among(import, &FUNCTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(body: &str) -> Result<(), GuestError> {
        check(&Anatomy::of_bytes(format!("(module {body})").as_bytes()).unwrap())
    }

    #[test]
    fn the_names_are_in_order_and_none_is_there_twice() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn an_unknown_import_is_named_with_the_nearest_that_is_offered() {
        let error = check_text(r#"(import "wasi_unstable" "fd_raed" (func))"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it imports what this host does not offer: wasi_unstable.fd_raed func () (is it `fd_read`?). \
             Offered: WASI preview 1, in the modules `wasi_unstable` and `wasi_snapshot_preview1`"
        );
    }

    #[test]
    fn an_import_of_the_wrong_type_or_module_is_refused() {
        let ty = check_text(r#"(import "wasi_unstable" "fd_sync" (func (param i64)))"#);
        assert!(ty.unwrap_err().to_string().contains("func (i32) -> i32"));
        let module = check_text(r#"(import "env" "fd_sync" (func (param i32) (result i32)))"#);
        assert!(module.unwrap_err().to_string().contains("env.fd_sync"));
    }
}
