//! The result as a file: what is written, and how it is read back.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::result::{Comparison, SCHEMA};
use crate::printable;

/// A result as it stands in a file: one line of JSON.
#[must_use]
pub fn to_json(comparison: &Comparison) -> Vec<u8> {
    // Every map of it has text as its keys, so that nothing can be refused.
    let mut text = serde_json::to_vec(comparison).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Why a result file could not be read. No message names the file: who knows its path adds it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not hand it out.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It begins as JSON and ends too early: its writer was stopped, or a copy was.
    #[error("it is cut off: it ends early, in line {line}, column {column}")]
    CutOff {
        /// Where it ends, from 1; 0 where there is nothing.
        line: usize,
        /// The same within the line.
        column: usize,
    },
    /// It is not JSON at all.
    #[error("it is not JSON: line {line}, column {column}: {why}")]
    NotJson {
        /// Where it stops being JSON, from 1.
        line: usize,
        /// The same within the line.
        column: usize,
        /// What the parser expected.
        why: String,
    },
    /// It is JSON that does not say what it is.
    #[error("it is no result of cofferdam compare: it has no field `schema` that says so")]
    NoSchema,
    /// It says that it is something else.
    #[error("it is no result of cofferdam compare: its schema is `{0}`")]
    OtherSchema(
        /// What it says.
        String,
    ),
    /// It is a result of a version before this one.
    #[error(
        "{0} was written by an earlier version, whose numbers mean something else; measure again, or read it \
         with that version"
    )]
    Older(
        /// The schema of the file.
        String,
    ),
    /// It is a result of a version after this one.
    #[error(
        "{0} was written by a newer cofferdam; this one reads {SCHEMA}: read it with the version that wrote it"
    )]
    Newer(
        /// The schema of the file.
        String,
    ),
    /// It says that it is what this version writes, and is not.
    #[error("it says that it is {SCHEMA}, and is not, at `{path}`: {why}")]
    Layout {
        /// The field, as a path from the top: `rows[3].ratio.low`.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads a result file.
///
/// # Errors
/// Why it is no result that this version understands.
pub fn read(path: &Path) -> Result<Comparison, ReadError> {
    parse(&fs::read(path)?)
}

/// All that has to be known before the rest can be understood.
#[derive(Deserialize)]
struct Head {
    schema: Option<serde_json::Value>,
}

pub(super) fn parse(text: &[u8]) -> Result<Comparison, ReadError> {
    let _: IgnoredAny = serde_json::from_slice(text).map_err(|error| wrong(text, &error))?;
    let head: Option<Head> = serde_json::from_slice(text).ok();
    let Some(serde_json::Value::String(schema)) = head.and_then(|head| head.schema) else {
        return Err(ReadError::NoSchema);
    };
    if schema != SCHEMA {
        return Err(other(&schema));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| ReadError::Layout {
        path: printable(&error.path().to_string()),
        why: printable(&error.inner().to_string()),
    })
}

/// What is not JSON: because it ends early, or from the start.
fn wrong(text: &[u8], error: &serde_json::Error) -> ReadError {
    let (line, column) = (error.line(), error.column());
    // To the parser, a number that is cut off behind its point or sign is a wrong one.
    let last = text
        .rsplit(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let ends_in_number = last
        .last()
        .is_some_and(|byte| b"0123456789.eE+-".contains(byte));
    let is_at_end = column == last.len() && line == text.split(|&byte| byte == b'\n').count();
    if error.classify() == Category::Eof || (ends_in_number && is_at_end) {
        return ReadError::CutOff { line, column };
    }
    ReadError::NotJson {
        line,
        column,
        why: printable(&error.to_string()),
    }
}

/// A schema that this version does not read: which version does?
fn other(schema: &str) -> ReadError {
    let version = |schema: &str| -> Option<(String, u64)> {
        let (name, version) = schema.split_once('/')?;
        Some((name.to_owned(), version.parse().ok()?))
    };
    let text = printable(schema);
    match (version(schema), version(SCHEMA)) {
        (Some((name, found)), Some((ours, known))) if name == ours && found < known => {
            ReadError::Older(text)
        }
        (Some((name, _)), Some((ours, _))) if name == ours => ReadError::Newer(text),
        _ => ReadError::OtherSchema(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn said(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_is_read_bit_for_bit() {
        let folder = folder();
        let path = folder.path().join("result.json");
        let written = sample();
        fs::write(&path, to_json(&written)).unwrap();
        let read = read(&path).unwrap();
        assert_eq!(read, written);
        // `==` takes -0 for 0; the shortest text of a number does not.
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            serde_json::to_string(&written).unwrap()
        );
    }

    #[test]
    fn numbers_that_take_all_their_digits_come_back() {
        let mut written = sample();
        let awkward = [
            0.1 + 0.2,
            5e-324,
            f64::MAX,
            1.0 / 3.0,
            9_007_199_254_740_993.0,
        ];
        written
            .series
            .get_mut("job.latency")
            .unwrap()
            .insert(crate::experiment::Arm::Fuel, vec![awkward.to_vec()]);
        let text = serde_json::to_vec(&written).unwrap();
        let read = parse(&text).unwrap();
        let found = &read.series["job.latency"][&crate::experiment::Arm::Fuel][0];
        let bits = |values: &[f64]| {
            values
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(found), bits(&awkward));
    }

    #[test]
    fn a_file_that_ends_early_is_cut_off_wherever_it_ends() {
        let text = serde_json::to_vec(&sample()).unwrap();
        let early = 0..3000;
        let later = (3000..text.len()).step_by(text.len() / 60);
        let last = text.len() - 200..text.len();
        for length in early.chain(later).chain(last) {
            let error = parse(&text[..length]).unwrap_err();
            assert!(
                matches!(error, ReadError::CutOff { .. }),
                "{length}: {error}"
            );
        }
        assert_eq!(
            said(""),
            "it is cut off: it ends early, in line 1, column 0"
        );
        assert_eq!(
            said("{\"schema\":\n \"coff"),
            "it is cut off: it ends early, in line 2, column 6"
        );
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        let text = said("{\"schema\":\n nothing}");
        assert!(
            text.starts_with("it is not JSON: line 2, column 3: expected ident"),
            "{text}"
        );
        assert!(said("hello").starts_with("it is not JSON: line 1"));
        assert!(matches!(
            parse(b"\x7fELF\xff\xfe"),
            Err(ReadError::NotJson { .. })
        ));
    }

    #[test]
    fn json_of_somebody_else_is_no_result() {
        let none = "it is no result of cofferdam compare: it has no field `schema` that says so";
        for text in [
            "{}",
            "[1, 2]",
            "3",
            "null",
            "{\"schema\": 2}",
            "{\"schema\": null}",
        ] {
            assert_eq!(said(text), none, "{text}");
        }
        for schema in [
            "hyperfine/1",
            "cofferdam.compare",
            "cofferdam.compare/two",
            "",
        ] {
            let error = said(&format!("{{\"schema\": \"{schema}\"}}"));
            assert_eq!(
                error,
                format!("it is no result of cofferdam compare: its schema is `{schema}`")
            );
        }
        assert_eq!(
            said("{\"schema\": \"a\\u001b[2Jb\"}"),
            "it is no result of cofferdam compare: its schema is `a\\u{1b}[2Jb`"
        );
    }

    #[test]
    fn other_versions_are_told_apart() {
        assert_eq!(
            said("{\"schema\": \"cofferdam.compare/1\", \"rows\": []}"),
            "cofferdam.compare/1 was written by an earlier version, whose numbers mean something else; measure \
             again, or read it with that version"
        );
        assert_eq!(
            said("{\"schema\": \"cofferdam.compare/3\"}"),
            "cofferdam.compare/3 was written by a newer cofferdam; this one reads cofferdam.compare/2: read it \
             with the version that wrote it"
        );
    }

    #[test]
    fn a_wrong_field_is_named_by_its_path() {
        let mut json = serde_json::to_value(sample()).unwrap();
        json["rows"][3]["ratio"]["low"] = serde_json::Value::String("much".to_owned());
        let error = said(&json.to_string());
        assert!(
            error.starts_with(
                "it says that it is cofferdam.compare/2, and is not, at `rows[3].ratio.low`: invalid type"
            ),
            "{error}"
        );
        assert!(matches!(
            parse(br#"{"schema":"cofferdam.compare/2"}"#),
            Err(ReadError::Layout { .. })
        ));
    }

    #[test]
    fn a_file_that_is_not_there_is_told_as_the_system_tells_it() {
        let folder = folder();
        let error = read(&folder.path().join("none.json")).unwrap_err();
        assert!(matches!(error, ReadError::Unreadable(_)));
        assert!(
            error
                .to_string()
                .starts_with("it cannot be read: No such file")
        );
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, ReadError::Unreadable(_)));
    }
}
