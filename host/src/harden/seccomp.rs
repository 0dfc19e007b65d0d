//! The system calls that running a guest takes, and no others (`seccomp(2)`).
//!
//! The list was found by running all tests under it, not by reading code: `strace -f` and the kernel's
//! `SIGSYS` say what is missing. Whoever calls anything else is killed, so an escaped guest has one guess.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};

use crate::folder::FolderAccess;
use crate::link::protocol::Role;

/// Filters all threads of this process, which may do so much with files.
pub(super) fn confine(role: Role, reach: Option<FolderAccess>) -> io::Result<()> {
    apply_filter_all_threads(&allowing(role, reach)?).map_err(io::Error::other)
}

/// A filter for a forked worker, on top of that of its server, which is on it already: it takes away what the
/// server needed and a worker does not.
///
/// It is short on purpose. The kernel looks through it for every call that was allowed before, and that, and
/// compiling it, is most of its price. It is made by the server, once; a worker puts its own number in.
pub(super) struct Seal(BpfProgram);

/// In the place of a worker's number: larger than any process id (`pid_max` is 2^22 at the most).
const SOMEBODY: u32 = 0x7fff_fff1;

impl Seal {
    pub(super) fn new() -> io::Result<Self> {
        let of_others = when(&[(0, SeccompCmpOp::Ne, u64::from(SOMEBODY))])?;
        let filter = SeccompFilter::new(
            BTreeMap::from([
                (libc::SYS_clone, Vec::new()),
                // Landlock lets workers of one server signal each other.
                (libc::SYS_tgkill, vec![of_others]),
            ]),
            SeccompAction::Allow,
            SeccompAction::KillProcess,
            processor()?,
        );
        let program = filter.and_then(TryInto::try_into);
        Ok(Self(program.map_err(io::Error::other)?))
    }

    /// Filters this thread, which is the only one of its process.
    pub(super) fn put_on(mut self) -> io::Result<()> {
        let this = std::process::id();
        for step in self.0.iter_mut().filter(|step| step.k == SOMEBODY) {
            step.k = this;
        }
        apply_filter(&self.0).map_err(io::Error::other)
    }
}

fn processor() -> io::Result<TargetArch> {
    std::env::consts::ARCH
        .try_into()
        .map_err(|_| io::Error::from_raw_os_error(libc::EOPNOTSUPP))
}

/// Calls that are harmless with any arguments: they act on this process's own memory, threads and open
/// descriptors.
const HARMLESS: &[i64] = &[
    // Memory; `mmap` and `mprotect` stand below.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Talking to the host, over what is open.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_recvmsg,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_close,
    libc::SYS_setsockopt,
    // How large is the memory that came?
    libc::SYS_fstat,
    // Waiting.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // Traps of guests are signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Who am I?
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    // `random` of the guest interface, and the hash tables of the standard library.
    libc::SYS_getrandom,
    // The end.
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What a forked process does before it is a worker.
const BIRTH: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    libc::SYS_dup3,
];

/// What threads do that have begun and are not yet at their work: those of the compiler.
const THREAD: &[i64] = &[
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
];

/// What reading files takes that are beneath a folder. Of the calls that take a path these are the only ones: which paths,
/// a filter cannot see, and Landlock decides.
const READING: &[i64] = &[
    libc::SYS_openat2,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
];

/// What changing them takes.
const CHANGING: &[i64] = &[
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_mkdirat,
    libc::SYS_symlinkat,
];

/// Calls on files whose arguments are looked at.
fn on_files(access: FolderAccess) -> io::Result<Vec<(i64, SeccompRule)>> {
    match access {
        FolderAccess::ReadOnly => Ok(Vec::new()),
        FolderAccess::ReadWrite => Ok(vec![
            // What times a file has, Landlock does not guard: only what is open may be given others, and no path.
            (
                libc::SYS_utimensat,
                when_all_of(&[(1, SeccompCmpOp::Eq, 0)])?,
            ),
            // No exchange, and nothing is left as a whiteout.
            (libc::SYS_renameat2, when(&[equal(4, 0)])?),
            // A link itself, never what it leads to.
            (libc::SYS_linkat, when(&[equal(4, 0)])?),
            (
                libc::SYS_unlinkat,
                when(&[masked(2, number(!libc::AT_REMOVEDIR), 0)])?,
            ),
        ]),
    }
}

fn allowing(role: Role, reach: Option<FolderAccess>) -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        HARMLESS.iter().map(|&call| (call, Vec::new())).collect();
    // No memory becomes code: neither is it made so, nor is it mapped so.
    let not_code = || when(&[masked(2, prot(libc::PROT_EXEC), 0)]);
    rules.insert(libc::SYS_mmap, vec![not_code()?]);
    rules.insert(libc::SYS_mprotect, vec![not_code()?]);
    // The standard library looks, where it is built with checks, whether what it closes is open.
    let mut of_descriptors = vec![when(&[equal(1, number(libc::F_GETFD))])?];
    if let Some(access) = reach {
        let calls = match access {
            FolderAccess::ReadOnly => [READING, &[]],
            FolderAccess::ReadWrite => [READING, CHANGING],
        };
        rules.extend(calls.into_iter().flatten().map(|&call| (call, Vec::new())));
        rules.extend(
            on_files(access)?
                .into_iter()
                .map(|(call, rule)| (call, vec![rule])),
        );
        of_descriptors.push(when(&[equal(1, number(libc::F_SETFL))])?);
    }
    rules.insert(libc::SYS_fcntl, of_descriptors);
    // `abort` sends a signal to its own process, and so ends with the signal that the host is to hear of.
    let this = u64::from(std::process::id());
    match role {
        Role::Worker => {
            rules.insert(libc::SYS_tgkill, vec![when(&[equal(0, this)])?]);
        }
        Role::Compiler => {
            rules.extend(THREAD.iter().map(|&call| (call, Vec::new())));
            rules.insert(libc::SYS_tgkill, vec![when(&[equal(0, this)])?]);
        }
        Role::ForkServer => {
            rules.extend(BIRTH.iter().map(|&call| (call, Vec::new())));
            // Its workers have numbers of their own, which nobody knows yet.
            rules.insert(libc::SYS_tgkill, Vec::new());
            let sibling = number(libc::CLONE_PARENT | libc::SIGCHLD);
            rules.insert(libc::SYS_clone, vec![when(&[equal(0, sibling)])?]);
            let dies_with_host = [
                equal(0, number(libc::PR_SET_PDEATHSIG)),
                equal(1, number(libc::SIGKILL)),
            ];
            let no_new_rights = [equal(0, number(libc::PR_SET_NO_NEW_PRIVS)), equal(1, 1)];
            rules.insert(
                libc::SYS_prctl,
                vec![when(&dies_with_host)?, when(&no_new_rights)?],
            );
            // Its own limits, which can only be lowered.
            rules.insert(libc::SYS_prlimit64, vec![when(&[equal(0, 0)])?]);
            // One more filter takes away more.
            let filter = equal(0, u64::from(libc::SECCOMP_SET_MODE_FILTER));
            rules.insert(libc::SYS_seccomp, vec![when(&[filter, equal(1, 0)])?]);
        }
    }
    SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        processor()?,
    )
    .and_then(TryInto::try_into)
    .map_err(io::Error::other)
}

/// A number that the kernel takes as one of 32 bits.
fn number(value: libc::c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

fn prot(bits: libc::c_int) -> u64 {
    number(bits)
}

type Condition = (u8, SeccompCmpOp, u64);

fn equal(argument: u8, value: u64) -> Condition {
    (argument, SeccompCmpOp::Eq, value)
}

fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    (argument, SeccompCmpOp::MaskedEq(mask), value)
}

fn when(conditions: &[Condition]) -> io::Result<SeccompRule> {
    rule(&SeccompCmpArgLen::Dword, conditions)
}

/// The same for arguments of 64 bits, as pointers are.
fn when_all_of(conditions: &[Condition]) -> io::Result<SeccompRule> {
    rule(&SeccompCmpArgLen::Qword, conditions)
}

fn rule(length: &SeccompCmpArgLen, conditions: &[Condition]) -> io::Result<SeccompRule> {
    let conditions: Result<Vec<_>, _> = conditions
        .iter()
        .map(|(argument, how, value)| {
            SeccompCondition::new(*argument, length.clone(), how.clone(), *value)
        })
        .collect();
    conditions
        .and_then(SeccompRule::new)
        .map_err(io::Error::other)
}
