//! Avro's binary encoding, at its lowest: numbers and lengths.

use crate::wire;

/// A message that is being read.
#[derive(Debug)]
pub(super) struct Input<'de> {
    bytes: &'de [u8],
    pub at: usize,
    pub depth: u32,
    /// How many items of arrays and maps may still come: an item may have no bytes at all, and the
    /// number of them is whatever the message says.
    items: usize,
}

/// Items without bytes that a message may have.
const EMPTY_ITEMS: usize = 1 << 16;

impl<'de> Input<'de> {
    pub fn new(bytes: &'de [u8]) -> Self {
        Input { bytes, at: 0, depth: 0, items: bytes.len() + EMPTY_ITEMS }
    }

    #[inline]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub fn take(&mut self, n: usize, what: &str) -> Result<&'de [u8], String> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..n)) {
            Some(taken) => {
                self.at += n;
                Ok(taken)
            }
            None => Err(wire::ends(what)),
        }
    }

    #[inline]
    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    #[inline]
    pub fn long(&mut self, what: &str) -> Result<i64, String> {
        wire::long(self.bytes, &mut self.at, what)
    }

    #[inline]
    pub fn int(&mut self) -> Result<i32, String> {
        let n = self.long("an int")?;
        i32::try_from(n).map_err(|_| format!("{n} is no int: it has more than 32 bits"))
    }

    /// What follows its own length.
    #[inline]
    pub fn sized(&mut self, what: &str) -> Result<&'de [u8], String> {
        let length = self.long(what)?;
        match usize::try_from(length) {
            Ok(n) if n <= self.left() => self.take(n, what),
            _ => Err(format!("{what} says that it has {length} bytes, and {} are left", self.left())),
        }
    }

    #[inline]
    pub fn text(&mut self) -> Result<&'de str, String> {
        std::str::from_utf8(self.sized("a string")?).map_err(|_| "a string is not UTF-8".into())
    }

    /// How many items the next block of an array or a map has; none: it was the last.
    pub fn block(&mut self) -> Result<usize, String> {
        let mut count = self.long("the number of items")?;
        if count < 0 {
            // Then the block's length in bytes follows, for whoever wants to skip it.
            self.long("the length of a block")?;
            count = count.checked_neg().unwrap_or(i64::MAX);
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        match self.items.checked_sub(count) {
            Some(items) => {
                self.items = items;
                Ok(count)
            }
            None => Err(format!("{count} items are more than a message of {} bytes holds", self.bytes.len())),
        }
    }

    /// The number of a branch or a symbol, of which there are `n`.
    #[inline]
    pub fn index(&mut self, n: usize, what: &str) -> Result<usize, String> {
        let i = self.long(what)?;
        match usize::try_from(i) {
            Ok(index) if index < n => Ok(index),
            _ => Err(format!("{what} is {i}, and there are {n}")),
        }
    }
}
