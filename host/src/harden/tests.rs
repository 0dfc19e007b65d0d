//! What a worker comes to that was granted folders, and that something got into which is no guest any more: native code
//! that makes whatever call it likes.
//!
//! Each deed is done in a process of its own, which is this very test program, hardened as a worker is.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags, Timestamps, linkat, mkdirat, openat2,
    renameat_with, symlinkat, unlinkat, utimensat,
};
use rustix::time::Timespec;

use super::*;
use crate::folder::Folder;
use crate::guest::Guest;
use crate::job::Limits;
use crate::link::protocol::Setup;
use crate::options::{Isolation, LinkKind, WaitPolicy};
use crate::runtime::{Demand, InstancePolicy, Metering, Settings, World};
use crate::sys::beneath;
use crate::sys::escape::Act;

/// A folder with one that may be read, one that may be written to, and a secret beside them.
struct Room {
    path: PathBuf,
    grants: Grants,
}

impl Room {
    fn new(path: &Path, reach: FolderAccess) -> Self {
        let folder = |name: &str, access| Folder::new(path.join(name), format!("/{name}"), access);
        let read = folder("read", FolderAccess::ReadOnly);
        let grants = match reach {
            FolderAccess::ReadOnly => Grants::open(&[read]),
            FolderAccess::ReadWrite => {
                Grants::open(&[read, folder("written", FolderAccess::ReadWrite)])
            }
        };
        Self {
            path: path.to_owned(),
            grants: grants.unwrap(),
        }
    }

    fn granted(&self, place: usize, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let folder = self.grants.as_slice()[place].handle();
        let mode = match flags.contains(OFlags::CREATE) {
            true => Mode::from_raw_mode(0o600),
            false => Mode::empty(),
        };
        Ok(beneath::open(folder, path.as_bytes(), flags, mode)?)
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Opens a file as whoever does not mind the folder.
fn open_anywhere(path: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
    let mode = match flags.contains(OFlags::CREATE) {
        true => Mode::from_raw_mode(0o600),
        false => Mode::empty(),
    };
    Ok(openat2(
        CWD,
        path.as_ref(),
        flags,
        mode,
        ResolveFlags::empty(),
    )?)
}

type Deed = (&'static str, fn(&Room) -> io::Result<()>);

/// What whoever may write in a folder can do.
const CHANGES: &[Deed] = &[
    ("makes a file in its folder", |room| {
        let made = room.granted(1, "new", OFlags::CREATE | OFlags::WRONLY)?;
        fs::File::from(made).write_all(b"new")
    }),
    ("makes a folder and removes it", |room| {
        let folder = room.grants.as_slice()[1].handle();
        mkdirat(folder, "made", Mode::from_raw_mode(0o700))?;
        Ok(unlinkat(folder, "made", AtFlags::REMOVEDIR)?)
    }),
    ("renames a file into another folder", |room| {
        let folder = room.grants.as_slice()[1].handle();
        Ok(renameat_with(
            folder,
            "file",
            folder,
            "deep/file",
            RenameFlags::empty(),
        )?)
    }),
];

const READS: &[Deed] = &[
    ("reads a file that was granted", |room| {
        let mut bytes = [0; 7];
        rustix::io::read(room.granted(0, "file", OFlags::RDONLY)?, &mut bytes)?;
        assert_eq!(&bytes, b"content");
        Ok(())
    }),
    ("lists a folder that was granted", |room| {
        let folder = room.granted(0, ".", OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut space = [std::mem::MaybeUninit::uninit(); 1024];
        let listed = rustix::fs::RawDir::new(folder.as_fd(), &mut space)
            .next()
            .is_some();
        assert!(listed);
        Ok(())
    }),
];

/// What leaks, and is told of in `ARCHITECTURE.md`: Landlock does not guard what may be known of a file without opening it.
const LEAKS: &[Deed] = &[("asks for the size of a file anywhere", |room| {
    let secret = open_anywhere(room.beside("secret"), OFlags::PATH)?;
    assert_eq!(rustix::fs::fstat(secret)?.st_size, 6);
    Ok(())
})];

const FORBIDDEN: &[Deed] = &[
    ("opens a file of the system", |_| {
        open_anywhere("/etc/passwd", OFlags::RDONLY).map(drop)
    }),
    ("reads what lies beside", |room| {
        open_anywhere(room.beside("secret"), OFlags::RDONLY).map(drop)
    }),
    ("reads what it only may know of", |room| {
        let secret = open_anywhere(room.beside("secret"), OFlags::PATH)?;
        rustix::io::read(secret, &mut [0; 6])
            .map(drop)
            .map_err(io::Error::from)
    }),
    ("lists the root", |_| {
        open_anywhere("/", OFlags::RDONLY | OFlags::DIRECTORY).map(drop)
    }),
    ("opens its own memory", |_| {
        open_anywhere("/proc/self/mem", OFlags::RDWR).map(drop)
    }),
    ("makes a file beside", |room| {
        open_anywhere(room.beside("new"), OFlags::CREATE | OFlags::WRONLY).map(drop)
    }),
    ("makes a file that has no name", |_| {
        let nameless = OFlags::from_bits_retain(libc::O_TMPFILE.cast_unsigned()) | OFlags::RDWR;
        openat2(
            CWD,
            "/tmp",
            nameless,
            Mode::from_raw_mode(0o600),
            ResolveFlags::empty(),
        )?;
        Ok(())
    }),
    ("makes a folder beside", |room| {
        Ok(mkdirat(
            CWD,
            room.beside("made"),
            Mode::from_raw_mode(0o700),
        )?)
    }),
    ("makes a link beside", |room| {
        Ok(symlinkat("secret", CWD, room.beside("link"))?)
    }),
    ("removes what lies beside", |room| {
        Ok(unlinkat(CWD, room.beside("secret"), AtFlags::empty())?)
    }),
    ("moves a file out", |room| {
        let (from, to) = (room.beside("written/file"), room.beside("stolen"));
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::empty())?)
    }),
    ("moves a file in", |room| {
        let (from, to) = (room.beside("secret"), room.beside("written/secret"));
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::empty())?)
    }),
    ("links what lies beside", |room| {
        let (from, to) = (room.beside("secret"), room.beside("written/secret"));
        Ok(linkat(CWD, from, CWD, to, AtFlags::empty())?)
    }),
    (
        "links what it may only read to where it may write",
        |room| {
            let (from, to) = (room.beside("read/file"), room.beside("written/mine"));
            Ok(linkat(CWD, from, CWD, to, AtFlags::empty())?)
        },
    ),
    ("exchanges two files", |room| {
        let (from, to) = (room.beside("written/file"), room.beside("written/deep"));
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)?)
    }),
    ("writes to what it may only read", |room| {
        room.granted(0, "file", OFlags::WRONLY).map(drop)
    }),
    ("empties what it may only read", |room| {
        room.granted(0, "file", OFlags::RDONLY | OFlags::TRUNC)
            .map(drop)
    }),
    ("makes a file where it may only read", |room| {
        room.granted(0, "new", OFlags::CREATE | OFlags::WRONLY)
            .map(drop)
    }),
    ("removes what it may only read", |room| {
        Ok(unlinkat(CWD, room.beside("read/file"), AtFlags::empty())?)
    }),
    ("sets the times of a file by its path", |room| {
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: zero,
            last_modification: zero,
        };
        Ok(utimensat(
            CWD,
            room.beside("secret"),
            &times,
            AtFlags::empty(),
        )?)
    }),
];

fn all() -> impl Iterator<Item = &'static Deed> {
    [READS, CHANGES, LEAKS, FORBIDDEN].into_iter().flatten()
}

const ROOM: &str = "COFFERDAM_TEST_ROOM";
const REACH: &str = "COFFERDAM_TEST_REACH";
const DEED: &str = "COFFERDAM_TEST_DEED";

const CAME_THROUGH: i32 = 70;
const DENIED: i32 = 71;
const NOT_HARDENED: i32 = 72;

/// Whether a deed comes through in a worker with folders.
fn comes_through(deed: &str, reach: FolderAccess) -> bool {
    let room = tempfile::tempdir().unwrap();
    for folder in ["read", "written/deep"] {
        fs::create_dir_all(room.path().join(folder)).unwrap();
    }
    for file in ["read/file", "written/file"] {
        fs::write(room.path().join(file), "content").unwrap();
    }
    fs::write(room.path().join("secret"), "secret").unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "harden::tests::a_worker",
        ])
        .env(ROOM, room.path())
        .env(
            REACH,
            if reach == FolderAccess::ReadWrite {
                "write"
            } else {
                "read"
            },
        )
        .env(DEED, deed)
        .output()
        .unwrap();
    let secret = fs::read_to_string(room.path().join("secret"));
    assert_eq!(secret.unwrap(), "secret", "{deed}");
    assert_eq!(
        fs::read(room.path().join("read/file")).unwrap(),
        b"content",
        "{deed}"
    );
    match (child.status.code(), child.status.signal()) {
        (Some(CAME_THROUGH), _) => true,
        (Some(DENIED), _) | (_, Some(libc::SIGSYS)) => false,
        _ => panic!("{deed}: {child:?}"),
    }
}

#[test]
#[ignore = "it is the process in which the other tests have something done"]
fn a_worker() {
    let (Some(path), Ok(reach), Ok(deed)) = (
        std::env::var_os(ROOM),
        std::env::var(REACH),
        std::env::var(DEED),
    ) else {
        return;
    };
    let reach = match reach.as_str() {
        "write" => FolderAccess::ReadWrite,
        _ => FolderAccess::ReadOnly,
    };
    let room = Room::new(Path::new(&path), reach);
    let act = Act::ALL.into_iter().find(|act| act.title() == deed);
    let host = rustix::process::getppid().unwrap().as_raw_nonzero().get();
    let limits = Limits::default();
    let demand = Demand::of(&Guest::embedded("echo").unwrap(), Isolation::Process, 1);
    let setup = Setup {
        role: Role::Worker,
        fingerprint: String::new(),
        settings: Settings::new(&limits, Metering::Unmetered, demand),
        limits,
        instance: InstancePolicy::Fresh,
        world: World::default(),
        drill: None,
        region: None,
        folders: room.grants.places(),
        link: LinkKind::Pipe,
        wait: WaitPolicy::Park,
        crowd: 1,
        hardening: Hardening::Required,
        legibility: Legibility::Closed,
    };
    let strays = crate::sys::descriptors::close_from(100);
    let mut enforcement = enter(&setup, &room.grants, &strays, 1);
    confine(&setup, &mut enforcement);
    if !enforcement.is_as_required() {
        std::process::exit(NOT_HARDENED);
    }
    let done = match act {
        Some(act) => act.attempt(host.cast_unsigned()),
        None => all().find(|(name, _)| *name == deed).expect("a deed").1(&room),
    };
    std::process::exit(match done {
        Ok(()) => CAME_THROUGH,
        Err(_) => DENIED,
    });
}

fn through<'d>(deeds: impl Iterator<Item = &'d str>, reach: FolderAccess) -> Vec<&'d str> {
    deeds.filter(|deed| comes_through(deed, reach)).collect()
}

fn names(deeds: &[Deed]) -> Vec<&'static str> {
    deeds.iter().map(|(name, _)| *name).collect()
}

#[test]
fn a_folder_that_may_be_written_to_is_all_that_native_code_reaches() {
    let granted = [READS, CHANGES, LEAKS].concat();
    let deeds = all().map(|(name, _)| *name);
    assert_eq!(through(deeds, FolderAccess::ReadWrite), names(&granted));
}

#[test]
fn a_folder_that_is_read_only_is_that_for_native_code_too() {
    // The others speak of a folder that is not there.
    let deeds = [READS, LEAKS, FORBIDDEN]
        .into_iter()
        .flatten()
        .map(|(name, _)| *name);
    let granted = [READS, LEAKS].concat();
    assert_eq!(through(deeds, FolderAccess::ReadOnly), names(&granted));
}

#[test]
fn no_deed_is_called_as_an_act_is() {
    let acts: Vec<_> = Act::ALL.into_iter().map(Act::title).collect();
    assert!(all().all(|(name, _)| !acts.contains(name)));
}

#[test]
fn every_act_that_a_worker_is_denied_it_is_denied_with_a_folder_too() {
    let acts = Act::ALL.into_iter().map(Act::title);
    assert_eq!(through(acts, FolderAccess::ReadWrite), Vec::<&str>::new());
}
