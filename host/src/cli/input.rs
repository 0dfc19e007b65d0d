//! Where jobs come from: a text, a file, the lines of a file, the files of a folder.
//!
//! A thread of its own reads, so that the rest of the program never waits for a slow pipe: replies
//! are printed and Ctrl-C is heard while standard input is silent.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender};

use cofferdam::ByteSize;

use super::Failure;

/// The ways to give input.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Input and output")]
#[group(id = "given", multiple = false)]
pub(crate) struct InputArgs {
    /// One job with this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) input: Option<String>,
    /// One job with the content of this file (`-` for standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) input_file: Option<PathBuf>,
    /// One job for each line of this file (`-` for standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) lines: Option<PathBuf>,
    /// One job for each file of this folder, in the order of their names
    #[arg(long, value_name = "DIR")]
    pub(crate) input_dir: Option<PathBuf>,
}

/// The name by which the system itself knows what standard input is: behind it may be a file.
pub(crate) const STDIN: &str = "/dev/stdin";

/// What a job is made of.
#[derive(Debug)]
pub(crate) struct Item {
    /// How messages name it; empty where there is only one job.
    pub(crate) name: String,
    /// The name of the file that it came from, in a folder.
    pub(crate) file: Option<OsString>,
    /// Its bytes, or why there are none.
    pub(crate) bytes: Result<Vec<u8>, String>,
}

/// A source that was found to be readable.
pub(crate) enum Source {
    One(Vec<u8>),
    Lines(Box<dyn BufRead + Send>),
    Files(Vec<PathBuf>),
}

impl InputArgs {
    /// Whether any input was given.
    pub(crate) fn is_given(&self) -> bool {
        let paths = [&self.input_file, &self.lines, &self.input_dir];
        self.input.is_some() || paths.into_iter().any(Option::is_some)
    }

    /// Whether the input comes from standard input.
    pub(crate) fn wants_stdin(&self) -> bool {
        let paths = [&self.input_file, &self.lines];
        paths.into_iter().flatten().any(|path| is_stdin(path))
    }

    /// Every file that jobs come from, so that none of them is written over.
    ///
    /// # Errors
    /// That of [`InputArgs::open`] for a folder that cannot be listed.
    pub(crate) fn paths(&self) -> Result<Vec<PathBuf>, Failure> {
        let named = [&self.input_file, &self.lines].into_iter().flatten();
        let mut paths: Vec<PathBuf> = named
            .map(|path| match is_stdin(path) {
                true => PathBuf::from(STDIN),
                false => path.clone(),
            })
            .collect();
        if let Some(folder) = &self.input_dir {
            paths.extend(files_of(folder)?);
        }
        Ok(paths)
    }

    /// Opens what was given, so that mistakes show before anything runs. `default` is the input of
    /// the only job where nothing was given.
    pub(crate) fn open(&self, default: &[u8], limit: ByteSize) -> Result<Source, Failure> {
        if let Some(text) = &self.input {
            return Ok(Source::One(text.clone().into_bytes()));
        }
        if let Some(path) = &self.input_file {
            let failed = |error| Failure::input("--input-file", path, &error);
            let bytes = read_bounded(reader(path).map_err(failed)?, limit).map_err(failed)?;
            let bytes = bytes.ok_or_else(|| {
                Failure::usage(format!(
                    "--input-file {}: larger than --max-input {limit}",
                    path.display()
                ))
            })?;
            return Ok(Source::One(bytes));
        }
        if let Some(path) = &self.lines {
            let failed = |error| Failure::input("--lines", path, &error);
            let mut reader = BufReader::with_capacity(64 << 10, reader(path).map_err(failed)?);
            // Standard input is not asked yet: it may stay silent for long.
            if !is_stdin(path) && reader.fill_buf().map_err(failed)?.is_empty() {
                return Err(no_jobs("--lines", path, "it is empty"));
            }
            return Ok(Source::Lines(Box::new(reader)));
        }
        if let Some(folder) = &self.input_dir {
            let files = files_of(folder)?;
            if files.is_empty() {
                return Err(no_jobs("--input-dir", folder, "it holds no files"));
            }
            return Ok(Source::Files(files));
        }
        Ok(Source::One(default.to_vec()))
    }
}

/// The files of a folder, in the order of their names.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::input("--input-dir", folder, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn no_jobs(flag: &str, path: &Path, why: &str) -> Failure {
    Failure::usage(format!(
        "{flag} {}: {why}, so there is no job to run",
        path.display()
    ))
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn reader(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    if is_stdin(path) {
        return Ok(Box::new(stdin()));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a folder",
        ));
    }
    Ok(Box::new(file))
}

/// Everything, or `None` if it is more than `limit`.
fn read_bounded(from: impl Read, limit: ByteSize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(limit.bytes() + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit.bytes()).then_some(bytes))
}

impl Source {
    /// How many jobs there will be, where that is known.
    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Self::One(_) => Some(1),
            Self::Lines(_) => None,
            Self::Files(files) => Some(files.len() as u64),
        }
    }

    /// Whether this is one job, whose reply goes to stdout as it is.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self, Self::One(_))
    }

    /// Reads in a thread of its own, each item `repeat` times, as fast as the items are taken.
    pub(crate) fn read(self, repeat: u64, limit: ByteSize) -> io::Result<Receiver<Item>> {
        let (sender, items) = crossbeam_channel::bounded(1);
        std::thread::Builder::new()
            .name("cofferdam-input".to_owned())
            .spawn(move || {
                let single = self.is_single() && repeat == 1;
                // A send fails when nobody takes items any more, and that ends the reading.
                let _ = match self {
                    Self::One(bytes) => send(
                        &sender,
                        repeat,
                        Item {
                            name: if single {
                                String::new()
                            } else {
                                "the input".to_owned()
                            },
                            file: None,
                            bytes: Ok(bytes),
                        },
                    ),
                    Self::Lines(reader) => send_lines(&sender, repeat, reader, limit),
                    Self::Files(files) => send_files(&sender, repeat, &files, limit),
                };
            })?;
        Ok(items)
    }
}

/// Nobody takes items any more.
struct Unwanted;

fn send(items: &Sender<Item>, repeat: u64, item: Item) -> Result<(), Unwanted> {
    for _ in 1..repeat {
        let copy = Item {
            name: item.name.clone(),
            file: item.file.clone(),
            bytes: item.bytes.clone(),
        };
        items.send(copy).map_err(|_| Unwanted)?;
    }
    items.send(item).map_err(|_| Unwanted)
}

fn send_lines(
    items: &Sender<Item>,
    repeat: u64,
    mut reader: Box<dyn BufRead + Send>,
    limit: ByteSize,
) -> Result<(), Unwanted> {
    for number in 1u64.. {
        let (bytes, last) = match next_line(&mut *reader, limit.as_len()) {
            Ok(None) => return Ok(()),
            Ok(Some(Line::Whole(line))) => (Ok(line), false),
            Ok(Some(Line::TooLong)) => (
                Err(format!("the line is longer than --max-input {limit}")),
                false,
            ),
            Err(error) => (
                Err(format!("the input cannot be read further: {error}")),
                true,
            ),
        };
        send(
            items,
            repeat,
            Item {
                name: format!("line {number}"),
                file: None,
                bytes,
            },
        )?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// The next line without its end (`\n` or `\r\n`). One that is too long is skipped, not kept.
fn next_line(reader: &mut dyn BufRead, limit: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let mut too_long = false;
    let mut any = false;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            break;
        }
        any = true;
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        // One byte more than the limit, for a carriage return that will be cut.
        if too_long || line.len() + part.len() > limit.saturating_add(1) {
            too_long = true;
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let used = end.map_or(chunk.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            break;
        }
    }
    if too_long || line.len() > limit {
        return Ok(Some(Line::TooLong));
    }
    Ok(any.then_some(Line::Whole(line)))
}

fn send_files(
    items: &Sender<Item>,
    repeat: u64,
    files: &[PathBuf],
    limit: ByteSize,
) -> Result<(), Unwanted> {
    for path in files {
        let bytes = File::open(path)
            .and_then(|file| read_bounded(file, limit))
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                bytes.ok_or_else(|| format!("the file is larger than --max-input {limit}"))
            });
        let file = path.file_name().map(OsStr::to_owned);
        send(
            items,
            repeat,
            Item {
                name: path.display().to_string(),
                file,
                bytes,
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, limit: usize) -> Vec<Line> {
        let mut reader = BufReader::with_capacity(4, text.as_bytes());
        std::iter::from_fn(|| next_line(&mut reader, limit).unwrap()).collect()
    }

    fn whole(line: &str) -> Line {
        Line::Whole(line.into())
    }

    #[test]
    fn lines_end_with_either_line_end_or_with_the_file() {
        assert_eq!(
            lines("one\ntwo\r\n\nfour", 100),
            [whole("one"), whole("two"), whole(""), whole("four")]
        );
        assert_eq!(lines("", 100), []);
        assert_eq!(lines("\n", 100), [whole("")]);
    }

    #[test]
    fn a_line_past_the_limit_is_skipped_and_the_next_one_is_whole() {
        assert_eq!(
            lines("12345\n123456\n1", 5),
            [whole("12345"), Line::TooLong, whole("1")]
        );
        assert_eq!(lines("12345\r\nx", 5), [whole("12345"), whole("x")]);
        assert_eq!(lines("1234567890123456789", 5), [Line::TooLong]);
    }

    #[test]
    fn a_lone_carriage_return_within_a_line_stays() {
        assert_eq!(lines("a\rb\n", 100), [whole("a\rb")]);
    }
}
