//! Text in a buffer of fixed size, because there is no allocator.

use core::fmt::{self, Display, Formatter, Write};

/// What came of a row, or of a part of one: where it failed, why.
pub type Result<Value = ()> = core::result::Result<Value, Text>;

/// Up to 400 bytes of text; what is beyond is cut off.
pub struct Text {
    buffer: [u8; 400],
    length: usize,
}

/// `format!`, into a [`Text`].
macro_rules! text {
    ($($argument:tt)*) => {{
        let mut text = $crate::text::Text::new(b"");
        // What doesn't fit is cut off, which is no error.
        let _ = core::fmt::Write::write_fmt(&mut text, format_args!($($argument)*));
        text
    }};
}
pub(crate) use text;

impl Text {
    /// A copy of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = Text { buffer: [0; 400], length: 0 };
        text.append(bytes);
        text
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// It as a string, or nothing where it is not UTF-8.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        for (slot, byte) in self.buffer[self.length..].iter_mut().zip(bytes) {
            *slot = *byte;
            self.length += 1;
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.append(part.as_bytes());
        Ok(())
    }
}

impl Display for Text {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
