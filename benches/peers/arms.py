"""What is measured, and who is measured: a line for each.

A command's first word is a program: `peer` (cofferdam and wasmtime's API, `benches/src/bin/peer.rs`), `node` (the arms in
`node/`), or one of the programs in `rust/`. What follows is told to it as it stands; the runner adds what is measured.
"""

from dataclasses import dataclass

# How a value is shown. A rate is a time for each message all the same, and its ratios are those of times.
SECONDS, RATE, BYTES = "s", "s/message", "B"


@dataclass(frozen=True)
class Measure:
    name: str
    title: str
    unit: str
    words: str


START = Measure("start", "From nothing to the first reply (64 B)", SECONDS, "--measure start --samples 50")
ECHO_64 = Measure("echo-64", "64 B there and back", SECONDS, "--measure echo --samples 5000 --bytes 64")
ECHO_64K = Measure("echo-64k", "64 KiB there and back", SECONDS, "--measure echo --samples 2000 --bytes 65536")
ECHO_1M = Measure("echo-1m", "1 MiB there and back", SECONDS, "--measure echo --samples 500 --bytes 1048576")
THROUGHPUT = Measure(
    "throughput", "64 B, two workers busy: messages a second, ratios of times", RATE,
    "--measure throughput --samples 50 --bytes 64 --workers 2 --in-flight 32 --batch 500",
)
MEMORY = Measure("memory", "PSS of one more idle worker", BYTES, "--measure hold --bytes 64")

ECHOES = (ECHO_64, ECHO_64K, ECHO_1M)
MEASURES = (START, *ECHOES, THROUGHPUT, MEMORY)


@dataclass(frozen=True)
class Arm:
    name: str
    command: str
    measures: tuple = MEASURES


# Whom all others are divided by, in this order: the workers that somebody gets who asks for nothing else.
THREAD = Arm("cofferdam thread", "peer cofferdam --isolation thread")
PROCESS = Arm("cofferdam process", "peer cofferdam --isolation process")
REFERENCES = (THREAD, PROCESS)

ARMS = (
    *REFERENCES,
    # The first once more: what this machine makes of no difference.
    Arm("cofferdam thread, control", THREAD.command),
    Arm("cofferdam thread, reused", f"{THREAD.command} --instance reused"),
    Arm("cofferdam process, reused", f"{PROCESS.command} --instance reused"),
    Arm("cofferdam exec pipe", f"{PROCESS.command} --start exec --link pipe"),
    Arm("cofferdam fork pipe", f"{PROCESS.command} --start fork --link pipe"),
    Arm("cofferdam spare, prepared", f"{PROCESS.command} --start spare --counted prepared", (START,)),
    Arm("cofferdam thread, prepared", f"{THREAD.command} --counted prepared", (START,)),
    Arm("cofferdam process, prepared", f"{PROCESS.command} --counted prepared", (START,)),
    Arm("worker_threads", "node --peer worker_threads"),
    Arm("fork, json", "node --peer fork-json"),
    Arm("fork, advanced", "node --peer fork-advanced"),
    # The same guest under Node's own WebAssembly.
    Arm("worker_threads, @echo", "node --peer worker_threads-wasm"),
    Arm("fork advanced, @echo", "node --peer fork-wasm"),
    Arm("piscina", "node --peer piscina"),
    Arm("tinypool threads", "node --peer tinypool-threads"),
    Arm("tinypool processes", "node --peer tinypool-processes"),
    Arm("workerpool threads", "node --peer workerpool-threads"),
    Arm("workerpool processes", "node --peer workerpool-processes"),
    Arm("wasmtime API, in place", "peer wasmtime --place here", (START, *ECHOES)),
    Arm("wasmtime API, new thread", "peer wasmtime --place new-thread", (START,)),
    Arm("wasmtime CLI, empty module", "wasmtime", (START,)),
    Arm("thread spawn, join", "null thread", (START,)),
    Arm("posix_spawn /bin/true, wait", "null spawn --program /bin/true", (START,)),
    Arm("crossbeam, threads", "null crossbeam", ECHOES),
    Arm("pipes, processes", "null pipe", ECHOES),
    Arm("socket pair, processes", "null socket-pair", ECHOES),
    Arm("ipc-channel, processes", "ipc-channel bytes", ECHOES),
    Arm("iceoryx2 spin, processes", "iceoryx2 spin", ECHOES),
    Arm("iceoryx2 park, processes", "iceoryx2 park", ECHOES),
)
