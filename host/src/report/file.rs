//! The result file on disk, whole at every moment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Comparison;

/// A file that is written again after each trial. Readers see the old text or the new one, never a
/// part, and a crash keeps the last.
pub struct ResultFile {
    path: PathBuf,
}

impl ResultFile {
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
        // A link keeps pointing where it points: what is replaced is the file behind it.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
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

    /// Writes a result in place of the one before.
    ///
    /// # Errors
    /// What the system says; the file then still holds the result before.
    pub fn save(&self, comparison: &Comparison) -> io::Result<()> {
        if self.is_special() {
            // A device or a pipe is not replaced; it gets the last result only, when it is whole.
            if !comparison.complete {
                return Ok(());
            }
            let mut file = File::options().write(true).open(&self.path)?;
            serde_json::to_writer(&mut file, comparison)?;
            return file.write_all(b"\n");
        }
        let temporary = self.temporary();
        let mut file = File::create(&temporary)?;
        serde_json::to_writer(io::BufWriter::new(&file), comparison)?;
        file.write_all(b"\n")?;
        fs::rename(temporary, &self.path)
    }

    fn is_special(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file())
    }

    fn temporary(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        self.path.with_file_name(name)
    }
}
