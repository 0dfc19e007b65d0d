//! Programs that others wrote, compiled and published run as they are, in both isolations, to the same bytes.
//!
//! None of them was made for this host, and none is kept here: `.ci/toolchains` takes each from its package, and checks
//! that it is the file of this table.
//!
#![doc = include_str!("published/modules.md")]
//!
//! What is expected is what wasmtime's own command line (49.0.3) gives for the same arguments, input and folders; for the
//! module in Go, which a command line cannot call, wasmtime's binding for Python (45.0.0) with the package's own steps.
//! `SQLite` was run by neither, since they no longer know `wasi_unstable`: its answers can be computed by hand.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;

use cofferdam::Isolation;

use common::{Ended, command, run_with, toolchains};

/// The table above.
const TABLE: &str = include_str!("published/modules.md");

/// A published module, as `.ci/toolchains` left it.
struct Module(String);

impl Module {
    /// The one that the table calls so. Where it is not here, that is said and not passed over.
    fn named(name: &str) -> Option<Self> {
        let row = format!("| `{name}` |");
        assert!(TABLE.contains(&row), "{name} is not in the table");
        let file = toolchains().join("published").join(format!("{name}.wasm"));
        if file.is_file() {
            return Some(Self(text(&file)));
        }
        // In one piece, past the harness, which keeps to itself what a test that passes says.
        let skipped = format!(
            "SKIPPED: the published module {name} was not run, it is missing: run .ci/toolchains\n"
        );
        let _ = std::io::stderr().write_all(skipped.as_bytes());
        None
    }

    /// Runs the binary with it to its end. The first time it is compiled, which no other test's patience is made for:
    /// the largest has 26 MB, and others may build.
    fn run(&self, isolation: Isolation, options: &[&str], arguments: &[&str]) -> Ended {
        let mut command = command(["run", "--compile-timeout", "10min", "--isolation"]);
        command.arg(isolation.to_string());
        command.args(options).arg(&self.0).arg("--").args(arguments);
        let output = command.output().expect("the binary is built");
        Ended {
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks that it replies with this text, in both isolations.
    #[track_caller]
    fn gives(&self, options: &[&str], arguments: &[&str], expected: &str) {
        for isolation in Isolation::ALL {
            let ended = self.run(isolation, options, arguments).exits_with(0);
            assert_eq!(ended.text(), expected, "{isolation}: {}", ended.stderr);
        }
    }

    /// Checks that it ends with this code and nothing on standard output, and what it complains of, in both isolations.
    #[track_caller]
    fn fails(&self, arguments: &[&str], code: i32, complaint: &str) {
        for isolation in Isolation::ALL {
            let ended = self.run(isolation, &["--input", ""], arguments);
            let ended = ended.exits_with(code).says(complaint);
            assert_eq!(ended.text(), "", "{isolation}");
        }
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// The grant of a folder under a name.
fn folder(path: &Path, name: &str) -> String {
    format!("{}::{name}", path.display())
}

/// The SHA-256 of some bytes, by a guest that is built in.
fn digest(bytes: &[u8]) -> String {
    let ended = run_with(["run", "--input-file", "-", "@sha256"], bytes).exits_with(0);
    ended.text().to_owned()
}

#[test]
fn python_counts_words_and_fails_as_python_does() {
    const COUNT: &str = r#"import collections, json, re, sys
words = collections.Counter(re.findall("[a-z]+", sys.stdin.read().lower()))
print(sys.version.split()[0], json.dumps(words.most_common(2)))"#;
    let Some(python) = Module::named("cpython") else {
        return;
    };
    python.gives(
        &[
            "--input",
            "The wall holds, and the other wall holds the water.",
        ],
        &["-c", COUNT],
        "3.12.0 [[\"the\", 3], [\"wall\", 2]]\n",
    );
    python.fails(&["-c", "1 / 0"], 1, "ZeroDivisionError: division by zero");
    python.fails(&["-c", "raise SystemExit(3)"], 3, "");
}

#[test]
fn javascript_computes_with_large_integers_and_fails_as_javascript_does() {
    const POWERS: &str = r#"const numbers = std.in.readAsString().split(" ").map(BigInt);
print(JSON.stringify(numbers.map(n => String(2n ** n))), numbers.map(Number).toSorted((a, b) => b - a))"#;
    let Some(quickjs) = Module::named("quickjs") else {
        return;
    };
    quickjs.gives(
        &["--input", "3 20 100"],
        &["--std", "-e", POWERS],
        "[\"8\",\"1048576\",\"1267650600228229401496703205376\"] 100,20,3\n",
    );
    let complaint = "TypeError: cannot read property 'wall' of null";
    quickjs.fails(&["-e", "null.wall"], 1, complaint);
    quickjs.fails(&["--std", "-e", "std.exit(3)"], 3, "");
}

#[test]
fn go_finds_what_is_personal_and_warns_before_its_first_job() {
    let Some(shield) = Module::named("pii-shield") else {
        return;
    };
    let options = |salt| {
        let call = [
            "--packed", "redact", "--alloc", "allocate", "--free", "free",
        ];
        let text = "user joe@example.com card 4111 1111 1111 1111 password=hunter2hunter2 ok";
        [&call[..], &["--env", salt, "--input", text]].concat()
    };
    shield.gives(
        &options("PII_SALT=0123456789abcdef"),
        &[],
        "user [HIDDEN:6f7ab7] card [HIDDEN:163910] password=[HIDDEN:4f69e2] ok",
    );
    // What a package of Go does before it is called: here it prints.
    for isolation in Isolation::ALL {
        let ended = shield.run(isolation, &options("PII_SALT=salt"), &[]);
        let ended = ended
            .exits_with(0)
            .says("WARNING: PII_SALT is too short (<16 bytes). Weak security.");
        assert_eq!(
            ended.text(),
            "user [HIDDEN:a803d9] card [HIDDEN:986ae9] password=[HIDDEN:ee84d5] ok",
            "{isolation}"
        );
    }
}

#[test]
fn c_speaks_into_a_file_of_a_folder() {
    let Some(flite) = Module::named("flite") else {
        return;
    };
    for isolation in Isolation::ALL {
        let room = tempfile::tempdir().unwrap();
        let options = ["--input", "", "--dir", &folder(room.path(), "/out")];
        let arguments = ["-t", "No water comes through.", "-o", "/out/spoken.wav"];
        let ended = flite.run(isolation, &options, &arguments).exits_with(0);
        assert_eq!(ended.text(), "", "{isolation}");
        let sound = fs::read(room.path().join("spoken.wav")).unwrap();
        assert_eq!(&sound[..4], b"RIFF", "{isolation}");
        assert_eq!(
            digest(&sound),
            "887485d90d4a29d0d467ffdb66fae9bfe5bee75430f3d4260e43a856b4087fab",
            "{isolation}"
        );
        // Without a folder there is nowhere to write to.
        flite
            .run(isolation, &options[..2], &arguments)
            .says("can't open file \"/out/spoken.wav\"");
    }
}

#[test]
fn a_database_of_the_older_edition_computes_and_keeps_its_file() {
    let Some(sqlite) = Module::named("sqlite") else {
        return;
    };
    sqlite.gives(
        &[
            "--input",
            "create table t(a, b);
            insert into t values (1, 'x'), (2, 'y'), (3, 'x');
            select b, sum(a) from t group by b order by b;
            with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) select sum(i) from n;
            select sqlite_version();",
        ],
        &["-batch"],
        "x|4\ny|2\n5000050000\n3.26.0\n",
    );
    for isolation in Isolation::ALL {
        let room = tempfile::tempdir().unwrap();
        let grant = folder(room.path(), "/db");
        let write = "create table walls(metres); insert into walls values (3), (4);";
        let options = ["--dir", &grant, "--input", write];
        let ended = sqlite.run(isolation, &options, &["-batch", "/db/walls.db"]);
        assert_eq!(ended.exits_with(0).text(), "", "{isolation}");
        let grant = grant + ":ro";
        let options = ["--dir", &grant, "--input", "select sum(metres) from walls;"];
        let ended = sqlite.run(
            isolation,
            &options,
            &["-batch", "-readonly", "/db/walls.db"],
        );
        assert_eq!(ended.exits_with(0).text(), "7\n", "{isolation}");
    }
}

#[test]
fn a_component_in_rust_draws_a_picture() {
    const PICTURE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="4" height="4" fill="red"/><circle cx="6" cy="6" r="2" fill="#0000ff"/></svg>
"##;
    const DRAWN: &str = "1da33f2a3213ea97ae34482df853e91b7cd5a1a337cf0bdea004282eb73d9b50";
    let Some(resvg) = Module::named("resvg") else {
        return;
    };
    for isolation in Isolation::ALL {
        let ended = resvg.run(isolation, &["--input", PICTURE], &["-", "-c"]);
        let ended = ended
            .exits_with(0)
            .says("Make sure to set --resources-dir when reading SVG from stdin");
        assert!(ended.stdout.starts_with(b"\x89PNG\r\n"), "{isolation}");
        assert_eq!(digest(&ended.stdout), DRAWN, "{isolation}");
        // The same from a file to a file, by preview 2's own functions.
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("picture.svg"), PICTURE).unwrap();
        let grant = folder(room.path(), "/room");
        let paths = ["/room/picture.svg", "/room/picture.png"];
        resvg
            .run(isolation, &["--input", "", "--dir", &grant], &paths)
            .exits_with(0);
        let drawn = fs::read(room.path().join("picture.png")).unwrap();
        assert_eq!(digest(&drawn), DRAWN, "{isolation}");
    }
}

#[test]
fn a_function_in_c_is_called_with_a_number() {
    if let Some(ballistics) = Module::named("tiny-bclibc") {
        let options = ["--invoke", "tbw_bench_peak_dp"];
        ballistics.gives(&options, &["100000"], "800044.0000017659");
    }
}
