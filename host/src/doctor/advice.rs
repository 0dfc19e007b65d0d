//! What is wrong with this machine for measuring, and what to do about it.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::noise::{Noise, Spread};
use crate::machine::Machine;
use crate::units::{ByteSize, TimeSpan, seconds, three_digits};

/// One finding, with the figures that it rests on. Shown, it says in one line what is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Trouble {
    /// Other programs want the CPUs.
    Load {
        /// Processes that wanted a CPU in the last minute, on average.
        load: f64,
        /// CPUs that this process may use.
        cpus: usize,
    },
    /// Processes had to wait for a CPU.
    Pressure {
        /// Per cent of the last ten seconds in which some process waited.
        percent: f64,
    },
    /// The hypervisor gives the CPUs to others.
    Steal {
        /// Share of the CPUs' time while the noise was measured, 0 to 1.
        now: Option<f64>,
        /// Share of it since the machine's start, 0 to 1.
        since_boot: Option<f64>,
    },
    /// The clock frequency follows the load.
    Governor {
        /// What sets it.
        governor: String,
    },
    /// Idle virtual CPUs spin for a while, and take time from their neighbours.
    HaltPolling {
        /// For how long, in nanoseconds.
        nanoseconds: u64,
    },
    /// Memory lies on disk.
    Swap {
        /// Bytes of it.
        bytes: u64,
    },
    /// The kernel makes huge pages wherever it can.
    HugePages,
    /// There is not one CPU for who measures and one for who is measured.
    FewCpus {
        /// CPUs that this process may use.
        cpus: usize,
    },
    /// The CPUs are not each a core of their own, or not ours alone.
    SharedCores {
        /// The median of work on all CPUs ÷ that of the same work on one.
        slowdown: f64,
        /// Whether CPUs share their cores, where the kernel tells.
        smt: Option<bool>,
    },
    /// The same work takes now this long, now that.
    NoisyWork {
        /// Share of the time beyond what the fastest run took, 0 to 1.
        lost: f64,
        /// The 99th percentile ÷ the median.
        p99_ratio: f64,
        /// In how many threads at once: one, or as many as there are CPUs.
        threads: usize,
    },
    /// A sleeping thread takes long to run again.
    SlowWakeUps {
        /// The median, in seconds.
        p50_s: f64,
        /// The 99th percentile, in seconds.
        p99_s: f64,
    },
    /// Two series of the same work look different.
    WideControl {
        /// The lower end of the interval of their ratio.
        low: f64,
        /// Its upper end.
        high: f64,
    },
}

/// Load for each CPU. Half a CPU of two is taken from rows that use both; below it, the load is what
/// a shell and the compiler a minute ago leave behind.
const LOAD_PER_CPU: f64 = 0.25;
/// Per cent of time. `compare` calls differences from 5 % on; waiting of that size can make one.
const PRESSURE: f64 = 5.0;
/// Share of time. If what is stolen at once is some 4 ms, a slice of a scheduler's, then at 1 % every
/// eleventh job of `@argon2` (some 35 ms) meets it, which is seen in the tail.
const STEAL: f64 = 0.01;
/// Bytes in the swap. What no program has used since the start may well lie there, and comes to less.
const SWAP: u64 = 64 << 20;
/// CPUs. With one, who measures takes turns with who is measured.
const CPUS: usize = 2;
/// Factor. Cores of one's own lose some per cent, to a lower clock when all run; the halves of one
/// core lose 20 % and more at work that wants all of it.
const SLOWDOWN: f64 = 1.2;
/// Share of time. The least difference that `compare` calls.
const LOST: f64 = 0.05;
/// Factor. The timer and interrupts take microseconds out of a millisecond; half of it is somebody
/// else's slice.
const P99: f64 = 1.5;
/// Seconds. A round trip to a thread worker has two wake-ups, and took 30 µs in all on the machine of
/// the README; where they alone take 100 µs, they hide what the link costs.
const WAKE_UP: f64 = 50e-6;
/// Seconds. One wake-up in a hundred behind a whole slice of the scheduler's.
const LATE_WAKE_UP: f64 = 1e-3;
/// Factor. The least difference that `compare` calls: an interval that reaches beyond it would widen
/// the margin there.
const CONTROL: f64 = 1.05;

/// What is wrong, the outer causes first.
#[must_use]
pub fn troubles(machine: &Machine, noise: &Noise) -> Vec<Trouble> {
    [
        few_cpus(machine),
        load(machine),
        pressure(machine),
        steal(machine, noise),
        governor(machine),
        halt_polling(machine),
        swap(machine),
        huge_pages(machine),
        shared_cores(machine, noise),
        noisy_work(noise.alone, 1).or_else(|| noisy_work(noise.all_cpus, machine.cpus)),
        slow_wake_ups(noise),
        wide_control(noise),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn few_cpus(machine: &Machine) -> Option<Trouble> {
    let cpus = machine.cpus;
    (cpus < CPUS).then_some(Trouble::FewCpus { cpus })
}

fn load(machine: &Machine) -> Option<Trouble> {
    let (load, cpus) = (machine.load?, machine.cpus);
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 CPUs")]
    let each = load / cpus as f64;
    (each >= LOAD_PER_CPU).then_some(Trouble::Load { load, cpus })
}

fn pressure(machine: &Machine) -> Option<Trouble> {
    let percent = machine.cpu_pressure?;
    (percent >= PRESSURE).then_some(Trouble::Pressure { percent })
}

fn steal(machine: &Machine, noise: &Noise) -> Option<Trouble> {
    let (now, since_boot) = (noise.steal, machine.steal);
    let much = |share: Option<f64>| share.is_some_and(|share| share >= STEAL);
    (much(now) || much(since_boot)).then_some(Trouble::Steal { now, since_boot })
}

fn governor(machine: &Machine) -> Option<Trouble> {
    let governor = machine.governor.clone()?;
    (governor != "performance").then_some(Trouble::Governor { governor })
}

fn halt_polling(machine: &Machine) -> Option<Trouble> {
    let nanoseconds = machine.guest_halt_poll_ns?;
    (machine.virtual_machine == Some(true) && nanoseconds > 0)
        .then_some(Trouble::HaltPolling { nanoseconds })
}

fn swap(machine: &Machine) -> Option<Trouble> {
    let bytes = machine.swap_used?;
    (bytes >= SWAP).then_some(Trouble::Swap { bytes })
}

fn huge_pages(machine: &Machine) -> Option<Trouble> {
    (machine.transparent_huge_pages.as_deref() == Some("always")).then_some(Trouble::HugePages)
}

fn shared_cores(machine: &Machine, noise: &Noise) -> Option<Trouble> {
    let slowdown = noise.slowdown?;
    let smt = machine.smt;
    (slowdown >= SLOWDOWN).then_some(Trouble::SharedCores { slowdown, smt })
}

fn noisy_work(spread: Option<Spread>, threads: usize) -> Option<Trouble> {
    let Spread {
        lost, p99_ratio, ..
    } = spread?;
    (lost >= LOST || p99_ratio >= P99).then_some(Trouble::NoisyWork {
        lost,
        p99_ratio,
        threads,
    })
}

fn slow_wake_ups(noise: &Noise) -> Option<Trouble> {
    let wake_up = noise.wake_up?;
    let (p50_s, p99_s) = (wake_up.p50_s, wake_up.p99_s);
    (p50_s >= WAKE_UP || p99_s >= LATE_WAKE_UP).then_some(Trouble::SlowWakeUps { p50_s, p99_s })
}

fn wide_control(noise: &Noise) -> Option<Trouble> {
    let control = noise.control?;
    let (low, high) = (control.low, control.high);
    (high >= CONTROL || low <= 1.0 / CONTROL).then_some(Trouble::WideControl { low, high })
}

impl Trouble {
    /// What to do about it, in one line, with the command where there is one.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Load { .. } => "end what else is running: `top -o %CPU` shows it",
            Self::Pressure { .. } => {
                "wait, or end what competes: `top -o %CPU`; in a container, raise its CPU quota"
            }
            Self::Steal { .. } => {
                "measure at another hour, or on a machine with CPUs of its own (bare metal, dedicated)"
            }
            Self::Governor { .. } => "run `sudo cpupower frequency-set -g performance`",
            Self::HaltPolling { .. } => {
                "run `echo 0 | sudo tee /sys/module/haltpoll/parameters/guest_halt_poll_ns`"
            }
            Self::Swap { .. } => {
                "end what fills the memory, then run `sudo swapoff -a && sudo swapon -a`"
            }
            Self::HugePages => {
                "run `echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled`"
            }
            Self::FewCpus { .. } => {
                "give it two CPUs; if some are withheld, `taskset -p $$` shows which are allowed"
            }
            Self::SharedCores {
                smt: Some(true), ..
            } => "run `echo off | sudo tee /sys/devices/system/cpu/smt/control`",
            Self::SharedCores { .. } => {
                "trust the rows of one worker more than those of all CPUs, or measure on bare metal"
            }
            Self::NoisyWork { .. } => {
                "use `cofferdam compare --rigorous`: more rounds average it out"
            }
            Self::SlowWakeUps { .. } => {
                "run `sudo cpupower idle-set -D 10` (no deep sleep); a virtual machine: use bare metal"
            }
            Self::WideControl { .. } => {
                "run `cofferdam compare` several times, and believe only what repeats"
            }
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| three_digits(100.0 * share);
        match self {
            Self::Load { load, cpus } => write!(
                f,
                "Others use the CPUs: the load is {} on {}.",
                three_digits(*load),
                count(*cpus)
            ),
            Self::Pressure { percent } => write!(
                f,
                "Processes waited for a CPU in {} % of the last ten seconds.",
                three_digits(*percent)
            ),
            Self::Steal { now, since_boot } => {
                let told = |share: &Option<f64>| share.map_or("?".to_owned(), percent);
                write!(
                    f,
                    "The hypervisor gave {} % of the CPUs' time to others just now, {} % since the start.",
                    told(now),
                    told(since_boot)
                )
            }
            Self::Governor { governor } => write!(
                f,
                "The clock frequency follows the load: the governor is {governor}."
            ),
            Self::HaltPolling { nanoseconds } => write!(
                f,
                "Idle virtual CPUs spin for {} before they sleep, at their neighbours' expense.",
                TimeSpan::new(Duration::from_nanos(*nanoseconds))
            ),
            Self::Swap { bytes } => {
                write!(
                    f,
                    "{} of memory lie in the swap.",
                    ByteSize::from_bytes(*bytes)
                )
            }
            Self::HugePages => f.write_str(
                "Transparent huge pages are always on: memory grows in steps of 2 MiB, by chance.",
            ),
            Self::FewCpus { cpus } => write!(
                f,
                "{} is too few: the host and its workers take turns.",
                count(*cpus)
            ),
            Self::SharedCores { slowdown, .. } => write!(
                f,
                "On all CPUs at once, the same work takes {} times as long: they share cores.",
                three_digits(*slowdown)
            ),
            Self::NoisyWork {
                lost,
                p99_ratio,
                threads,
            } => write!(
                f,
                "The same work loses {} % of its time {}; one run in a hundred takes {} times the median.",
                percent(*lost),
                match threads {
                    1 => "in one thread".to_owned(),
                    threads => format!("in {threads} threads at once"),
                },
                three_digits(*p99_ratio)
            ),
            Self::SlowWakeUps { p50_s, p99_s } => write!(
                f,
                "Waking a thread takes {}, and {} once in a hundred times.",
                seconds(*p50_s),
                seconds(*p99_s)
            ),
            Self::WideControl { low, high } => write!(
                f,
                "The same work, measured twice, differs: the ratio is within [{}, {}].",
                three_digits(*low),
                three_digits(*high)
            ),
        }
    }
}

fn count(cpus: usize) -> String {
    match cpus {
        1 => "1 CPU".to_owned(),
        cpus => format!("{cpus} CPUs"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::noise::WakeUp;
    use super::*;
    use crate::stats::Interval;

    /// A machine without fault.
    fn machine() -> Machine {
        Machine {
            cpus: 4,
            swap: Some(1 << 30),
            swap_used: Some(0),
            governor: Some("performance".to_owned()),
            transparent_huge_pages: Some("madvise".to_owned()),
            guest_halt_poll_ns: Some(0),
            virtual_machine: Some(true),
            steal: Some(0.0),
            smt: Some(false),
            load: Some(0.0),
            cpu_pressure: Some(0.0),
            ..Machine::here()
        }
    }

    fn spread(lost: f64, p99_ratio: f64) -> Option<Spread> {
        Some(Spread {
            runs: 600,
            p50_s: 0.001,
            p99_ratio,
            max_ratio: 10.0,
            lost,
        })
    }

    fn wake_up(p50_s: f64, p99_s: f64) -> Option<WakeUp> {
        Some(WakeUp {
            rounds: 2000,
            p50_s,
            p99_s,
        })
    }

    fn control(low: f64, high: f64) -> Option<Interval> {
        Some(Interval {
            median: 1.0,
            low,
            high,
            confidence: 0.95,
        })
    }

    /// No noise worth a word.
    fn noise() -> Noise {
        Noise {
            alone: spread(0.01, 1.02),
            all_cpus: spread(0.02, 1.05),
            slowdown: Some(1.02),
            wake_up: wake_up(5e-6, 20e-6),
            steal: Some(0.0),
            iowait: Some(0.0),
            control: control(0.99, 1.01),
            took_s: 2.0,
            ..Noise::default()
        }
    }

    /// That this trouble is the only one of the machine, or that there is none.
    #[track_caller]
    fn finds(machine: &Machine, noise: &Noise, expected: Option<Trouble>) {
        let expected: Vec<Trouble> = expected.into_iter().collect();
        assert_eq!(troubles(machine, noise), expected);
    }

    #[track_caller]
    fn machine_has(change: impl FnOnce(&mut Machine), expected: Option<Trouble>) {
        let mut machine = machine();
        change(&mut machine);
        finds(&machine, &noise(), expected);
    }

    #[track_caller]
    fn noise_has(change: impl FnOnce(&mut Noise), expected: Option<Trouble>) {
        let mut noise = noise();
        change(&mut noise);
        finds(&machine(), &noise, expected);
    }

    #[test]
    fn a_quiet_machine_has_none() {
        finds(&machine(), &noise(), None);
    }

    #[test]
    fn what_is_not_known_is_no_trouble() {
        let unknown = Machine {
            swap_used: None,
            governor: None,
            transparent_huge_pages: None,
            guest_halt_poll_ns: None,
            virtual_machine: None,
            steal: None,
            load: None,
            cpu_pressure: None,
            ..machine()
        };
        finds(&unknown, &Noise::default(), None);
    }

    #[test]
    fn one_cpu_is_too_few() {
        machine_has(|m| m.cpus = 2, None);
        machine_has(|m| m.cpus = 1, Some(Trouble::FewCpus { cpus: 1 }));
    }

    #[test]
    fn load_counts_for_each_cpu() {
        machine_has(|m| m.load = Some(0.99), None);
        let trouble = Trouble::Load { load: 1.0, cpus: 4 };
        machine_has(|m| m.load = Some(1.0), Some(trouble));
    }

    #[test]
    fn pressure_from_five_per_cent() {
        machine_has(|m| m.cpu_pressure = Some(4.99), None);
        let trouble = Trouble::Pressure { percent: 5.0 };
        machine_has(|m| m.cpu_pressure = Some(5.0), Some(trouble));
    }

    #[test]
    fn time_is_stolen_now_or_was_before() {
        machine_has(|m| m.steal = Some(0.0099), None);
        noise_has(|n| n.steal = Some(0.0099), None);
        let steal = |now, since_boot| Trouble::Steal {
            now: Some(now),
            since_boot: Some(since_boot),
        };
        machine_has(|m| m.steal = Some(0.01), Some(steal(0.0, 0.01)));
        noise_has(|n| n.steal = Some(0.01), Some(steal(0.01, 0.0)));
    }

    #[test]
    fn any_other_governor_is_told_by_name() {
        let governor = "powersave".to_owned();
        machine_has(
            |m| m.governor = Some("powersave".to_owned()),
            Some(Trouble::Governor { governor }),
        );
    }

    #[test]
    fn halt_polling_is_one_of_virtual_machines() {
        let trouble = Trouble::HaltPolling { nanoseconds: 1 };
        machine_has(|m| m.guest_halt_poll_ns = Some(1), Some(trouble));
        machine_has(
            |m| {
                m.guest_halt_poll_ns = Some(200_000);
                m.virtual_machine = Some(false);
            },
            None,
        );
    }

    #[test]
    fn a_swap_may_be_there_but_not_be_used() {
        machine_has(|m| m.swap_used = Some(SWAP - 1), None);
        let trouble = Trouble::Swap { bytes: SWAP };
        machine_has(|m| m.swap_used = Some(SWAP), Some(trouble));
    }

    #[test]
    fn huge_pages_are_a_trouble_if_always_on() {
        for choice in ["never", "madvise"] {
            machine_has(|m| m.transparent_huge_pages = Some(choice.to_owned()), None);
        }
        machine_has(
            |m| m.transparent_huge_pages = Some("always".to_owned()),
            Some(Trouble::HugePages),
        );
    }

    #[test]
    fn cpus_that_slow_each_other_down_share_cores() {
        noise_has(|n| n.slowdown = Some(1.19), None);
        let trouble = Trouble::SharedCores {
            slowdown: 1.2,
            smt: Some(false),
        };
        noise_has(|n| n.slowdown = Some(1.2), Some(trouble));
    }

    #[test]
    fn only_cores_that_are_known_to_be_shared_can_be_parted() {
        let remedy = |smt| Trouble::SharedCores { slowdown: 1.9, smt }.remedy();
        assert!(remedy(Some(true)).contains("smt/control"));
        assert!(!remedy(Some(false)).contains("smt/control"));
        assert!(!remedy(None).contains("smt/control"));
    }

    #[test]
    fn work_is_noisy_by_its_losses_or_its_tail() {
        let noisy = |lost, p99_ratio, threads| {
            Some(Trouble::NoisyWork {
                lost,
                p99_ratio,
                threads,
            })
        };
        noise_has(|n| n.alone = spread(0.049, 1.49), None);
        noise_has(|n| n.alone = spread(0.05, 1.0), noisy(0.05, 1.0, 1));
        noise_has(|n| n.alone = spread(0.0, 1.5), noisy(0.0, 1.5, 1));
        noise_has(|n| n.all_cpus = spread(0.049, 1.49), None);
        noise_has(|n| n.all_cpus = spread(0.05, 1.0), noisy(0.05, 1.0, 4));
    }

    #[test]
    fn noise_in_one_thread_is_not_told_twice() {
        noise_has(
            |n| {
                n.alone = spread(0.1, 1.0);
                n.all_cpus = spread(0.2, 1.0);
            },
            Some(Trouble::NoisyWork {
                lost: 0.1,
                p99_ratio: 1.0,
                threads: 1,
            }),
        );
    }

    #[test]
    fn wake_ups_are_slow_in_the_middle_or_in_the_tail() {
        let slow = |p50_s, p99_s| Some(Trouble::SlowWakeUps { p50_s, p99_s });
        noise_has(|n| n.wake_up = wake_up(49e-6, 0.99e-3), None);
        noise_has(|n| n.wake_up = wake_up(50e-6, 60e-6), slow(50e-6, 60e-6));
        noise_has(|n| n.wake_up = wake_up(5e-6, 1e-3), slow(5e-6, 1e-3));
    }

    #[test]
    fn a_control_is_wide_to_either_side() {
        let wide = |low, high| Some(Trouble::WideControl { low, high });
        noise_has(|n| n.control = control(0.953, 1.049), None);
        noise_has(|n| n.control = control(0.99, 1.05), wide(0.99, 1.05));
        noise_has(|n| n.control = control(0.952, 1.01), wide(0.952, 1.01));
    }

    #[test]
    fn each_is_told_in_one_line_and_tagged_by_its_kind() {
        let mut machine = Machine {
            cpus: 1,
            swap_used: Some(1 << 30),
            governor: Some("powersave".to_owned()),
            transparent_huge_pages: Some("always".to_owned()),
            guest_halt_poll_ns: Some(200_000),
            steal: Some(0.1),
            load: Some(3.0),
            cpu_pressure: Some(50.0),
            ..machine()
        };
        let noise = Noise {
            alone: spread(0.2, 3.0),
            slowdown: Some(2.0),
            wake_up: wake_up(1e-4, 1e-2),
            control: control(0.8, 1.3),
            ..noise()
        };
        let all = troubles(&machine, &noise);
        assert_eq!(all.len(), 12, "{all:?}");
        let mut kinds: Vec<String> = all
            .iter()
            .map(|trouble| {
                for line in [trouble.to_string().as_str(), trouble.remedy()] {
                    assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
                }
                let json = serde_json::to_value(trouble).unwrap();
                assert_eq!(
                    &serde_json::from_value::<Trouble>(json.clone()).unwrap(),
                    trouble
                );
                json["kind"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(kinds[0], "few-cpus");
        assert_eq!(
            all[0].to_string(),
            "1 CPU is too few: the host and its workers take turns."
        );
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 12);
        machine.cpus = 8;
        assert_eq!(
            load(&machine).unwrap().to_string(),
            "Others use the CPUs: the load is 3.00 on 8 CPUs."
        );
    }
}
