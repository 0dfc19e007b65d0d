// Pools from npm. Each is loaded only when it is asked for: one that is missing costs its own rows alone.

import { fileURLToPath } from 'node:url';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));

async function piscina(count) {
  const { Piscina } = await import('piscina');
  const pool = new Piscina({ filename: file('work.mjs'), minThreads: count, maxThreads: count });
  return {
    echo: (bytes) => pool.run(bytes, { name: 'echo' }),
    who: () => pool.run(null, { name: 'who' }),
    close: () => pool.destroy(),
  };
}

// Its process workers lose the type of bytes unless they are serialised by structured clone.
const tinypool = (runtime) => async (count) => {
  const { Tinypool } = await import('tinypool');
  const pool = new Tinypool({
    filename: file('work.mjs'),
    runtime,
    serialization: 'advanced',
    minThreads: count,
    maxThreads: count,
  });
  return {
    echo: (bytes) => pool.run(bytes, { name: 'echo' }),
    who: () => pool.run(null, { name: 'who' }),
    close: () => pool.destroy(),
  };
};

const workerpool = (workerType) => async (count) => {
  const { default: module } = await import('workerpool');
  const pool = module.pool(file('workerpool.mjs'), {
    workerType,
    minWorkers: count,
    maxWorkers: count,
    forkOpts: { serialization: 'advanced' },
  });
  return {
    echo: (bytes) => pool.exec('echo', [bytes]),
    who: () => pool.exec('who', []),
    close: () => pool.terminate(),
  };
};

export const PEERS = {
  piscina,
  'tinypool-threads': tinypool('worker_threads'),
  'tinypool-processes': tinypool('child_process'),
  'workerpool-threads': workerpool('thread'),
  'workerpool-processes': workerpool('process'),
};
