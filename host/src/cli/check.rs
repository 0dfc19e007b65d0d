//! `cofferdam check`

mod formats;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cofferdam::check::{
    Baseline, Bounds, Call, CheckError, Checked, FOLDER, MANIFEST, Options, Record, Report, Sort,
    Suite, check as run_check, record as run_record,
};
use cofferdam::{AllowedHost, Exit, Folder, GuestSource, TimeSpan};
use crossbeam_channel::Receiver;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;
use super::common::{CacheArgs, LimitArgs, complain, print};
use super::signals::signals;
use formats::Format;

/// Run a guest's cases in threads and in processes, and say what is not as it was said to be
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A .wasm or .wat file, or @name [default: the one that the manifest names]
    guest: Option<GuestSource>,
    /// Where the cases are written [default: cofferdam.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// A folder of cases, NAME.in and NAME.out [default: cases, if it is there]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Let the guest use a folder, under this path and read-only if so said, beside those of the manifest
    #[arg(long = "dir", value_name = "HOST::GUEST[:ro]")]
    dirs: Vec<Folder>,
    /// Let an Extism plugin fetch from a host, beside those of the manifest
    #[arg(long = "allow-host", value_name = "HOST[:PORT]")]
    hosts: Vec<AllowedHost>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Name the cases, and run nothing
    #[arg(long)]
    list: bool,
    /// Write what was seen in place of what was expected, and show what changed
    #[arg(long, conflicts_with = "list")]
    update: bool,
    /// How often each case runs in each place
    #[arg(long, value_name = "N", default_value_t = 1000)]
    calls: usize,
    /// … but no longer than this in one place
    #[arg(long, value_name = "TIME", default_value = "1s")]
    patience: TimeSpan,
    /// How many random inputs are run in both isolations
    #[arg(long, value_name = "N", default_value_t = 50)]
    random: usize,
    /// What decides the order of cases, and the random inputs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write what each case takes in work, memory and time, to be compared later
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "update"])]
    save_baseline: Option<PathBuf>,
    /// Compare what each case takes with what --save-baseline wrote
    #[arg(long, value_name = "FILE", conflicts_with = "update")]
    baseline: Option<PathBuf>,
    /// By what factor the work of a case may exceed that of the baseline
    #[arg(long, value_name = "FACTOR", default_value = "1.05x", requires = "baseline", value_parser = factor)]
    max_work: f64,
    /// … its memory
    #[arg(long, value_name = "FACTOR", default_value = "1.05x", requires = "baseline", value_parser = factor)]
    max_memory: f64,
    /// … and its time, wherever it runs
    #[arg(long, value_name = "FACTOR", default_value = "2x", requires = "baseline", value_parser = factor)]
    max_time: f64,
    /// Run each case once, and write what the host told the guest and what it said
    #[arg(long, value_name = "FILE", conflicts_with_all = ["update", "baseline", "save_baseline", "watch"])]
    record: Option<PathBuf>,
    /// Run what was recorded again, told what it was told then
    #[arg(long, value_name = "FILE", conflicts_with_all = ["update", "baseline", "save_baseline", "record", "list"])]
    replay: Option<PathBuf>,
    /// text, one JSON object, JUnit's XML, TAP, or annotations for GitHub
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Run again whenever the guest, the manifest or a file of the folder changes
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam check                        by the cofferdam.toml of this folder
  cofferdam check --cases cases @sha256  cases/abc.in is to give cases/abc.out
  cofferdam check --update               write down what comes out now
  cofferdam check --format junit > check.xml
  cofferdam check --save-baseline base.json     then, after a change:
  cofferdam check --baseline base.json --max-work 1.10x
  cofferdam check --record calls.jsonl   what the host told each case, and
  cofferdam check --replay calls.jsonl   the same told again

A manifest (in it paths are from its own folder):
  guest = \"plugin.wasm\"   # or @name; invoke = \"add\"; packed = \"greet\"
  dirs = [\"fixtures::/data:ro\"]   # hosts = [\"localhost:8080\"] for Extism plugins
  [[case]]
  name = \"greets\"
  input = \"World\"         # or input_file; post = [\"a message\"]
  output = \"Hello, World\" # or output_file, output_json, output_regex
  [[case]]
  name = \"refuses nobody\"
  outcome = \"refused\"     # or exited, trapped, deadline, memory-limit, …
  code = 2                # reason = \"a part of it\"
  timeout = \"100ms\"       # memory, max_output, fuel; depends_on_limits = true

Each case runs in a thread and in a process, on fresh and on reused instances,
the first time and the N-th, among all others, and after each of them. In both
isolations it runs with twice its memory, stack and output, with exactly what it
took of them, with less, and stopped in its middle: what it comes to then must
say so, or be the same. An instance that is kept must not grow without end. Then
random inputs run in both isolations.

Ctrl-C stops, and shows what there is.

Exit codes: 0 all is well · 100 something was found · 4 no case was selected
  130 stopped by Ctrl-C · 2 usage · 126 the guest cannot be run · 127 not found";

pub(crate) fn check(args: &Args) -> Result<Exit, Failure> {
    let stop = told_of(signals()?)?;
    if !args.watch {
        return once(args, &stop);
    }
    loop {
        let before = args.stamps();
        match once(args, &stop) {
            Ok(exit @ Exit::Signal(_)) => return Ok(exit),
            Ok(_) => {}
            Err(failure) => complain(&format!("error: {failure}")),
        }
        complain("waiting for a change (Ctrl-C ends)");
        while args.stamps() == before {
            if let Ok(signal) = stop.recv_timeout(Duration::from_millis(300)) {
                return Ok(signalled(signal));
            }
        }
    }
}

/// Signals as they come, each with a word that it was heard: the job that runs is not broken off by the first.
fn told_of(signals: Receiver<i32>) -> Result<Receiver<i32>, Failure> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let pass_on = move || {
        for signal in signals {
            complain("stopping when the job that runs has ended; again: at once");
            if sender.send(signal).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("cofferdam-stopping".to_owned())
        .spawn(pass_on)?;
    Ok(receiver)
}

fn signalled(signal: i32) -> Exit {
    Exit::Signal(u8::try_from(signal).unwrap_or(0))
}

impl Args {
    /// The manifest that was named, or the one that is there.
    fn manifest(&self) -> Option<PathBuf> {
        let usual = || Path::new(MANIFEST).is_file().then(|| MANIFEST.into());
        self.manifest.clone().or_else(usual)
    }

    fn folder(&self) -> Option<PathBuf> {
        let usual = || Path::new(FOLDER).is_dir().then(|| FOLDER.into());
        self.cases.clone().or_else(usual)
    }

    fn suite(&self) -> Result<Suite, Failure> {
        let (manifest, folder) = (self.manifest(), self.folder());
        let limits = self.limits.limits()?;
        let read = Suite::read(
            self.guest.as_ref(),
            manifest.as_deref(),
            folder.as_deref(),
            limits,
        );
        Ok(read?)
    }

    fn options(&self, stop: &Receiver<i32>) -> Options {
        Options {
            stop: Some(stop.clone()),
            calls: self.calls,
            patience: self.patience.duration(),
            random: self.random,
            seed: self.seed,
            work: self.baseline.is_some() || self.save_baseline.is_some(),
            cache: self.cache.cache(),
            ..Options::default()
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            work: self.max_work,
            memory: self.max_memory,
            time: self.max_time,
        }
    }

    /// When what is checked was written last.
    fn stamps(&self) -> Vec<Option<SystemTime>> {
        let mut paths: Vec<PathBuf> = self.manifest().into_iter().collect();
        if let Some(GuestSource::File(path)) = &self.guest {
            paths.push(path.clone());
        } else if let Ok(suite) = self.suite() {
            paths.push(suite.guest.name().into());
        }
        if let Some(folder) = self.folder() {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            paths.extend(entries.map(|entry| entry.path()));
            paths.push(folder);
        }
        let stamp = |path: &PathBuf| std::fs::metadata(path).and_then(|it| it.modified()).ok();
        paths.iter().map(stamp).collect()
    }
}

fn once(args: &Args, stop: &Receiver<i32>) -> Result<Exit, Failure> {
    let mut suite = args.suite()?;
    suite.named.extend(args.limits.typed());
    for folder in &args.dirs {
        suite.named.extend(["--dir".to_owned(), folder.to_string()]);
        suite.surroundings.dirs.push(folder.clone());
    }
    for host in &args.hosts {
        suite
            .named
            .extend(["--allow-host".to_owned(), host.to_string()]);
        suite.surroundings.hosts.push(host.clone());
    }
    if let Some(path) = &args.replay {
        return replay(args, &suite, path, stop);
    }
    if let Some(filter) = &args.filter {
        suite
            .cases
            .retain(|case| case.name.contains(filter.as_str()));
    }
    if args.list {
        let names: String = suite
            .cases
            .iter()
            .map(|case| case.name.clone() + "\n")
            .collect();
        print(names.as_bytes())?;
    }
    if suite.cases.is_empty() {
        complain(match &args.filter {
            Some(_) => "no case has such a name: --list shows them",
            None => {
                "there are no cases: write some in cofferdam.toml or in a folder `cases` (--help shows how)"
            }
        });
        return Ok(Exit::NoCase);
    }
    if args.list {
        return Ok(Exit::Done);
    }
    let options = args.options(stop);
    if let Some(path) = &args.record {
        return record(&suite, &options, path);
    }
    // Read before all is run.
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let progress = progress(suite.cases.len() as u64);
    let mut report = run_check(&suite, &options, || progress.inc(1))?;
    progress.finish_and_clear();
    if let Some(signal) = report.interrupted_by {
        tell(args, &suite, &report)?;
        complain(&format!(
            "stopped after {} of {} cases",
            report.cases.len(),
            suite.cases.len()
        ));
        return Ok(signalled(signal));
    }
    if args.update {
        return update(args, &suite, &report.cases);
    }
    if let Some(baseline) = &baseline {
        let notes = baseline.judge(&suite, &args.bounds(), &mut report.cases);
        notes.iter().for_each(|note| complain(note));
    }
    let exit = tell(args, &suite, &report)?;
    match (&args.save_baseline, exit) {
        (Some(path), Exit::Done) => {
            Baseline::of(&suite, &report.cases).write(path)?;
            complain(&format!("what each case takes is in {}", path.display()));
        }
        (Some(path), _) => complain(&format!(
            "{} is not written: what is not as it was to be is no baseline",
            path.display()
        )),
        (None, _) => {}
    }
    Ok(exit)
}

/// Prints what came of all, and says how it went.
fn tell(args: &Args, suite: &Suite, report: &Report) -> Result<Exit, Failure> {
    let text = args.format.of(suite, report);
    print(text.as_bytes())?;
    Ok(match report.is_well() {
        true => Exit::Done,
        false => Exit::Found,
    })
}

fn record(suite: &Suite, options: &Options, path: &Path) -> Result<Exit, Failure> {
    let progress = progress(suite.cases.len() as u64);
    let recorded = run_record(suite, options, || progress.inc(1))?;
    progress.finish_and_clear();
    let record = match recorded {
        Ok(record) => record,
        Err(signal) => {
            complain(&format!("stopped: {} is not written", path.display()));
            return Ok(signalled(signal));
        }
    };
    record.write(path)?;
    let (cases, answers) = record.counts();
    let plural = |count: usize, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    print(
        format!(
            "{} and {} of the host are in {}\n",
            plural(cases, "case", "cases"),
            plural(answers, "answer", "answers"),
            path.display()
        )
        .as_bytes(),
    )?;
    Ok(Exit::Done)
}

fn replay(args: &Args, suite: &Suite, path: &Path, stop: &Receiver<i32>) -> Result<Exit, Failure> {
    let mut record = Record::read(path)?;
    if let Some(filter) = &args.filter {
        record.filter(filter);
    }
    let (cases, _) = record.counts();
    if cases == 0 {
        complain(&format!("no such case is recorded in {}", path.display()));
        return Ok(Exit::NoCase);
    }
    let progress = progress(cases as u64);
    let report = record.replay(suite, &args.options(stop), path, || progress.inc(1))?;
    progress.finish_and_clear();
    let exit = tell(args, suite, &report)?;
    Ok(report.interrupted_by.map_or(exit, signalled))
}

/// A factor as it is typed: 1.10x.
fn factor(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('x').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err(format!("`{text}` is no factor: give one such as 1.10x")),
    }
}

/// Hidden where stderr is no terminal.
fn progress(cases: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(cases), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {pos}/{len} cases, {elapsed}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Writes down what was seen. What is not the same everywhere is nothing to write down.
fn update(args: &Args, suite: &Suite, checked: &[Checked]) -> Result<Exit, Failure> {
    let manifest = args.manifest();
    let mut text = String::new();
    let mut exit = Exit::Done;
    for (case, checked) in suite.cases.iter().zip(checked) {
        let is_the_same_everywhere = match checked.findings.as_slice() {
            [] => true,
            // Not what was expected, and that is what an update is for.
            [only] => (only.sort, &only.call) == (Sort::Missed, &Call::Nth(1)),
            _ => false,
        };
        if !is_the_same_everywhere {
            exit = Exit::Found;
            text += &format!("{}: not the same everywhere, left as it is\n", case.name);
            continue;
        }
        if let Some(lines) = case.update(&checked.seen, manifest.as_deref())? {
            text += &format!("{}: written anew\n{lines}\n", case.name);
        } else if !checked.findings.is_empty() {
            exit = Exit::Found;
            text += &format!("{}: cannot be written anew, change it by hand\n", case.name);
        }
    }
    print(text.as_bytes())?;
    Ok(exit)
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Guest(error) => error.into(),
            CheckError::Build(error) => error.into(),
            CheckError::File { path, error } => Self::input("check:", &path, &error),
            error => Self::usage(error.to_string()),
        }
    }
}
