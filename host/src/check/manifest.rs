//! Cases as they are written: in `cofferdam.toml`, or as files in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::case::{Case, Expected, Origin, Rule};
use super::suite::{FOLDER, MANIFEST, Suite};
use crate::folder::{Folder, FolderError};
use crate::guest::{Entry, Guest, GuestSource, LoadError, Packed};
use crate::hosts::AllowedHost;
use crate::job::{Limits, Outbox, Outcome};
use crate::pool::Surroundings;
use crate::units::{ByteSize, TimeSpan};

/// Why there is nothing to check.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A file cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The manifest, a baseline or a record is not understood.
    #[error("{path}: {why}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// No guest was named.
    #[error(
        "no guest is named: give one on the command line, or write `guest = \"my.wasm\"` at the top of cofferdam.toml"
    )]
    NoGuest,
    /// The guest cannot be loaded.
    #[error(transparent)]
    Guest(#[from] LoadError),
    /// It cannot be run at all.
    #[error(transparent)]
    Build(#[from] crate::pool::BuildError),
}

/// The file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    guest: Option<PathBuf>,
    invoke: Option<String>,
    packed: Option<String>,
    call: Option<String>,
    interface: Option<Interface>,
    alloc: Option<String>,
    free: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    dirs: Vec<String>,
    #[serde(default)]
    hosts: Vec<String>,
    seed: Option<u64>,
    #[serde(default, rename = "case")]
    cases: Vec<WrittenCase>,
}

/// How the function that `call` names is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Interface {
    /// As an Extism plugin's.
    Extism,
    /// With numbers.
    Numbers,
    /// With a pointer and a length, and back with both in one number.
    PackedU64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCase {
    name: String,
    input: Option<String>,
    input_file: Option<PathBuf>,
    #[serde(default)]
    post: Vec<String>,
    outcome: Option<String>,
    code: Option<i32>,
    reason: Option<String>,
    output: Option<String>,
    output_file: Option<PathBuf>,
    output_json: Option<String>,
    output_regex: Option<String>,
    posts: Option<Vec<String>>,
    timeout: Option<String>,
    memory: Option<String>,
    max_output: Option<String>,
    fuel: Option<u64>,
    #[serde(default)]
    depends_on_limits: bool,
}

impl Suite {
    /// Reads a manifest and a folder of cases, as far as they are there. `guest` goes before the one that the
    /// manifest names; `limits` hold where a case has none of its own.
    ///
    /// A folder's cases are its files `NAME.in`, each with the output in `NAME.out`, if that is there.
    ///
    /// # Errors
    /// [`CheckError`] names the file, and what is wrong with it.
    pub fn read(
        guest: Option<&GuestSource>,
        manifest: Option<&Path>,
        folder: Option<&Path>,
        limits: Limits,
    ) -> Result<Self, CheckError> {
        let written = manifest.map(read_manifest).transpose()?.unwrap_or_default();
        let home = manifest.and_then(Path::parent).unwrap_or(Path::new(""));
        let mut cases = Vec::new();
        let mut names = BTreeSet::new();
        for (place, case) in written.cases.iter().enumerate() {
            let refuse = |why: String| CheckError::Manifest {
                path: manifest.unwrap_or(Path::new("cofferdam.toml")).to_owned(),
                why: format!("case `{}`: {why}", crate::mail::printable(&case.name)),
            };
            if !names.insert(case.name.clone()) {
                return Err(refuse("another one has this name".to_owned()));
            }
            cases.push(case.read(place, home, limits, &refuse)?);
        }
        if let Some(folder) = folder {
            let of_folder = read_folder(folder, limits)?;
            if let Some(twin) = of_folder.iter().find(|case| names.contains(&case.name)) {
                return Err(CheckError::Manifest {
                    path: folder.join(format!("{}.in", twin.name)),
                    why: "the manifest has a case of this name".to_owned(),
                });
            }
            cases.extend(of_folder);
        }
        let source = match (guest, &written.guest) {
            (Some(source), _) => source.clone(),
            (None, Some(path)) => match path.to_str() {
                Some(text) if text.starts_with('@') => GuestSource::Embedded(text[1..].to_owned()),
                _ => GuestSource::File(home.join(path)),
            },
            (None, None) => return Err(CheckError::NoGuest),
        };
        let entry = written.entry().map_err(|why| CheckError::Manifest {
            path: manifest.unwrap_or(Path::new("cofferdam.toml")).to_owned(),
            why,
        })?;
        let dirs = written.dirs(home).map_err(|error| CheckError::Manifest {
            path: manifest.unwrap_or(Path::new("cofferdam.toml")).to_owned(),
            why: format!("dirs: {error}"),
        })?;
        let hosts = written.hosts.iter().map(|text| text.parse::<AllowedHost>());
        let hosts = hosts
            .collect::<Result<_, _>>()
            .map_err(|error| CheckError::Manifest {
                path: manifest.unwrap_or(Path::new("cofferdam.toml")).to_owned(),
                why: format!("hosts: {error}"),
            })?;
        Ok(Self {
            guest: Guest::load_with(&source, entry)?,
            cases,
            surroundings: Surroundings {
                args: written.args,
                env: written.env.into_iter().collect(),
                config: written.config.into_iter().collect(),
                dirs,
                hosts,
            },
            named: named(guest, manifest, folder),
            seed: written.seed,
        })
    }
}

impl Written {
    /// The folders, from the manifest's own.
    fn dirs(&self, home: &Path) -> Result<Vec<Folder>, FolderError> {
        let folders = self.dirs.iter().map(|text| text.parse::<Folder>());
        folders
            .map(|folder| Ok(folder?.relative_to(home)))
            .collect()
    }

    fn entry(&self) -> Result<Option<Entry>, String> {
        let named = [&self.call, &self.invoke, &self.packed];
        if named.iter().filter(|name| name.is_some()).count() > 1 {
            return Err("`call`, `invoke` and `packed` exclude each other".to_owned());
        }
        let (interface, name) = match (&self.call, &self.invoke, &self.packed, self.interface) {
            (Some(name), .., interface) => (interface.unwrap_or(Interface::Extism), name),
            (_, Some(name), _, None) => (Interface::Numbers, name),
            (.., Some(name), None) => (Interface::PackedU64, name),
            (.., Some(_)) => {
                return Err(
                    "`interface` says how the function is called that `call` names: give that"
                        .to_owned(),
                );
            }
            (.., None) if self.alloc.is_some() || self.free.is_some() => {
                return Err("`alloc` and `free` go with `packed`".to_owned());
            }
            (.., None) => return Ok(None),
        };
        let is_packed = interface == Interface::PackedU64;
        if !is_packed && (self.alloc.is_some() || self.free.is_some()) {
            return Err("`alloc` and `free` go with `interface = \"packed-u64\"`".to_owned());
        }
        Ok(Some(match interface {
            Interface::Extism => Entry::Extism { call: name.clone() },
            Interface::Numbers => Entry::Function { name: name.clone() },
            Interface::PackedU64 => {
                let packed = Packed::with(name, self.alloc.clone(), self.free.clone());
                Entry::Packed(packed)
            }
        }))
    }
}

/// What of these has to be said, since it is not what is looked for.
fn named(
    guest: Option<&GuestSource>,
    manifest: Option<&Path>,
    folder: Option<&Path>,
) -> Vec<String> {
    let mut words = Vec::new();
    for (option, path, usual) in [
        ("--manifest", manifest, MANIFEST),
        ("--cases", folder, FOLDER),
    ] {
        if let Some(path) = path.filter(|path| *path != Path::new(usual)) {
            words.extend([option.to_owned(), path.display().to_string()]);
        }
    }
    words.extend(guest.map(|source| match source {
        GuestSource::File(path) => path.display().to_string(),
        GuestSource::Embedded(name) => format!("@{name}"),
        GuestSource::Stdin | GuestSource::Text(_) => "-".to_owned(),
    }));
    words
}

fn file(path: &Path) -> impl Fn(io::Error) -> CheckError {
    let path = path.to_owned();
    move |error| CheckError::File {
        path: path.clone(),
        error,
    }
}

fn read_manifest(path: &Path) -> Result<Written, CheckError> {
    let text = fs::read_to_string(path).map_err(file(path))?;
    toml_edit::de::from_str(&text).map_err(|error| CheckError::Manifest {
        path: path.to_owned(),
        why: error.to_string().trim_end().to_owned(),
    })
}

impl WrittenCase {
    fn read(
        &self,
        place: usize,
        home: &Path,
        limits: Limits,
        refuse: &dyn Fn(String) -> CheckError,
    ) -> Result<Case, CheckError> {
        let content = |path: &PathBuf| {
            let path = home.join(path);
            fs::read(&path).map_err(file(&path))
        };
        let input = match (&self.input, &self.input_file) {
            (Some(_), Some(_)) => return Err(refuse("give `input` or `input_file`".to_owned())),
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(path)) => content(path)?,
            (None, None) => Vec::new(),
        };
        if self.post.len() > Outbox::CAPACITY {
            let why = format!("`post` has more than {} messages", Outbox::CAPACITY);
            return Err(refuse(why));
        }
        let rules = [
            self.output.is_some(),
            self.output_file.is_some(),
            self.output_json.is_some(),
            self.output_regex.is_some(),
        ];
        if rules.into_iter().filter(|is_there| *is_there).count() > 1 {
            let why = "give one of `output`, `output_file`, `output_json` and `output_regex`";
            return Err(refuse(why.to_owned()));
        }
        let output = if let Some(text) = &self.output {
            Rule::Exact(text.clone().into_bytes())
        } else if let Some(path) = &self.output_file {
            Rule::Exact(content(path)?)
        } else if let Some(text) = &self.output_json {
            let value = serde_json::from_str::<Value>(text);
            Rule::Json(value.map_err(|error| refuse(format!("output_json: {error}")))?)
        } else if let Some(pattern) = &self.output_regex {
            Rule::Matches(
                Regex::new(pattern).map_err(|error| refuse(format!("output_regex: {error}")))?,
            )
        } else {
            Rule::Any
        };
        if let Some(outcome) = &self.outcome
            && !Outcome::NAMES.contains(&outcome.as_str())
        {
            let why = format!(
                "no outcome is called `{outcome}`: there are {}",
                Outcome::NAMES.join(", ")
            );
            return Err(refuse(why));
        }
        if self.code.is_some() && !matches!(self.outcome.as_deref(), Some("refused" | "exited")) {
            let why = "`code` goes with `outcome = \"refused\"` or `\"exited\"`";
            return Err(refuse(why.to_owned()));
        }
        let size = |key: &str, text: &Option<String>, usual: ByteSize| match text {
            None => Ok(usual),
            Some(text) => text
                .parse()
                .map_err(|error| refuse(format!("{key}: {error}"))),
        };
        let timeout: Option<Duration> = match &self.timeout {
            None => limits.timeout,
            Some(text) => {
                let span: TimeSpan = text
                    .parse()
                    .map_err(|error| refuse(format!("timeout: {error}")))?;
                Some(span.duration())
            }
        };
        Ok(Case {
            name: self.name.clone(),
            input,
            messages: self
                .post
                .iter()
                .map(|text| text.clone().into_bytes())
                .collect(),
            limits: Limits {
                timeout,
                memory: size("memory", &self.memory, limits.memory)?,
                output: size("max_output", &self.max_output, limits.output)?,
                fuel: self.fuel.or(limits.fuel),
                ..limits
            },
            depends_on_limits: self.depends_on_limits,
            expected: Expected {
                outcome: self.outcome.clone(),
                code: self.code,
                reason: self.reason.clone(),
                output,
                posts: self
                    .posts
                    .as_ref()
                    .map(|posts| posts.iter().map(|text| text.clone().into_bytes()).collect()),
            },
            origin: Origin::Manifest(place),
        })
    }
}

fn read_folder(folder: &Path, limits: Limits) -> Result<Vec<Case>, CheckError> {
    let mut cases = Vec::new();
    let entries = fs::read_dir(folder).map_err(file(folder))?;
    for entry in entries {
        let path = entry.map_err(file(folder))?.path();
        if path.extension().is_none_or(|extension| extension != "in") {
            continue;
        }
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let answer = path.with_extension("out");
        let output = match fs::read(&answer) {
            Ok(bytes) => Rule::Exact(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Rule::Any,
            Err(error) => return Err(file(&answer)(error)),
        };
        cases.push(Case {
            name,
            input: fs::read(&path).map_err(file(&path))?,
            messages: Vec::new(),
            limits,
            depends_on_limits: false,
            expected: Expected {
                output,
                ..Expected::default()
            },
            origin: Origin::Folder(answer),
        });
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}
