//! The imports of the interface as safe functions: the one file of this crate that contains `unsafe`.
//!
//! The host checks every range that it is given, but it cannot know which bytes Rust owns. That is settled here: each
//! range comes from a slice or from spare capacity that the caller holds, and no count is believed beyond its length.
//! Natively the same functions talk to the stand-in of [`crate::testing`].
#![expect(unsafe_code, reason = "foreign functions, and buffers that they fill")]

use core::mem::MaybeUninit;

#[cfg(target_family = "wasm")]
mod raw {
    #[link(wasm_import_module = "cofferdam")]
    unsafe extern "C" {
        pub(super) safe fn input_len() -> i32;
        pub(super) fn input_read(dst: *mut MaybeUninit<u8>, offset: u32, len: u32) -> i32;
        pub(super) fn output_write(src: *const u8, len: u32);
        pub(super) fn fail(src: *const u8, len: u32);
        pub(super) fn post(src: *const u8, len: u32);
        pub(super) fn recv(dst: *mut MaybeUninit<u8>, cap: u32, timeout_ms: i32) -> i32;
        pub(super) fn log(level: i32, src: *const u8, len: u32);
        pub(super) fn random(dst: *mut MaybeUninit<u8>, len: u32);
        pub(super) safe fn clock() -> i64;
        pub(super) safe fn region_len() -> i64;
        pub(super) fn region_read(dst: *mut MaybeUninit<u8>, offset: u64, len: u32);
        pub(super) fn region_write(src: *const u8, offset: u64, len: u32);
        pub(super) safe fn region_load(offset: u64) -> i64;
        pub(super) safe fn region_store(offset: u64, value: i64);
        pub(super) safe fn region_add(offset: u64, value: i64) -> i64;
        pub(super) safe fn region_compare_exchange(offset: u64, expected: i64, new: i64) -> i64;
    }
    use core::mem::MaybeUninit;
}

/// The same signatures over the stand-in host. Each requires what its counterpart requires: a range that is valid for
/// reads, or for writes, during the call.
#[cfg(all(not(target_family = "wasm"), feature = "std"))]
mod raw {
    use crate::testing as host;
    use core::mem::MaybeUninit;
    use core::slice;

    unsafe fn source<'a>(src: *const u8, len: u32) -> &'a [u8] {
        // SAFETY: the caller vouches for the range; nothing here keeps the slice longer than the call.
        unsafe { slice::from_raw_parts(src, len as usize) }
    }
    unsafe fn target<'a>(dst: *mut MaybeUninit<u8>, len: u32) -> &'a mut [MaybeUninit<u8>] {
        // SAFETY: as above, and the caller has exclusive access.
        unsafe { slice::from_raw_parts_mut(dst, len as usize) }
    }

    pub(super) fn input_len() -> i32 {
        host::input_len()
    }
    pub(super) unsafe fn input_read(dst: *mut MaybeUninit<u8>, offset: u32, len: u32) -> i32 {
        // SAFETY: required of the caller.
        host::input_read(unsafe { target(dst, len) }, offset)
    }
    pub(super) unsafe fn output_write(src: *const u8, len: u32) {
        // SAFETY: required of the caller.
        host::output_write(unsafe { source(src, len) });
    }
    pub(super) unsafe fn fail(src: *const u8, len: u32) {
        // SAFETY: required of the caller.
        host::fail(unsafe { source(src, len) });
    }
    pub(super) unsafe fn post(src: *const u8, len: u32) {
        // SAFETY: required of the caller.
        host::post(unsafe { source(src, len) });
    }
    pub(super) unsafe fn recv(dst: *mut MaybeUninit<u8>, cap: u32, timeout_ms: i32) -> i32 {
        // SAFETY: required of the caller.
        host::recv(unsafe { target(dst, cap) }, timeout_ms)
    }
    pub(super) unsafe fn log(level: i32, src: *const u8, len: u32) {
        // SAFETY: required of the caller.
        host::log(level, unsafe { source(src, len) });
    }
    pub(super) unsafe fn random(dst: *mut MaybeUninit<u8>, len: u32) {
        // SAFETY: required of the caller.
        host::random(unsafe { target(dst, len) });
    }
    pub(super) fn clock() -> i64 {
        host::clock()
    }
    pub(super) fn region_len() -> i64 {
        host::region_len()
    }
    pub(super) unsafe fn region_read(dst: *mut MaybeUninit<u8>, offset: u64, len: u32) {
        // SAFETY: required of the caller.
        host::region_read(unsafe { target(dst, len) }, offset);
    }
    pub(super) unsafe fn region_write(src: *const u8, offset: u64, len: u32) {
        // SAFETY: required of the caller.
        host::region_write(unsafe { source(src, len) }, offset);
    }
    pub(super) fn region_load(offset: u64) -> i64 {
        host::region_load(offset)
    }
    pub(super) fn region_store(offset: u64, value: i64) {
        host::region_change(offset, |_| value);
    }
    pub(super) fn region_add(offset: u64, value: i64) -> i64 {
        host::region_change(offset, |before| before.wrapping_add(value))
    }
    pub(super) fn region_compare_exchange(offset: u64, expected: i64, new: i64) -> i64 {
        let exchange = |before| if before == expected { new } else { before };
        host::region_change(offset, exchange)
    }
}

/// Natively and without `std` there is no host at all: the crate compiles, and a call says what is missing.
#[cfg(all(not(target_family = "wasm"), not(feature = "std")))]
mod raw {
    use core::mem::MaybeUninit;

    fn no_host() -> ! {
        panic!(
            "outside WebAssembly a guest has a host only with the feature `std` of cofferdam-guest"
        );
    }

    pub(super) fn input_len() -> i32 {
        no_host()
    }
    pub(super) unsafe fn input_read(_: *mut MaybeUninit<u8>, _: u32, _: u32) -> i32 {
        no_host()
    }
    pub(super) unsafe fn output_write(_: *const u8, _: u32) {
        no_host()
    }
    pub(super) unsafe fn fail(_: *const u8, _: u32) {
        no_host()
    }
    pub(super) unsafe fn post(_: *const u8, _: u32) {
        no_host()
    }
    pub(super) unsafe fn recv(_: *mut MaybeUninit<u8>, _: u32, _: i32) -> i32 {
        no_host()
    }
    pub(super) unsafe fn log(_: i32, _: *const u8, _: u32) {
        no_host()
    }
    pub(super) unsafe fn random(_: *mut MaybeUninit<u8>, _: u32) {
        no_host()
    }
    pub(super) fn clock() -> i64 {
        no_host()
    }
    pub(super) fn region_len() -> i64 {
        no_host()
    }
    pub(super) unsafe fn region_read(_: *mut MaybeUninit<u8>, _: u64, _: u32) {
        no_host()
    }
    pub(super) unsafe fn region_write(_: *const u8, _: u64, _: u32) {
        no_host()
    }
    pub(super) fn region_load(_: u64) -> i64 {
        no_host()
    }
    pub(super) fn region_store(_: u64, _: i64) {
        no_host()
    }
    pub(super) fn region_add(_: u64, _: i64) -> i64 {
        no_host()
    }
    pub(super) fn region_compare_exchange(_: u64, _: i64, _: i64) -> i64 {
        no_host()
    }
}

/// A length as the interface counts it. On wasm32 nothing is ever cut; natively a test would need a buffer of 4 GiB.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Bytes of this job's input.
pub(crate) fn input_len() -> usize {
    raw::input_len().cast_unsigned() as usize
}

/// Copies input from `offset` on and returns the part of `buffer` that now holds it; empty at the input's end.
pub(crate) fn input_read(offset: usize, buffer: &mut [MaybeUninit<u8>]) -> &mut [u8] {
    let (dst, len) = (buffer.as_mut_ptr(), len32(buffer.len()));
    // SAFETY: the range is exactly `buffer`, which is borrowed mutably.
    let read = unsafe { raw::input_read(dst, len32(offset), len) };
    let read = (read.cast_unsigned() as usize).min(buffer.len());
    // SAFETY: the host wrote the first `read` bytes, and `read` does not exceed the buffer.
    unsafe { buffer[..read].assume_init_mut() }
}

/// Appends to the reply.
pub(crate) fn output_write(bytes: &[u8]) {
    // SAFETY: the range is exactly `bytes`.
    unsafe { raw::output_write(bytes.as_ptr(), len32(bytes.len())) }
}

/// Sets the reason.
pub(crate) fn fail(reason: &[u8]) {
    // SAFETY: the range is exactly `reason`.
    unsafe { raw::fail(reason.as_ptr(), len32(reason.len())) }
}

/// Sends a message to the host.
pub(crate) fn post(message: &[u8]) {
    // SAFETY: the range is exactly `message`.
    unsafe { raw::post(message.as_ptr(), len32(message.len())) }
}

/// Takes a message if it fits, and returns what the host answered: its length, or a negative code.
fn recv(buffer: &mut [MaybeUninit<u8>], timeout_ms: i32) -> i32 {
    let (dst, cap) = (buffer.as_mut_ptr(), len32(buffer.len()));
    // SAFETY: the range is exactly `buffer`, which is borrowed mutably.
    unsafe { raw::recv(dst, cap, timeout_ms) }
}

/// Writes a line to the host's log.
pub(crate) fn log(level: i32, line: &[u8]) {
    // SAFETY: the range is exactly `line`.
    unsafe { raw::log(level, line.as_ptr(), len32(line.len())) }
}

/// Fills a range with random bytes.
///
/// # Safety
/// The range must be valid for writes. It need not be initialised.
#[cfg_attr(
    not(target_family = "wasm"),
    expect(
        unreachable_pub,
        reason = "public for a macro that expands on wasm alone"
    )
)]
pub unsafe fn fill_random_raw(dst: *mut u8, len: usize) {
    // SAFETY: required of the caller.
    unsafe { raw::random(dst.cast(), len32(len)) }
}

/// Nanoseconds from an arbitrary origin.
pub(crate) fn clock() -> i64 {
    raw::clock()
}

/// Bytes of the region, or [`crate::abi::NO_REGION`].
pub(crate) fn region_len() -> i64 {
    raw::region_len()
}

/// Fills initialised bytes from the region.
pub(crate) fn region_read(offset: u64, buffer: &mut [u8]) {
    let len = len32(buffer.len());
    // SAFETY: the host only writes initialised bytes.
    let dst = unsafe { as_uninit(buffer) }.as_mut_ptr();
    // SAFETY: the range is exactly `buffer`, which is borrowed mutably.
    unsafe { raw::region_read(dst, offset, len) }
}

/// Writes to the region.
pub(crate) fn region_write(offset: u64, bytes: &[u8]) {
    // SAFETY: the range is exactly `bytes`.
    unsafe { raw::region_write(bytes.as_ptr(), offset, len32(bytes.len())) }
}

/// One word of the region.
pub(crate) fn region_load(offset: u64) -> i64 {
    raw::region_load(offset)
}

/// Sets one word of the region.
pub(crate) fn region_store(offset: u64, value: i64) {
    raw::region_store(offset, value);
}

/// Adds to one word of the region.
pub(crate) fn region_add(offset: u64, value: i64) -> i64 {
    raw::region_add(offset, value)
}

/// Sets one word of the region, if it is as expected.
pub(crate) fn region_compare_exchange(offset: u64, expected: i64, new: i64) -> i64 {
    raw::region_compare_exchange(offset, expected, new)
}

/// Bytes that are initialised, as a buffer for the functions above.
///
/// # Safety
/// Only initialised bytes may be written to it.
unsafe fn as_uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the same layout and lifetime; that the bytes stay initialised is required of the caller.
    unsafe { &mut *(core::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}

/// [`input_read`] into initialised bytes.
pub(crate) fn input_read_over(offset: usize, buffer: &mut [u8]) -> &mut [u8] {
    // SAFETY: the host only writes initialised bytes.
    input_read(offset, unsafe { as_uninit(buffer) })
}

/// [`recv`] into initialised bytes.
pub(crate) fn recv_over(buffer: &mut [u8], timeout_ms: i32) -> i32 {
    // SAFETY: the host only writes initialised bytes.
    recv(unsafe { as_uninit(buffer) }, timeout_ms)
}

/// Fills initialised bytes with random ones.
pub(crate) fn random(buffer: &mut [u8]) {
    // SAFETY: the range is exactly `buffer`, which is borrowed mutably, and the host only writes initialised bytes.
    unsafe { fill_random_raw(buffer.as_mut_ptr(), buffer.len()) }
}

/// Counts the first `len` bytes of a vector's capacity as its contents.
///
/// # Safety
/// They must be initialised, and within the capacity.
#[cfg(feature = "alloc")]
unsafe fn filled(mut bytes: alloc::vec::Vec<u8>, len: usize) -> alloc::vec::Vec<u8> {
    // SAFETY: required of the caller.
    unsafe { bytes.set_len(len) };
    bytes
}

/// The whole input: one allocation, one copy.
#[cfg(feature = "alloc")]
pub(crate) fn input() -> alloc::vec::Vec<u8> {
    let mut bytes = alloc::vec::Vec::new();
    bytes.reserve_exact(input_len());
    let read = input_read(0, bytes.spare_capacity_mut()).len();
    // SAFETY: `input_read` returned that many initialised bytes of the spare capacity.
    unsafe { filled(bytes, read) }
}

/// The next message, in a buffer that has room for `cap` bytes at first, or the negative code.
#[cfg(feature = "alloc")]
pub(crate) fn recv_vec(cap: usize, timeout_ms: i32) -> Result<alloc::vec::Vec<u8>, i32> {
    let mut bytes = alloc::vec::Vec::with_capacity(cap);
    loop {
        let answer = recv(bytes.spare_capacity_mut(), timeout_ms);
        let len = usize::try_from(answer).map_err(|_| answer)?;
        if len <= bytes.capacity() {
            // SAFETY: a message that fits was written to the front of the spare capacity.
            return Ok(unsafe { filled(bytes, len) });
        }
        bytes.reserve_exact(len);
    }
}
