//! Where a result goes beside the terminal, and the bounds that it must keep.

use std::path::{Path, PathBuf};

use cofferdam::Exit;
use cofferdam::experiment::Plan;
use cofferdam::report::{
    Comparison, Gate, NotPassed, OutputFile, Trust, csv, html, markdown, read, to_json,
};

use super::Failure;
use super::common::complain;

/// The options that `compare` and `report` share.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// Also write the result as a web page, in one file that needs nothing else
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    report: Option<PathBuf>,
    /// Also write the result with all samples; `compare` saves it after each round
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    export_json: Option<PathBuf>,
    /// Also write the rows, one line for each arm
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    export_csv: Option<PathBuf>,
    /// Also write the tables for pasting
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    export_markdown: Option<PathBuf>,
    /// A result to compare with, for --fail-if
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    baseline: Option<PathBuf>,
    /// Exit with 101 if this holds: 'process.job.p50 > 1.10x' (of the baseline), '> 50ms', or '> 1.5x
    /// thread.job.p50'; may be repeated
    #[arg(long, value_name = "BOUND", help_heading = "Results")]
    fail_if: Vec<Gate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
    Csv,
    Markdown,
}

impl Form {
    fn flag(self) -> &'static str {
        match self {
            Self::Html => "--report",
            Self::Json => "--export-json",
            Self::Csv => "--export-csv",
            Self::Markdown => "--export-markdown",
        }
    }
}

/// Files that can be written: that was tried.
pub(crate) struct Exports(Vec<(Form, PathBuf, OutputFile)>);

/// Bounds that a result must keep.
pub(crate) struct Gates {
    bounds: Vec<Gate>,
    baseline: Option<Comparison>,
}

impl ExportArgs {
    /// Finds out now whether all files can be written, and that none of them is one that is read, by
    /// whatever links. A file of several names (hard links) keeps its content under the others: what is
    /// written takes the place of the name alone.
    pub(crate) fn open(&self, read: &[PathBuf]) -> Result<Exports, Failure> {
        let read = if self.any_file() { read } else { &[] };
        let read: Vec<PathBuf> = read
            .iter()
            .chain(&self.baseline)
            .filter_map(|path| path.canonicalize().ok())
            .collect();
        let asked = [
            (Form::Json, &self.export_json),
            (Form::Html, &self.report),
            (Form::Csv, &self.export_csv),
            (Form::Markdown, &self.export_markdown),
        ];
        let mut files: Vec<(Form, PathBuf, OutputFile)> = Vec::new();
        for (form, path) in asked {
            let Some(path) = path else { continue };
            let flag = form.flag();
            let file = OutputFile::open(path).map_err(|error| failed(form, path, &error))?;
            let same = |other: &OutputFile| other.path() == file.path();
            if let Some((other, ..)) = files.iter().find(|(.., other)| same(other)) {
                let other = other.flag();
                let path = path.display();
                return Err(Failure::usage(format!(
                    "{other} and {flag} both name {path}"
                )));
            }
            // A device or a pipe loses nothing: a terminal is both read and written.
            if !file.is_special() && read.iter().any(|source| source == file.path()) {
                let path = path.display();
                return Err(Failure::usage(format!(
                    "{flag} {path}: that is read, and would be lost: name another file"
                )));
            }
            files.push((form, path.clone(), file));
        }
        Ok(Exports(files))
    }

    /// Whether any file is to be written.
    pub(crate) fn any_file(&self) -> bool {
        let files = [
            &self.report,
            &self.export_json,
            &self.export_csv,
            &self.export_markdown,
        ];
        files.into_iter().any(Option::is_some)
    }

    /// Reads the baseline, so that a wrong path or a bound that does not suit it is not found at the
    /// end. With `other`, something else stands in for a baseline that is not given.
    pub(crate) fn gates(&self, other: bool) -> Result<Gates, Failure> {
        let baseline = match &self.baseline {
            None => None,
            Some(path) => Some(read_result("--baseline", path)?),
        };
        for gate in &self.fail_if {
            let suits = match &baseline {
                Some(baseline) => gate.suits(baseline).map_err(|error| error.to_string()),
                None if gate.needs_baseline() && !other => Err(format!(
                    "'{gate}' is relative to a --baseline FILE, and there is none"
                )),
                None => Ok(()),
            };
            suits.map_err(|why| Failure::usage(format!("--fail-if {why}")))?;
        }
        if self.fail_if.is_empty() && baseline.is_some() {
            return Err(Failure::usage(
                "--baseline does nothing without a --fail-if; `cofferdam report A.json B.json` shows what differs",
            ));
        }
        Ok(Gates {
            bounds: self.fail_if.clone(),
            baseline,
        })
    }
}

/// Reads a result that an option or an argument names.
pub(crate) fn read_result(what: &str, path: &Path) -> Result<Comparison, Failure> {
    read(path).map_err(|error| {
        let told = anyhow::anyhow!("{what} {}: {error}", path.display());
        let exit = match error {
            cofferdam::report::ReadError::Unreadable(_) => Exit::NotFound,
            _ => Exit::Usage,
        };
        Failure::new(exit, told)
    })
}

fn failed(form: Form, path: &Path, error: &std::io::Error) -> Failure {
    anyhow::anyhow!("{} {}: {error}", form.flag(), path.display()).into()
}

impl Exports {
    /// Keeps what was measured so far.
    pub(crate) fn keep(&self, partial: &Comparison) -> Result<(), Failure> {
        for (form, path, file) in &self.0 {
            if *form == Form::Json && !file.is_special() {
                let written = file.write(&to_json(partial));
                written.map_err(|error| failed(*form, path, &error))?;
            }
        }
        Ok(())
    }

    /// Writes everything.
    pub(crate) fn save(&self, comparison: &Comparison) -> Result<(), Failure> {
        let mut first = Ok(());
        for (form, path, file) in &self.0 {
            let bytes = match form {
                Form::Html => html(comparison).into_bytes(),
                Form::Json => to_json(comparison),
                Form::Csv => csv(comparison).into_bytes(),
                Form::Markdown => markdown(comparison).into_bytes(),
            };
            let written = file.write(&bytes);
            // The others are still written.
            first = first.and(written.map_err(|error| failed(*form, path, &error)));
        }
        first
    }
}

impl Gates {
    /// Finds, before anything is measured, a bound on something that the plan cannot give.
    pub(crate) fn suit(&self, plan: &Plan) -> Result<(), Failure> {
        for gate in &self.bounds {
            let suits = gate.suits_plan(plan);
            suits.map_err(|why| Failure::usage(format!("--fail-if {why}")))?;
        }
        Ok(())
    }

    /// Takes this as the baseline, where no other was given.
    pub(crate) fn or_against(self, baseline: &Comparison) -> Self {
        let baseline = self.baseline.or_else(|| Some(baseline.clone()));
        Self { baseline, ..self }
    }

    /// Checks every bound, and tells of each that is passed or cannot be checked; `Some` if there is
    /// such a one. A bound that is passed outweighs one that cannot be checked.
    pub(crate) fn check(&self, comparison: &Comparison) -> Option<Exit> {
        let mut exit = None;
        if let Some(baseline) = self.baseline.as_ref().filter(|_| !self.bounds.is_empty()) {
            for doubt in Gate::doubts(comparison, baseline) {
                complain(&format!("warning: --baseline: {doubt}"));
            }
        }
        for gate in &self.bounds {
            match gate.check(comparison, self.baseline.as_ref()) {
                Ok(passed) if passed.doubtful() => {
                    complain(&format!("--fail-if holds for now: {passed}"));
                }
                Ok(_) => {}
                Err(NotPassed::Tripped(tripped)) => {
                    complain(&format!("--fail-if {tripped}"));
                    exit = Some(Exit::Tripped);
                }
                Err(NotPassed::Unchecked(error)) => {
                    complain(&format!("error: --fail-if {error}"));
                    exit = exit.or(Some(Exit::Usage));
                }
            }
        }
        exit
    }
}

/// Whom a guest comes from, as a choice of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TrustArg {
    /// From ourselves: it may have bugs
    Own,
    /// From somebody we know: it may have bugs that nobody here can mend
    ThirdParty,
    /// From anybody: it may try to break out
    Hostile,
}

impl From<TrustArg> for Trust {
    fn from(trust: TrustArg) -> Self {
        match trust {
            TrustArg::Own => Self::Own,
            TrustArg::ThirdParty => Self::ThirdParty,
            TrustArg::Hostile => Self::Hostile,
        }
    }
}
