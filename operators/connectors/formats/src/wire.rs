//! The registry's wire format (a zero, the schema's id, and then the message) and its whole numbers, which are Avro's.

use std::{collections::HashMap, sync::Arc};

use hurtig_operators::schema::SchemaError;

use crate::{
    error::Result,
    registry::{RegisteredSchema, SchemaRegistry},
};

/// A schema that the registry does not have is asked for again with every so many messages.
const ASK_AGAIN: u32 = 1_000;
/// Ids of nonsense are not kept for ever.
const MAX_MISSING: usize = 1_024;

/// Writes what precedes a message.
pub(crate) fn put_header(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend(id.to_be_bytes());
}

/// The schema's id and the message behind it.
pub(crate) fn split(message: &[u8]) -> Result<(u32, &[u8]), String> {
    match message {
        [0, a, b, c, d, rest @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        [0, ..] => Err(format!("the message ends inside the schema's id: it has {} bytes", message.len())),
        [first, ..] => Err(format!(
            "the message begins with {first:#04x}, and not with 0 and a schema id: it is not of a schema registry"
        )),
        [] => Err("the message is empty".into()),
    }
}

/// Writes a whole number: zigzag, seven bits a byte.
#[inline]
pub(crate) fn put_long(n: i64, out: &mut Vec<u8>) {
    let mut z = ((n << 1) ^ (n >> 63)) as u64;
    while z > 0x7f {
        out.push(z as u8 | 0x80);
        z >>= 7;
    }
    out.push(z as u8);
}

/// Reads a whole number at `at`, which then stands behind it.
#[inline]
pub(crate) fn long(bytes: &[u8], at: &mut usize, what: &str) -> Result<i64, String> {
    let (mut z, mut shift) = (0_u64, 0);
    loop {
        let Some(&b) = bytes.get(*at) else { return Err(ends(what)) };
        *at += 1;
        // The tenth byte has room for one bit.
        if shift == 63 && b > 1 {
            return Err(format!("{what} has more than 64 bits"));
        }
        z |= u64::from(b & 0x7f) << shift;
        if b < 0x80 {
            return Ok((z >> 1) as i64 ^ -((z & 1) as i64));
        }
        shift += 7;
    }
}

#[cold]
pub(crate) fn ends(what: &str) -> String {
    format!("the message ends inside {what}")
}

/// What the writers' schemas mean to one reader, by their ids.
#[derive(Debug)]
pub(crate) struct Writers<P> {
    pub registry: SchemaRegistry,
    known: HashMap<u32, Result<Arc<P>, String>>,
    missing: HashMap<u32, u32>,
}

impl<P> Clone for Writers<P> {
    fn clone(&self) -> Self {
        Writers::new(self.registry.clone())
    }
}

impl<P> Writers<P> {
    pub fn new(registry: SchemaRegistry) -> Self {
        Writers { registry, known: HashMap::new(), missing: HashMap::new() }
    }

    /// What `make` made of the schema `id`, which the registry is asked for the first time. Where it
    /// cannot be asked, nothing is wrong with the message.
    #[inline]
    pub fn get(
        &mut self,
        id: u32,
        make: impl FnOnce(&RegisteredSchema) -> Result<P, String>,
    ) -> Result<Arc<P>, SchemaError> {
        match self.known.get(&id) {
            Some(known) => Ok(known.clone()?),
            None => self.ask(id, make),
        }
    }

    #[cold]
    fn ask(
        &mut self,
        id: u32,
        make: impl FnOnce(&RegisteredSchema) -> Result<P, String>,
    ) -> Result<Arc<P>, SchemaError> {
        let url = self.registry.url().to_owned();
        if let Some(left) = self.missing.get_mut(&id).filter(|left| **left > 0) {
            *left -= 1;
            return Err(not_there(id, &url).into());
        }
        // A registry's ids are Java's `int`s: others are of something that is no message.
        if i32::try_from(id).is_err() {
            return Err(not_there(id, &url).into());
        }
        match self.registry.schema(id) {
            Ok(Some(schema)) => {
                self.missing.remove(&id);
                let made = make(&schema).map(Arc::new).map_err(|e| format!("schema {id} of {url}: {e}"));
                self.known.insert(id, made.clone());
                Ok(made?)
            }
            Ok(None) => {
                if self.missing.len() >= MAX_MISSING {
                    self.missing.clear();
                }
                self.missing.insert(id, ASK_AGAIN);
                Err(not_there(id, &url).into())
            }
            Err(e) => Err(SchemaError::Unavailable(e.to_string())),
        }
    }
}

fn not_there(id: u32, url: &str) -> String {
    format!("the schema registry {url} has no schema {id}")
}
