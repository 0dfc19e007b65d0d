//! One job at a time: there and back, and inside the guest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::{Job, Pool};
use cofferdam_module_argon2::{SALT_LEN, hash};

use super::Once;
use crate::{Aside, Failure, Subject, reply_in};

/// A message of this length, with all bytes in turn.
#[must_use]
pub fn payload(length: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(length).collect()
}

/// A message through a pool of `@echo` and back, by [`Pool::call`].
pub fn round_trip(pool: &Pool, bytes: Vec<u8>) -> impl Once {
    // The job is made once: its input is shared.
    let job = Job::new(bytes.clone());
    move || {
        let job = job.clone();
        let start = Instant::now();
        let completion = pool.call(job)?;
        let took = start.elapsed();
        if reply_in(completion)?.output != bytes {
            return Err("an echo differs from what was sent".into());
        }
        Ok(took)
    }
}

/// The same through a null arm: `echo` hands the bytes over, takes them back, and checks nothing.
pub fn ping<R: AsRef<[u8]>>(
    bytes: Vec<u8>,
    mut echo: impl FnMut(&[u8]) -> Result<R, Failure>,
) -> impl Once {
    move || {
        let start = Instant::now();
        let reply = echo(&bytes)?;
        let took = start.elapsed();
        if reply.as_ref() != bytes {
            return Err("an echo differs from what was sent".into());
        }
        Ok(took)
    }
}

/// A job from handing it in to holding its reply.
pub fn call<'a>(pool: &'a Pool, subject: &'a Subject) -> impl Once + 'a {
    let job = Job::new(subject.input());
    move || {
        let job = job.clone();
        let start = Instant::now();
        let completion = pool.call(job)?;
        let took = start.elapsed();
        subject.check("cofferdam", &reply_in(completion)?.output)?;
        Ok(took)
    }
}

/// A job inside the guest's `handle`, by the worker's own stopwatch.
pub fn called<'a>(pool: &'a Pool, subject: &'a Subject) -> impl Once + 'a {
    let job = Job::new(subject.input());
    move || {
        let reply = reply_in(pool.call(job.clone())?)?;
        subject.check("cofferdam", &reply.output)?;
        Ok(reply.phases.call)
    }
}

/// The same through wasmtime's own API, in a thread of its own that wakes up for each job.
pub fn aside<'a>(aside: &'a Aside, subject: &'a Subject) -> impl Once + 'a {
    let input: Arc<[u8]> = subject.input().into();
    move || {
        let run = aside.run(&input)?;
        subject.check("wasmtime", &run.output)?;
        Ok(run.call)
    }
}

/// Argon2 with parameters of our choice: CPU-bound, with next to no input and output.
#[derive(Clone, Copy, Debug)]
pub struct Hash {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Hash {
    /// What `@argon2` does by itself.
    pub const USUAL: Self = Self {
        memory: 19_456,
        passes: 2,
    };
    /// Memory that a core's own cache holds, so that cores do not fight for the way to memory; a few
    /// milliseconds, so that handing over does not count.
    pub const IN_CACHE: Self = Self {
        memory: 256,
        passes: 48,
    };

    /// The guest's input.
    #[must_use]
    pub fn input(self) -> Vec<u8> {
        let Self { memory, passes } = self;
        format!("$argon2id$v=19$m={memory},t={passes},p=1$correct horse battery staple")
            .into_bytes()
    }

    /// The job.
    #[must_use]
    pub fn job(self) -> Job {
        Job::new(self.input())
    }

    /// The salt is random, so that the form is all that can be known.
    ///
    /// # Errors
    /// If the reply has another form.
    pub fn check(self, arm: &str, reply: &[u8]) -> Result<(), Failure> {
        let Self { memory, passes } = self;
        let reply = String::from_utf8_lossy(reply);
        let parameters = format!("$argon2id$v=19$m={memory},t={passes},p=1$");
        let rest = reply
            .strip_prefix(&parameters)
            .and_then(|rest| rest.split_once('$'));
        match rest {
            Some((salt, tag)) if (salt.len(), tag.len()) == (22, 43) => Ok(()),
            _ => Err(format!("{arm}: @argon2 gave a wrong reply: {reply:.100}").into()),
        }
    }

    /// A job from handing it in to holding its reply.
    pub fn through(self, pool: &Pool) -> impl Once {
        let job = self.job();
        move || {
            let job = job.clone();
            let start = Instant::now();
            let completion = pool.call(job)?;
            let took = start.elapsed();
            self.check("cofferdam", &reply_in(completion)?.output)?;
            Ok(took)
        }
    }

    /// The same inside the guest, by the worker's stopwatch.
    pub fn inside(self, pool: &Pool) -> impl Once {
        let job = self.job();
        move || {
            let reply = reply_in(pool.call(job.clone())?)?;
            self.check("cofferdam", &reply.output)?;
            Ok(reply.phases.call)
        }
    }
}

/// The guest's own code, compiled for this machine and called in place.
pub fn native_argon2(work: Hash) -> impl Once {
    let input = work.input();
    move || {
        let mut salt = [0; SALT_LEN];
        fastrand::fill(&mut salt);
        let start = Instant::now();
        let reply = hash(&input, &salt);
        let took: Duration = start.elapsed();
        work.check("native", reply?.as_bytes())?;
        Ok(took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_code_gives_replies_of_the_guests_form() {
        let small = Hash {
            memory: 64,
            passes: 1,
        };
        assert!(native_argon2(small)().unwrap() > Duration::ZERO);
        assert!(
            Hash::USUAL
                .check("test", b"$argon2id$v=19$m=64,t=1,p=1$a$b")
                .is_err()
        );
    }
}
