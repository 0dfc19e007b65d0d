// Node's own workers, by order: `start KIND N` or `echo KIND BYTES N` on a line, where KIND is `thread` or `fork`. The
// answer is a line with the N times in nanoseconds. The same file is the worker, which gives back what it gets.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';

const file = fileURLToPath(import.meta.url);
const now = () => process.hrtime.bigint();

const KINDS = {
  thread: {
    make: () => new Worker(file),
    send: (worker, bytes) => worker.postMessage(bytes),
    end: (worker) => worker.terminate(),
  },
  fork: {
    make: () => fork(file, [], { serialization: 'advanced' }),
    send: (child, bytes) => child.send(bytes),
    async end(child) {
      const exit = once(child, 'exit');
      child.disconnect();
      await exit;
    },
  },
};

// Memory of its own: a slice of Node's shared buffer would be cloned with all of that.
function payload(bytes) {
  return new Uint8Array(new ArrayBuffer(Number(bytes))).map((_, place) => place % 256);
}

function check(sent, reply) {
  if (!(reply instanceof Uint8Array) || Buffer.compare(sent, reply) !== 0) throw new Error('a wrong reply');
}

async function echo(kind, worker, bytes) {
  const reply = once(worker, 'message');
  kind.send(worker, bytes);
  const [message] = await reply;
  return message;
}

// Workers that echoes go to live as long as this process, and sleep meanwhile.
const workers = new Map();

const ORDERS = {
  async start(name, count) {
    const kind = KINDS[name];
    const bytes = payload(64);
    const times = [];
    for (let n = 0; n < count; n += 1) {
      const start = now();
      const worker = kind.make();
      const reply = await echo(kind, worker, bytes);
      times.push(now() - start);
      check(bytes, reply);
      await kind.end(worker);
    }
    return times;
  },

  async echo(name, length, count) {
    const kind = KINDS[name];
    const bytes = payload(length);
    if (!workers.has(name)) workers.set(name, kind.make());
    const times = [];
    for (let n = 0; n < count; n += 1) {
      const start = now();
      const reply = await echo(kind, workers.get(name), bytes);
      times.push(now() - start);
      check(bytes, reply);
    }
    return times;
  },
};

if (!isMainThread) {
  parentPort.on('message', (bytes) => parentPort.postMessage(bytes));
} else if (process.send) {
  process.on('message', (bytes) => process.send(bytes));
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const [order, ...words] = line.split(' ');
    const times = await ORDERS[order](...words);
    process.stdout.write(`${times.join(' ')}\n`);
  }
  for (const [name, worker] of workers) await KINDS[name].end(worker);
}
