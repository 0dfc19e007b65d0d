//! Writing anew what is expected.

use std::fs;
use std::path::Path;

use toml_edit::{DocumentMut, value};

use super::case::{Case, Expected, Origin, Rule};
use super::manifest::CheckError;
use super::seen::{Seen, difference, shown};
use crate::job::Outcome;

impl Case {
    /// Writes what was seen in place of what was expected, where that can be done, and gives back what changed, line
    /// by line. A value in JSON and a pattern are left as they are.
    ///
    /// # Errors
    /// [`CheckError`] for a file that cannot be read or written.
    pub fn update(
        &self,
        seen: &Seen,
        manifest: Option<&Path>,
    ) -> Result<Option<String>, CheckError> {
        let Ok(outcome) = &seen.ending else {
            return Ok(None);
        };
        // What is no output, code or outcome is not written, and would still be missed.
        let written = Expected {
            outcome: Some(outcome.name().to_owned()),
            code: None,
            output: Rule::Any,
            ..self.expected.clone()
        };
        if written.misses(seen).is_some() || *outcome == Outcome::Deadline {
            return Ok(None);
        }
        if self.expected.misses(seen).is_none() && !matches!(self.expected.output, Rule::Any) {
            return Ok(None);
        }
        let lines = match &self.expected.output {
            Rule::Exact(before) => difference(&shown(before), &shown(&seen.output)),
            Rule::Any => difference("", &shown(&seen.output)),
            Rule::Json(_) | Rule::Matches(_) => return Ok(None),
        };
        let failed = |path: &Path, error| CheckError::File {
            path: path.to_owned(),
            error,
        };
        match &self.origin {
            Origin::Program => Ok(None),
            // There is no place for any other outcome.
            Origin::Folder(_) if *outcome != Outcome::Output => Ok(None),
            Origin::Folder(path) => {
                fs::write(path, &seen.output).map_err(|error| failed(path, error))?;
                Ok(Some(lines))
            }
            Origin::Manifest(place) => {
                let (Some(path), Ok(text)) = (manifest, std::str::from_utf8(&seen.output)) else {
                    return Ok(None);
                };
                let before = fs::read_to_string(path).map_err(|error| failed(path, error))?;
                let refused = |why: String| CheckError::Manifest {
                    path: path.to_owned(),
                    why,
                };
                let mut document: DocumentMut = before
                    .parse()
                    .map_err(|error: toml_edit::TomlError| refused(error.to_string()))?;
                let cases = document
                    .get_mut("case")
                    .and_then(|it| it.as_array_of_tables_mut());
                let Some(case) = cases.and_then(|cases| cases.get_mut(*place)) else {
                    return Ok(None);
                };
                // Written in a file of its own.
                if case.contains_key("output_file") {
                    return Ok(None);
                }
                if !text.is_empty() || case.contains_key("output") || *outcome == Outcome::Output {
                    case["output"] = value(text);
                }
                case.remove("outcome");
                case.remove("code");
                if *outcome != Outcome::Output {
                    case["outcome"] = value(outcome.name());
                }
                if let Outcome::Refused { code, .. } | Outcome::Exited(code) = outcome {
                    case["code"] = value(i64::from(*code));
                }
                if document.to_string() == before {
                    return Ok(None);
                }
                fs::write(path, document.to_string()).map_err(|error| failed(path, error))?;
                Ok(Some(lines))
            }
        }
    }
}
