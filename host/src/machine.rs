//! What this machine is, as far as it bears on measurements.

mod ticks;

use std::fs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use ticks::Ticks;

/// The header of every result. What the system does not tell is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// The processor's name.
    pub model: Option<String>,
    /// Kernel name and release.
    pub kernel: String,
    /// Target of this build.
    pub target: String,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of swap.
    pub swap: Option<u64>,
    /// Bytes of memory that programs could have without swapping.
    pub memory_available: Option<u64>,
    /// Bytes that lie in the swap.
    pub swap_used: Option<u64>,
    /// What sets the clock frequency.
    pub governor: Option<String>,
    /// When the kernel uses huge pages by itself.
    pub transparent_huge_pages: Option<String>,
    /// How long an idle virtual CPU spins before it leaves the machine to others, in nanoseconds.
    pub guest_halt_poll_ns: Option<u64>,
    /// Whether a hypervisor is below.
    pub virtual_machine: Option<bool>,
    /// Share of the CPUs' time since the start that the hypervisor gave to others, from 0 to 1.
    pub steal: Option<f64>,
    /// Whether CPUs share their cores (simultaneous multithreading).
    pub smt: Option<bool>,
    /// What the kernel reads the time from.
    pub clocksource: Option<String>,
    /// Whose `malloc` this is, with its number of arenas where `MALLOC_ARENA_MAX` sets one.
    pub allocator: Option<String>,
    /// Processes that wanted a CPU in the last minute, on average, when the measuring began.
    pub load: Option<f64>,
    /// Per cent of the last ten seconds in which some process waited for a CPU, at that time.
    pub cpu_pressure: Option<f64>,
    /// Version of cofferdam.
    pub cofferdam: String,
    /// Version of wasmtime.
    pub wasmtime: String,
}

impl Machine {
    /// Looks at this machine now.
    #[must_use]
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let uname = rustix::system::uname();
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            model: after(&cpuinfo, "model name").map(str::to_owned),
            kernel: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy()
            ),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            memory: kilobytes(&meminfo, "MemTotal"),
            swap: kilobytes(&meminfo, "SwapTotal"),
            memory_available: kilobytes(&meminfo, "MemAvailable"),
            swap_used: kilobytes(&meminfo, "SwapTotal")
                .zip(kilobytes(&meminfo, "SwapFree"))
                .map(|(all, free)| all.saturating_sub(free)),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            transparent_huge_pages: line("/sys/kernel/mm/transparent_hugepage/enabled")
                .and_then(|choices| chosen(&choices).map(str::to_owned)),
            guest_halt_poll_ns: line("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
                .and_then(|text| text.parse().ok()),
            virtual_machine: after(&cpuinfo, "flags")
                .map(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            steal: Ticks::now().and_then(Ticks::steal),
            smt: line("/sys/devices/system/cpu/smt/active").and_then(|text| switch(&text)),
            clocksource: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            allocator: Some(allocator(std::env::var("MALLOC_ARENA_MAX").ok().as_deref())),
            load: line("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
            cpu_pressure: line("/proc/pressure/cpu").and_then(|text| average(&text)),
            cofferdam: env!("CARGO_PKG_VERSION").to_owned(),
            wasmtime: crate::runtime::ENGINE_VERSION.to_owned(),
        }
    }

    /// The machine in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let model = self.model.as_deref().unwrap_or("unknown processor");
        let virtual_machine = if self.virtual_machine == Some(true) {
            ", virtual machine"
        } else {
            ""
        };
        format!(
            "{} CPUs ({model}{virtual_machine}), {}",
            self.cpus, self.kernel
        )
    }
}

/// The allocator of this build. glibc heeds `MALLOC_ARENA_MAX` if it is a number; others do not.
fn allocator(arenas: Option<&str>) -> String {
    let arenas: Option<u64> = arenas.and_then(|text| text.trim().parse().ok());
    match (cfg!(target_env = "gnu"), arenas) {
        (true, Some(arenas)) => format!("system (glibc), MALLOC_ARENA_MAX={arenas}"),
        (true, None) => "system (glibc)".to_owned(),
        (false, _) if cfg!(target_env = "musl") => "system (musl)".to_owned(),
        (false, _) => "system".to_owned(),
    }
}

/// A switch of the kernel: `1` or `0`.
fn switch(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// The value behind `key … :` in the style of `/proc/cpuinfo`.
fn after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim())
}

/// Bytes of memory that programs could have now without swapping; `None` where the kernel does not say.
pub(crate) fn memory_available() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    kilobytes(&meminfo, "MemAvailable")
}

fn kilobytes(meminfo: &str, key: &str) -> Option<u64> {
    let kilobytes: u64 = after(meminfo, key)?
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()?;
    Some(kilobytes * 1024)
}

/// The choice in brackets: `always [madvise] never`.
fn chosen(choices: &str) -> Option<&str> {
    Some(choices.split_once('[')?.1.split_once(']')?.0)
}

/// The ten-second average of a pressure file: `some avg10=0.12 avg60=…`.
fn average(pressure: &str) -> Option<f64> {
    pressure
        .split_once("avg10=")?
        .1
        .split(' ')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_understood() {
        assert_eq!(
            after("a : b\nmodel name\t: Foo 3000\n", "model name"),
            Some("Foo 3000")
        );
        assert_eq!(
            kilobytes("MemTotal:       16 kB\nSwapTotal: 0 kB", "MemTotal"),
            Some(16384)
        );
        assert_eq!(chosen("always [madvise] never"), Some("madvise"));
        assert_eq!(
            average("some avg10=1.25 avg60=0.00 avg300=0.00 total=1\nfull …"),
            Some(1.25)
        );
    }

    #[test]
    fn a_switch_is_on_or_off_or_unknown() {
        assert_eq!(switch("1"), Some(true));
        assert_eq!(switch("0"), Some(false));
        assert_eq!(switch("notimplemented"), None);
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn the_arenas_are_named_where_they_are_a_number() {
        assert_eq!(allocator(None), "system (glibc)");
        assert_eq!(allocator(Some("many")), "system (glibc)");
        assert_eq!(allocator(Some("2")), "system (glibc), MALLOC_ARENA_MAX=2");
    }

    #[test]
    fn this_machine_has_a_cpu_and_a_kernel() {
        let machine = Machine::here();
        assert!(machine.cpus >= 1);
        assert!(machine.kernel.starts_with("Linux "), "{}", machine.kernel);
    }
}
