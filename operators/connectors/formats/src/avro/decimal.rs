//! Decimals: an unscaled whole number in two's complement, most significant byte first.

/// What is longer is refused: 38 digits, which is what SQL engines have.
const MAX_BYTES: usize = 16;

/// The unscaled number.
pub(super) fn unscaled(bytes: &[u8]) -> Result<i128, String> {
    let sign = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let fill = if sign { 0xff } else { 0 };
    // A fixed may have more bytes than the number needs.
    let needed = bytes.iter().position(|b| *b != fill).unwrap_or(bytes.len());
    let mut tail = &bytes[needed..];
    if tail.len() < bytes.len() && tail.first().is_some_and(|b| (b & 0x80 != 0) != sign) {
        tail = &bytes[needed - 1..];
    }
    if tail.len() > MAX_BYTES {
        return Err("a decimal has more than 38 digits".into());
    }
    Ok(tail.iter().fold(if sign { -1 } else { 0 }, |n: i128, b| n << 8 | i128::from(*b)))
}

/// `-12345` with scale 2 is `-123.45`.
pub(super) fn text(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The unscaled number of a text; digits behind the scale must be zeros.
pub(super) fn parse(text: &str, scale: usize) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let kept = fraction.get(..scale.min(fraction.len()))?;
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if fraction[kept.len()..].bytes().any(|b| b != b'0') {
        return None;
    }
    let unscaled = format!("{whole}{kept}{}", "0".repeat(scale - kept.len()));
    let unscaled: i128 = if unscaled.is_empty() { 0 } else { unscaled.parse().ok()? };
    Some(if negative { -unscaled } else { unscaled })
}

/// Writes the unscaled number into `size` bytes, or as few as it needs.
pub(super) fn bytes(unscaled: i128, size: Option<usize>) -> Option<Vec<u8>> {
    let all = unscaled.to_be_bytes();
    let fill = if unscaled < 0 { 0xff } else { 0 };
    let mut start = all.iter().take(MAX_BYTES - 1).position(|b| *b != fill).unwrap_or(MAX_BYTES - 1);
    if start > 0 && (all[start] & 0x80 != 0) != (unscaled < 0) {
        start -= 1;
    }
    let short = &all[start..];
    match size {
        None => Some(short.to_vec()),
        Some(size) => {
            let mut long = vec![fill; size.checked_sub(short.len())?];
            long.extend_from_slice(short);
            Some(long)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for n in [0, 1, -1, 127, 128, -128, -129, 255, 256, 12_345, -12_345, i128::MAX, i128::MIN + 1] {
            let short = bytes(n, None).expect("bytes");
            assert_eq!(unscaled(&short), Ok(n), "{n}");
            assert_eq!(unscaled(&bytes(n, Some(20)).expect("it has room")), Ok(n), "{n} in 20 bytes");
            for scale in [0, 1, 2, 38] {
                assert_eq!(parse(&text(n, scale), scale), Some(n), "{n} with scale {scale}");
            }
        }
        assert_eq!((bytes(128, Some(1)), bytes(-128, Some(1))), (None, Some(vec![0x80])));
        assert_eq!((text(-5, 2), text(12_345, 2)), ("-0.05".into(), "123.45".into()));
        assert_eq!((parse("1.50", 1), parse("1.55", 1), parse("", 1), parse("1e3", 1)), (Some(15), None, None, None));
        assert_eq!(unscaled(&[]), Ok(0));
    }
}
