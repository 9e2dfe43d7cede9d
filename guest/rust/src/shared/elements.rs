//! The handle behind shared arrays and shared values.

use std::marker::PhantomData;

use crate::bindings::wasmproc::ipc::{shared, types};
use crate::error::Error;
use crate::handle::{Handle, Resource};
use crate::shared::element::sealed::Bits;

/// The most that travels in one call: a large array is copied in pieces, which nobody can tell, since its elements are of
/// different moments anyway.
const MAX_PIECE_BYTES: usize = 8 << 20;

/// A handle to an array, with its plain number for the quick calls.
pub(crate) struct Elements<T> {
    resource: shared::SharedArray,
    plain: u32,
    len: u32,
    elements: PhantomData<fn(T) -> T>,
}

impl<T: Bits> Elements<T> {
    fn new(resource: shared::SharedArray) -> Self {
        let (plain, len) = (resource.plain_handle(), resource.len());
        Self { resource, plain, len, elements: PhantomData }
    }

    pub(crate) fn create(len: usize) -> Result<Handle<Self>, Error> {
        let len = u32::try_from(len)
            .map_err(|_| Error::invalid(format!("a shared array of {len} elements is larger than 1 GiB")))?;
        Ok(Handle::new(Self::new(shared::SharedArray::create(T::WIDTH, len)?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The index as the host takes it, which would end this process without saying why.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    #[inline]
    #[track_caller]
    pub(crate) fn checked(&self, index: usize) -> u32 {
        assert!(index < self.len(), "index {index} is out of bounds of a shared array of {} elements", self.len);
        // It is smaller than a `u32`.
        index as u32
    }

    #[inline]
    pub(crate) fn load(&self, index: u32) -> T {
        T::from_bits(shared::load(self.plain, index))
    }

    #[inline]
    pub(crate) fn swap(&self, index: u32, value: T) -> T {
        T::from_bits(shared::swap(self.plain, index, value.to_bits()))
    }

    #[inline]
    pub(crate) fn fetch_add(&self, index: u32, value: T) -> T {
        T::from_bits(shared::add(self.plain, index, value.to_bits()))
    }

    #[inline]
    pub(crate) fn compare_exchange(&self, index: u32, current: T, new: T) -> Result<T, T> {
        let expected = current.to_bits();
        let seen = self.exchange(index, expected, new);
        if seen == expected { Ok(T::from_bits(seen)) } else { Err(T::from_bits(seen)) }
    }

    /// Applies `change` to the element in one atomic step. Returns what was there.
    pub(crate) fn fetch_update(&self, index: u32, mut change: impl FnMut(T) -> T) -> T {
        let mut seen = self.load(index).to_bits();
        // No bound: each time that it fails, another process has succeeded.
        loop {
            let found = self.exchange(index, seen, change(T::from_bits(seen)));
            if found == seen {
                return T::from_bits(seen);
            }
            seen = found;
        }
    }

    /// In bits, because a NaN isn't equal to itself. What is found has no bits above those of a `T`.
    #[inline]
    fn exchange(&self, index: u32, current: u64, new: T) -> u64 {
        T::from_bits(shared::compare_exchange(self.plain, index, current, new.to_bits())).to_bits()
    }

    pub(crate) fn read(&self, start: usize, elements: &mut [T]) {
        let mut at = start;
        for piece in elements.chunks_mut(MAX_PIECE_BYTES / size_of::<T>()) {
            let bytes = self.resource.read(at as u32, piece.len() as u32).expect("the range was checked");
            T::read(&bytes, piece);
            at += piece.len();
        }
    }

    pub(crate) fn write(&self, start: usize, elements: &[T]) {
        let mut bytes = Vec::new();
        let mut at = start;
        for piece in elements.chunks(MAX_PIECE_BYTES / size_of::<T>()) {
            bytes.clear();
            bytes.reserve(size_of_val(piece));
            T::append(piece, &mut bytes);
            self.resource.write(at as u32, &bytes).expect("the range was checked");
            at += piece.len();
        }
    }
}

impl<T: Bits> Resource for Elements<T> {
    const NAME: &'static str = "shared array";

    fn open(id: u64) -> Result<Self, types::Error> {
        let resource = shared::SharedArray::open(id)?;
        let width = resource.element_width();
        if width != T::WIDTH {
            let message = format!("shared array {id} has elements of {width:?}, and {:?} were expected", T::WIDTH);
            return Err(types::Error { code: types::ErrorCode::Invalid, message });
        }
        Ok(Self::new(resource))
    }

    fn id(&self) -> u64 {
        self.resource.id()
    }
}
