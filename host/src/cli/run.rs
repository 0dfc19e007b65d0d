//! `cofferdam run`

mod native;
mod output;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use cofferdam::{
    Completion, Death, Exit, GuestSource, Hardening, Incident, Job, Lost, Outbox, Outcome, Pool,
    PoolBuilder, Region, TimeSpan,
};
use crossbeam_channel::{Receiver, Sender, never, select};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::SIGTERM;

use super::Failure;
use super::common::{
    CacheArgs, HardeningArg, InstanceArg, IsolationArg, LimitArgs, LinkArg, STDIN_TWICE, StartArg,
    WaitArg, complain, cpus,
};
use super::guest::{GuestArgs, TWO_INPUTS, ToldArgs};
use super::input::{InputArgs, Item, Source};
use super::signals::signals;
use native::NativeArgs;
use output::{Done, Format, Output};

/// Run jobs through a pool of workers; replies go to stdout, in the order of the input
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    told: ToldArgs,

    #[command(flatten)]
    native: NativeArgs,

    #[command(flatten)]
    given: InputArgs,
    /// With --input-dir: write each reply to a file of the same name in this folder
    #[arg(
        long,
        value_name = "DIR",
        requires = "input_dir",
        help_heading = "Input and output"
    )]
    output_dir: Option<PathBuf>,
    /// Run each job so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..), help_heading = "Input and output")]
    repeat: u64,
    /// Post this message to each job, in addition to its input; may be given several times
    #[arg(long, value_name = "TEXT", help_heading = "Input and output")]
    post: Vec<String>,
    /// Print replies as jobs end, not in the order of the input
    #[arg(long, help_heading = "Input and output")]
    unordered: bool,
    /// text, or one JSON object a line
    #[arg(
        long,
        value_enum,
        default_value = "text",
        help_heading = "Input and output"
    )]
    format: Format,

    /// Where workers live
    #[arg(long, value_enum, default_value = "process", help_heading = "Workers")]
    isolation: IsolationArg,
    /// How many workers [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096), help_heading = "Workers")]
    workers: Option<usize>,
    /// How process workers come to be, and in no other way [default: fork, or exec where that cannot be]
    #[arg(long, value_enum, help_heading = "Workers")]
    start: Option<StartArg>,
    /// How many workers wait ready, with --start spare [default: 1]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=64), help_heading = "Workers")]
    spares: Option<usize>,
    /// How process workers are reached
    #[arg(long, value_enum, default_value = "shm", help_heading = "Workers")]
    link: LinkArg,
    /// How workers wait for jobs, and whoever handed one in for its reply; in threads too
    #[arg(long, value_enum, default_value = "auto", help_heading = "Workers")]
    wait: WaitArg,
    /// What process workers give up before they run the guest
    #[arg(
        long,
        value_enum,
        default_value = "best-effort",
        help_heading = "Workers"
    )]
    hardening: HardeningArg,
    /// Whether a job finds what the job before it left behind
    #[arg(long, value_enum, default_value = "fresh", help_heading = "Workers")]
    instance: InstanceArg,
    /// Run a job again when its worker dies, so many times; it then runs at least once
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Workers")]
    retries: u32,
    /// Give up a job that no worker took up in this time: 500ms, 10s
    #[arg(long, value_name = "TIME", help_heading = "Workers")]
    queue_timeout: Option<TimeSpan>,
    /// Make the guest's random bytes and clock reproducible (the bytes are then no secret)
    #[arg(long, value_name = "N", help_heading = "Workers")]
    seed: Option<u64>,

    /// Share a file's content with all workers, which may read it: the guest finds it in its region
    #[arg(long, value_name = "FILE", help_heading = "Workers")]
    region: Option<PathBuf>,

    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

const EXAMPLES: &str = "\
Examples:
  cofferdam run --input hello @sha256
  cofferdam run --isolation thread --workers 2 --lines passwords.txt @argon2
  seq 1000 | cofferdam run --lines - --format json ./guest.wasm
  cofferdam run --input-file in.csv --env LANG=C tool.wasm -- --sort
  cofferdam run --dir photos::/in:ro --dir out::/out tool.wasm -- /in /out
  cofferdam run --invoke add math.wasm -- 3 4
  cofferdam run --packed greet --free free --input World plugin.wasm
  cofferdam run --call count_vowels --input hello extism-plugin.wasm
  cofferdam run --call weather --allow-host api.example.com --input Oslo plugin.wasm
  cofferdam run --native --timeout 5s --lines hosts.txt -- xargs -n1 dig +short
  cofferdam run --input-dir photos --output-dir blurred --timeout 5s @blur

Output:
  One job: its reply as it is. Several: one reply a line; where a job failed, an
  empty line keeps the place, and stderr says why. Messages that guests post go
  to stderr; with --format json everything is an object on stdout.

WASI commands:
  The input is standard input, the reply is standard output, in a fresh instance
  for each job; no folder is there but those of --dir, no variable but those of
  --env, and no socket. What a job writes in a folder stays, however the job ends.
  Lines on standard error go to stderr, at most 64 KiB a job. What a lone command
  wrote before a trap is printed too.

Extism plugins:
  http_request reaches the hosts of --allow-host and no other, by http and https,
  on every port unless one is given; redirects stay within them. It is this
  program that fetches: a worker process has no sockets. A request counts as output,
  an answer (16 MiB at the most) as memory, and --seed does not make it the same.

Native commands:
  --native runs an ordinary program of this machine in place of a guest: pooled,
  limited in time and output, and each of its processes in memory; it ends with its
  whole process group. It is not sandboxed, and finds PATH and --env in its
  environment, nothing else.
  No shell is asked but with --shell.

Ctrl-C once finishes the jobs that have begun or wait in the queue; twice kills
them.

Exit codes: 0 done · 1 some job failed · 2 usage · 124 deadline
  125 cofferdam failed · 126 the guest cannot be run · 127 not found · 134 trap
  a lone command's own · 128+n the only job's worker died of signal n, or cofferdam was stopped by it";

pub(crate) fn run(args: Args) -> Result<Exit, Failure> {
    let limits = args.limits.limits()?;
    if args.post.len() > Outbox::CAPACITY {
        let most = Outbox::CAPACITY;
        return Err(Failure::usage(format!(
            "--post: {} messages are more than the {most} that may wait",
            args.post.len()
        )));
    }
    if args.spares.is_some() && !matches!(args.start, Some(StartArg::Spare)) {
        return Err(Failure::usage("--spares N goes with --start spare"));
    }
    if args.guest.named() == Some(GuestSource::Stdin) && args.given.wants_stdin() {
        return Err(Failure::usage(STDIN_TWICE));
    }
    let Begun {
        builder,
        numbers,
        is_command,
    } = match args.native.is_given() {
        true => args.native()?,
        false => args.guest()?,
    };
    let source = match numbers {
        Some(_) if args.given.is_given() => {
            return Err(Failure::usage(TWO_INPUTS));
        }
        Some(numbers) => Source::One(numbers.into_bytes()),
        None => args.given.open(b"", limits.input)?,
    };
    let single = source.is_single() && args.repeat == 1;
    let workers = args
        .workers
        .unwrap_or_else(|| if single { 1 } else { cpus() });
    let total = source
        .count()
        .map(|count| count.saturating_mul(args.repeat));
    let output = Output::open(args.format, args.output_dir.clone(), single, is_command)?;
    if let (Some(input), Some(output)) = (&args.given.input_dir, &args.output_dir)
        && input.canonicalize()? == output.canonicalize()?
    {
        return Err(Failure::usage(
            "--output-dir is the same folder as --input-dir: the replies would overwrite the inputs",
        ));
    }
    let pool = builder
        .isolation(args.isolation.into())
        .workers(workers)
        // As many as may be outstanding: handing in never waits.
        .queue(window(workers))
        .spares(args.spares.unwrap_or(1))
        .link(args.link.into())
        .wait(args.wait.into())
        .hardening(args.hardening.into())
        .instance(args.instance.into())
        .limits(limits)
        .retries(args.retries)
        .queue_timeout(args.queue_timeout.map(TimeSpan::duration))
        .seed(args.seed)
        .cache(args.cache.cache())
        .compile(args.cache.compile())
        .on_incident(|incident| complain(&describe(incident)))
        .build()?;
    if let Some(trouble) = pool.cache_trouble() {
        complain(&format!("warning: {trouble}"));
    }
    let items = source.read(args.repeat, limits.input)?;
    let (done, ends) = crossbeam_channel::unbounded();
    let desk = Desk {
        pool,
        output,
        done,
        ends,
        window: window(workers) as u64,
        hardening: args.hardening.into(),
        post: args.post,
        ordered: !args.unordered,
        progress: progress(total),
        submitted: 0,
        finished: 0,
        next: 0,
        early: BTreeMap::new(),
        failed: 0,
        exit: Exit::Done,
        broken: false,
    };
    desk.serve(items, single)
}

/// What is known of a pool from who runs its jobs.
struct Begun {
    builder: PoolBuilder,
    /// The input of the only job, where the words after `--` are that.
    numbers: Option<String>,
    /// Whether what jobs write counts, however they end.
    is_command: bool,
}

impl Args {
    /// The pool of a guest.
    fn guest(&self) -> Result<Begun, Failure> {
        let guest = self.guest.load()?;
        let surroundings = self.told.told(&guest)?;
        let is_command = guest.entry().is_command();
        if is_command && matches!(self.instance, InstanceArg::Reused) {
            return Err(Failure::usage(format!(
                "--instance reused: {} is a command, which ends with its job: leave it out",
                guest.name()
            )));
        }
        let numbers = self.told.numbers(guest.entry());
        let mut builder = Pool::builder(guest).surroundings(surroundings);
        if let Some(path) = &self.region {
            builder = builder.region(&region_of(path)?);
        }
        if let Some(start) = self.start {
            builder = builder.start(start.into());
        }
        Ok(Begun {
            builder,
            numbers,
            is_command,
        })
    }

    /// The pool of a native command.
    fn native(&self) -> Result<Begun, Failure> {
        Ok(Begun {
            builder: self.native_pool()?,
            numbers: None,
            is_command: true,
        })
    }
}

/// A region with the content of a file as it is now.
fn region_of(path: &Path) -> Result<Region, Failure> {
    let made = File::open(path).and_then(|file| Region::of_file(&file));
    made.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput => {
            let path = path.display();
            Failure::usage(format!(
                "--region {path}: {error}: give a file with content"
            ))
        }
        _ => Failure::input("--region", path, &error),
    })
}

/// Jobs that are handed in but not yet printed. It bounds the memory, and lets a slow job hold up
/// the printing of some quick ones without holding up their running.
fn window(workers: usize) -> usize {
    4 * workers + 16
}

fn progress(total: Option<u64>) -> ProgressBar {
    // With replies on the same terminal a bar would only be in the way.
    let visible = !std::io::stdout().is_terminal() && total != Some(1);
    let target = if visible {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let template = match total {
        Some(_) => "{bar:30} {pos}/{len} jobs, {per_sec}, {eta} left",
        None => "{spinner} {pos} jobs, {per_sec}",
    };
    let bar = ProgressBar::with_draw_target(total, target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What happened to a worker, in words.
fn describe(incident: &Incident<'_>) -> String {
    match incident {
        Incident::Died {
            worker,
            death,
            job,
            last_words,
        } => {
            let during = job.map_or(" between jobs".to_owned(), |job| {
                format!(" during job {job}")
            });
            let words = match *last_words {
                "" => String::new(),
                words => format!("; it had said: {words}"),
            };
            format!("{worker}: {death}{during}{words}")
        }
        Incident::StartFailed { slot, death, pause } => {
            format!(
                "worker {}: {death}; trying again in {}",
                slot + 1,
                TimeSpan::new(*pause)
            )
        }
        Incident::FellBack { to, why } => {
            format!("{why}; workers are started by {to} instead, which is slower")
        }
        Incident::Quarantined { slot, death } => {
            format!("worker {} is given up: {death}", slot + 1)
        }
        _ => format!("{incident:?}"),
    }
}

/// Where jobs are handed in and replies come out: one loop over everything that can happen.
struct Desk {
    pool: Pool,
    output: Output,
    done: Sender<Done>,
    ends: Receiver<Done>,
    window: u64,
    post: Vec<String>,
    ordered: bool,
    progress: ProgressBar,
    submitted: u64,
    finished: u64,
    /// The next job to print, where the order is kept, and those that ended before their turn.
    next: u64,
    early: BTreeMap<u64, Done>,
    failed: u64,
    exit: Exit,
    hardening: Hardening,
    /// No worker is left: further jobs would only fail.
    broken: bool,
}

impl Desk {
    fn serve(mut self, items: Receiver<Item>, single: bool) -> Result<Exit, Failure> {
        let signals = signals()?;
        let nothing = never();
        let mut items = Some(items);
        let mut stopped_by = None;
        loop {
            let outstanding = self.submitted - self.finished;
            if items.is_none() && outstanding == 0 {
                break;
            }
            let open = items
                .as_ref()
                .filter(|_| outstanding < self.window)
                .unwrap_or(&nothing);
            if self.ends.is_empty() {
                self.output.flush()?;
            }
            select! {
                recv(open) -> item => match item {
                    Ok(item) => self.submit(item),
                    Err(_) if self.submitted == 0 => {
                        return Err(Failure::usage("the input is empty, so there is no job to run"));
                    }
                    Err(_) => items = None,
                },
                recv(self.ends) -> done => if let Ok(done) = done {
                    self.take(done)?;
                    if self.broken {
                        items = None;
                    }
                },
                recv(signals) -> signal => {
                    let signal = signal.unwrap_or(SIGTERM);
                    if stopped_by.replace(signal).is_none() {
                        items = None;
                        self.note(&format!(
                            "stopping: {outstanding} jobs are still to be finished (again to kill them)"
                        ));
                    } else {
                        self.pool.stopper().stop();
                    }
                },
            }
        }
        self.output.flush()?;
        self.progress.finish_and_clear();
        let enforcement = self.pool.enforcement();
        if let Some(held) = enforcement
            && self.hardening == Hardening::BestEffort
            && !held.is_complete()
        {
            complain(&format!(
                "workers were not hardened in full: {}",
                held.shortcomings()
            ));
        }
        let health = self.pool.drain();
        self.output
            .sum_up(&health, self.hardening, enforcement.as_ref())?;
        if self.failed > 0 && !single {
            complain(&format!("{} of {} jobs failed", self.failed, self.finished));
        }
        Ok(match stopped_by {
            Some(signal) => Exit::Signal(u8::try_from(signal).unwrap_or(0)),
            None if self.broken => Exit::Internal,
            None if single => self.exit,
            None if self.failed > 0 => Exit::JobFailed,
            None => Exit::Done,
        })
    }

    fn submit(&mut self, item: Item) {
        let place = self.submitted;
        self.submitted += 1;
        let Item { name, file, bytes } = item;
        let refused = |result: String| Done {
            place,
            name: name.clone(),
            file: file.clone(),
            result: Err(result),
        };
        let job = match bytes {
            Ok(bytes) => Job::new(bytes),
            Err(why) => return drop(self.done.send(refused(why))),
        };
        let job = if self.post.is_empty() {
            job
        } else {
            // Posted before the job runs: a guest that only polls finds them. Dropping the outbox
            // tells it that these were all.
            let (job, outbox) = job.with_inbox();
            for message in &self.post {
                if let Err(error) = outbox.post(message.as_bytes()) {
                    return drop(self.done.send(refused(error.to_string())));
                }
            }
            job
        };
        let done = self.done.clone();
        let ended = {
            let (name, file) = (name.clone(), file.clone());
            move |completion| {
                drop(done.send(Done {
                    place,
                    name,
                    file,
                    result: Ok(completion),
                }));
            }
        };
        if let Err(error) = self.pool.submit_with(self.output.listen(job, place), ended) {
            let _ = self.done.send(refused(error.to_string()));
        }
    }

    fn take(&mut self, done: Done) -> Result<(), Failure> {
        if !self.ordered {
            return self.print(&done);
        }
        self.early.insert(done.place, done);
        while let Some(done) = self.early.remove(&self.next) {
            self.next += 1;
            self.print(&done)?;
        }
        Ok(())
    }

    fn print(&mut self, done: &Done) -> Result<(), Failure> {
        self.finished += 1;
        self.progress.inc(1);
        let (exit, why) = judge(&done.result);
        let printed = self.output.print(done)?;
        if let Some(why) = why.or(printed) {
            self.failed += 1;
            let has_spoken = matches!(exit, Exit::Command(_)) && self.output.is_the_commands();
            let lost = done
                .result
                .as_ref()
                .ok()
                .and_then(|completion| completion.result.as_ref().err());
            self.broken |= matches!(lost, Some(Lost::NoWorkers(_)));
            self.exit = if exit == Exit::Done {
                Exit::JobFailed
            } else {
                exit
            };
            let name = match done.name.as_str() {
                "" => String::new(),
                name => format!("{name}: "),
            };
            let worker = match &done.result {
                Ok(completion) if !completion.worker.is_empty() => {
                    format!(" [{}]", completion.worker)
                }
                _ => String::new(),
            };
            // A command says itself what is wrong, and its exit code is ours.
            if !has_spoken {
                self.note(&format!("{name}{why}{worker}"));
            }
        }
        Ok(())
    }

    fn note(&self, message: &str) {
        self.progress.suspend(|| complain(message));
    }
}

/// A command's exit code as ours: a shell sees 8 bits, and what is no success must not become one.
fn of_command(code: i32) -> u8 {
    match code.to_le_bytes()[0] {
        0 => 1,
        code => code,
    }
}

/// What a job's end means: the exit code if it was the only one, and what went wrong.
fn judge(result: &Result<Completion, String>) -> (Exit, Option<String>) {
    let completion = match result {
        Ok(completion) => completion,
        Err(why) => return (Exit::JobFailed, Some(why.clone())),
    };
    let exit = match &completion.result {
        Ok(reply) => match &reply.outcome {
            Outcome::Output => return (Exit::Done, None),
            Outcome::Exited(code) => Exit::Command(of_command(*code)),
            Outcome::Trapped { .. } => Exit::Trapped,
            Outcome::Deadline => Exit::Deadline,
            Outcome::InvalidGuest(_) => Exit::CannotRun,
            _ => Exit::JobFailed,
        },
        Err(Lost::Worker(Death::Signalled(signal))) => {
            Exit::Signal(u8::try_from(*signal).unwrap_or(0))
        }
        Err(Lost::NoWorkers(_) | Lost::Worker(Death::SpawnFailed(_))) => Exit::Internal,
        Err(_) => Exit::JobFailed,
    };
    let why = match &completion.result {
        Ok(reply) => reply.outcome.to_string(),
        Err(lost) => lost.to_string(),
    };
    (exit, Some(why))
}
