//! Compiled guests on disk, so that a second run does not compile again.
//!
//! An entry is named by the guest's digest and the engine's fingerprint, and begins with the digest
//! of what follows. It is read whole and checked before a byte of it is used; a damaged, cut-off or
//! stale entry counts as absent and is written anew. Entries appear by `rename`, so a reader never
//! sees half of one, and two writers do no harm.
//!
//! Compiled code is native code: whoever can write the cache can run code in the host. The folder
//! is therefore made with mode 0700, and one that belongs to somebody else, or that others can
//! write, is not used.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::guest::Guest;

/// Begins every entry; its last digit is the version of this layout.
const MAGIC: &[u8; 8] = b"cofdam\0\x01";
const HEADER: usize = MAGIC.len() + 32;

/// Past so many bytes the entries that were used longest ago are removed: room for about a hundred
/// large guests, and no surprise on a small disk.
const MAX_BYTES: u64 = 512 << 20;

/// A folder of compiled guests, or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cache {
    folder: Option<PathBuf>,
}

/// Why the cache could not serve. Never fatal: the guest is compiled instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// The folder cannot be made, read or written.
    #[error("the cache folder {path} cannot be used: {error}", path = .path.display())]
    Folder {
        /// The folder or the entry.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The folder is not safe to take native code from.
    #[error("the cache folder {path} is not used: {why}", path = .path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// Who else could write it.
        why: &'static str,
    },
    /// An entry was cut off, changed, or written by another version.
    #[error("the cache entry {path} is damaged ({why}) and was made anew", path = .path.display())]
    Damaged {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Cache {
    /// The user's cache: `$COFFERDAM_CACHE_DIR`, else `$XDG_CACHE_HOME/cofferdam`, else
    /// `~/.cache/cofferdam`. Without any of these, none.
    #[must_use]
    pub fn of_user() -> Self {
        let var = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let folder = var("COFFERDAM_CACHE_DIR")
            .or_else(|| var("XDG_CACHE_HOME").map(|base| base.join("cofferdam")))
            .or_else(|| var("HOME").map(|home| home.join(".cache").join("cofferdam")));
        Self { folder }
    }

    /// A cache in this folder, which is made when the first entry is written.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
        }
    }

    /// No cache: every guest is compiled.
    #[must_use]
    pub fn off() -> Self {
        Self { folder: None }
    }

    pub(super) fn get(
        &self,
        guest: &Guest,
        fingerprint: &str,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = entry(folder, guest, fingerprint);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CacheError::Folder { path, error }),
        };
        check_owner(folder)?;
        let mut bytes = Vec::new();
        if let Err(error) = file.read_to_end(&mut bytes) {
            return Err(CacheError::Folder { path, error });
        }
        if let Err(why) = decode(&bytes) {
            return Err(CacheError::Damaged { path, why });
        }
        // The time of last use orders the entries when room is needed; it is worth no error.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(bytes.split_off(HEADER)))
    }

    pub(super) fn put(
        &self,
        guest: &Guest,
        fingerprint: &str,
        code: &[u8],
    ) -> Result<(), CacheError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let failed = |error| CacheError::Folder {
            path: folder.clone(),
            error,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        check_owner(folder)?;
        let path = entry(folder, guest, fingerprint);
        let temporary = path.with_extension(format!(
            "tmp-{}-{:x}",
            std::process::id(),
            fastrand::u64(..)
        ));
        let written = write_durably(&temporary, code).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&temporary);
            return Err(CacheError::Folder { path, error });
        }
        prune(folder, MAX_BYTES).map_err(failed)
    }
}

/// The code of an entry.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(entry: &[u8]) -> Result<&[u8], &'static str> {
    let (header, code) = entry.split_at_checked(HEADER).ok_or("cut off")?;
    let (magic, digest) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("another layout");
    }
    if Sha256::digest(code).as_slice() != digest {
        return Err("its digest does not match");
    }
    Ok(code)
}

fn entry(folder: &Path, guest: &Guest, fingerprint: &str) -> PathBuf {
    folder.join(format!("{}-{fingerprint}.cwasm", guest.sha256()))
}

/// What stands before the code in an entry.
pub(super) fn header(code: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (magic, digest) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    digest.copy_from_slice(&Sha256::digest(code));
    header
}

fn write_durably(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(&header(code))?;
    file.write_all(code)?;
    file.sync_all()
}

fn check_owner(folder: &Path) -> Result<(), CacheError> {
    let metadata = fs::metadata(folder).map_err(|error| CacheError::Folder {
        path: folder.to_owned(),
        error,
    })?;
    let why = if metadata.uid() != rustix::process::geteuid().as_raw() {
        "it belongs to another user"
    } else if metadata.mode() & 0o022 != 0 {
        "others may write it"
    } else {
        return Ok(());
    };
    Err(CacheError::Unsafe {
        path: folder.to_owned(),
        why,
    })
}

/// What one of our own files is, told by its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Compiled code: digest, fingerprint, `.cwasm`.
    Entry,
    /// The same, still being written: `.tmp-PID-RANDOM`.
    Temporary,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let (stem, extension) = name.split_once('.')?;
        let (digest, fingerprint) = stem.split_once('-')?;
        let hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if !hex(digest, 64) || !hex(fingerprint, 16) {
            return None;
        }
        match extension {
            "cwasm" => Some(Self::Entry),
            other if other.starts_with("tmp-") => Some(Self::Temporary),
            _ => None,
        }
    }
}

/// Removes the entries that were used longest ago until the rest fits `max_bytes`, and what writers
/// left behind that were killed.
fn prune(folder: &Path, max_bytes: u64) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        // The folder may be the user's own: what we did not name, we neither count nor touch.
        let Some(kind) = name.to_str().and_then(Kind::of) else {
            continue;
        };
        // Another process may remove it meanwhile.
        if let Ok(metadata) = entry.metadata() {
            entries.push((metadata.modified()?, metadata.len(), entry.path(), kind));
        }
    }
    entries.sort_unstable_by(|a, b| b.cmp(a));
    let mut kept = 0;
    for (modified, bytes, path, kind) in entries {
        kept += bytes;
        let superfluous = match kind {
            Kind::Entry => kept > max_bytes,
            // A writer takes seconds; an hour later its temporary file is nobody's.
            Kind::Temporary => modified.elapsed().is_ok_and(|age| age.as_secs() > 3600),
        };
        if superfluous {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn guest() -> Guest {
        Guest::embedded("trap").unwrap()
    }

    fn written() -> (tempfile::TempDir, Cache, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        cache.put(&guest(), "f", b"native code").unwrap();
        let path = entry(&folder.path().join("cache"), &guest(), "f");
        (folder, cache, path)
    }

    #[test]
    fn what_was_put_is_found_again() {
        let (_folder, cache, _) = written();
        assert_eq!(
            cache.get(&guest(), "f").unwrap().as_deref(),
            Some(&b"native code"[..])
        );
        assert!(cache.get(&guest(), "other").unwrap().is_none());
    }

    #[test]
    fn an_entry_with_any_byte_changed_is_damaged() {
        let (_folder, cache, path) = written();
        let good = fs::read(&path).unwrap();
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, bad).unwrap();
            let result = cache.get(&guest(), "f");
            assert!(
                matches!(result, Err(CacheError::Damaged { .. })),
                "byte {position}"
            );
        }
    }

    #[test]
    fn an_entry_cut_off_anywhere_is_damaged() {
        let (_folder, cache, path) = written();
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            let result = cache.get(&guest(), "f");
            assert!(
                matches!(result, Err(CacheError::Damaged { .. })),
                "cut at {length}"
            );
        }
    }

    #[test]
    fn a_folder_that_others_may_write_is_not_used() {
        let (folder, cache, _) = written();
        fs::set_permissions(
            folder.path().join("cache"),
            fs::Permissions::from_mode(0o777),
        )
        .unwrap();
        assert!(matches!(
            cache.get(&guest(), "f"),
            Err(CacheError::Unsafe { .. })
        ));
        assert!(matches!(
            cache.put(&guest(), "g", b"x"),
            Err(CacheError::Unsafe { .. })
        ));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocker = folder.path().join("file");
        fs::write(&blocker, "").unwrap();
        let error = Cache::at(blocker.join("cache"))
            .put(&guest(), "f", b"x")
            .unwrap_err();
        assert!(error.to_string().contains("file/cache"), "{error}");
    }

    fn of_age(folder: &Path, age: u64) -> PathBuf {
        folder.join(format!("{age:064x}-{age:016x}.cwasm"))
    }

    #[test]
    fn files_that_are_not_ours_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(1_000_000);
        let names = ["notes.txt", "mine.cwasm", "a-b.tmp-1"];
        for name in names {
            let path = folder.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            File::open(&path).unwrap().set_modified(long_ago).unwrap();
        }
        let orphan = of_age(folder.path(), 1).with_extension("tmp-12-ab");
        fs::write(&orphan, [0; 100]).unwrap();
        File::open(&orphan).unwrap().set_modified(long_ago).unwrap();
        prune(folder.path(), 0).unwrap();
        assert!(names.iter().all(|name| folder.path().join(name).exists()));
        assert!(!orphan.exists(), "what a killed writer left behind goes");
    }

    #[test]
    fn the_entries_used_longest_ago_make_room() {
        let folder = tempfile::tempdir().unwrap();
        for age in 0..4u64 {
            let path = of_age(folder.path(), age);
            fs::write(&path, [0; 100]).unwrap();
            let modified = SystemTime::now() - std::time::Duration::from_secs(60 * age);
            File::open(&path).unwrap().set_modified(modified).unwrap();
        }
        prune(folder.path(), 250).unwrap();
        let left = |age: u64| of_age(folder.path(), age).exists();
        assert_eq!([0, 1, 2, 3].map(left), [true, true, false, false]);
    }
}
