//! The plugin that is built with Extism's own kit for Rust.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use cofferdam::{Entry, Guest};

/// The plugin of `plugins/extism`, built once, where that is possible: it takes the wasm target, and Extism's kit from
/// the registry.
pub(crate) fn behaviours() -> Option<Vec<u8>> {
    built("extism", &[])
}

/// The same, and a function that fetches. It is half as large again, which every pool of it has to compile.
pub(crate) fn fetching() -> Option<Vec<u8>> {
    built("extism-http", &["--features", "http"])
}

fn built(folder: &str, features: &[&str]) -> Option<Vec<u8>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins/extism");
    let into = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--quiet"])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&into)
        .args(features)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(&source)
        .output()
        .expect("cargo is there, since it runs this");
    if !built.status.success() {
        let why = String::from_utf8_lossy(&built.stderr);
        // The plugin itself must not be at fault: that would be a failure, and not a skip.
        let is_missing = [
            "can't find crate for `core`",
            "can't find crate for `std`",
            "failed to download",
            "failed to get",
            "failed to fetch",
        ]
        .iter()
        .any(|sign| why.contains(sign));
        assert!(is_missing, "{why}");
        // Past the harness, which keeps to itself what a test that passes says.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the plugin cannot be built here: it takes `rustup target add wasm32-unknown-unknown` and the crate extism-pdk: {why}"
        );
        return None;
    }
    let file = into.join("wasm32-unknown-unknown/release/behaviours.wasm");
    Some(std::fs::read(file).expect("it was just built"))
}

pub(crate) fn call(wasm: &[u8], name: &str) -> Guest {
    let entry = Entry::Extism {
        call: name.to_owned(),
    };
    Guest::with_entry(name, wasm, entry).expect("it is a plugin")
}
