// One arm under Node: does what it is told and prints one line, as `benches/src/task.rs` says.

import { parseArgs } from 'node:util';

import * as pools from './pools.mjs';
import * as raw from './raw.mjs';

const PEERS = { ...raw.PEERS, ...pools.PEERS };

// Fewer samples have no middle worth the name; they are taken even where the budget is spent.
const LEAST_SAMPLES = 3;

function parse() {
  const number = (name, usual) => [name, { type: 'string', default: String(usual) }];
  const { values } = parseArgs({
    options: {
      peer: { type: 'string' },
      measure: { type: 'string' },
      ...Object.fromEntries([
        number('bytes', 64),
        number('samples', 1000),
        number('budget', 400),
        number('warm-up', 100),
        number('workers', 1),
        number('in-flight', 32),
        number('batch', 500),
      ]),
    },
  });
  for (const name of ['bytes', 'samples', 'budget', 'warm-up', 'workers', 'in-flight', 'batch']) {
    values[name] = Number.parseInt(values[name], 10);
  }
  if (!PEERS[values.peer]) throw new Error(`--peer ${values.peer}: there is ${Object.keys(PEERS).join(', ')}`);
  if (!MEASURES[values.measure]) throw new Error(`--measure ${values.measure}: there is ${Object.keys(MEASURES).join(', ')}`);
  return values;
}

// All bytes in turn, in memory of its own: a slice of Node's shared buffer would be cloned with all of that.
function payload(bytes) {
  return Buffer.from(new ArrayBuffer(bytes)).map((_, place) => place % 256);
}

function check(sent, reply) {
  if (!(reply instanceof Uint8Array) || Buffer.compare(sent, reply) !== 0) {
    throw new Error(`a wrong reply: ${reply?.length} bytes for ${sent.length}, or others`);
  }
}

const milliseconds = (count) => BigInt(count) * 1_000_000n;

const now = () => process.hrtime.bigint();

// `one` has the stopwatch, and gives back what it read.
async function sample(task, one) {
  // The first time a worker may have to start: that is no warm-up of what follows.
  await one();
  const warm = now() + milliseconds(task['warm-up']);
  while (now() < warm) await one();
  const spent = now() + milliseconds(task.budget);
  const samples = [];
  while (samples.length < task.samples && (samples.length < LEAST_SAMPLES || now() < spent)) {
    samples.push(Number(await one()));
  }
  return samples;
}

const MEASURES = {
  // The pool is torn down outside the timed span.
  async start(open, task) {
    const bytes = payload(task.bytes);
    return sample(task, async () => {
      const start = now();
      const pool = await open(1);
      const reply = await pool.echo(bytes);
      const took = now() - start;
      check(bytes, reply);
      await pool.close();
      return took;
    });
  },

  async echo(open, task) {
    const bytes = payload(task.bytes);
    const pool = await open(1);
    const samples = await sample(task, async () => {
      const start = now();
      const reply = await pool.echo(bytes);
      const took = now() - start;
      check(bytes, reply);
      return took;
    });
    await pool.close();
    return samples;
  },

  // As many messages on their way as were told; the replies are kept, and checked after the span.
  async throughput(open, task) {
    const bytes = payload(task.bytes);
    const pool = await open(task.workers);
    const samples = await sample(task, async () => {
      const replies = [];
      let sent = 0;
      const lane = async () => {
        while (sent < task.batch) {
          sent += 1;
          replies.push(await pool.echo(bytes));
        }
      };
      const start = now();
      await Promise.all(Array.from({ length: task['in-flight'] }, lane));
      const took = now() - start;
      if (replies.length !== task.batch) throw new Error(`${replies.length} replies to ${task.batch} messages`);
      for (const reply of replies) check(bytes, reply);
      return took / BigInt(task.batch);
    });
    await pool.close();
    return samples;
  },

  // Every worker has answered before anybody looks at the memory.
  async hold(open, task) {
    const bytes = payload(task.bytes);
    const pool = await open(task.workers);
    const seen = new Set();
    for (let round = 0; seen.size < task.workers; round += 1) {
      if (round > 100) throw new Error(`${seen.size} of ${task.workers} workers answered`);
      const names = await Promise.all(Array.from({ length: task.workers }, () => pool.who()));
      for (const name of names) seen.add(name);
      check(bytes, await pool.echo(bytes));
    }
    process.stdout.write(`${JSON.stringify({ ready: seen.size })}\n`);
    await new Promise((resolve) => process.stdin.on('end', resolve).resume());
    await pool.close();
    return null;
  },
};

try {
  const task = parse();
  const samples = await MEASURES[task.measure](PEERS[task.peer], task);
  if (samples) process.stdout.write(`${JSON.stringify({ samples_ns: samples })}\n`);
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
