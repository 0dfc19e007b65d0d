// Greets. Input: a name of at most 100 bytes. Output: `Hello, NAME!`.

import * as host from "./cofferdam";

/** The marker: this is a guest, and of this version. */
export function cofferdam_abi_1(): void {}

/** Does one job: 0 is done, all else a refusal with that code. */
export function handle(): i32 {
  const len = host.inputLen();
  if (len == 0) {
    host.fail("nobody to greet");
    return 2;
  }
  if (len > 100) {
    host.fail("a name has at most 100 bytes");
    return 3;
  }
  host.writeText("Hello, ");
  host.write(host.input());
  host.writeText("!");
  return 0;
}

/** What AssemblyScript calls where it gives up: it tells the host why, and then traps. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  host.fail(
    (message ? message : "aborted") + " at " + (file ? file : "?") + ":" + line.toString() + ":" + column.toString(),
  );
  unreachable();
}
