// What the workers do where they run cofferdam's own guest: the same module, under Node's WebAssembly.
//
// A fresh instance for each message, as cofferdam's workers have it. The host functions are those that the
// guest imports, without the limits that a host for strangers' guests needs.

import { readFileSync } from 'node:fs';

export { who } from './work.mjs';

const module = new WebAssembly.Module(readFileSync(new URL('echo.wasm', import.meta.url)));

export function echo(bytes) {
  const parts = [];
  let memory;
  const range = (start, length) => new Uint8Array(memory.buffer, start >>> 0, length >>> 0);
  const cofferdam = {
    input_read(to, offset, length) {
      const part = bytes.subarray(offset >>> 0, (offset >>> 0) + (length >>> 0));
      range(to, part.length).set(part);
      return part.length;
    },
    output_write(from, length) {
      parts.push(range(from, length).slice());
    },
  };
  const { exports } = new WebAssembly.Instance(module, { cofferdam });
  ({ memory } = exports);
  const code = exports.handle();
  if (code !== 0) throw new Error(`the guest refused with code ${code}`);
  return parts.length === 1 ? parts[0] : Buffer.concat(parts);
}
