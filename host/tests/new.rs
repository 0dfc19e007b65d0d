//! `cofferdam new`: what it makes builds by the commands of its own README, passes `check`, and fails it with a bug.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::{COFFERDAM, run, toolchains};

/// A command that finds those tools, and keeps its caches among them.
fn shell(folder: &Path, script: &str) -> Command {
    let tools = toolchains();
    let usual = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .args(["-ec", script])
        .current_dir(folder)
        .env("PATH", format!("{}/python/bin:{usual}", tools.display()))
        .env("ZIG_GLOBAL_CACHE_DIR", tools.join("zig-cache"))
        .env("npm_config_cache", tools.join("npm-cache"))
        .env("npm_config_prefer_offline", "true")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    command
}

/// Whether the tools for a language are here. Where they are not, that is said and not passed over.
fn has(language: &str, probe: &str, install: &str) -> bool {
    let output = shell(&std::env::temp_dir(), probe).output();
    let is_there = output.is_ok_and(|output| output.status.success());
    if !is_there {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: new --lang {language} was not tested, its tools are missing: {install}"
        );
    }
    is_there
}

/// Says whether the packages of this language's template are among the tools, as they are named there now.
fn npm_has(language: &str) -> String {
    format!(
        "node --version && npm --version && cmp {}/npm/{language}/package.json {}/templates/{language}/package.json",
        toolchains().display(),
        env!("CARGO_MANIFEST_DIR")
    )
}

/// The commands under `## Build` of the README that lies in the project.
fn build_commands(project: &Path) -> String {
    let readme = fs::read_to_string(project.join("README.md")).expect("a README");
    let (_, after) = readme.split_once("## Build\n").expect("a heading");
    let (_, block) = after.split_once("```sh\n").expect("a block");
    block.split_once("```").expect("its end").0.to_owned()
}

fn build(project: &Path) {
    let output = shell(project, &build_commands(project)).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn check(project: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(COFFERDAM);
    command.args(["check", "--calls", "50", "--random", "20"]);
    // A guest with an interpreter in it takes a while to compile: once for each isolation is enough.
    command.args(["--compile-timeout", "10min", "--cache-dir", "../cache"]);
    let output = command.current_dir(project).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        output.status.code(),
        told + &String::from_utf8_lossy(&output.stderr),
    )
}

/// Makes a project, builds it, checks it; then its source greets wrongly, and the check says so.
fn works(language: &str, source: &str) {
    let folder = tempfile::tempdir().unwrap();
    // A name in which both spellings differ.
    let project = folder.path().join("my-guest");
    run(["new", "--lang", language, project.to_str().unwrap()]).exits_with(0);
    build(&project);
    let (code, told) = check(&project);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.ends_with("3 cases: 3 well, 0 not\n"), "{told}");

    let path = project.join(source);
    let text = fs::read_to_string(&path).unwrap();
    let wrong = text.replace("Hello, ", "Hullo, ");
    assert_ne!(text, wrong, "{source} says what is written");
    fs::write(&path, wrong).unwrap();
    build(&project);
    let (code, told) = check(&project);
    assert_eq!(code, Some(100), "{told}");
    assert!(told.contains("+Hullo, World!"), "{told}");
    assert!(told.contains("ok    refuses nobody"), "{told}");
}

#[test]
fn a_guest_in_rust_builds_passes_and_fails_with_a_bug() {
    let probe = "rustc --print target-libdir --target wasm32-unknown-unknown | xargs test -d";
    if has("rust", probe, "rustup target add wasm32-unknown-unknown") {
        works("rust", "src/lib.rs");
    }
}

#[test]
fn a_guest_in_c_builds_passes_and_fails_with_a_bug() {
    if has("c", "python3 -m ziglang version", "run .ci/toolchains") {
        works("c", "src/guest.c");
    }
}

#[test]
fn a_guest_in_zig_builds_passes_and_fails_with_a_bug() {
    if has("zig", "python3 -m ziglang version", "run .ci/toolchains") {
        works("zig", "src/main.zig");
    }
}

#[test]
fn a_guest_in_assemblyscript_builds_passes_and_fails_with_a_bug() {
    let probe = npm_has("assemblyscript");
    if has("assemblyscript", &probe, "run .ci/toolchains") {
        works("assemblyscript", "assembly/index.ts");
    }
}

#[test]
fn a_guest_in_javascript_builds_passes_and_fails_with_a_bug() {
    let probe = npm_has("javascript");
    if has("javascript", &probe, "run .ci/toolchains") {
        works("javascript", "src/index.js");
    }
}

#[test]
fn a_guest_in_python_builds_passes_and_fails_with_a_bug() {
    let requirements = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/templates/python/requirements.txt"
    );
    // The very version that is asked for.
    let probe = format!("python3 -m pip freeze | grep -qxFf {requirements}");
    if has("python", &probe, "run .ci/toolchains") {
        works("python", "src/guest.py");
    }
}

#[test]
fn what_is_there_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), "precious").unwrap();
    run(["new", full.to_str().unwrap()])
        .exits_with(2)
        .says("is not empty (mine is in it)");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
    let file = full.join("mine");
    run(["new", file.to_str().unwrap()])
        .exits_with(2)
        .says("is no folder");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_folder_with_nothing_but_a_repository_is_filled_and_the_next_steps_are_those_of_the_readme() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("sum");
    fs::create_dir_all(project.join(".git")).unwrap();
    let ended = run(["new", "--lang", "zig", project.to_str().unwrap()]).exits_with(0);
    let told = String::from_utf8(ended.stdout).unwrap();
    let command = build_commands(&project);
    assert!(command.contains("-femit-bin=sum.wasm"), "{command}");
    for step in [command.trim(), "cofferdam check", "cd "] {
        assert!(told.contains(step), "{told}");
    }
    assert!(project.join(".gitignore").is_file());
}

#[test]
fn names_that_some_tool_would_refuse_are_refused_and_languages_are_listed() {
    for name in [".", "Sum", "core", "a b"] {
        run(["new", name]).exits_with(2);
    }
    run(["new"]).exits_with(2);
    let ended = run(["new", "--list"]).exits_with(0);
    let told = String::from_utf8(ended.stdout).unwrap();
    let words = told
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let all = ["rust", "c", "zig", "assemblyscript", "javascript", "python"];
    assert!(words.eq(all), "{told}");
}
