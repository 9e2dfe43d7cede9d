//! What a zygote does once so that its workers need not do it each.
#![expect(unsafe_code, reason = "allocates without freeing")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Chunks up to this size are looked for among those that loading left behind.
const LARGEST_CHUNK_BYTES: usize = 2048;
/// Larger than what is left behind, and small enough to come from the heap.
const PROBE_BYTES: usize = 100 * 1024;
/// What workers are expected to allocate, asked of the kernel in one piece.
const SPARE_BYTES: i32 = 1 << 20;
/// Chunks up to this size, the most that the C library allows, come from the heap and go back to it: a long message in a
/// mapping of its own would cost a page fault for each 4 KiB, every time.
const HEAP_CHUNK_BYTES: i32 = 32 << 20;

/// Finds out how this machine draws random numbers, without drawing any that somebody will use: what a generator in
/// this process would give, every worker would get.
pub(super) fn find_random_source() {
    let _ = getrandom::fill(&mut [0]);
    let _ = StdRng::from_seed([0; 32]).next_u64();
}

/// Uses up the free chunks that loading has left all over the heap. A worker that found one would have to copy the
/// page it lies on; from fresh memory it gets a few pages for everything.
pub(super) fn use_up_free_chunks() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: tuning parameters of the allocator, valid at any time.
        unsafe { libc::mallopt(libc::M_TOP_PAD, SPARE_BYTES) };
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, HEAP_CHUNK_BYTES) };
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * HEAP_CHUNK_BYTES) };
        // SAFETY: allocating is always sound; it is not read.
        let probe = unsafe { libc::malloc(PROBE_BYTES) };
        let fresh = probe as usize;
        // SAFETY: allocated just before, and freed once.
        unsafe { libc::free(probe) };
        for size in (1..=LARGEST_CHUNK_BYTES / 16).rev().map(|units| units * 16) {
            // Bounded by what there can be; fresh memory begins where the probe was.
            for _ in 0..4096 {
                // SAFETY: leaked on purpose, and not read.
                if unsafe { libc::malloc(size) } as usize >= fresh {
                    break;
                }
            }
        }
    }
}
