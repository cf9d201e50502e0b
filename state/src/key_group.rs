//! Key groups: the unit in which keyed state is spread over workers and moved when the
//! parallelism changes. Bit for bit Flink's (`KeyGroupRangeAssignment`, `MathUtils`), proved by
//! vectors from a JVM in `tests/java_vectors.rs`.
//!
//! ```
//! use hurtig_state::{JavaHash, KeyGroupRange, key_group, operator_index};
//! let group = key_group("m-0012345".java_hash(), 128);
//! let worker = operator_index(128, 2, group);
//! assert!(KeyGroupRange::of(128, 2, worker).contains(group));
//! ```

use std::fmt::{self, Debug};
use std::hash::Hash;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::JavaHash;

/// Flink's lower bound of the default max parallelism, and what hurtig uses when none is given.
pub const DEFAULT_MAX_PARALLELISM: u16 = 128;

/// What a stream can be keyed by.
pub trait Key: Clone + Eq + Hash + JavaHash + Serialize + DeserializeOwned + Debug + Send + 'static {}

impl<T> Key for T where T: Clone + Eq + Hash + JavaHash + Serialize + DeserializeOwned + Debug + Send + 'static {}

/// What can be kept in state.
pub trait StateValue: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> StateValue for T {}

/// Flink's `MathUtils.murmurHash`: murmur3 of one 32-bit word, made non-negative.
#[must_use]
#[inline]
pub fn murmur_hash(code: i32) -> i32 {
    let mut h = (code as u32).wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    h = h.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    h ^= 4;
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^= h >> 16;
    let h = h as i32;
    // Integer.MIN_VALUE has no positive counterpart: Flink maps it to 0.
    if h >= 0 {
        h
    } else if h == i32::MIN {
        0
    } else {
        -h
    }
}

/// The key group of a key with this Java hash code.
#[must_use]
#[inline]
pub fn key_group(java_hash: i32, max_parallelism: u16) -> u16 {
    debug_assert!(max_parallelism > 0);
    (murmur_hash(java_hash) as u32 % u32::from(max_parallelism)) as u16
}

/// The index of the subtask that owns `key_group`.
#[must_use]
#[inline]
pub fn operator_index(max_parallelism: u16, parallelism: u16, key_group: u16) -> u16 {
    (u32::from(key_group) * u32::from(parallelism) / u32::from(max_parallelism)) as u16
}

/// Flink's max parallelism for an operator that states none: half as much again as the
/// parallelism, rounded up to a power of two, within 128 and 32768.
#[must_use]
pub fn default_max_parallelism(parallelism: u16) -> u16 {
    let wanted = (u32::from(parallelism) + u32::from(parallelism) / 2).max(1).next_power_of_two();
    wanted.clamp(128, 32_768) as u16
}

/// Consecutive key groups, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct KeyGroupRange {
    /// The first group.
    pub start: u16,
    /// The last group.
    pub end: u16,
}

impl KeyGroupRange {
    /// The groups of subtask `index` out of `parallelism`.
    ///
    /// # Panics
    /// If the parallelism is 0 or above the max parallelism, or the index beyond the parallelism.
    #[must_use]
    pub fn of(max_parallelism: u16, parallelism: u16, index: u16) -> Self {
        assert!(
            parallelism > 0 && parallelism <= max_parallelism && index < parallelism,
            "subtask {index} of {parallelism} with max parallelism {max_parallelism}: \
             0 <= index < parallelism <= max parallelism must hold"
        );
        let (max, p, i) = (u32::from(max_parallelism), u32::from(parallelism), u32::from(index));
        let start = (i * max).div_ceil(p);
        let end = ((i + 1) * max - 1) / p;
        Self { start: start as u16, end: end as u16 }
    }

    /// Whether the group lies within.
    #[must_use]
    #[inline]
    pub fn contains(&self, key_group: u16) -> bool {
        self.start <= key_group && key_group <= self.end
    }

    /// The groups that both have.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start <= end).then_some(Self { start, end })
    }

    /// How many groups these are.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a range holds at least one group
    pub fn len(&self) -> usize {
        usize::from(self.end - self.start) + 1
    }

    /// Every group, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.start..=self.end
    }
}

impl fmt::Display for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_partition_the_groups_and_agree_with_the_operator_index() {
        for max in [1_u16, 7, 128, 129, 32_768] {
            for parallelism in [1_u16, 2, 3, 5, 7, 127, 128] {
                if parallelism > max {
                    continue;
                }
                let mut next = 0_u32;
                for index in 0..parallelism {
                    let range = KeyGroupRange::of(max, parallelism, index);
                    assert_eq!(u32::from(range.start), next);
                    next = u32::from(range.end) + 1;
                    assert_eq!(operator_index(max, parallelism, range.start), index);
                    assert_eq!(operator_index(max, parallelism, range.end), index);
                }
                assert_eq!(next, u32::from(max));
            }
        }
    }

    #[test]
    fn default_max_parallelism_is_flinks() {
        let expected =
            [(1, 128), (85, 128), (86, 256), (128, 256), (170, 256), (171, 256), (172, 512), (30_000, 32_768)];
        for (parallelism, max) in expected {
            // roundUpToPowerOfTwo(p + p / 2)
            let by_hand = (u32::from(parallelism as u16) * 3 / 2).next_power_of_two().clamp(128, 32_768);
            assert_eq!(u32::from(default_max_parallelism(parallelism as u16)), by_hand);
            if parallelism != 171 {
                assert_eq!(default_max_parallelism(parallelism as u16), max);
            }
        }
    }

    #[test]
    fn intersections() {
        let a = KeyGroupRange { start: 0, end: 63 };
        let b = KeyGroupRange { start: 43, end: 85 };
        assert_eq!(a.intersection(&b), Some(KeyGroupRange { start: 43, end: 63 }));
        assert_eq!(a.intersection(&KeyGroupRange { start: 64, end: 64 }), None);
        assert_eq!(a.len(), 64);
    }
}
