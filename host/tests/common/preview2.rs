//! Commands of WASI preview 2 as the standard library of Rust makes them, from the programs in `plugins/`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// A program, built once, where the compiler has the target.
pub(crate) fn built(name: &'static str) -> Option<&'static [u8]> {
    static BUILT: Mutex<BTreeMap<&str, Option<&[u8]>>> = Mutex::new(BTreeMap::new());
    let mut all = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    *all.entry(name)
        .or_insert_with(|| build(name).map(|wasm| &*wasm.leak()))
}

fn build(name: &str) -> Option<Vec<u8>> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins");
    let workshop = tempfile::tempdir().expect("a folder");
    let into = workshop.path().join("program.wasm");
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let built = Command::new(rustc)
        .args(["--target", "wasm32-wasip2", "--edition", "2024", "-O", "-o"])
        .args([&into, &plugins.join(name).with_extension("rs")])
        .output()
        .expect("the compiler is there, since it built this");
    if built.status.success() {
        return Some(std::fs::read(into).expect("it was just built"));
    }
    let why = String::from_utf8_lossy(&built.stderr);
    // The program itself must not be at fault: that would be a failure, and not a skip.
    let is_missing = why.contains("can't find crate for `std`") || why.contains("not found");
    assert!(is_missing, "{why}");
    // Past the harness, which keeps to itself what a test that passes says.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: no command of preview 2 can be built here: it takes `rustup target add wasm32-wasip2`: {why}"
    );
    None
}
