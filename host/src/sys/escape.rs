//! What code would try that got out of the sandbox: one system call or two each, and nothing kept.
//!
//! The acts are the question, not the answer: whoever runs them sees how far they come. Each is chosen so
//! that success changes nothing outside of this process, and little in it; still, a process in which they were
//! tried is to be thrown away.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::FromRawFd;
use std::process::Command;
use std::ptr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that a guest has no business doing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Reads a file of the system.
    ReadFile,
    /// Makes a file.
    MakeFile,
    /// Makes a folder.
    MakeFolder,
    /// Lists a folder.
    ListFolder,
    /// Reads the environment of the host from `/proc`.
    ReadEnvironment,
    /// Opens the memory of the host in `/proc`.
    OpenHostMemory,
    /// Makes a TCP socket.
    Socket,
    /// Connects to a TCP port.
    Connect,
    /// Listens on a TCP port.
    Listen,
    /// Makes a UDP socket.
    Datagram,
    /// Makes a socket that talks to the kernel (netlink).
    Netlink,
    /// Connects to a Unix socket by an abstract name.
    AbstractSocket,
    /// Runs a program.
    RunProgram,
    /// Forks.
    Fork,
    /// Forks as the fork server does.
    ForkSibling,
    /// Starts a thread.
    StartThread,
    /// Asks whether it may signal the host.
    SignalHost,
    /// Signals another process by the call that is allowed for its own.
    SignalOther,
    /// Opens the host as a descriptor.
    OpenHost,
    /// Traces the host.
    Trace,
    /// Copies memory out of the host.
    CopyHostMemory,
    /// Changes the limits of the host.
    LimitHost,
    /// Raises its own limits.
    RaiseLimits,
    /// Goes on when its host dies.
    OutliveHost,
    /// Lets others trace it.
    BeTraced,
    /// Leaves its session.
    LeaveSession,
    /// Becomes root, or another root.
    BecomeRoot,
    /// Makes a user namespace.
    UserNamespace,
    /// Makes a mount namespace.
    MountNamespace,
    /// Changes its root folder.
    ChangeRoot,
    /// Makes a file system to be mounted.
    Mount,
    /// Makes memory that is code.
    MakeCode,
    /// Turns its memory into code.
    TurnIntoCode,
    /// Makes a file in memory.
    MemoryFile,
    /// Makes a descriptor for events.
    EventDescriptor,
    /// Watches files.
    WatchFiles,
    /// Handles its own page faults.
    HandleFaults,
    /// Makes a ring of asynchronous calls.
    IoUring,
    /// Loads a program into the kernel.
    KernelProgram,
    /// Counts what the processor does.
    Counters,
    /// Keeps a key in the kernel.
    KernelKey,
    /// Makes memory that outlives processes.
    SystemVMemory,
    /// Changes what it seems to be (`personality`).
    Personality,
    /// Uses a descriptor that the host left open by accident.
    StrayDescriptor,
}

/// A file that every system has and that everybody may read.
const SOME_FILE: &CStr = c"/etc/passwd";

impl Act {
    /// Every act, in the order of the report.
    pub const ALL: [Self; 44] = [
        Self::ReadFile,
        Self::MakeFile,
        Self::MakeFolder,
        Self::ListFolder,
        Self::ReadEnvironment,
        Self::OpenHostMemory,
        Self::Socket,
        Self::Connect,
        Self::Listen,
        Self::Datagram,
        Self::Netlink,
        Self::AbstractSocket,
        Self::RunProgram,
        Self::Fork,
        Self::ForkSibling,
        Self::StartThread,
        Self::SignalHost,
        Self::SignalOther,
        Self::OpenHost,
        Self::Trace,
        Self::CopyHostMemory,
        Self::LimitHost,
        Self::RaiseLimits,
        Self::OutliveHost,
        Self::BeTraced,
        Self::LeaveSession,
        Self::BecomeRoot,
        Self::UserNamespace,
        Self::MountNamespace,
        Self::ChangeRoot,
        Self::Mount,
        Self::MakeCode,
        Self::TurnIntoCode,
        Self::MemoryFile,
        Self::EventDescriptor,
        Self::WatchFiles,
        Self::HandleFaults,
        Self::IoUring,
        Self::KernelProgram,
        Self::Counters,
        Self::KernelKey,
        Self::SystemVMemory,
        Self::Personality,
        Self::StrayDescriptor,
    ];

    /// What it does, as the report says it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ReadFile => "reads a file of the system",
            Self::MakeFile => "makes a file",
            Self::MakeFolder => "makes a folder",
            Self::ListFolder => "lists a folder",
            Self::ReadEnvironment => "reads the host's environment",
            Self::OpenHostMemory => "opens the host's memory in /proc",
            Self::Socket => "makes a TCP socket",
            Self::Connect => "connects to a TCP port",
            Self::Listen => "listens on a TCP port",
            Self::Datagram => "makes a UDP socket",
            Self::Netlink => "talks to the kernel by netlink",
            Self::AbstractSocket => "makes a Unix socket",
            Self::RunProgram => "runs a program",
            Self::Fork => "forks",
            Self::ForkSibling => "forks as the fork server does",
            Self::StartThread => "starts a thread",
            Self::SignalHost => "may signal the host",
            Self::SignalOther => "signals another process's thread",
            Self::OpenHost => "opens the host as a descriptor",
            Self::Trace => "traces the host",
            Self::CopyHostMemory => "copies memory out of the host",
            Self::LimitHost => "changes the host's limits",
            Self::RaiseLimits => "raises its own limits",
            Self::OutliveHost => "outlives its host",
            Self::BeTraced => "lets others trace it",
            Self::LeaveSession => "leaves its session",
            Self::BecomeRoot => "becomes root",
            Self::UserNamespace => "makes a user namespace",
            Self::MountNamespace => "makes a mount namespace",
            Self::ChangeRoot => "changes its root folder",
            Self::Mount => "makes a file system to mount",
            Self::MakeCode => "makes memory that is code",
            Self::TurnIntoCode => "turns its memory into code",
            Self::MemoryFile => "makes a file in memory",
            Self::EventDescriptor => "makes a descriptor",
            Self::WatchFiles => "watches files",
            Self::HandleFaults => "handles page faults",
            Self::IoUring => "makes an io_uring",
            Self::KernelProgram => "loads a map into the kernel (bpf)",
            Self::Counters => "counts what the processor does",
            Self::KernelKey => "keeps a key in the kernel",
            Self::SystemVMemory => "makes System V memory",
            Self::Personality => "asks for its personality",
            Self::StrayDescriptor => "uses a descriptor left open by accident",
        }
    }

    /// Tries it. `host` is the process that the guest belongs to: this one, or its parent.
    ///
    /// # Errors
    /// What the system says when it does not let it happen. It may also end the process.
    pub(crate) fn attempt(self, host: u32) -> io::Result<()> {
        let host = usize::try_from(host).map_err(io::Error::other)?;
        let proc_file = |name: &str| format!("/proc/{host}/{name}");
        match self {
            Self::ReadFile => opened(SOME_FILE, libc::O_RDONLY),
            Self::MakeFile => opened(c"/tmp", libc::O_TMPFILE | libc::O_RDWR),
            Self::MakeFolder => {
                let name =
                    std::env::temp_dir().join(format!("cofferdam-act-{}", fastrand::u64(..)));
                std::fs::create_dir(&name)?;
                std::fs::remove_dir(name)
            }
            Self::ListFolder => std::fs::read_dir("/")?.next().transpose().map(drop),
            Self::ReadEnvironment => std::fs::read(proc_file("environ")).map(drop),
            Self::OpenHostMemory => File::options().read(true).open(proc_file("mem")).map(drop),
            Self::Socket => socket(libc::AF_INET, libc::SOCK_STREAM),
            Self::Connect => match TcpStream::connect(("127.0.0.1", 1)) {
                // Nobody listens there, but somebody was asked.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
                tried => tried.map(drop),
            },
            Self::Listen => TcpListener::bind(("127.0.0.1", 0)).map(drop),
            Self::Datagram => UdpSocket::bind(("127.0.0.1", 0)).map(drop),
            Self::Netlink => socket(libc::AF_NETLINK, libc::SOCK_RAW),
            Self::AbstractSocket => socket(libc::AF_UNIX, libc::SOCK_STREAM),
            Self::RunProgram => match Command::new("/bin/true").env_clear().status()?.success() {
                true => Ok(()),
                false => Err(io::Error::other("it ran and failed")),
            },
            Self::Fork => forked(libc::SIGCHLD),
            Self::ForkSibling => forked(libc::CLONE_PARENT | libc::SIGCHLD),
            Self::StartThread => std::thread::Builder::new()
                .spawn(|| {})?
                .join()
                .map_err(|_| io::Error::other("it panicked")),
            Self::SignalHost => call(libc::SYS_kill, [host, 0, 0, 0, 0, 0]),
            Self::SignalOther => call(libc::SYS_tgkill, [host, host, 0, 0, 0, 0]),
            Self::OpenHost => descriptor(libc::SYS_pidfd_open, [host, 0, 0, 0, 0, 0]),
            Self::Trace => {
                let seize = number(libc::PTRACE_SEIZE.cast_signed());
                call(libc::SYS_ptrace, [seize, host, 0, 0, 0, 0])?;
                let detach = number(libc::PTRACE_DETACH.cast_signed());
                call(libc::SYS_ptrace, [detach, host, 0, 0, 0, 0])
            }
            Self::CopyHostMemory => copy_from(host),
            Self::LimitHost => {
                let mut limit = [0_u64; 2];
                let resource = usize::try_from(libc::RLIMIT_CORE).unwrap_or_default();
                let there = address_of(&mut limit);
                call(libc::SYS_prlimit64, [host, resource, 0, there, 0, 0])?;
                call(libc::SYS_prlimit64, [host, resource, there, 0, 0, 0])
            }
            Self::RaiseLimits => {
                let mut limit = [1_u64 << 16; 2];
                let resource = usize::try_from(libc::RLIMIT_NOFILE).unwrap_or_default();
                let there = address_of(&mut limit);
                call(libc::SYS_prlimit64, [0, resource, there, 0, 0, 0])
            }
            Self::OutliveHost => call(
                libc::SYS_prctl,
                [number(libc::PR_SET_PDEATHSIG), 0, 0, 0, 0, 0],
            ),
            Self::BeTraced => call(
                libc::SYS_prctl,
                [number(libc::PR_SET_DUMPABLE), 1, 0, 0, 0, 0],
            ),
            Self::LeaveSession => call(libc::SYS_setsid, [0; 6]),
            Self::BecomeRoot => call(libc::SYS_setresuid, [0; 6]),
            Self::UserNamespace => call(
                libc::SYS_unshare,
                [number(libc::CLONE_NEWUSER), 0, 0, 0, 0, 0],
            ),
            Self::MountNamespace => call(
                libc::SYS_unshare,
                [number(libc::CLONE_NEWNS), 0, 0, 0, 0, 0],
            ),
            Self::ChangeRoot => call(libc::SYS_chroot, [text(c"/"), 0, 0, 0, 0, 0]),
            // A file system that is mounted nowhere.
            Self::Mount => descriptor(libc::SYS_fsopen, [text(c"tmpfs"), 0, 0, 0, 0, 0]),
            Self::MakeCode => {
                let kind = number(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
                let how = number(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                let nowhere = usize::MAX;
                let there = returned(libc::SYS_mmap, [0, PAGE, kind, how, nowhere, 0])?;
                call(libc::SYS_munmap, [there, PAGE, 0, 0, 0, 0])
            }
            Self::TurnIntoCode => {
                let kind = number(libc::PROT_READ | libc::PROT_WRITE);
                let how = number(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
                let there = returned(libc::SYS_mmap, [0, PAGE, kind, how, usize::MAX, 0])?;
                let code = number(libc::PROT_READ | libc::PROT_EXEC);
                let turned = call(libc::SYS_mprotect, [there, PAGE, code, 0, 0, 0]);
                call(libc::SYS_munmap, [there, PAGE, 0, 0, 0, 0])?;
                turned
            }
            Self::MemoryFile => descriptor(libc::SYS_memfd_create, [text(c"act"), 0, 0, 0, 0, 0]),
            Self::EventDescriptor => descriptor(libc::SYS_eventfd2, [0; 6]),
            Self::WatchFiles => descriptor(libc::SYS_inotify_init1, [0; 6]),
            Self::HandleFaults => descriptor(libc::SYS_userfaultfd, [0; 6]),
            Self::IoUring => {
                let mut parameters = [0_u64; 15];
                let there = address_of(&mut parameters);
                descriptor(libc::SYS_io_uring_setup, [1, there, 0, 0, 0, 0])
            }
            Self::KernelProgram => {
                // BPF_MAP_CREATE of an array with one element of eight bytes.
                let mut map = [0x0000_0004_0000_0002_u64, 0x0000_0001_0000_0008, 0, 0];
                let there = address_of(&mut map);
                descriptor(libc::SYS_bpf, [0, there, 32, 0, 0, 0])
            }
            Self::Counters => super::probes::hardware_counter(),
            Self::KernelKey => call(
                libc::SYS_keyctl,
                // KEYCTL_GET_KEYRING_ID of the thread's keyring, made if it is not there.
                [0, usize::MAX, 1, 0, 0, 0],
            ),
            Self::SystemVMemory => {
                let private = 0;
                let made = returned(libc::SYS_shmget, [private, PAGE, 0o1600, 0, 0, 0])?;
                let remove = number(libc::IPC_RMID);
                call(libc::SYS_shmctl, [made, remove, 0, 0, 0, 0])
            }
            Self::Personality => call(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
            Self::StrayDescriptor => stray(),
        }
    }
}

/// Copies bytes from an address of this process, as a stray pointer reads them. Where nothing is mapped
/// there, the process ends by a signal.
#[expect(unsafe_code, reason = "reading where it must not is what is wanted")]
pub(crate) fn peek(address: u64, length: u32) -> Vec<u8> {
    let count = usize::try_from(length).unwrap_or_default();
    let start = ptr::with_exposed_provenance::<u8>(usize::try_from(address).unwrap_or_default());
    let byte = |at: usize| {
        // SAFETY: none. Where there is memory it is that of somebody else, who may write to it; volatile
        // reads of bytes are what is left. Where there is none, the process ends: it is there for that.
        unsafe { start.wrapping_add(at).read_volatile() }
    };
    (0..count).map(byte).collect()
}

/// Descriptors that are looked through.
const DESCRIPTORS: usize = 64;

const PAGE: usize = 4096;

/// What makes the test's stray descriptor known: a file that begins with this.
pub(crate) const STRAY: &[u8] = b"left open by accident";

/// Looks through the open descriptors for what the host left open.
fn stray() -> io::Result<()> {
    for candidate in 3..DESCRIPTORS {
        let mut bytes = [0_u8; STRAY.len()];
        let there = address_of(&mut bytes);
        let read = returned(libc::SYS_pread64, [candidate, there, STRAY.len(), 0, 0, 0]);
        if read.is_ok() && bytes == STRAY {
            return Ok(());
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBADF))
}

fn copy_from(host: usize) -> io::Result<()> {
    // The page at which programs without randomisation begin: whether it is there does not matter, the right
    // is looked at before.
    let mut byte = [0_u8; 1];
    let mut ours = [address_of(&mut byte), 1];
    let mut theirs = [0x40_0000_usize, 1];
    let (ours, theirs) = (address_of(&mut ours), address_of(&mut theirs));
    match call(libc::SYS_process_vm_readv, [host, ours, 1, theirs, 1, 0]) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        tried => tried,
    }
}

/// Forks, and ends the new process at once.
fn forked(flags: libc::c_int) -> io::Result<()> {
    match returned(libc::SYS_clone, [number(flags), 0, 0, 0, 0, 0])? {
        0 => super::fork::leave(0),
        child => {
            let all = number(libc::__WALL);
            // A sibling is the host's to reap.
            let _ = call(libc::SYS_wait4, [child, 0, all, 0, 0, 0]);
            Ok(())
        }
    }
}

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<()> {
    let kind = number(kind | libc::SOCK_CLOEXEC);
    descriptor(libc::SYS_socket, [number(family), kind, 0, 0, 0, 0])
}

fn opened(path: &CStr, flags: libc::c_int) -> io::Result<()> {
    let here = number(libc::AT_FDCWD);
    let flags = number(flags | libc::O_CLOEXEC);
    descriptor(libc::SYS_openat, [here, text(path), flags, 0o600, 0, 0])
}

/// Makes a call that gives a descriptor, and closes that.
#[expect(unsafe_code, reason = "a descriptor by number")]
fn descriptor(number: libc::c_long, arguments: [usize; 6]) -> io::Result<()> {
    let made = returned(number, arguments)?;
    let raw = i32::try_from(made).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    drop(unsafe { File::from_raw_fd(raw) });
    Ok(())
}

fn number(value: libc::c_int) -> usize {
    // The kernel takes such arguments as 32 bits, and looks at no more.
    usize::try_from(value.cast_unsigned()).unwrap_or_default()
}

fn text(text: &CStr) -> usize {
    text.as_ptr().expose_provenance()
}

fn address_of<T>(value: &mut [T]) -> usize {
    value.as_mut_ptr().expose_provenance()
}

fn call(number: libc::c_long, arguments: [usize; 6]) -> io::Result<()> {
    returned(number, arguments).map(drop)
}

#[expect(unsafe_code, reason = "no library wraps what nobody should call")]
fn returned(number: libc::c_long, [a, b, c, d, e, f]: [usize; 6]) -> io::Result<usize> {
    // SAFETY: every address among the arguments is that of a variable or a constant of the caller that lives
    // for the whole call and is as large as the kernel takes it to be; nothing else of this process's memory
    // is written to. A fork is left at once by whoever asked for it.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_stands_in_the_list_once() {
        let distinct: std::collections::BTreeSet<_> = Act::ALL.into_iter().collect();
        assert_eq!(distinct.len(), Act::ALL.len());
    }

    #[test]
    fn a_process_without_walls_can_do_what_everybody_can() {
        let this = std::process::id();
        for act in [
            Act::ReadFile,
            Act::ListFolder,
            Act::Socket,
            Act::Connect,
            Act::RunProgram,
            Act::StartThread,
            Act::SignalHost,
            Act::MemoryFile,
        ] {
            let tried = act.attempt(this);
            assert!(tried.is_ok(), "{act:?}: {tried:?}");
        }
    }

    #[test]
    fn a_peek_sees_what_is_there() {
        let secret = b"a secret".to_vec();
        let address = secret.as_ptr().expose_provenance() as u64;
        assert_eq!(peek(address, 8), secret);
    }
}
