//! Faults of the catalogue at random, over all settings: each ends as the catalogue says, whoever is not named as
//! lost survives, and nothing stays behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use cofferdam::experiment::{
    CATALOGUE, Entry, Injector, Observation, Programs, Setting, sacrifice, serve_sacrifice,
};
use cofferdam::{Cache, InstancePolicy, Isolation, LinkKind, StartMethod, WaitPolicy};
use cofferdam_benches::Failure;
use cofferdam_benches::arms::until;
use cofferdam_benches::proc::children;

use crate::{eprintln, println};

#[path = "../../../../host/tests/faults/rogue.rs"]
mod rogue;

pub(crate) use rogue::serve_if_rogue;

#[derive(Debug, Args)]
pub(crate) struct Inject {
    /// Injections
    #[arg(long, value_name = "N", default_value_t = 12_000)]
    count: u64,
    /// Where the workers live that meet the faults. What ends its host is injected in a host of its own
    #[arg(long, value_enum, default_value_t = Where::Process)]
    isolation: Where,
    /// Decides which faults meet which settings
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only faults whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// Where workers live, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Where {
    Thread,
    Process,
}

impl From<Where> for Isolation {
    fn from(typed: Where) -> Self {
        match typed {
            Where::Thread => Self::Thread,
            Where::Process => Self::Process,
        }
    }
}

/// A sacrificial host. Not for people.
#[derive(Debug, Args)]
pub(crate) struct Sacrifice {
    id: String,
    setting: String,
    rogue: PathBuf,
    cache: PathBuf,
}

impl Sacrifice {
    pub(crate) fn serve(&self) -> ExitCode {
        let setting = match serde_json::from_str(&self.setting) {
            Ok(setting) => setting,
            Err(error) => {
                eprintln(&format!("endure: this command is its own ({error})"));
                return ExitCode::FAILURE;
            }
        };
        match programs(&self.rogue, &self.cache) {
            Ok(programs) => serve_sacrifice(&self.id, setting, &programs),
            Err(_) => ExitCode::FAILURE,
        }
    }
}

/// Injections that meet the same setting, one after another: making its bystanders takes longer than a fault.
const BLOCK: u64 = 40;

/// So many complaints are enough to see what is wrong.
const MOST_COMPLAINTS: usize = 20;

/// What came of all injections so far.
#[derive(Default)]
struct Tally {
    ends: BTreeMap<(&'static str, String), u64>,
    settings: BTreeMap<String, u64>,
    count: u64,
    overrun: Duration,
    bystanders: u64,
    bystanders_lost: u64,
    complaints: Vec<String>,
}

pub(crate) fn inject(args: &Inject) -> Result<(), Failure> {
    quieten();
    let place = Place::make()?;
    let mut rng = fastrand::Rng::with_seed(args.seed);
    let began = Instant::now();
    // Threads and descriptors that stay are there after this.
    let mut first = Tally::default();
    block(args, &place, &mut rng, BLOCK, &mut first)?;
    let before = Held::settled()?;
    let mut tally = Tally {
        complaints: first.complaints,
        ..Tally::default()
    };
    let mut told = 0;
    while tally.count < args.count {
        let count = BLOCK.min(args.count - tally.count);
        block(args, &place, &mut rng, count, &mut tally)?;
        if tally.count / 1000 > told {
            told = tally.count / 1000;
            eprintln(&format!("{} of {}", tally.count, args.count));
        }
        if tally.complaints.len() > MOST_COMPLAINTS {
            break;
        }
    }
    let after = before.awaited();
    tally.print();
    println(&format!(
        "{} injections in {} isolation, seed {}, {:.0} s: host alive; longest overrun of a deadline {:.0} ms; \
         bystanders: {} jobs well, {} lost",
        tally.count,
        Isolation::from(args.isolation),
        args.seed,
        began.elapsed().as_secs_f64(),
        tally.overrun.as_secs_f64() * 1e3,
        tally.bystanders,
        tally.bystanders_lost,
    ));
    match after {
        Ok(()) => println(&format!("back to {before}")),
        Err(what) => tally.complaints.push(what),
    }
    for complaint in &tally.complaints {
        println(&format!("FAILED: {complaint}"));
    }
    match tally.complaints.len() {
        0 => Ok(()),
        count => Err(format!("{count} did not go as expected").into()),
    }
}

/// Injects so many faults in one setting, both by lot.
fn block(
    args: &Inject,
    place: &Place,
    rng: &mut fastrand::Rng,
    count: u64,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let setting = any_setting(args.isolation.into(), rng);
    let entries: Vec<&Entry> = CATALOGUE
        .iter()
        .filter(|entry| entry.is_injected_in(&setting) && entry.id.contains(&args.only))
        .collect();
    let injector = Injector::new(setting, &place.programs)?;
    for _ in 0..count {
        // A fault that is met in few settings alone has none in others.
        let Some(entry) = rng.choice(&entries) else {
            return match CATALOGUE.iter().any(|entry| entry.id.contains(&args.only)) {
                true => Ok(()),
                false => Err(format!("no fault is called {:?}", args.only).into()),
            };
        };
        let seen = if entry.expected(setting.isolation).ends_the_host() {
            sacrifice(&mut place.sacrificial_host(entry, &setting)?, entry)
        } else {
            injector.inject(entry, || ())
        };
        tally.add(entry, &setting, seen);
    }
    Ok(())
}

fn any_setting(isolation: Isolation, rng: &mut fastrand::Rng) -> Setting {
    Setting {
        isolation,
        start: rng.choice(StartMethod::ALL).unwrap_or_default(),
        link: rng.choice(LinkKind::ALL).unwrap_or_default(),
        wait: rng.choice(WaitPolicy::ALL).unwrap_or_default(),
        instance: rng.choice(InstancePolicy::ALL).unwrap_or_default(),
    }
}

impl Tally {
    fn add(&mut self, entry: &Entry, setting: &Setting, seen: Result<Observation, String>) {
        self.count += 1;
        *self.settings.entry(setting.to_string()).or_default() += 1;
        match seen {
            Ok(seen) => {
                let ending = format!("{}, {}", seen.ending, seen.loss);
                *self.ends.entry((entry.id, ending)).or_default() += 1;
                self.overrun = self.overrun.max(seen.overrun);
                self.bystanders += seen.bystanders;
                self.bystanders_lost += seen.bystanders_lost;
                self.complaints.extend(entry.judge(setting, &seen).err());
            }
            Err(why) => self
                .complaints
                .push(format!("{} ({setting}): {why}", entry.id)),
        }
    }

    fn print(&self) {
        for ((id, ending), count) in &self.ends {
            println(&format!("{count:>7}  {id}: {ending}"));
        }
        println(&format!("{} settings were met", self.settings.len()));
    }
}

/// Keeps the panics that are drills off the terminal.
fn quieten() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if !message.starts_with("a drill:") {
            told(panic);
        }
    }));
}

fn programs(rogue: &Path, cache: &Path) -> Result<Programs, Failure> {
    Ok(Programs {
        worker: std::env::current_exe()?,
        rogue: rogue.to_owned(),
        cache: Cache::at(cache),
    })
}

/// A folder with a second name of this program and a cache, which goes when this is dropped.
struct Place {
    folder: PathBuf,
    programs: Programs,
}

impl Place {
    fn make() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("cofferdam-endure-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let rogue = folder.join(rogue::NAME);
        std::os::unix::fs::symlink(std::env::current_exe()?, &rogue)?;
        let programs = programs(&rogue, &folder.join("cache"))?;
        Ok(Self { folder, programs })
    }

    /// This program as a host that is there to be lost.
    fn sacrificial_host(&self, entry: &Entry, setting: &Setting) -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["sacrifice", entry.id, &serde_json::to_string(setting)?])
            .args([&self.programs.rogue, &self.folder.join("cache")]);
        Ok(command)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What this process holds of the system that a lost worker could leave behind.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    children: usize,
    threads: usize,
}

/// So many looks without a change are quiet; threads that were given up may sleep for longer than a second.
const QUIET_LOOKS: u32 = 100;

impl Held {
    fn now() -> Result<Self, Failure> {
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            children: children()?.len(),
            threads: fs::read_dir("/proc/self/task")?.count(),
        })
    }

    fn settled() -> Result<Self, Failure> {
        let mut same = 0;
        let mut last = Self::now()?;
        until("processes or descriptors come and go without end", || {
            std::thread::sleep(Duration::from_millis(20));
            let now = Self::now()?;
            same = if now == last { same + 1 } else { 0 };
            last = now;
            Ok((same >= QUIET_LOOKS).then_some(now))
        })
    }

    /// Waits until nothing more is there.
    fn awaited(&self) -> Result<(), String> {
        until("more than before", || {
            let now = Self::now()?;
            let is_back = now.descriptors <= self.descriptors
                && now.children <= self.children
                && now.threads <= self.threads;
            Ok(is_back.then_some(()))
        })
        .map_err(|_| match Self::now() {
            Ok(now) => format!("what was {self} is {now}"),
            Err(error) => error.to_string(),
        })
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (descriptors, children, threads) = (self.descriptors, self.children, self.threads);
        write!(
            f,
            "{descriptors} descriptors, {children} children, {threads} threads"
        )
    }
}
