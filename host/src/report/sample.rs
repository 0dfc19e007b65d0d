//! A made-up comparison for the tests of everything that prints one.
//!
//! It has every kind of row that the experiments fill, and its numbers are plausible, but nothing was
//! measured: they come from a seeded generator, and are the same on every run. What a row says about
//! its samples is computed by [`super::analysis`], as it is in earnest.

use std::collections::BTreeMap;

use super::analysis::row;
use super::claims::{Claim, ClaimVerdict};
use super::crossover::crossover;
use super::deploy::{Advice, Deployment, Trust};
use super::knee::knees;
use super::result::{
    Comparison, ContainmentRow, Control, Counted, GuestInfo, Injected, LayerInfo, PartInfo, Row,
    SCHEMA, Settings,
};
use super::warnings::Warning;
use crate::experiment::{
    Act, Arm, Budget, Deed, Ended, FailedTrial, Fate, Fault, Identity, Param, Reach, RowSpec,
    Sharing, Unit, expected,
};
use crate::harden::{Layer, Standing};
use crate::machine::Machine;
use crate::options::{Hardening, Isolation, LinkKind, StartMethod, WaitPolicy};
use crate::runtime::{InstancePolicy, Metering};
use crate::stats::Better;

/// Rounds of every part.
const ROUNDS: usize = 8;
/// What a trial is when it failed: the round and the arm.
const FAILED: (usize, Arm) = (5, Arm::Process);
/// Bytes of the payloads of `message.round_trip`.
const PAYLOADS: [u64; 6] = [0, 64, 4096, 65536, 1_048_576, 16_777_216];

/// The made-up comparison.
pub(crate) fn sample() -> Comparison {
    let mut lab = Lab::new();
    lab.start();
    lab.message();
    lab.job();
    lab.memory();
    lab.limits();
    lab.scaling();
    lab.sharing();
    let control = lab.find("job.p50").control.unwrap();
    let mut comparison = Comparison {
        schema: SCHEMA.to_owned(),
        complete: true,
        command: "cofferdam compare --seed 7 --trust third-party @argon2".to_owned(),
        unix_time: 1_790_000_000,
        took_s: 57.4,
        guest: guest(),
        machine: machine(),
        settings: settings(),
        seed: 7,
        parts: parts(),
        control: Some(Control {
            ratio: control.median,
            low: control.low,
            high: control.high,
            reliable: true,
        }),
        histograms: BTreeMap::new(),
        containment: containment(),
        identities: identities(),
        reach: reach(),
        sharing: sharing(),
        crossover: None,
        knees: Vec::new(),
        left_out: Vec::new(),
        claims: claims(),
        warnings: warnings(),
        failures: vec![FailedTrial {
            experiment: "start".to_owned(),
            part: "first reply, cold".to_owned(),
            round: FAILED.0,
            arm: FAILED.1,
            error: "the worker said <nothing> within 10 s | gave up".to_owned(),
        }],
        advice: advice(),
        rows: lab.rows,
        series: lab.series,
    };
    comparison.crossover = crossover(&comparison);
    comparison.knees = knees(&comparison);
    comparison
}

/// Where the samples come from.
struct Lab {
    rng: fastrand::Rng,
    rows: Vec<Row>,
    series: BTreeMap<String, BTreeMap<Arm, Vec<Vec<f64>>>>,
}

/// A row without its numbers.
struct Spec {
    experiment: &'static str,
    metric: &'static str,
    params: Vec<(&'static str, Param)>,
    title: String,
    unit: Unit,
    compared: (Arm, Arm),
}

const USUAL: (Arm, Arm) = (Arm::Process, Arm::Thread);

impl Lab {
    fn new() -> Self {
        Self {
            rng: fastrand::Rng::with_seed(7),
            rows: Vec::new(),
            series: BTreeMap::new(),
        }
    }

    /// Positive noise around 1, skewed as latencies are.
    fn noise(&mut self, spread: f64) -> f64 {
        let normal = (0..12).map(|_| self.rng.f64()).sum::<f64>() - 6.0;
        let tail = if self.rng.u8(..40) == 0 { 3.0 } else { 0.0 };
        (spread * (normal + tail * self.rng.f64())).exp()
    }

    /// Fills a series: for each arm its centre; so many samples a round.
    fn measure(&mut self, series: &str, arms: &[(Arm, f64)], spread: f64, samples: usize) {
        let mut filled = BTreeMap::new();
        for &(arm, centre) in arms {
            let rounds: Vec<Vec<f64>> = (0..ROUNDS)
                .map(|_| {
                    let round = centre * self.noise(0.004);
                    (0..samples).map(|_| round * self.noise(spread)).collect()
                })
                .collect();
            filled.insert(arm, rounds);
        }
        self.series.insert(series.to_owned(), filled);
    }

    /// Adds a row over a series that is there.
    fn row(&mut self, spec: Spec, series: &str, q: f64) {
        let better = match spec.unit {
            Unit::Seconds | Unit::Bytes | Unit::Count => Better::Lower,
            Unit::JobsPerSecond | Unit::MessagesPerSecond | Unit::BytesPerSecond => Better::Higher,
        };
        let Spec {
            experiment,
            metric,
            params,
            title,
            unit,
            compared,
        } = spec;
        let row_spec = RowSpec {
            metric,
            params,
            title,
            unit,
            better,
            series: String::new(),
            quantile: q,
            compared,
            twin: None,
        };
        let samples = &self.series[series];
        self.rows.push(row(
            experiment,
            series.to_owned(),
            compared.1,
            &row_spec,
            samples,
        ));
    }

    /// A series and the row of its medians.
    fn plain(&mut self, spec: Spec, arms: &[(Arm, f64)], spread: f64, samples: usize) {
        let params: Vec<String> = spec
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let series = format!("{}.{}[{}]", spec.experiment, spec.metric, params.join(","));
        self.measure(&series, arms, spread, samples);
        self.row(spec, &series, 0.5);
    }

    fn find(&self, id: &str) -> &Row {
        self.rows.iter().find(|row| row.id() == id).unwrap()
    }

    fn start(&mut self) {
        for (cache, thread, process) in [("warm", 0.0011, 0.0042), ("cold", 0.061, 0.066)] {
            let title = format!("time to the first reply, {cache} cache");
            let spec = spec("start", "first_reply", title, Unit::Seconds);
            let spec = spec.with("cache", cache.into());
            self.plain(spec, &usual(thread, process), 0.03, 12);
        }
        let failed = "start.first_reply[cache=cold]";
        let rounds = self.series.get_mut(failed).unwrap();
        rounds.get_mut(&FAILED.1).unwrap()[FAILED.0].clear();
        let Row { title, .. } = self.rows.pop().unwrap();
        let cold = spec("start", "first_reply", title, Unit::Seconds).with("cache", "cold".into());
        self.row(cold, failed, 0.5);
        let title = "time to the first reply of @echo".to_owned();
        let echo = spec("start", "first_echo", title, Unit::Seconds);
        self.measure("start.first_echo", &usual(0.000_42, 0.0031), 0.04, 12);
        self.row(echo, "start.first_echo", 0.5);
        let phases = [
            ("spawn", 0.000_031, 0.000_9),
            ("load", 0.000_24, 0.0011),
            ("instantiate", 0.000_048, 0.000_052),
            ("call", 0.000_012, 0.000_013),
            ("rest", 0.000_089, 0.001_03),
        ];
        for (phase, thread, process) in phases {
            let title = format!("of the start: {phase}");
            let spec = spec("start", "phase", title, Unit::Seconds).with("phase", phase.into());
            self.plain(spec, &usual(thread, process), 0.05, 12);
        }
    }

    fn message(&mut self) {
        let spans = [
            (1.1e-6, 9.6e-6),
            (1.2e-6, 9.9e-6),
            (1.9e-6, 13.8e-6),
            (9.4e-6, 52e-6),
            (148e-6, 640e-6),
            (5.1e-3, 14.2e-3),
        ];
        for (payload, (thread, process)) in PAYLOADS.into_iter().zip(spans) {
            let title = format!("round trip of {payload} bytes");
            let spec = spec("message", "round_trip", title, Unit::Seconds);
            let spec = spec.with("payload", payload.into());
            self.plain(spec, &usual(thread, process), 0.06, 30);
        }
        let rates = [
            (
                "jobs",
                64,
                Unit::JobsPerSecond,
                "jobs with many in flight",
                812e3,
                143e3,
            ),
            (
                "post",
                64,
                Unit::MessagesPerSecond,
                "messages, guest to host",
                6.1e6,
                1.4e6,
            ),
            (
                "post_bytes",
                65536,
                Unit::BytesPerSecond,
                "bytes, guest to host",
                7.9e9,
                2.4e9,
            ),
            (
                "recv",
                64,
                Unit::MessagesPerSecond,
                "messages, host to guest",
                4.4e6,
                0.9e6,
            ),
            (
                "recv_bytes",
                65536,
                Unit::BytesPerSecond,
                "bytes, host to guest",
                7.1e9,
                2.2e9,
            ),
        ];
        for (metric, payload, unit, title, thread, process) in rates {
            let spec = spec("message", metric, title.to_owned(), unit);
            let spec = spec.with("payload", payload.into());
            self.plain(spec, &usual(thread, process), 0.02, 3);
        }
    }

    fn job(&mut self) {
        let (thread, process) = (0.0121, 0.0117);
        let mut arms = usual(thread, process).to_vec();
        arms.push((Arm::Unmetered, 0.0116));
        self.measure("job.latency", &arms, 0.015, 60);
        for (metric, q) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            let title = format!("latency of a job, {metric}");
            let spec = spec("job", metric, title, Unit::Seconds);
            self.row(spec, "job.latency", q);
        }
        let title = "latency of a job, p50, reused instance".to_owned();
        let reused = spec("job", "p50", title, Unit::Seconds).with("instance", "reused".into());
        self.plain(reused, &usual(0.012, 0.0116), 0.015, 40);
        let mut unmetered = spec(
            "job",
            "unmetered",
            "latency of a job without checks in either".to_owned(),
            Unit::Seconds,
        );
        unmetered.compared = (Arm::Process, Arm::Unmetered);
        let arms = [
            (Arm::Process, 0.0117),
            (Arm::Unmetered, 0.0117),
            (Arm::Control, 0.0117),
        ];
        self.measure("job.unmetered", &arms, 0.012, 40);
        self.row(unmetered, "job.unmetered", 0.5);
        let phases = [
            ("queue", 0.000_001_1, 0.000_001_2),
            ("copy-in", 0.000_000_4, 0.000_004_1),
            ("instantiate", 0.000_051, 0.000_05),
            ("call", 0.012_04, 0.011_61),
            ("copy-out", 0.000_000_4, 0.000_003_9),
            ("wake", 0.000_003_2, 0.000_009_8),
        ];
        for (phase, thread, process) in phases {
            let title = format!("of a job: {phase}");
            let spec = spec("job", "phase", title, Unit::Seconds).with("phase", phase.into());
            self.plain(spec, &usual(thread, process), 0.02, 40);
        }
        for (workers, factor) in [(1u64, 1.0), (2, 1.94), (4, 1.97)] {
            let title = format!("throughput of {workers} workers");
            let spec = spec("job", "throughput", title, Unit::JobsPerSecond);
            let mut arms = usual(factor / thread, factor / process).to_vec();
            arms.push((Arm::Unmetered, factor / process * 1.001));
            self.plain(spec.with("workers", workers.into()), &arms, 0.005, 2);
        }
        let title = "throughput of 2 workers, reused instances".to_owned();
        let reused = spec("job", "throughput", title, Unit::JobsPerSecond)
            .with("instance", "reused".into())
            .with("workers", 2.into());
        self.plain(reused, &usual(162.0, 167.0), 0.005, 2);
        for load in [50u64, 80] {
            for (timing, slow) in [("corrected", 1.9), ("uncorrected", 1.05)] {
                let series = format!("job.load[load={load},timing={timing}]");
                let queue = if load == 80 { 1.6 } else { 1.15 };
                let arms = usual(thread * queue, process * queue);
                self.measure(&series, &arms, 0.1 * slow, 60);
                for (metric, q) in [("load_p50", 0.5), ("load_p99", 0.99)] {
                    let title = format!("{metric} at {load} % load, {timing}");
                    let spec = spec("job", metric, title, Unit::Seconds)
                        .with("load", load.into())
                        .with("timing", timing.into());
                    self.row(spec, &series, q);
                }
            }
        }
    }

    fn memory(&mut self) {
        for (state, more) in [("idle", 0.0), ("held", 19.0 * 1_048_576.0)] {
            let kinds = [
                ("pss_per_worker", "memory (PSS)", 41e3 + more, 2.1e6 + more),
                (
                    "private_per_worker",
                    "private memory",
                    39e3 + more,
                    1.7e6 + more,
                ),
                ("page_tables_per_worker", "page tables", 4.2e3, 172e3),
            ];
            for (metric, title, thread, process) in kinds {
                let title = format!("{title} of one more worker, {state}");
                let spec = spec("memory", metric, title, Unit::Bytes);
                let spec = spec.with("state", state.into());
                self.plain(spec, &usual(thread, process), 0.01, 1);
            }
        }
        let title = "file descriptors of one more worker, idle".to_owned();
        let series = "memory.descriptors_per_worker[state=idle]";
        let exact = |count: f64| vec![vec![count]; ROUNDS];
        let arms = [
            (Arm::Thread, exact(0.0)),
            (Arm::Process, exact(3.0)),
            (Arm::Control, exact(0.0)),
        ];
        self.series.insert(series.to_owned(), arms.into());
        let spec_ = spec("memory", "descriptors_per_worker", title, Unit::Count)
            .with("state", "idle".into());
        self.row(spec_, series, 0.5);
        for workers in [1u64, 8, 32] {
            let title = format!("memory (PSS) with {workers} workers, idle");
            let spec = spec("memory", "pss", title, Unit::Bytes)
                .with("state", "idle".into())
                .with("workers", workers.into());
            #[expect(clippy::cast_precision_loss, reason = "a few workers")]
            let line = |more: f64| 11.2e6 + more * workers as f64;
            self.plain(spec, &usual(line(41e3), line(2.1e6)), 0.01, 1);
        }
    }

    fn limits(&mut self) {
        let meters = [
            ("epoch", Arm::Thread, 0.0121),
            ("fuel", Arm::Fuel, 0.0136),
            ("kill", Arm::Process, 0.0117),
        ];
        for (meter, above, seconds) in meters {
            let title = format!("latency of a job that could be stopped by {meter}");
            let mut spec = spec("limits", "job", title, Unit::Seconds);
            spec.compared = (above, Arm::Unmetered);
            let arms = [
                (above, seconds),
                (Arm::Unmetered, 0.0116),
                (Arm::Control, 0.0116),
            ];
            self.plain(spec.with("meter", meter.into()), &arms, 0.01, 20);
        }
        let title = "by how much an endless loop outlives 20 ms".to_owned();
        let spec = spec("limits", "overrun", title, Unit::Seconds).with("after", "20ms".into());
        let mut arms = usual(0.000_71, 0.001_9).to_vec();
        arms.push((Arm::Fuel, 0.000_33));
        self.plain(spec, &arms, 0.08, 4);
    }

    fn scaling(&mut self) {
        for (guest, one) in [("own", 82.0), ("echo", 21_000.0)] {
            for (workers, thread, process) in [(1u64, 1.0, 1.01), (2, 1.71, 1.93), (4, 1.69, 1.95)]
            {
                let title = format!("{guest} guest, fresh instances, {workers} workers");
                let spec = spec("scaling", "jobs", title, Unit::JobsPerSecond)
                    .with("guest", guest.into())
                    .with("workers", workers.into());
                let mut arms = usual(one * thread, one * process).to_vec();
                if workers >= 4 {
                    arms.push((Arm::Mixed, one * 1.88));
                }
                self.plain(spec, &arms, 0.006, 2);
            }
        }
    }

    fn sharing(&mut self) {
        let ways = [
            ("message", [(0.0034, 0.0215), (0.0131, 0.0884)]),
            ("region", [(0.000_11, 0.000_16), (0.000_21, 0.000_34)]),
        ];
        for (way, times) in ways {
            for (workers, (thread, process)) in [1u64, 4].into_iter().zip(times) {
                let title = format!("16 MiB to {workers} workers by {way}");
                let spec = spec("sharing", "read", title, Unit::Seconds)
                    .with("way", way.into())
                    .with("workers", workers.into());
                self.plain(spec, &usual(thread, process), 0.02, 4);
            }
        }
        let title = "16 MiB put into a region".to_owned();
        let make = spec("sharing", "make", title, Unit::Seconds);
        self.plain(make, &usual(0.0092, 0.0092), 0.02, 2);
        for (way, thread, process) in [
            ("message", 16_801_792.0, 35_651_584.0),
            ("region", 24_576.0, 1_153_434.0),
        ] {
            let title = format!("PSS per worker that holds 16 MiB by {way}");
            let spec = spec("sharing", "pss_per_worker", title, Unit::Bytes);
            self.plain(
                spec.with("way", way.into()),
                &usual(thread, process),
                0.01,
                1,
            );
        }
    }
}

fn spec(experiment: &'static str, metric: &'static str, title: String, unit: Unit) -> Spec {
    Spec {
        experiment,
        metric,
        params: Vec::new(),
        title,
        unit,
        compared: USUAL,
    }
}

impl Spec {
    fn with(mut self, name: &'static str, value: Param) -> Self {
        self.params.push((name, value));
        self
    }
}

fn usual(thread: f64, process: f64) -> [(Arm, f64); 3] {
    [
        (Arm::Thread, thread),
        (Arm::Process, process),
        (Arm::Control, thread),
    ]
}

fn guest() -> GuestInfo {
    GuestInfo {
        called: None,
        name: "@argon2".to_owned(),
        bytes: 48_212,
        sha256: "7d3f0c1a".repeat(8),
        inputs: 3,
        job_s: 0.0121,
    }
}

fn machine() -> Machine {
    Machine {
        cpus: 2,
        model: Some("Example CPU @ 2.10GHz".to_owned()),
        kernel: "Linux 6.18.2".to_owned(),
        target: "x86_64-linux".to_owned(),
        memory: Some(8_222_277_632),
        swap: Some(0),
        memory_available: Some(7_000_000_000),
        swap_used: Some(0),
        governor: None,
        transparent_huge_pages: Some("madvise".to_owned()),
        guest_halt_poll_ns: Some(200_000),
        virtual_machine: Some(true),
        steal: Some(0.01),
        smt: Some(false),
        clocksource: Some("tsc".to_owned()),
        allocator: Some("system (glibc)".to_owned()),
        load: Some(0.42),
        cpu_pressure: Some(1.7),
        cofferdam: "0.1.0".to_owned(),
        wasmtime: "48.0.8".to_owned(),
    }
}

fn settings() -> Settings {
    Settings {
        budget: Budget::Default,
        time_budget_s: 60.0,
        instance: InstancePolicy::Fresh,
        hardening: Hardening::BestEffort,
        layers: layers(),
        start: StartMethod::Exec,
        link: LinkKind::Pipe,
        wait: WaitPolicy::Auto,
        thread_metering: Metering::Interruptible,
        process_metering: Metering::Unmetered,
        timeout_s: None,
        memory_limit: 64 << 20,
        fuel: None,
        stack_limit: 512 << 10,
        output_limit: 16 << 20,
        input_limit: 64 << 20,
        cpus: 2,
        rigged: None,
    }
}

fn parts() -> Vec<PartInfo> {
    let part = |experiment: &str, part: &str, question: &str, ended| PartInfo {
        experiment: experiment.to_owned(),
        part: part.to_owned(),
        question: question.to_owned(),
        rounds: ROUNDS,
        took_s: 4.25,
        ended,
        reproducible: true,
    };
    vec![
        part(
            "start",
            "first reply, warm",
            "How long from asking for a worker to its first reply?",
            Ended::Enough,
        ),
        part(
            "start",
            "first reply, cold",
            "The same, with nothing compiled?",
            Ended::Failing,
        ),
        part(
            "message",
            "round trip",
            "What does talking to a worker cost?",
            Ended::Narrow,
        ),
        part("job", "latency", "How long does a job take?", Ended::Narrow),
        part("job", "load", "And under load?", Ended::TimeUp),
        part(
            "memory",
            "slope",
            "What does one more worker take?",
            Ended::Narrow,
        ),
        part(
            "limits",
            "meters",
            "What does it cost to be able to stop a guest?",
            Ended::TimeUp,
        ),
        part(
            "scaling",
            "fresh instances",
            "What do many workers get done?",
            Ended::TimeUp,
        ),
    ]
}

fn containment() -> Vec<ContainmentRow> {
    let isolations = [Isolation::Thread, Isolation::Process];
    Fault::ALL
        .into_iter()
        .flat_map(|fault| isolations.map(|isolation| contained(fault, isolation)))
        .collect()
}

fn contained(fault: Fault, isolation: Isolation) -> ContainmentRow {
    let fate = expected(fault, isolation);
    let host_survived = !matches!(fate, Fate::HostDied | Fate::HostStopped);
    let host_ended = match (fate, fault) {
        (Fate::HostDied, Fault::HostAbort) => Some("signal 6"),
        (Fate::HostDied, Fault::HostSegfault) => Some("signal 11"),
        (Fate::HostDied, _) => Some("signal 9"),
        _ => None,
    };
    let victim = match (host_survived, fate) {
        (false, _) => None,
        (true, Fate::WorkerLost) => Some("the worker died in the middle of the job"),
        (true, _) => Some("trapped: unreachable"),
    };
    ContainmentRow {
        fault,
        isolation,
        expected: fate,
        observed: fate,
        injections: 3,
        host_survived,
        host_ended: host_ended.map(str::to_owned),
        victim: victim.map(str::to_owned),
        workers_lost: match fate {
            Fate::Contained => 0,
            Fate::WorkerLost | Fate::Spread => 1,
            // Nobody lives to count.
            Fate::HostStopped | Fate::HostDied => 0,
        },
        bystanders: if host_survived { 240 } else { 0 },
        bystanders_lost: 0,
        bystander_p99_before_s: host_survived.then_some(0.000_41),
        bystander_p99_after_s: host_survived.then_some(0.000_52),
        recovery_s: match fate {
            Fate::WorkerLost => Some(0.0047),
            Fate::Contained => Some(0.000_31),
            Fate::Spread | Fate::HostStopped | Fate::HostDied => None,
        },
        injected: vec![injected(fate, host_survived); 3],
        p99_rise: None,
        recovery: None,
    }
}

/// One of the injections behind [`contained`].
fn injected(fate: Fate, host_survived: bool) -> Injected {
    Injected {
        observed: fate,
        counted: host_survived.then(|| Counted {
            workers_lost: u64::from(fate != Fate::Contained),
            bystanders: 80,
            bystanders_lost: 0,
            before_s: vec![0.000_41; 80],
            before_of: 80,
            after_s: vec![0.000_52; 80],
            after_of: 80,
            recovery_s: Some(if fate == Fate::Contained {
                0.000_31
            } else {
                0.0047
            }),
        }),
    }
}

/// All layers but one.
fn layers() -> Vec<LayerInfo> {
    let info = |layer| match layer {
        Layer::Landlock => LayerInfo {
            layer,
            standing: Standing::Partial,
            reason: Some("the kernel's Landlock is older than ABI 6".to_owned()),
        },
        layer => LayerInfo {
            layer,
            standing: Standing::Enforced,
            reason: None,
        },
    };
    Layer::ALL.map(info).into()
}

/// Everything comes through in a thread but tracing oneself; in a process, a socket.
fn reach() -> Vec<Reach> {
    let of = |isolation| {
        Deed::all().map(move |deed| {
            let is_through = match isolation {
                Isolation::Thread => deed != Deed::Act(Act::Trace),
                Isolation::Process => deed == Deed::Act(Act::AbstractSocket),
            };
            let how = match isolation {
                Isolation::Thread => "Operation not permitted (os error 1)",
                Isolation::Process => "killed by the filter of system calls",
            };
            Reach {
                deed,
                isolation,
                stopped_by: (!is_through).then(|| how.to_owned()),
            }
        })
    };
    of(Isolation::Thread)
        .chain(of(Isolation::Process))
        .collect()
}

fn identities() -> Vec<Identity> {
    let identity = |isolation, by_host, worker_pid, worker_tid| Identity {
        isolation,
        host_pid: 4100,
        host_tid: 4100,
        worker_pid_by_host: by_host,
        worker_pid,
        worker_tid,
        write_visible: isolation == Isolation::Thread,
        runs_commands: Some(isolation == Isolation::Process),
    };
    vec![
        identity(Isolation::Thread, None, 4100, 4107),
        identity(Isolation::Process, Some(4112), 4112, 4112),
    ]
}

fn sharing() -> Vec<Sharing> {
    let sharing = |isolation, writer_pid, reader_pid| Sharing {
        isolation,
        host_pid: 4100,
        writer_pid,
        reader_pid,
        write_visible: true,
        host_sees_write: true,
        additions: 2000,
        counted: 2000,
    };
    vec![
        sharing(Isolation::Thread, None, None),
        sharing(Isolation::Process, Some(4121), Some(4122)),
    ]
}

fn claims() -> Vec<Claim> {
    use ClaimVerdict::{Confirmed, Depends, NotMeasured, Refuted};
    let claim = |id: &str, claim: &str, verdict, evidence: &str, rows: &[&str]| Claim {
        id: id.to_owned(),
        claim: claim.to_owned(),
        verdict,
        evidence: evidence.to_owned(),
        figures: Vec::new(),
        rows: rows.iter().map(|&row| row.to_owned()).collect(),
    };
    vec![
        claim(
            "type",
            "a process worker is a new process, a thread worker a new thread of the same process",
            Confirmed,
            "host 4100; thread worker 4100, thread 4107; process worker 4112",
            &[],
        ),
        claim(
            "memory",
            "processes have separate memory, threads share it",
            Confirmed,
            "the host sees what a thread wrote, and not what a process wrote",
            &["memory.pss_per_worker[state=idle]"],
        ),
        claim(
            "communication",
            "processes talk by IPC messages, threads by messages or shared memory",
            Confirmed,
            "64 bytes there and back: 1.20 µs in a thread, 9.90 µs over a pipe",
            &["message.round_trip[payload=64]"],
        ),
        claim(
            "start-up",
            "processes are slower to start",
            Confirmed,
            "the first reply after 4.20 ms instead of 1.10 ms",
            &["start.first_reply[cache=warm]"],
        ),
        claim(
            "latency",
            "processes are slower to talk to",
            Confirmed,
            "every payload from 0 B to 16 MiB",
            &[
                "message.round_trip[payload=0]",
                "message.round_trip[payload=16777216]",
            ],
        ),
        claim(
            "cpu",
            "both are equally good at CPU-heavy work",
            Depends,
            "equal where neither carries checks; threads that can be stopped are 3 % slower",
            &["job.unmetered", "job.p50"],
        ),
        claim(
            "parallelism",
            "both give true parallelism",
            Refuted,
            "2 threads with fresh instances do 1.71 times the work of one, 2 processes 1.93 times",
            &["scaling.jobs[guest=own,workers=2]"],
        ),
        claim(
            "crash",
            "a crash in a process does not reach the others; in a thread it can take down the whole program",
            Confirmed,
            "12 faults: 4 took the host with them in threads, none in processes",
            &[],
        ),
        claim(
            "shell",
            "only a process can run ordinary commands",
            NotMeasured,
            "no worker was asked to run a command",
            &[],
        ),
        claim(
            "sharing",
            "only threads can share data without copying",
            Refuted,
            "one more process takes 1.10 MiB to hold 16 MiB",
            &["sharing.pss_per_worker[way=region]"],
        ),
    ]
}

fn warnings() -> Vec<Warning> {
    vec![
        Warning::NoisyControl {
            low: 0.91,
            high: 1.12,
        },
        Warning::Outliers {
            row: "job.p99".to_owned(),
            rounds: 2,
            of: 8,
        },
        Warning::Drift {
            row: "message.round_trip[payload=64]".to_owned(),
            change: 0.034,
            p: 0.004,
        },
        Warning::Pressure { per_cent: 1.7 },
        Warning::FewRounds { rows: 3 },
    ]
}

fn advice() -> Advice {
    Advice {
        trust: Some(Trust::ThirdParty),
        sentences: vec![
            "Deploy this guest in processes: with a job of 12.1 ms, the way to another process costs less than 5 % up to 64 KiB of payload.".to_owned(),
            "A thread saves 2.06 MB of memory for each worker, and loses the host to an abort, a segfault or a kill.".to_owned(),
        ],
        figures: Vec::new(),
        rows: Vec::new(),
        deployment: Some(Deployment {
            isolation: Isolation::Process,
            start: Some(StartMethod::Exec),
            link: Some(LinkKind::Pipe),
            instance: InstancePolicy::Fresh,
            snippet: "let pool = Pool::builder(guest)\n    .isolation(Isolation::Process)\n    .workers(2)\n    .build()?;\n".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_the_same_every_time() {
        assert_eq!(sample(), sample());
    }

    #[test]
    fn no_two_rows_have_one_id() {
        let comparison = sample();
        let mut ids: Vec<String> = comparison.rows.iter().map(Row::id).collect();
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn nobody_counts_anything_where_the_host_did_not_survive() {
        let rows = sample().containment;
        let died: Vec<&ContainmentRow> = rows.iter().filter(|row| !row.host_survived).collect();
        assert_eq!(died.len(), 4);
        for row in died {
            let counted = (row.workers_lost, row.bystanders, row.bystanders_lost);
            assert_eq!(counted, (0, 0, 0), "{}", row.fault);
            let times = [
                row.bystander_p99_before_s,
                row.bystander_p99_after_s,
                row.recovery_s,
            ];
            assert_eq!((times, &row.victim), ([None; 3], &None), "{}", row.fault);
        }
    }

    #[test]
    fn every_kind_of_claim_stands_in_it() {
        let comparison = sample();
        let count = |verdict| {
            let claims = comparison.claims.iter();
            claims.filter(|claim| claim.verdict == verdict).count()
        };
        assert_eq!(comparison.claims.len(), 10);
        assert_eq!(count(ClaimVerdict::NotMeasured), 1);
        assert!(count(ClaimVerdict::Refuted) > 0);
        assert!(count(ClaimVerdict::Depends) > 0);
    }
}
