// Greets. Input: a name in UTF-8, of at most 100 bytes. Output: `Hello, NAME!`.

import { bytes, text } from "./text.js";

/** Bytes of a name. */
const LONGEST = 100;

/** Does one job: what it returns is the output; a code and a reason that it throws are a refusal. */
export function handle(input) {
  if (input.length === 0) {
    throw { code: 2, reason: "nobody to greet" };
  }
  if (input.length > LONGEST) {
    throw { code: 3, reason: "a name has at most 100 bytes" };
  }
  return bytes(`Hello, ${text(input)}!`);
}
