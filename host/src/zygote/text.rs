//! The program's own code on huge pages.
//!
//! A forked process starts without page-table entries for file mappings, so every worker would fault in each piece of
//! code that it runs, and unmap it page by page when it ends. Code in anonymous huge pages is there from the start: a
//! handful of entries are copied by the fork. Copying the code costs a few milliseconds once, so this pays for runs
//! that start many processes and for no others.
#![expect(unsafe_code, reason = "replaces the mapping that the program runs from")]

use std::fs;
use std::io;
use std::ptr;

const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Where the machine says whether there are huge pages to be had. On small pages the copy would cost more than it saves.
const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Moves as much of the program's code as fills whole huge pages. On failure the code stays where it was.
pub(super) fn move_to_huge_pages() -> io::Result<()> {
    let never = fs::read_to_string(SETTING).is_ok_and(|setting| setting.contains("[never]"));
    let Some((start, length)) = own_code()?.filter(|_| !never) else { return Ok(()) };
    let (copy, lead) = aligned_memory(length)?;
    // SAFETY: the source is mapped and readable, the target was just mapped with this length, and they don't overlap.
    unsafe { ptr::copy_nonoverlapping(start as *const u8, copy, length) };
    let protection = libc::PROT_READ | libc::PROT_EXEC;
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

/// The part of the mapping that this function runs from that consists of whole huge pages.
fn own_code() -> io::Result<Option<(usize, usize)>> {
    let here = own_code as *const () as usize;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let range = maps.lines().find_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (start..end).contains(&here).then_some((start, end))
    });
    Ok(range.and_then(|(start, end)| {
        let start = start.next_multiple_of(HUGE_PAGE_BYTES);
        let length = end.checked_sub(start)? / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
        (length > 0).then_some((start, length))
    }))
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
