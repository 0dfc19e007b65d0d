//! Of what the comparison is: guest, machine, settings.

use super::{Page, show};
use crate::experiment::Unit;
use crate::printable;
use crate::report::result::{Comparison, PartInfo};
use crate::runtime::{InstancePolicy, Metering};
use crate::units::ByteSize;

pub(super) fn header(page: &mut Page, comparison: &Comparison) {
    let Comparison {
        guest,
        machine,
        settings,
        ..
    } = comparison;
    page.sentence(&format!(
        "{} ({}, {}{})",
        printable(&guest.name),
        ByteSize::from_bytes(guest.bytes),
        match guest.is_timed() {
            true => format!("a job takes about {}", show(guest.job_s, Unit::Seconds)),
            false => "of whose jobs none ended well".to_owned(),
        },
        match guest.inputs {
            0 | 1 => String::new(),
            inputs => format!(", {inputs} inputs"),
        }
    ));
    if let Some(called) = &guest.called {
        page.sentence(&format!("as {}", printable(called)));
    }
    page.sentence(&printable(&machine.summary()));
    let parts: Vec<&PartInfo> = comparison.parts.iter().collect();
    page.sentence(&format!(
        "{} in {}, seed {}; {} instances; processes by {} over {}; wait {}; {}; memory limit {}{}",
        rounds(&parts),
        show(comparison.took_s, Unit::Seconds),
        comparison.seed,
        match settings.instance {
            InstancePolicy::Fresh => "fresh",
            InstancePolicy::Reused => "reused",
        },
        settings.start,
        settings.link,
        settings.wait,
        metering(settings.thread_metering, settings.process_metering),
        ByteSize::from_bytes(settings.memory_limit),
        settings.timeout_s.map_or(String::new(), |limit| format!(
            ", time limit {}",
            show(limit, Unit::Seconds)
        )),
    ));
    if !comparison.complete {
        page.loud("INTERRUPTED: what follows rests on the rounds that were done");
    }
    if let Some(rigged) = &settings.rigged {
        page.loud(&format!(
            "RIGGED: {}. These numbers say nothing about isolations.",
            printable(rigged.trim_end_matches('.'))
        ));
    }
}

/// `8 rounds`, `8 to 24 rounds`.
pub(super) fn rounds(parts: &[&PartInfo]) -> String {
    let rounds = parts.iter().map(|part| part.rounds);
    match (rounds.clone().min(), rounds.max()) {
        (Some(1), Some(1)) => "1 round".to_owned(),
        (Some(least), Some(most)) if least == most => format!("{least} rounds"),
        (Some(least), Some(most)) => format!("{least} to {most} rounds"),
        _ => "no rounds".to_owned(),
    }
}

fn metering(thread: Metering, process: Metering) -> String {
    let name = |metering| match metering {
        Metering::Interruptible => "interruptible",
        Metering::Unmetered => "unmetered",
    };
    if thread == process {
        return format!("guest code is {} in both", name(thread));
    }
    let (thread, process) = (name(thread), name(process));
    format!("guest code is {thread} in threads and {process} in processes")
}
