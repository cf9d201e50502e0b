//! How keys and values become bytes.
//!
//! A stored key is `[key group: 1 byte, 2 above 128 groups][key: postcard][rest]`. Postcard is
//! self-delimiting, so no key of a type is a prefix of another and `[group][key]` is a clean
//! prefix. A stored value is postcard, with the time of the last touch in front (8 bytes, little
//! endian) where the state has a time to live. A list's value is a run of elements, each
//! `[touch?][length: varint][postcard]`, so that runs can be concatenated without being read.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a stored time.
pub(crate) const STAMP: usize = 8;

/// Appends postcard to a vector without an intermediate buffer.
struct Appender<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appender<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[inline]
pub(crate) fn append<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> postcard::Result<()> {
    postcard::serialize_with_flavor(value, Appender(out))
}

#[inline]
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> postcard::Result<T> {
    postcard::from_bytes(bytes)
}

/// Reads a value and says what is left.
#[inline]
pub(crate) fn take<T: DeserializeOwned>(bytes: &[u8]) -> postcard::Result<(T, &[u8])> {
    postcard::take_from_bytes(bytes)
}

/// One byte of key group up to 128 groups, as in Flink, else two.
#[inline]
pub(crate) fn key_group_width(max_parallelism: u16) -> usize {
    if max_parallelism <= 128 { 1 } else { 2 }
}

#[inline]
pub(crate) fn append_key_group(group: u16, width: usize, out: &mut Vec<u8>) {
    if width == 1 {
        out.push(group as u8);
    } else {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

#[inline]
pub(crate) fn read_key_group(bytes: &[u8], width: usize) -> Option<u16> {
    match width {
        1 => bytes.first().map(|b| u16::from(*b)),
        _ => bytes.first_chunk::<2>().map(|b| u16::from_be_bytes(*b)),
    }
}

/// The first key that is not below `group`; one group past the last is a valid argument.
pub(crate) fn key_group_bound(group: u32, width: usize) -> Vec<u8> {
    if width == 1 {
        u8::try_from(group).map_or_else(|_| vec![0xff; 9], |g| vec![g])
    } else {
        u16::try_from(group).map_or_else(|_| vec![0xff; 9], |g| g.to_be_bytes().to_vec())
    }
}

/// Signed times in byte order: sign flipped, big endian.
#[inline]
pub(crate) fn ordered_time(time: i64) -> [u8; 8] {
    (time as u64 ^ (1 << 63)).to_be_bytes()
}

#[inline]
pub(crate) fn read_ordered_time(bytes: &[u8]) -> Option<i64> {
    bytes.first_chunk::<8>().map(|b| (u64::from_be_bytes(*b) ^ (1 << 63)) as i64)
}

/// The first key above every key that begins with `prefix`, if there is one.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return Some(end);
        }
        end.pop();
    }
    None
}

/// Splits the time off a value of a state with time to live.
#[inline]
pub(crate) fn split_stamp(bytes: &[u8]) -> Option<(i64, &[u8])> {
    bytes.split_first_chunk::<STAMP>().map(|(stamp, rest)| (i64::from_le_bytes(*stamp), rest))
}

pub(crate) fn append_varint(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn read_varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut n = 0_usize;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        n |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((n, &bytes[i + 1..]));
        }
    }
    None
}

/// One element of a stored list.
pub(crate) struct Element<'a> {
    pub(crate) stamp: i64,
    pub(crate) bytes: &'a [u8],
}

/// Splits the first element off a stored list; `None` at its end or when it is damaged.
pub(crate) fn split_element(list: &[u8], stamped: bool) -> Option<(Element<'_>, &[u8])> {
    let (stamp, rest) = if stamped { split_stamp(list)? } else { (0, list) };
    let (len, rest) = read_varint(rest)?;
    let (bytes, rest) = rest.split_at_checked(len)?;
    Some((Element { stamp, bytes }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_their_bytes() {
        let times = [i64::MIN, -5, -1, 0, 1, 1_700_000_000_000, i64::MAX];
        for pair in times.windows(2) {
            assert!(ordered_time(pair[0]) < ordered_time(pair[1]));
            assert_eq!(read_ordered_time(&ordered_time(pair[0])), Some(pair[0]));
        }
    }

    #[test]
    fn a_prefix_ends_before_the_next() {
        assert_eq!(prefix_end(&[1, 0xff]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xff]), None);
    }

    #[test]
    fn varints_round_trip() {
        for n in [0, 1, 127, 128, 300, usize::MAX] {
            let mut out = vec![];
            append_varint(n, &mut out);
            assert_eq!(read_varint(&out), Some((n, &[][..])));
        }
        assert_eq!(read_varint(&[0x80]), None);
    }
}
