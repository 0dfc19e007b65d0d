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
