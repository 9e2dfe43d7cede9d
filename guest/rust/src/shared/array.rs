//! Arrays in shared memory.

use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::handle::{Handle, shared_object};
use crate::shared::elements::Elements;
use crate::shared::{Element, Number};

/// An array of numbers that several processes read and change.
///
/// Every call on one element is a single atomic step, in one order that all processes see. So a process that dies leaves
/// no element halfway. What several elements have to do with each other is the program's affair: take a
/// [`Lock`](crate::Lock) for that. Clones are the same handle.
///
/// An index out of bounds is a panic, as it is for a slice.
///
/// ```no_run
/// use wasmproc_guest::{Error, Process, SharedArray};
///
/// fn square(numbers: SharedArray<u64>, index: usize) {
///     numbers.update(index, |number| number * number);
/// }
///
/// #[wasmproc_guest::main]
/// fn main() -> Result<(), Error> {
///     let numbers = SharedArray::from_slice(&[1, 2, 3])?;
///     let workers = (0..3).map(|index| Process::spawn(square, (numbers.clone(), index)));
///     for worker in workers.collect::<Result<Vec<_>, _>>()? {
///         worker.join()?;
///     }
///     println!("{:?}", numbers.to_vec());
///     Ok(())
/// }
/// ```
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct SharedArray<T: Element> {
    handle: Handle<Elements<T>>,
}

shared_object!([T: Element] SharedArray<T>: "SharedArray", "SharedArray::<u32>", "new(10)", |handle| SharedArray { handle });

impl<T: Element> SharedArray<T> {
    /// Makes an array of zeros (`false` for `bool`) with at least 1 element and at most 1 GiB.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for another size, [`Limit`](crate::ErrorKind::Limit) if there are as many
    /// objects, or as much memory is in use, as there may be.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let pixels = wasmproc_guest::SharedArray::<u32>::new(640 * 480)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(len: usize) -> Result<Self, Error> {
        Ok(Self { handle: Elements::create(len)? })
    }

    /// Makes an array of these elements.
    ///
    /// # Errors
    ///
    /// Those of [`new`](SharedArray::new).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), wasmproc_guest::Error> {
    /// let weights = wasmproc_guest::SharedArray::from_slice(&[0.25, 0.5, 0.25])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_slice(elements: &[T]) -> Result<Self, Error> {
        let array = Self::new(elements.len())?;
        array.write(0, elements);
        Ok(array)
    }

    /// How many elements it has.
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// for index in 0..array.len() {
    ///     println!("{}", array.load(index));
    /// }
    /// # }
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "there is no empty one")]
    pub fn len(&self) -> usize {
        self.handle.len()
    }

    /// The element.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// println!("{}", array.load(0));
    /// # }
    /// ```
    #[inline]
    #[track_caller]
    pub fn load(&self, index: usize) -> T {
        self.handle.load(self.handle.checked(index))
    }

    /// Changes the element.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// array.store(0, 7);
    /// # }
    /// ```
    #[inline]
    #[track_caller]
    pub fn store(&self, index: usize, value: T) {
        self.swap(index, value);
    }

    /// Changes the element, and returns what was there.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// let before = array.swap(0, 7);
    /// # }
    /// ```
    #[inline]
    #[track_caller]
    pub fn swap(&self, index: usize, value: T) -> T {
        self.handle.swap(self.handle.checked(index), value)
    }

    /// Stores `new` if `current` is there, bit for bit. `Ok` or `Err`, what was there is returned.
    ///
    /// # Errors
    ///
    /// What is there instead of `current`.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    ///
    /// ```no_run
    /// # fn example(owners: &wasmproc_guest::SharedArray<u64>) {
    /// let me = wasmproc_guest::id().get();
    /// match owners.compare_exchange(3, 0, me) {
    ///     Ok(_) => println!("seat 3 is mine"),
    ///     Err(other) => println!("seat 3 is taken by {other}"),
    /// }
    /// # }
    /// ```
    #[inline]
    #[track_caller]
    pub fn compare_exchange(&self, index: usize, current: T, new: T) -> Result<T, T> {
        self.handle.compare_exchange(self.handle.checked(index), current, new)
    }

    /// Replaces the element by what `change` makes of it, in one atomic step, and returns what was there.
    ///
    /// `change` is called again when another process was faster, so it should do nothing else.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    ///
    /// ```no_run
    /// # fn example(highest: &wasmproc_guest::SharedArray<u32>) {
    /// highest.update(0, |highest| highest.max(7));
    /// # }
    /// ```
    #[track_caller]
    pub fn update(&self, index: usize, change: impl FnMut(T) -> T) -> T {
        self.handle.fetch_update(self.handle.checked(index), change)
    }

    /// The elements in a range. Each is whole; together they may be of different moments.
    ///
    /// # Panics
    ///
    /// If the range is out of bounds.
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// let row: Vec<u32> = array.read(640..1280);
    /// # }
    /// ```
    #[track_caller]
    pub fn read(&self, range: impl RangeBounds<usize>) -> Vec<T> {
        let (start, end) = self.bounds(range);
        let mut elements = vec![T::from_bits(0); end - start];
        self.handle.read(start, &mut elements);
        elements
    }

    /// As [`read`](SharedArray::read), into memory that is there already: as many elements as it holds.
    ///
    /// # Panics
    ///
    /// If there are fewer elements from `start` on.
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// let mut row = [0; 640];
    /// array.read_into(0, &mut row);
    /// # }
    /// ```
    #[track_caller]
    pub fn read_into(&self, start: usize, elements: &mut [T]) {
        self.check(start, elements.len());
        self.handle.read(start, elements);
    }

    /// Stores elements from `start` on, one after the other.
    ///
    /// # Panics
    ///
    /// If there are fewer elements from `start` on.
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// array.write(640, &[0; 640]);
    /// # }
    /// ```
    #[track_caller]
    pub fn write(&self, start: usize, elements: &[T]) {
        self.check(start, elements.len());
        self.handle.write(start, elements);
    }

    /// All elements: see [`read`](SharedArray::read).
    ///
    /// ```no_run
    /// # fn example(array: &wasmproc_guest::SharedArray<u32>) {
    /// println!("{:?}", array.to_vec());
    /// # }
    /// ```
    pub fn to_vec(&self) -> Vec<T> {
        self.read(..)
    }

    #[track_caller]
    fn bounds(&self, range: impl RangeBounds<usize>) -> (usize, usize) {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len(),
        };
        assert!(start <= end, "a range of a shared array starts at {start} but ends at {end}");
        self.check(start, end - start);
        (start, end)
    }

    #[track_caller]
    fn check(&self, start: usize, count: usize) {
        let is_inside = start.checked_add(count).is_some_and(|end| end <= self.len());
        assert!(is_inside, "{count} elements from {start} on are out of bounds of a shared array of {}", self.len());
    }
}

impl<T: Number> SharedArray<T> {
    /// Adds to the element, in one atomic step, and returns what was there. Integers wrap around.
    ///
    /// # Panics
    ///
    /// If there is no such element.
    ///
    /// ```no_run
    /// # fn example(counters: &wasmproc_guest::SharedArray<u32>) {
    /// counters.add(3, 1);
    /// # }
    /// ```
    #[inline]
    #[track_caller]
    pub fn add(&self, index: usize, value: T) -> T {
        T::add(&self.handle, self.handle.checked(index), value)
    }
}

impl<T: Element> Clone for SharedArray<T> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}
