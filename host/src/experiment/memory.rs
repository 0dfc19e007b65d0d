//! What does one more worker take?
//!
//! *Arms*: workers that have done one job each and wait for the next, with their instance gone (`idle`)
//! or still alive (`held`): a worker in the middle of a job holds what it holds at its end, but stands
//! still to be measured. *Measured*, of the trial and of all its children: the proportional set size
//! (PSS), which shares out pages that several processes map, so that nothing is counted twice (the share
//! of the process that ordered the trial, which maps the same program, is added); private pages; page
//! tables; open descriptors: from `/proc/PID/smaps_rollup`, `status` and `fd` (`proc_pid_smaps(5)`,
//! `proc_pid_status(5)`). Per worker is the slope from the first worker to the last. *Expectation*: a thread
//! costs its stack and its share of the heap; a process costs the private pages of a whole program.
//!
//! The guest's own linear memory stands apart, and the workers themselves say it (`Drill::Weigh`): what
//! `memory.size` is in a new instance (`idle`) and after the job (`held`), touched or not. The difference of
//! the PSS of `held` and `idle` is not that: an idle worker may hold the next job's instance already, and
//! with it up to 4 MiB of pages that the one before touched (see `runtime::allocation`).
//!
//! 1 and 8 workers are looked at in any case; 32 where their jobs leave time for the other parts, and
//! their memory fits the machine twice. Where not, the result says why.

use std::fs;
use std::sync::Arc;

use super::schedule::LEAST;
use super::trial::{Bench, Checked, Scales, good};
use super::{Arm, Budget, Effort, Part, PartWork, Reason, RowSpec, Samples, Stage, Unit};
use crate::job::{Death, Reply};
use crate::runtime::{Drill, InstancePolicy, Weight, mix};
use crate::worker::Recipe;

/// Workers that wait, without an instance.
pub(super) static IDLE: Part = Part {
    name: "idle",
    question: "What does one more worker take that waits?",
    rows: |effort| rows("idle", levels(effort)),
    left_out: |effort| left_out("idle", effort),
    work: PartWork::Alone {
        prepare: |bench| Ok(Box::new(Workers::new(bench, InstancePolicy::Fresh))),
    },
    ..HELD
};

/// Workers that hold the instance of their last job. A part of its own, since the heap of a process
/// that has held dozens of workers before has room for them.
pub(super) static HELD_WORKERS: Part = HELD;

const HELD: Part = Part {
    experiment: "memory",
    name: "held",
    question: "What does one more worker take that is at work?",
    arms: |_| &[Arm::Thread, Arm::Process, Arm::Control],
    twin: Arm::Thread,
    weight: 2.0,
    core: 0,
    most: [6, 8, 20],
    rows: |effort| rows("held", levels(effort)),
    left_out: |effort| left_out("held", effort),
    work: PartWork::Alone {
        prepare: |bench| Ok(Box::new(Workers::new(bench, InstancePolicy::Reused))),
    },
};

/// How many workers are looked at, where many are too much: enough for a slope.
const FEW: [usize; 2] = [1, 8];
/// The same, where they are not.
const MANY: [usize; 3] = [1, 8, 32];
/// The most of them.
const MOST: usize = 32;

/// What the jobs of [`MOST`] workers may take of the whole time, over all arms and the rounds of a verdict.
const SHARE_OF_TIME: f64 = 0.1;

/// What a worker takes beside its instance, roughly, where it takes much: a process's private pages.
const BESIDE: u64 = 4 << 20;

/// How many workers are looked at.
fn levels(effort: &Effort) -> &'static [usize] {
    match too_much(effort) {
        Some(_) => &FEW,
        None => &MANY,
    }
}

/// Why [`MOST`] workers are not looked at, if they are not. Each has done a job before, idle or not: all of
/// them at once on the CPUs that there are, and with all of their memory.
fn too_much(effort: &Effort) -> Option<Reason> {
    if effort.budget == Budget::Quick {
        let from = Budget::Default;
        return Some(Reason::Budget { from });
    }
    #[expect(clippy::cast_precision_loss, reason = "dozens")]
    let jobs = (MOST * HELD.arms(effort.budget).len() * LEAST) as f64;
    #[expect(clippy::cast_precision_loss, reason = "a handful of CPUs")]
    let needs_s = jobs * effort.job / effort.cpus.max(1) as f64;
    let has_s = SHARE_OF_TIME * effort.time;
    if needs_s > has_s {
        return Some(Reason::Time { needs_s, has_s });
    }
    let needs = (MOST as u64).saturating_mul(effort.linear_memory.saturating_add(BESIDE));
    let has = effort.free_memory / 2;
    (needs > has).then_some(Reason::Memory { needs, has })
}

fn left_out(state: &'static str, effort: &Effort) -> Vec<(String, Reason)> {
    let what = || match state {
        "idle" => format!("{MOST} idle workers"),
        _ => format!("{MOST} workers at work"),
    };
    too_much(effort)
        .map(|why| (what(), why))
        .into_iter()
        .collect()
}

fn in_words(state: &str) -> &'static str {
    match state {
        "idle" => "idle worker",
        _ => "worker at work",
    }
}

/// What is looked at, and how: the metric, its series, its title, its unit.
const KINDS: [(&str, &str, &str, Unit); 4] = [
    ("pss_per_worker", "pss", "PSS", Unit::Bytes),
    (
        "private_per_worker",
        "private",
        "private pages",
        Unit::Bytes,
    ),
    (
        "page_tables_per_worker",
        "page_tables",
        "page tables",
        Unit::Bytes,
    ),
    (
        "descriptors_per_worker",
        "descriptors",
        "open descriptors",
        Unit::Count,
    ),
];

fn rows(state: &'static str, levels: &[usize]) -> Vec<RowSpec> {
    let words = in_words(state);
    let mut rows = Vec::new();
    for (metric, kind, title, unit) in KINDS {
        let series = format!("{state}.{kind}");
        let row = RowSpec::seconds(metric, format!("{title} per {words}"), series);
        rows.push(RowSpec { unit, ..row }.at("state", state));
    }
    for &workers in levels {
        let title = format!("PSS in all, {workers} {state}");
        let row = RowSpec::seconds("pss", title, format!("{state}.pss.{workers}"));
        let unit = Unit::Bytes;
        rows.push(
            RowSpec { unit, ..row }
                .at("workers", workers as u64)
                .at("state", state),
        );
    }
    let moment = match state {
        "idle" => "of a new instance",
        _ => "after a job",
    };
    let title = format!("linear memory {moment}");
    let row = RowSpec::seconds("linear_memory", title, format!("{state}.linear"));
    let unit = Unit::Bytes;
    rows.push(RowSpec { unit, ..row }.at("state", state));
    rows
}

struct Workers<'b> {
    bench: &'b Bench,
    instance: InstancePolicy,
    checked: Checked,
    samples: Samples,
}

impl<'b> Workers<'b> {
    fn new(bench: &'b Bench, instance: InstancePolicy) -> Self {
        Self {
            bench,
            instance,
            checked: Checked::default(),
            samples: Samples::default(),
        }
    }
}

impl Stage for Workers<'_> {
    fn segment(&mut self, _: usize) -> Result<(), String> {
        let levels = levels(&self.bench.effort());
        match self.instance {
            InstancePolicy::Fresh => self.climb("idle", levels, |weight| weight.before),
            InstancePolicy::Reused => self.climb("held", levels, |weight| weight.after),
        }
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(Samples {
            replies: self.checked.digests(),
            ..self.samples
        })
    }
}

impl Workers<'_> {
    fn climb(
        &mut self,
        state: &str,
        levels: &[usize],
        linear: fn(Weight) -> u64,
    ) -> Result<(), String> {
        let bench = self.bench;
        let cache = &bench.order.cache;
        let weigh = Some(Drill::Weigh);
        let recipe = bench.recipe_from(&bench.guest, self.instance, cache, weigh)?;
        let mut hired: Vec<Hired> = Vec::new();
        let mut looks = Vec::new();
        for &level in levels {
            let new: Vec<_> = (hired.len()..level)
                .map(|place| hire(bench, &recipe, place))
                .collect::<Result<_, _>>()?;
            for waiting in new {
                let worker = waiting.at_work()?;
                self.checked.reply("memory", &worker.reply);
                #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 bytes")]
                let bytes = linear(worker.weight) as f64;
                self.samples.add(&format!("{state}.linear"), bytes);
                hired.push(worker);
            }
            let pids = hired.iter().filter_map(|worker| worker.pid);
            // What the workers share with the process that they were forked from belongs to all of them.
            let pids = pids.chain(recipe.server_pid());
            let look = Look::at_all(self.bench.order.parent, pids)?;
            self.samples.add(&format!("{state}.pss.{level}"), look.pss);
            looks.push((level, look));
        }
        let (Some((few, first)), Some((many, last))) = (looks.first(), looks.last()) else {
            return Ok(());
        };
        #[expect(clippy::cast_precision_loss, reason = "dozens of workers")]
        let slope = |from: f64, to: f64| (to - from) / (many - few) as f64;
        let slopes = [
            ("pss", slope(first.pss, last.pss)),
            ("private", slope(first.private, last.private)),
            ("page_tables", slope(first.page_tables, last.page_tables)),
            ("descriptors", slope(first.descriptors, last.descriptors)),
        ];
        for (kind, value) in slopes {
            self.samples.add(&format!("{state}.{kind}"), value);
        }
        Ok(())
    }
}

/// A worker that did its job and waits, in a thread that holds it.
struct Hired {
    pid: Option<u32>,
    reply: Reply,
    weight: Weight,
    /// Dropped to let it go.
    _leash: crossbeam_channel::Sender<()>,
}

/// A worker that is on its way.
struct Hiring {
    told: crossbeam_channel::Receiver<Result<(Option<u32>, Reply), Death>>,
    scales: Scales,
    leash: crossbeam_channel::Sender<()>,
}

fn hire(bench: &Bench, recipe: &Arc<Recipe>, place: usize) -> Result<Hiring, String> {
    let scales = Scales::default();
    let job = scales
        .under(bench.job(place))
        .numbered(place as u64, Some(mix(bench.order.seed)));
    let recipe = Arc::clone(recipe);
    let (sender, told) = crossbeam_channel::bounded(1);
    let (leash, held) = crossbeam_channel::bounded(0);
    std::thread::Builder::new()
        .stack_size(bench.stack())
        .spawn(move || {
            let made = recipe.make(place).and_then(|mut worker| {
                let reply = worker.run(&job)?;
                // As a pool does: the worker waits with what it waits with there.
                worker.prepare();
                Ok((worker, reply))
            });
            drop(job);
            match made {
                Ok((worker, reply)) => {
                    let _ = sender.send(Ok((worker.pid(), reply)));
                    let _ = held.recv();
                }
                Err(death) => drop(sender.send(Err(death))),
            }
        })
        .map_err(|error| error.to_string())?;
    Ok(Hiring {
        told,
        scales,
        leash,
    })
}

impl Hiring {
    fn at_work(self) -> Result<Hired, String> {
        let told = self
            .told
            .recv()
            .map_err(|_| "the worker's thread panicked".to_owned())?;
        let (pid, reply) = told.map_err(|death| death.to_string())?;
        Ok(Hired {
            pid,
            reply: good(reply)?,
            weight: self
                .scales
                .weight()
                .ok_or("the worker did not say how much linear memory its instance has")?,
            _leash: self.leash,
        })
    }
}

/// What the kernel says about some processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Look {
    pss: f64,
    private: f64,
    page_tables: f64,
    descriptors: f64,
}

impl Look {
    /// At this process and these others. `witness` is the process that ordered the trial: it maps the
    /// same program, and what it shares with the others belongs to them. Left out, the share that they
    /// pay would grow with their number.
    fn at_all(witness: u32, others: impl Iterator<Item = u32>) -> Result<Self, String> {
        let mut sum = Self::default();
        let beside = Self::at(witness)?;
        sum.pss += beside.pss - beside.private;
        for pid in std::iter::once(std::process::id()).chain(others) {
            let look = Self::at(pid)?;
            sum.pss += look.pss;
            sum.private += look.private;
            sum.page_tables += look.page_tables;
            sum.descriptors += look.descriptors;
        }
        Ok(sum)
    }

    fn at(pid: u32) -> Result<Self, String> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
        };
        let rollup = read("smaps_rollup")?;
        let status = read("status")?;
        let field = |text: &str, name: &str| {
            bytes(text, name).ok_or_else(|| format!("/proc/{pid}: there is no line {name}"))
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
            .map_err(|error| format!("/proc/{pid}/fd: {error}"))?
            .count();
        #[expect(clippy::cast_precision_loss, reason = "thousands at the most")]
        Ok(Self {
            pss: field(&rollup, "Pss:")?,
            private: field(&rollup, "Private_Clean:")? + field(&rollup, "Private_Dirty:")?,
            page_tables: field(&status, "VmPTE:")?,
            descriptors: descriptors as f64,
        })
    }
}

/// The proportional set size of this process and of these others in bytes; see [`Look::at_all`].
pub(super) fn pss_of_all(witness: u32, others: impl Iterator<Item = u32>) -> Result<f64, String> {
    Look::at_all(witness, others).map(|look| look.pss)
}

/// The proportional set size of a process in bytes.
pub(crate) fn pss(pid: u32) -> Result<u64, String> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size, far below 2^53"
    )]
    Look::at(pid).map(|look| look.pss as u64)
}

/// The value of a line such as `Pss:  385 kB`, in bytes.
fn bytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_found_in_the_kernels_text() {
        let text = "55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:   884 kB\nPss:   385 kB\nPss_Dirty: 5 kB\n";
        assert_eq!(bytes(text, "Pss:"), Some(385.0 * 1024.0));
        assert_eq!(bytes("Rss: 1 kB", "Pss:"), None);
    }

    fn with(job: f64, linear_memory: u64) -> Effort {
        Effort {
            job,
            linear_memory,
            ..Effort::default()
        }
    }

    #[test]
    fn many_workers_are_looked_at_where_time_and_memory_allow() {
        let quick = with(0.001, 1 << 20);
        assert_eq!(
            (levels(&quick), left_out("held", &quick)),
            (&MANY[..], vec![])
        );
        // 32 jobs in three arms and six rounds, on two CPUs: 10.08 s of 54.
        let slow = with(0.035, 1 << 20);
        assert_eq!(levels(&slow), FEW);
        let [(what, Reason::Time { needs_s, has_s })] = &left_out("held", &slow)[..] else {
            panic!("{:?}", left_out("held", &slow))
        };
        assert_eq!(what, "32 workers at work");
        assert!((needs_s - 10.08).abs() < 1e-9 && (has_s - 5.4).abs() < 1e-9);
        // 32 x 64 MiB and more are not to be had twice of 4 GiB.
        let large = with(0.001, 64 << 20);
        let why = Reason::Memory {
            needs: 32 * (68 << 20),
            has: 2 << 30,
        };
        let what = "32 idle workers".to_owned();
        assert_eq!(left_out("idle", &large), [(what, why)]);
        let more = Effort {
            free_memory: 8 << 30,
            ..large
        };
        assert_eq!(levels(&more), MANY);
    }

    #[test]
    fn this_process_takes_memory() {
        let parent = std::os::unix::process::parent_id();
        let look = Look::at_all(parent, std::iter::empty()).unwrap();
        assert!(look.pss > 100.0 * 1024.0 && look.private > 0.0);
        assert!(look.page_tables >= 4096.0 && look.descriptors >= 3.0);
        assert!(pss(std::process::id()).unwrap() > 100 * 1024);
    }
}
