//! The guests that are measured, what they are given, and how their replies are checked.

use cofferdam::{
    Completion, Guest, Isolation, LinkKind, Metering, Outcome, Pool, PoolBuilder, Prepared, Reply,
    Ticket,
};

use crate::Failure;

/// One guest with one input.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The guest's name, without the `@`.
    pub name: &'static str,
    /// What the input is, for people.
    pub work: &'static str,
    /// Jobs in one segment of a round: so many that a segment is long beside what the clock and one
    /// wake-up cost, and so few that a round ends before the machine's mood changes.
    pub jobs: u32,
    input: fn() -> Vec<u8>,
    right: fn(&[u8]) -> bool,
}

/// Much memory from end to end, much computing on little memory, and next to nothing.
pub const SUBJECTS: [Subject; 3] = [ARGON2, SHA256, ECHO];

/// Much memory from end to end.
pub const ARGON2: Subject = Subject {
    name: "argon2",
    work: "one password, 19 MiB, 2 passes",
    jobs: 1,
    input: || b"correct horse battery staple".to_vec(),
    // The salt is random: the form is all that can be known.
    right: |reply| {
        let fields: Vec<_> = reply.split(|&byte| byte == b'$').collect();
        fields.len() == 6
            && fields[3] == b"m=19456,t=2,p=1"
            && (fields[4].len(), fields[5].len()) == (22, 43)
    },
};

/// Much computing on little memory.
pub const SHA256: Subject = Subject {
    name: "sha256",
    work: "64 KiB",
    jobs: 16,
    input: || vec![0x5a; 64 << 10],
    // head -c 65536 /dev/zero | tr '\0' Z | sha256sum
    right: |reply| reply == SHA256_OF_64_KIB_OF_Z,
};

/// Next to nothing: the subject of what is about the way to a guest, and not about the guest.
pub const ECHO: Subject = Subject {
    name: "echo",
    work: "64 B",
    jobs: 64,
    input: || SIXTY_FOUR.to_vec(),
    right: |reply| reply == SIXTY_FOUR,
};

const SIXTY_FOUR: &[u8; 64] = b"sixty-four bytes, the size of a small message between workers...";

const SHA256_OF_64_KIB_OF_Z: &[u8; 64] =
    b"944044fe482bc4e91085c15c5a923a1b9e02eac98d3bce04997d6dbecd2a5b8d";

impl Subject {
    /// The guest itself.
    ///
    /// # Errors
    /// If cofferdam was built without it.
    pub fn guest(&self) -> Result<Guest, Failure> {
        Ok(Guest::embedded(self.name)?)
    }

    /// The job's bytes.
    #[must_use]
    pub fn input(&self) -> Vec<u8> {
        (self.input)()
    }

    /// Ends the benchmark where a reply is wrong: the time of a wrong answer is no measurement.
    ///
    /// # Errors
    /// Names the subject and the arm.
    pub fn check(&self, arm: &str, reply: &[u8]) -> Result<(), Failure> {
        if (self.right)(reply) {
            return Ok(());
        }
        let reply = String::from_utf8_lossy(reply);
        Err(format!("{arm}: @{} gave a wrong reply: {reply:.100}", self.name).into())
    }
}

/// A pool of one worker unless `change` says more, with the limits of a default pool. Its deadline is
/// among them: the null arms have
/// none, and that is part of the price.
///
/// # Errors
/// As [`PoolBuilder::build`].
pub fn pool_for(
    guest: Guest,
    isolation: Isolation,
    change: impl FnOnce(PoolBuilder) -> PoolBuilder,
) -> Result<Pool, Failure> {
    let builder = Pool::builder(guest).isolation(isolation);
    Ok(change(builder).build()?)
}

/// `@echo`, ready for pools: one worker and the usual settings, unless `change` says more.
///
/// # Errors
/// As [`PoolBuilder::prepare`].
pub fn prepared_echo(
    isolation: Isolation,
    change: impl FnOnce(PoolBuilder) -> PoolBuilder,
) -> Result<Prepared, Failure> {
    let builder = Pool::builder(ECHO.guest()?).isolation(isolation);
    Ok(change(builder).prepare()?)
}

/// Every way to reach a process worker, the plain one first.
pub const LINKS: [LinkKind; 2] = [LinkKind::Pipe, LinkKind::Shm];

/// Waits for a reply that has to be a good one.
///
/// # Errors
/// Says how the job ended instead.
pub fn reply_of(ticket: Ticket) -> Result<Reply, Failure> {
    reply_in(ticket.wait())
}

/// The reply in a completion, which has to be a good one.
///
/// # Errors
/// Says how the job ended instead.
pub fn reply_in(completion: Completion) -> Result<Reply, Failure> {
    let reply = completion.result?;
    match reply.outcome {
        Outcome::Output => Ok(reply),
        other => Err(format!("{}: {other}", completion.worker).into()),
    }
}

/// How a guest's metering is named in benchmarks.
#[must_use]
pub fn metering_name(metering: Metering) -> &'static str {
    match metering {
        Metering::Interruptible => "metered",
        Metering::Unmetered => "unmetered",
    }
}
