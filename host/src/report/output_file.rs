//! A file that is whole at every moment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that may be written again and again. Readers see the old content or the new one, never a
/// part, and a crash keeps the last.
pub struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// Checks that the file can be written, before hours are spent on its content. A file that is
    /// there already is left alone until there is something to write.
    ///
    /// # Errors
    /// What the system says about the folder or the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a folder",
            ));
        }
        // A link keeps pointing where it points: what is replaced is the file behind it. A file that is
        // not there yet has a folder that is.
        let path = path.canonicalize().or_else(|_| {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            Ok::<_, io::Error>(folder.unwrap_or(Path::new(".")).canonicalize()?.join(name))
        })?;
        let file = Self { path };
        if file.is_special() {
            File::options().write(true).open(&file.path)?;
            return Ok(file);
        }
        let probe = file.temporary();
        File::create(&probe)?;
        fs::remove_file(probe)?;
        Ok(file)
    }

    /// Where it is, behind every link.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a device or a pipe, which cannot be replaced: what is written to it stays there.
    #[must_use]
    pub fn is_special(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file())
    }

    /// Writes this in place of what was there before.
    ///
    /// # Errors
    /// What the system says; a file then still has its old content.
    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        if self.is_special() {
            return File::options()
                .write(true)
                .open(&self.path)?
                .write_all(content);
        }
        let temporary = self.temporary();
        let written =
            fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(temporary);
        }
        written
    }

    fn temporary(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        self.path.with_file_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let file = OutputFile::open(&path).unwrap();
        assert!(
            !path.exists(),
            "nothing is written before there is something"
        );
        file.write(b"a longer first").unwrap();
        file.write(b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OutputFile::open(folder.path()).is_err());
        assert!(OutputFile::open(&folder.path().join("no/such")).is_err());
    }
}
