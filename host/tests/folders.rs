//! Folders that are granted, in every isolation, start method and link: what a guest may do there, and that it comes no
//! further.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cofferdam::{
    BuildError, ByteSize, Entry, Folder, FolderAccess, FolderError, Guest, GuestSource, Hardening,
    InstancePolicy, Isolation, Job, Layer, Outcome, PoolBuilder, Region, RegionAccess, Reply,
    Standing,
};
use tempfile::TempDir;

use common::everywhere::places as all_places;
use common::{COFFERDAM, MS, builder, command, embedded, limits, reply, run};

use FolderAccess::{ReadOnly, ReadWrite};

/// Where a worker lives and how it comes to be. Processes are hardened, and would not start if any layer did not hold.
fn places(guest: &Guest) -> Vec<(String, PoolBuilder)> {
    let hardened =
        |(place, builder): (String, PoolBuilder)| (place, builder.hardening(Hardening::Required));
    all_places(guest).into_iter().map(hardened).collect()
}

/// What a script hands to a call.
#[derive(Clone, Copy)]
enum Arg<'a> {
    I(i32),
    L(i64),
    /// Pointer and length of a text.
    Text(&'a str),
    /// What a call left in this cell.
    Cell(u32),
    /// Where that cell is.
    At(u32),
}

use Arg::{At, Cell, I, L, Text};

/// The types of the calls, as `everything` in `kinds.rs` writes them.
const CALLS: &str = "fd_advise illi fd_allocate ill fd_close i fd_datasync i fd_fdstat_get ii fd_fdstat_set_flags ii
    fd_fdstat_set_rights ill fd_filestat_get ii fd_filestat_set_size il fd_filestat_set_times illi fd_pread iiili
    fd_prestat_get ii fd_prestat_dir_name iii fd_pwrite iiili fd_read iiii fd_readdir iiili fd_renumber ii fd_seek ilii
    fd_sync i fd_tell ii fd_write iiii path_create_directory iii path_filestat_get iiiii
    path_filestat_set_times iiiilli path_link iiiiiii path_open iiiiillii path_readlink iiiiii
    path_remove_directory iii path_rename iiiiii path_symlink iiiii path_unlink_file iii poll_oneoff iiii";

/// The numbers of errors.
const ACCES: i32 = 2;
const BADF: i32 = 8;
const EXIST: i32 = 20;
const FBIG: i32 = 22;
const INVAL: i32 = 28;
const ISDIR: i32 = 31;
const LOOP: i32 = 32;
const MFILE: i32 = 33;
const NAMETOOLONG: i32 = 37;
const NOENT: i32 = 44;
const NOTDIR: i32 = 54;
const NOTEMPTY: i32 = 55;
const NOTSUP: i32 = 58;
const PERM: i32 = 63;
const ROFS: i32 = 69;
const SPIPE: i32 = 70;

const READ: i64 = 1 << 1 | 1 << 14;
const WRITE: i64 = 1 << 6 | 1 << 8 | 1 << 22;

const CREATE: i32 = 1;
const DIRECTORY: i32 = 1 << 1;
const EXCLUSIVE: i32 = 1 << 2;
const TRUNCATE: i32 = 1 << 3;

/// The first folder that is granted.
const ROOT: i32 = 3;

/// Where cells lie, eight bytes each, and a room for what is read.
const CELLS: u32 = 1024;
const ROOM: u32 = 16 << 10;

/// The text of a command that makes one call after the other, and says of each with which number it ended, in two digits;
/// and what the script wants said in between.
struct Script {
    edition: &'static str,
    data: Vec<u8>,
    body: String,
}

/// Where texts lie.
const TEXTS: u32 = 40 << 10;

impl Script {
    fn new() -> Self {
        Self::of("wasi_snapshot_preview1")
    }

    fn of(edition: &'static str) -> Self {
        Self {
            edition,
            data: Vec::new(),
            body: String::new(),
        }
    }

    fn expression(&mut self, name: &str, args: &[Arg<'_>]) -> String {
        let mut text = format!("(call ${name}");
        for arg in args {
            match arg {
                I(number) => write!(text, " (i32.const {number})"),
                L(number) => write!(text, " (i64.const {number})"),
                Text(bytes) => {
                    let at = TEXTS + u32::try_from(self.data.len()).unwrap();
                    self.data.extend_from_slice(bytes.as_bytes());
                    write!(text, " (i32.const {at}) (i32.const {})", bytes.len())
                }
                Cell(cell) => write!(text, " (i32.load (i32.const {}))", CELLS + 8 * cell),
                At(cell) => write!(text, " (i32.const {})", CELLS + 8 * cell),
            }
            .unwrap();
        }
        text + ")"
    }

    fn call(mut self, name: &str, args: &[Arg<'_>]) -> Self {
        let call = self.expression(name, args);
        self.plain(&format!("(call $say {call})"))
    }

    /// Instructions as they are.
    fn plain(mut self, text: &str) -> Self {
        self.body += text;
        self.body += "\n";
        self
    }

    /// Opens a path of the first folder, and puts the descriptor into a cell.
    fn open(self, path: &str, how: i32, rights: i64, cell: u32) -> Self {
        self.open_with(I(ROOT), path, how, rights, 0, cell)
    }

    fn open_with(
        self,
        from: Arg<'_>,
        path: &str,
        how: i32,
        rights: i64,
        flags: i32,
        cell: u32,
    ) -> Self {
        let args = [
            from,
            I(1),
            Text(path),
            I(how),
            L(rights),
            L(-1),
            I(flags),
            At(cell),
        ];
        self.call("path_open", &args)
    }

    fn list_of(self, pointer: u32, length: u32) -> Self {
        self.plain(&format!(
            "(i32.store (i32.const 0) (i32.const {pointer})) (i32.store (i32.const 4) (i32.const {length}))"
        ))
    }

    fn write(mut self, fd: Arg<'_>, text: &str) -> Self {
        let at = TEXTS + u32::try_from(self.data.len()).unwrap();
        self.data.extend_from_slice(text.as_bytes());
        self.list_of(at, u32::try_from(text.len()).unwrap())
            .call("fd_write", &[fd, I(0), I(1), I(8)])
    }

    /// Reads up to 100 bytes, and says them in brackets.
    fn read(self, fd: Arg<'_>) -> Self {
        self.list_of(ROOM, 100)
            .call("fd_read", &[fd, I(0), I(1), I(8)])
            .tell(&format!("(i32.const {ROOM})"), "(i32.load (i32.const 8))")
    }

    /// Says bytes of the memory in brackets.
    fn tell(self, at: &str, length: &str) -> Self {
        self.plain(&format!("(call $tell {at} {length})"))
    }

    /// Says a number of 64 bits in a cell, which has to be small.
    fn number(self, cell: u32) -> Self {
        self.plain(&format!(
            "(call $say (i32.load (i32.const {})))",
            CELLS + 8 * cell
        ))
    }

    fn text(&self) -> String {
        self.text_with(r#"(func (export "_start")"#, "(call $flush)")
    }

    fn text_with(&self, head: &str, tail: &str) -> String {
        let words: Vec<&str> = CALLS.split_whitespace().collect();
        let imports: String = words
            .chunks_exact(2)
            .map(|pair| {
                let types: String = pair[1]
                    .chars()
                    .map(|c| if c == 'i' { " i32" } else { " i64" })
                    .collect();
                let (edition, name) = (self.edition, pair[0]);
                format!(
                    r#"(import "{edition}" "{name}" (func ${name} (param{types}) (result i32)))"#
                )
            })
            .collect();
        let data: String = self
            .data
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        format!(
            r#"(module {imports} (memory (export "memory") 3)
            (data (i32.const {TEXTS}) "{data}")
            ;; What is said lies from 131072 on.
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
            (func $flush
                (i32.store (i32.const 0) (i32.const 131072))
                (i32.store (i32.const 4) (i32.sub (global.get $end) (i32.const 131072)))
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (global.set $end (i32.const 131072)))
            {head} {body} {tail}))"#,
            body = self.body
        )
    }

    fn guest(&self) -> Guest {
        Guest::from_bytes("a script", self.text().as_bytes()).unwrap()
    }
}

/// A folder of the host with something beside it that nobody was granted.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir_all(room.path().join("granted/deep")).unwrap();
        fs::write(room.path().join("secret"), "a secret").unwrap();
        Self(room)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("granted").join(name)
    }

    fn with(self, name: &str, content: &str) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    fn folder(&self, access: FolderAccess) -> Folder {
        Folder::new(self.path(""), "/data", access)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names in a folder, in order.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn numbers(numbers: &[i32]) -> String {
    numbers
        .iter()
        .map(|number| format!("{number:02} "))
        .collect()
}

#[track_caller]
fn said(reply: &Reply) -> &str {
    assert_eq!(reply.outcome, Outcome::Output);
    std::str::from_utf8(&reply.output).unwrap()
}

/// Runs a script everywhere, each time in a new room.
fn everywhere(
    script: &Script,
    access: FolderAccess,
    room: impl Fn() -> Room,
    mut then: impl FnMut(&str, &Room, &str),
) {
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let room = room();
        let pool = builder.dir(room.folder(access)).build().unwrap();
        let reply = reply(&pool, Job::new(""));
        then(&place, &room, said(&reply));
    }
}

#[test]
fn a_folder_is_told_of_by_its_path_and_what_it_is() {
    let script = Script::new()
        .call("fd_prestat_get", &[I(ROOT), At(0)])
        .number(0)
        .plain(&format!("(call $say (i32.load (i32.const {})))", CELLS + 4))
        .call(
            "fd_prestat_dir_name",
            &[I(ROOT), I(ROOM.cast_signed()), I(4)],
        )
        .call(
            "fd_prestat_dir_name",
            &[I(ROOT), I(ROOM.cast_signed()), I(5)],
        )
        .tell(&format!("(i32.const {ROOM})"), "(i32.const 5)")
        .call("fd_prestat_get", &[I(ROOT + 1), At(0)])
        .call("fd_prestat_get", &[I(1), At(0)])
        .call("fd_fdstat_get", &[I(ROOT), At(0)])
        .plain(&format!("(call $say (i32.load8_u (i32.const {CELLS})))"))
        .call("fd_filestat_get", &[I(ROOT), At(0)])
        .plain(&format!(
            "(call $say (i32.load8_u (i32.const {})))",
            CELLS + 16
        ));
    for access in [ReadOnly, ReadWrite] {
        everywhere(&script, access, Room::new, |place, _, seen| {
            let expected = numbers(&[0, 0, 5, NAMETOOLONG, 0])
                + "[/data] "
                + &numbers(&[BADF, BADF, 0, 3, 0, 3]);
            assert_eq!(seen, expected, "{place}, {access:?}");
        });
    }
}

#[test]
fn a_file_is_made_written_read_and_measured_in_both_editions() {
    for (edition, [start, current, end], size) in [
        ("wasi_snapshot_preview1", [0, 1, 2], 32),
        ("wasi_unstable", [2, 0, 1], 24),
    ] {
        let seek = |script: Script, by: i64, from: i32| {
            script
                .call("fd_seek", &[Cell(0), L(by), I(from), At(1)])
                .number(1)
        };
        let mut script = Script::of(edition)
            .open("deep/new", CREATE | EXCLUSIVE, READ | WRITE, 0)
            .write(Cell(0), "one two three")
            .call("fd_tell", &[Cell(0), At(1)])
            .number(1);
        script = seek(script, 4, start).read(Cell(0));
        script = seek(script, -5, end).read(Cell(0));
        script = seek(script, 0, current)
            .call("fd_seek", &[Cell(0), L(-1), I(start), At(1)])
            .call("fd_seek", &[Cell(0), L(0), I(3), At(1)])
            .call("fd_filestat_get", &[Cell(0), At(10)])
            .number(10 + size / 8)
            .call(
                "path_filestat_get",
                &[I(ROOT), I(1), Text("deep/new"), At(10)],
            )
            .number(10 + size / 8)
            .plain(&format!(
                "(call $say (i32.load8_u (i32.const {})))",
                CELLS + 80 + 16
            ))
            .call("fd_filestat_set_size", &[Cell(0), L(3)])
            .list_of(ROOM, 100)
            .call("fd_pread", &[Cell(0), I(0), I(1), L(1), I(8)])
            .tell(&format!("(i32.const {ROOM})"), "(i32.load (i32.const 8))")
            .list_of(TEXTS, 4)
            .call("fd_pwrite", &[Cell(0), I(0), I(1), L(2), I(8)])
            .call("fd_allocate", &[Cell(0), L(0), L(20)])
            .call("fd_advise", &[Cell(0), L(0), L(0), I(2)])
            .call("fd_advise", &[Cell(0), L(0), L(0), I(6)])
            .call("fd_sync", &[Cell(0)])
            .call("fd_datasync", &[Cell(0)])
            .call("fd_sync", &[I(ROOT)])
            .call(
                "fd_filestat_set_times",
                &[Cell(0), L(0), L(1_500_000_000), I(4)],
            )
            .call("fd_close", &[Cell(0)])
            .call("fd_close", &[Cell(0)])
            .call(
                "path_filestat_set_times",
                &[
                    I(ROOT),
                    I(1),
                    Text("deep/new"),
                    L(2_000_000_001),
                    L(0),
                    I(1),
                ],
            );
        everywhere(&script, ReadWrite, Room::new, |place, room, seen| {
            let expected = numbers(&[0, 0, 0, 13, 0, 4, 0])
                + "[two three] "
                + &numbers(&[0, 8, 0])
                + "[three] "
                + &numbers(&[0, 13, INVAL, INVAL, 0, 13, 0, 13, 4, 0, 0])
                + "[ne] "
                + &numbers(&[0, 0, 0, INVAL, 0, 0, 0, 0, 0, BADF, 0]);
            assert_eq!(seen, expected, "{place}, {edition}");
            let stat = fs::metadata(room.path("deep/new")).unwrap();
            assert_eq!((stat.mtime(), stat.mtime_nsec()), (1, 500_000_000));
            assert_eq!((stat.atime(), stat.atime_nsec()), (2, 1));
            let content = fs::read(room.path("deep/new")).unwrap();
            // The texts of a script begin with its first path.
            assert_eq!(content[..6], *b"ondeep");
            assert_eq!(content[6..], [0; 14]);
        });
    }
}

#[test]
fn how_a_file_is_opened_decides_what_may_be_done_with_it() {
    let append = 1;
    let script = Script::new()
        .open("file", 0, READ, 0)
        .write(Cell(0), "no")
        .call("fd_filestat_set_size", &[Cell(0), L(0)])
        .open("file", 0, WRITE, 1)
        .read(Cell(1))
        .open("file", CREATE | EXCLUSIVE, WRITE, 2)
        .open("none", 0, READ, 2)
        .open("file", DIRECTORY, READ, 2)
        .open("deep", 0, READ | WRITE, 2)
        .open("deep", DIRECTORY, READ | WRITE, 2)
        .read(Cell(2))
        .call("fd_seek", &[Cell(2), L(0), I(0), At(9)])
        .call("path_create_directory", &[Cell(0), Text("new")])
        .open_with(I(ROOT), "file", 0, WRITE, append, 3)
        .write(Cell(3), " more")
        .call("fd_fdstat_get", &[Cell(3), At(9)])
        .plain(&format!(
            "(call $say (i32.load16_u (i32.const {})))",
            CELLS + 72 + 2
        ))
        // From now on it does not append, and writes where it is.
        .call("fd_fdstat_set_flags", &[Cell(3), I(0)])
        .call("fd_seek", &[Cell(3), L(0), I(0), At(9)])
        .write(Cell(3), "C")
        .call("fd_fdstat_set_flags", &[Cell(3), I(16)])
        .call("fd_fdstat_set_rights", &[Cell(3), L(0), L(0)])
        .read(Cell(0))
        .open("file", TRUNCATE, WRITE, 4)
        .call("fd_renumber", &[Cell(4), Cell(0)])
        .write(Cell(4), "gone")
        .write(Cell(0), "new")
        .call("fd_renumber", &[Cell(0), I(1)])
        .call("fd_renumber", &[I(1), Cell(0)])
        .call("fd_renumber", &[I(99), Cell(0)])
        .call("fd_seek", &[I(0), L(0), I(0), At(9)])
        .open_with(I(ROOT), "file", 0, READ, 32, 5)
        .open_with(I(1), "file", 0, READ, 0, 5)
        .open_with(I(99), "file", 0, READ, 0, 5);
    let room = || Room::new().with("file", "content");
    everywhere(&script, ReadWrite, room, |place, room, seen| {
        let expected = numbers(&[0, BADF, BADF, 0, BADF])
            + "[] "
            + &numbers(&[EXIST, NOENT, NOTDIR, ISDIR, 0, BADF])
            + "[] "
            + &numbers(&[BADF, NOTDIR, 0, 0, 0, 1, 0, 0, 0, INVAL, NOTSUP, 0])
            + "[Content more] "
            + &numbers(&[
                0, 0, BADF, 0, INVAL, INVAL, BADF, SPIPE, INVAL, NOTDIR, BADF,
            ]);
        assert_eq!(seen, expected, "{place}");
        assert_eq!(room.read("file"), "new", "{place}");
    });
}

#[test]
fn what_lies_in_a_folder_is_listed_piece_by_piece() {
    // Room for one entry and a half of another: who is told so much as he has room for asks again.
    let list = |room: u32| {
        Script::new()
            .open("deep", DIRECTORY, READ, 0)
            .plain(&format!(
                "(loop $next
                    (if (call $fd_readdir (call $fd) (i32.const {ROOM}) (i32.const {room})
                        (i64.load (i32.const 900)) (i32.const 8)) (then unreachable))
                    (i32.store (i32.const 12) (i32.const 0))
                    (block $done (loop $entry
                        (local.set $left (i32.sub (i32.load (i32.const 8)) (i32.load (i32.const 12))))
                        (br_if $done (i32.lt_u (local.get $left) (i32.const 24)))
                        (local.set $at (i32.add (i32.const {ROOM}) (i32.load (i32.const 12))))
                        (local.set $size (i32.add (i32.const 24) (i32.load offset=16 (local.get $at))))
                        (br_if $done (i32.lt_u (local.get $left) (local.get $size)))
                        (call $say (i32.load8_u offset=20 (local.get $at)))
                        (call $tell (i32.add (local.get $at) (i32.const 24)) (i32.load offset=16 (local.get $at)))
                        (i64.store (i32.const 900) (i64.load (local.get $at)))
                        (i32.store (i32.const 12) (i32.add (i32.load (i32.const 12)) (local.get $size)))
                        (br $entry)))
                    (br_if $next (i32.eq (i32.load (i32.const 8)) (i32.const {room}))))"
            ))
    };
    let room = || {
        let room = Room::new();
        for name in 0..100 {
            fs::write(room.path(&format!("deep/a file number {name:03}")), "").unwrap();
        }
        fs::create_dir(room.path("deep/folder")).unwrap();
        symlink("nowhere", room.path("deep/link")).unwrap();
        room
    };
    for (space, access) in [(60, ReadOnly), (10_000, ReadWrite)] {
        let mut script = list(space);
        script.body = format!(
            "(local $left i32) (local $at i32) (local $size i32) {}",
            script.body
        );
        let text = script.text().replace(
            "(func $flush",
            &format!("(func $fd (result i32) (i32.load (i32.const {CELLS}))) (func $flush"),
        );
        let guest = Guest::from_bytes("a lister", text.as_bytes()).unwrap();
        for (place, builder) in places(&guest) {
            let room = room();
            let pool = builder.dir(room.folder(access)).build().unwrap();
            let reply = reply(&pool, Job::new(""));
            let seen = said(&reply).strip_prefix("00 ").unwrap();
            let mut names: Vec<_> = seen.split_inclusive("] ").map(str::to_owned).collect();
            names.sort();
            let mut expected: Vec<_> = (0..100)
                .map(|name| format!("04 [a file number {name:03}] "))
                .collect();
            expected
                .extend(["03 [.] ", "03 [..] ", "03 [folder] ", "07 [link] "].map(String::from));
            expected.sort();
            assert_eq!(names, expected, "{place}, {space}");
        }
    }
}

#[test]
fn folders_files_and_links_are_made_renamed_and_removed() {
    let at = |path| [I(ROOT), Text(path)];
    let both = |old, new| [I(ROOT), Text(old), I(ROOT), Text(new)];
    let script = Script::new()
        .call("path_create_directory", &at("made"))
        .call("path_create_directory", &at("made"))
        .call("path_create_directory", &at("slashed//"))
        .call("path_rename", &both("file", "made/file"))
        .call("path_rename", &both("none", "made/none"))
        .call("path_rename", &both("made/file/", "made/none"))
        .call("path_rename", &both("made/file", "made/none/"))
        .call(
            "path_link",
            &[I(ROOT), I(0), Text("made/file"), I(ROOT), Text("deep/hard")],
        )
        .call(
            "path_link",
            &[
                I(ROOT),
                I(1),
                Text("made/file"),
                I(ROOT),
                Text("deep/hard2"),
            ],
        )
        .call(
            "path_symlink",
            &[Text("../made/file"), I(ROOT), Text("deep/soft")],
        )
        .call(
            "path_readlink",
            &[
                I(ROOT),
                Text("deep/soft"),
                I(ROOM.cast_signed()),
                I(100),
                I(8),
            ],
        )
        .tell(&format!("(i32.const {ROOM})"), "(i32.load (i32.const 8))")
        .call(
            "path_readlink",
            &[
                I(ROOT),
                Text("deep/soft"),
                I(ROOM.cast_signed()),
                I(4),
                I(8),
            ],
        )
        .tell(&format!("(i32.const {ROOM})"), "(i32.load (i32.const 8))")
        .call(
            "path_readlink",
            &[
                I(ROOT),
                Text("deep/hard"),
                I(ROOM.cast_signed()),
                I(4),
                I(8),
            ],
        )
        .open("deep/soft", 0, READ, 0)
        .read(Cell(0))
        // Not to be followed.
        .call(
            "path_open",
            &[
                I(ROOT),
                I(0),
                Text("deep/soft"),
                I(0),
                L(READ),
                L(0),
                I(0),
                At(1),
            ],
        )
        .call(
            "path_filestat_get",
            &[I(ROOT), I(0), Text("deep/soft"), At(10)],
        )
        .plain(&format!(
            "(call $say (i32.load8_u (i32.const {})))",
            CELLS + 80 + 16
        ))
        .call(
            "path_filestat_set_times",
            &[I(ROOT), I(0), Text("deep/soft"), L(0), L(0), I(2)],
        )
        .call("path_remove_directory", &at("made"))
        .call("path_unlink_file", &at("made"))
        .call("path_unlink_file", &at("made/file/"))
        .call("path_unlink_file", &at("made/file"))
        .call("path_remove_directory", &at("made/"))
        .call("path_remove_directory", &at("deep/hard"))
        .call("path_unlink_file", &at("none"));
    let room = || Room::new().with("file", "content");
    everywhere(&script, ReadWrite, room, |place, room, seen| {
        let expected = numbers(&[0, EXIST, 0, 0, NOENT, NOTDIR, NOTDIR, 0, INVAL, 0, 0])
            + "[../made/file] "
            + &numbers(&[0])
            + "[../m] "
            + &numbers(&[INVAL, 0, 0])
            + "[content] "
            + &numbers(&[LOOP, 0, 7, LOOP])
            + &numbers(&[NOTEMPTY, ISDIR, NOTDIR, 0, 0, NOTDIR, NOENT]);
        assert_eq!(seen, expected, "{place}");
        assert_eq!(room.names(""), ["deep", "slashed"], "{place}");
        assert_eq!(room.names("deep"), ["hard", "soft"], "{place}");
        assert_eq!(room.read("deep/hard"), "content");
    });
}

#[test]
fn what_is_read_only_refuses_every_change_and_is_read() {
    let script = Script::new()
        .open("file", 0, READ, 0)
        .read(Cell(0))
        .open("file", 0, WRITE, 1)
        .open("file", 0, READ | WRITE, 1)
        .open("file", TRUNCATE, READ, 1)
        .open("new", CREATE, READ, 1)
        .write(Cell(0), "x")
        .call("fd_filestat_set_size", &[Cell(0), L(0)])
        .call("fd_allocate", &[Cell(0), L(0), L(100)])
        .call("fd_filestat_set_times", &[Cell(0), L(0), L(0), I(1)])
        .call("fd_filestat_set_times", &[I(ROOT), L(0), L(0), I(1)])
        .call(
            "path_filestat_set_times",
            &[I(ROOT), I(1), Text("file"), L(0), L(0), I(1)],
        )
        .call("path_create_directory", &[I(ROOT), Text("new")])
        .call("path_remove_directory", &[I(ROOT), Text("deep")])
        .call("path_unlink_file", &[I(ROOT), Text("file")])
        .call(
            "path_rename",
            &[I(ROOT), Text("file"), I(ROOT), Text("new")],
        )
        .call(
            "path_link",
            &[I(ROOT), I(0), Text("file"), I(ROOT), Text("new")],
        )
        .call("path_symlink", &[Text("file"), I(ROOT), Text("new")])
        // A folder that was opened from it is no other.
        .open("deep", DIRECTORY, READ, 2)
        .call("path_create_directory", &[Cell(2), Text("new")])
        .call("fd_sync", &[Cell(0)])
        // Nor does a link make it one that may be written to: the second folder may be.
        .call(
            "path_link",
            &[I(ROOT), I(0), Text("file"), I(ROOT + 1), Text("new")],
        )
        .call(
            "path_rename",
            &[I(ROOT), Text("file"), I(ROOT + 1), Text("new")],
        )
        .call(
            "path_rename",
            &[I(ROOT + 1), Text("mine"), I(ROOT), Text("new")],
        )
        .call("path_create_directory", &[I(ROOT + 1), Text("made")]);
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let (read, written) = (
            Room::new().with("file", "content"),
            Room::new().with("mine", ""),
        );
        let before = fs::metadata(read.path("file")).unwrap().mtime();
        let other = Folder::new(written.path(""), "/other", ReadWrite);
        let pool = builder
            .dir(read.folder(ReadOnly))
            .dir(other)
            .build()
            .unwrap();
        let expected = numbers(&[0, 0])
            + "[content] "
            + &numbers(&[ROFS; 4])
            + &numbers(&[BADF])
            + &numbers(&[ROFS; 11])
            + &numbers(&[0, ROFS, 0, ROFS, ROFS, ROFS, 0]);
        assert_eq!(said(&reply(&pool, Job::new(""))), expected, "{place}");
        assert_eq!(read.names(""), ["deep", "file"]);
        assert_eq!(read.names("deep"), Vec::<String>::new());
        assert_eq!(read.read("file"), "content");
        assert_eq!(fs::metadata(read.path("file")).unwrap().mtime(), before);
        assert_eq!(written.names(""), ["deep", "made", "mine"]);
    }
}

#[test]
fn no_path_and_no_link_leads_out_of_a_folder() {
    let mut script = Script::new();
    // Each leads to what is there.
    let ways_out = [
        "../secret",
        "deep/../../secret",
        "/etc/passwd",
        "climbs",
        "absolute",
        "up/secret",
        "deep/chain",
    ];
    for path in ways_out {
        script = script
            .open(path, 0, READ, 0)
            .call("path_filestat_get", &[I(ROOT), I(1), Text(path), At(10)]);
    }
    let outside = ["../new", "deep/../../new", "/new", "up/new"];
    for path in outside {
        script = script
            .open(path, CREATE, READ | WRITE, 0)
            .call("path_create_directory", &[I(ROOT), Text(path)])
            .call("path_symlink", &[Text("file"), I(ROOT), Text(path)])
            .call("path_rename", &[I(ROOT), Text("file"), I(ROOT), Text(path)])
            .call(
                "path_link",
                &[I(ROOT), I(0), Text("file"), I(ROOT), Text(path)],
            );
    }
    for path in ["../secret", "up/secret", "/etc/passwd"] {
        script = script
            .call("path_unlink_file", &[I(ROOT), Text(path)])
            .call(
                "path_rename",
                &[I(ROOT), Text(path), I(ROOT), Text("stolen")],
            )
            .call(
                "path_link",
                &[I(ROOT), I(0), Text(path), I(ROOT), Text("stolen")],
            )
            .call(
                "path_readlink",
                &[I(ROOT), Text(path), I(ROOM.cast_signed()), I(9), I(8)],
            );
    }
    script = script
        .call("path_remove_directory", &[I(ROOT), Text("../granted")])
        // Whoever else follows it would come to it.
        .call("path_symlink", &[Text("/etc/passwd"), I(ROOT), Text("new")])
        // It is a file again after a link to one outside was made a name of.
        .open("climbs", CREATE | TRUNCATE, READ | WRITE, 0)
        // A folder in it is no way out either.
        .open("deep", DIRECTORY, READ, 1)
        .open_with(Cell(1), "../file", 0, READ, 0, 2)
        .open_with(Cell(1), "..", DIRECTORY, READ, 0, 2)
        .call(
            "path_link",
            &[I(ROOT), I(0), Text(".."), I(ROOT), Text("stolen")],
        );
    let room = || {
        let room = Room::new().with("file", "content");
        symlink("../secret", room.path("climbs")).unwrap();
        symlink(room.0.path().join("secret"), room.path("absolute")).unwrap();
        symlink("..", room.path("up")).unwrap();
        symlink("../climbs", room.path("deep/chain")).unwrap();
        room
    };
    everywhere(&script, ReadWrite, room, |place, room, seen| {
        let refused = 2 * ways_out.len() + 5 * outside.len() + 4 * 3 + 3;
        let expected = numbers(&vec![PERM; refused]) + &numbers(&[0, PERM, PERM, PERM]);
        assert_eq!(seen, expected, "{place}");
        assert_eq!(room.names(""), ["absolute", "climbs", "deep", "file", "up"]);
        assert_eq!(
            fs::read_to_string(room.0.path().join("secret")).unwrap(),
            "a secret"
        );
        assert_eq!(fs::read_dir(room.0.path()).unwrap().count(), 2);
    });
}

#[test]
fn nothing_of_proc_is_opened_and_its_links_lead_nowhere() {
    // Were it opened, a guest could write into the memory of the process that runs it.
    let script = |root: &str| {
        ["self/mem", "self/maps", "self/fd", "sys/kernel/hostname"]
            .iter()
            .fold(Script::new(), |script, path| {
                let path = format!("{root}{path}");
                script
                    .open(&path, 0, READ, 0)
                    .open(&path, 0, READ | WRITE, 0)
            })
            .open(&format!("{root}self/root/etc/passwd"), 0, READ, 0)
            .open(&format!("{root}self/cwd"), DIRECTORY, READ, 0)
            .open(&format!("{root}self/exe"), 0, READ, 0)
    };
    for (folder, root) in [("/proc", ""), ("/", "proc/")] {
        let guest = script(root).guest();
        for (place, builder) in places(&guest) {
            let pool = builder
                .dir(Folder::new(folder, "/data", ReadWrite))
                .build()
                .unwrap();
            let reply = reply(&pool, Job::new(""));
            let seen: Vec<_> = said(&reply).split_whitespace().collect();
            // Some of them the system refuses first, by what it is or by who asks.
            let refused = ["02", "20", "31", "32", "44", "58", "63"];
            assert!(
                seen.iter().all(|number| refused.contains(number)),
                "{place}: {seen:?}"
            );
            assert_eq!(seen.len(), 11);
            assert!(seen.contains(&"58"), "{place}: {seen:?}");
        }
    }
}

#[test]
fn neither_a_pipe_nor_a_device_is_opened_and_none_of_them_makes_a_worker_wait() {
    let script = Script::new()
        .open("pipe", 0, READ, 0)
        .open("pipe", 0, WRITE, 0)
        .open("pipe", CREATE | TRUNCATE, READ | WRITE, 0)
        .open("to the pipe", 0, READ, 0)
        .open("socket", 0, READ, 0)
        .call(
            "path_filestat_set_times",
            &[I(ROOT), I(1), Text("pipe"), L(0), L(0), I(2)],
        )
        // What they are may be known.
        .call("path_filestat_get", &[I(ROOT), I(1), Text("pipe"), At(0)]);
    let room = || {
        let room = Room::new();
        let here = fs::File::open(room.path("")).unwrap();
        rustix::fs::mkfifoat(&here, "pipe", 0o666.into()).unwrap();
        symlink("pipe", room.path("to the pipe")).unwrap();
        std::os::unix::net::UnixListener::bind(room.path("socket")).unwrap();
        room
    };
    everywhere(&script, ReadWrite, room, |place, _, seen| {
        assert_eq!(
            seen,
            numbers(&[NOTSUP, NOTSUP, NOTSUP, NOTSUP, NOTSUP, NOTSUP, 0]),
            "{place}"
        );
    });
    let devices = Script::new()
        .open("null", 0, READ, 0)
        .open("zero", 0, READ | WRITE, 0);
    for (place, builder) in places(&devices.guest()) {
        let pool = builder
            .dir(Folder::new("/dev", "/data", ReadWrite))
            .build()
            .unwrap();
        assert_eq!(
            said(&reply(&pool, Job::new(""))),
            numbers(&[NOTSUP; 2]),
            "{place}"
        );
    }
}

#[test]
fn a_guest_that_is_granted_nothing_has_nothing() {
    let script = Script::new()
        .call("fd_prestat_get", &[I(ROOT), At(0)])
        .open(".", DIRECTORY, READ, 0)
        .open_with(I(0), "/etc/passwd", 0, READ, 0, 0)
        .call(
            "fd_readdir",
            &[I(ROOT), I(ROOM.cast_signed()), I(100), L(0), I(8)],
        )
        .call("path_create_directory", &[I(ROOT), Text("new")])
        .read(I(ROOT))
        .write(I(ROOT), "x")
        .call("fd_close", &[I(ROOT)])
        .call("fd_filestat_get", &[I(ROOT), At(10)])
        .call("fd_fdstat_get", &[I(ROOT), At(10)])
        .call("fd_renumber", &[I(ROOT), I(0)]);
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let pool = builder.build().unwrap();
        let expected = numbers(&[BADF; 6]) + "[] " + &numbers(&[BADF; 5]);
        assert_eq!(said(&reply(&pool, Job::new(""))), expected, "{place}");
    }
}

#[test]
fn pools_with_other_folders_find_their_own_and_only_those() {
    let script = Script::new()
        .open("mine", 0, READ, 0)
        .read(Cell(0))
        .open("theirs", 0, READ, 0);
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let (first, second) = (
            Room::new().with("mine", "first"),
            Room::new().with("mine", "second"),
        );
        let pools = [&first, &second]
            .map(|room| builder.clone().dir(room.folder(ReadOnly)).build().unwrap());
        for (pool, name) in pools.iter().zip(["first", "second"]) {
            let expected = numbers(&[0, 0]) + &format!("[{name}] ") + &numbers(&[NOENT]);
            assert_eq!(said(&reply(pool, Job::new(""))), expected, "{place}");
        }
    }
}

#[test]
fn as_many_folders_as_there_may_be_come_to_every_worker_in_their_order() {
    let mut script = Script::new();
    for folder in 0..16 {
        script = script
            .open_with(I(ROOT + folder), "name", 0, READ, 0, 0)
            .read(Cell(0));
    }
    let script = script.call("fd_prestat_get", &[I(ROOT + 16), At(0)]);
    let guest = script.guest();
    let names: Vec<String> = (0..16).map(|folder| format!("{folder:02}")).collect();
    let expected: String = names
        .iter()
        .map(|name| numbers(&[0, 0]) + "[" + name + "] ")
        .collect();
    let region = Region::new(ByteSize::from_kib(4), RegionAccess::ReadOnly).unwrap();
    for (place, mut builder) in places(&guest) {
        let rooms: Vec<Room> = names
            .iter()
            .map(|name| Room::new().with("name", name))
            .collect();
        for (room, name) in rooms.iter().zip(&names) {
            // As long as a path may be.
            let path = format!("{name}{}", "\"".repeat(510));
            builder = builder.dir(Folder::new(room.path(""), path, ReadWrite));
        }
        // Its descriptor comes before theirs.
        let pool = builder.region(&region).build().unwrap();
        let seen = reply(&pool, Job::new(""));
        assert_eq!(said(&seen), expected.clone() + &numbers(&[BADF]), "{place}");
    }
}

/// Opens a file as often as it may, and says how often that was and with what it ended.
fn opener() -> Script {
    let mut script = Script::new();
    let args = [
        I(ROOT),
        I(1),
        Text("file"),
        I(0),
        L(READ),
        L(0),
        I(0),
        At(0),
    ];
    let open = script.expression("path_open", &args);
    script
        .plain(&format!(
            "(local $error i32) (local $count i32)
            (block $done (loop $next
                (local.set $error {open})
                (br_if $done (local.get $error))
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (br $next)))
            (call $say (i32.sub (local.get $count) (i32.const 100)))
            (call $say (local.get $error))"
        ))
        // A number that is free again is used again.
        .call("fd_close", &[I(77)])
        .open("file", 0, READ, 1)
        .number(1)
}

#[test]
fn a_job_opens_so_many_files_and_all_of_them_are_closed_at_its_end() {
    let expected = numbers(&[28, MFILE, 0, 0, 77]);
    let command = opener().guest();
    let text = opener().text_with(
        r#"(func (export "open") (result i32)"#,
        "(call $flush) (local.get $count)",
    );
    // The same function again and again in one instance: what it opened is not its own any more.
    let entry = Entry::Function {
        name: "open".to_owned(),
    };
    let reused = Guest::load_with(&GuestSource::Text(text), Some(entry)).unwrap();
    for (guest, instance) in [
        (&command, InstancePolicy::Fresh),
        (&reused, InstancePolicy::Reused),
    ] {
        for (place, builder) in places(guest) {
            let room = Room::new().with("file", "");
            let pool = builder
                .dir(room.folder(ReadOnly))
                .instance(instance)
                .build()
                .unwrap();
            for job in 0..4 {
                let reply = reply(&pool, Job::new(""));
                // A function's output is its result; what it says goes to the log.
                match instance {
                    InstancePolicy::Fresh => {
                        assert_eq!(said(&reply), expected, "{place}, job {job}");
                    }
                    InstancePolicy::Reused => {
                        assert_eq!(reply.output, b"128", "{place}, job {job}");
                    }
                }
            }
        }
    }
}

/// The binary with a script, by a shell that lowers a limit before.
fn run_within(limit: &str, script: &Script, arguments: &[&str]) -> common::Ended {
    let like = command([""]);
    let mut shell = Command::new("sh");
    let envs = like.get_envs();
    shell
        .envs(envs.filter_map(|(key, value)| Some((key, value?))))
        .args([
            "-c",
            &format!(r#"{limit}; exec "$0" "$@""#),
            COFFERDAM,
            "run",
            "--workers",
            "1",
        ])
        .args(arguments)
        .args(["--wat", &script.text()]);
    common::Host::spawn(shell).end()
}

#[test]
fn no_descriptor_of_the_host_is_lost_to_jobs_in_threads() {
    let room = Room::new().with("file", "");
    let folder = format!("{}::/data:ro", room.path("").display());
    let arguments = ["--isolation", "thread", "--repeat", "20", "--dir", &folder];
    let ended = run_within("ulimit -n 250", &opener(), &arguments).exits_with(0);
    let line = numbers(&[28, MFILE, 0, 0, 77]);
    assert_eq!(
        ended.text().lines().collect::<Vec<_>>(),
        [line.as_str(); 20]
    );
}

#[test]
fn a_file_that_may_not_grow_so_large_is_an_error_and_no_end_of_the_worker() {
    let script = Script::new()
        .open("large", CREATE, WRITE, 0)
        .call("fd_seek", &[Cell(0), L(4 << 30), I(0), At(1)])
        .write(Cell(0), "x")
        .call("fd_filestat_set_size", &[Cell(0), L(4 << 30)]);
    for place in [
        &["--isolation", "thread"][..],
        &["--start", "exec", "--hardening", "required"],
        &["--start", "fork", "--hardening", "required"],
    ] {
        let room = Room::new();
        let folder = format!("{}::/data", room.path("").display());
        let arguments = [place, &["--dir", &folder]].concat();
        // In blocks of 512 bytes: 2 GiB, which is more than any memory of a link.
        let ended = run_within("ulimit -f 4194304", &script, &arguments).exits_with(0);
        assert_eq!(ended.text(), numbers(&[0, 0, FBIG, FBIG]), "{place:?}");
    }
}

#[test]
fn what_was_written_before_a_job_is_ended_stays() {
    let script = Script::new()
        .open("file", CREATE, WRITE, 0)
        .write(Cell(0), "half of")
        .plain("(loop $forever (br $forever))");
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let room = Room::new();
        let pool = builder
            .limits(limits(Some(MS(500))))
            .dir(room.folder(ReadWrite))
            .build()
            .unwrap();
        assert_eq!(
            reply(&pool, Job::new("")).outcome,
            Outcome::Deadline,
            "{place}"
        );
        assert_eq!(room.read("file"), "half of", "{place}");
    }
}

#[test]
fn a_module_whose_function_is_called_finds_folders_before_its_first_job() {
    // As constructors of the C library do it, which look for folders and open none.
    let script = Script::new().call("fd_prestat_get", &[I(ROOT), At(0)]);
    let look = |body: &str| {
        let text = script.text_with(
            r#"(func (export "_initialize")"#,
            &format!(
                r#"{body}) (func (export "found") (result i32) (i32.load8_u (i32.const 131073))"#
            ),
        );
        let entry = Entry::Function {
            name: "found".to_owned(),
        };
        Guest::load_with(&GuestSource::Text(text), Some(entry)).unwrap()
    };
    for (place, builder) in places(&look("")) {
        let pool = builder.dir(Room::new().folder(ReadOnly)).build().unwrap();
        assert_eq!(reply(&pool, Job::new("")).output, b"48", "{place}");
    }
    let early = look("(drop (call $path_unlink_file (i32.const 3) (i32.const 0) (i32.const 1)))");
    for (place, builder) in places(&early) {
        let pool = builder
            .clone()
            .dir(Room::new().folder(ReadWrite))
            .build()
            .unwrap();
        let outcome = reply(&pool, Job::new("")).outcome;
        assert!(
            matches!(outcome, Outcome::InterfaceViolation(_)),
            "{place}: {outcome:?}"
        );
        // Without a folder there is nothing that it could do.
        let pool = builder.build().unwrap();
        assert_eq!(
            reply(&pool, Job::new("")).outcome,
            Outcome::Output,
            "{place}"
        );
    }
}

#[test]
fn every_layer_holds_where_a_folder_is_granted() {
    let guest = Script::new().open("file", CREATE, WRITE, 0).guest();
    for (place, builder) in places(&guest).into_iter().skip(1) {
        let room = Room::new();
        let pool = builder.dir(room.folder(ReadWrite)).build().unwrap();
        assert_eq!(said(&reply(&pool, Job::new(""))), numbers(&[0]), "{place}");
        let held = pool.workers().remove(0).enforcement.unwrap();
        for layer in Layer::ALL {
            assert_eq!(held.standing(layer), Standing::Enforced, "{place}, {layer}");
        }
    }
}

#[test]
fn what_cannot_be_granted_is_told_before_a_worker_starts() {
    let room = Room::new().with("file", "");
    let script = Script::new();
    let build = |guest: &Guest, folder: Folder| {
        let builder = builder(guest, Isolation::Thread).dir(folder);
        match builder.build().map(drop).unwrap_err() {
            BuildError::Folder(error) => error,
            other => panic!("{other}"),
        }
    };
    let none = Folder::new(room.path("none"), "/data", ReadOnly);
    assert!(matches!(
        build(&script.guest(), none),
        FolderError::NotThere { .. }
    ));
    let error = build(&embedded("echo"), room.folder(ReadOnly));
    assert_eq!(
        error.to_string(),
        "--dir: @echo is a guest of interface 1, which knows no files: folders go with WASI"
    );
    let guest = ["--wat", &script.text()];
    let shown = |name: &str| room.path(name).display().to_string();
    for (folder, code, words) in [
        (
            shown("none"),
            127,
            "it is not there: make it first, or give another one",
        ),
        (format!("{}:/data", shown("")), 127, "two colons"),
        (
            shown("file"),
            2,
            "it is no folder: give the one that it lies in",
        ),
        (format!("{}::/data:RO", shown("")), 2, "nothing but `:ro`"),
        ("::/data".to_owned(), 2, "the host's path is empty"),
    ] {
        let arguments = ["run", "--dir", &folder, guest[0], guest[1]];
        let ended = run(arguments).exits_with(code).says(words);
        assert!(ended.stderr.contains("--dir"), "{}", ended.stderr);
    }
    let twice = format!("{}::/data", shown(""));
    run(["run", "--dir", &twice, "--dir", &twice, guest[0], guest[1]])
        .exits_with(2)
        .says("`/data` is given twice");
    run(["run", "--native", "--dir", &twice, "--", "true"])
        .exits_with(2)
        .says("--dir means something to guests");
    run(["run", "--dir", &twice, "--input", "x", "@echo"])
        .exits_with(2)
        .says("folders go with WASI");
}

#[test]
fn the_command_line_grants_folders_and_inspect_tells_of_them() {
    let room = Room::new().with("file", "content");
    let script = Script::new()
        .open("file", 0, READ, 0)
        .read(Cell(0))
        .open("new", CREATE, WRITE, 0)
        .call(
            "fd_prestat_dir_name",
            &[I(ROOT), I(ROOM.cast_signed()), I(7)],
        )
        .tell(&format!("(i32.const {ROOM})"), "(i32.const 7)");
    let path = room.path("");
    let path = path.to_str().unwrap().trim_end_matches('/');
    for (folder, made) in [
        (format!("{path}::/folder:ro"), ROFS),
        (format!("{path}::/folder"), 0),
    ] {
        let ended = run(["run", "--dir", &folder, "--wat", &script.text()]).exits_with(0);
        let expected = numbers(&[0, 0]) + "[content] " + &numbers(&[made, 0]) + "[/folder] ";
        assert_eq!(ended.text(), expected);
    }
    // Without a path of the guest's it has the host's.
    let mut command = command(["run", "--dir", "granted:ro", "--wat", &script.text()]);
    command.current_dir(room.0.path());
    let ended = common::Host::spawn(command).end().exits_with(0);
    let same = numbers(&[0, 0]) + "[content] " + &numbers(&[ROFS, 0]) + "[granted] ";
    assert_eq!(ended.text(), same);
    let ended = run(["inspect", "--wat", &script.text()]).exits_with(0);
    assert!(ended.text().contains("folders (--dir)"), "{}", ended.text());
}

#[test]
fn a_manifest_grants_folders_from_where_it_lies_and_check_does_so_too() {
    let room = Room::new().with("file", "content");
    let script = Script::new()
        .open("file", 0, READ, 0)
        .read(Cell(0))
        .open("new", CREATE, WRITE, 0);
    fs::write(room.0.path().join("guest.wat"), script.text()).unwrap();
    let output = numbers(&[0, 0]) + "[content] " + &numbers(&[ROFS]);
    let case = format!("[[case]]\nname = \"reads\"\noutput = \"{output}\"\n");
    let manifest = |dirs: &str| {
        let text = format!("guest = \"guest.wat\"\n{dirs}{case}");
        fs::write(room.0.path().join("cofferdam.toml"), text).unwrap();
    };
    let check = |more: &[&str]| {
        let manifest = room.0.path().join("cofferdam.toml");
        let mut command = command(["check", "--calls", "3", "--random", "0", "--manifest"]);
        command.arg(manifest).args(more);
        common::Host::spawn(command).end()
    };
    manifest("dirs = [\"granted::/data:ro\"]\n");
    check(&[]).exits_with(0);
    manifest("");
    check(&[]).exits_with(100);
    check(&["--dir", &format!("{}::/data:ro", room.path("").display())]).exits_with(0);
    manifest("dirs = [\"granted::/data:RO\"]\n");
    check(&[])
        .exits_with(2)
        .says("dirs: --dir granted::/data:RO");
    manifest("dirs = [\"none::/data\"]\n");
    check(&[]).exits_with(127).says("it is not there");
}

/// What a toolchain makes of all this: a program over the standard library of Rust, which stands on the C library of
/// WASI.
const PROGRAM: &str = r#"
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

fn main() {
    let mut names: Vec<_> = fs::read_dir("/in").unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    println!("{names:?}");
    let text = fs::read_to_string("/in/sub/a.txt").unwrap();
    fs::create_dir_all("/out/x/y").unwrap();
    fs::write("/out/x/y/b.txt", text.to_uppercase()).unwrap();
    fs::copy("/out/x/y/b.txt", "/out/copy").unwrap();
    let mut log = OpenOptions::new().append(true).create(true).open("/out/log").unwrap();
    writeln!(log, "one").unwrap();
    writeln!(log, "two").unwrap();
    drop(log);
    let mut file = OpenOptions::new().read(true).write(true).open("/out/log").unwrap();
    file.seek(SeekFrom::End(-4)).unwrap();
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    file.set_len(4).unwrap();
    file.sync_all().unwrap();
    println!("{rest:?} {}", fs::metadata("/out/log").unwrap().len());
    fs::rename("/out/log", "/out/x/log").unwrap();
    fs::hard_link("/out/x/log", "/out/x/same").unwrap();
    println!("{:?}", fs::metadata("/out/x").unwrap().is_dir());
    fs::remove_file("/out/x/same").unwrap();
    println!("{:?}", fs::remove_dir("/out/x").unwrap_err().raw_os_error());
    fs::remove_dir_all("/out/x").unwrap();
    println!("{:?}", File::open("/out/none").unwrap_err().kind());
    println!("{:?}", fs::write("/in/new", "").unwrap_err().raw_os_error());
    println!("{:?}", File::open("/out/../../etc/passwd").is_err());
    println!("{:?}", File::open("/etc/passwd").is_err());
    let large = vec![7; 5 << 20];
    fs::write("/out/large", &large).unwrap();
    println!("{}", fs::read("/out/large").unwrap() == large);
}
"#;

#[test]
fn a_program_over_the_standard_library_works_with_files() {
    let workshop = tempfile::tempdir().unwrap();
    let source = workshop.path().join("program.rs");
    let module = workshop.path().join("program.wasm");
    fs::write(&source, PROGRAM).unwrap();
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "--target", "wasm32-wasip1", "-O", "-o"])
        .args([&module, &source])
        .output();
    match compiled {
        Ok(compiled) if compiled.status.success() => {}
        other => {
            // Without the target there is nothing to run; an error in the program is one of this test.
            let why = format!("{other:?}");
            assert!(!is_installed(), "{why}");
            skip("there is no target wasm32-wasip1 (rustup target add wasm32-wasip1)");
            return;
        }
    }
    let guest = Guest::load(&module.to_str().unwrap().parse().unwrap()).unwrap();
    let mut seen = Vec::new();
    for (place, builder) in places(&guest) {
        let (given, made) = (Room::new(), Room::new());
        fs::create_dir(given.path("sub")).unwrap();
        fs::write(given.path("sub/a.txt"), "a text").unwrap();
        let pool = builder
            .dir(Folder::new(given.path(""), "/in", ReadOnly))
            .dir(Folder::new(made.path(""), "/out", ReadWrite))
            .build()
            .unwrap();
        let reply = reply(&pool, Job::new(""));
        assert_eq!(
            said(&reply),
            "[\"deep\", \"sub\"]\n\"two\\n\" 4\ntrue\nSome(55)\nNotFound\nSome(69)\ntrue\ntrue\ntrue\n",
            "{place}"
        );
        assert_eq!(made.names(""), ["copy", "deep", "large"]);
        assert_eq!(made.read("copy"), "A TEXT");
        let mode = fs::metadata(made.path("copy"))
            .unwrap()
            .permissions()
            .mode();
        seen.push((place, mode, fs::metadata(made.path("large")).unwrap().len()));
    }
    let (_, mode, size) = seen[0].clone();
    assert_eq!(size, 5 << 20);
    assert!(
        seen.iter()
            .all(|(_, other, len)| (*other, *len) == (mode, size)),
        "{seen:?}"
    );
}

/// What only root may read, whom it does not belong to: a hardened process has none of root's powers.
#[test]
fn a_file_that_is_only_roots_to_read_a_hardened_worker_does_not_read() {
    if !rustix::process::geteuid().is_root() {
        skip("whoever is not root has no such powers in a thread either");
        return;
    }
    let script = Script::new().open("theirs", 0, READ, 0);
    for (place, builder) in places(&script.guest()) {
        let room = Room::new().with("theirs", "");
        let file = room.path("theirs");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&file, Some(12345), Some(12345)).unwrap();
        let pool = builder.dir(room.folder(ReadOnly)).build().unwrap();
        let expected = if place == "thread" { 0 } else { ACCES };
        assert_eq!(
            said(&reply(&pool, Job::new(""))),
            numbers(&[expected]),
            "{place}"
        );
    }
}

#[test]
fn whatever_numbers_it_is_given_it_stays_in_its_folder_and_in_its_memory() {
    let seed = std::env::var("COFFERDAM_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut chance = common::Numbers(seed);
    let calls: Vec<&str> = CALLS.split_whitespace().collect();
    let paths = [
        "file",
        "deep",
        "up",
        "climbs",
        "../secret",
        "deep/..",
        ".",
        "",
        "new",
        "/",
        "deep/new",
    ];
    // The last numbers lie at the end of the memory, and past it.
    let numbers = [
        0,
        1,
        2,
        3,
        4,
        5,
        16,
        100,
        1024,
        ROOM.cast_signed(),
        -1,
        i32::MIN,
        i32::MAX,
        196_600,
        196_608,
    ];
    let longs = [
        0,
        1,
        READ,
        WRITE,
        READ | WRITE,
        -1,
        5,
        1 << 40,
        i64::MAX,
        i64::MIN,
    ];
    let mut endings = [0; 2];
    for round in 0..60 {
        let mut script = Script::new()
            .open("file", 0, READ | WRITE, 0)
            .open("deep", DIRECTORY, READ, 1);
        for _ in 0..40 {
            let place = usize::try_from(chance.below(calls.len() as u64 / 2)).unwrap();
            let (name, types) = (calls[2 * place], calls[2 * place + 1].as_bytes());
            let mut pick = |count: usize| usize::try_from(chance.below(count as u64)).unwrap();
            let mut args = Vec::new();
            let mut at = 0;
            while at < types.len() {
                // Where two numbers may be a path, they often are.
                let may_be_a_path =
                    name.starts_with("path") && at > 0 && types[at..].starts_with(b"ii");
                if may_be_a_path && pick(3) > 0 {
                    args.push(Text(paths[pick(paths.len())]));
                    at += 2;
                    continue;
                }
                args.push(match types[at] {
                    // Most often there is something of this number.
                    b'i' if at == 0 && pick(4) > 0 => I(ROOT + i32::try_from(pick(3)).unwrap()),
                    b'i' => I(numbers[pick(numbers.len())]),
                    _ => L(longs[pick(longs.len())]),
                });
                at += 1;
            }
            // It would make the test wait for as long as it says.
            if name != "poll_oneoff" {
                let call = script.expression(name, &args);
                script = script.plain(&format!("(drop {call})"));
            }
        }
        let room = Room::new().with("file", "content");
        symlink("..", room.path("up")).unwrap();
        symlink("../secret", room.path("climbs")).unwrap();
        let access = [ReadOnly, ReadWrite][round % 2];
        let pool = builder(&script.guest(), Isolation::Thread)
            .dir(room.folder(access))
            .build()
            .unwrap();
        match reply(&pool, Job::new("")).outcome {
            Outcome::Output => endings[0] += 1,
            Outcome::InterfaceViolation(_) => endings[1] += 1,
            other => panic!("seed {seed}, round {round}: {other:?}"),
        }
        let outside = fs::read_dir(room.0.path()).unwrap();
        assert_eq!(outside.count(), 2, "seed {seed}, round {round}");
        let secret = fs::read_to_string(room.0.path().join("secret")).unwrap();
        assert_eq!(secret, "a secret", "seed {seed}, round {round}");
        if access == ReadOnly {
            assert_eq!(
                room.names(""),
                ["climbs", "deep", "file", "up"],
                "seed {seed}, round {round}"
            );
            assert_eq!(room.read("file"), "content", "seed {seed}, round {round}");
        }
    }
    assert!(endings.iter().all(|&count| count > 0), "{endings:?}");
}

/// Says that a test was left out, and why.
fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn is_installed() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    sysroot.is_ok_and(|root| Path::new(&root).join("lib/rustlib/wasm32-wasip1").is_dir())
}

#[test]
fn a_slow_writer_is_ended_at_its_deadline() {
    // It never stops, and each of its calls is short enough that the deadline is met in a thread too.
    let mut script = Script::new()
        .open("file", CREATE, WRITE, 0)
        .list_of(0, 196_608);
    let args = [Cell(0), I(0), I(1), L(0), I(8)];
    let write = script.expression("fd_pwrite", &args);
    let script = script.plain(&format!("(loop $forever (drop {write}) (br $forever))"));
    let guest = script.guest();
    for (place, builder) in places(&guest) {
        let room = Room::new();
        let pool = builder
            .limits(limits(Some(MS(300))))
            .dir(room.folder(ReadWrite))
            .build()
            .unwrap();
        assert_eq!(
            reply(&pool, Job::new("")).outcome,
            Outcome::Deadline,
            "{place}"
        );
    }
}
