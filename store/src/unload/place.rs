//! Where UNLOAD may write, and which folder a statement means.
//!
//! Whoever runs a server says where: no statement's path goes anywhere else. Below a bucket's prefix the statement's
//! `s3://bucket/prefix/…` is what it says. A directory stands for all of S3: `s3://bucket/folder` is its `bucket/folder`.

use std::path::{Path as FilePath, PathBuf};

use hurtig_timestream_sql::{Error, Result};
use object_store::path::Path;

use crate::magnetic::storage::Storage;

/// Where UNLOAD may write.
#[derive(Debug, Clone)]
pub struct UnloadPlace {
    storage: Storage,
    root: Root,
}

#[derive(Debug, Clone)]
enum Root {
    /// A directory: as it was given, and as it is called without links.
    Directory { given: PathBuf, real: PathBuf },
    /// A bucket with a prefix.
    Bucket { bucket: String, prefix: Path },
}

/// A statement's folder.
#[derive(Debug, Clone)]
pub struct Folder {
    storage: Storage,
    /// In the storage.
    path: Path,
    /// What is before a path to make a URL of it.
    before: String,
}

impl UnloadPlace {
    /// `s3://bucket/prefix`, with everything else from the environment's `AWS_…`, or a directory, which is made when it is
    /// not there.
    ///
    /// # Errors
    /// A directory that cannot be made; a bucket's settings that do not do; S3 in a build without it.
    pub fn open(place: &str) -> crate::Result<Self> {
        let storage = Storage::open(place)?;
        let root = match place.strip_prefix("s3://") {
            Some(rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Root::Bucket { bucket: bucket.to_owned(), prefix: Path::from(prefix) }
            }
            None => {
                use crate::error::At;
                let given = FilePath::new(place);
                let real = given.canonicalize().at(given)?;
                Root::Directory { given: std::path::absolute(given).at(given)?, real }
            }
        };
        Ok(UnloadPlace { storage, root })
    }

    /// The folder of a statement that unloads to `to`.
    ///
    /// # Errors
    /// [`Error::Validation`] when it is not below this place.
    pub fn folder(&self, to: &str) -> Result<Folder> {
        let path = match (&self.root, to.strip_prefix("s3://"), to.strip_prefix("file://")) {
            (Root::Bucket { bucket, prefix }, Some(rest), _) => {
                let (name, folder) = rest.split_once('/').unwrap_or((rest, ""));
                let folder = parts(to, folder)?;
                if name != bucket || !folder.prefix_matches(prefix) {
                    return Err(self.elsewhere(to));
                }
                folder
            }
            (Root::Directory { .. }, Some(rest), _) => {
                if rest.split('/').next().is_none_or(str::is_empty) {
                    return Err(no_folder(to));
                }
                parts(to, rest)?
            }
            (Root::Directory { given, real }, None, Some(file)) => {
                let below = [given, real].into_iter().find_map(|dir| FilePath::new(file).strip_prefix(dir).ok());
                let below = below.and_then(FilePath::to_str).ok_or_else(|| self.elsewhere(to))?;
                parts(to, below)?
            }
            _ => return Err(self.elsewhere(to)),
        };
        let before = match &self.root {
            Root::Bucket { bucket, .. } => format!("s3://{bucket}/"),
            Root::Directory { real, .. } => format!("file://{}/", real.display()),
        };
        Ok(Folder { storage: self.storage.clone(), path, before })
    }

    fn elsewhere(&self, to: &str) -> Error {
        let here = match &self.root {
            Root::Bucket { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
            Root::Directory { real, .. } => {
                format!("file://{}, or s3://… , which is a directory there", real.display())
            }
        };
        Error::Validation(format!("UNLOAD may not write to '{to}': this server lets it write below {here}"))
    }
}

impl Folder {
    /// Where its files go.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> Path {
        self.path.clone().join(name)
    }

    /// What a path in the storage is called from outside.
    pub fn url(&self, path: &Path) -> String {
        format!("{}{path}", self.before)
    }
}

/// A path as it is written, with nothing in it that means another directory.
fn parts(to: &str, text: &str) -> Result<Path> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(no_folder(to));
    }
    Ok(Path::from_iter(parts))
}

fn no_folder(to: &str) -> Error {
    Error::Validation(format!("UNLOAD cannot write to '{to}': a destination is written 's3://bucket/folder'"))
}
