//! The program's own code and constants on huge pages.
//!
//! A forked process starts without page-table entries for file mappings, so every worker would fault in each piece of
//! code that it runs, and unmap it page by page when it ends. What lies in anonymous huge pages is there from the
//! start: a handful of entries are copied by the fork. Copying costs a few milliseconds once, so this pays for runs
//! that start many processes and for no others.
#![expect(unsafe_code, reason = "replaces the mapping that the program runs from")]

use std::io;
use std::ptr;

use wasmproc_sandbox::Procfs;

const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Moves as much of the program's code and constants as fills whole huge pages. On failure they stay where they were.
pub(super) fn move_to_huge_pages(procfs: &Procfs) -> io::Result<()> {
    own_mappings(procfs)?.iter().try_for_each(Mapping::move_to_huge_pages)
}

/// A part of the program, consisting of whole huge pages, that is mapped from its file and never written to.
struct Mapping {
    start: usize,
    length: usize,
    protection: libc::c_int,
}

impl Mapping {
    fn move_to_huge_pages(&self) -> io::Result<()> {
        let &Mapping { start, length, protection } = self;
        let (copy, lead) = aligned_memory(length)?;
        // SAFETY: the source is mapped and readable, the target was just mapped with this length, and they don't
        // overlap.
        unsafe { ptr::copy_nonoverlapping(start as *const u8, copy, length) };
        // SAFETY: the copy is ours alone.
        if unsafe { libc::mprotect(copy.cast(), length, protection) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the new mapping has the same bytes with the same protection at the same addresses as the old one, and
        // this process has one thread, so no instruction ever sees anything else.
        let moved = unsafe { libc::mremap(copy.cast(), length, length, flags, start as *mut libc::c_void) };
        if moved == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // What alignment left over on both sides of the copy.
        for (address, length) in [(copy as usize - lead, lead), (copy as usize + length, HUGE_PAGE_BYTES - lead)] {
            // SAFETY: the rest of our own reservation, which nothing points into.
            unsafe { libc::munmap(address as *mut libc::c_void, length) };
        }
        Ok(())
    }

    /// What a line of /proc/self/maps says, and which file it is of.
    fn of_line(line: &str) -> Option<(Mapping, [&str; 2])> {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        let protection = match fields.next()? {
            "r-xp" => libc::PROT_READ | libc::PROT_EXEC,
            "r--p" => libc::PROT_READ,
            _ => return None,
        };
        let (_offset, device, inode) = (fields.next()?, fields.next()?, fields.next()?);
        Some((Mapping { start, length: end - start, protection }, [device, inode]))
    }

    /// The whole huge pages in it.
    fn whole(self) -> Option<Mapping> {
        let start = self.start.next_multiple_of(HUGE_PAGE_BYTES);
        let length = (self.start + self.length).checked_sub(start)? / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        (length > 0).then_some(Mapping { start, length, ..self })
    }
}

/// What is mapped of the file that this function runs from.
fn own_mappings(procfs: &Procfs) -> io::Result<Vec<Mapping>> {
    let here = own_mappings as *const () as usize;
    let maps = procfs.read(c"self/maps")?;
    let all = || maps.lines().filter_map(Mapping::of_line);
    let own = all().find(|(mapping, _)| (mapping.start..mapping.start + mapping.length).contains(&here));
    let Some((_, file)) = own else { return Ok(Vec::new()) };
    Ok(all().filter(|(_, of)| *of == file).filter_map(|(mapping, _)| mapping.whole()).collect())
}

/// Memory that begins at a huge page and asks for huge pages, and how much lies unused before it; the rest of one huge
/// page lies unused behind it.
fn aligned_memory(length: usize) -> io::Result<(*mut u8, usize)> {
    let reserved = length + HUGE_PAGE_BYTES;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping anywhere disturbs nobody.
    let start = unsafe { libc::mmap(ptr::null_mut(), reserved, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let lead = (start as usize).next_multiple_of(HUGE_PAGE_BYTES) - start as usize;
    // SAFETY: the offset is within the mapping, which is longer by one huge page.
    let aligned = unsafe { start.cast::<u8>().add(lead) };
    // SAFETY: advice about memory that is ours.
    match unsafe { libc::madvise(aligned.cast(), length, libc::MADV_HUGEPAGE) } {
        0 => Ok((aligned, lead)),
        _ => Err(io::Error::last_os_error()),
    }
}
