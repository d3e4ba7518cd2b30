//! Frames out of a fuzzer's bytes (feature `arbitrary`): any that can be written.
//!
//! What a length prefix could not say is cut, so that no fuzzer spends its time on frames that are refused
//! for that alone.

use crate::frame::Said;
use ::arbitrary::{Arbitrary, Result, Unstructured};
use alloc::vec::Vec;

/// Bytes of a `str16`: several of them fit an item of a list.
pub(crate) const STR16: usize = 4096;

/// Text of at most `max` bytes.
pub(crate) fn text<'a>(u: &mut Unstructured<'a>, max: usize) -> Result<&'a str> {
    let text = <&str>::arbitrary(u)?;
    Ok(&text[..text.floor_char_boundary(max)])
}

/// Items of a list, as many as its count can say.
pub(crate) fn items<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<Vec<T>> {
    u.arbitrary_iter()?.take(usize::from(u16::MAX)).collect()
}

impl<'a> Arbitrary<'a> for Said<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Said { text: <&str>::arbitrary(u)?, voice: <&[u8]>::arbitrary(u)? })
    }
}
