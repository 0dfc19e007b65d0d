//! Every fault of the catalogue happens, and what comes of it is what the catalogue says.
//!
//! This program is its own native worker ([`rogue`]) and its own sacrificial host, so it has a `main` of its own.
//! `COFFERDAM_ALL_WAYS` injects with every way of waiting and both instance policies; without it they take turns.
//! `--only TEXT` looks only at faults whose name contains it.

#[path = "../common/mod.rs"]
mod common;

mod rogue;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use cofferdam::experiment::{
    CATALOGUE, Ending, Entry, Expected, Injector, Loss, Observation, Programs, Proof, Setting,
    document, sacrifice, serve_sacrifice,
};
use cofferdam::{
    Cache, Guest, InstancePolicy, Isolation, Job, LinkKind, Outcome, StartMethod, TrapKind,
    WaitPolicy,
};

use common::{
    COFFERDAM, MS, Way, builder, children_of, complete, habits, limits, some_ways, wait_until, ways,
};

/// A test and its name.
type Test = (&'static str, fn(&Stage));

const TESTS: [Test; 6] = [
    (
        "every_fault_in_a_process_ends_as_the_catalogue_says",
        every_fault_in_a_process_ends_as_the_catalogue_says,
    ),
    (
        "every_fault_in_a_thread_ends_as_the_catalogue_says",
        every_fault_in_a_thread_ends_as_the_catalogue_says,
    ),
    (
        "a_wrong_expectation_does_not_pass",
        a_wrong_expectation_does_not_pass,
    ),
    (
        "the_tests_that_the_catalogue_names_exist",
        the_tests_that_the_catalogue_names_exist,
    ),
    (
        "the_published_page_is_that_of_the_catalogue",
        the_published_page_is_that_of_the_catalogue,
    ),
    (
        "a_guest_with_any_bit_flipped_is_refused_or_runs_to_an_end",
        a_guest_with_any_bit_flipped_is_refused_or_runs_to_an_end,
    ),
];

/// The argument that makes this program a sacrificial host, before the fault's name and the setting.
const SACRIFICE: &str = "--sacrifice";

fn main() -> ExitCode {
    if let Some(code) = rogue::serve_if_rogue() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, id, setting, rogue, cache] = &arguments[..]
        && mark == SACRIFICE
    {
        let setting = serde_json::from_str(setting).expect("a setting");
        return serve_sacrifice(id, setting, &programs(rogue.into(), Path::new(cache)));
    }
    quieten();
    run_tests(&arguments);
    ExitCode::SUCCESS
}

/// Keeps the panics that are drills out of the test's output.
fn quieten() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if !message.starts_with("a drill:") {
            told(panic);
        }
    }));
}

/// Does what the usual test harness does with the arguments that people use.
fn run_tests(arguments: &[String]) {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let only = arguments
        .iter()
        .position(|argument| argument == "--only")
        .and_then(|place| arguments.get(place + 1).cloned());
    let mut filters = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-') && Some(*argument) != only.as_ref());
    let filter = filters.next().cloned().unwrap_or_default();
    let stage = Stage::set(only.clone().unwrap_or_default());
    let chosen = TESTS
        .iter()
        .filter(|(name, _)| name.contains(&filter) && !has("--ignored"));
    for (name, test) in chosen {
        if has("--list") {
            say(&format!("{name}: test"));
        } else {
            // A failure is a panic, and ends the process with another code than 0.
            test(&stage);
            say(&format!("test {name} ... ok"));
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// What the tests have in common: the rogue's name, and a place for compiled guests.
struct Stage {
    folder: tempfile::TempDir,
    only: String,
}

fn programs(rogue: PathBuf, cache: &Path) -> Programs {
    Programs {
        worker: COFFERDAM.into(),
        rogue,
        cache: Cache::at(cache),
    }
}

impl Stage {
    fn set(only: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let this = std::env::current_exe().expect("this program has a name");
        std::os::unix::fs::symlink(this, folder.path().join(rogue::NAME)).expect("a second name");
        Self { folder, only }
    }

    fn rogue(&self) -> PathBuf {
        self.folder.path().join(rogue::NAME)
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn programs(&self) -> Programs {
        programs(self.rogue(), &self.cache())
    }

    /// The faults to look at in a setting.
    fn entries(&self, setting: &Setting) -> impl Iterator<Item = &'static Entry> {
        let (setting, only) = (*setting, self.only.clone());
        CATALOGUE
            .iter()
            .filter(move |entry| entry.is_injected_in(&setting) && entry.id.contains(&only))
    }

    /// Makes a fault happen, in this process if it lives through it.
    fn inject(
        &self,
        injector: &Injector,
        setting: &Setting,
        entry: &Entry,
    ) -> Result<Observation, String> {
        if entry.expected(setting.isolation).ends_the_host() {
            let this = std::env::current_exe().expect("this program has a name");
            let setting = serde_json::to_string(setting).expect("it is plain data");
            let mut host = Command::new(this);
            host.args([SACRIFICE, entry.id, &setting])
                .args([self.rogue(), self.cache()]);
            sacrifice(&mut host, entry)
        } else {
            injector.inject(entry, || ())
        }
    }

    /// Makes every fault happen in a setting, and says how many there were.
    fn all(&self, setting: Setting, complaints: &mut Vec<String>) -> usize {
        let injector = Injector::new(setting, &self.programs()).expect("the bystanders work");
        let mut count = 0;
        for entry in self.entries(&setting) {
            let judged = match self.inject(&injector, &setting, entry) {
                Ok(seen) => entry.judge(&setting, &seen),
                Err(why) => Err(format!("{} ({setting}): {why}", entry.id)),
            };
            complaints.extend(judged.err());
            count += 1;
        }
        count
    }
}

/// Every start method with every link, each with one way of waiting and one instance policy; or with all, if that is
/// asked for.
fn some_settings() -> Vec<Setting> {
    let all = std::env::var_os("COFFERDAM_ALL_WAYS").is_some();
    let setting = |way: Way| Setting {
        isolation: Isolation::Process,
        start: way.start,
        link: way.link,
        wait: way.wait,
        instance: way.instance,
    };
    if all {
        return ways().map(setting).collect();
    }
    // Pairs of both instance policies: of each the one or the other.
    let pairs = some_ways();
    let take = |(place, pair): (usize, &[Way])| setting(pair[place % 2]);
    pairs.chunks_exact(2).enumerate().map(take).collect()
}

fn every_fault_in_a_process_ends_as_the_catalogue_says(stage: &Stage) {
    let mut complaints = Vec::new();
    let mut count = 0;
    for setting in some_settings() {
        count += stage.all(setting, &mut complaints);
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    wait_until("the workers are gone", || {
        children_of(std::process::id()).is_empty()
    });
    say(&format!("{count} faults in processes, each as expected"));
}

fn in_threads(wait: WaitPolicy, instance: InstancePolicy) -> Setting {
    Setting {
        isolation: Isolation::Thread,
        start: StartMethod::default(),
        link: LinkKind::default(),
        wait,
        instance,
    }
}

fn every_fault_in_a_thread_ends_as_the_catalogue_says(stage: &Stage) {
    let mut complaints = Vec::new();
    let mut count = 0;
    let all = std::env::var_os("COFFERDAM_ALL_WAYS").is_some();
    let some = [
        (WaitPolicy::Auto, InstancePolicy::Fresh),
        (WaitPolicy::Park, InstancePolicy::Reused),
    ];
    let chosen: Vec<_> = if all { habits().collect() } else { some.into() };
    for (wait, instance) in chosen {
        count += stage.all(in_threads(wait, instance), &mut complaints);
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    say(&format!("{count} faults in threads, each as expected"));
}

fn named(id: &str) -> &'static Entry {
    let found = CATALOGUE.iter().find(|entry| entry.id == id);
    found.expect("a fault of this name")
}

fn a_wrong_expectation_does_not_pass(stage: &Stage) {
    let setting = in_threads(WaitPolicy::Park, InstancePolicy::Reused);
    let injector = Injector::new(setting, &stage.programs()).expect("the bystanders work");
    let entry = named("G1.divide-by-zero");
    let seen = stage.inject(&injector, &setting, entry);
    let seen = seen.expect("it happens");
    assert_eq!(entry.judge(&setting, &seen), Ok(()));
    let wrong: [(Ending, Loss); 4] = [
        (Ending::Output, Loss::Instance),
        (Ending::Trapped(TrapKind::Unreachable), Loss::Instance),
        (seen.ending, Loss::Nothing),
        (seen.ending, Loss::Worker),
    ];
    for ends in wrong {
        let changed = Entry {
            thread: Expected::Ends(Box::leak(Box::new([ends]))),
            ..*entry
        };
        let judged = changed.judge(&setting, &seen);
        assert!(judged.is_err(), "{ends:?} passed");
    }
    let spoilt = [
        Observation {
            next_as_meant: false,
            ..seen.clone()
        },
        Observation {
            bystanders_lost: 1,
            ..seen.clone()
        },
        Observation {
            bystanders: 0,
            ..seen.clone()
        },
        Observation {
            overrun: MS(1001),
            ..seen.clone()
        },
        Observation {
            control_characters: true,
            ..seen.clone()
        },
    ];
    for seen in spoilt {
        let judged = entry.judge(&setting, &seen);
        assert!(judged.is_err(), "{seen:?} passed");
    }
}

fn the_tests_that_the_catalogue_names_exist(_: &Stage) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in CATALOGUE {
        let is_shown = !matches!(entry.proof, Proof::Tested) || !entry.tests.is_empty();
        let is_absent = [&entry.thread, &entry.process]
            .iter()
            .all(|expected| matches!(expected, Expected::Absent(_)));
        assert!(is_shown || is_absent, "{}: nothing shows it", entry.id);
        for (file, name) in entry.tests {
            let source = fs::read_to_string(root.join(file));
            let source = source.unwrap_or_else(|error| panic!("{}: {file}: {error}", entry.id));
            let is_there = source.contains(&format!("fn {name}("));
            assert!(is_there, "{}: there is no {name} in {file}", entry.id);
            count += 1;
        }
    }
    assert!(count > 30, "{count} tests are too few");
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/FAULTS.md");

fn the_published_page_is_that_of_the_catalogue(_: &Stage) {
    let generated = document();
    if std::env::var_os("UPDATE_FAULTS").is_some() {
        fs::write(PAGE, &generated).expect("our own file");
    }
    let published = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        published == generated,
        "host/FAULTS.md is out of date: run this test with UPDATE_FAULTS=1"
    );
}

/// A guest as small as they are: every one of its bits matters.
const SMALL: &str = r#"(module
    (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
    (memory (export "memory") 1 1)
    (func (export "cofferdam_abi_1"))
    (func (export "handle") (result i32)
        (call $output_write (i32.const 8) (i32.const 16))
        (i32.const 0)))"#;

fn a_guest_with_any_bit_flipped_is_refused_or_runs_to_an_end(_: &Stage) {
    let whole = Guest::from_bytes("small", SMALL.as_bytes()).expect("it is a guest");
    let bits = whole.wasm().len() * 8;
    let (mut refused, mut ran, mut good) = (0, 0, 0);
    for bit in 0..bits {
        let mut bytes = whole.wasm().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(guest) = Guest::from_bytes("flipped", &bytes) else {
            refused += 1;
            continue;
        };
        let pool = builder(&guest, Isolation::Thread)
            .limits(limits(Some(MS(500))))
            .build();
        let Ok(pool) = pool else {
            refused += 1;
            continue;
        };
        let completion = complete(&pool, Job::new(""));
        let reply = completion
            .result
            .unwrap_or_else(|lost| panic!("bit {bit}: {lost}"));
        ran += 1;
        good += usize::from(reply.outcome == Outcome::Output);
    }
    say(&format!(
        "{bits} bits: {refused} refused, {ran} run, {good} of them to a reply"
    ));
    // Most bits matter, and some of names and constants only change what it does.
    assert!(refused > bits / 2 && good > 0 && ran > good);
}
