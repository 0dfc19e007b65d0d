"""Gets what the arms need, by name and version, into `target/peers/`. What cannot be had is told, and nothing more."""

import filecmp
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKSPACE = HERE.parent.parent
TARGET = WORKSPACE / "target" / "peers"
NODE = TARGET / "node"
GUEST = WORKSPACE / "guest" / "prebuilt" / "echo.wasm"
LEAST_NODE = 20

# In npm's lock file, and in that of `rust/`.
PACKAGES = ("piscina", "tinypool", "workerpool")
CRATES = ("crossbeam-channel", "iceoryx2", "ipc-channel")

# What the command line of wasmtime is given: it knows nothing of cofferdam's interface, so no guest of ours.
EMPTY_MODULE = '(module (memory (export "memory") 1) (func (export "_start")))\n'


class Missing(Exception):
    """A peer that cannot be had here, and why."""


def say(text):
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def run(*command, cwd=WORKSPACE):
    """Runs an installer; its last words are the reason where it fails."""
    words = [str(word) for word in command]
    say(f"$ {' '.join(words)}")
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise Missing(f"{words[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise Missing(f"`{' '.join(words)}` failed: {reason(done.stderr)}")
    return done.stdout


def reason(stderr):
    """What an installer says went wrong: its first line that calls itself an error, else its last."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "npm error"))]
    return (errors or lines[-1:] or ["it does not say why"])[0]


def cofferdam():
    """Builds the library's own arms, and the program that describes the machine. Nothing goes without."""
    run("cargo", "build", "--release", "-p", "cofferdam", "-p", "cofferdam-benches", "--bin", "cofferdam", "--bin", "peer")
    return [WORKSPACE / "target" / "release" / "peer"]


def doctor():
    return json.loads(run(WORKSPACE / "target" / "release" / "cofferdam", "doctor", "--format", "json"))


def node():
    version = run("node", "--version").strip()
    if int(version.lstrip("v").split(".")[0]) < LEAST_NODE:
        raise Missing(f"Node {version} is here, and {LEAST_NODE} is the least")
    NODE.mkdir(parents=True, exist_ok=True)
    for script in HERE.glob("node/*.mjs"):
        shutil.copy2(script, NODE)
    shutil.copy2(GUEST, NODE)
    return ["node", NODE / "arm.mjs"]


def packages():
    """The packages of the lock file beside the arms; nothing is done where they are there already."""
    lock, installed = HERE / "node" / "package-lock.json", NODE / "package-lock.json"
    complete = NODE / "node_modules" / ".package-lock.json"
    if complete.exists() and installed.exists() and filecmp.cmp(lock, installed, shallow=False):
        return
    shutil.copy2(HERE / "node" / "package.json", NODE)
    shutil.copy2(lock, NODE)
    run("npm", "ci", "--no-audit", "--no-fund", cwd=NODE)


def rust(name, *features):
    """A program of the package `rust/`, which is no member of the workspace."""
    target = TARGET / "rust"
    run(
        "cargo", "build", "--release", "--locked", "--manifest-path", HERE / "rust" / "Cargo.toml",
        "--target-dir", target, "--bin", name, *features,
    )
    return [target / "release" / name]


def wasmtime():
    """The command line, where somebody has it: to build it takes longer than to measure everything."""
    program = shutil.which("wasmtime")
    if program is None:
        raise Missing("there is no `wasmtime` on the PATH: `cargo install --locked wasmtime-cli` brings it")
    text, compiled = TARGET / "empty.wat", TARGET / "empty.cwasm"
    text.write_text(EMPTY_MODULE)
    run(program, "compile", "-o", compiled, text)
    arguments = ["run", "--allow-precompiled", str(compiled)]
    return [*rust("null"), "spawn", "--program", program, *(f"--argument={word}" for word in arguments)]


class Installer:
    """Installs each thing once, when the first arm asks for it."""

    def __init__(self):
        self.known = {}

    def command(self, arm):
        """The words that run an arm. Raises `Missing`."""
        program, *rest = arm.command.split()
        found = self.once(program, lambda: self.install(program))
        if program == "node" and rest[-1].split("-")[0] in PACKAGES:
            self.once("npm", packages)
        return [str(word) for word in [*found, *rest]]

    def once(self, name, install):
        if name not in self.known:
            try:
                self.known[name] = install()
            except Missing as missing:
                self.known[name] = missing
        if isinstance(self.known[name], Missing):
            raise self.known[name]
        return self.known[name]

    @staticmethod
    def install(program):
        TARGET.mkdir(parents=True, exist_ok=True)
        match program:
            case "peer":
                return cofferdam()
            case "node":
                return node()
            case "wasmtime":
                return wasmtime()
            case "null":
                return rust(program)
            case _:
                return rust(program, "--features", program)


def versions():
    """What the lock files pin, and Node's own version where there is one."""
    npm = json.loads((HERE / "node" / "package-lock.json").read_text())["packages"]
    crates = tomllib.loads((HERE / "rust" / "Cargo.lock").read_text())["package"]
    found = {name: npm[f"node_modules/{name}"]["version"] for name in PACKAGES}
    found |= {crate["name"]: crate["version"] for crate in crates if crate["name"] in CRATES}
    try:
        return {"node": run("node", "--version").strip().lstrip("v"), **found}
    except Missing:
        return found


def commit():
    """The commit that is measured, with a mark where the files are not those of the commit."""
    try:
        return run("git", "describe", "--always", "--abbrev=12", "--dirty").strip()
    except Missing:
        return "unknown"


def environment():
    """What an arm finds: no settings of the user's, since some (certificates for Node) are read anew by every process."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", "COFFERDAM_CACHE_DIR": str(TARGET / "cache")}
