//! Tells the program which wasmtime it was built with: results name it.

use std::path::Path;

fn main() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let version = text
        .split_once("name = \"wasmtime\"\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("48 (exact version unknown)", |(version, _)| version);
    println!("cargo::rustc-env=COFFERDAM_WASMTIME={version}");
}
