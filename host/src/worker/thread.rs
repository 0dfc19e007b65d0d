//! A worker in a thread of the host: the runtime, called in place.

use std::sync::Arc;

use super::{Kill, KillSwitch, Thrown, Worker};
use crate::job::{Death, Job, Reply};
use crate::runtime::{InstancePolicy, Interrupt, Program, Session};

pub(crate) struct ThreadWorker {
    label: String,
    session: Session,
}

impl ThreadWorker {
    pub(crate) fn new(label: String, program: Arc<Program>, policy: InstancePolicy) -> Self {
        Self {
            label,
            session: Session::new(program, policy),
        }
    }
}

impl Worker for ThreadWorker {
    fn run(&mut self, job: &Job) -> Result<Reply, Death> {
        Ok(self.session.run(job))
    }

    fn kill_switch(&self) -> KillSwitch {
        KillSwitch::new(self.session.interrupt().clone())
    }

    fn label(&self) -> &str {
        &self.label
    }
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
