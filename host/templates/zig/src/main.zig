//! Greets. Input: a name of at most 100 bytes. Output: `Hello, NAME!`.

const std = @import("std");
const host = @import("cofferdam.zig");

/// The marker: this is a guest, and of this version.
export fn cofferdam_abi_1() void {}

/// Does one job: 0 is done, all else a refusal with that code.
export fn handle() i32 {
    var buffer: [100]u8 = undefined;
    if (host.inputLen() == 0) {
        host.fail("nobody to greet");
        return 2;
    }
    if (host.inputLen() > buffer.len) {
        host.fail("a name has at most 100 bytes");
        return 3;
    }
    host.write("Hello, ");
    host.write(host.input(0, &buffer));
    host.write("!");
    return 0;
}

/// A panic tells the host why, and then traps.
pub const panic = std.debug.FullPanic(panicked);

fn panicked(message: []const u8, _: ?usize) noreturn {
    host.fail(message);
    @trap();
}
