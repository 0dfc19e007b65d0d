// The guest interface of cofferdam, version 1. All ranges are of this guest's memory; the host checks each.

@external("cofferdam", "input_len")
declare function input_len(): u32;
@external("cofferdam", "input_read")
declare function input_read(dst: usize, offset: u32, len: u32): u32;
@external("cofferdam", "output_write")
declare function output_write(src: usize, len: u32): void;
@external("cofferdam", "fail")
declare function raw_fail(src: usize, len: u32): void;
@external("cofferdam", "post")
declare function raw_post(src: usize, len: u32): void;
@external("cofferdam", "log")
declare function raw_log(level: i32, src: usize, len: u32): void;
@external("cofferdam", "random")
declare function raw_random(dst: usize, len: u32): void;

@external("cofferdam", "recv")
declare function raw_recv(dst: usize, cap: u32, timeout_ms: i32): i32;
@external("cofferdam", "region_read")
declare function raw_region_read(dst: usize, offset: i64, len: u32): void;
@external("cofferdam", "region_write")
declare function raw_region_write(src: usize, offset: i64, len: u32): void;

/** Nanoseconds since an arbitrary moment. */
@external("cofferdam", "clock")
export declare function clock(): i64;

/** Bytes of the region, memory that the host shares between its workers. -1: there is none, and nothing else of it may be called. */
@external("cofferdam", "region_len")
export declare function region_len(): i64;
/** The eight bytes of the region at a multiple of 8, atomically, as what follows. */
@external("cofferdam", "region_load")
export declare function region_load(offset: i64): i64;
/** Sets them. */
@external("cofferdam", "region_store")
export declare function region_store(offset: i64, value: i64): void;
/** Adds to them, and returns what they were before. */
@external("cofferdam", "region_add")
export declare function region_add(offset: i64, value: i64): i64;
/** Sets them to `value` if they are `expected`, and returns what they were before in either case. */
@external("cofferdam", "region_compare_exchange")
export declare function region_compare_exchange(offset: i64, expected: i64, value: i64): i64;

/** Bytes of this job's input. */
export function inputLen(): u32 {
  return input_len();
}

/** This job's whole input. */
export function input(): Uint8Array {
  const bytes = new Uint8Array(<i32>input_len());
  input_read(bytes.dataStart, 0, bytes.length);
  return bytes;
}

/** Appends to the reply. */
export function write(bytes: Uint8Array): void {
  output_write(bytes.dataStart, bytes.length);
}

/** Appends a text to the reply, in UTF-8. */
export function writeText(text: string): void {
  const bytes = String.UTF8.encode(text);
  output_write(changetype<usize>(bytes), bytes.byteLength);
}

/** The reason that goes with a refusal or a trap. It ends nothing. */
export function fail(reason: string): void {
  const bytes = String.UTF8.encode(reason);
  raw_fail(changetype<usize>(bytes), bytes.byteLength);
}

/** Sends a message to the host now, before the reply. */
export function post(message: Uint8Array): void {
  raw_post(message.dataStart, message.length);
}

/** A line for the host's log: 0 error, 1 warn, 2 info, 3 debug, 4 trace. */
export function log(level: i32, line: string): void {
  const bytes = String.UTF8.encode(line);
  raw_log(level, changetype<usize>(bytes), bytes.byteLength);
}

/** Random bytes. */
export function random(bytes: Uint8Array): void {
  raw_random(bytes.dataStart, bytes.length);
}

/** Takes the host's next message: its length, -1 none in time, -2 none any more. One that is longer than `buffer` stays. */
export function recv(buffer: Uint8Array, timeoutMs: i32): i32 {
  return raw_recv(buffer.dataStart, buffer.length, timeoutMs);
}

/** Copies from the region, from `offset` on. A range outside of it ends the job. */
export function regionRead(offset: i64, buffer: Uint8Array): void {
  raw_region_read(buffer.dataStart, offset, buffer.length);
}

/** Copies to the region, from `offset` on. A range outside of it ends the job. */
export function regionWrite(offset: i64, bytes: Uint8Array): void {
  raw_region_write(bytes.dataStart, offset, bytes.length);
}
