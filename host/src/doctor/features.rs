//! What this machine offers to wall off a worker process, and to look at it. Each is tried, on this
//! process or on a throw-away child; nothing is guessed from a version number.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, MemfdFlags, SealFlags, access, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sys::{child, probes};
use crate::units::ByteSize;

/// One thing that a machine may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Feature {
    /// Its name, in the words of the kernel's documentation.
    pub name: String,
    /// Whether it is there.
    #[serde(flatten)]
    pub state: FeatureState,
    /// What it is good for here.
    pub what_for: String,
}

/// Whether a feature is there, and what is known about that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", content = "detail", rename_all = "kebab-case")]
pub enum FeatureState {
    /// It can be used. The detail says how much of it there is, and may be empty.
    Available(String),
    /// It cannot be used, for this reason.
    Unavailable(String),
    /// Some of it can be used.
    Partial(String),
}

use FeatureState::{Available, Partial, Unavailable};

/// Tries everything, in a fixed order. It takes some milliseconds.
#[must_use]
pub fn features() -> Vec<Feature> {
    let feature = |name: &str, state, what_for: &str| Feature {
        name: name.to_owned(),
        state,
        what_for: what_for.to_owned(),
    };
    vec![
        feature("pidfd", pidfd(), "a kill that hits no stranger"),
        feature("sealed memfd", sealed_memfd(), "code that cannot change"),
        feature("seccomp filter", seccomp(), "no system calls but a few"),
        feature("Landlock", landlock(), "no files, no ports"),
        feature(
            "user namespace",
            user_namespace(),
            "no file system, no network",
        ),
        feature("cgroup v2 memory", cgroup_memory(), "a bound on all memory"),
        feature("Yama", yama(), "no tracing among workers"),
        feature(
            "protection keys",
            protection_keys(),
            "walls within one process",
        ),
        feature("huge pages", huge_pages(), "fewer page faults"),
        feature("PSS", pss(), "memory, not counted twice"),
        feature(
            "hardware counters",
            hardware_counters(),
            "counts without noise",
        ),
    ]
}

/// Opens this process as a descriptor (`pidfd_open(2)`).
fn pidfd() -> FeatureState {
    match child::open(std::process::id()) {
        Ok(_) => Available(String::new()),
        Err(error) => Unavailable(without(&error, "the kernel is older than 5.3")),
    }
}

/// Makes a file in memory, seals it and tries to write to it (`memfd_create(2)`).
fn sealed_memfd() -> FeatureState {
    let sealed = || -> io::Result<fs::File> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = fs::File::from(memfd_create("cofferdam-doctor", flags)?);
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SEAL)?;
        Ok(file)
    };
    match sealed().map(|mut file| file.write_all(b"x")) {
        Ok(Err(_)) => Available(String::new()),
        Ok(Ok(())) => Unavailable("a sealed file could be written to".to_owned()),
        Err(error) => Unavailable(error.to_string()),
    }
}

/// Asks the kernel whether a filter may kill the process (`seccomp(2)`).
fn seccomp() -> FeatureState {
    match probes::seccomp_can_kill() {
        Ok(()) => Available("can kill the process".to_owned()),
        Err(error) if is(&error, Errno::OPNOTSUPP) => {
            Partial("cannot kill the whole process: the kernel is older than 4.14".to_owned())
        }
        Err(error) => Unavailable(without(&error, "the kernel is built without it")),
    }
}

/// Asks for the version of the interface (`landlock(7)`).
fn landlock() -> FeatureState {
    match probes::landlock_abi() {
        Ok(abi) => landlock_of(abi),
        Err(error) if is(&error, Errno::OPNOTSUPP) => Unavailable(
            "built in, but not in the list lsm= of the kernel's command line".to_owned(),
        ),
        Err(error) => Unavailable(without(&error, "the kernel is built without it")),
    }
}

/// What the versions can restrict: files from 1 on, TCP ports from 4 on, signals and abstract sockets
/// from 6 on.
fn landlock_of(abi: i32) -> FeatureState {
    match abi {
        ..4 => Partial(format!("ABI {abi}: files, no ports")),
        4 | 5 => Partial(format!("ABI {abi}: files and ports, no signals")),
        _ => Available(format!("ABI {abi}")),
    }
}

/// A throw-away child makes a user namespace, then namespaces of the file system and of the network in
/// it (`user_namespaces(7)`). Some systems allow the first and not the others.
fn user_namespace() -> FeatureState {
    let who = if rustix::process::geteuid().is_root() {
        "tried as root"
    } else {
        "without privileges"
    };
    let others = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWIPC;
    let alone = probes::user_namespace(UnshareFlags::empty());
    match (alone, probes::user_namespace(others)) {
        (Ok(()), Ok(())) => Available(who.to_owned()),
        (Ok(()), Err(error)) => Partial(format!("{who}; no other namespaces in it: {error}")),
        (Err(error), _) => Unavailable(format!("{who}: {error}")),
    }
}

/// Looks for this process's group in a mounted cgroup2 (`cgroups(7)`), and whether groups with a memory
/// limit could be made below it. Nothing is made.
fn cgroup_memory() -> FeatureState {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(folder) = cgroup_folder(&mounts, &groups) else {
        return Unavailable("no cgroup2 is mounted that shows this process".to_owned());
    };
    let controllers = match fs::read_to_string(folder.join("cgroup.controllers")) {
        Ok(controllers) => controllers,
        Err(error) => return Unavailable(format!("{}: {error}", folder.display())),
    };
    let writable = ["", "cgroup.procs", "cgroup.subtree_control"]
        .iter()
        .all(|file| access(folder.join(file), Access::WRITE_OK).is_ok());
    cgroup_state(&controllers, &groups, writable)
}

fn cgroup_state(controllers: &str, groups: &str, writable: bool) -> FeatureState {
    let ours = controllers.split_whitespace().any(|name| name == "memory");
    let first_version = groups
        .lines()
        .filter_map(|line| line.split(':').nth(1))
        .any(|names| names.split(',').any(|name| name == "memory"));
    match (ours, writable) {
        (true, true) => Available("this group may be divided".to_owned()),
        (true, false) => Unavailable("this group is not ours to write".to_owned()),
        (false, _) if first_version => {
            Unavailable("cgroup v1 has the memory controller".to_owned())
        }
        (false, _) => Unavailable("this group has no memory controller".to_owned()),
    }
}

/// The folder of this process's group, from `/proc/self/mountinfo` and `/proc/self/cgroup`.
fn cgroup_folder(mounts: &str, groups: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        if file_system.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        let below = Path::new(group).strip_prefix(root).ok()?;
        Some(Path::new(place).join(below))
    })
}

/// Reads who may trace whom (`ptrace(2)`).
fn yama() -> FeatureState {
    match fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") {
        Ok(scope) => yama_of(scope.trim()),
        Err(_) => {
            Unavailable("not in this kernel: a user's processes may trace each other".to_owned())
        }
    }
}

fn yama_of(scope: &str) -> FeatureState {
    match scope {
        "0" => Unavailable("scope 0: a user's processes may trace each other".to_owned()),
        "1" => Available("scope 1: parents trace their children".to_owned()),
        "2" => Available("scope 2: only root traces".to_owned()),
        "3" => Available("scope 3: nobody traces".to_owned()),
        other => Partial(format!("scope {other}")),
    }
}

/// Takes a key and gives it back (`pkeys(7)`).
fn protection_keys() -> FeatureState {
    match probes::protection_key() {
        Ok(()) => Available(String::new()),
        Err(error) if is(&error, Errno::NOSPC) || is(&error, Errno::INVAL) => {
            Unavailable("the processor has none, or they are hidden".to_owned())
        }
        Err(error) => Unavailable(without(&error, "the kernel is built without them")),
    }
}

/// Reads which sizes there are and how many pages are reserved (`/sys/kernel/mm/hugepages`).
fn huge_pages() -> FeatureState {
    let Ok(folders) = fs::read_dir("/sys/kernel/mm/hugepages") else {
        return Unavailable("the kernel is built without them".to_owned());
    };
    let mut pools: Vec<(u64, u64)> = folders
        .filter_map(|folder| {
            let folder = folder.ok()?;
            let kilobytes = folder
                .file_name()
                .to_str()?
                .strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse::<u64>()
                .ok()?;
            let free = fs::read_to_string(folder.path().join("free_hugepages")).ok()?;
            Some((kilobytes * 1024, free.trim().parse().ok()?))
        })
        .collect();
    pools.sort_unstable();
    huge_pages_of(&pools)
}

/// Pools as (bytes of a page, free pages).
fn huge_pages_of(pools: &[(u64, u64)]) -> FeatureState {
    let size = |bytes| ByteSize::from_bytes(bytes).to_string();
    if pools.is_empty() {
        return Unavailable("this machine has no sizes of them".to_owned());
    }
    let free: Vec<String> = pools
        .iter()
        .filter(|&&(_, free)| free > 0)
        .map(|&(bytes, free)| format!("{free} of {}", size(bytes)))
        .collect();
    if free.is_empty() {
        let sizes: Vec<String> = pools.iter().map(|&(bytes, _)| size(bytes)).collect();
        return Partial(format!("{}, none reserved", sizes.join(" and ")));
    }
    Available(format!("free: {}", free.join(", ")))
}

/// Reads this process's own (`proc_pid_smaps(5)`).
fn pss() -> FeatureState {
    match crate::experiment::pss(std::process::id()) {
        Ok(bytes) => Available(format!("this process: {}", ByteSize::from_bytes(bytes))),
        Err(error) => Unavailable(error),
    }
}

/// Opens a counter of this thread's instructions and closes it (`perf_event_open(2)`).
fn hardware_counters() -> FeatureState {
    match probes::hardware_counter() {
        Ok(()) => Available("of one's own instructions".to_owned()),
        Err(error) if is(&error, Errno::NOENT) || is(&error, Errno::OPNOTSUPP) => {
            Unavailable("the processor shows none (usual in virtual machines)".to_owned())
        }
        Err(error) if is(&error, Errno::ACCESS) || is(&error, Errno::PERM) => {
            let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
            let paranoid = paranoid.map_or("unknown".to_owned(), |text| text.trim().to_owned());
            Unavailable(format!(
                "not allowed (kernel.perf_event_paranoid is {paranoid})"
            ))
        }
        Err(error) => Unavailable(without(&error, "the kernel is built without them")),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// The reason for a call that failed: what its absence means, or what the system says.
fn without(error: &io::Error, absent: &str) -> String {
    if is(error, Errno::NOSYS) {
        absent.to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cofferdam_itself_rests_on_is_found() {
        // Its processes do not work without these two, so wherever the other tests pass they are there.
        assert_eq!(pidfd(), Available(String::new()));
        assert_eq!(sealed_memfd(), Available(String::new()));
    }

    #[test]
    fn names_are_unique_and_each_says_what_it_is_for() {
        let features = features();
        for (place, feature) in features.iter().enumerate() {
            assert!(!feature.what_for.is_empty(), "{}", feature.name);
            let again = features[place + 1..]
                .iter()
                .any(|other| other.name == feature.name);
            assert!(!again, "{}", feature.name);
        }
    }

    #[test]
    fn a_feature_is_one_flat_object() {
        let feature = Feature {
            name: "Landlock".to_owned(),
            state: landlock_of(7),
            what_for: "walls".to_owned(),
        };
        let json = serde_json::json!(
            {"name": "Landlock", "state": "available", "detail": "ABI 7", "what_for": "walls"}
        );
        assert_eq!(serde_json::to_value(&feature).unwrap(), json);
        assert_eq!(serde_json::from_value::<Feature>(json).unwrap(), feature);
    }

    #[test]
    fn early_versions_of_landlock_are_partial() {
        for (abi, words) in [
            (1, "no ports"),
            (3, "no ports"),
            (4, "no signals"),
            (5, "no signals"),
        ] {
            assert!(
                matches!(landlock_of(abi), Partial(detail) if detail.contains(words)),
                "{abi}"
            );
        }
        assert!(matches!(landlock_of(6), Available(_)));
    }

    #[test]
    fn the_own_group_is_found_below_the_mount() {
        let mounts = "40 31 0:37 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        let folder = cgroup_folder(mounts, "4:memory:/x\n0::/user.slice/a.scope\n");
        assert_eq!(
            folder.as_deref(),
            Some(Path::new("/sys/fs/cgroup/user.slice/a.scope"))
        );
        let inner = "41 31 0:38 /user.slice /mnt rw - cgroup2 none rw\n";
        let folder = cgroup_folder(inner, "0::/user.slice/a.scope\n");
        assert_eq!(folder.as_deref(), Some(Path::new("/mnt/a.scope")));
        assert_eq!(cgroup_folder(inner, "0::/elsewhere\n"), None);
        assert_eq!(cgroup_folder(mounts, "4:memory:/x\n"), None);
        assert_eq!(cgroup_folder("", "0::/\n"), None);
    }

    #[test]
    fn a_group_needs_the_controller_and_the_right_to_write() {
        let v2 = "0::/a\n";
        assert!(matches!(
            cgroup_state("cpu memory pids\n", v2, true),
            Available(_)
        ));
        assert!(
            matches!(cgroup_state("cpu memory\n", v2, false), Unavailable(why) if why.contains("write"))
        );
        assert!(
            matches!(cgroup_state("hugetlb\n", v2, true), Unavailable(why) if why.contains("no memory"))
        );
        let v1 = "5:cpu,memory:/\n0::/\n";
        assert!(
            matches!(cgroup_state("hugetlb\n", v1, true), Unavailable(why) if why.contains("v1"))
        );
    }

    #[test]
    fn reserved_pages_are_counted_by_size() {
        const MIB: u64 = 1 << 20;
        assert_eq!(
            huge_pages_of(&[(2 * MIB, 0), (1024 * MIB, 0)]),
            Partial("2 MiB and 1 GiB, none reserved".to_owned())
        );
        assert_eq!(
            huge_pages_of(&[(2 * MIB, 7), (1024 * MIB, 0)]),
            Available("free: 7 of 2 MiB".to_owned())
        );
        assert!(matches!(huge_pages_of(&[]), Unavailable(_)));
    }

    #[test]
    fn scopes_of_yama_are_told_apart() {
        assert!(matches!(yama_of("0"), Unavailable(_)));
        assert!(matches!(yama_of("1"), Available(_)));
        assert!(matches!(yama_of("9"), Partial(_)));
    }
}
