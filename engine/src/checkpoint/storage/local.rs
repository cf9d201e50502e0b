//! A directory as a store.
//!
//! object_store's local store neither syncs nor links, so this is written on the file system
//! itself: every file and every directory that a manifest relies on is synced here.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::store::Content;
use crate::checkpoint::error::{CheckpointError, Result};

const TEMPORARY: &str = ".tmp-";

/// A directory.
#[derive(Clone, Debug)]
pub(crate) struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// The directory need not exist: it is made when something is written.
    pub fn open(path: &str) -> Result<Self> {
        // Absolute, so that it stays where it is and can be shown to people.
        let root = std::path::absolute(path).map_err(CheckpointError::io("open", Path::new(path)))?;
        Ok(LocalStore { root })
    }

    pub fn child(&self, name: &str) -> Self {
        LocalStore { root: self.root.join(name) }
    }

    pub fn path(&self, key: &str) -> PathBuf {
        if key.is_empty() { self.root.clone() } else { self.root.join(key) }
    }

    pub async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        let path = self.path(key);
        blocking(move || match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(CheckpointError::io("read", &path)(error)),
        })
        .await
    }

    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<bool> {
        let path = self.path(key);
        blocking(move || create(&path, &bytes)).await
    }

    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let folder = self.path(folder);
        blocking(move || {
            let mut keys = Vec::new();
            list(&folder, "", &mut keys).map_err(CheckpointError::io("list", &folder))?;
            keys.sort_unstable();
            Ok(keys)
        })
        .await
    }

    pub async fn put_file(&self, key: &str, from: &Path, link: bool) -> Result<Content> {
        let to = self.prepare(key).await?;
        let from = from.to_owned();
        blocking(move || {
            link_or_copy(&from, &to, link).map_err(CheckpointError::io("write", &to))?;
            File::open(&to).and_then(|file| file.sync_all()).map_err(CheckpointError::io("sync", &to))?;
            content_of(&to)
        })
        .await
    }

    pub async fn get_file(&self, key: &str, to: &Path, link: bool) -> Result<Content> {
        let from = self.path(key);
        let to = to.to_owned();
        blocking(move || {
            // Errors of the one side and of the other must not be taken for each other.
            fs::metadata(&from).map_err(CheckpointError::io("read", &from))?;
            link_or_copy(&from, &to, link).map_err(CheckpointError::io("write", &to))?;
            content_of(&to)
        })
        .await
    }

    /// Makes the folder of a new key; the file's path.
    pub async fn prepare(&self, key: &str) -> Result<PathBuf> {
        let path = self.path(key);
        blocking(move || {
            make_parent(&path)?;
            Ok(path)
        })
        .await
    }

    pub async fn sync(&self, folder: &str) -> Result<()> {
        let folder = self.path(folder);
        blocking(move || if folder.exists() { sync_directory(&folder) } else { Ok(()) }).await
    }

    pub async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if !is_missing(&error) => Err(CheckpointError::io("delete", &path)(error)),
            _ => Ok(()),
        })
        .await
    }

    pub async fn remove_folder(&self, folder: &str) {
        let folder = self.path(folder);
        // Only an empty one goes; all others are meant to stay.
        let _ = blocking(move || Ok(fs::remove_dir(folder).is_ok())).await;
    }

    pub async fn remove_temporaries(&self, folder: &str) {
        let folder = self.path(folder);
        let _ = blocking(move || {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                    let _ = fs::remove_file(entry.path());
                }
            }
            Ok(())
        })
        .await;
    }
}

/// Length and checksum of a local file.
pub(crate) fn content_of(path: &Path) -> Result<Content> {
    let read = || {
        let mut file = File::open(path)?;
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; 1 << 18];
        let mut len = 0;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => {
                    return Ok(Content { len, crc32: hasher.finalize() });
                }
                Ok(n) => {
                    hasher.update(buffer.get(..n).unwrap_or_default());
                    len += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    read().map_err(CheckpointError::io("read", path))
}

/// Runs file system work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(CheckpointError::Io {
                doing: "finish",
                path: "file system work".to_owned(),
                source: std::io::Error::other(error),
            }),
        },
    }
}

/// Creates a file durably and all at once; `false` if it is there already.
fn create(path: &Path, bytes: &[u8]) -> Result<bool> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let directory = make_parent(path)?;
    let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = directory.join(format!("{TEMPORARY}{}-{unique}", std::process::id()));
    let write = || {
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match fs::hard_link(&temporary, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            // Some file systems have no links. Then the data directory's lock has to do.
            Err(_) if path.try_exists()? => Ok(false),
            Err(_) => fs::rename(&temporary, path).map(|()| true),
        }
    };
    let created = write().map_err(CheckpointError::io("write", path));
    let _ = fs::remove_file(&temporary);
    if created? {
        sync_directory(&directory)?;
        return Ok(true);
    }
    Ok(false)
}

fn link_or_copy(from: &Path, to: &Path, link: bool) -> std::io::Result<()> {
    if link {
        match fs::hard_link(from, to) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // Another file system, or one without links: copy.
            Err(_) => {}
        }
    }
    let mut target = File::create_new(to)?;
    std::io::copy(&mut File::open(from)?, &mut target)?;
    Ok(())
}

fn list(folder: &Path, prefix: &str, keys: &mut Vec<String>) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{prefix}{name}/"), keys)?;
        } else if !name.starts_with(TEMPORARY) {
            keys.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// Makes the directory that `path` is in, durably.
fn make_parent(path: &Path) -> Result<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    make_directory(directory)?;
    Ok(directory.to_owned())
}

fn make_directory(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_directory(parent)?;
    }
    match fs::create_dir(directory) {
        Ok(()) => parent.map_or(Ok(()), sync_directory),
        // Somebody else was quicker.
        Err(_) if directory.is_dir() => Ok(()),
        Err(error) => Err(CheckpointError::io("create directory", directory)(error)),
    }
}

fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(CheckpointError::io("sync", directory))
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}
