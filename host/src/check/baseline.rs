//! What cases took once, against what they take now.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::finding::{Call, Finding, Sort};
use super::manifest::CheckError;
use super::runs::Checked;
use super::suite::Suite;
use crate::runtime::ENGINE_VERSION;
use crate::units::{ByteSize, TimeSpan};

/// What each case took once, as a file in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The version of this form.
    cofferdam_baseline: u32,
    /// The guest, by name; it may have changed since, which is what a baseline is for.
    guest: String,
    /// The version of wasmtime that counted the work.
    engine: String,
    cases: BTreeMap<String, Once>,
    /// Where it was read from.
    #[serde(skip)]
    path: PathBuf,
}

/// What a case took.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Once {
    /// Fuel, about one for each instruction; the same on every machine.
    work: Option<u64>,
    /// Linear memory at the end.
    memory_bytes: Option<u64>,
    /// Seconds of a call by the place where it ran, the median.
    time_s: BTreeMap<String, f64>,
}

const VERSION: u32 = 1;

/// By what factors a case may take more than it took once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Its work, which is counted and the same on every machine.
    pub work: f64,
    /// Its memory, likewise.
    pub memory: f64,
    /// Its time, which is that of a machine on a day.
    pub time: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            work: 1.05,
            memory: 1.05,
            time: 2.0,
        }
    }
}

impl Baseline {
    /// What these cases took.
    #[must_use]
    pub fn of(suite: &Suite, all: &[Checked]) -> Self {
        let once = |checked: &Checked| Once {
            work: checked.work,
            memory_bytes: checked.seen.memory().map(ByteSize::bytes),
            time_s: checked
                .costs
                .iter()
                .map(|cost| (cost.place.to_string(), cost.wall.as_secs_f64()))
                .collect(),
        };
        Self {
            cofferdam_baseline: VERSION,
            guest: suite.guest.name().to_owned(),
            engine: ENGINE_VERSION.to_owned(),
            cases: all
                .iter()
                .map(|checked| (checked.name.clone(), once(checked)))
                .collect(),
            path: PathBuf::new(),
        }
    }

    /// Reads what [`Baseline::write`] wrote.
    ///
    /// # Errors
    /// [`CheckError`] names the file, and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, CheckError> {
        let text = fs::read_to_string(path).map_err(|error| CheckError::File {
            path: path.to_owned(),
            error,
        })?;
        let refused = |why: String| CheckError::Manifest {
            path: path.to_owned(),
            why: format!("it is no baseline (`cofferdam check --save-baseline` writes one): {why}"),
        };
        let baseline: Self =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let times = baseline
            .cases
            .values()
            .flat_map(|once| once.time_s.values());
        if let Some(odd) = times.clone().find(|time| !(0.0..1e9).contains(*time)) {
            return Err(refused(format!("{odd} is no time in seconds")));
        }
        match baseline.cofferdam_baseline {
            VERSION => Ok(Self {
                path: path.to_owned(),
                ..baseline
            }),
            other => Err(refused(format!(
                "its version is {other}, and only {VERSION} is known"
            ))),
        }
    }

    /// Writes it down.
    ///
    /// # Errors
    /// [`CheckError`] names the file.
    pub fn write(&self, path: &Path) -> Result<(), CheckError> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        fs::write(path, text).map_err(|error| CheckError::File {
            path: path.to_owned(),
            error,
        })
    }

    /// Adds a finding to each case that takes more than it may, and gives back what could not be compared, in words.
    #[must_use]
    pub fn judge(&self, suite: &Suite, bounds: &Bounds, all: &mut [Checked]) -> Vec<String> {
        let mut notes = Vec::new();
        let counts_alike = self.engine == ENGINE_VERSION;
        if !counts_alike {
            notes.push(format!(
                "{}: the work in it was counted by wasmtime {}, and this is {ENGINE_VERSION}: it is not compared",
                self.path.display(),
                self.engine
            ));
        }
        for (case, checked) in suite.cases.iter().zip(all) {
            let Some(once) = self.cases.get(&case.name) else {
                notes.push(format!(
                    "{}: it has no case `{}`: nothing of that is compared",
                    self.path.display(),
                    crate::mail::printable(&case.name)
                ));
                continue;
            };
            let mut worse = Vec::new();
            if let (Some(before), Some(now), true) = (once.work, checked.work, counts_alike) {
                worse.extend(grown("work", before, now, bounds.work, |work| {
                    work.to_string()
                }));
            }
            if let (Some(before), Some(now)) = (once.memory_bytes, checked.seen.memory()) {
                let in_words = |bytes| ByteSize::from_bytes(bytes).to_string();
                worse.extend(grown(
                    "memory",
                    before,
                    now.bytes(),
                    bounds.memory,
                    in_words,
                ));
            }
            worse.extend(once.slower(checked, bounds.time));
            if let (false, Some(cost)) = (worse.is_empty(), checked.costs.first()) {
                let what = (Sort::Regression, worse.join("\n"));
                let mut finding = Finding::of(suite, case, cost.place, Call::AgainstBaseline, what);
                let path = self.path.display().to_string();
                finding.again = suite.again(&["--filter", &case.name, "--baseline", &path]);
                checked.findings.push(finding);
            }
        }
        notes
    }
}

/// Says that something grew by more than a factor.
#[expect(
    clippy::cast_precision_loss,
    reason = "it is compared with a factor, and printed with three digits"
)]
fn grown(
    what: &str,
    before: u64,
    now: u64,
    bound: f64,
    in_words: impl Fn(u64) -> String,
) -> Option<String> {
    let ratio = now as f64 / before.max(1) as f64;
    (ratio > bound).then(|| {
        format!(
            "it takes {ratio:.2} times the {what} that it took: {} before, {} now ({bound}x are allowed)",
            in_words(before),
            in_words(now)
        )
    })
}

impl Once {
    /// Says that the case is slower wherever it ran: in one place alone, that may be the machine's mood.
    fn slower(&self, checked: &Checked, bound: f64) -> Option<String> {
        let mut ratios = Vec::new();
        for cost in &checked.costs {
            let Some(&before) = self.time_s.get(&cost.place.to_string()) else {
                continue;
            };
            let now = cost.wall.as_secs_f64();
            ratios.push((now / before.max(1e-9), before, now));
        }
        let slowest = ratios
            .iter()
            .copied()
            .max_by(|(one, ..), (other, ..)| one.total_cmp(other))?;
        let is_slower = ratios.iter().all(|(ratio, ..)| *ratio > bound);
        is_slower.then(|| {
            let (ratio, before, now) = slowest;
            let [before, now] =
                [before, now].map(|time| TimeSpan::new(std::time::Duration::from_secs_f64(time)));
            format!(
                "it takes up to {ratio:.2} times the time that it took, wherever it runs: {before} before, {now} now ({bound}x are allowed)"
            )
        })
    }
}
