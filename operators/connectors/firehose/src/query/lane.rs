//! Programs of the common form, run while the record is read.
//!
//! `{year:.time[:4],hour:.time[11:13],site:.site.id}`: paths of fields, of whose text perhaps a piece
//! is taken. The record is looked through once by serde, nothing is built but the texts asked for.
//! A number that is not a small integer is left to jq, which writes it as it stands in the record.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What to find in a record, and what to make of it.
#[derive(Debug)]
pub(super) struct Lane {
    root: Node,
    /// One for each key that is wanted.
    outputs: Vec<Output>,
    /// What was found, one for each leaf.
    found: Vec<Found>,
}

/// A field's fields.
#[derive(Debug, Default)]
struct Node {
    fields: Vec<(String, Want)>,
}

#[derive(Debug)]
enum Want {
    Leaf(usize),
    Inside(Node),
}

/// A key: a leaf's text, or a piece of it, in characters.
#[derive(Debug)]
struct Output {
    leaf: usize,
    from: usize,
    to: Option<usize>,
    /// Whether a piece is taken, which only text has.
    piece: bool,
}

#[derive(Debug, Default)]
struct Found {
    text: String,
    kind: Kind,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Missing, null, or nothing that can be a key.
    #[default]
    Nothing,
    Text,
    /// A number or a truth value.
    Scalar,
    /// For jq to write.
    Number,
}

impl Lane {
    /// The lane of a program, if it has the common form; the first of `keys` that it does not make.
    pub fn of(program: &str, keys: &[String]) -> Option<Result<Lane, String>> {
        let parsed = Parser { rest: program.trim() }.object()?;
        let mut lane = Lane { root: Node::default(), outputs: Vec::new(), found: Vec::new() };
        for key in keys {
            let Some((_, path, piece)) = parsed.iter().find(|(name, ..)| name == key) else {
                return Some(Err(key.clone()));
            };
            let leaf = lane.root.leaf(path, &mut lane.found)?;
            let (from, to) = piece.unwrap_or_default();
            lane.outputs.push(Output { leaf, from, to, piece: piece.is_some() });
        }
        // Another key may fail too, and with it the whole program.
        (parsed.len() == keys.len()).then_some(Ok(lane))
    }

    /// The keys of a record; empty ones for what it does not have. `false`: ask jq.
    pub fn keys(&mut self, record: &[u8], values: &mut [String]) -> Result<bool, serde_json::Error> {
        for found in &mut self.found {
            found.kind = Kind::Nothing;
        }
        let mut reader = serde_json::Deserializer::from_slice(record);
        Inside { node: &self.root, found: &mut self.found }.deserialize(&mut reader)?;
        reader.end()?;
        for (output, value) in self.outputs.iter().zip(values) {
            let found = &self.found[output.leaf];
            match found.kind {
                Kind::Number => return Ok(false),
                Kind::Text if output.piece => value.push_str(piece(&found.text, output.from, output.to)),
                Kind::Text => value.push_str(&found.text),
                Kind::Scalar if !output.piece => value.push_str(&found.text),
                Kind::Scalar | Kind::Nothing => {}
            }
        }
        Ok(true)
    }
}

impl Node {
    /// The leaf at `path`, which may be there already; `None` if it is inside another, or around one.
    fn leaf(&mut self, path: &[String], found: &mut Vec<Found>) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let at = self.fields.iter().position(|(name, _)| name == first);
        let at = at.unwrap_or_else(|| {
            let want = if rest.is_empty() {
                found.push(Found::default());
                Want::Leaf(found.len() - 1)
            } else {
                Want::Inside(Node::default())
            };
            self.fields.push((first.clone(), want));
            self.fields.len() - 1
        });
        match &mut self.fields[at].1 {
            Want::Leaf(leaf) => rest.is_empty().then_some(*leaf),
            Want::Inside(_) if rest.is_empty() => None,
            Want::Inside(node) => node.leaf(rest, found),
        }
    }

    /// Forgets what was found inside: the same field comes again, and the last one counts.
    fn forget(&self, found: &mut [Found]) {
        for (_, want) in &self.fields {
            match want {
                Want::Leaf(leaf) => found[*leaf].kind = Kind::Nothing,
                Want::Inside(node) => node.forget(found),
            }
        }
    }
}

/// The characters `from..to` of a text.
fn piece(text: &str, from: usize, to: Option<usize>) -> &str {
    let at = |n: usize| {
        if text.is_ascii() { n.min(text.len()) } else { text.char_indices().nth(n).map_or(text.len(), |(i, _)| i) }
    };
    let (from, to) = (at(from), to.map_or(text.len(), at));
    text.get(from..to).unwrap_or_default()
}

/// Looks through a value for the fields of a node.
struct Inside<'a> {
    node: &'a Node,
    found: &'a mut [Found],
}

impl<'de> DeserializeSeed<'de> for Inside<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

/// What a visitor does with values that hold nothing of interest.
macro_rules! nothing {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E: de::Error>(self, _: $type) -> Result<(), E> {
            Ok(())
        })*
    };
}

impl<'de> Visitor<'de> for Inside<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Which(self.node))? {
            match field.map(|i| &self.node.fields[i].1) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(Want::Leaf(leaf)) => map.next_value_seed(Leaf(&mut self.found[*leaf]))?,
                Some(Want::Inside(node)) => {
                    node.forget(self.found);
                    map.next_value_seed(Inside { node, found: &mut *self.found })?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    nothing!(visit_str: &str, visit_bool: bool, visit_u64: u64, visit_i64: i64, visit_f64: f64);
}

/// Which of a node's fields a key is.
struct Which<'a>(&'a Node);

impl<'de> DeserializeSeed<'de> for Which<'_> {
    type Value = Option<usize>;

    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<Option<usize>, D::Error> {
        d.deserialize_str(self)
    }
}

impl Visitor<'_> for Which<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.fields.iter().position(|(name, _)| name == key))
    }
}

/// Keeps a value that may be a key.
struct Leaf<'a>(&'a mut Found);

impl Leaf<'_> {
    fn keep(self, kind: Kind, text: fmt::Arguments<'_>) {
        self.0.kind = kind;
        self.0.text.clear();
        // Writing to a string does not fail.
        let _ = fmt::Write::write_fmt(&mut self.0.text, text);
    }
}

impl<'de> DeserializeSeed<'de> for Leaf<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        self.0.kind = Kind::Nothing;
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Leaf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.0.kind = Kind::Text;
        self.0.text.clear();
        self.0.text.push_str(text);
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<(), E> {
        self.keep(Kind::Scalar, format_args!("{n}"));
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<(), E> {
        self.keep(Kind::Scalar, format_args!("{n}"));
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.0.kind = Kind::Number;
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<(), E> {
        self.keep(Kind::Scalar, format_args!("{yes}"));
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// A key's name, the path of its field, and the piece that is taken.
type Entry = (String, Vec<String>, Option<(usize, Option<usize>)>);

/// Reads the common form; `None` for any other. jq has compiled the program before.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn object(mut self) -> Option<Vec<Entry>> {
        self.take('{')?;
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let name = self.word()?;
            self.take(':')?;
            let path = self.path()?;
            let piece = if self.take('[').is_some() { Some(self.piece()?) } else { None };
            // Of a key that is made twice jq takes the last one.
            if entries.iter().any(|(n, ..)| *n == name) {
                return None;
            }
            entries.push((name, path, piece));
            if self.take(',').is_none() {
                break;
            }
        }
        self.take('}')?;
        self.rest.trim_start().is_empty().then_some(entries)
    }

    fn path(&mut self) -> Option<Vec<String>> {
        let mut path = Vec::new();
        while self.take('.').is_some() {
            path.push(self.word()?);
        }
        (!path.is_empty()).then_some(path)
    }

    /// `:4]`, `5:7]` or `5:]`.
    fn piece(&mut self) -> Option<(usize, Option<usize>)> {
        let from = self.number()?;
        self.take(':')?;
        let to = self.number()?;
        self.take(']')?;
        (from.is_some() || to.is_some()).then_some((from.unwrap_or(0), to))
    }

    fn take(&mut self, c: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(c)?;
        Some(())
    }

    fn word(&mut self) -> Option<String> {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
        let word = &text[..end];
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = &text[end..];
        Some(word.to_owned())
    }

    /// A number that need not be there; `None` for one that is too large.
    fn number(&mut self) -> Option<Option<usize>> {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        if end == 0 {
            return Some(None);
        }
        self.rest = &text[end..];
        text[..end].parse().ok().map(Some)
    }
}
