"""One trial: a fresh process that measures one thing of one arm, and what it says."""

import json
import os
import select
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

# Longer than the slowest arm needs by far: past it, it hangs.
PATIENCE = 60.0

# Workers whose memory is looked at: the slope between the two is that of one more.
FEW, MANY = 1, 9

# What is busy right after the last reply (a collector of garbage, a thread that goes to sleep) has ended by then.
SETTLE = 0.3


class Failed(Exception):
    """A trial without a result, and why."""


def timed(command, environment):
    """The p50, the p99 and the number of its samples, in seconds."""
    with Process(command, environment) as process:
        samples = process.line().get("samples_ns")
        process.end()
    if not samples:
        raise Failed("it told no samples")
    return {"p50": statistics.median(samples) / 1e9, "p99": p99(samples) / 1e9, "samples": len(samples)}


def p99(samples):
    """The nearest-rank quantile."""
    return sorted(samples)[-(-99 * len(samples) // 100) - 1]


def memory(command, environment):
    """What one more worker takes, in bytes: the slope of the proportional set size of the arm and all its children.

    The slope of their private pages is kept beside it: no stranger who maps the same files has a part in that.
    """
    few, many = (held(command, environment, workers) for workers in (FEW, MANY))
    size, private = ((most - least) / (MANY - FEW) for least, most in zip(few, many))
    return {"p50": size, "private": private, "samples": 1}


def held(command, environment, workers):
    with Process([*command, "--workers", str(workers)], environment) as process:
        if process.line().get("ready") != workers:
            raise Failed(f"it did not hold {workers} workers")
        time.sleep(SETTLE)
        size = size_of_family(process.pid)
        process.end()
    return size


def size_of_family(pid):
    """The proportional set size and the private pages of a process and all below it. What this process shares with them
    is theirs: left out, the share that they pay would grow with their number."""
    try:
        witness, apart = pss(os.getpid())
        sizes, privates = zip(*map(pss, family(pid)))
        return sum(sizes) + witness - apart, sum(privates)
    except OSError as error:
        raise Failed(f"its memory cannot be read: {error}") from None


def family(pid):
    members = [pid]
    for member in members:
        for thread in os.listdir(f"/proc/{member}/task"):
            members += map(int, Path(f"/proc/{member}/task/{thread}/children").read_text().split())
    return members


def pss(pid):
    """The proportional set size and the private part of it, in bytes: `proc_pid_smaps(5)`."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    size = {name: 1024 * int(fields[name].split()[0]) for name in ("Pss", "Private_Clean", "Private_Dirty")}
    return size["Pss"], size["Private_Clean"] + size["Private_Dirty"]


class Process:
    """An arm at work, in a process group of its own: Ctrl-C is for the runner, which decides about the arm."""

    def __init__(self, command, environment):
        self.words = tempfile.TemporaryFile()
        try:
            self.child = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words,
                start_new_session=True,
            )
        except OSError as error:
            self.words.close()
            raise Failed(f"{command[0]}: {error.strerror}") from None
        self.pid = self.child.pid
        self.until = time.monotonic() + PATIENCE

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()
        self.words.close()

    def line(self):
        """The one line that it says."""
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.child.stdout], [], [], max(0.0, self.until - time.monotonic()))
            if not ready:
                raise Failed(f"no answer within {PATIENCE:.0f} s")
            part = os.read(self.child.stdout.fileno(), 1 << 16)
            if not part:
                raise Failed(self.death())
            text += part
        try:
            return json.loads(text)
        except ValueError:
            raise Failed(f"it said {text[:60]!r}") from None

    def end(self):
        """Lets it end: the end of its standard input is the sign."""
        self.child.stdin.close()
        try:
            code = self.child.wait(max(0.0, self.until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failed("it answered, and did not end") from None
        if code != 0:
            raise Failed(self.death())

    def death(self):
        code = self.child.wait(max(0.1, self.until - time.monotonic()))
        self.words.seek(0)
        words = self.words.read().decode(errors="replace").strip().splitlines()
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{ending}: {words[0]}" if words else ending
