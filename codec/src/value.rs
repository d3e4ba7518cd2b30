//! The fields of a frame as names and values, for those who show frames: tests, a hex dump.

use crate::frame::Said;
use alloc::vec::Vec;

/// The fields of a frame or of an item of a list: their names on the page and their values, in order.
pub type Fields<'a> = Vec<(&'static str, Value<'a>)>;

/// What a field holds, whatever its width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// u8 to u64.
    Unsigned(u64),
    /// i64: a time.
    Signed(i64),
    /// str8, str16, text.
    Text(&'a str),
    /// id32, rest, a voice.
    Bytes(&'a [u8]),
    /// A list's items.
    Items(Vec<Fields<'a>>),
}

/// A Rust type that a field can have.
pub(crate) trait Show {
    fn show<'s>(&'s self, name: &'static str, fields: &mut Fields<'s>);
}

/// A struct of the table.
pub(crate) trait HasFields {
    fn fields(&self) -> Fields<'_>;
}

macro_rules! shows {
    ($($ty:ty: $this:ident => $value:expr;)*) => {$(
        impl Show for $ty {
            fn show<'s>(&'s self, name: &'static str, fields: &mut Fields<'s>) {
                let $this = self;
                fields.push((name, $value));
            }
        }
    )*};
}
shows! {
    u8: n => Value::Unsigned((*n).into());
    u16: n => Value::Unsigned((*n).into());
    u32: n => Value::Unsigned((*n).into());
    u64: n => Value::Unsigned(*n);
    i64: n => Value::Signed(*n);
    &str: s => Value::Text(s);
    &[u8]: b => Value::Bytes(b);
    [u8; 32]: b => Value::Bytes(b);
}

impl Show for Said<'_> {
    fn show<'s>(&'s self, _: &'static str, fields: &mut Fields<'s>) {
        self.text.show("text", fields);
        self.voice.show("voice", fields);
    }
}

impl<T: HasFields> Show for Vec<T> {
    fn show<'s>(&'s self, name: &'static str, fields: &mut Fields<'s>) {
        fields.push((name, Value::Items(self.iter().map(HasFields::fields).collect())));
    }
}
