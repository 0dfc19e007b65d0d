// What the workers do, whoever brings the message.

import { setTimeout } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';

export function echo(bytes) {
  return bytes;
}

// Long enough that a pool gives the next one to another worker.
export async function who() {
  await setTimeout(20);
  return `${process.pid}/${threadId}`;
}

// Serialised as JSON, bytes arrive as `{type: 'Buffer', data: […]}`: who wants bytes has to make them again.
export function bytesOf(message) {
  return message instanceof Uint8Array ? message : Buffer.from(message);
}
