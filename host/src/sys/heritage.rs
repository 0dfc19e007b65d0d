//! What a forked process finds mapped.
//!
//! A fork copies the page tables of memory that the forker has written to, and leaves those of files
//! alone: the new process faults every page of its code in again, before its first reply. The kernel goes
//! by one mark of each mapping, which is set by the first private copy of one of its pages
//! (`vma_needs_copy` in `mm/memory.c` asks for `anon_vma`). So the fork server makes one such copy in each
//! mapping of code: it writes a byte over itself. Before that it forgets all code that it has mapped, most
//! of which it needed only once, since copying takes time for each page too: what its workers inherit is
//! what a server needs to serve.
//!
//! Measured on a virtual machine with two CPUs (`compare --experiments start`, by turns with a build
//! without it): the first reply of a forked worker of @echo took 3.3 times as long as that of a thread in
//! place of 4.0; all code copied, 4.1.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::ptr;

/// What a process knows of its own memory: opened while it may still open files, used when all code is there.
pub(crate) struct Estate {
    memory: File,
    maps: File,
}

impl Estate {
    pub(crate) fn open() -> io::Result<Self> {
        // Writing goes past the protection of the pages, which are made copies of, as a debugger does it.
        let memory = File::options()
            .read(true)
            .write(true)
            .open("/proc/self/mem")?;
        let maps = File::open("/proc/self/maps")?;
        Ok(Self { memory, maps })
    }

    /// Has the code that this process uses from now on copied to those that it forks. Where the kernel does
    /// not let it (`proc_mem.force_override`), forks are slower and nothing else.
    pub(crate) fn bequeath_code(mut self) -> io::Result<()> {
        let mut maps = String::new();
        self.maps.read_to_string(&mut maps)?;
        for mapping in code(&maps) {
            let start = mapping.start;
            forget(mapping)?;
            let mut byte = [0];
            self.memory.read_exact_at(&mut byte, start)?;
            self.memory.write_all_at(&byte, start)?;
        }
        Ok(())
    }
}

/// The private mappings of code in files, in a table as `proc_pid_maps(5)` has it. Constants are left out:
/// the loader has written to pages among them.
fn code(maps: &str) -> impl Iterator<Item = Range<u64>> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, protection) = (fields.next()?, fields.next()?);
        let inode = fields.nth(2)?;
        let (start, end) = range.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let is_code = protection == "r-xp" && inode != "0";
        is_code.then_some(address(start)?..address(end)?)
    })
}

/// Forgets where the pages of a mapping of code lie, so that forks do not inherit it; whoever uses one of
/// them finds it again.
#[expect(unsafe_code, reason = "the library's wrapper is unsafe too")]
fn forget(mapping: Range<u64>) -> io::Result<()> {
    let start =
        ptr::with_exposed_provenance_mut(usize::try_from(mapping.start).map_err(io::Error::other)?);
    let length = usize::try_from(mapping.end - mapping.start).map_err(io::Error::other)?;
    // SAFETY: the mapping is private and of a file, nobody can write to it, and the loader writes to no
    // code: each page is read from the file again when it is next used, with the same content. So is the
    // one that `bequeath_code` wrote to, if it is called a second time.
    let result = unsafe { rustix::mm::madvise(start, length, rustix::mm::Advice::LinuxDontNeed) };
    Ok(result?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_chosen_and_nothing_else() {
        let maps = "\
55d8 not a line
1000-2000 r--p 00000000 fe:00 17                         /usr/bin/program
2000-9000 r-xp 00001000 fe:00 17                         /usr/bin/program
9000-a000 rw-p 00008000 fe:00 17                         /usr/bin/program
a000-b000 rw-p 00000000 00:00 0                          [heap]
b000-c000 r--s 00000000 00:01 99                         /memfd:shared (deleted)
c000-d000 r-xp 00000000 00:01 98                         /memfd:artifact (deleted)
d000-e000 ---p 00000000 00:00 0
e000-f000 r-xp 00000000 00:00 0                          [vdso]
";
        assert_eq!(
            code(maps).collect::<Vec<_>>(),
            [0x2000..0x9000, 0xc000..0xd000]
        );
    }

    #[test]
    fn code_still_runs_after_it_was_bequeathed() {
        // Refused on some kernels, and then nothing was written.
        let _ = Estate::open().and_then(Estate::bequeath_code);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(code(&maps).count() > 0);
    }
}
