//! Where files are: a bucket's prefix or a directory, and who opens the object store that has them.

use std::{fmt, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem, path::Path};

use crate::error::{Cause, Error, Result};

/// A place for files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    bucket: Option<String>,
    path: Path,
}

/// Who knows the object stores. A function from a location to a store is one.
pub trait ObjectStores: Send + Sync {
    /// The store that has a location's files: a bucket's, whose keys are the [paths](Location::path), or for a directory
    /// the file system from its root.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being opened, in a line.
    fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>, Cause>;
}

/// Directories only.
#[derive(Debug, Default, Clone, Copy)]
pub struct LocalFiles;

impl<F> ObjectStores for F
where
    F: Fn(&Location) -> Result<Arc<dyn ObjectStore>, Cause> + Send + Sync,
{
    fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>, Cause> {
        self(location)
    }
}

impl ObjectStores for LocalFiles {
    fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>, Cause> {
        match location.bucket() {
            None => Ok(Arc::new(LocalFileSystem::new())),
            Some(_) => Err("only directories are read here, no S3".into()),
        }
    }
}

impl Location {
    /// Reads `s3://bucket/prefix`, `file:///directory` or `/directory`.
    ///
    /// # Errors
    ///
    /// [`Error::Location`] for other schemes, for paths that are not absolute, and for keys that no store lists.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |message: String| Error::Location { location: text.to_owned(), message };
        let schemes = ["s3://", "s3a://", "s3n://"];
        let (bucket, path) = if let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(wrong("there is no bucket: write s3://bucket/prefix/".into()));
            }
            (Some(bucket.to_owned()), prefix)
        } else if let Some(path) = text.strip_prefix("file:") {
            let path = if let Some(rest) = path.strip_prefix("//") {
                rest.strip_prefix("localhost").unwrap_or(rest)
            } else {
                path
            };
            (None, path)
        } else if text.contains("://") {
            return Err(wrong("only s3://bucket/prefix/ and directories are read".into()));
        } else {
            (None, text)
        };
        if bucket.is_none() && !path.starts_with('/') {
            return Err(wrong(
                "a directory is written with its whole path, from the root: /data/meters or file:///data/meters".into(),
            ));
        }
        let path = Path::parse(path).map_err(|e| wrong(format!("it is no path of an object store ({e})")))?;
        Ok(Location { bucket, path })
    }

    /// The bucket; `None` for a directory.
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// The prefix in the bucket, or the directory without the first `/`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same place in another path of the same store.
    pub(crate) fn at(&self, path: &Path) -> Location {
        Location { bucket: self.bucket.clone(), path: path.clone() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bucket {
            Some(bucket) => write!(f, "s3://{bucket}/{}", self.path),
            None => write!(f, "/{}", self.path),
        }
    }
}
