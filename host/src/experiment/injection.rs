//! What one injected fault did, read from what its sacrificial host had to say.

use rustix::process::Signal;

use super::containment::{Aftermath, Sighting};
use super::{Fate, Fault, expected};
use crate::options::Isolation;

/// One fault, injected once.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    pub(crate) fault: Fault,
    pub(crate) isolation: Isolation,
    pub(crate) observed: Fate,
    pub(crate) host_ended: Option<String>,
    pub(crate) victim: Option<String>,
    /// `None` if nobody lived to tell.
    pub(crate) aftermath: Option<Aftermath>,
}

/// How a sacrificial host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lives,
    StandsStill,
    Died(i32),
}

/// Why nothing follows from what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inconclusive {
    /// The host ended before the fault, or after it without a word and without a signal.
    Unfinished,
    /// The host was ended by a signal that the fault does not raise: somebody else sent it.
    Foreign(i32),
    /// The fault was not the one that was meant.
    Otherwise(String),
}

/// The signals that a crash raises in the process whose code it is in. SIGKILL, SIGTERM and the like
/// always come from somebody else.
const CRASHES: [Signal; 7] = [
    Signal::ABORT,
    Signal::BUS,
    Signal::FPE,
    Signal::ILL,
    Signal::SEGV,
    Signal::SYS,
    Signal::TRAP,
];

/// The signal by which a fault ends the process that it is in, if it ends it.
fn signal_of(fault: Fault) -> Option<Signal> {
    match fault {
        Fault::HostAbort => Some(Signal::ABORT),
        Fault::HostSegfault => Some(Signal::SEGV),
        Fault::Kill => Some(Signal::KILL),
        Fault::Trap
        | Fault::Recursion
        | Fault::Loop
        | Fault::Wait
        | Fault::Grow
        | Fault::Flood
        | Fault::Lie
        | Fault::HostPanic
        | Fault::Stop => None,
    }
}

/// Whether the end of a host by this signal is what the fault did. A host that is to die has to die of
/// the fault's own signal. One that is to live may fall to any crash, and that is the finding; but a
/// signal that only somebody else can have sent (the out-of-memory killer, an administrator) is none.
fn is_doing_of(fault: Fault, isolation: Isolation, signal: i32) -> bool {
    let is = |known: Signal| known.as_raw() == signal;
    match expected(fault, isolation) {
        Fate::HostDied => signal_of(fault).is_some_and(is),
        Fate::Contained | Fate::WorkerLost | Fate::Spread | Fate::HostStopped => {
            CRASHES.into_iter().any(is)
        }
    }
}

/// Reads how far a fault went, also from a host that did not live to tell.
///
/// # Errors
/// [`Inconclusive`] where that cannot be said: a failed trial, and no fate.
pub(super) fn conclude(
    fault: Fault,
    isolation: Isolation,
    heard: &[Sighting],
    end: End,
) -> Result<Injection, Inconclusive> {
    let mut victim = None;
    let mut aftermath = None;
    let mut injected = false;
    for sighting in heard {
        match sighting {
            Sighting::Injecting => injected = true,
            Sighting::Victim { ended, as_meant } => victim = Some((ended.clone(), *as_meant)),
            Sighting::Survived(counted) => aftermath = Some(counted.clone()),
        }
    }
    if !injected {
        return Err(Inconclusive::Unfinished);
    }
    if let End::Died(signal) = end
        && !is_doing_of(fault, isolation, signal)
    {
        return Err(Inconclusive::Foreign(signal));
    }
    if let Some((ended, false)) = &victim {
        return Err(Inconclusive::Otherwise(format!(
            "the job that was to meet the fault ended otherwise: {ended}"
        )));
    }
    let observed = match (end, &aftermath) {
        (End::StandsStill, _) => Fate::HostStopped,
        (End::Died(_), _) => Fate::HostDied,
        (End::Lives, None) => return Err(Inconclusive::Unfinished),
        (End::Lives, Some(counted)) if counted.bystanders_lost > 0 => Fate::Spread,
        (End::Lives, Some(counted)) if counted.workers_lost > 0 => Fate::WorkerLost,
        (End::Lives, Some(_)) => Fate::Contained,
    };
    Ok(Injection {
        fault,
        isolation,
        observed,
        host_ended: match end {
            End::Died(signal) => Some(format!("signal {signal}")),
            End::StandsStill | End::Lives => None,
        },
        victim: victim.map(|(ended, _)| ended),
        aftermath,
    })
}

impl Injection {
    /// Whether it went as the table of expectations says.
    pub(crate) fn as_expected(&self) -> bool {
        self.observed == expected(self.fault, self.isolation)
    }
}

#[cfg(test)]
mod tests {
    use super::super::containment::Kept;
    use super::*;

    fn survived(workers_lost: u64, bystanders_lost: u64) -> Sighting {
        Sighting::Survived(Aftermath {
            bystanders: 100,
            bystanders_lost,
            workers_lost,
            before: Kept::default(),
            after: Kept::default(),
            recovery: Some(1e-3),
        })
    }

    fn victim(as_meant: bool) -> Sighting {
        Sighting::Victim {
            ended: "so".to_owned(),
            as_meant,
        }
    }

    fn fate(heard: &[Sighting], end: End) -> Result<Fate, Inconclusive> {
        let found = conclude(Fault::Kill, Isolation::Thread, heard, end)?;
        Ok(found.observed)
    }

    /// The fate of a host that died of this signal after its fault.
    fn died(fault: Fault, isolation: Isolation, signal: i32) -> Result<Fate, Inconclusive> {
        let found = conclude(fault, isolation, &[Sighting::Injecting], End::Died(signal))?;
        Ok(found.observed)
    }

    const ABORT: i32 = 6;
    const KILL: i32 = 9;
    const SEGV: i32 = 11;
    const TERM: i32 = 15;

    #[test]
    fn a_host_that_is_to_die_dies_of_its_own_fault_alone() {
        let faults = [
            (Fault::HostAbort, ABORT),
            (Fault::HostSegfault, SEGV),
            (Fault::Kill, KILL),
        ];
        for (fault, own) in faults {
            for signal in [ABORT, KILL, SEGV, TERM] {
                let found = died(fault, Isolation::Thread, signal);
                let meant = if signal == own {
                    Ok(Fate::HostDied)
                } else {
                    Err(Inconclusive::Foreign(signal))
                };
                assert_eq!(found, meant, "{fault}, signal {signal}");
            }
        }
    }

    #[test]
    fn a_host_that_is_to_live_falls_to_a_crash_and_not_to_somebody_else() {
        for fault in Fault::ALL {
            for signal in [ABORT, SEGV] {
                let found = died(fault, Isolation::Process, signal);
                assert_eq!(found, Ok(Fate::HostDied), "{fault}, signal {signal}");
            }
            for signal in [KILL, TERM] {
                let found = died(fault, Isolation::Process, signal);
                assert_eq!(found, Err(Inconclusive::Foreign(signal)), "{fault}");
            }
        }
    }

    #[test]
    fn a_host_that_died_took_everybody_with_it() {
        let found = conclude(
            Fault::Kill,
            Isolation::Thread,
            &[Sighting::Injecting],
            End::Died(9),
        );
        let injection = found.unwrap();
        assert_eq!(injection.observed, Fate::HostDied);
        assert!(injection.as_expected());
        assert_eq!(injection.host_ended.as_deref(), Some("signal 9"));
    }

    #[test]
    fn an_unexpected_fate_does_not_pass() {
        let heard = [Sighting::Injecting, victim(true), survived(1, 0)];
        let found = conclude(Fault::Kill, Isolation::Thread, &heard, End::Lives);
        assert!(!found.unwrap().as_expected());
    }

    #[test]
    fn how_far_a_fault_went_is_told_by_who_was_lost() {
        let after = |workers, bystanders| {
            let heard = [
                Sighting::Injecting,
                victim(true),
                survived(workers, bystanders),
            ];
            fate(&heard, End::Lives)
        };
        assert_eq!(after(0, 0), Ok(Fate::Contained));
        assert_eq!(after(1, 0), Ok(Fate::WorkerLost));
        assert_eq!(after(1, 1), Ok(Fate::Spread));
        let still = fate(&[Sighting::Injecting], End::StandsStill);
        assert_eq!(still, Ok(Fate::HostStopped));
    }

    #[test]
    fn a_host_that_died_before_the_fault_is_a_failed_trial() {
        let unfinished = Err(Inconclusive::Unfinished);
        assert_eq!(fate(&[], End::Died(9)), unfinished);
        assert_eq!(fate(&[Sighting::Injecting], End::Lives), unfinished);
    }

    #[test]
    fn a_guest_that_was_to_trap_and_did_not_is_a_failed_trial() {
        let heard = [Sighting::Injecting, victim(false), survived(0, 0)];
        let found = conclude(Fault::Trap, Isolation::Thread, &heard, End::Lives);
        assert!(matches!(found, Err(Inconclusive::Otherwise(_))));
    }
}
