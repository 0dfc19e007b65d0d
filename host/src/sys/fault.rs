//! A segmentation fault on purpose.

/// Writes to memory that is not there, as a bug in native code does.
#[expect(unsafe_code, reason = "the fault is what is wanted")]
pub(crate) fn segfault() -> ! {
    // Not the null pointer, which the compiler may take as a promise that this is never reached.
    let nowhere = std::ptr::without_provenance_mut::<u8>(0x10);
    // SAFETY: none. The page at 0 is never mapped (`vm.mmap_min_addr`), so the kernel answers with
    // SIGSEGV and this process ends here: a deliberate fault in a host that is there to be sacrificed.
    unsafe { nowhere.write_volatile(1) };
    std::process::abort()
}
