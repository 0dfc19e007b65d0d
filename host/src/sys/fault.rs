//! Faults of native code, on purpose.

use std::alloc::{Layout, handle_alloc_error};
use std::hint::black_box;

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

/// Calls itself until the stack is used up, as a recursion in native code does.
pub(crate) fn overflow() -> ! {
    #[expect(unconditional_recursion, reason = "the fault is what is wanted")]
    fn deeper(level: u64) -> u64 {
        let room = black_box([level; 64]);
        deeper(black_box(level + 1)) + room[usize::from(level.is_multiple_of(2))]
    }
    black_box(deeper(0));
    std::process::abort()
}

/// Ends the process at once, as a library does that takes its own end for that of the program.
pub(crate) fn exit(code: i32) -> ! {
    super::fork::leave(code)
}

/// Panics, and once more while it unwinds: the program ends.
pub(crate) fn double_panic() -> ! {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            panic!("a drill: the second panic");
        }
    }
    let _again = Again;
    panic!("a drill: the first panic");
}

/// Does what Rust does where the allocator has no more memory.
pub(crate) fn allocate() -> ! {
    handle_alloc_error(Layout::new::<[u64; 1 << 20]>())
}
