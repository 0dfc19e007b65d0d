// The worker of `child_process.fork`. What it does is in the module that it is told.

import { bytesOf } from './work.mjs';

const { echo, who } = await import(process.argv[2]);

process.on('message', async (message) => {
  process.send(message === 'who' ? await who() : echo(bytesOf(message)));
});
