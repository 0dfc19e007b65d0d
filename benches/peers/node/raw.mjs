// Node's own modules: messages by turns to the workers, replies in order.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { bytesOf } from './work.mjs';

const file = (name) => new URL(name, import.meta.url);

// One worker: whoever sent first is answered first.
class Line {
  #waiting = [];

  constructor(worker, send) {
    this.worker = worker;
    this.send = send;
    worker.on('message', (message) => this.#waiting.shift().resolve(message));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', (code) => this.#fail(new Error(`a worker ended, exit code ${code}`)));
  }

  #fail(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  ask(message) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.send(message);
    });
  }
}

class Lines {
  #next = 0;

  constructor(lines, end) {
    this.lines = lines;
    this.end = end;
  }

  #line() {
    this.#next = (this.#next + 1) % this.lines.length;
    return this.lines[this.#next];
  }

  async echo(bytes) {
    return bytesOf(await this.#line().ask(bytes));
  }

  who() {
    return this.#line().ask('who');
  }

  async close() {
    await Promise.all(this.lines.map((line) => this.end(line.worker)));
  }
}

const lines = (count, one) => Array.from({ length: count }, one);

const threads = (work) => (count) =>
  new Lines(
    lines(count, () => {
      const worker = new Worker(file('thread.mjs'), { workerData: { work } });
      return new Line(worker, (message) => worker.postMessage(message));
    }),
    (worker) => worker.terminate(),
  );

const processes = (work, serialization) => (count) =>
  new Lines(
    lines(count, () => {
      const child = fork(file('fork.mjs'), [work], { serialization });
      return new Line(child, (message) => child.send(message));
    }),
    async (child) => {
      const exit = once(child, 'exit');
      child.disconnect();
      await exit;
    },
  );

export const PEERS = {
  worker_threads: threads('./work.mjs'),
  'fork-json': processes('./work.mjs', 'json'),
  'fork-advanced': processes('./work.mjs', 'advanced'),
  'worker_threads-wasm': threads('./wasm.mjs'),
  'fork-wasm': processes('./wasm.mjs', 'advanced'),
};
