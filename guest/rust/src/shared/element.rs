//! The types that shared memory can hold.

use crate::bindings::wasmproc::ipc::shared::Width;
use crate::shared::elements::Elements;

/// What can be in a [`SharedArray`](crate::SharedArray) or a [`SharedValue`](crate::SharedValue): `u8` to `u64`, `i8`
/// to `i64`, `f32`, `f64` and `bool`.
///
/// ```no_run
/// use wasmproc_guest::{Element, SharedArray};
///
/// fn first<T: Element>(array: &SharedArray<T>) -> T {
///     array.load(0)
/// }
/// ```
pub trait Element: Copy + sealed::Bits {}

/// An [`Element`] that can be added to.
///
/// ```no_run
/// use wasmproc_guest::{Number, SharedValue};
///
/// fn count<T: Number>(counter: &SharedValue<T>, more: T) {
///     counter.add(more);
/// }
/// ```
pub trait Number: Element + sealed::Add {}

pub(crate) mod sealed {
    use super::{Elements, Width};

    /// How an element is stored.
    pub trait Bits: Sized + Send + Sync + 'static {
        #[doc(hidden)]
        const WIDTH: Width;

        /// The low bits of the number are the element's.
        #[doc(hidden)]
        fn to_bits(self) -> u64;

        #[doc(hidden)]
        fn from_bits(bits: u64) -> Self;

        #[doc(hidden)]
        fn append(elements: &[Self], bytes: &mut Vec<u8>);

        #[doc(hidden)]
        fn read(bytes: &[u8], elements: &mut [Self]);
    }

    /// How an element is added to.
    #[expect(private_interfaces, reason = "the trait is sealed: nobody else can call it")]
    pub trait Add: Bits {
        #[doc(hidden)]
        fn add(elements: &Elements<Self>, index: u32, value: Self) -> Self;
    }
}

macro_rules! elements {
    ($($type:ty: $width:ident, $bits:ty, ($self:ident) $to:expr, ($from:ident) $back:expr;)*) => {
        $(
            impl Element for $type {}

            impl sealed::Bits for $type {
                const WIDTH: Width = Width::$width;

                #[inline]
                fn to_bits(self) -> u64 {
                    let $self = self;
                    u64::from($to)
                }

                #[inline]
                fn from_bits(bits: u64) -> Self {
                    // The host may leave anything above the low bits.
                    let $from = bits as $bits;
                    $back
                }

                fn append(elements: &[Self], bytes: &mut Vec<u8>) {
                    for &$self in elements {
                        bytes.extend_from_slice(&<$bits>::to_le_bytes($to));
                    }
                }

                fn read(bytes: &[u8], elements: &mut [Self]) {
                    let (chunks, _) = bytes.as_chunks::<{ size_of::<$bits>() }>();
                    for (element, chunk) in elements.iter_mut().zip(chunks) {
                        let $from = <$bits>::from_le_bytes(*chunk);
                        *element = $back;
                    }
                }
            }
        )*
    };
}

elements! {
    u8: Bits8, u8, (value) value, (bits) bits;
    u16: Bits16, u16, (value) value, (bits) bits;
    u32: Bits32, u32, (value) value, (bits) bits;
    u64: Bits64, u64, (value) value, (bits) bits;
    i8: Bits8, u8, (value) value.cast_unsigned(), (bits) bits.cast_signed();
    i16: Bits16, u16, (value) value.cast_unsigned(), (bits) bits.cast_signed();
    i32: Bits32, u32, (value) value.cast_unsigned(), (bits) bits.cast_signed();
    i64: Bits64, u64, (value) value.cast_unsigned(), (bits) bits.cast_signed();
    f32: Bits32, u32, (value) value.to_bits(), (bits) f32::from_bits(bits);
    f64: Bits64, u64, (value) value.to_bits(), (bits) f64::from_bits(bits);
    bool: Bits8, u8, (value) u8::from(value), (bits) bits != 0;
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(
            impl Number for $type {}

            #[expect(private_interfaces, reason = "the trait is sealed: nobody else can call it")]
            impl sealed::Add for $type {
                #[inline]
                fn add(elements: &Elements<Self>, index: u32, value: Self) -> Self {
                    elements.fetch_add(index, value)
                }
            }
        )*
    };
}

macro_rules! floats {
    ($($type:ty),*) => {
        $(
            impl Number for $type {}

            #[expect(private_interfaces, reason = "the trait is sealed: nobody else can call it")]
            impl sealed::Add for $type {
                fn add(elements: &Elements<Self>, index: u32, value: Self) -> Self {
                    elements.fetch_update(index, |sum| sum + value)
                }
            }
        )*
    };
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);
floats!(f32, f64);

#[cfg(test)]
mod tests {
    use super::sealed::Bits;

    fn round_trip<T: Bits + Copy + PartialEq + std::fmt::Debug>(values: &[T]) {
        for &value in values {
            assert_eq!(T::from_bits(value.to_bits()), value);
        }
        let mut bytes = Vec::new();
        T::append(values, &mut bytes);
        let mut read = vec![T::from_bits(0); values.len()];
        T::read(&bytes, &mut read);
        assert_eq!(read, values);
        assert_eq!(bytes.len(), size_of_val(values));
    }

    #[test]
    fn every_element_survives_the_journey() {
        round_trip(&[0_u8, 1, u8::MAX]);
        round_trip(&[0_u16, 1, u16::MAX]);
        round_trip(&[0_u32, 1, u32::MAX]);
        round_trip(&[0_u64, 1, u64::MAX]);
        round_trip(&[0_i8, -1, i8::MIN]);
        round_trip(&[0_i16, -1, i16::MIN]);
        round_trip(&[0_i32, -1, i32::MIN]);
        round_trip(&[0_i64, -1, i64::MIN]);
        round_trip(&[0.0_f32, -1.5, f32::INFINITY]);
        round_trip(&[0.0_f64, -1.5, f64::INFINITY]);
        round_trip(&[true, false]);
    }

    #[test]
    fn bits_above_an_element_are_ignored() {
        assert_eq!(u8::from_bits(0x1234), 0x34);
        assert_eq!(i16::from_bits(u64::MAX), -1);
        assert!(!bool::from_bits(0x100));
    }
}
