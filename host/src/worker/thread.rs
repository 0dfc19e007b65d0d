//! A worker in a thread of the host: the runtime, called in place.

use std::sync::Arc;

use super::{Kill, KillSwitch, Thrown, Worker};
use crate::job::{Death, Job, Reply};
use crate::payload::Output;
use crate::runtime::{InstancePolicy, Interrupt, NoRoom, Program, Session};

pub(crate) struct ThreadWorker {
    label: String,
    session: Session,
    switch: KillSwitch,
}

impl ThreadWorker {
    pub(crate) fn new(label: String, program: Arc<Program>, policy: InstancePolicy) -> Self {
        let session = Session::new(program, policy);
        Self {
            label,
            switch: KillSwitch::new(session.interrupt().clone()),
            session,
        }
    }

    /// The same with its first instance at hand, as far as that can be made ahead.
    ///
    /// # Errors
    /// [`Death::SpawnFailed`] if there is no place for one.
    pub(crate) fn prepared(mut self) -> Result<Self, Death> {
        self.session.prepare().map_err(stranded)?;
        Ok(self)
    }

    /// Runs one job whose output is to stay where the job wants it; the reply has none.
    pub(crate) fn run_in_place(&mut self, job: &Job) -> Result<(Reply, Output), Death> {
        self.session.run_in_place(job).map_err(stranded)
    }
}

impl Worker for ThreadWorker {
    fn run(&mut self, job: &Job) -> Result<Reply, Death> {
        self.session.run(job).map_err(stranded)
    }

    fn prepare(&mut self) {
        // The next job finds out, and is the one to be told.
        let _ = self.session.prepare();
    }

    fn kill_switch(&self) -> KillSwitch {
        self.switch.clone()
    }

    fn label(&self) -> &str {
        &self.label
    }
}

/// A worker that finds no place for an instance cannot begin its work.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` wants"
)]
fn stranded(error: NoRoom) -> Death {
    Death::SpawnFailed(error.to_string())
}

impl Kill for Interrupt {
    fn rearm(&self) {
        self.lower();
    }

    fn throw(&self) -> Thrown {
        self.raise();
        Thrown::Asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;
    use crate::job::Limits;
    use crate::options::Isolation;
    use crate::runtime::{Artifact, Cache, Demand, Metering, Settings, World};

    fn worker(program: &Arc<Program>) -> ThreadWorker {
        let label = "thread-1".to_owned();
        ThreadWorker::new(label, Arc::clone(program), InstancePolicy::Fresh)
    }

    #[test]
    fn where_others_hold_every_place_no_worker_starts_and_no_guest_is_blamed() {
        let guest = Guest::embedded("echo").unwrap();
        let demand = Demand::of(&guest, Isolation::Thread, 1).with_instances(2);
        let limits = Limits::default();
        let settings = Settings::new(&limits, Metering::Interruptible, demand);
        let artifact =
            Artifact::prepare(&guest, settings, &Cache::off(), crate::runtime::Origin::Own)
                .unwrap();
        let program = Arc::new(Program::load(&artifact, limits, World::default()).unwrap());
        // As threads do that were given up: they never give their instance back.
        let held = [(); 2].map(|()| worker(&program).prepared().unwrap());
        let Err(Death::SpawnFailed(why)) = worker(&program).prepared() else {
            panic!("a third worker found a place")
        };
        assert!(why.contains("no place for another instance"), "{why}");
        let death = worker(&program).run(&Job::new("in")).unwrap_err();
        assert_eq!(death, Death::SpawnFailed(why));
        drop(held);
        let reply = worker(&program).run(&Job::new("in")).unwrap();
        assert_eq!(reply.output, b"in");
    }
}
