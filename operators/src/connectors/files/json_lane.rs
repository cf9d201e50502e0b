//! The fast lane for JSON: what a line nearly always looks like, and nothing else.
//!
//! A line without escapes in its strings and without exponents in its numbers is read here, in
//! code small enough to be inlined into `T`'s own `Deserialize`. Whatever else comes, and every
//! error, takes the [`Detour`]: the general parser reads the line again from its beginning, and
//! its answer counts. So the lane needs no error messages, and must only never accept what the
//! general parser would refuse or read differently.
//!
//! Measured on the benchmarks' 88-byte lines of five fields (one thread, AMD EPYC): see
//! `examples/connector_rates.rs`.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
    value::BorrowedStrDeserializer,
};

mod digits;
#[cfg(test)]
mod tests;

use self::digits::digits;

/// Deeper nesting takes the detour.
const MAX_DEPTH: u32 = 64;

/// The `T` in `line`, unless the general parser has to look at it.
#[inline]
pub(super) fn from_line<T: DeserializeOwned>(line: &str) -> Option<T> {
    let mut lane = Lane { text: line, at: 0, depth: 0 };
    let value = T::deserialize(&mut lane).ok()?;
    lane.skip_blanks();
    (lane.at == line.len()).then_some(value)
}

/// The `T` at the beginning of `text` and its length, unless the general parser has to look at it.
#[inline]
pub(crate) fn first<T: DeserializeOwned>(text: &str) -> Option<(T, usize)> {
    let mut lane = Lane { text, at: 0, depth: 0 };
    let value = T::deserialize(&mut lane).ok()?;
    // What is not closed by itself may go on in a way that only the general parser knows.
    let closed = lane.at == text.len() || matches!(text.as_bytes()[lane.at - 1], b'}' | b']' | b'"');
    closed.then_some((value, lane.at))
}

/// "Not in this lane."
#[derive(Debug)]
struct Detour;

impl std::fmt::Display for Detour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("detour")
    }
}

impl std::error::Error for Detour {}

impl Error for Detour {
    #[cold]
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Detour
    }
    #[cold]
    fn invalid_type(_: serde::de::Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Detour
    }
    #[cold]
    fn missing_field(_: &'static str) -> Self {
        Detour
    }
}

type Result<T> = std::result::Result<T, Detour>;

struct Lane<'de> {
    text: &'de str,
    at: usize,
    depth: u32,
}

/// A number: whole, or not.
enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Number {
    #[inline]
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Number::Unsigned(n) => visitor.visit_u64(n),
            Number::Signed(n) => visitor.visit_i64(n),
            Number::Float(n) => visitor.visit_f64(n),
        }
    }
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

impl<'de> Lane<'de> {
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// The next byte that is not blank.
    #[inline(always)]
    fn token(&mut self) -> Result<u8> {
        match self.peek() {
            Some(b) if b > b' ' => Ok(b),
            _ => {
                self.skip_blanks();
                self.peek().ok_or(Detour)
            }
        }
    }

    #[inline(always)]
    fn expect(&mut self, b: u8) -> Result<()> {
        if self.token()? != b {
            return Err(Detour);
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn word(&mut self, word: &[u8]) -> Result<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word) {
            return Err(Detour);
        }
        self.at += word.len();
        Ok(())
    }

    /// A string without escapes.
    #[inline]
    fn string(&mut self) -> Result<&'de str> {
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut i = start;
        // Eight bytes at a time: a quote, a backslash and a control character all end the run.
        while let Some(eight) = bytes.get(i..i + 8) {
            let mut word = [0; 8];
            word.copy_from_slice(eight);
            let special = special_bytes(u64::from_le_bytes(word));
            if special != 0 {
                i += (special.trailing_zeros() / 8) as usize;
                break;
            }
            i += 8;
        }
        while bytes.get(i).is_some_and(|&b| b != b'"' && b != b'\\' && b >= b' ') {
            i += 1;
        }
        if bytes.get(i) != Some(&b'"') {
            return Err(Detour);
        }
        self.at = i + 1;
        // SAFETY: both are inside, and both stand at the ASCII quotes of the string, which are
        // never inside another character.
        Ok(unsafe { self.text.get_unchecked(start..i) })
    }

    #[inline]
    fn number(&mut self) -> Result<Number> {
        let first = self.token()?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let negative = first == b'-';
        let begin = start + usize::from(negative);
        let (whole, end) = digits(bytes, begin, 0);
        let whole_digits = end - begin;
        // "01" and "-" are no numbers, "-0" is a float.
        let zero = whole_digits > 0 && bytes[begin] == b'0';
        let next = bytes.get(end).copied();
        if whole_digits == 0 || whole_digits > 18 || zero && (whole_digits > 1 || negative && next != Some(b'.')) {
            return Err(Detour);
        }
        match next {
            Some(b'.') => {
                let point = end + 1;
                let (mantissa, end) = digits(bytes, point, whole);
                let scale = end - point;
                if scale == 0 || matches!(bytes.get(end), Some(b'e' | b'E')) {
                    return Err(Detour);
                }
                self.at = end;
                // Both are exact, so the quotient is rounded once, and rightly.
                if whole_digits + scale <= 15 {
                    let value = mantissa as f64 / POWERS[scale];
                    return Ok(Number::Float(if negative { -value } else { value }));
                }
                self.text.get(start..end).and_then(|t| t.parse().ok()).map(Number::Float).ok_or(Detour)
            }
            Some(b'e' | b'E') => Err(Detour),
            _ => {
                self.at = end;
                Ok(if negative { Number::Signed((whole as i64).wrapping_neg()) } else { Number::Unsigned(whole) })
            }
        }
    }

    #[inline]
    fn enter(&mut self) -> Result<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Detour) } else { Ok(()) }
    }

    #[inline]
    fn map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let value = visitor.visit_map(Items { lane: self, first: true })?;
        self.depth -= 1;
        self.expect(b'}')?;
        Ok(value)
    }

    #[inline]
    fn seq<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.enter()?;
        let value = visitor.visit_seq(Items { lane: self, first: true })?;
        self.depth -= 1;
        self.expect(b']')?;
        Ok(value)
    }
}

/// The high bit of every byte that is a quote, a backslash or a control character (and perhaps
/// of bytes above the first such one).
#[inline(always)]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let is_zero = |w: u64| w.wrapping_sub(ONES) & !w;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_zero(word ^ (ONES * u64::from(b'"'))) | is_zero(word ^ (ONES * u64::from(b'\\'))) | control) & HIGHS
}

macro_rules! numbers {
    ($($name:ident)*) => {$(
        #[inline]
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.number()?.visit(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Lane<'de> {
    type Error = Detour;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.token()? {
            b'"' => visitor.visit_borrowed_str(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?.visit(visitor),
            b't' | b'f' => self.deserialize_bool(visitor),
            b'n' => self.deserialize_unit(visitor),
            b'{' => self.map(visitor),
            b'[' => self.seq(visitor),
            _ => Err(Detour),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let value = self.token()? == b't';
        self.word(if value { b"true" } else { b"false" })?;
        visitor.visit_bool(value)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_str(self.string()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.token()? == b'n' {
            self.word(b"null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.token()?;
        self.word(b"null")?;
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        // Names with a '$' are how parsers talk to their own types.
        if name.starts_with('$') { Err(Detour) } else { visitor.visit_newtype_struct(self) }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if name.starts_with('$') { Err(Detour) } else { self.deserialize_map(visitor) }
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.token()? != b'{' {
            return Err(Detour);
        }
        self.map(visitor)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.token()? != b'[' {
            return Err(Detour);
        }
        self.seq(visitor)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        // Variants without fields; others take the detour.
        let variant: BorrowedStrDeserializer<'de, Detour> = BorrowedStrDeserializer::new(self.string()?);
        visitor.visit_enum(variant)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value> {
        Err(Detour)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value> {
        Err(Detour)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }
}

/// What stands between brackets or braces.
struct Items<'a, 'de> {
    lane: &'a mut Lane<'de>,
    first: bool,
}

impl Items<'_, '_> {
    /// Whether another item comes; moves past the comma before it.
    #[inline]
    fn more(&mut self, end: u8) -> Result<bool> {
        let b = self.lane.token()?;
        if std::mem::take(&mut self.first) {
            return Ok(b != end);
        }
        if b != b',' {
            return if b == end { Ok(false) } else { Err(Detour) };
        }
        self.lane.at += 1;
        // A comma before the end is an error, which the general parser words.
        if self.lane.token()? == end { Err(Detour) } else { Ok(true) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Detour;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        let key: BorrowedStrDeserializer<'de, Detour> = BorrowedStrDeserializer::new(self.lane.string()?);
        seed.deserialize(key).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.lane.expect(b':')?;
        seed.deserialize(&mut *self.lane)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Detour;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.more(b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.lane).map(Some)
    }
}
