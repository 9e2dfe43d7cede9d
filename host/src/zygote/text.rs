//! The program's own code and constants on huge pages.
//!
//! A forked process starts without page-table entries for file mappings, so every worker would fault in each piece of
//! code that it runs, and unmap it page by page when it ends. What lies in anonymous huge pages is there from the
//! start: a handful of entries are copied by the fork. Copying costs a few milliseconds once, so this pays for runs
//! that start many processes and for no others.
//!
//! The command is linked so that each of its segments begins at a huge page and has the rest of its last one for itself
//! (`build.rs`). Of a program that is not, what fills whole huge pages is moved.
#![expect(unsafe_code, reason = "replaces the mapping that the program runs from")]

use std::io;
use std::ops::Range;
use std::ptr;

use wasmproc_sandbox::Procfs;

const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Moves as much of the program's code and constants as huge pages can hold. On failure they stay where they were.
pub(super) fn move_to_huge_pages(procfs: &Procfs) -> io::Result<()> {
    own_mappings(procfs)?.iter().try_for_each(Mapping::move_to_huge_pages)
}

/// A part of the program that is mapped from its file and never written to.
struct Mapping {
    mapped: Range<usize>,
    /// The whole huge pages that take its place. There is nothing behind its end.
    huge: Range<usize>,
    protection: libc::c_int,
}

impl Mapping {
    fn move_to_huge_pages(&self) -> io::Result<()> {
        let reserved = Reserved::new(self.huge.len())?;
        // What is free behind the mapping may have been taken for that.
        let moved =
            if reserved.overlaps(&self.huge) { Err(io::ErrorKind::OutOfMemory.into()) } else { self.fill(&reserved) };
        reserved.give_back(moved.is_ok());
        moved
    }

    /// Makes a copy in reserved memory and moves it to the place of what it is a copy of.
    fn fill(&self, reserved: &Reserved) -> io::Result<()> {
        let Mapping { mapped, huge, protection } = self;
        let (start, length, copy) = (huge.start, huge.len(), reserved.aligned);
        // SAFETY: advice about memory that is ours.
        if unsafe { libc::madvise(copy.cast(), length, libc::MADV_HUGEPAGE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let filled = mapped.end.min(huge.end) - start;
        // SAFETY: the source is mapped and readable, the target was just mapped with no smaller length, and they don't
        // overlap.
        unsafe { ptr::copy_nonoverlapping(start as *const u8, copy, filled) };
        // SAFETY: the copy is ours alone.
        if unsafe { libc::mprotect(copy.cast(), length, *protection) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: the new mapping has the same bytes with the same protection at the same addresses as the old one, and
        // zeros where nothing was. This process has one thread, so no instruction ever sees anything else.
        let moved = unsafe { libc::mremap(copy.cast(), length, length, flags, start as *mut libc::c_void) };
        if moved == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// What a line of /proc/self/maps says that is followed by a mapping at `next`, and which file it is of. `None` for one
    /// that can't be moved.
    fn of_line(line: &str, next: usize) -> Option<(Mapping, [&str; 2])> {
        let mapped = range(line)?;
        let mut fields = line.split_ascii_whitespace().skip(1);
        let protection = match fields.next()? {
            "r-xp" => libc::PROT_READ | libc::PROT_EXEC,
            "r--p" => libc::PROT_READ,
            _ => return None,
        };
        let (_offset, device, inode) = (fields.next()?, fields.next()?, fields.next()?);
        let start = mapped.start.next_multiple_of(HUGE_PAGE_BYTES);
        let with_rest = mapped.end.next_multiple_of(HUGE_PAGE_BYTES);
        let end = if with_rest <= next { with_rest } else { mapped.end / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES };
        (start < end).then_some((Mapping { mapped, huge: start..end, protection }, [device, inode]))
    }
}

/// What is mapped of the file that this function runs from.
fn own_mappings(procfs: &Procfs) -> io::Result<Vec<Mapping>> {
    let here = own_mappings as *const () as usize;
    let maps = procfs.read(c"self/maps")?;
    let next = maps.lines().skip(1).filter_map(range).map(|next| next.start).chain([usize::MAX]);
    let mut all: Vec<_> = maps.lines().zip(next).filter_map(|(line, next)| Mapping::of_line(line, next)).collect();
    let own = all.iter().find(|(mapping, _)| mapping.mapped.contains(&here)).map(|(_, file)| *file);
    all.retain(|(_, file)| Some(*file) == own);
    Ok(all.into_iter().map(|(mapping, _)| mapping).collect())
}

/// The addresses that a line of /proc/self/maps is about.
fn range(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

/// New memory with whole huge pages in it.
struct Reserved {
    all: Range<usize>,
    aligned: *mut u8,
    length: usize,
}

impl Reserved {
    fn new(length: usize) -> io::Result<Reserved> {
        // Aligned or not, one huge page more has them in it.
        let reserved = length + HUGE_PAGE_BYTES;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping anywhere disturbs nobody.
        let start = unsafe { libc::mmap(ptr::null_mut(), reserved, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let all = start as usize..start as usize + reserved;
        let lead = all.start.next_multiple_of(HUGE_PAGE_BYTES) - all.start;
        Ok(Reserved { all, aligned: start.cast::<u8>().wrapping_add(lead), length })
    }

    fn overlaps(&self, other: &Range<usize>) -> bool {
        self.all.start < other.end && other.start < self.all.end
    }

    /// Unmaps what was not moved away: what lies before and behind, or all of it.
    fn give_back(&self, moved: bool) {
        let aligned = self.aligned as usize;
        let middle = if moved { aligned..aligned + self.length } else { self.all.start..self.all.start };
        for (start, end) in [(self.all.start, middle.start), (middle.end, self.all.end)] {
            if start < end {
                // SAFETY: our own reservation, which nothing points into.
                unsafe { libc::munmap(start as *mut libc::c_void, end - start) };
            }
        }
    }
}
