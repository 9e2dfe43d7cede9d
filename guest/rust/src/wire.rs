//! Values as bytes: how arguments, results and messages travel between instances.
//!
//! The format is postcard. Two properties of it matter to others: arguments stand one after the other without any
//! framing, so `(1,)` and `1` are the same bytes; and nothing in the bytes says what they are, so the two sides must
//! agree on the types. For a function of this component a hash of the types is compared first (`trampoline.rs`).
//!
//! What a handle in a value becomes is `carrier.rs`'s affair.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::carrier;
use crate::error::Error;

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode_behind(value, &mut bytes)?;
    Ok(bytes)
}

/// Encodes a value behind what is in `bytes` already. After an error there is some of it there.
pub(crate) fn encode_behind<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), Error> {
    carrier::forget_reason();
    postcard::serialize_with_flavor(value, Behind(bytes)).map_err(explain)
}

/// Decodes a value that fills `bytes` exactly: bytes that are left over mean that the sides don't agree.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    carrier::forget_reason();
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(Error::encoding(format!("{} of {} bytes are left over", rest.len(), bytes.len()))),
        Err(error) => Err(explain(error)),
    }
}

#[cold]
fn explain(error: postcard::Error) -> Error {
    carrier::take_reason().unwrap_or_else(|| Error::encoding(error.to_string()))
}

/// Writes to the end of a buffer that is used again.
struct Behind<'a>(&'a mut Vec<u8>);

impl Flavor for Behind<'_> {
    type Output = ();

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
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
        assert_eq!(decode::<u8>(&bytes), Err(Error::encoding("1 of 2 bytes are left over".to_owned())));
    }

    #[test]
    fn missing_bytes_are_an_error() {
        assert!(decode::<(u8, String)>(&[1, 200]).is_err());
    }
}
