//! A component, as far as its names go: how is it entered, and does it ask for more than there is?
//!
//! Two worlds are known: a command of WASI preview 2, and a worker of `guest/wit/worker.wit`. What of an interface a
//! component uses, and of what type, is seen when it is linked.

use super::anatomy::{Anatomy, Extern};
use super::{Entry, GuestError, interface};

/// The interface that a command exports, without its version.
pub(crate) const RUN: &str = "wasi:cli/run";

/// The function that a worker exports.
pub(crate) const HANDLE: &str = "handle";

/// What a worker imports, with the version that this host has.
pub(crate) const HOST: &str = "cofferdam:guest/host@1.0.0";

/// The edition of WASI preview 2 whose functions are offered; every 0.2.x is served by it.
pub(crate) const EDITION: &str = "0.2.12";

/// The interfaces that are offered, each with the beginning of the versions that it serves.
const OFFERED: [(&str, &str); 29] = [
    ("cofferdam:guest/host", "1."),
    ("cofferdam:guest/types", "1."),
    ("wasi:cli/environment", "0.2."),
    ("wasi:cli/exit", "0.2."),
    ("wasi:cli/stderr", "0.2."),
    ("wasi:cli/stdin", "0.2."),
    ("wasi:cli/stdout", "0.2."),
    ("wasi:cli/terminal-input", "0.2."),
    ("wasi:cli/terminal-output", "0.2."),
    ("wasi:cli/terminal-stderr", "0.2."),
    ("wasi:cli/terminal-stdin", "0.2."),
    ("wasi:cli/terminal-stdout", "0.2."),
    ("wasi:clocks/monotonic-clock", "0.2."),
    ("wasi:clocks/wall-clock", "0.2."),
    ("wasi:filesystem/preopens", "0.2."),
    ("wasi:filesystem/types", "0.2."),
    ("wasi:io/error", "0.2."),
    ("wasi:io/poll", "0.2."),
    ("wasi:io/streams", "0.2."),
    ("wasi:random/insecure", "0.2."),
    ("wasi:random/insecure-seed", "0.2."),
    ("wasi:random/random", "0.2."),
    ("wasi:sockets/instance-network", "0.2."),
    ("wasi:sockets/ip-name-lookup", "0.2."),
    ("wasi:sockets/network", "0.2."),
    ("wasi:sockets/tcp", "0.2."),
    ("wasi:sockets/tcp-create-socket", "0.2."),
    ("wasi:sockets/udp", "0.2."),
    ("wasi:sockets/udp-create-socket", "0.2."),
];

/// Of these everything is refused when it is called: nothing is granted.
pub(crate) fn is_refused(interface: &str) -> bool {
    interface.starts_with("wasi:sockets/")
}

/// These have files to do with, and grant what the user granted.
pub(crate) fn is_of_folders(interface: &str) -> bool {
    interface.starts_with("wasi:filesystem/")
}

/// How a component is entered, and whether it can be at all.
///
/// # Errors
/// What keeps it from being entered.
pub(super) fn detect(anatomy: &Anatomy) -> Result<Entry, GuestError> {
    let unknown: Vec<String> = anatomy.imports.iter().filter_map(misfit).collect();
    if !unknown.is_empty() {
        return Err(GuestError::UnknownImports {
            wanted: interface::first_of(unknown),
            offered: "WASI preview 2, in wasi:cli, io, clocks, random and filesystem @0.2.x, and wasi:sockets, \
                      which grants nothing; and cofferdam:guest/host@1.x"
                .to_owned(),
        });
    }
    if anatomy.exports.iter().any(|export| is_run(&export.name)) {
        return Ok(Entry::Run);
    }
    match anatomy.export(HANDLE) {
        Some(handle) if handle.ty == "func" => Ok(Entry::Worker),
        _ => Err(GuestError::NoComponentEntry {
            known: interface::first_of(
                anatomy
                    .exports
                    .iter()
                    .map(|export| format!("`{}`", crate::mail::printable(&export.name)))
                    .collect(),
            ),
        }),
    }
}

/// Whether this export is the entry of a command.
pub(crate) fn is_run(export: &str) -> bool {
    export
        .split_once('@')
        .is_some_and(|(name, version)| name == RUN && version.starts_with("0.2."))
}

/// Says what is wrong with an import, and what is nearest to it.
fn misfit(import: &Extern) -> Option<String> {
    // A type that is named is nothing that anybody has to offer.
    if import.ty == "type" {
        return None;
    }
    let (name, version) = import
        .name
        .split_once('@')
        .map_or((import.name.as_str(), ""), |(name, version)| {
            (name, version)
        });
    let offered = OFFERED.iter().find(|(offered, _)| *offered == name);
    if let Some((_, versions)) = offered {
        if import.ty != "instance" {
            return Some(format!("{import}, which is offered as instance"));
        }
        let fits = version.starts_with(versions);
        return (!fits).then(|| format!("{import}, which is offered as {versions}x"));
    }
    if name.len() > 64 {
        return Some(import.to_string());
    }
    let nearest = OFFERED
        .iter()
        .map(|(offered, _)| (strsim::damerau_levenshtein(offered, name), *offered))
        .min();
    Some(match nearest {
        Some((0..=3, nearest)) => format!("{import} (is it `{nearest}`?)"),
        _ => import.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(body: &str) -> Result<Entry, GuestError> {
        let text = format!("(component {body})");
        detect(&Anatomy::of_bytes(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_component_is_told_by_what_it_exports() {
        let run = r#"(instance $run) (export "wasi:cli/run@0.2.3" (instance $run))"#;
        assert_eq!(detected(run), Ok(Entry::Run));
        let error = detected(r#"(instance $run) (export "wasi:cli/run@0.3.0" (instance $run))"#);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("there are `wasi:cli/run@0.3.0`"), "{error}");
    }

    #[test]
    fn an_unknown_import_is_named_with_the_nearest_that_is_offered() {
        let error = detected(r#"(import "wasi:io/stream@0.2.0" (instance))"#).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("(is it `wasi:io/streams`?)"), "{error}");
        let error = detected(r#"(import "wasi:io/poll@0.3.0" (instance))"#).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("which is offered as 0.2.x"), "{error}");
    }
}
