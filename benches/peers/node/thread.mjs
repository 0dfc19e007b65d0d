// The worker of `worker_threads`. What it does is in the module that it is told.

import { parentPort, workerData } from 'node:worker_threads';

const { echo, who } = await import(workerData.work);

parentPort.on('message', async (message) => {
  parentPort.postMessage(message === 'who' ? await who() : echo(message));
});
