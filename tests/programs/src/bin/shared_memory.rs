//! Scenarios of shared values and arrays.

use wasmproc_guest::ErrorKind::{Invalid, Limit};
use wasmproc_guest::{Error, Process, SharedArray, SharedValue};
use wasmproc_test_programs::raw::shared::{self, Width};
use wasmproc_test_programs::{refusal, scenarios};

scenarios!(
    adding_from_many_processes_loses_nothing,
    numbers_with_a_point_are_added_whole,
    an_exchange_has_one_winner,
    an_element_wraps_and_leaves_its_neighbours_alone,
    a_child_changes_a_number_of_every_type,
    an_array_begins_with_zeros_whatever_was_there_before,
    ranges_are_written_here_and_read_there,
    an_array_outlives_its_maker,
    ranges_behind_the_end_are_refused,
    an_index_behind_the_end_traps,
    a_plain_number_that_is_no_array_traps,
    lengths_that_are_out_of_bounds_are_invalid,
    much_is_not_read_at_once,
);

fn adding_from_many_processes_loses_nothing() -> Result<(), Error> {
    let (value, array) = (SharedValue::new(0u64)?, SharedArray::<u32>::new(3)?);
    let add = |value: SharedValue<u64>, array: SharedArray<u32>| {
        for _ in 0..20_000 {
            value.add(1);
            array.add(1, 1);
        }
    };
    let spawn = |_| Process::spawn(add, (value.clone(), array.clone()));
    for child in (0..4).map(spawn).collect::<Result<Vec<_>, _>>()? {
        child.result()?;
    }
    assert_eq!((value.load(), array.to_vec()), (80_000, vec![0, 80_000, 0]));
    Ok(())
}

fn numbers_with_a_point_are_added_whole() -> Result<(), Error> {
    let sum = SharedValue::new(0.5f64)?;
    let add = |sum: SharedValue<f64>| {
        for _ in 0..2000 {
            sum.add(0.25);
        }
    };
    for child in (0..3).map(|_| Process::spawn(add, sum.clone())).collect::<Result<Vec<_>, _>>()? {
        child.result()?;
    }
    assert_eq!(sum.load(), 1500.5);
    Ok(())
}

fn an_exchange_has_one_winner() -> Result<(), Error> {
    let seats = SharedArray::<u64>::new(50)?;
    let take = |seats: SharedArray<u64>, me: u64| {
        (0..seats.len()).filter(|&seat| seats.compare_exchange(seat, 0, me).is_ok()).count()
    };
    let children = (1..=4).map(|me| Process::spawn(take, (seats.clone(), me))).collect::<Result<Vec<_>, _>>()?;
    let taken = children.into_iter().map(Process::result).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(taken.iter().sum::<usize>(), 50, "{taken:?}");
    for me in 1..=4 {
        let mine = seats.to_vec().into_iter().filter(|owner| *owner == me).count();
        assert_eq!(mine, taken[me as usize - 1]);
    }
    assert_eq!(seats.compare_exchange(0, 99, 1), Err(seats.load(0)));
    Ok(())
}

fn an_element_wraps_and_leaves_its_neighbours_alone() -> Result<(), Error> {
    let bytes = SharedArray::from_slice(&[250u8; 9])?;
    assert_eq!(bytes.add(4, 10), 250);
    assert_eq!(bytes.swap(5, 1), 250);
    assert_eq!(bytes.to_vec(), [250, 250, 250, 250, 4, 1, 250, 250, 250]);
    let words = SharedArray::from_slice(&[i16::MAX; 3])?;
    words.add(1, 1);
    assert_eq!(words.to_vec(), [i16::MAX, i16::MIN, i16::MAX]);
    let long = SharedArray::from_slice(&[u64::MAX; 3])?;
    long.add(1, 2);
    assert_eq!(long.to_vec(), [u64::MAX, 1, u64::MAX]);
    // What is above an element's width is cut off.
    let raw = shared::SharedArray::create(Width::Bits8, 2)?;
    shared::swap(raw.plain_handle(), 0, 0x1234);
    assert_eq!((shared::load(raw.plain_handle(), 0), shared::load(raw.plain_handle(), 1)), (0x34, 0));
    Ok(())
}

/// A child finds one number and leaves the other, for each type.
macro_rules! changes {
    ($($type:ty: $before:expr => $after:expr;)*) => {$(
        let value = SharedValue::<$type>::new($before)?;
        let change = |value: SharedValue<$type>| {
            let before = value.load();
            value.store($after);
            before
        };
        assert_eq!(Process::spawn(change, value.clone())?.result()?, $before);
        assert_eq!(value.load(), $after, stringify!($type));
    )*};
}

fn a_child_changes_a_number_of_every_type() -> Result<(), Error> {
    changes! {
        u8: 0xFF => 0x80;
        i8: -1 => i8::MIN;
        u16: 0xFFFF => 0x8000;
        i16: -232 => 234;
        u32: u32::MAX => 1 << 31;
        i32: -4343 => i32::MIN;
        u64: 1 << 33 => u64::MAX;
        i64: -(1 << 40) => i64::MIN;
        f32: -4.25 => f32::MIN_POSITIVE;
        f64: 3.625 => f64::NEG_INFINITY;
        bool: true => false;
    }
    Ok(())
}

fn an_array_begins_with_zeros_whatever_was_there_before() -> Result<(), Error> {
    for _ in 0..3 {
        let array = SharedArray::<u64>::new(3000)?;
        assert!(array.to_vec() == vec![0; 3000]);
        array.write(0, &[u64::MAX; 3000]);
        assert!(array.to_vec() == vec![u64::MAX; 3000]);
    }
    Ok(())
}

fn ranges_are_written_here_and_read_there() -> Result<(), Error> {
    let numbers = SharedArray::<i32>::new(1000)?;
    numbers.write(10, &(0..500).map(|number| -number).collect::<Vec<_>>());
    let read =
        |numbers: SharedArray<i32>| numbers.read(9..12).into_iter().chain(numbers.read(509..)).collect::<Vec<_>>();
    let there = Process::spawn(read, numbers.clone())?.result()?;
    assert_eq!(there.len(), 3 + 491);
    assert_eq!(there[..6], [0, 0, -1, -499, 0, 0]);
    assert_eq!(numbers.to_vec().len(), 1000);
    Ok(())
}

fn an_array_outlives_its_maker() -> Result<(), Error> {
    let arrays = wasmproc_guest::Queue::new()?;
    let make = |arrays: wasmproc_guest::Queue<SharedArray<u32>>| {
        arrays.put(SharedArray::from_slice(&[1, 2, 3]).expect("an array")).expect("there is room");
    };
    Process::spawn(make, arrays.clone())?.result()?;
    assert_eq!(arrays.get()?.to_vec(), [1, 2, 3]);
    Ok(())
}

fn ranges_behind_the_end_are_refused() -> Result<(), Error> {
    let array = shared::SharedArray::create(Width::Bits32, 10)?;
    for (start, count) in [(0, 11), (10, 1), (11, 0), (u32::MAX, 1), (u32::MAX, 0), (1, u32::MAX >> 8)] {
        assert_eq!(refusal(array.read(start, count)), Invalid, "{start}, {count}");
    }
    assert_eq!(array.read(10, 0)?, []);
    for (start, bytes) in [(0, 44), (10, 4), (9, 8), (u32::MAX, 4), (0, 3), (0, 41)] {
        assert_eq!(refusal(array.write(start, &vec![1; bytes])), Invalid, "{start}, {bytes} bytes");
    }
    assert_eq!(array.read(0, 10)?, [0; 40], "nothing was written");
    Ok(())
}

fn reach(function: u32, index: u32) {
    let array = shared::SharedArray::create(Width::Bits64, 4).expect("an array");
    let handle = array.plain_handle();
    match function {
        0 => shared::load(handle, index),
        1 => shared::swap(handle, index, 1),
        2 => shared::add(handle, index, 1),
        _ => shared::compare_exchange(handle, index, 0, 1),
    };
}

fn an_index_behind_the_end_traps() -> Result<(), Error> {
    for function in 0..4 {
        Process::spawn(reach, (function, 3))?.result()?;
        for index in [4, 1000, u32::MAX] {
            assert_eq!(Process::spawn(reach, (function, index))?.join()?.code(), -6, "{function}, {index}");
        }
    }
    Ok(())
}

fn load_from(number: u32) {
    shared::load(number, 0);
}

fn load_from_a_lock() {
    let lock = wasmproc_test_programs::raw::lock::Lock::create(wasmproc_test_programs::raw::lock::Kind::Plain);
    shared::load(lock.expect("a lock").plain_handle(), 0);
}

fn load_from_a_dropped_one() {
    let array = shared::SharedArray::create(Width::Bits64, 4).expect("an array");
    let handle = array.plain_handle();
    drop(array);
    shared::load(handle, 0);
}

fn a_plain_number_that_is_no_array_traps() -> Result<(), Error> {
    for number in [0, 1, u32::MAX] {
        assert_eq!(Process::spawn(load_from, number)?.join()?.code(), -6, "{number}");
    }
    assert_eq!(Process::spawn(load_from_a_lock, ())?.join()?.code(), -6);
    assert_eq!(Process::spawn(load_from_a_dropped_one, ())?.join()?.code(), -6);
    Ok(())
}

fn lengths_that_are_out_of_bounds_are_invalid() -> Result<(), Error> {
    assert_eq!(refusal(SharedArray::<u8>::new(0)), Invalid);
    assert_eq!(refusal(SharedArray::<u8>::new((1 << 30) + 1)), Invalid);
    assert_eq!(refusal(SharedArray::<u64>::new((1 << 27) + 1)), Invalid);
    assert_eq!(refusal(SharedArray::<u64>::new(u32::MAX as usize)), Invalid);
    Ok(())
}

fn much_is_not_read_at_once() -> Result<(), Error> {
    let array = shared::SharedArray::create(Width::Bits8, 65 << 20)?;
    assert_eq!(refusal(array.read(0, 65 << 20).map(|bytes| bytes.len())), Limit);
    assert_eq!(array.read(1 << 20, 64 << 20)?.len(), 64 << 20);
    Ok(())
}
