"""What the evidence scripts have in common: the program under test, its processes, the last line.

Every script is one command. It prints what it counted, and as its last line `ok: …` (exit 0) or `FAILED: …` (exit 1).
Exit 2: nothing could be checked.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent.parent
ISOLATIONS = ["thread", "process"]


class Failed(Exception):
    """The property does not hold."""


def check(holds, why):
    """Fails with the reason unless the property holds."""
    if not holds:
        raise Failed(why)


def say(text):
    print(text, flush=True)


class Program:
    """A private copy of the program: a build that replaces it does not disturb, and its processes can be told apart
    from everybody else's by the file that they execute."""

    def __init__(self, original, folder):
        self.folder = Path(folder)
        # Another name, too: whoever ends processes by the name `cofferdam` means others.
        self.path = self.folder / "under-test"
        shutil.copy2(original, self.path)
        self.env = {**os.environ, "COFFERDAM_CACHE_DIR": str(self.folder / "cache")}

    def run(self, *arguments, **options):
        return subprocess.run([self.path, *map(str, arguments)], env=self.env, **options)

    def start(self, *arguments, **options):
        return subprocess.Popen([self.path, *map(str, arguments)], env=self.env, **options)

    def processes(self):
        """The process ids of everything that executes this copy."""
        return [pid for pid in all_processes() if executable(pid) == str(self.path)]


def all_processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def executable(pid):
    """The file that a process executes; None if the process is gone, or a zombie."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def host_of(pid):
    """The host whose worker this process is, by the mark in its environment; None if it is no worker."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == b"COFFERDAM_WORKER" and value.isdigit():
            return int(value)
    return None


def children_of(pid):
    """The children of all threads of a process."""
    children = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    except OSError:
        pass
    return children


def workers_of(host):
    """The worker processes of a host that are alive."""
    return [child for child in children_of(host) if host_of(child) == host]


def resident_bytes(pid):
    """Resident set size, now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes(pid):
    """The largest resident set size so far (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise Failed(f"/proc/{pid}/status has no VmHWM")


def mib(count):
    return f"{count / (1 << 20):.1f} MiB"


def lost_patience(*_):
    raise Failed("it took longer than --patience allows: something hangs, or the machine is very slow")


def run_script(description, body, options=()):
    """Parses the options, runs the body with the program and them, and ends the process with the verdict.

    Each option is the name and the keywords of an `add_argument`. The body gives back what holds, in a few words.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, keywords in options:
        parser.add_argument(name, **keywords)
    parser.add_argument(
        "--binary",
        type=Path,
        default=WORKSPACE / "target" / "release" / "cofferdam",
        help="the program to test (default: target/release/cofferdam)",
    )
    parser.add_argument(
        "--patience", metavar="SECONDS", type=int, default=3000, help="then it has failed (default: 3000)"
    )
    args = parser.parse_args()
    if not args.binary.is_file():
        say(f"FAILED: no program at {args.binary}: build it with `cargo build --release`, or name one with --binary")
        sys.exit(2)
    with tempfile.TemporaryDirectory(prefix="evidence-") as folder:
        program = Program(args.binary.resolve(), folder)
        signal.signal(signal.SIGALRM, lost_patience)
        signal.alarm(args.patience)
        try:
            verdict = body(program, args)
        except Failed as failure:
            say(f"FAILED: {failure}")
            code = 1
        else:
            say(f"ok: {verdict}")
            code = 0
        finally:
            signal.alarm(0)
            # Ours by the path that nobody else executes; only a failed check leaves any.
            for pid in program.processes():
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
    sys.exit(code)
