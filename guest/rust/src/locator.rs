//! The string that tells a child which function of its own component to call.
//!
//! Such a function has no name, only a place in the component's function table, which is the same in every instance of
//! that component. The string is `#`, the place in decimal, `:`, and a hash of the function's types in 16 hexadecimal
//! digits: `#123:00c0ffee00c0ffee`. A string that doesn't begin with `#` is the name of a function and not a locator.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// Begins every locator, and can't begin the name of a Rust function.
pub(crate) const MARK: char = '#';

const HASH_DIGITS: usize = 16;

/// Where a function is in the table, and what its types are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Locator {
    /// The place in the table. Never 0, which is the null pointer.
    pub(crate) index: NonZeroUsize,
    pub(crate) types: TypeHash,
}

/// A hash of the names of some types. It tells mistakes apart, not attacks: whoever may start a process of a component
/// may call any of its functions anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TypeHash(pub(crate) u64);

impl TypeHash {
    /// FNV-1a, 64 bits wide, over the names with a separator that no type's name contains.
    pub(crate) fn of(names: &[&str]) -> Self {
        const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        const SEPARATOR: u8 = 0;

        let bytes = names.iter().flat_map(|name| name.bytes().chain([SEPARATOR]));
        Self(bytes.fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{MARK}{}:{:0HASH_DIGITS$x}", self.index, self.types.0)
    }
}

/// A string that begins like a locator and isn't one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl FromStr for Locator {
    type Err = Malformed;

    /// Accepts exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (index, types) = text.strip_prefix(MARK).and_then(|rest| rest.split_once(':')).ok_or(Malformed)?;
        let locator = Self {
            index: index.parse().map_err(|_| Malformed)?,
            types: TypeHash(u64::from_str_radix(types, 16).map_err(|_| Malformed)?),
        };
        // The number parsers take more than one spelling: a sign, leading zeros, capitals.
        if locator.to_string() == text { Ok(locator) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locator(index: usize, types: u64) -> Locator {
        Locator { index: NonZeroUsize::new(index).expect("not null"), types: TypeHash(types) }
    }

    #[test]
    fn a_locator_survives_the_journey() {
        for original in [locator(1, 0), locator(123, 0x00c0_ffee_00c0_ffee), locator(usize::MAX, u64::MAX)] {
            assert_eq!(original.to_string().parse(), Ok(original));
        }
        assert_eq!(locator(123, 0xc0_ffee).to_string(), "#123:0000000000c0ffee");
    }

    #[test]
    fn anything_else_is_malformed() {
        let wrong = [
            "",
            "#",
            "#:",
            "123:0000000000c0ffee",
            "#0:0000000000c0ffee",
            "#-1:0000000000c0ffee",
            "#+1:0000000000c0ffee",
            "#01:0000000000c0ffee",
            "# 1:0000000000c0ffee",
            "#1:c0ffee",
            "#1:0000000000C0FFEE",
            "#1:+000000000c0ffee",
            "#1:00000000000c0ffee",
            "#1:0000000000c0ffee ",
            "#1:0000000000c0ffee:2",
            "#99999999999999999999999:0000000000c0ffee",
            "#1\u{0}:0000000000c0ffee",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Locator>(), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_hash_is_fnv_1a_and_sees_where_a_name_ends() {
        // FNV-1a of "a" followed by a zero byte.
        assert_eq!(TypeHash::of(&["a"]), TypeHash(0x089b_e207_b544_f1e4));
        assert_ne!(TypeHash::of(&["ab", "c"]), TypeHash::of(&["a", "bc"]));
        assert_ne!(TypeHash::of(&["u32", "i32"]), TypeHash::of(&["i32", "u32"]));
    }
}
