//! The one thread that has children.
//!
//! A worker process asks the kernel to be killed when its parent goes (`PR_SET_PDEATHSIG`), and the
//! kernel takes "parent" to be the *thread* that spawned it. So one thread that lives as long as the
//! host spawns them all. The same thread reaps them the moment they end, and reads what they write
//! to stdout and stderr, so there are no zombies and no full pipes, whatever the pools do.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::chatter::Chatter;
use crate::fetch::Halt;
use crate::link::protocol::Role;
use crate::sys::child::{self, Exit};
use crate::sys::futex::Life;
use crate::sys::oom;

/// Bytes that are read from one process before the others get their turn.
const GULP: usize = 64 << 10;

/// The signal that cannot be refused.
const KILLED: i32 = 9;

/// As many gulps as the largest pipe holds that an ordinary user may make (1 MiB, `pipe(7)`).
const LAST_GULPS: usize = 16;

/// A child process, seen by whoever works with it.
pub(super) struct Child {
    pid: u32,
    pidfd: OwnedFd,
    exit: Mutex<Option<Exit>>,
    /// Whether this host has ended it.
    killed: AtomicBool,
    /// Whether it was reaped, and its number may be somebody else's. Changed under the lock of [`WARDS`].
    reaped: AtomicBool,
    ended: Condvar,
    /// Disconnects when the child has ended and was reaped.
    vitals: Receiver<()>,
    /// Ends then, too: for those who wait for a word of memory.
    life: Arc<Life>,
    chatter: Mutex<Chatter>,
}

impl Child {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn vitals(&self) -> &Receiver<()> {
        &self.vitals
    }

    pub(super) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Ends the process. It has ended when [`Child::wait`] returns.
    pub(super) fn kill(&self) {
        self.killed.store(true, Ordering::Relaxed);
        // The only refusals are of a process that has ended and of one that is not ours.
        let _ = child::kill(&self.pidfd);
    }

    pub(super) fn is_stopped(&self) -> bool {
        child::stands_still(&self.pidfd)
    }

    /// Ends it and every process that it has started, but for those that left its group: to be called for one that was
    /// spawned by [`spawn_group`].
    pub(super) fn kill_group(&self) {
        self.killed.store(true, Ordering::Relaxed);
        // As long as it was not reaped, its number is nobody else's; and it is reaped under this lock.
        let wards = lock(&WARDS);
        if !self.reaped.load(Ordering::Relaxed) {
            child::kill_group(self.pid);
        }
        drop(wards);
    }

    /// Whether it has ended and was reaped.
    pub(super) fn has_ended(&self) -> bool {
        lock(&self.exit).is_some()
    }

    /// Readable when it has ended.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits until the process has ended and was reaped.
    pub(super) fn wait(&self, patience: Duration) -> Option<Exit> {
        let until = Instant::now() + patience;
        let mut exit = lock(&self.exit);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if exit.is_some() || left.is_zero() {
                return *exit;
            }
            exit = self
                .ended
                .wait_timeout(exit, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(super) fn last_words(&self) -> String {
        lock(&self.chatter).last_words()
    }
}

impl Halt for Child {
    fn halt(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the nursery is asked to do.
enum Order {
    /// Spawn a child.
    Spawn {
        command: Command,
        role: Role,
        chatter: Option<io::PipeReader>,
        answer: Sender<io::Result<Arc<Child>>>,
    },
    /// Look after a child that a fork server made.
    Adopt(Ward),
}

/// One that the nursery looks after.
struct Ward {
    child: Arc<Child>,
    role: Role,
    chatter: Option<io::PipeReader>,
    /// Whether its process group ends with it.
    is_group: bool,
    /// Dropped when the child has ended: hangs up on `Child::vitals`.
    heart: Option<Sender<()>>,
}

struct Nursery {
    orders: Sender<Order>,
    bell: OwnedFd,
}

/// The process ids of all wards. Whoever holds the lock may be sure that none of them is given to
/// another process: they are reaped under it.
static WARDS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Spawns a process as a child of the nursery's thread. Its stdout and stderr are captured.
pub(super) fn spawn(mut command: Command, role: Role) -> io::Result<Arc<Child>> {
    let (chatter, writer) = ear()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    ordered(command, role, Some(chatter))
}

/// The same for a program that is none of ours, with the streams that the command has. It leads a process group of its
/// own, and when it ends, so does whatever of that is left.
pub(super) fn spawn_group(command: Command) -> io::Result<Arc<Child>> {
    ordered(command, Role::Worker, None)
}

fn ordered(
    command: Command,
    role: Role,
    chatter: Option<io::PipeReader>,
) -> io::Result<Arc<Child>> {
    let (answer, answered) = crossbeam_channel::bounded(1);
    nursery()?.order(Order::Spawn {
        command,
        role,
        chatter,
        answer,
    })?;
    answered.recv().map_err(|_| gone())?
}

/// Looks after a process that a fork server made: a child of ours, as the kernel has it. What it writes
/// comes by `chatter`, an [`ear`].
///
/// # Errors
/// What a server says is not simply believed: a process that is no child of ours, that is not in the
/// server's process group, or that is looked after already, is refused.
pub(super) fn adopt(pid: u32, server: u32, chatter: io::PipeReader) -> io::Result<Arc<Child>> {
    let pidfd = {
        let mut wards = lock(&WARDS);
        let pidfd = child::open(pid)?;
        let is_new = child::group(pid) == Some(server) && child::is_ours(&pidfd)?;
        if wards.contains(&pid) || !is_new {
            return Err(io::Error::other(format!(
                "process {pid} is not one that was just forked"
            )));
        }
        wards.insert(pid);
        pidfd
    };
    let ward = Ward::new(pid, pidfd, Role::Worker, Some(chatter), false);
    let child = Arc::clone(&ward.child);
    nursery()?.order(Order::Adopt(ward))?;
    Ok(child)
}

/// A pipe for what a child writes to its stdout and stderr.
pub(super) fn ear() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}

fn gone() -> io::Error {
    io::Error::other("the thread that spawns processes is gone")
}

fn nursery() -> io::Result<&'static Nursery> {
    static NURSERY: OnceLock<Result<Nursery, String>> = OnceLock::new();
    NURSERY
        .get_or_init(|| Nursery::open().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| io::Error::other(error.clone()))
}

impl Nursery {
    fn open() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let heard = bell.try_clone()?;
        let (orders, ordered) = crossbeam_channel::unbounded();
        std::thread::Builder::new()
            .name("cofferdam-nursery".to_owned())
            .spawn(move || look_after(&ordered, &heard))?;
        Ok(Self { orders, bell })
    }

    fn order(&self, order: Order) -> io::Result<()> {
        self.orders.send(order).map_err(|_| gone())?;
        rustix::io::write(&self.bell, &1u64.to_ne_bytes())?;
        Ok(())
    }
}

fn look_after(orders: &Receiver<Order>, bell: &OwnedFd) {
    oom::begin();
    let mut wards: Vec<Ward> = Vec::new();
    let mut buffer = vec![0; GULP];
    loop {
        let stirred = wait(bell, &wards);
        // A non-blocking read that takes nothing is as good as one that takes the count.
        let _ = rustix::io::read(bell, &mut [0; 8]);
        let mut bereft = Vec::new();
        let mut stirs = stirred.into_iter();
        wards.retain_mut(|ward| {
            let ended = stirs.next().unwrap_or_default() && ward.tend(&mut buffer);
            if ended && ward.role == Role::ForkServer {
                bereft.push(ward.child.pid);
            }
            !ended
        });
        for order in orders.try_iter() {
            match order {
                Order::Spawn {
                    command,
                    role,
                    chatter,
                    answer,
                } => {
                    let started = start(command, role, chatter).map(|ward| {
                        let child = Arc::clone(&ward.child);
                        wards.push(ward);
                        child
                    });
                    let _ = answer.send(started);
                }
                Order::Adopt(ward) => wards.push(ward),
            }
        }
        for server in bereft {
            wards.extend(strays(server));
        }
    }
}

/// Waits until something happens, and says for each ward whether it happened to it.
fn wait(bell: &OwnedFd, wards: &[Ward]) -> Vec<bool> {
    let mut watched: Vec<PollFd<'_>> = vec![PollFd::new(bell, PollFlags::IN)];
    let mut counts = Vec::with_capacity(wards.len());
    for ward in wards {
        let before = watched.len();
        watched.extend(
            ward.watched()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        counts.push(watched.len() - before);
    }
    // A failure (ENOMEM) passes, or comes back after a moment; there is nobody to tell it to.
    if poll(&mut watched, None).is_err() {
        std::thread::sleep(Duration::from_millis(10));
        return vec![true; wards.len()];
    }
    let mut events = watched[1..].iter().map(|fd| !fd.revents().is_empty());
    counts
        .into_iter()
        .map(|count| {
            events
                .by_ref()
                .take(count)
                .fold(false, |any, one| any | one)
        })
        .collect()
}

fn start(mut command: Command, role: Role, chatter: Option<io::PipeReader>) -> io::Result<Ward> {
    let mut spawned = command.spawn()?;
    // The child holds its own copies of the pipe's end; ours must go, or the pipe never ends.
    drop(command);
    let pid = spawned.id();
    match child::open(pid) {
        Ok(pidfd) => {
            lock(&WARDS).insert(pid);
            // Who has no ear of ours is none of ours.
            let is_group = chatter.is_none();
            Ok(Ward::new(pid, pidfd, role, chatter, is_group))
        }
        Err(error) => {
            // Without a pidfd nobody could look after it.
            let _ = spawned.kill().and_then(|()| spawned.wait());
            Err(error)
        }
    }
}

/// Children that a fork server made and did not live to tell of: they are killed, and looked after until
/// they have ended. They are told by the server's process group, which they are in.
fn strays(server: u32) -> Vec<Ward> {
    let mut known = lock(&WARDS);
    let children = child::of_this_thread().unwrap_or_default();
    let mut found = Vec::new();
    for pid in children {
        if known.contains(&pid) || child::group(pid) != Some(server) {
            continue;
        }
        if let Ok(pidfd) = child::open(pid) {
            // Refused only where it has ended, which is what is wanted.
            let _ = child::kill(&pidfd);
            known.insert(pid);
            found.push(Ward::new(pid, pidfd, Role::Worker, None, false));
        }
    }
    found
}

impl Ward {
    fn new(
        pid: u32,
        pidfd: OwnedFd,
        role: Role,
        chatter: Option<io::PipeReader>,
        is_group: bool,
    ) -> Self {
        let (heart, vitals) = crossbeam_channel::bounded(0);
        let child = Arc::new(Child {
            pid,
            pidfd,
            exit: Mutex::new(None),
            killed: AtomicBool::new(false),
            reaped: AtomicBool::new(false),
            ended: Condvar::new(),
            vitals,
            life: Arc::default(),
            chatter: Mutex::default(),
        });
        Self {
            child,
            role,
            chatter,
            is_group,
            heart: Some(heart),
        }
    }

    fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let alive = self.heart.as_ref().map(|_| self.child.pidfd.as_fd());
        alive
            .into_iter()
            .chain(self.chatter.as_ref().map(AsFd::as_fd))
    }

    /// Reads, reaps; `true` when there is nothing more to look after.
    fn tend(&mut self, buffer: &mut [u8]) -> bool {
        if let Some(exit) = self.reap() {
            // What it wrote last is in the pipe by now.
            // More than a pipe holds comes from somebody else who writes to it.
            for _ in 0..LAST_GULPS {
                if self.listen(buffer) != Heard::Something {
                    break;
                }
            }
            *lock(&self.child.exit) = Some(exit);
            self.child.ended.notify_all();
            self.child.life.end();
            self.heart = None;
            // A grandchild may hold the pipe for ever; nobody waits for it.
            self.chatter = None;
        } else if self.listen(buffer) == Heard::End {
            self.chatter = None;
        }
        self.heart.is_none()
    }

    fn reap(&self) -> Option<Exit> {
        self.heart.as_ref()?;
        let mut wards = lock(&WARDS);
        if self.is_group && child::has_ended(&self.child.pidfd) {
            // While it is not reaped the group has its number for sure.
            child::kill_group(self.child.pid);
        }
        // A child that cannot be waited for is as gone as one that was.
        let exit = child::reap(&self.child.pidfd)
            .transpose()?
            .unwrap_or(Exit::Code(-1));
        wards.remove(&self.child.pid);
        self.child.reaped.store(true, Ordering::Relaxed);
        // Whom this host kills itself, nobody else has.
        let is_foreign = !self.child.killed.load(Ordering::Relaxed);
        if exit == Exit::Signal(KILLED) && is_foreign && oom::killed(self.child.pid) {
            return Some(Exit::OutOfMemory);
        }
        Some(exit)
    }

    fn listen(&mut self, buffer: &mut [u8]) -> Heard {
        let Some(pipe) = &mut self.chatter else {
            return Heard::Nothing;
        };
        match pipe.read(buffer) {
            Ok(0) => Heard::End,
            Ok(count) => {
                lock(&self.child.chatter).hear(&buffer[..count]);
                Heard::Something
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Heard::Nothing,
                _ => Heard::End,
            },
        }
    }
}

#[derive(PartialEq)]
enum Heard {
    Something,
    Nothing,
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Arc<Child> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        spawn(command, Role::Worker).unwrap()
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_child_is_reaped_and_its_last_words_are_kept() {
        let child = shell("echo out; echo err >&2; exit 3");
        assert_eq!(child.wait(PATIENCE), Some(Exit::Code(3)));
        assert_eq!(child.last_words(), "out\nerr");
        assert!(child.vitals().recv().is_err());
        assert!(child.life().has_ended());
    }

    #[test]
    fn a_killed_child_is_noticed_by_everybody_who_waits() {
        let child = shell("sleep 60");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| child.vitals().recv().is_err());
            child.kill();
            assert_eq!(child.wait(PATIENCE), Some(Exit::Signal(9)));
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn a_child_that_floods_its_stdout_does_not_block() {
        let child = shell("head -c 3000000 /dev/zero; exit 5");
        assert_eq!(child.wait(PATIENCE), Some(Exit::Code(5)));
        assert!(child.last_words().starts_with("[2995904 bytes left out]"));
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        let error = spawn(Command::new("/no/such/program"), Role::Worker)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
