//! Digits, eight at a time.

/// The digits from `at` on, behind those in `value`, and where they end. Too many wrap around.
#[inline]
pub(super) fn digits(bytes: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(eight) = bytes.get(at..at + 8).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
        let word = u64::from_le_bytes(eight);
        let n = leading_digits(word);
        if n == 8 {
            value = value.wrapping_mul(100_000_000).wrapping_add(eight_digits(word));
            at += 8;
            continue;
        }
        if n > 0 {
            // Zeros before the digits change nothing.
            value = value.wrapping_mul(TENS[n]).wrapping_add(eight_digits(word << (64 - 8 * n)));
        }
        return (value, at + n);
    }
    // The last bytes of a line.
    while let Some(&b) = bytes.get(at) {
        let d = b.wrapping_sub(b'0');
        if d > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(d));
        at += 1;
    }
    (value, at)
}

const TENS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// How many of the eight bytes are digits before the first that is not.
#[inline(always)]
fn leading_digits(word: u64) -> usize {
    // A digit becomes 0 to 9, which 0x76 cannot lift to 0x80. A carry only reaches bytes behind
    // the first that is no digit.
    let values = word ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    (others.trailing_zeros() / 8) as usize
}

/// The number that eight digits make, pairs first.
#[inline(always)]
fn eight_digits(word: u64) -> u64 {
    let ones = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = ones.wrapping_mul(2561) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(6_553_601) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(42_949_672_960_001) >> 32
}
