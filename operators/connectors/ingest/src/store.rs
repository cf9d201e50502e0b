//! Where the files are: a directory or an S3 prefix, listed in a stable order and read in ranges.

use std::{ops::Range, path::Path, sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures::TryStreamExt;
use hurtig_engine::error::{Error, Result};
use object_store::{GetOptions, GetRange, ObjectStore, local::LocalFileSystem, path::Path as Key};

/// What errors call this source.
pub(crate) const NAME: &str = "ingest";

/// A file that was found, in the version that it had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The path below the root.
    pub path: String,
    pub etag: String,
    pub size: u64,
}

/// A directory or bucket with the pattern of the files that are meant.
#[derive(Debug, Clone)]
pub(crate) struct FileStore {
    store: Arc<dyn ObjectStore>,
    /// How people write the root: `s3://bucket` or a directory.
    root: String,
    /// What is listed; empty: everything.
    prefix: String,
    pattern: Option<glob::Pattern>,
    /// One file and no other.
    single: bool,
}

impl FileStore {
    /// A file, a directory, `s3://BUCKET/PREFIX`, or any of them with `*`, `?`, `[..]`, `**` from
    /// some part of the path on.
    pub fn open(location: &str) -> Result<Self> {
        match location.strip_prefix("s3://") {
            Some(rest) => Self::open_s3(location, rest),
            None => Self::open_local(location),
        }
    }

    fn open_local(location: &str) -> Result<Self> {
        let path = Path::new(location);
        let (root, name) = if path.is_dir() {
            (path, None)
        } else if path.is_file() {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            (path.parent().unwrap_or(Path::new("")), name)
        } else if has_wildcard(location) {
            let (root, pattern) = split_pattern(location);
            let root = Path::new(root);
            let store = Self::local(root, "")?;
            return Ok(FileStore { pattern: Some(compile(pattern)?), ..store });
        } else {
            return Err(Error::source(
                NAME,
                format!(
                    "'{location}' does not exist; give a file, a directory, a pattern such as 'dir/*.csv', or s3://BUCKET/PREFIX"
                ),
            ));
        };
        let store = Self::local(root, name.as_deref().unwrap_or_default())?;
        Ok(FileStore { single: name.is_some(), ..store })
    }

    fn local(root: &Path, prefix: &str) -> Result<Self> {
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let opened = root.canonicalize().map_err(|e| Error::io(root, e))?;
        let store = LocalFileSystem::new_with_prefix(&opened)
            .map_err(|e| Error::source(NAME, format!("'{}' cannot be opened: {e}", root.display())))?;
        let root = root.display().to_string();
        Ok(FileStore { store: Arc::new(store), root, prefix: prefix.to_owned(), pattern: None, single: false })
    }

    #[cfg(feature = "s3")]
    fn open_s3(location: &str, rest: &str) -> Result<Self> {
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::Config(format!("'{location}' names no bucket: write s3://BUCKET/PREFIX")));
        }
        // What has a body is retried here: a body may break off in the middle, too.
        let retry = object_store::RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(30),
            ..object_store::RetryConfig::default()
        };
        let store = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build();
        let store =
            store.map_err(|e| Error::source(NAME, format!("'{location}' cannot be opened: {}", one_line(&e))))?;
        let (prefix, pattern) = if has_wildcard(path) {
            (split_pattern(path).0.to_owned(), Some(compile(path)?))
        } else {
            (path.to_owned(), None)
        };
        Ok(FileStore { store: Arc::new(store), root: format!("s3://{bucket}"), prefix, pattern, single: false })
    }

    #[cfg(not(feature = "s3"))]
    fn open_s3(location: &str, _rest: &str) -> Result<Self> {
        Err(Error::Config(format!(
            "'{location}': this build has no S3: build with the feature `s3`, or give a directory"
        )))
    }

    /// The directory, for a store that is one.
    pub fn directory(&self) -> Option<&str> {
        (!self.root.starts_with("s3://")).then_some(&self.root)
    }

    /// The bucket, for a store that is one.
    pub fn bucket(&self) -> Option<&str> {
        self.root.strip_prefix("s3://")
    }

    /// How people write the place of a file.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// All files that are meant, by path: the order is the same every time.
    pub async fn list(&self) -> Result<Vec<Found>> {
        if self.single {
            return Ok(self.head(&self.prefix).await?.into_iter().collect());
        }
        // A prefix of object_store ends at a `/`; one within a name is looked for in the listing.
        let folder = if self.prefix.is_empty() || self.prefix.ends_with('/') {
            self.prefix.trim_end_matches('/')
        } else {
            self.prefix.rsplit_once('/').map_or("", |(folder, _)| folder)
        };
        let folder = (!folder.is_empty()).then(|| Key::from(folder));
        let objects: Vec<_> = self.store.list(folder.as_ref()).try_collect().await.map_err(|e| {
            Error::source(NAME, format!("'{}' cannot be listed: {}", self.url(&self.prefix), one_line(&e)))
        })?;
        let mut found: Vec<_> = objects.into_iter().filter(|o| self.is_meant(o.location.as_ref())).map(found).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// One file as it is now; `None`: there is none.
    pub async fn head(&self, path: &str) -> Result<Option<Found>> {
        let key = self.key(path)?;
        match self.store.get_opts(&key, GetOptions { head: true, ..GetOptions::default() }).await {
            Ok(got) => Ok(Some(found(got.meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::source(NAME, format!("'{}' cannot be read: {}", self.url(path), one_line(&e)))),
        }
    }

    /// Whether a path below the root is one of the files that are meant: neither hidden, nor of
    /// other systems (`_SUCCESS`), nor unfinished (`.pending`), and as the pattern has it.
    pub fn is_meant(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let wanted = match &self.pattern {
            Some(pattern) => {
                let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
                pattern.matches_with(path, options)
            }
            None => path.starts_with(&self.prefix),
        };
        wanted && !path.split('/').any(|part| part.starts_with(['.', '_'])) && !name.ends_with(".pending")
    }

    /// Reads `range` of the file in exactly this version. What passes by itself (a connection that
    /// broke, a server that is busy) is tried again, with pauses that grow and differ by `seed`.
    pub async fn read(&self, path: &str, etag: &str, range: Range<u64>, seed: u64) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let key = self.key(path)?;
        let expected = range.end - range.start;
        let get = || async {
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                if_match: Some(etag.to_owned()),
                ..GetOptions::default()
            };
            let bytes = self.store.get_opts(&key, options).await?.bytes().await?;
            if bytes.len() as u64 == expected {
                return Ok(bytes);
            }
            let source = format!("{} bytes came instead of {expected}", bytes.len()).into();
            Err(object_store::Error::Generic { store: NAME, source })
        };
        let pauses = ExponentialBuilder::default()
            .with_jitter_seed(seed)
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(6)
            .with_jitter();
        get.retry(pauses).when(passes).await.map_err(|e| match e {
            object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => Error::source(
                NAME,
                format!(
                    "'{}' is no longer the file whose reading began (ETag {etag}); put that version back, or start afresh",
                    self.url(path)
                ),
            ),
            e => Error::source(NAME, format!("'{}' cannot be read at byte {}: {}", self.url(path), range.start, one_line(&e))),
        })
    }

    fn key(&self, path: &str) -> Result<Key> {
        // Listed paths are already in the store's own writing.
        Key::parse(path).map_err(|e| Error::source(NAME, format!("'{}' is no path of a file: {e}", self.url(path))))
    }
}

fn found(meta: object_store::ObjectMeta) -> Found {
    // A store without ETags at least says when and how long.
    let etag = meta.e_tag.unwrap_or_else(|| format!("{:x}-{:x}", meta.last_modified.timestamp_millis(), meta.size));
    Found { path: meta.location.to_string(), etag, size: meta.size }
}

/// Whether an error may be gone when asked again.
fn passes(e: &object_store::Error) -> bool {
    matches!(e, object_store::Error::Generic { .. } | object_store::Error::JoinError { .. })
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The part of a path before the first part with a wildcard, and the rest.
fn split_pattern(text: &str) -> (&str, &str) {
    let wild = text.find(['*', '?', '[']).unwrap_or(text.len());
    let cut = text[..wild].rfind('/').map_or(0, |i| i + 1);
    text.split_at(cut)
}

fn compile(pattern: &str) -> Result<glob::Pattern> {
    glob::Pattern::new(pattern)
        .map_err(|e| Error::Config(format!("'{pattern}' is not a valid pattern: {e}; use *, ?, [..] and **")))
}

/// An error and its causes in one line.
pub(crate) fn one_line(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        let words = e.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = e.source();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
