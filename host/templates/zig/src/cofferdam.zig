//! The guest interface of cofferdam, version 1. All ranges are of this guest's memory; the host checks each.

const raw = struct {
    extern "cofferdam" fn input_len() u32;
    extern "cofferdam" fn input_read(dst: [*]u8, offset: u32, len: u32) u32;
    extern "cofferdam" fn output_write(src: [*]const u8, len: u32) void;
    extern "cofferdam" fn fail(src: [*]const u8, len: u32) void;
    extern "cofferdam" fn post(src: [*]const u8, len: u32) void;
    extern "cofferdam" fn recv(dst: [*]u8, cap: u32, timeout_ms: i32) i32;
    extern "cofferdam" fn log(level: i32, src: [*]const u8, len: u32) void;
    extern "cofferdam" fn random(dst: [*]u8, len: u32) void;
    extern "cofferdam" fn clock() i64;
    extern "cofferdam" fn region_len() i64;
    extern "cofferdam" fn region_read(dst: [*]u8, offset: u64, len: u32) void;
    extern "cofferdam" fn region_write(src: [*]const u8, offset: u64, len: u32) void;
    extern "cofferdam" fn region_load(offset: u64) i64;
    extern "cofferdam" fn region_store(offset: u64, value: i64) void;
    extern "cofferdam" fn region_add(offset: u64, value: i64) i64;
    extern "cofferdam" fn region_compare_exchange(offset: u64, expected: i64, new: i64) i64;
};

/// Bytes of this job's input.
pub fn inputLen() u32 {
    return raw.input_len();
}

/// Copies input from `offset` on, and returns the part of `buffer` that holds it: empty from its end on.
pub fn input(offset: u32, buffer: []u8) []u8 {
    return buffer[0..raw.input_read(buffer.ptr, offset, @intCast(buffer.len))];
}

/// Appends to the reply.
pub fn write(bytes: []const u8) void {
    raw.output_write(bytes.ptr, @intCast(bytes.len));
}

/// The reason, UTF-8, that goes with a refusal or a trap. It ends nothing.
pub fn fail(reason: []const u8) void {
    raw.fail(reason.ptr, @intCast(reason.len));
}

/// Sends a message to the host now, before the reply.
pub fn post(message: []const u8) void {
    raw.post(message.ptr, @intCast(message.len));
}

/// Takes the next message of the host's: its length, -1 none in time, -2 none any more. One that is longer than
/// `buffer` stays.
pub fn recv(buffer: []u8, timeout_ms: i32) i32 {
    return raw.recv(buffer.ptr, @intCast(buffer.len), timeout_ms);
}

/// How much a line of the log matters.
pub const Level = enum(i32) { err, warn, info, debug, trace };

/// A line for the host's log.
pub fn log(level: Level, line: []const u8) void {
    raw.log(@intFromEnum(level), line.ptr, @intCast(line.len));
}

/// Random bytes.
pub fn random(buffer: []u8) void {
    raw.random(buffer.ptr, @intCast(buffer.len));
}

/// Nanoseconds since an arbitrary moment.
pub fn clock() i64 {
    return raw.clock();
}

/// Bytes of the region, which is memory that the host shares between its workers. Null: there is none, and nothing else
/// of it may be called. A range outside of it ends the job.
pub fn regionLen() ?u64 {
    const len = raw.region_len();
    return if (len < 0) null else @intCast(len);
}

/// Copies from the region, from `offset` on.
pub fn regionRead(offset: u64, buffer: []u8) void {
    raw.region_read(buffer.ptr, offset, @intCast(buffer.len));
}

/// Copies to the region, from `offset` on.
pub fn regionWrite(offset: u64, bytes: []const u8) void {
    raw.region_write(bytes.ptr, offset, @intCast(bytes.len));
}

/// The eight bytes at `offset`, a multiple of 8, atomically, as what follows.
pub fn regionLoad(offset: u64) i64 {
    return raw.region_load(offset);
}

/// Sets them.
pub fn regionStore(offset: u64, value: i64) void {
    raw.region_store(offset, value);
}

/// Adds to them, and returns what they were before.
pub fn regionAdd(offset: u64, value: i64) i64 {
    return raw.region_add(offset, value);
}

/// Sets them to `new` if they are `expected`, and returns what they were before in either case.
pub fn regionCompareExchange(offset: u64, expected: i64, new: i64) i64 {
    return raw.region_compare_exchange(offset, expected, new);
}
