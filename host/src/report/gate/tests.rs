use super::*;
use crate::report::sample::sample;

fn gate(text: &str) -> Gate {
    text.parse().unwrap()
}

fn wrong(text: &str) -> String {
    text.parse::<Gate>().unwrap_err().to_string()
}

/// The sample, with these rounds in one arm of `job.p50`, a sample each.
fn with(arm: Arm, rounds: &[f64]) -> Comparison {
    let mut comparison = sample();
    let series = comparison.series.get_mut("job.latency").unwrap();
    series.insert(arm, rounds.iter().map(|&value| vec![value]).collect());
    comparison
}

/// Eight rounds around 1, times a factor.
fn around(factor: f64) -> Vec<f64> {
    [0.97, 0.98, 0.99, 1.0, 1.0, 1.01, 1.02, 1.03]
        .map(|value| factor * value)
        .to_vec()
}

fn tripped(gate_: &str, result: &Comparison, baseline: Option<&Comparison>) -> Option<String> {
    match gate(gate_).check(result, baseline) {
        Ok(_) => None,
        Err(NotPassed::Tripped(tripped)) => Some(tripped.to_string()),
        Err(NotPassed::Unchecked(error)) => panic!("{error}"),
    }
}

fn unchecked(gate_: &str, result: &Comparison, baseline: Option<&Comparison>) -> String {
    match gate(gate_).check(result, baseline) {
        Err(NotPassed::Unchecked(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gate_is_read_with_its_parameters_in_any_order() {
    let one = gate("process.job.load_p99[load=80,timing=corrected] >= 1.10x");
    let other = gate(" process.job.load_p99[ timing = corrected, load = 80 ]>=1.1x ");
    assert_eq!(one.place, other.place);
    assert_eq!(one.operator, other.operator);
    assert_eq!(one.bound, Bound::Baseline(1.1));
    assert_eq!(one.bound, other.bound);
    assert_eq!(one.place.arm, Arm::Process);
    assert_eq!(one.place.row(), "job.load_p99[load=80,timing=corrected]");
    assert_eq!(
        one.to_string(),
        "process.job.load_p99[load=80,timing=corrected] >= 1.10x"
    );
}

#[test]
fn each_kind_of_bound_is_read_in_base_units() {
    let bound = |text: &str| gate(&format!("thread.job.p50 < {text}")).bound;
    assert_eq!(bound("50ms"), Bound::Value(0.05, &[Unit::Seconds]));
    assert_eq!(bound("64 KiB"), Bound::Value(65536.0, &[Unit::Bytes]));
    assert_eq!(
        bound("10MiB/s"),
        Bound::Value(10_485_760.0, &[Unit::BytesPerSecond])
    );
    assert_eq!(
        bound("1000/s"),
        Bound::Value(1000.0, &[Unit::JobsPerSecond, Unit::MessagesPerSecond])
    );
    assert_eq!(
        bound("1000 jobs/s"),
        Bound::Value(1000.0, &[Unit::JobsPerSecond])
    );
    assert_eq!(bound("12"), Bound::Value(12.0, &[Unit::Count]));
    let place = "thread.job.p50".parse().unwrap();
    assert_eq!(bound("1.5x thread.job.p50"), Bound::Arm(1.5, place));
}

#[test]
fn only_a_bare_factor_needs_a_baseline() {
    assert!(gate("process.job.p50 > 1.10x").needs_baseline());
    assert!(!gate("process.job.p50 > 1.10x thread.job.p50").needs_baseline());
    assert!(!gate("process.job.p50 > 50ms").needs_baseline());
}

#[test]
fn what_is_no_gate_is_told_with_what_would_be_one() {
    assert_eq!(
        wrong("process.job.p50 = 3"),
        "`process.job.p50 = 3` has no >, >=, < or <=: write for example process.job.p50 > 1.10x"
    );
    assert_eq!(
        wrong("processes.job.p50 > 1.1x"),
        "`processes` is no arm: use one of thread, process, control, unmetered, fuel, mixed"
    );
    for place in [
        "job.p50",
        "process.job.p50[",
        "process.job.p50[a]",
        "process..p50",
        "",
        "process.job.p50[a=1,a=2]",
    ] {
        let text = wrong(&format!("{place} > 1.1x"));
        assert!(text.contains("is not ARM.EXPERIMENT.METRIC"), "{text}");
    }
    for bound in ["", "much", "x", "0x", "-1x", "3 fortnights", "1.2.3"] {
        let text = wrong(&format!("process.job.p50 > {bound}"));
        assert!(
            text.starts_with(&format!("`{bound}` is no bound: write 1.10x")),
            "{text}"
        );
    }
    assert_eq!(
        wrong("process.job.p50 > 10 parsecs/s"),
        "`parsecs` is not a unit of size: use one of B, KiB, MiB, GiB, kB, MB, GB"
    );
}

#[test]
fn a_worse_result_trips_and_says_by_how_much() {
    let (before, after) = (
        with(Arm::Process, &around(0.010)),
        with(Arm::Process, &around(0.0125)),
    );
    let text = tripped("process.job.p50 > 1.10x", &after, Some(&before)).unwrap();
    assert_eq!(
        text,
        "tripped: process.job.p50 > 1.10x: process of job.p50 is 1.25 times the baseline (95 % interval 1.23 to 1.28)"
    );
    assert_eq!(
        tripped("process.job.p50 > 1.30x", &after, Some(&before)),
        None
    );
    assert_eq!(
        tripped("process.job.p50 > 1.10x", &before, Some(&after)),
        None
    );
    assert!(tripped("process.job.p50 < 0.90x", &before, Some(&after)).is_some());
    assert!(tripped("process.job.p50 <= 0.90x", &before, Some(&after)).is_some());
}

#[test]
fn noise_does_not_trip_even_past_the_bound() {
    let before = with(Arm::Process, &around(1.0));
    let noisy = [0.6, 0.7, 0.8, 1.15, 1.25, 1.3, 1.6, 1.9];
    let after = with(Arm::Process, &noisy);
    let passed = gate("process.job.p50 > 1.10x")
        .check(&after, Some(&before))
        .unwrap();
    assert!(passed.0.interval.median > 1.10, "{passed}");
    assert!(passed.0.interval.low < 1.0, "{passed}");
    assert!(passed.doubtful());
    let told = passed.to_string();
    assert!(
        told.starts_with("passed: process.job.p50 > 1.10x: process of job.p50 is 1.")
            && told.ends_with("); the median passes the bound, but the interval does not"),
        "{told}"
    );
}

#[test]
fn a_pass_is_in_doubt_only_where_the_median_passes_the_bound() {
    let result = with(Arm::Process, &around(0.050));
    let doubtful = |bound: &str| {
        let passed = gate(&format!("process.job.p50 {bound}")).check(&result, None);
        passed.unwrap().doubtful()
    };
    assert!(doubtful("> 49.9ms"));
    assert!(!doubtful("> 50.1ms"));
    assert!(doubtful("< 50.5ms"));
    assert!(!doubtful("< 49.9ms"));
    let passed = gate("process.job.p50 > 50.1ms").check(&result, None);
    assert_eq!(
        passed.unwrap().to_string(),
        "passed: process.job.p50 > 50.1ms: process of job.p50 is 50.0 ms (95 % interval 49.0 ms to 51.0 ms)"
    );
    let passed = gate("process.job.p50 > 1.10x").check(&result, Some(&result));
    assert!(!passed.unwrap().doubtful());
    let passed = gate("process.job.p50 > 0.999x").check(&result, Some(&result));
    assert!(passed.unwrap().doubtful());
}

#[test]
fn a_change_a_little_past_the_bound_trips_though_the_bound_is_in_the_interval() {
    let (before, after) = (
        with(Arm::Process, &around(1.0)),
        with(Arm::Process, &around(1.11)),
    );
    assert!(tripped("process.job.p50 > 1.10x", &after, Some(&before)).is_some());
}

#[test]
fn a_gain_that_is_asked_for_is_a_level() {
    let before = with(Arm::Process, &around(1.0));
    let after = |factor: f64| with(Arm::Process, &around(factor));
    let trips =
        |factor| tripped("process.job.p50 > 0.90x", &after(factor), Some(&before)).is_some();
    assert!(trips(1.0));
    assert!(trips(0.95));
    // The interval reaches from 0.89 to 0.93.
    assert!(!trips(0.91));
    assert!(!trips(0.8));
}

#[test]
fn a_value_trips_only_where_its_interval_is_past_the_bound() {
    let result = with(Arm::Process, &around(0.050));
    assert_eq!(
        tripped("process.job.p50 > 40ms", &result, None).unwrap(),
        "tripped: process.job.p50 > 40ms: process of job.p50 is 50.0 ms (95 % interval 49.0 ms to 51.0 ms)"
    );
    assert_eq!(tripped("process.job.p50 > 49.9ms", &result, None), None);
    assert_eq!(tripped("process.job.p50 > 60ms", &result, None), None);
    assert!(tripped("process.job.p50 < 60ms", &result, None).is_some());
    assert_eq!(tripped("process.job.p50 < 50.5ms", &result, None), None);
}

#[test]
fn exact_counts_are_compared_exactly() {
    let result = sample();
    let id = "process.memory.descriptors_per_worker";
    let trips = |rest: &str| tripped(&format!("{id} {rest}"), &result, None).is_some();
    assert!(trips(">= 3"));
    assert!(!trips("> 3"));
    assert!(trips("> 2"));
    assert!(trips("<= 3"));
    assert!(!trips("< 3"));
}

#[test]
fn an_arm_is_compared_with_another_round_by_round() {
    // Both drift by a factor of four; their quotient is 2 in each round.
    let drifting = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0];
    let mut result = with(Arm::Thread, &drifting);
    let series = result.series.get_mut("job.latency").unwrap();
    series.insert(Arm::Control, series[&Arm::Thread].clone());
    let doubled = drifting.map(|value| vec![2.0 * value]);
    series.insert(Arm::Process, doubled.to_vec());
    assert_eq!(
        tripped("process.job.p50 > 1.9x thread.job.p50", &result, None).unwrap(),
        "tripped: process.job.p50 > 1.9x thread.job.p50: process of job.p50 is 2.00 times thread of job.p50 (95 % interval 2.00 to 2.00)"
    );
    assert_eq!(
        tripped("process.job.p50 > 2.1x thread.job.p50", &result, None),
        None
    );
    assert!(tripped("process.job.p50 < 2.1x thread.job.p50", &result, None).is_some());
}

#[test]
fn the_factor_of_the_table_is_the_factor_of_the_gate() {
    let result = sample();
    let row = result
        .rows
        .iter()
        .find(|row| row.id() == "job.p50")
        .unwrap();
    let passed = gate("process.job.p50 > 100x thread.job.p50").check(&result, None);
    assert_eq!(Some(passed.unwrap().0.interval), row.ratio);
}

#[test]
fn a_row_that_is_not_there_is_an_error_with_the_nearest_names() {
    let result = sample();
    assert_eq!(
        unchecked("process.job.p55 > 50ms", &result, None),
        "process.job.p55 > 50ms: the result has no row job.p55; the nearest are job.p50, job.p90, job.p99"
    );
    let text = unchecked(
        "process.message.round_trip[payload=65] > 50ms",
        &result,
        None,
    );
    assert!(
        text.contains("the nearest are message.round_trip[payload=6"),
        "{text}"
    );
    let empty = Comparison {
        rows: Vec::new(),
        ..sample()
    };
    assert_eq!(
        unchecked("process.job.p50 > 50ms", &empty, None),
        "process.job.p50 > 50ms: the result has no row job.p50: it has no rows at all"
    );
    assert_eq!(
        unchecked("process.job.p50 > 1.1x", &result, Some(&empty)),
        "process.job.p50 > 1.1x: the baseline has no row job.p50: it has no rows at all"
    );
}

#[test]
fn parameters_may_be_left_out_where_there_is_only_one_such_row() {
    let result = sample();
    let passed = gate("process.memory.pss_per_worker[state=idle] > 1GiB").check(&result, None);
    assert_eq!(passed.unwrap().0.row, "memory.pss_per_worker[state=idle]");
    let passed = gate("process.limits.overrun > 1h").check(&result, None);
    assert_eq!(passed.unwrap().0.row, "limits.overrun[after=20ms]");
    // There are two, one of them without parameters: it is meant.
    let passed = gate("process.job.p50 > 1h").check(&result, None);
    assert_eq!(passed.unwrap().0.row, "job.p50");
    assert_eq!(
        unchecked("process.start.first_reply > 1h", &result, None),
        "process.start.first_reply > 1h: start.first_reply could be start.first_reply[cache=warm], \
         start.first_reply[cache=cold]: write the parameters too"
    );
}

#[test]
fn what_cannot_be_checked_is_an_error_and_no_pass() {
    let result = sample();
    assert_eq!(
        unchecked("fuel.job.p50 > 50ms", &result, None),
        "fuel.job.p50 > 50ms: the result has no fuel in job.p50, only thread, process, control, unmetered"
    );
    assert_eq!(
        unchecked("process.job.p50 > 64KiB", &result, None),
        "process.job.p50 > 64KiB: job.p50 is a time and has no such bound: write for example 50ms"
    );
    assert_eq!(
        unchecked("process.job.p50 > 5", &result, None),
        "process.job.p50 > 5: job.p50 is a time and has no such bound: write for example 50ms"
    );
    assert_eq!(
        unchecked("process.job.p50 > 1.1x", &result, None),
        "process.job.p50 > 1.1x: a factor alone is one of a baseline: name one, or an arm of this result, \
         as in `process.job.p50 > 1.1x thread.job.p50`"
    );
    assert_eq!(
        unchecked(
            "process.job.p50 > 2x thread.memory.pss[workers=1]",
            &result,
            None
        ),
        "process.job.p50 > 2x thread.memory.pss[workers=1]: job.p50 is a time and \
         memory.pss[state=idle,workers=1] is a size: no factor says how they compare"
    );
    let id = "memory.descriptors_per_worker";
    let text = unchecked(&format!("process.{id} > 2x thread.{id}"), &result, None);
    assert!(text.contains("values of zero or less"), "{text}");
    let text = unchecked(&format!("thread.{id} > 2x"), &result, Some(&result));
    assert!(text.contains("values of zero or less"), "{text}");
}

#[test]
fn too_few_rounds_are_an_error() {
    let few = with(Arm::Process, &[1.0, 1.0, 1.0]);
    assert_eq!(
        unchecked("process.job.p50 > 50ms", &few, None),
        "process.job.p50 > 50ms: job.p50 has too few rounds for a 95 % interval (it would be one of 75 %): \
         measure again with more time (--time-budget)"
    );
    let text = unchecked("process.job.p50 > 1.1x", &few, Some(&few));
    assert!(text.contains("too few rounds"), "{text}");
    let none = with(Arm::Process, &[]);
    let text = unchecked("process.job.p50 > 50ms", &none, None);
    assert!(text.contains("has no process in job.p50"), "{text}");
}

fn unsuited(gate_: &str, baseline: &Comparison) -> Option<String> {
    let found = gate(gate_).suits(baseline);
    found.err().map(|error| error.to_string())
}

#[test]
fn a_baseline_that_lacks_something_is_found_before_anything_is_measured() {
    let baseline = sample();
    assert_eq!(unsuited("process.job.p50 > 1.1x", &baseline), None);
    for gate_ in [
        "process.job.p55 > 1.1x",
        "fuel.job.p50 > 1.1x",
        "process.start.first_reply > 1.1x",
        "thread.memory.descriptors_per_worker > 2x",
    ] {
        let found = unsuited(gate_, &baseline).unwrap();
        let checked = unchecked(gate_, &baseline, Some(&baseline));
        // A check looks into the result first.
        assert_eq!(found.replace("the baseline", "the result"), checked);
    }
    assert_eq!(
        unsuited("process.job.p55 > 1.1x", &baseline).unwrap(),
        "process.job.p55 > 1.1x: the baseline has no row job.p55; the nearest are job.p50, job.p90, job.p99"
    );
}

#[test]
fn a_unit_that_does_not_fit_is_found_in_the_baseline() {
    let baseline = sample();
    assert_eq!(
        unsuited("process.job.p50 > 64KiB", &baseline).unwrap(),
        "process.job.p50 > 64KiB: job.p50 is a time and has no such bound: write for example 50ms"
    );
    assert_eq!(unsuited("process.job.p50 > 50ms", &baseline), None);
    let id = "memory.pss[state=idle,workers=1]";
    assert_eq!(
        unsuited(&format!("process.job.p50 > 2x thread.{id}"), &baseline).unwrap(),
        format!(
            "process.job.p50 > 2x thread.{id}: job.p50 is a time and {id} is a size: no factor says how they \
             compare"
        )
    );
    // Of what does not need it, the baseline need not have everything.
    assert_eq!(unsuited("process.job.p55 > 50ms", &baseline), None);
    assert_eq!(
        unsuited("process.job.p50 > 2x thread.job.p55", &baseline),
        None
    );
}

#[test]
fn a_baseline_of_other_work_is_no_baseline() {
    let result = sample();
    let mut baseline = sample();
    baseline.guest.name = "@echo".to_owned();
    assert_eq!(
        gate("process.job.p50 > 1.1x").check(&result, Some(&baseline)),
        Err(NotPassed::Unchecked(GateError::OtherWork {
            gate: "process.job.p50 > 1.1x".to_owned(),
            differs: vec!["guest (@echo in the baseline, @argon2 here)".to_owned()],
        }))
    );
    baseline.guest.inputs = 1;
    baseline.settings.instance = crate::runtime::InstancePolicy::Reused;
    baseline.settings.timeout_s = Some(0.25);
    baseline.settings.memory_limit = 128 << 20;
    baseline.settings.fuel = Some(1000);
    baseline.settings.rigged = Some("slow\u{1b}ed".to_owned());
    assert_eq!(
        unchecked("process.job.p50 > 1.1x", &result, Some(&baseline)),
        "process.job.p50 > 1.1x: the baseline is of other work, of which no factor says anything: guest (@echo in \
         the baseline, @argon2 here), inputs (1 in the baseline, 3 here), instances (reused in the baseline, fresh \
         here), time limit (250 ms in the baseline, none here), memory limit (128 MiB in the baseline, 64 MiB \
         here), fuel (1000 in the baseline, none here), rigging (slow\\u{1b}ed in the baseline, none here)"
    );
    // Bounds that are not relative to it do not mind.
    assert_eq!(
        tripped("process.job.p50 > 1h", &result, Some(&baseline)),
        None
    );
}

#[test]
fn another_machine_version_or_module_is_a_doubt_and_no_error() {
    let result = sample();
    let mut baseline = sample();
    assert_eq!(Gate::doubts(&result, &baseline), Vec::<String>::new());
    // What changes from hour to hour is no other machine.
    baseline.machine.load = Some(9.0);
    baseline.machine.memory_available = None;
    assert_eq!(Gate::doubts(&result, &baseline), Vec::<String>::new());
    baseline.machine.model = None;
    baseline.machine.cpus = 64;
    baseline.machine.cofferdam = "0.0.9".to_owned();
    baseline.guest.sha256 = "00".repeat(32);
    baseline.complete = false;
    assert_eq!(
        Gate::doubts(&result, &baseline),
        [
            "it is of another module: the guests' SHA-256 digests differ",
            "it is of another machine: processor (unknown in the baseline, Example CPU @ 2.10GHz here), CPUs (64 in \
             the baseline, 2 here)",
            "it is of another version: cofferdam (0.0.9 in the baseline, 0.1.0 here)",
            "it is incomplete: its measuring was stopped",
        ]
    );
    assert_eq!(
        tripped("process.job.p50 > 1.1x", &result, Some(&baseline)),
        None
    );
    let mut result = sample();
    result.complete = false;
    assert_eq!(
        Gate::doubts(&result, &sample()),
        ["the result that it is compared with is incomplete"]
    );
}
