//! The one thread that has children.
//!
//! A worker process asks the kernel to be killed when its parent goes (`PR_SET_PDEATHSIG`), and the
//! kernel takes "parent" to be the *thread* that spawned it. So one thread that lives as long as the
//! host spawns them all. The same thread reaps them the moment they end, and reads what they write
//! to stdout and stderr, so there are no zombies and no full pipes, whatever the pools do.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::chatter::Chatter;
use crate::sys::child::{self, Exit};

/// Bytes that are read from one process before the others get their turn.
const GULP: usize = 64 << 10;

/// As many gulps as the largest pipe holds that an ordinary user may make (1 MiB, `pipe(7)`).
const LAST_GULPS: usize = 16;

/// A child process, seen by whoever works with it.
pub(super) struct Child {
    pid: u32,
    pidfd: OwnedFd,
    exit: Mutex<Option<Exit>>,
    ended: Condvar,
    /// Disconnects when the child has ended and was reaped.
    vitals: Receiver<()>,
    chatter: Mutex<Chatter>,
}

impl Child {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn vitals(&self) -> &Receiver<()> {
        &self.vitals
    }

    /// Ends the process. It has ended when [`Child::wait`] returns.
    pub(super) fn kill(&self) {
        // The only refusals are of a process that has ended and of one that is not ours.
        let _ = child::kill(&self.pidfd);
    }

    pub(super) fn is_stopped(&self) -> bool {
        child::is_stopped(self.pid)
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Order {
    command: Command,
    chatter: io::PipeReader,
    answer: Sender<io::Result<Arc<Child>>>,
}

/// One that the nursery looks after.
struct Ward {
    child: Arc<Child>,
    chatter: Option<io::PipeReader>,
    /// Dropped when the child has ended: hangs up on `Child::vitals`.
    heart: Option<Sender<()>>,
}

struct Nursery {
    orders: Sender<Order>,
    bell: OwnedFd,
}

/// Spawns a process as a child of the nursery's thread. Its stdout and stderr are captured.
pub(super) fn spawn(mut command: Command) -> io::Result<Arc<Child>> {
    static NURSERY: OnceLock<Result<Nursery, String>> = OnceLock::new();
    let nursery = NURSERY
        .get_or_init(|| Nursery::open().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| io::Error::other(error.clone()))?;

    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let (answer, answered) = crossbeam_channel::bounded(1);
    let gone = |_| io::Error::other("the thread that spawns processes is gone");
    nursery
        .orders
        .send(Order {
            command,
            chatter: reader,
            answer,
        })
        .map_err(|_| gone(()))?;
    rustix::io::write(&nursery.bell, &1u64.to_ne_bytes())?;
    answered.recv().map_err(|_| gone(()))?
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
}

fn look_after(orders: &Receiver<Order>, bell: &OwnedFd) {
    let mut wards: Vec<Ward> = Vec::new();
    let mut buffer = vec![0; GULP];
    loop {
        let mut watched: Vec<PollFd<'_>> = vec![PollFd::new(bell, PollFlags::IN)];
        for ward in &wards {
            watched.extend(
                ward.watched()
                    .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            );
        }
        // A failure (ENOMEM) passes, or comes back after a moment; there is nobody to tell it to.
        if poll(&mut watched, None).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(watched);
        // A non-blocking read that takes nothing is as good as one that takes the count.
        let _ = rustix::io::read(bell, &mut [0; 8]);
        for order in orders.try_iter() {
            let answer = match start(order.command, order.chatter) {
                Ok(ward) => {
                    let child = Arc::clone(&ward.child);
                    wards.push(ward);
                    Ok(child)
                }
                Err(error) => Err(error),
            };
            let _ = order.answer.send(answer);
        }
        wards.retain_mut(|ward| !ward.tend(&mut buffer));
    }
}

fn start(mut command: Command, chatter: io::PipeReader) -> io::Result<Ward> {
    let mut spawned = command.spawn()?;
    // The child holds its own copies of the pipe's end; ours must go, or the pipe never ends.
    drop(command);
    let pid = spawned.id();
    let pidfd = match child::open(pid) {
        Ok(pidfd) => pidfd,
        Err(error) => {
            // Without a pidfd nobody could look after it.
            let _ = spawned.kill().and_then(|()| spawned.wait());
            return Err(error);
        }
    };
    let (heart, vitals) = crossbeam_channel::bounded(0);
    let child = Arc::new(Child {
        pid,
        pidfd,
        exit: Mutex::new(None),
        ended: Condvar::new(),
        vitals,
        chatter: Mutex::default(),
    });
    Ok(Ward {
        child,
        chatter: Some(chatter),
        heart: Some(heart),
    })
}

impl Ward {
    fn watched(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let alive = self.heart.as_ref().map(|_| self.child.pidfd.as_fd());
        alive
            .into_iter()
            .chain(self.chatter.as_ref().map(AsFd::as_fd))
    }

    /// Reads, reaps; `true` when there is nothing more to look after.
    fn tend(&mut self, buffer: &mut [u8]) -> bool {
        let exit = self
            .heart
            .as_ref()
            .and_then(|_| child::reap(&self.child.pidfd).transpose());
        if let Some(exit) = exit {
            // What it wrote last is in the pipe by now.
            // More than a pipe holds comes from somebody else who writes to it.
            for _ in 0..LAST_GULPS {
                if self.listen(buffer) != Heard::Something {
                    break;
                }
            }
            // A child that cannot be waited for is as gone as one that was.
            *lock(&self.child.exit) = Some(exit.unwrap_or(Exit::Code(-1)));
            self.child.ended.notify_all();
            self.heart = None;
            // A grandchild may hold the pipe for ever; nobody waits for it.
            self.chatter = None;
        } else if self.listen(buffer) == Heard::End {
            self.chatter = None;
        }
        self.heart.is_none()
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
        spawn(command).unwrap()
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_child_is_reaped_and_its_last_words_are_kept() {
        let child = shell("echo out; echo err >&2; exit 3");
        assert_eq!(child.wait(PATIENCE), Some(Exit::Code(3)));
        assert_eq!(child.last_words(), "out\nerr");
        assert!(child.vitals().recv().is_err());
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
        let error = spawn(Command::new("/no/such/program"))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
