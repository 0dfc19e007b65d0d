//! Where a guest's bytes come from: a file, standard input, or this very program.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use super::{EMBEDDED, GuestError};

/// The largest module that is read: more is a mistake (a disk image, an endless pipe), and it would
/// be held in memory whole.
const MAX_MODULE: u64 = 256 << 20;

/// What was typed where a guest is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestSource {
    /// A path to a `.wasm` or `.wat` file.
    File(PathBuf),
    /// `-`: standard input.
    Stdin,
    /// `@name`: built into this program.
    Embedded(String),
    /// A module in the text format, given as it is.
    Text(String),
}

/// Why a guest could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there.
    #[error("no guest at {path}: give a path to a .wasm or .wat file, `-` for standard input, or @name (see `cofferdam guests`)", path = .0.display())]
    NotFound(PathBuf),
    /// The bytes are there but cannot be read.
    #[error("cannot read the guest {name}: {error}")]
    Unreadable {
        /// What was to be read.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// More bytes than any module has.
    #[error("the guest {name} is larger than {limit} MiB, the most that is read", limit = MAX_MODULE >> 20)]
    TooLarge {
        /// What was to be read.
        name: String,
    },
    /// No guest of this name is built in.
    #[error("no built-in guest @{name}: there are {known}")]
    NoSuchEmbedded {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The bytes were read, and are no guest.
    #[error("{name} cannot be run: {error}")]
    NotAGuest {
        /// What was read.
        name: String,
        /// What is wrong with it.
        error: GuestError,
    },
}

/// Name, bytes, and the sample input of an embedded guest.
pub(super) type Loaded = (String, Vec<u8>, Option<&'static [u8]>);

impl GuestSource {
    pub(super) fn read(&self) -> Result<Loaded, LoadError> {
        match self {
            Self::File(path) => {
                let name = path.display().to_string();
                let file = std::fs::File::open(path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => LoadError::NotFound(path.clone()),
                    _ => LoadError::Unreadable {
                        name: name.clone(),
                        error,
                    },
                })?;
                Ok((name.clone(), read_bounded(file, &name)?, None))
            }
            Self::Stdin => {
                let name = "standard input".to_owned();
                Ok((name.clone(), read_bounded(io::stdin().lock(), &name)?, None))
            }
            Self::Text(text) => Ok((
                "the text of --wat".to_owned(),
                text.clone().into_bytes(),
                None,
            )),
            Self::Embedded(name) => match EMBEDDED.iter().find(|guest| guest.name == name) {
                Some(guest) => Ok((
                    format!("@{name}"),
                    guest.module.to_vec(),
                    Some(guest.sample),
                )),
                None => Err(LoadError::NoSuchEmbedded {
                    name: name.clone(),
                    known: EMBEDDED.map(|guest| format!("@{}", guest.name)).join(", "),
                }),
            },
        }
    }
}

fn read_bounded(from: impl Read, name: &str) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let unreadable = |error| LoadError::Unreadable {
        name: name.to_owned(),
        error,
    };
    from.take(MAX_MODULE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_MODULE {
        return Err(LoadError::TooLarge {
            name: name.to_owned(),
        });
    }
    Ok(bytes)
}

impl FromStr for GuestSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix('@') {
            Some(name) => Self::Embedded(name.to_owned()),
            None if text == "-" => Self::Stdin,
            None => Self::File(PathBuf::from(text)),
        })
    }
}

impl fmt::Display for GuestSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("-"),
            Self::Embedded(name) => write!(f, "@{name}"),
            Self::Text(text) => write!(f, "--wat {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_are_told_apart() {
        assert_eq!("-".parse(), Ok(GuestSource::Stdin));
        assert_eq!("@echo".parse(), Ok(GuestSource::Embedded("echo".into())));
        assert_eq!("./@echo".parse(), Ok(GuestSource::File("./@echo".into())));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = GuestSource::Embedded("nobody".into())
            .read()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("no built-in guest @nobody: there are @argon2, "),
            "{error}"
        );
    }

    #[test]
    fn a_missing_file_is_named_with_the_ways_to_give_a_guest() {
        let error = GuestSource::File("no/such.wasm".into()).read().unwrap_err();
        assert!(matches!(error, LoadError::NotFound(_)));
        assert!(error.to_string().contains("no/such.wasm"));
    }
}
