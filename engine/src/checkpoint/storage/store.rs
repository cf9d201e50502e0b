//! A tree of keys and bytes: a directory or a prefix of an object store.
//!
//! The few operations that checkpoints need, the same for both. Keys are `/`-separated and
//! relative to the store's root.

use std::path::Path;

use bytes::Bytes;

use super::local::LocalStore;
use super::remote::RemoteStore;
use crate::checkpoint::error::{CheckpointError, Result};

/// A directory or a prefix of an object store.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Local(LocalStore),
    Remote(RemoteStore),
}

/// What a file turned out to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub len: u64,
    pub crc32: u32,
}

impl Store {
    /// Opens a directory (which need not exist) or `s3://bucket/prefix`.
    pub fn open(location: &str) -> Result<Self> {
        let unusable =
            |reason: &str| CheckpointError::Location { location: location.to_owned(), reason: reason.into() };
        match location.split_once("://") {
            None if location.is_empty() => Err(unusable("an empty path: give a directory or s3://bucket/prefix")),
            None => LocalStore::open(location).map(Store::Local),
            Some(("file", path)) => LocalStore::open(path).map(Store::Local),
            Some(("s3" | "s3a", rest)) => RemoteStore::open_s3(location, rest).map(Store::Remote),
            Some(_) => Err(unusable("not a place for checkpoints: give a directory or s3://bucket/prefix")),
        }
    }

    /// The store below the folder `name`.
    pub fn child(&self, name: &str) -> Self {
        match self {
            Store::Local(store) => Store::Local(store.child(name)),
            Store::Remote(store) => Store::Remote(store.child(name)),
        }
    }

    /// The full path or URL of a key; of the root if it is empty.
    pub fn url(&self, key: &str) -> String {
        match self {
            Store::Local(store) => store.path(key).display().to_string(),
            Store::Remote(store) => store.url(key),
        }
    }

    /// The content of a small object; `None` if there is none.
    pub async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        match self {
            Store::Local(store) => store.read(key).await,
            Store::Remote(store) => store.read(key).await,
        }
    }

    /// Writes a small object durably and all at once; `false` if there is one already.
    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<bool> {
        match self {
            Store::Local(store) => store.create(key, bytes).await,
            Store::Remote(store) => store.create(key, bytes).await,
        }
    }

    /// All keys below `folder`, relative to it, sorted; none if there is no such folder.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        match self {
            Store::Local(store) => store.list(folder).await,
            Store::Remote(store) => store.list(folder).await,
        }
    }

    /// Stores a local file under a new key: linked if both sides allow it, else copied. It is
    /// durable once its folder is synced.
    pub async fn put_file(&self, key: &str, from: &Path, link: bool) -> Result<Content> {
        match self {
            Store::Local(store) => store.put_file(key, from, link).await,
            Store::Remote(store) => store.put_file(key, from).await,
        }
    }

    /// Brings an object to a new local file: linked if both sides allow it, else copied.
    pub async fn get_file(&self, key: &str, to: &Path, link: bool) -> Result<Content> {
        match self {
            Store::Local(store) => store.get_file(key, to, link).await,
            Store::Remote(store) => store.get_file(key, to).await,
        }
    }

    /// Copies an object, which never changes, to another store.
    pub async fn copy_to(&self, key: &str, other: &Store, other_key: &str) -> Result<Content> {
        match (self, other) {
            (Store::Local(from), _) => other.put_file(other_key, &from.path(key), true).await,
            (Store::Remote(from), Store::Local(to)) => from.get_file(key, &to.prepare(other_key).await?).await,
            (Store::Remote(from), Store::Remote(to)) => from.copy_to(key, to, other_key).await,
        }
    }

    /// Makes the files of a folder durable.
    pub async fn sync(&self, folder: &str) -> Result<()> {
        match self {
            Store::Local(store) => store.sync(folder).await,
            Store::Remote(_) => Ok(()),
        }
    }

    /// Deletes an object; not an error if it is gone.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self {
            Store::Local(store) => store.delete(key).await,
            Store::Remote(store) => store.delete(key).await,
        }
    }

    /// Deletes a folder if it is empty.
    pub async fn remove_folder(&self, folder: &str) {
        if let Store::Local(store) = self {
            store.remove_folder(folder).await;
        }
    }

    /// Deletes what a killed `create` has left.
    pub async fn remove_temporaries(&self, folder: &str) {
        if let Store::Local(store) = self {
            store.remove_temporaries(folder).await;
        }
    }
}

/// A name as one path segment that every store takes as it is: other characters become `_`, and a
/// checksum keeps such names apart.
pub(crate) fn segment(name: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && !name.starts_with('.') && name.len() <= 128 && name.chars().all(safe) {
        return name.to_owned();
    }
    let kept: String = name.trim_start_matches('.').chars().take(64).map(|c| if safe(c) { c } else { '_' }).collect();
    format!("{kept}-{:08x}", crc32fast::hash(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_safe_and_apart() {
        assert_eq!(segment("smart-meters"), "smart-meters");
        for name in ["", ".", "..", "a/b", "../x", "Smart Meters", &"x".repeat(500), "zähler"] {
            let segment = segment(name);
            assert!(!segment.starts_with('.') && segment.len() <= 128 && !segment.contains(['/', ' ']), "{segment}");
        }
        assert_ne!(segment("a/b"), segment("a b"));
    }

    #[test]
    fn other_places_are_refused() {
        for location in ["", "hdfs://x/y"] {
            let error = Store::open(location).unwrap_err().to_string();
            assert!(error.contains("s3://bucket/prefix"), "{error}");
        }
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn s3_needs_its_feature() {
        let error = Store::open("s3://bucket/prefix").unwrap_err().to_string();
        assert!(error.contains("feature"), "{error}");
    }
}
