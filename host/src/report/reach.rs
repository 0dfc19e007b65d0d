//! How far code came that got out of the sandbox, in words.

use super::result::Comparison;
use crate::experiment::Reach;
use crate::options::Isolation;

/// So many of those that came through are named in a sentence; the tables have them all.
const TOLD: usize = 5;

/// The answers of one isolation.
pub(super) struct Reached<'c> {
    /// What came through.
    pub(super) through: Vec<&'c Reach>,
    /// How many things were tried.
    pub(super) tried: usize,
}

impl<'c> Reached<'c> {
    /// `None` if nothing was tried in that isolation.
    pub(super) fn of(comparison: &'c Comparison, isolation: Isolation) -> Option<Self> {
        let of_it = comparison.reach.iter();
        let of_it: Vec<_> = of_it.filter(|reach| reach.isolation == isolation).collect();
        let tried = of_it.len();
        let through = of_it
            .into_iter()
            .filter(|reach| reach.stopped_by.is_none())
            .collect();
        (tried > 0).then_some(Self { through, tried })
    }

    /// "38 of 46 came through: reads a file; …; and 30 more", or "none of 46 came through".
    pub(super) fn sentence(&self) -> String {
        let titles = self.through.iter().map(|reach| reach.deed.title());
        let told: Vec<_> = titles.take(TOLD).collect();
        let more = match self.through.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        match self.through.len() {
            0 => format!("none of {} came through", self.tried),
            through => format!(
                "{through} of {} came through: {}{more}",
                self.tried,
                told.join("; ")
            ),
        }
    }
}

/// How the hardening stood, in one sentence; empty where that is not known.
pub(super) fn hardening(comparison: &Comparison) -> String {
    let settings = &comparison.settings;
    let lacking = settings
        .layers
        .iter()
        .filter(|layer| layer.reason.is_some());
    let lacking: Vec<_> = lacking
        .map(|layer| {
            let reason = layer.reason.as_deref().unwrap_or_default();
            format!("{} {} ({reason})", layer.layer, layer.standing)
        })
        .collect();
    match (settings.layers.is_empty(), lacking.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!("hardening {}, all layers as asked for", settings.hardening),
        (false, false) => format!("hardening {}: {}", settings.hardening, lacking.join("; ")),
    }
}

/// One row for each thing that was tried: what it is, and what stopped it in each isolation.
pub(super) fn rows(comparison: &Comparison) -> Vec<(&'static str, [String; 2])> {
    let mut deeds: Vec<_> = comparison.reach.iter().map(|reach| reach.deed).collect();
    deeds.dedup();
    let mut rows: Vec<(&'static str, [String; 2])> = Vec::new();
    for deed in deeds {
        if rows.iter().any(|(title, _)| *title == deed.title()) {
            continue;
        }
        let cell = |isolation| {
            let mut of_it = comparison.reach.iter();
            let found = of_it.find(|reach| reach.deed == deed && reach.isolation == isolation);
            match found.map(|reach| &reach.stopped_by) {
                None => "not tried".to_owned(),
                Some(None) => "came through".to_owned(),
                Some(Some(how)) => format!("stopped: {how}"),
            }
        };
        rows.push((
            deed.title(),
            [Isolation::Thread, Isolation::Process].map(cell),
        ));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Deed;
    use crate::report::sample::sample;

    #[test]
    fn what_came_through_is_counted_and_named() {
        let comparison = sample();
        let tried = Deed::all().count();
        let of = |isolation| Reached::of(&comparison, isolation).unwrap();
        assert_eq!(of(Isolation::Thread).through.len(), tried - 1);
        assert_eq!(
            of(Isolation::Process).sentence(),
            format!("1 of {tried} came through: makes a Unix socket")
        );
    }

    #[test]
    fn nothing_is_said_of_what_was_not_tried() {
        let mut comparison = sample();
        comparison.reach.clear();
        assert!(Reached::of(&comparison, Isolation::Thread).is_none());
        assert!(rows(&comparison).is_empty());
    }

    #[test]
    fn every_deed_is_a_row_with_a_cell_for_each_isolation() {
        let comparison = sample();
        let rows = rows(&comparison);
        assert_eq!(rows.len(), Deed::all().count());
        let (title, cells) = &rows[0];
        assert_eq!(*title, "reads a secret of the host");
        assert_eq!(cells[0], "came through");
        assert_eq!(cells[1], "stopped: killed by the filter of system calls");
    }

    #[test]
    fn a_layer_that_does_not_hold_is_named_with_the_reason() {
        assert_eq!(
            hardening(&sample()),
            "hardening best-effort: landlock partial (the kernel's Landlock is older than ABI 6)"
        );
    }
}
