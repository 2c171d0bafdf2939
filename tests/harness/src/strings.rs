//! Arguments and environments, as exec takes them.

use std::ffi::{CStr, c_char};
use std::fmt::{self, Debug, Formatter};
use std::ptr::null;

/// Strings of any bytes, one behind the other, each with a byte of zero at its end: there can be many.
#[derive(Clone, Default)]
pub struct Strings {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
}

impl Strings {
    /// Adds a string. It ends before its first byte of zero, if it has one.
    pub fn push(&mut self, string: impl AsRef<[u8]>) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(string.as_ref());
        self.bytes.push(0);
    }

    /// A pointer to each. They hold until the strings change.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = *const c_char> {
        self.starts.iter().map(|&start| self.bytes[start..].as_ptr().cast())
    }

    /// The pointers to strings and to more strings, as an array that ends with a null pointer.
    pub(crate) fn array(strings: &Self, more: &Self) -> Vec<*const c_char> {
        strings.pointers().chain(more.pointers()).chain([null()]).collect()
    }
}

impl Debug for Strings {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        let strings = self.starts.iter().filter_map(|&start| CStr::from_bytes_until_nul(&self.bytes[start..]).ok());
        formatter.debug_list().entries(strings).finish()
    }
}

impl<S: AsRef<[u8]>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(strings: I) -> Self {
        let mut all = Self::default();
        strings.into_iter().for_each(|string| all.push(string));
        all
    }
}
