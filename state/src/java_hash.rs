//! Java's `hashCode`, so that a key lands in the same key group here and in Flink.
//!
//! ```
//! use hurtig_state::JavaHash;
//! assert_eq!("m-0012345".java_hash(), -1_550_458_669); // "m-0012345".hashCode()
//! assert_eq!(1_700_000_000_000_i64.java_hash(), -807_048_821); // Long.hashCode
//! ```

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// What Java's `hashCode` says of the value's Java counterpart.
pub trait JavaHash {
    /// The hash code.
    fn java_hash(&self) -> i32;
}

/// A `java.util.UUID`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Uuid(pub u128);

impl JavaHash for Uuid {
    fn java_hash(&self) -> i32 {
        let folded = (self.0 >> 64) as u64 ^ self.0 as u64;
        long_hash(folded)
    }
}

/// `String.hashCode` runs over UTF-16 units; for ASCII those are the bytes.
impl JavaHash for str {
    #[inline]
    fn java_hash(&self) -> i32 {
        let bytes = self.as_bytes();
        if bytes.is_ascii() { ascii_hash(bytes) } else { utf16_hash(self) }
    }
}

/// Eight steps at once, so that the multiplications do not wait for one another.
#[inline]
fn ascii_hash(bytes: &[u8]) -> i32 {
    const P: [i32; 9] = powers_of_31();
    let mut hash = 0_i32;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut sum = hash.wrapping_mul(P[8]);
        for (i, byte) in chunk.iter().enumerate() {
            sum = sum.wrapping_add(i32::from(*byte).wrapping_mul(P[7 - i]));
        }
        hash = sum;
    }
    for byte in chunks.remainder() {
        hash = hash.wrapping_mul(31).wrapping_add(i32::from(*byte));
    }
    hash
}

const fn powers_of_31() -> [i32; 9] {
    let mut powers = [1_i32; 9];
    let mut i = 1;
    while i < 9 {
        powers[i] = powers[i - 1].wrapping_mul(31);
        i += 1;
    }
    powers
}

#[cold]
fn utf16_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[inline]
fn long_hash(bits: u64) -> i32 {
    (bits ^ (bits >> 32)) as i32
}

impl JavaHash for String {
    #[inline]
    fn java_hash(&self) -> i32 {
        self.as_str().java_hash()
    }
}

impl JavaHash for CompactString {
    #[inline]
    fn java_hash(&self) -> i32 {
        self.as_str().java_hash()
    }
}

impl<T: JavaHash + ?Sized> JavaHash for &T {
    #[inline]
    fn java_hash(&self) -> i32 {
        (**self).java_hash()
    }
}

impl<T: JavaHash + ?Sized> JavaHash for Box<T> {
    #[inline]
    fn java_hash(&self) -> i32 {
        (**self).java_hash()
    }
}

impl<T: JavaHash + ?Sized> JavaHash for std::sync::Arc<T> {
    #[inline]
    fn java_hash(&self) -> i32 {
        (**self).java_hash()
    }
}

/// `Byte`, `Short`, `Integer`, `Character` hash to their value.
macro_rules! hash_is_value {
    ($($rust:ty as $java:ty),*) => {$(
        impl JavaHash for $rust {
            #[inline]
            fn java_hash(&self) -> i32 {
                i32::from(*self as $java)
            }
        }
    )*};
}
hash_is_value!(i8 as i8, u8 as i8, i16 as i16, u16 as i16, i32 as i32, u32 as i32);

impl JavaHash for i64 {
    #[inline]
    fn java_hash(&self) -> i32 {
        long_hash(*self as u64)
    }
}

impl JavaHash for u64 {
    #[inline]
    fn java_hash(&self) -> i32 {
        long_hash(*self)
    }
}

impl JavaHash for bool {
    #[inline]
    fn java_hash(&self) -> i32 {
        if *self { 1231 } else { 1237 }
    }
}

/// As `Character` where one UTF-16 unit is enough, else as the `String` of the two.
impl JavaHash for char {
    #[inline]
    fn java_hash(&self) -> i32 {
        let mut units = [0_u16; 2];
        self.encode_utf16(&mut units).iter().fold(0, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(*unit)))
    }
}

/// `Double.hashCode`: every NaN is one.
impl JavaHash for f64 {
    #[inline]
    fn java_hash(&self) -> i32 {
        let bits = if self.is_nan() { 0x7ff8_0000_0000_0000 } else { self.to_bits() };
        long_hash(bits)
    }
}

/// `Float.hashCode`: every NaN is one.
impl JavaHash for f32 {
    #[inline]
    fn java_hash(&self) -> i32 {
        (if self.is_nan() { 0x7fc0_0000 } else { self.to_bits() }) as i32
    }
}

/// As Flink's `Tuple0` and Java's null.
impl JavaHash for () {
    #[inline]
    fn java_hash(&self) -> i32 {
        0
    }
}

/// As `Objects.hashCode` of a value that may be null.
impl<T: JavaHash> JavaHash for Option<T> {
    #[inline]
    fn java_hash(&self) -> i32 {
        self.as_ref().map_or(0, JavaHash::java_hash)
    }
}

/// As Flink's `TupleN.hashCode`: the first field's hash, then 31 times and add.
macro_rules! hash_of_tuple {
    ($first:ident $(, $rest:ident)*) => {
        impl<$first: JavaHash $(, $rest: JavaHash)*> JavaHash for ($first, $($rest,)*) {
            #[inline]
            #[allow(non_snake_case)]
            fn java_hash(&self) -> i32 {
                let ($first, $($rest,)*) = self;
                #[allow(unused_mut)]
                let mut hash = $first.java_hash();
                $(hash = hash.wrapping_mul(31).wrapping_add($rest.java_hash());)*
                hash
            }
        }
    };
}
hash_of_tuple!(A);
hash_of_tuple!(A, B);
hash_of_tuple!(A, B, C);
hash_of_tuple!(A, B, C, D);
hash_of_tuple!(A, B, C, D, E);
hash_of_tuple!(A, B, C, D, E, F);
