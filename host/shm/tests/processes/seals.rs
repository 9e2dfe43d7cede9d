//! The size of shared memory.

use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate};
use rustix::io::Errno;
use wasmproc_shm::{Layout, Mapping, Memory, create};

#[test]
fn who_has_the_descriptor_can_neither_shrink_nor_grow_the_memory() {
    let layout = Layout::Queue { capacity_bytes: 8192, max_items: 1, seats: 1 };
    let memory = create(c"object", layout.bytes()).unwrap();
    let size = rustix::fs::fstat(&memory).unwrap().st_size as u64;
    assert!(size >= layout.bytes() as u64);
    for other in [0, size - 4096, size + 4096] {
        assert_eq!(ftruncate(&memory, other), Err(Errno::PERM));
    }
    assert_eq!(fallocate(&memory, FallocateFlags::empty(), size, 4096), Err(Errno::PERM));
    assert_eq!(fcntl_add_seals(&memory, SealFlags::WRITE), Err(Errno::PERM));
    // The pages are there: no write to them waits for memory.
    assert!(rustix::fs::fstat(&memory).unwrap().st_blocks as u64 * 512 >= size);
    assert_eq!(ftruncate(&memory, size), Ok(()));
}

#[test]
fn memory_that_is_too_small_is_not_mapped() {
    let memory = create(c"object", 4096).unwrap();
    let layout = Layout::Queue { capacity_bytes: 8192, max_items: 1, seats: 1 };
    assert!(Mapping::new(&memory, layout, ()).is_err());
    assert!(Mapping::of(&memory, 0, ()).is_err());
    let mapping = Mapping::of(&memory, 4096, ()).unwrap();
    mapping.write(4088, &[1; 8]);
}
