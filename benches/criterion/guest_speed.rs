//! P7 and P8: does a guest compute as fast in cofferdam as through wasmtime's own API, and natively?
//!
//! `call` is the time inside the guest's `handle`, by the stopwatch next to it; `whole` is the time from
//! handing a job in to holding its reply. One job at a time.

mod common;

use std::process::ExitCode;

use cofferdam::{Guest, InstancePolicy, Isolation, Metering, Pool};
use cofferdam_benches::arms::{Hash, aside, call, called, instantiate_and_call, native_argon2};
use cofferdam_benches::{Aside, ByHand, Failure, SUBJECTS, Subject, metering_name, pool_for};
use common::{Group, bench, bench_alone};
use criterion::Criterion;

fn main() -> ExitCode {
    common::main(|criterion| {
        cpu_bound(criterion);
        for subject in &SUBJECTS {
            beside_wasmtime(criterion, subject);
        }
        beside_native(criterion);
    })
}

fn cpu_bound(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p7_cpu_bound");
    let work = Hash::IN_CACHE;
    bench_alone(&mut group, "null/native", || native_argon2(work));
    for (isolation, metering) in ways() {
        let name = format!("{isolation}-{}", metering_name(metering));
        let make = || argon2(isolation, metering);
        bench(&mut group, name, make, |pool| Box::new(work.through(pool)));
    }
    group.finish();
}

fn argon2(isolation: Isolation, metering: Metering) -> Result<Pool, Failure> {
    pool_for(Guest::embedded("argon2")?, isolation, |builder| {
        builder.metering(metering).instance(InstancePolicy::Reused)
    })
}

/// Who can run a guest with which metering: in a process, metering would only cost.
fn ways() -> [(Isolation, Metering); 3] {
    [
        (Isolation::Thread, Metering::Interruptible),
        (Isolation::Thread, Metering::Unmetered),
        (Isolation::Process, Metering::Unmetered),
    ]
}

fn beside_wasmtime(criterion: &mut Criterion, subject: &'static Subject) {
    for span in [Span::Call, Span::Whole] {
        let name = format!("p8_guest_speed/{}/{}", subject.name, span.name());
        let mut group = criterion.benchmark_group(name);
        for metering in [Metering::Interruptible, Metering::Unmetered] {
            null(&mut group, span, subject, metering);
        }
        for (isolation, metering) in ways() {
            let name = format!("{isolation}-{}", metering_name(metering));
            let make = || {
                pool_for(subject.guest()?, isolation, |builder| {
                    builder.metering(metering)
                })
            };
            bench(&mut group, name, make, |pool| match span {
                Span::Call => Box::new(called(pool, subject)),
                Span::Whole => Box::new(call(pool, subject)),
            });
        }
        group.finish();
    }
}

/// Which part of a job is compared.
#[derive(Clone, Copy)]
enum Span {
    Call,
    Whole,
}

impl Span {
    fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Whole => "whole",
        }
    }
}

/// Wasmtime's own API: aside in a thread that wakes up for each job, or in place.
fn null(group: &mut Group<'_>, span: Span, subject: &'static Subject, metering: Metering) {
    let by_hand = || ByHand::new(subject.guest()?.wasm(), metering);
    let name = format!("null/wasmtime-{}", metering_name(metering));
    match span {
        Span::Call => bench(
            group,
            name,
            || Aside::new(by_hand()?),
            |null| Box::new(aside(null, subject)),
        ),
        Span::Whole => bench(group, name, by_hand, |null| {
            Box::new(instantiate_and_call(null, subject))
        }),
    }
}

fn beside_native(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p8_argon2_beside_native/call");
    let work = Hash::USUAL;
    bench_alone(&mut group, "null/native", || native_argon2(work));
    let make = || argon2(Isolation::Process, Metering::Unmetered);
    bench(&mut group, "process-reused", make, |pool| {
        Box::new(work.inside(pool))
    });
    group.finish();
}
