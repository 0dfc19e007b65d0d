//! Folders that are granted to components, in every isolation, start method and link: what they may do there, and that
//! they come no further. What preview 1 does with the same machinery is in `folders.rs`.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use cofferdam::{
    ByteSize, Entry, Folder, FolderAccess, Guest, Hardening, InstancePolicy, Isolation, Job, Layer,
    Limits, Outcome, PoolBuilder, Reply, Standing,
};
use tempfile::TempDir;

use common::everywhere::places as all_places;
use common::{MS, builder, limits, preview2, reply, run};

use FolderAccess::{ReadOnly, ReadWrite};

/// Where a worker lives and how it comes to be. Processes are hardened, and would not start if any layer did not hold.
fn places(guest: &Guest) -> Vec<(String, PoolBuilder)> {
    let hardened =
        |(place, builder): (String, PoolBuilder)| (place, builder.hardening(Hardening::Required));
    all_places(guest).into_iter().map(hardened).collect()
}

/// A folder of the host with something beside it that nobody was granted.
struct Room(TempDir);

impl Room {
    /// With a file, and with links that lead out of it.
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(room.path("deep")).unwrap();
        fs::write(room.0.path().join("secret"), "a secret").unwrap();
        fs::write(room.path("file"), "content").unwrap();
        symlink("../secret", room.path("climbs")).unwrap();
        symlink(room.0.path().join("secret"), room.path("absolute")).unwrap();
        symlink("..", room.path("up")).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("granted").join(name)
    }

    fn folder(&self, access: FolderAccess) -> Folder {
        Folder::new(self.path(""), "/data", access)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// That of what lies beside it nothing was read or changed, is told by its content and by its only neighbour.
    fn is_alone(&self) -> bool {
        fs::read_to_string(self.0.path().join("secret")).unwrap() == "a secret"
            && fs::read_dir(self.0.path()).unwrap().count() == 2
    }
}

#[track_caller]
fn said(reply: &Reply) -> &str {
    assert_eq!(reply.outcome, Outcome::Output);
    std::str::from_utf8(&reply.output).unwrap()
}

/// The command of `plugins/files.rs`, where it can be built.
fn program() -> Option<Guest> {
    let guest = Guest::from_bytes("files", preview2::built("files")?).unwrap();
    assert_eq!(guest.entry(), &Entry::Run);
    Some(guest)
}

/// Lines of a script, each with what comes of it.
type Steps<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn does(place: &str, reply: &Reply, steps: Steps<'_>) {
    let seen: Vec<_> = said(reply).lines().collect();
    let lines = steps.iter().map(|(line, _)| *line);
    let seen: Vec<_> = lines.zip(seen).collect();
    assert_eq!(seen, steps, "{place}");
}

fn script(steps: Steps<'_>) -> Job {
    let lines: Vec<_> = steps.iter().map(|(line, _)| *line).collect();
    Job::new(lines.join("\n"))
}

#[test]
fn a_program_over_the_standard_library_works_with_files() {
    let Some(guest) = program() else {
        return;
    };
    let steps = [
        ("read /data/file", "content"),
        ("write /data/new one", "done"),
        ("append /data/new two", "done"),
        ("read /data/new", "onetwo"),
        ("patch /data/new 2 XYZ", "5 YZo"),
        ("cut /data/new 3", "done"),
        ("read /data/new", "onX"),
        ("new /data/new", "error 20"),
        ("reads-only /data/file", "error 8"),
        ("large /data/large", "true"),
        ("make /data/a/b", "done"),
        (
            "list /data",
            "a/ absolute@ climbs@ deep/ file large new up@",
        ),
        ("list /data/deep", ""),
        ("stat /data/file", "file 7"),
        ("stat /data/a", "folder 0"),
        ("kind /data/climbs", "true"),
        ("kind /data/file", "false"),
        ("move /data/new /data/a/moved", "done"),
        ("copy /data/file /data/a/copy", "7"),
        ("name /data/file /data/a/hard", "done"),
        ("link moved /data/a/soft", "done"),
        ("leads /data/a/soft", "moved"),
        ("read /data/a/soft", "onX"),
        ("remove /data/a/soft", "done"),
        ("remove /data/a", "error 31"),
        ("remove-folder /data/a", "error 55"),
        ("remove-folder /data/file", "error 54"),
        ("remove-folder /data/a/b", "done"),
        ("list /data/a", "copy hard moved"),
        ("write /data/kept it", "done"),
        ("remove-all /data/a", "done"),
        ("remove /data/large", "done"),
        ("read /data/none", "error 44"),
        ("list /data/file", "error 54"),
    ];
    for (place, builder) in places(&guest) {
        let room = Room::new();
        let pool = builder
            .limits(limits(Some(MS(60_000))))
            .dir(room.folder(ReadWrite))
            .build()
            .unwrap();
        does(&place, &reply(&pool, script(&steps)), &steps);
        assert_eq!(room.read("kept"), "it", "{place}");
        assert!(!room.path("a").exists() && room.is_alone(), "{place}");
        // The next job has a folder to work in as the first one had.
        let again = [("read /data/kept", "it"), ("list /data/deep", "")];
        does(&place, &reply(&pool, script(&again)), &again);
    }
}

#[test]
fn no_path_and_no_link_leads_out_of_a_folder() {
    let Some(guest) = program() else {
        return;
    };
    let refused = [
        "read /data/../secret",
        "read /data/climbs",
        "read /data/absolute",
        "read /data/up/secret",
        "read /data/deep/../../secret",
        "stat /data/climbs",
        "list /data/up",
        "write /data/../new x",
        "write /data/climbs x",
        "write /data/up/new x",
        "append /data/absolute x",
        "make /data/up/new",
        "remove /data/../secret",
        "move /data/../secret /data/stolen",
        "move /data/file /data/../stolen",
        "name /data/up/secret /data/stolen",
        "name /data/file /data/up/stolen",
        "link file /data/up/stolen",
        // Whoever else follows it would come to it.
        "link /etc/passwd /data/passwd",
        "leads /data/absolute",
    ];
    let mut steps: Vec<_> = refused.iter().map(|line| (*line, "error 63")).collect();
    // No folder that was granted contains it.
    steps.extend([
        ("read /etc/passwd", "error 44"),
        ("leads /data/climbs", "../secret"),
    ]);
    for (place, builder) in places(&guest) {
        let room = Room::new();
        let pool = builder.dir(room.folder(ReadWrite)).build().unwrap();
        does(&place, &reply(&pool, script(&steps)), &steps);
        let mut left: Vec<_> = fs::read_dir(room.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(
            left,
            ["absolute", "climbs", "deep", "file", "up"],
            "{place}"
        );
        assert!(room.is_alone(), "{place}");
    }
}

#[test]
fn what_is_read_only_refuses_every_change_beside_a_folder_that_may_be_written_to() {
    let Some(guest) = program() else {
        return;
    };
    let steps = [
        ("read /data/file", "content"),
        ("list /data/deep", ""),
        ("write /data/file x", "error 69"),
        ("append /data/file x", "error 69"),
        ("new /data/new", "error 69"),
        ("cut /data/file 0", "error 69"),
        ("make /data/new", "error 69"),
        ("remove /data/file", "error 69"),
        ("remove-folder /data/deep", "error 69"),
        ("move /data/file /data/new", "error 69"),
        ("name /data/file /data/new", "error 69"),
        ("link file /data/new", "error 69"),
        // Nor does a link make it one that may be written to.
        ("name /data/file /other/new", "error 69"),
        ("move /data/file /other/new", "error 69"),
        ("move /other/file /data/new", "error 69"),
        ("copy /data/file /other/copy", "7"),
        ("make /other/deep/made", "done"),
    ];
    for (place, builder) in places(&guest) {
        let (read, written) = (Room::new(), Room::new());
        let pool = builder
            .dir(read.folder(ReadOnly))
            .dir(Folder::new(written.path(""), "/other", ReadWrite))
            .build()
            .unwrap();
        does(&place, &reply(&pool, script(&steps)), &steps);
        assert_eq!(read.read("file"), "content", "{place}");
        assert_eq!(fs::read_dir(read.path("")).unwrap().count(), 5, "{place}");
        assert_eq!(written.read("copy"), "content", "{place}");
        assert!(written.path("deep/made").is_dir(), "{place}");
    }
}

#[test]
fn who_was_granted_nothing_finds_nothing() {
    let Some(guest) = program() else {
        return;
    };
    let steps = [
        ("read /data/file", "error 44"),
        ("write file x", "error 44"),
        ("list /", "error 44"),
        ("read /etc/passwd", "error 44"),
    ];
    for (place, builder) in places(&guest) {
        let pool = builder.build().unwrap();
        does(&place, &reply(&pool, script(&steps)), &steps);
    }
}

#[test]
fn neither_a_pipe_nor_a_device_nor_a_file_of_proc_is_opened() {
    let Some(guest) = program() else {
        return;
    };
    let steps = [
        ("read /data/pipe", "error 58"),
        ("write /data/pipe x", "error 58"),
        ("read /dev/null", "error 58"),
        ("read /proc/sys/kernel/hostname", "error 58"),
    ];
    for (place, builder) in places(&guest) {
        let room = Room::new();
        let here = fs::File::open(room.path("")).unwrap();
        rustix::fs::mkfifoat(&here, "pipe", 0o666.into()).unwrap();
        let pool = builder
            .dir(room.folder(ReadWrite))
            .dir(Folder::new("/dev", "/dev", ReadOnly))
            .dir(Folder::new("/proc", "/proc", ReadOnly))
            .build()
            .unwrap();
        does(&place, &reply(&pool, script(&steps)), &steps);
    }
}

#[test]
fn every_layer_holds_where_a_component_has_a_folder() {
    let guest = Script::new("(call $open (i32.const 0) (i32.const 1))").guest();
    for (place, builder) in places(&guest).into_iter().skip(1) {
        let room = Room::new();
        let pool = builder.dir(room.folder(ReadWrite)).build().unwrap();
        assert_eq!(said(&reply(&pool, Job::new(""))), "00 ", "{place}");
        let held = pool.workers().remove(0).enforcement.unwrap();
        for layer in Layer::ALL {
            assert_eq!(held.standing(layer), Standing::Enforced, "{place}, {layer}");
        }
    }
}

#[test]
fn the_command_line_grants_folders_to_a_component_and_inspect_tells_of_them() {
    let room = Room::new();
    let script = Script::new("(call $open (i32.const 0) (i32.const 1))");
    let folder = format!("{}::/data:ro", room.path("").display());
    let ended = run([
        "run",
        "--input",
        "",
        "--dir",
        &folder,
        "--wat",
        &script.text(),
    ]);
    assert_eq!(ended.exits_with(0).text(), "00 ");
    let inspected = run(["inspect", "--wat", &script.text()]).exits_with(0);
    for words in ["folders (--dir)", "WASI 0.2, within the folders of --dir"] {
        assert!(inspected.text().contains(words), "{}", inspected.text());
    }
}

/// A worker that makes one call after the other, and says of each with which number it ended, in two digits; and what the
/// script wants said in between.
struct Script {
    body: String,
}

/// What a script opens by its number; the text of each takes eight bytes.
const NAMES: [&str; 4] = [
    "file\0\0\0\0",
    "deep\0\0\0\0",
    "new\0\0\0\0\0",
    "none\0\0\0\0",
];

/// What codes of errors a script says: one more than their numbers, and 0 is for none.
const BAD_DESCRIPTOR: i32 = 4;
const ILLEGAL_BYTES: i32 = 10;
const INVALID: i32 = 13;
const NO_ENTRY: i32 = 21;
const TOO_MANY: i32 = 23;
const NOT_DIRECTORY: i32 = 25;
const READ_ONLY: i32 = 34;
/// A stream that is closed.
const CLOSED: i32 = 99;

/// Flags of descriptors.
const READS: i32 = 1;
const BOTH: i32 = 3;
const MUTATES: i32 = 1 << 5;

const CREATES: i32 = 1;

fn numbers(numbers: &[i32]) -> String {
    numbers.iter().fold(String::new(), |mut text, number| {
        write!(text, "{number:02} ").unwrap();
        text
    })
}

/// Functions of `wasi:filesystem/types`: the name, the parameters as the module has them, as the component has them
/// behind the descriptor itself, and what it results in beside an error.
const CALLS: [[&str; 4]; 18] = [
    [
        "open-at",
        "i32 i32 i32 i32 i32 i32 i32",
        r#"(param "path-flags" $paths) (param "path" string) (param "open-flags" $opens) (param "flags" $flags)"#,
        "(own $descriptor)",
    ],
    ["read-via-stream", "i32 i64 i32", OFFSET, "(own $in)"],
    ["write-via-stream", "i32 i64 i32", OFFSET, "(own $out)"],
    ["append-via-stream", "i32 i32", "", "(own $out)"],
    [
        "advise",
        "i32 i64 i64 i32 i32",
        r#"(param "offset" u64) (param "length" u64) (param "advice" $advice)"#,
        "",
    ],
    ["sync-data", "i32 i32", "", ""],
    ["get-flags", "i32 i32", "", "$flags"],
    ["get-type", "i32 i32", "", "$type"],
    ["set-size", "i32 i64 i32", r#"(param "size" u64)"#, ""],
    [
        "set-times",
        "i32 i32 i64 i32 i32 i64 i32 i32",
        r#"(param "data-access-timestamp" $time) (param "data-modification-timestamp" $time)"#,
        "",
    ],
    [
        "set-times-at",
        "i32 i32 i32 i32 i32 i64 i32 i32 i64 i32 i32",
        r#"(param "path-flags" $paths) (param "path" string)
        (param "data-access-timestamp" $time) (param "data-modification-timestamp" $time)"#,
        "",
    ],
    [
        "read",
        "i32 i64 i64 i32",
        r#"(param "length" u64) (param "offset" u64)"#,
        "(tuple (list u8) bool)",
    ],
    [
        "write",
        "i32 i32 i32 i64 i32",
        r#"(param "buffer" (list u8)) (param "offset" u64)"#,
        "u64",
    ],
    ["read-directory", "i32 i32", "", "(own $entries)"],
    ["stat", "i32 i32", "", "$stat"],
    ["metadata-hash", "i32 i32", "", "$hash"],
    [
        "metadata-hash-at",
        "i32 i32 i32 i32 i32",
        r#"(param "path-flags" $paths) (param "path" string)"#,
        "$hash",
    ],
    [
        "is-same-object",
        "i32 i32",
        r#"(param "other" (borrow $descriptor))"#,
        SAME,
    ],
];

const OFFSET: &str = r#"(param "offset" u64)"#;

/// Of all results the only one that is no error or something, and is returned.
const SAME: &str = "bool";

impl Script {
    fn new(body: &str) -> Self {
        Self {
            body: body.to_owned(),
        }
    }

    fn guest(&self) -> Guest {
        let guest = Guest::from_bytes("a script", self.text().as_bytes()).unwrap();
        assert_eq!(guest.entry(), &Entry::Worker);
        guest
    }

    fn text(&self) -> String {
        let mut typed = String::new();
        let mut lowered = String::new();
        let mut imported = String::new();
        let mut given = String::new();
        for [name, core, parameters, told] in CALLS {
            let function = format!("[method]descriptor.{name}");
            let (result, returned) = match told {
                SAME => (SAME.to_owned(), "(result i32)"),
                told => (format!("(result {told} (error $code))"), ""),
            };
            write!(
                typed,
                r#"(export "{function}" (func (param "self" (borrow $descriptor)) {parameters} (result {result})))"#
            )
            .unwrap();
            write!(
                lowered,
                r#"(core func ${name} (canon lower (func $types "{function}")
                    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))"#
            )
            .unwrap();
            write!(
                imported,
                r#"(import "host" "{name}" (func ${name} (param {core}) {returned}))"#
            )
            .unwrap();
            write!(given, r#"(export "{name}" (func ${name}))"#).unwrap();
        }
        let names: String = NAMES.concat().replace('\0', "\\00");
        format!(
            r#"(component
    (import "cofferdam:guest/types@1.0.0" (instance $guest
        (type $refusal (record (field "code" s32) (field "reason" string)))
        (export "refusal" (type (eq $refusal)))))
    (alias export $guest "refusal" (type $refusal))
    (import "wasi:io/error@0.2.3" (instance $errors (export "error" (type (sub resource)))))
    (alias export $errors "error" (type $error))
    (import "wasi:io/streams@0.2.3" (instance $streams
        (export "output-stream" (type $out (sub resource)))
        (export "input-stream" (type $in (sub resource)))
        (alias outer 1 $error (type $outer))
        (export "error" (type $e (eq $outer)))
        (type $failure (variant (case "last-operation-failed" (own $e)) (case "closed")))
        (export "stream-error" (type $f (eq $failure)))
        (export "[method]input-stream.blocking-read" (func
            (param "self" (borrow $in)) (param "len" u64) (result (result (list u8) (error $f)))))
        (export "[method]input-stream.skip" (func
            (param "self" (borrow $in)) (param "len" u64) (result (result u64 (error $f)))))
        (export "[method]output-stream.check-write" (func
            (param "self" (borrow $out)) (result (result u64 (error $f)))))
        (export "[method]output-stream.blocking-flush" (func
            (param "self" (borrow $out)) (result (result (error $f)))))
        (export "[method]output-stream.blocking-write-and-flush" (func
            (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $f)))))
        (export "[method]output-stream.splice" (func
            (param "self" (borrow $out)) (param "src" (borrow $in)) (param "len" u64)
            (result (result u64 (error $f)))))))
    (alias export $streams "output-stream" (type $out))
    (alias export $streams "input-stream" (type $in))
    (import "wasi:clocks/wall-clock@0.2.3" (instance $clock
        (type $datetime' (record (field "seconds" u64) (field "nanoseconds" u32)))
        (export "datetime" (type (eq $datetime')))))
    (alias export $clock "datetime" (type $datetime))
    (import "wasi:filesystem/types@0.2.3" (instance $types
        (export "descriptor" (type $descriptor (sub resource)))
        (export "directory-entry-stream" (type $entries (sub resource)))
        (alias outer 1 $out (type $out')) (export "output-stream" (type $out (eq $out')))
        (alias outer 1 $in (type $in')) (export "input-stream" (type $in (eq $in')))
        (alias outer 1 $error (type $error')) (export "error" (type $error (eq $error')))
        (alias outer 1 $datetime (type $datetime')) (export "datetime" (type $datetime (eq $datetime')))
        (type $code' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
            "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop"
            "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory"
            "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device"
            "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
        (export "error-code" (type $code (eq $code')))
        (type $flags' (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
            "mutate-directory"))
        (export "descriptor-flags" (type $flags (eq $flags')))
        (type $paths' (flags "symlink-follow")) (export "path-flags" (type $paths (eq $paths')))
        (type $opens' (flags "create" "directory" "exclusive" "truncate"))
        (export "open-flags" (type $opens (eq $opens')))
        (type $type' (enum "unknown" "block-device" "character-device" "directory" "fifo" "symbolic-link"
            "regular-file" "socket"))
        (export "descriptor-type" (type $type (eq $type')))
        (type $advice' (enum "normal" "sequential" "random" "will-need" "dont-need" "no-reuse"))
        (export "advice" (type $advice (eq $advice')))
        (type $time' (variant (case "no-change") (case "now") (case "timestamp" $datetime)))
        (export "new-timestamp" (type $time (eq $time')))
        (type $stat' (record (field "type" $type) (field "link-count" u64) (field "size" u64)
            (field "data-access-timestamp" (option $datetime))
            (field "data-modification-timestamp" (option $datetime))
            (field "status-change-timestamp" (option $datetime))))
        (export "descriptor-stat" (type $stat (eq $stat')))
        (type $hash' (record (field "lower" u64) (field "upper" u64)))
        (export "metadata-hash-value" (type $hash (eq $hash')))
        (type $entry' (record (field "type" $type) (field "name" string)))
        (export "directory-entry" (type $entry (eq $entry')))
        {typed}
        (export "[method]directory-entry-stream.read-directory-entry" (func (param "self" (borrow $entries))
            (result (result (option $entry) (error $code)))))
        (export "filesystem-error-code" (func (param "err" (borrow $error)) (result (option $code))))))
    (alias export $types "descriptor" (type $descriptor))
    (alias export $types "directory-entry-stream" (type $entries))
    (import "wasi:filesystem/preopens@0.2.3" (instance $preopens
        (alias outer 1 $descriptor (type $descriptor')) (export "descriptor" (type $d (eq $descriptor')))
        (export "get-directories" (func (result (list (tuple (own $d) string)))))))
    (core module $memory
        (memory (export "memory") 64)
        ;; What the host hands over lies from 2 MiB on; nobody gives it back.
        (global $free (mut i32) (i32.const 2097152))
        (func (export "forget") (global.set $free (i32.const 2097152)))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
            (global.set $free (i32.add (local.get $at) (local.get 3)))
            (local.get $at)))
    (core instance $m (instantiate $memory))
    {lowered}
    (core func $get-directories (canon lower (func $preopens "get-directories")
        (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
    (core func $code-of (canon lower (func $types "filesystem-error-code") (memory (core memory $m "memory"))))
    (core func $next (canon lower (func $types "[method]directory-entry-stream.read-directory-entry")
        (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
    (core func $pull (canon lower (func $streams "[method]input-stream.blocking-read")
        (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
    (core func $skip (canon lower (func $streams "[method]input-stream.skip") (memory (core memory $m "memory"))))
    (core func $check (canon lower (func $streams "[method]output-stream.check-write")
        (memory (core memory $m "memory"))))
    (core func $flush (canon lower (func $streams "[method]output-stream.blocking-flush")
        (memory (core memory $m "memory"))))
    (core func $push (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
        (memory (core memory $m "memory"))))
    (core func $splice (canon lower (func $streams "[method]output-stream.splice")
        (memory (core memory $m "memory"))))
    (core func $drop (canon resource.drop $descriptor))
    (core func $drop-in (canon resource.drop $in))
    (core func $drop-out (canon resource.drop $out))
    (core func $drop-entries (canon resource.drop $entries))
    (core module $code
        (import "m" "memory" (memory 64))
        (import "m" "forget" (func $forget))
        {imported}
        (import "host" "get-directories" (func $get-directories (param i32)))
        (import "host" "code-of" (func $code-of (param i32 i32)))
        (import "host" "next" (func $next (param i32 i32)))
        (import "host" "pull" (func $pull (param i32 i64 i32)))
        (import "host" "skip" (func $skip (param i32 i64 i32)))
        (import "host" "check" (func $check (param i32 i32)))
        (import "host" "flush" (func $flush (param i32 i32)))
        (import "host" "push" (func $push (param i32 i32 i32 i32)))
        (import "host" "splice" (func $splice (param i32 i32 i64 i32)))
        (import "host" "drop" (func $drop (param i32)))
        (import "host" "drop-in" (func $drop-in (param i32)))
        (import "host" "drop-out" (func $drop-out (param i32)))
        (import "host" "drop-entries" (func $drop-entries (param i32)))
        (data (i32.const 1024) "{names}")
        ;; The folder is asked for once in the life of an instance, as libraries do it.
        (global $root (mut i32) (i32.const -1))
        ;; What scripts keep from one job to the next.
        (global $jobs (mut i32) (i32.const 0))
        (global $one (mut i32) (i32.const 0))
        (global $two (mut i32) (i32.const 0))
        (global $three (mut i32) (i32.const 0))
        ;; What is said lies from 131072 on, and where calls leave what comes of them, at 0.
        (global $end (mut i32) (i32.const 131072))
        (func $byte (param $byte i32)
            (i32.store8 (global.get $end) (local.get $byte))
            (global.set $end (i32.add (global.get $end) (i32.const 1))))
        (func $say (param $number i32)
            (call $byte (i32.add (i32.const 48) (i32.div_u (local.get $number) (i32.const 10))))
            (call $byte (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
            (call $byte (i32.const 32)))
        (func $tell (param $at i32) (param $length i32)
            (call $byte (i32.const 91))
            (memory.copy (global.get $end) (local.get $at) (local.get $length))
            (global.set $end (i32.add (global.get $end) (local.get $length)))
            (call $byte (i32.const 93))
            (call $byte (i32.const 32)))
        ;; Says how a call ended whose code lies at so many bytes.
        (func $ended (param $at i32)
            (call $say (if (result i32) (i32.load8_u (i32.const 0))
                (then (i32.add (i32.const 1) (i32.load8_u (local.get $at)))) (else (i32.const 0)))))
        ;; The same of a stream, with what it failed with, or that it is closed.
        (func $streamed (param $at i32)
            (if (i32.eqz (i32.load8_u (i32.const 0))) (then (call $say (i32.const 0)) (return)))
            (if (i32.load8_u (local.get $at)) (then (call $say (i32.const {CLOSED})) (return)))
            (call $code-of (i32.load (i32.add (local.get $at) (i32.const 4))) (i32.const 512))
            (call $say (i32.add (i32.load8_u (i32.const 512)) (i32.load8_u (i32.const 513)))))
        (func $name (param $name i32) (result i32)
            (i32.add (i32.const 1024) (i32.mul (i32.const 8) (local.get $name))))
        (func $length (param $name i32) (result i32)
            (if (result i32) (i32.eq (local.get $name) (i32.const 2)) (then (i32.const 3)) (else (i32.const 4))))
        (func $home (result i32)
            (if (i32.eq (global.get $root) (i32.const -1)) (then
                (call $get-directories (i32.const 0))
                (if (i32.eqz (i32.load (i32.const 4))) (then unreachable))
                (global.set $root (i32.load (i32.load (i32.const 0))))))
            (global.get $root))
        ;; Opens what has this name in the folder, says how that ended, and returns the handle.
        (func $opened (param $name i32) (param $how i32) (param $flags i32) (result i32)
            (call $open-at (call $home) (i32.const 1) (call $name (local.get $name)) (call $length (local.get $name))
                (local.get $how) (local.get $flags) (i32.const 0))
            (call $ended (i32.const 4))
            (i32.load (i32.const 4)))
        (func $open (param $name i32) (param $flags i32)
            (drop (call $opened (local.get $name) (i32.const 0) (local.get $flags))))
        ;; Reads up to 100 bytes of a stream, and says them or how that ended.
        (func $reads (param $stream i32)
            (call $pull (local.get $stream) (i64.const 100) (i32.const 0))
            (if (i32.load8_u (i32.const 0)) (then (call $streamed (i32.const 4)))
                (else (call $tell (i32.load (i32.const 4)) (i32.load (i32.const 8))))))
        ;; Writes this many bytes of the names to a stream, and says how that ended.
        (func $writes (param $stream i32) (param $length i32)
            (call $push (local.get $stream) (i32.const 1024) (local.get $length) (i32.const 0))
            (call $streamed (i32.const 4)))
        (func (export "handle") (param $input i32) (param $size i32) (result i32)
            (local $a i32) (local $b i32) (local $c i32) (local $n i32)
            (call $forget)
            (global.set $end (i32.const 131072))
            (global.set $jobs (i32.add (global.get $jobs) (i32.const 1)))
            {body}
            (i32.store (i32.const 0) (i32.const 0))
            (i32.store (i32.const 4) (i32.const 131072))
            (i32.store (i32.const 8) (i32.sub (global.get $end) (i32.const 131072)))
            (i32.const 0)))
    (core instance $c (instantiate $code (with "m" (instance $m)) (with "host" (instance
        {given}
        (export "get-directories" (func $get-directories)) (export "code-of" (func $code-of))
        (export "next" (func $next)) (export "pull" (func $pull)) (export "skip" (func $skip))
        (export "check" (func $check)) (export "flush" (func $flush)) (export "push" (func $push))
        (export "splice" (func $splice)) (export "drop" (func $drop)) (export "drop-in" (func $drop-in))
        (export "drop-out" (func $drop-out)) (export "drop-entries" (func $drop-entries))))))
    (func (export "handle") (param "input" (list u8)) (result (result (list u8) (error $refusal)))
        (canon lift (core func $c "handle") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))"#,
            body = self.body
        )
    }
}

/// Runs a script everywhere, in several jobs, each time in a new room.
fn everywhere(
    script: &Script,
    access: FolderAccess,
    instance: InstancePolicy,
    jobs: usize,
    mut then: impl FnMut(&str, usize, &Room, &str),
) {
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let room = Room::new();
        let pool = builder
            .dir(room.folder(access))
            .instance(instance)
            .build()
            .unwrap();
        for job in 0..jobs {
            let reply = reply(&pool, Job::new("x"));
            then(&place, job, &room, said(&reply));
        }
    }
}

/// Makes a stream of what a local has open, puts it into another and says how that ended.
fn stream(kind: &str, of: &str, at: Option<u64>, into: &str) -> String {
    let at = at.map_or(String::new(), |at| format!("(i64.const {at})"));
    format!(
        "(call ${kind}-via-stream (local.get {of}) {at} (i32.const 0)) (call $ended (i32.const 4))
        (local.set {into} (i32.load (i32.const 4)))"
    )
}

/// Opens a name into a local.
fn open(name: usize, how: i32, flags: i32, into: &str) -> String {
    format!(
        "(local.set {into} (call $opened (i32.const {name}) (i32.const {how}) (i32.const {flags})))"
    )
}

#[test]
fn streams_of_one_file_have_places_of_their_own_and_outlive_its_handle() {
    let script = Script::new(
        &[
            open(2, CREATES, BOTH, "$a"),
            stream("write", "$a", Some(0), "$b"),
            stream("append", "$a", None, "$c"),
            stream("read", "$a", Some(2), "$n"),
            "(call $drop (local.get $a))
            (call $writes (local.get $b) (i32.const 4))
            (call $writes (local.get $c) (i32.const 3))
            (call $push (local.get $b) (i32.const 1032) (i32.const 2) (i32.const 0))
            (call $streamed (i32.const 4))
            (call $writes (local.get $c) (i32.const 4))
            (call $reads (local.get $n))
            (call $reads (local.get $n))
            ;; What was at its end goes on when more is there.
            (call $writes (local.get $c) (i32.const 4))
            (call $skip (local.get $n) (i64.const 1) (i32.const 0)) (call $streamed (i32.const 8))
            (call $say (i32.load (i32.const 8)))
            (call $splice (local.get $b) (local.get $n) (i64.const 2) (i32.const 0)) (call $streamed (i32.const 8))
            (call $say (i32.load (i32.const 8)))
            (call $check (local.get $b) (i32.const 0)) (call $streamed (i32.const 8))
            (call $flush (local.get $b) (i32.const 0)) (call $streamed (i32.const 4))"
                .to_owned(),
        ]
        .concat(),
    );
    let expected = numbers(&[0, 0, 0, 0, 0, 0, 0, 0])
        + "[ledelfile] "
        + &numbers(&[CLOSED, 0, 0, 1, 0, 2, 0, 0]);
    everywhere(
        &script,
        ReadWrite,
        InstancePolicy::Fresh,
        1,
        |place, _, room, seen| {
            assert_eq!(seen, expected, "{place}");
            assert_eq!(room.read("new"), "filedeililefile", "{place}");
        },
    );
}

#[test]
fn what_is_open_is_read_written_measured_and_told_apart() {
    let script = Script::new(
        &[
            open(2, CREATES, BOTH, "$a"),
            "(call $write (local.get $a) (i32.const 1024) (i32.const 4) (i64.const 2) (i32.const 0))
            (call $ended (i32.const 8)) (call $say (i32.load (i32.const 8)))
            (call $read (local.get $a) (i64.const 100) (i64.const 1) (i32.const 0))
            (call $ended (i32.const 4))
            (call $tell (i32.load (i32.const 4)) (i32.load (i32.const 8))) (call $say (i32.load8_u (i32.const 12)))
            (call $read (local.get $a) (i64.const 100) (i64.const 6) (i32.const 0))
            (call $say (i32.load (i32.const 8))) (call $say (i32.load8_u (i32.const 12)))
            ;; Nothing was asked for, and there is more.
            (call $read (local.get $a) (i64.const 0) (i64.const 2) (i32.const 0))
            (call $say (i32.load (i32.const 8))) (call $say (i32.load8_u (i32.const 12)))
            (call $read (local.get $a) (i64.const 1) (i64.const -1) (i32.const 0)) (call $ended (i32.const 4))
            (call $stat (local.get $a) (i32.const 0)) (call $ended (i32.const 8))
            (call $say (i32.load8_u (i32.const 8))) (call $say (i32.load (i32.const 16)))
            (call $say (i32.load (i32.const 24)))
            (call $metadata-hash (local.get $a) (i32.const 0)) (call $ended (i32.const 8))
            (i64.store (i32.const 600) (i64.load (i32.const 8)))
            (i64.store (i32.const 608) (i64.load (i32.const 16)))
            (call $metadata-hash-at (call $home) (i32.const 0) (call $name (i32.const 2)) (i32.const 3) (i32.const 0))
            (call $ended (i32.const 8))
            (call $say (i64.eq (i64.load (i32.const 600)) (i64.load (i32.const 8))))
            (call $say (i64.eq (i64.load (i32.const 608)) (i64.load (i32.const 16))))
            (call $set-size (local.get $a) (i64.const 3) (i32.const 0)) (call $ended (i32.const 1))
            ;; It is another one now that was the same file before.
            (call $metadata-hash (local.get $a) (i32.const 0))
            (call $say (i64.eq (i64.load (i32.const 600)) (i64.load (i32.const 8))))
            (call $say (i64.eq (i64.load (i32.const 608)) (i64.load (i32.const 16))))
            (call $advise (local.get $a) (i64.const 0) (i64.const 0) (i32.const 3) (i32.const 0))
            (call $ended (i32.const 1))
            (call $sync-data (local.get $a) (i32.const 0)) (call $ended (i32.const 1))
            (call $get-flags (local.get $a) (i32.const 0)) (call $say (i32.load8_u (i32.const 1)))
            (call $get-type (local.get $a) (i32.const 0)) (call $say (i32.load8_u (i32.const 1)))
            (call $get-flags (call $home) (i32.const 0)) (call $say (i32.load8_u (i32.const 1)))
            (call $get-type (call $home) (i32.const 0)) (call $say (i32.load8_u (i32.const 1)))
            ;; The first time is left, the other one is 1.5 seconds after 1970.
            (call $set-times (local.get $a) (i32.const 0) (i64.const 0) (i32.const 0)
                (i32.const 2) (i64.const 1) (i32.const 500000000) (i32.const 0))
            (call $ended (i32.const 1))
            (call $set-times (local.get $a) (i32.const 0) (i64.const 0) (i32.const 0)
                (i32.const 2) (i64.const 1) (i32.const 1073741823) (i32.const 0))
            (call $ended (i32.const 1))
            ;; The same by its path, and only the first.
            (call $set-times-at (call $home) (i32.const 0) (call $name (i32.const 2)) (i32.const 3)
                (i32.const 2) (i64.const 2) (i32.const 1) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0))
            (call $ended (i32.const 1))
            (call $set-times-at (call $home) (i32.const 0) (call $name (i32.const 3)) (i32.const 4)
                (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 0))
            (call $ended (i32.const 1))"
                .to_owned(),
            open(2, 0, READS, "$b"),
            open(0, 0, READS, "$c"),
            "(call $say (call $is-same-object (local.get $a) (local.get $b)))
            (call $say (call $is-same-object (local.get $a) (local.get $c)))
            ;; What was opened to be read is not written to, and a folder is neither.
            (call $write (local.get $b) (i32.const 1024) (i32.const 4) (i64.const 0) (i32.const 0))
            (call $ended (i32.const 8))
            (call $write-via-stream (local.get $b) (i64.const 0) (i32.const 0)) (call $ended (i32.const 4))
            (call $append-via-stream (local.get $b) (i32.const 0)) (call $ended (i32.const 4))
            (call $read-via-stream (call $home) (i64.const 0) (i32.const 0)) (call $ended (i32.const 4))
            (call $advise (call $home) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0))
            (call $ended (i32.const 1))
            (call $read-directory (local.get $b) (i32.const 0)) (call $ended (i32.const 4))"
                .to_owned(),
            open(3, 0, READS, "$c"),
        ]
        .concat(),
    );
    let expected = numbers(&[0, 0, 4, 0])
        + "[\0file] "
        + &numbers(&[0, 0, 1, 0, 0, INVALID])
        // A file with one name and six bytes.
        + &numbers(&[0, 6, 1, 6])
        + &numbers(&[0, 0, 1, 1, 0, 1, 0])
        + &numbers(&[0, 0, BOTH, 6, READS | MUTATES, 3])
        + &numbers(&[0, INVALID, 0, NO_ENTRY, 0, 0, 1, 0])
        + &numbers(&[BAD_DESCRIPTOR; 5])
        + &numbers(&[NOT_DIRECTORY, NO_ENTRY]);
    everywhere(
        &script,
        ReadWrite,
        InstancePolicy::Fresh,
        1,
        |place, _, room, seen| {
            assert_eq!(seen, expected, "{place}");
            let stat = fs::metadata(room.path("new")).unwrap();
            assert_eq!((stat.mtime(), stat.mtime_nsec()), (1, 500_000_000));
            assert_eq!((stat.atime(), stat.atime_nsec()), (2, 1));
            assert_eq!(room.read("new"), "\0\0f", "{place}");
        },
    );
}

#[test]
fn a_folder_that_is_read_only_says_so_and_gives_none_that_is_not() {
    let script = Script::new(
        &[
            "(call $get-flags (call $home) (i32.const 0)) (call $say (i32.load8_u (i32.const 1)))".to_owned(),
            open(1, 0, READS, "$a"),
            "(call $get-flags (local.get $a) (i32.const 0)) (call $say (i32.load8_u (i32.const 1)))".to_owned(),
            open(1, 0, READS | MUTATES, "$b"),
            open(0, 0, BOTH, "$b"),
            open(2, CREATES, READS, "$b"),
            open(0, 0, READS, "$b"),
            "(call $set-size (local.get $b) (i64.const 0) (i32.const 0)) (call $ended (i32.const 1))
            (call $set-times (local.get $b) (i32.const 1) (i64.const 0) (i32.const 0)
                (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0))
            (call $ended (i32.const 1))
            (call $set-times-at (call $home) (i32.const 0) (call $name (i32.const 0)) (i32.const 4)
                (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 0))
            (call $ended (i32.const 1))
            (call $write-via-stream (local.get $b) (i64.const 0) (i32.const 0)) (call $ended (i32.const 4))"
                .to_owned(),
        ]
        .concat(),
    );
    let expected = numbers(&[READS, 0, READS])
        + &numbers(&[READ_ONLY; 3])
        + &numbers(&[0, READ_ONLY, READ_ONLY, READ_ONLY, BAD_DESCRIPTOR]);
    everywhere(
        &script,
        ReadOnly,
        InstancePolicy::Fresh,
        1,
        |place, _, room, seen| {
            assert_eq!(seen, expected, "{place}");
            assert_eq!(room.read("file"), "content", "{place}");
        },
    );
}

#[test]
fn a_stream_that_failed_is_closed_and_tells_with_what_it_failed() {
    let script = Script::new(
        &[
            open(0, 0, BOTH, "$a"),
            // No file is so long.
            stream("write", "$a", Some(u64::MAX), "$b"),
            stream("read", "$a", Some(u64::MAX), "$c"),
            "(call $writes (local.get $b) (i32.const 4))
            (call $writes (local.get $b) (i32.const 4))
            (call $check (local.get $b) (i32.const 0)) (call $streamed (i32.const 8))
            (call $flush (local.get $b) (i32.const 0)) (call $streamed (i32.const 4))
            (call $reads (local.get $c))
            (call $reads (local.get $c))
            (call $skip (local.get $c) (i64.const 1) (i32.const 0)) (call $streamed (i32.const 8))
            (call $splice (local.get $b) (local.get $c) (i64.const 1) (i32.const 0)) (call $streamed (i32.const 8))"
                .to_owned(),
        ]
        .concat(),
    );
    let expected = numbers(&[0, 0, 0, INVALID, CLOSED, CLOSED, CLOSED])
        + &numbers(&[INVALID, CLOSED, CLOSED, CLOSED]);
    everywhere(
        &script,
        ReadWrite,
        InstancePolicy::Fresh,
        1,
        |place, _, _, seen| {
            assert_eq!(seen, expected, "{place}");
        },
    );
}

#[test]
fn what_lies_in_a_folder_is_listed_and_a_name_that_is_no_text_is_an_error_of_its_own() {
    let script = Script::new(
        "(call $open-at (call $home) (i32.const 1) (i32.const 1032) (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 0))
        (local.set $a (i32.load (i32.const 4)))
        (call $read-directory (local.get $a) (i32.const 0))
        (local.set $b (i32.load (i32.const 4)))
        ;; Another one begins anew, and what it is of may be dropped.
        (call $read-directory (local.get $a) (i32.const 0))
        (local.set $c (i32.load (i32.const 4)))
        (call $next (local.get $c) (i32.const 0))
        (call $drop (local.get $a))
        (block $done (loop $more
            (call $next (local.get $b) (i32.const 0))
            (if (i32.load8_u (i32.const 0)) (then (call $ended (i32.const 4)) (br $more)))
            (br_if $done (i32.eqz (i32.load8_u (i32.const 4))))
            (call $say (i32.load8_u (i32.const 8)))
            (call $tell (i32.load (i32.const 12)) (i32.load (i32.const 16)))
            (br $more)))
        (call $next (local.get $b) (i32.const 0))
        (if (i32.load8_u (i32.const 4)) (then unreachable))
        (call $drop-entries (local.get $b))
        (call $next (local.get $c) (i32.const 0))
        (if (i32.eqz (i32.load8_u (i32.const 4))) (then unreachable))",
    );
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let room = Room::new();
        let mut expected: Vec<String> = (0..200)
            .map(|number| {
                let name = format!("a file with the number {number:03}");
                fs::write(room.path("deep").join(&name), "").unwrap();
                format!("06 [{name}")
            })
            .collect();
        fs::create_dir(room.path("deep/folder")).unwrap();
        symlink("nowhere", room.path("deep/link")).unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"\xff");
        fs::write(room.path("deep").join(odd), "").unwrap();
        let pool = builder.dir(room.folder(ReadOnly)).build().unwrap();
        let seen = reply(&pool, Job::new(""));
        let odd = numbers(&[ILLEGAL_BYTES]);
        assert_eq!(said(&seen).matches(&odd).count(), 1, "{place}");
        let rest = said(&seen).replace(&odd, "");
        let mut names: Vec<_> = rest.split_terminator("] ").map(str::to_owned).collect();
        names.sort();
        expected.extend(["03 [folder".to_owned(), "05 [link".to_owned()]);
        expected.sort();
        assert_eq!(names, expected, "{place}");
    }
}

#[test]
fn a_job_has_so_much_open_and_all_of_it_is_closed_at_its_end() {
    let script = Script::new(
        "(local.set $n (i32.const 0))
        (block $done (loop $next
            (call $open-at (call $home) (i32.const 1) (i32.const 1024) (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 0))
            (br_if $done (i32.load8_u (i32.const 0)))
            (local.set $a (i32.load (i32.const 4)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br $next)))
        (call $ended (i32.const 4))
        (call $say (i32.sub (local.get $n) (i32.const 100)))
        ;; Streams take no more of them, and are bounded too.
        (local.set $n (i32.const 0))
        (block $done (loop $next
            (call $read-via-stream (local.get $a) (i64.const 0) (i32.const 0))
            (br_if $done (i32.load8_u (i32.const 0)))
            (local.set $b (i32.load (i32.const 4)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br $next)))
        (call $ended (i32.const 4))
        (call $say (i32.sub (local.get $n) (i32.const 200)))
        (call $read-directory (call $home) (i32.const 0)) (call $ended (i32.const 4))
        (call $drop-in (local.get $b))
        (call $read-directory (call $home) (i32.const 0)) (call $ended (i32.const 4))
        ;; A file that streams hold is open still.
        (call $drop (local.get $a))
        (call $open (i32.const 0) (i32.const 1))",
    );
    let expected = numbers(&[TOO_MANY, 28, TOO_MANY, 56, TOO_MANY, 0, TOO_MANY]);
    for instance in InstancePolicy::ALL {
        everywhere(&script, ReadOnly, instance, 4, |place, job, _, seen| {
            assert_eq!(seen, expected, "{place}, {instance:?}, job {job}");
        });
    }
}

#[test]
fn no_descriptor_of_the_host_is_lost_to_the_jobs_of_a_component_in_a_thread() {
    let script =
        Script::new(&[open(0, 0, READS, "$a"), stream("read", "$a", Some(0), "$b")].concat());
    let room = Room::new();
    let pool = builder(&script.guest(), Isolation::Thread)
        .dir(room.folder(ReadOnly))
        .instance(InstancePolicy::Reused)
        .workers(1)
        .build()
        .unwrap();
    let open_ones = || {
        let own = fs::read_dir("/proc/self/fd").unwrap();
        let to_room = |target: PathBuf| target.starts_with(room.0.path());
        own.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .filter(|target| to_room(target.clone()))
            .count()
    };
    let granted = open_ones();
    for _ in 0..20 {
        assert_eq!(said(&reply(&pool, Job::new("x"))), numbers(&[0, 0]));
    }
    assert_eq!(open_ones(), granted);
}

#[test]
fn a_handle_that_was_kept_from_an_earlier_job_leads_to_nothing_and_the_folders_is_kept() {
    let script = Script::new(
        &[
            "(if (i32.gt_u (global.get $jobs) (i32.const 1)) (then
                (call $stat (global.get $one) (i32.const 0)) (call $ended (i32.const 8))
                (call $reads (global.get $two))
                (call $check (global.get $three) (i32.const 0)) (call $streamed (i32.const 8))
                (call $writes (global.get $three) (i32.const 4))
                (call $read-via-stream (global.get $one) (i64.const 0) (i32.const 0)) (call $ended (i32.const 4))))"
                .to_owned(),
            open(0, 0, BOTH, "$a"),
            stream("read", "$a", Some(0), "$b"),
            stream("write", "$a", Some(0), "$c"),
            "(if (i32.gt_u (global.get $jobs) (i32.const 1)) (then
                ;; That is still so when there is another one, and to drop it closes none.
                (call $stat (global.get $one) (i32.const 0)) (call $ended (i32.const 8))
                (call $say (call $is-same-object (global.get $one) (local.get $a)))
                (call $drop-in (global.get $two))
                (call $drop-out (global.get $three))
                (call $drop (global.get $one))))
            (global.set $one (local.get $a))
            (global.set $two (local.get $b))
            (global.set $three (local.get $c))
            (call $reads (local.get $b))"
                .to_owned(),
        ]
        .concat(),
    );
    let first = numbers(&[0; 3]) + "[content] ";
    let later = numbers(&[BAD_DESCRIPTOR, CLOSED, CLOSED, CLOSED, BAD_DESCRIPTOR])
        + &numbers(&[0, 0, 0, BAD_DESCRIPTOR, 0])
        + "[content] ";
    everywhere(
        &script,
        ReadWrite,
        InstancePolicy::Fresh,
        3,
        |place, job, _, seen| {
            assert_eq!(seen, first, "{place}, job {job}");
        },
    );
    everywhere(
        &script,
        ReadWrite,
        InstancePolicy::Reused,
        3,
        |place, job, room, seen| {
            let expected = if job == 0 { &first } else { &later };
            assert_eq!(seen, *expected, "{place}, job {job}");
            assert_eq!(room.read("file"), "content", "{place}, job {job}");
        },
    );
}

#[test]
fn a_handle_that_is_not_there_or_of_another_kind_ends_the_job() {
    let opened = || open(0, 0, BOTH, "$a");
    let bodies = [
        // None of these was ever given.
        "(call $stat (i32.const 99) (i32.const 0))".to_owned(),
        "(call $stat (i32.const -1) (i32.const 0))".to_owned(),
        "(call $drop (i32.const 7))".to_owned(),
        "(call $pull (i32.const 1) (i64.const 1) (i32.const 0))".to_owned(),
        // It was dropped.
        opened() + "(call $drop (local.get $a)) (call $stat (local.get $a) (i32.const 0))",
        opened() + "(call $drop (local.get $a)) (call $drop (local.get $a))",
        // A file is no stream, a stream no file, and one to be read is none to be written to.
        opened() + "(call $pull (local.get $a) (i64.const 1) (i32.const 0))",
        opened() + "(call $next (local.get $a) (i32.const 0))",
        opened() + "(call $drop-in (local.get $a))",
        opened()
            + &stream("read", "$a", Some(0), "$b")
            + "(call $stat (local.get $b) (i32.const 0))",
        opened()
            + &stream("read", "$a", Some(0), "$b")
            + "(call $writes (local.get $b) (i32.const 1))",
        opened() + &stream("write", "$a", Some(0), "$b") + "(call $reads (local.get $b))",
        opened() + "(drop (call $is-same-object (local.get $a) (i32.const 99)))",
        // More at once than `check-write` permits.
        opened()
            + &stream("write", "$a", Some(0), "$b")
            + "(call $writes (local.get $b) (i32.const 65537))",
    ];
    for body in bodies {
        let guest = Script::new(&body).guest();
        for (place, builder) in places(&guest) {
            let room = Room::new();
            let pool = builder
                .dir(room.folder(ReadWrite))
                .instance(InstancePolicy::Reused)
                .build()
                .unwrap();
            for _ in 0..2 {
                let outcome = reply(&pool, Job::new("x")).outcome;
                assert!(
                    matches!(outcome, Outcome::InterfaceViolation(_)),
                    "{place}: {body}: {outcome:?}"
                );
            }
            assert_eq!(room.read("file"), "content", "{place}: {body}");
        }
    }
}

#[test]
fn without_a_grant_a_worker_has_no_folder_and_no_handle_can_be_made_up() {
    let none =
        Script::new("(call $get-directories (i32.const 0)) (call $say (i32.load (i32.const 4)))");
    let made_up = Script::new("(call $stat (i32.const 0) (i32.const 0))");
    for (place, builder) in places(&none.guest()) {
        let pool = builder.build().unwrap();
        assert_eq!(said(&reply(&pool, Job::new("x"))), "00 ", "{place}");
    }
    for (place, builder) in places(&made_up.guest()) {
        let outcome = reply(&builder.build().unwrap(), Job::new("x")).outcome;
        assert!(
            matches!(outcome, Outcome::InterfaceViolation(_)),
            "{place}: {outcome:?}"
        );
    }
}

#[test]
fn what_is_written_to_files_does_not_count_towards_the_output_and_one_call_moves_a_mebibyte() {
    let write = |length: u32| {
        format!(
            "(call $write (local.get $a) (i32.const 0) (i32.const {length}) (i64.const 0) (i32.const 0))
            (call $ended (i32.const 8)) (call $say (i32.shr_u (i32.load (i32.const 8)) (i32.const 16)))"
        )
    };
    let whole = Script::new(&[open(2, CREATES, BOTH, "$a"), write(1 << 20)].concat());
    let more = Script::new(
        &[
            open(2, CREATES, BOTH, "$a"),
            write(3 << 20),
            "(call $read (local.get $a) (i64.const -1) (i64.const 0) (i32.const 0)) (call $ended (i32.const 4))
            (call $say (i32.shr_u (i32.load (i32.const 8)) (i32.const 16))) (call $say (i32.load8_u (i32.const 12)))"
                .to_owned(),
        ]
        .concat(),
    );
    let small = Limits {
        output: ByteSize::from_kib(1),
        ..limits(Some(MS(60_000)))
    };
    for (place, builder) in places(&whole.guest()) {
        let room = Room::new();
        let pool = builder
            .limits(small)
            .dir(room.folder(ReadWrite))
            .build()
            .unwrap();
        assert_eq!(
            said(&reply(&pool, Job::new("x"))),
            numbers(&[0, 0, 16]),
            "{place}"
        );
        assert_eq!(
            fs::metadata(room.path("new")).unwrap().len(),
            1 << 20,
            "{place}"
        );
    }
    everywhere(
        &more,
        ReadWrite,
        InstancePolicy::Fresh,
        1,
        |place, _, room, seen| {
            assert_eq!(seen, numbers(&[0, 0, 16, 0, 16, 0]), "{place}");
            assert_eq!(
                fs::metadata(room.path("new")).unwrap().len(),
                1 << 20,
                "{place}"
            );
        },
    );
}

#[test]
fn what_a_worker_answers_is_held_to_its_limit_with_a_folder_too() {
    // 128 KiB, which a call may hand over where files are written to.
    let script = Script::new("(global.set $end (i32.const 262144))");
    for (place, builder) in places(&script.guest()) {
        let small = Limits {
            output: ByteSize::from_kib(64),
            ..Limits::default()
        };
        let room = Room::new();
        let pool = builder
            .limits(small)
            .dir(room.folder(ReadOnly))
            .build()
            .unwrap();
        let outcome = reply(&pool, Job::new("x")).outcome;
        assert_eq!(outcome, Outcome::OutputLimit, "{place}");
    }
}

#[test]
fn a_slow_writer_is_ended_at_its_deadline_and_what_it_wrote_stays() {
    let script = Script::new(
        &[
            open(2, CREATES, BOTH, "$a"),
            stream("write", "$a", Some(0), "$b"),
            "(call $writes (local.get $b) (i32.const 4))
            (loop $forever
                (call $write (local.get $a) (i32.const 0) (i32.const 1048576) (i64.const 4) (i32.const 0))
                (br $forever))"
                .to_owned(),
        ]
        .concat(),
    );
    for (place, builder) in places(&script.guest()) {
        let room = Room::new();
        let pool = builder
            .limits(limits(Some(MS(1000))))
            .dir(room.folder(ReadWrite))
            .build()
            .unwrap();
        assert_eq!(
            reply(&pool, Job::new("x")).outcome,
            Outcome::Deadline,
            "{place}"
        );
        let mut written = fs::read(room.path("new")).unwrap();
        written.truncate(4);
        assert_eq!(written, b"file", "{place}");
    }
}
