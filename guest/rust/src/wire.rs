//! Values as bytes: how arguments and results travel between instances.
//!
//! The format is postcard. Two properties of it matter to others: arguments stand one after the other without any
//! framing, so `(1,)` and `1` are the same bytes; and nothing in the bytes says what they are, so the two sides must
//! agree on the types. For a function of this component a hash of the types is compared first (`trampoline.rs`).

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    postcard::to_stdvec(value).map_err(|error| error.to_string())
}

/// Decodes a value that fills `bytes` exactly: bytes that are left over mean that the sides don't agree.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} of {} bytes are left over", rest.len(), bytes.len())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_value_and_a_tuple_of_it_are_the_same_bytes() {
        assert_eq!(encode(&21_i64), encode(&(21_i64,)));
        assert_eq!(encode(&()), Ok(Vec::new()));
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let bytes = encode(&(1_u8, 2_u8)).expect("two numbers can be encoded");

        assert_eq!(decode::<(u8, u8)>(&bytes), Ok((1, 2)));
        assert_eq!(decode::<u8>(&bytes), Err("1 of 2 bytes are left over".to_owned()));
    }

    #[test]
    fn missing_bytes_are_an_error() {
        assert!(decode::<(u8, String)>(&[1, 200]).is_err());
    }
}
