"""The table, from what was recorded alone: values, ratios and their intervals, as text for 80 columns or as Markdown.

A round has one value for each arm, the median of its samples. A ratio is that value over the reference's of the same
round. A row shows the median over the rounds, and for ratios the interval of that median.
"""

import math
import textwrap
from dataclasses import dataclass

SCHEMA = "cofferdam.peers/1"
WIDTH = 80
CONFIDENCE = 0.95

# The fewest values whose range holds the median in 95 % of all cases.
ENOUGH_ROUNDS = 6


@dataclass(frozen=True)
class Interval:
    median: float
    low: float
    high: float


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def median_interval(values):
    """The median and its 95 % interval, as `host/src/stats/interval.rs` has it.

    It inverts the sign test and interpolates between order statistics: Hettmansperger and Sheather, "Confidence intervals
    based on interpolated order statistics", Statistics & Probability Letters 4 (1986), 75-79. Fewer than six values give
    their whole range.
    """
    values, n = sorted(values), len(values)
    sure = [depth for depth in range(1, n // 2 + 1) if confidence(n, depth) >= CONFIDENCE]
    if not sure:
        return Interval(median(values), values[0], values[-1])
    depth = sure[-1]
    wide, narrow = confidence(n, depth), confidence(n, depth + 1)
    share = (wide - CONFIDENCE) / (wide - narrow)
    # Equation 2.3 there: the share on the scale of the order statistics.
    weight = (n - depth) * share / (depth + (n - 2 * depth) * share)
    low = values[depth - 1] + weight * (values[depth] - values[depth - 1])
    high = values[n - depth] + weight * (values[n - depth - 1] - values[n - depth])
    return Interval(median(values), low, high)


def confidence(n, depth):
    """How often the interval from the depth-th of n values to the depth-th from above holds the median: all but twice
    the chance of fewer than `depth` heads in `n` throws of a coin."""
    return 1 - 2 * sum(math.comb(n, heads) for heads in range(depth)) / 2**n


@dataclass(frozen=True)
class Row:
    """One arm in one measure. `ratios` are in the order of the references, None where there is nothing to divide."""

    arm: str
    value: float | None
    ratios: tuple
    failures: tuple
    rounds: int


@dataclass(frozen=True)
class Block:
    """One measure."""

    title: str
    unit: str
    rows: tuple


def blocks(record):
    """The content of the table, without its looks."""
    return [block(record, measure) for measure in record["measures"]]


def block(record, measure):
    values, failures = {}, {}
    for trial in record["trials"]:
        if trial["measure"] == measure["name"]:
            if "error" in trial:
                failures.setdefault(trial["arm"], []).append(trial["error"])
            else:
                values.setdefault(trial["arm"], {})[trial["round"]] = trial["p50"]
    references = [values.get(name, {}) for name in record["references"]]
    rows = [
        row(arm, values.get(arm["name"], {}), references, failures.get(arm["name"], []), record["references"])
        for arm in record["arms"]
        if measure["name"] in arm["measures"]
    ]
    return Block(measure["title"], measure["unit"], tuple(rows))


def row(arm, rounds, references, failures, names):
    if "missing" in arm:
        failures = [arm["missing"]]
    ratios = tuple(
        # Nobody is divided by themselves.
        None if name == arm["name"] else ratio(rounds, reference)
        for name, reference in zip(names, references)
    )
    value = median(rounds.values()) if rounds else None
    return Row(arm["name"], value, ratios, tuple(failures), len(rounds))


def ratio(rounds, reference):
    """Only rounds that have both; a value of nothing (a slope of memory below the noise) divides nothing."""
    pairs = [(value, reference[number]) for number, value in rounds.items() if reference.get(number, 0) > 0]
    return median_interval([ours / theirs for ours, theirs in pairs]) if pairs else None


# How it looks.

def value_text(value, unit):
    if value is None:
        return "-"
    if unit == "s/message":
        return scaled(1 / value, [(1e6, "M/s"), (1e3, "k/s"), (1, "/s")])
    if unit == "B":
        return scaled(value, [(2**20, "MiB"), (2**10, "KiB"), (1, "B")])
    return scaled(value, [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])


def scaled(value, units):
    factor, unit = next(((factor, unit) for factor, unit in units if abs(value) >= factor), units[-1])
    return f"{digits(value / factor)} {unit}"


def digits(number):
    """Three digits or so; more would be noise."""
    size = abs(number)
    if size >= 99.95:
        return f"{number:.0f}"
    if size >= 9.995:
        return f"{number:.1f}"
    return f"{number:.2f}" if size >= 0.0995 else f"{number:.3f}"


def ratio_text(interval):
    if interval is None:
        return "-"
    return f"{digits(interval.median)} [{digits(interval.low)}, {digits(interval.high)}]"


def notes(row):
    """What is to be said about a row that lacks rounds. The first failure stands for all."""
    if not row.failures:
        return None
    why = " ".join(row.failures[0].split())
    if row.value is None:
        return why
    return f"{len(row.failures)} of {row.rounds + len(row.failures)} rounds failed: {why}"


def header(record):
    """What the numbers were measured on, and how: one sentence a line."""
    machine = record["machine"]
    virtual = ", virtual machine" if machine.get("virtual_machine") else ""
    lines = [
        f"{machine['cpus']} CPUs ({machine.get('model') or 'unknown processor'}{virtual}), {machine['kernel']}",
        "governor {governor}, huge pages {transparent_huge_pages}, guest_halt_poll_ns {guest_halt_poll_ns}, "
        "clock {clocksource}, swap {swap}, steal {steal}, load {load}, CPU pressure {cpu_pressure} %".format_map(
            Known(machine)
        ),
        f"cofferdam {machine['cofferdam']} ({record['commit']}), wasmtime {machine['wasmtime']}, "
        + ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        f"{record['begun']}, {record['rounds']} rounds, seed {record['seed']}, samples for {record['budget_ms']} ms after "
        f"{record['warm_up_ms']} ms of warm-up",
        reading(record),
    ]
    if record["troubles"]:
        lines.append(f"This machine is none to cite: `cofferdam doctor` warns of {', '.join(record['troubles'])}.")
    if record["interrupted"]:
        lines.append("It was interrupted: later rounds are missing.")
    return lines


def reading(record):
    return (
        f"Value: median of the rounds' p50. Ratio: how many times what {' or '.join(record['references'])} takes, median of "
        f"the rounds; in brackets its 95 % interval, or with fewer than {ENOUGH_ROUNDS} rounds their range."
    )


class Known(dict):
    """A machine does not tell everything."""

    def __init__(self, machine):
        known = {name: value for name, value in machine.items() if value is not None}
        super().__init__({name: f"{value:.2g}" if type(value) is float else value for name, value in known.items()})

    def __missing__(self, _):
        return "unknown"


NAME, VALUE, RATIO = 28, 10, 21


def text(record):
    """For a terminal of 80 columns."""
    lines = [part for line in header(record) for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ")]
    over = [f"/ {name}" for name in record["references"]]
    for part in blocks(record):
        lines += ["", *textwrap.wrap(part.title, WIDTH)]
        lines.append(f"{'':{NAME}}{'value':>{VALUE}}" + "".join(f"{name:>{RATIO}}" for name in over))
        for row in part.rows:
            lines += row_text(row, part.unit)
    return "\n".join(lines) + "\n"


def row_text(row, unit):
    note = notes(row)
    if row.value is None:
        note = note or "not measured"
        indent = " " * (NAME + 1)
        return textwrap.wrap(note, WIDTH, initial_indent=f"{row.arm:{NAME}} ", subsequent_indent=indent)
    ratios = "".join(f"{ratio_text(interval):>{RATIO}}" for interval in row.ratios)
    lines = [f"{row.arm:{NAME}}{value_text(row.value, unit):>{VALUE}}{ratios}"]
    if note:
        lines += textwrap.wrap(note, WIDTH, initial_indent="    ", subsequent_indent="    ")
    return lines


def markdown(record):
    lines = [f"- {line}" for line in header(record)]
    over = [f"/ {name}" for name in record["references"]]
    for part in blocks(record):
        lines += ["", f"**{part.title}**", "", f"| arm | value | {' | '.join(over)} | |"]
        lines.append("| --- | ---: |" + " ---: |" * len(over) + " --- |")
        for row in part.rows:
            cells = [row.arm, value_text(row.value, part.unit), *map(ratio_text, row.ratios), notes(row) or ""]
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"
