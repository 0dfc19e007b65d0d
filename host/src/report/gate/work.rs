//! Are two results of the same work? Only then does a factor between them say anything.

use crate::printable;
use crate::report::result::Comparison;
use crate::runtime::InstancePolicy;
use crate::units::{ByteSize, seconds};

/// In what a baseline is of other work than a result: `inputs (1 in the baseline, 3 here)`. Nothing
/// where the two may be compared.
pub(super) fn unlike(result: &Comparison, baseline: &Comparison) -> Vec<String> {
    let (there, here) = (&baseline.settings, &result.settings);
    let differing = [
        differs("guest", &baseline.guest.name, &result.guest.name, |name| {
            printable(name)
        }),
        differs(
            "what it is told",
            &baseline.guest.called,
            &result.guest.called,
            |called| called.as_deref().map_or("nothing".to_owned(), printable),
        ),
        differs(
            "inputs",
            &baseline.guest.inputs,
            &result.guest.inputs,
            usize::to_string,
        ),
        differs(
            "instances",
            &there.instance,
            &here.instance,
            |policy| match policy {
                InstancePolicy::Fresh => "fresh".to_owned(),
                InstancePolicy::Reused => "reused".to_owned(),
            },
        ),
        differs("time limit", &there.timeout_s, &here.timeout_s, |limit| {
            limit.map_or("none".to_owned(), seconds)
        }),
        differs(
            "memory limit",
            &there.memory_limit,
            &here.memory_limit,
            |&limit| ByteSize::from_bytes(limit).to_string(),
        ),
        // Code that counts fuel is other code.
        differs("fuel", &there.fuel, &here.fuel, |fuel| {
            fuel.map_or("none".to_owned(), |fuel| fuel.to_string())
        }),
        differs("rigging", &there.rigged, &here.rigged, |rigged| {
            rigged.as_deref().map_or("none".to_owned(), printable)
        }),
    ];
    differing.into_iter().flatten().collect()
}

/// What makes a comparison with this baseline less sure, though both may be of the same work.
pub(super) fn doubts(result: &Comparison, baseline: &Comparison) -> Vec<String> {
    let (there, here) = (&baseline.machine, &result.machine);
    let text = |text: &String| printable(text);
    let model = |model: &Option<String>| {
        let model = model.as_deref();
        model.map_or("unknown".to_owned(), printable)
    };
    let machines = [
        differs("processor", &there.model, &here.model, model),
        differs("CPUs", &there.cpus, &here.cpus, usize::to_string),
        differs("kernel", &there.kernel, &here.kernel, text),
        differs("target", &there.target, &here.target, text),
    ];
    let versions = [
        differs("cofferdam", &there.cofferdam, &here.cofferdam, text),
        differs("wasmtime", &there.wasmtime, &here.wasmtime, text),
    ];
    let mut doubts = Vec::new();
    if baseline.guest.sha256 != result.guest.sha256 {
        doubts.push("it is of another module: the guests' SHA-256 digests differ".to_owned());
    }
    for (what, differing) in [("machine", &machines[..]), ("version", &versions[..])] {
        let differing: Vec<&str> = differing.iter().flatten().map(String::as_str).collect();
        if !differing.is_empty() {
            let differing = differing.join(", ");
            doubts.push(format!("it is of another {what}: {differing}"));
        }
    }
    if !baseline.complete {
        doubts.push("it is incomplete: its measuring was stopped".to_owned());
    }
    if !result.complete {
        doubts.push("the result that it is compared with is incomplete".to_owned());
    }
    doubts
}

/// A name with both values, where they differ.
fn differs<T: PartialEq>(
    name: &str,
    there: &T,
    here: &T,
    show: impl Fn(&T) -> String,
) -> Option<String> {
    (there != here).then(|| {
        let (there, here) = (show(there), show(here));
        format!("{name} ({there} in the baseline, {here} here)")
    })
}
