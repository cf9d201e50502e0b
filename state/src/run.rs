//! A sorted run: what a flush hands to the store. Everything lies in one arena, and sorting moves
//! 32-byte items that carry the first 16 bytes of their key, so that keys are rarely compared in
//! the arena itself.

/// What an item does to its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Put,
    Delete,
    /// Append to a list.
    Merge,
}

#[derive(Clone, Copy)]
struct Item {
    prefix: u128,
    offset: u32,
    key: u32,
    value: u32,
    op: Op,
}

/// Keys, values and operations, first in any order, then sorted by key.
#[derive(Default)]
pub(crate) struct Run {
    arena: Vec<u8>,
    items: Vec<Item>,
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    start: usize,
}

/// More than this and the run must be written: offsets are 32 bits.
pub(crate) const RUN_LIMIT: usize = 1 << 31;

impl Run {
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.ranges.clear();
        self.start = 0;
    }

    /// Gives memory beyond `keep` bytes back.
    pub(crate) fn shrink(&mut self, keep: usize) {
        if self.memory() > keep {
            *self = Self::default();
        }
    }

    /// Bytes in use: what decides when a run is written.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.arena.len() + self.items.len() * size_of::<Item>()
    }

    fn memory(&self) -> usize {
        self.arena.capacity() + self.items.capacity() * size_of::<Item>()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.arena.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.ranges.is_empty()
    }

    /// Where the next item's key, and after it its value, is appended.
    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// How long the key is that was appended since the last item.
    #[inline]
    pub(crate) fn key_len(&self) -> usize {
        self.arena.len() - self.start
    }

    /// Ends an item whose first `key` bytes since the last one are its key.
    #[inline]
    pub(crate) fn push(&mut self, op: Op, key: usize) {
        let bytes = &self.arena[self.start..];
        let prefix = prefix(&bytes[..key]);
        self.items.push(Item {
            prefix,
            offset: self.start as u32,
            key: key as u32,
            value: (bytes.len() - key) as u32,
            op,
        });
        self.start = self.arena.len();
    }

    /// Adds an item as a whole.
    pub(crate) fn add(&mut self, op: Op, key: &[u8], value: &[u8]) {
        self.arena.extend_from_slice(key);
        self.arena.extend_from_slice(value);
        self.push(op, key.len());
    }

    /// Deletes what the store holds in `[from, to)`; items of this run are not touched by it.
    pub(crate) fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        self.ranges.push((from, to));
    }

    pub(crate) fn ranges(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.ranges
    }

    pub(crate) fn sort(&mut self) {
        let arena = &self.arena;
        let key = |item: &Item| &arena[item.offset as usize..(item.offset + item.key) as usize];
        self.items.sort_unstable_by(|a, b| {
            a.prefix
                .cmp(&b.prefix)
                .then_with(|| if a.key <= 16 && b.key <= 16 { a.key.cmp(&b.key) } else { key(a).cmp(key(b)) })
        });
    }

    /// The items in their present order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Op, &[u8], &[u8])> {
        self.items.iter().map(|item| {
            let bytes = &self.arena[item.offset as usize..];
            let (key, rest) = bytes.split_at(item.key as usize);
            (item.op, key, &rest[..item.value as usize])
        })
    }

    /// Visits the items in their present order. Sorted items lie scattered in the arena: copying
    /// some of them together first lets the memory's latencies overlap.
    pub(crate) fn visit<E>(&self, mut visit: impl FnMut(Op, &[u8], &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut staged = Vec::new();
        for chunk in self.items.chunks(32) {
            staged.clear();
            for item in chunk {
                let (from, len) = (item.offset as usize, (item.key + item.value) as usize);
                staged.extend_from_slice(&self.arena[from..from + len]);
            }
            let mut rest = &staged[..];
            for item in chunk {
                let (key, tail) = rest.split_at(item.key as usize);
                let (value, tail) = tail.split_at(item.value as usize);
                visit(item.op, key, value)?;
                rest = tail;
            }
        }
        Ok(())
    }
}

/// The first 16 bytes as a number that sorts as they do, filled up with zeros.
#[inline]
fn prefix(key: &[u8]) -> u128 {
    if let Some(chunk) = key.first_chunk::<16>() {
        return u128::from_be_bytes(*chunk);
    }
    let mut padded = [0; 16];
    padded[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_bytes_do() {
        let mut keys: Vec<Vec<u8>> = vec![
            vec![],
            vec![0],
            vec![0, 0],
            b"abcdefghijklmnop".to_vec(),
            b"abcdefghijklmnop\0".to_vec(),
            b"abcdefghijklmnoq".to_vec(),
            b"abcdefghijklmnopqrstuvwxyz".to_vec(),
            b"abcdefghijklmnopqrstuvwxya".to_vec(),
            vec![0xff; 20],
            vec![0xff; 3],
        ];
        let mut run = Run::default();
        for key in &keys {
            run.add(Op::Put, key, &key[..key.len() / 2]);
        }
        run.sort();
        keys.sort();
        let sorted: Vec<_> = run.iter().map(|(_, k, v)| (k.to_vec(), v.to_vec())).collect();
        let expected: Vec<_> = keys.iter().map(|k| (k.clone(), k[..k.len() / 2].to_vec())).collect();
        assert_eq!(sorted, expected);
    }
}
