//! What one injected fault did, read from what its sacrificial host had to say.

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

/// Reads how far a fault went, also from a host that did not live to tell. `None` if it ended before the
/// fault, or without a word and without a signal; `Err` if the fault was not the one that was meant.
pub(super) fn conclude(
    fault: Fault,
    isolation: Isolation,
    heard: &[Sighting],
    end: End,
) -> Option<Result<Injection, String>> {
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
        return None;
    }
    if let Some((ended, false)) = &victim {
        return Some(Err(format!(
            "the job that was to meet the fault ended otherwise: {ended}"
        )));
    }
    let observed = match (end, &aftermath) {
        (End::StandsStill, _) => Fate::HostStopped,
        (End::Died(_), _) => Fate::HostDied,
        (End::Lives, None) => return None,
        (End::Lives, Some(counted)) if counted.bystanders_lost > 0 => Fate::Spread,
        (End::Lives, Some(counted)) if counted.workers_lost > 0 => Fate::WorkerLost,
        (End::Lives, Some(_)) => Fate::Contained,
    };
    Some(Ok(Injection {
        fault,
        isolation,
        observed,
        host_ended: match end {
            End::Died(signal) => Some(format!("signal {signal}")),
            End::StandsStill | End::Lives => None,
        },
        victim: victim.map(|(ended, _)| ended),
        aftermath,
    }))
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

    fn fate(heard: &[Sighting], end: End) -> Option<Fate> {
        let found = conclude(Fault::Kill, Isolation::Thread, heard, end)?;
        found.ok().map(|injection| injection.observed)
    }

    #[test]
    fn a_host_that_died_took_everybody_with_it() {
        let found = conclude(
            Fault::Kill,
            Isolation::Thread,
            &[Sighting::Injecting],
            End::Died(9),
        );
        let injection = found.unwrap().unwrap();
        assert_eq!(injection.observed, Fate::HostDied);
        assert!(injection.as_expected());
        assert_eq!(injection.host_ended.as_deref(), Some("signal 9"));
    }

    #[test]
    fn an_unexpected_fate_does_not_pass() {
        let heard = [Sighting::Injecting, victim(true), survived(1, 0)];
        let found = conclude(Fault::Kill, Isolation::Thread, &heard, End::Lives);
        assert!(!found.unwrap().unwrap().as_expected());
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
        assert_eq!(after(0, 0), Some(Fate::Contained));
        assert_eq!(after(1, 0), Some(Fate::WorkerLost));
        assert_eq!(after(1, 1), Some(Fate::Spread));
        let still = fate(&[Sighting::Injecting], End::StandsStill);
        assert_eq!(still, Some(Fate::HostStopped));
    }

    #[test]
    fn a_host_that_died_before_the_fault_is_a_failed_trial() {
        assert_eq!(fate(&[], End::Died(9)), None);
        assert_eq!(fate(&[Sighting::Injecting], End::Lives), None);
    }

    #[test]
    fn a_guest_that_was_to_trap_and_did_not_is_a_failed_trial() {
        let heard = [Sighting::Injecting, victim(false), survived(0, 0)];
        let found = conclude(Fault::Trap, Isolation::Thread, &heard, End::Lives);
        assert!(found.unwrap().is_err());
    }
}
