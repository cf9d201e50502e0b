//! Hash keys and what part of them a shard has.
//!
//! A record belongs to the shard whose range holds its hash key: the MD5 of its partition key as
//! an unsigned number of 128 bits, or the explicit hash key that was given with it. The ranges of
//! the open shards cover all of `0..2^128` without gap or overlap.

/// The hash keys from `start` to `end`, both included, as Kinesis writes ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashRange {
    /// `StartingHashKey`
    pub start: u128,
    /// `EndingHashKey`
    pub end: u128,
}

impl HashRange {
    /// All hash keys.
    pub const ALL: HashRange = HashRange { start: 0, end: u128::MAX };

    /// From `start` to `end`; `None` if the end is before the start.
    pub fn new(start: u128, end: u128) -> Option<Self> {
        (start <= end).then_some(HashRange { start, end })
    }

    /// Just one hash key.
    pub fn one(hash: u128) -> Self {
        HashRange { start: hash, end: hash }
    }

    /// Whether `hash` is inside.
    pub fn contains(self, hash: u128) -> bool {
        (self.start..=self.end).contains(&hash)
    }

    /// Whether they have a hash key in common.
    pub fn overlaps(self, other: HashRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether `next` begins where this one ends: only such shards can be merged.
    pub fn adjoins(self, next: HashRange) -> bool {
        self.end.checked_add(1) == Some(next.start)
    }

    /// Cuts the range so that the second part begins at `at`; `None` if a part would be empty.
    pub fn split_at(self, at: u128) -> Option<(HashRange, HashRange)> {
        if at <= self.start || at > self.end {
            return None;
        }
        Some((HashRange { start: self.start, end: at - 1 }, HashRange { start: at, end: self.end }))
    }

    /// Where the second half begins; `None` for a range of one hash key.
    pub fn middle(self) -> Option<u128> {
        let half = (self.end - self.start) / 2;
        (self.start < self.end).then(|| self.start + half + 1)
    }

    /// The share of all hash keys, 0 to 1.
    pub fn share(self) -> f64 {
        ((self.end - self.start) as f64 + 1.0) / 2f64.powi(128)
    }
}

/// `n` ranges of the same width (to one hash key) that cover everything: what `UpdateShardCount`
/// makes. At least one.
pub fn even_ranges(n: usize) -> Vec<HashRange> {
    let n = n.max(1);
    let starts: Vec<u128> = (0..n).map(|i| boundary(i, n)).collect();
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([u128::MAX]);
    starts.iter().zip(ends).map(|(start, end)| HashRange { start: *start, end }).collect()
}

/// The first hash key of the `i`th of `n` even ranges: `i * 2^128 / n`, rounded down.
fn boundary(i: usize, n: usize) -> u128 {
    let (i, n) = (i as u128, n as u128);
    // 2^128 = q * n + r, by way of 2^128 - 1, since u128 holds neither 2^128 nor i * 2^128.
    let (mut q, mut r) = (u128::MAX / n, u128::MAX % n + 1);
    if r == n {
        (q, r) = (q.saturating_add(1), 0);
    }
    // For n = 1 there is only i = 0, whatever q is.
    i * q + i * r / n
}

/// Whether these ranges, in any order, cover all hash keys exactly once.
pub fn covers_everything(ranges: &[HashRange]) -> bool {
    let mut ranges = ranges.to_vec();
    ranges.sort_unstable();
    ranges.first().is_some_and(|r| r.start == 0)
        && ranges.last().is_some_and(|r| r.end == u128::MAX)
        && ranges.windows(2).all(|w| w[0].adjoins(w[1]))
}
