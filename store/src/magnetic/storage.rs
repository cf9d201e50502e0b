//! Where the magnetic store's files are: a directory, or a bucket of S3.

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, local::LocalFileSystem, path::Path};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result as ParquetResult},
    file::metadata::ParquetMetaData,
};

use crate::error::{At, Error, Result};

/// The files' place.
#[derive(Debug, Clone)]
pub struct Storage {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What of it must be synced by us: object_store's local directory does not.
    local: Option<PathBuf>,
}

impl Storage {
    /// A directory, which is made if it is not there.
    pub fn directory(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir).at(&dir)?;
        Self::existing(dir)
    }

    /// A directory that is there.
    pub fn existing(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let dir = dir.canonicalize().at(&dir)?;
        let objects = Arc::new(LocalFileSystem::new_with_prefix(&dir)?);
        Ok(Storage { objects, prefix: Path::default(), local: Some(dir) })
    }

    /// `s3://bucket/prefix`, with everything else from the environment's `AWS_…` as AWS's own tools have it, or a directory.
    ///
    /// # Errors
    /// A directory that cannot be made; a bucket's settings that do not do; S3 in a build without it.
    pub fn open(place: &str) -> Result<Self> {
        let Some(rest) = place.strip_prefix("s3://") else { return Self::directory(place) };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::Validation(format!("'{place}' names no bucket: write s3://bucket/prefix")));
        }
        Self::bucket(bucket, Path::from(prefix))
    }

    #[cfg(feature = "s3")]
    fn bucket(bucket: &str, prefix: Path) -> Result<Self> {
        let objects = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).build()?;
        Ok(Self::objects(Arc::new(objects), prefix))
    }

    #[cfg(not(feature = "s3"))]
    fn bucket(bucket: &str, _prefix: Path) -> Result<Self> {
        Err(Error::Validation(format!(
            "s3://{bucket}: this build has no S3: build with the feature `s3`, or give a directory"
        )))
    }

    /// Objects below a prefix.
    pub fn objects(objects: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Storage { objects, prefix, local: None }
    }

    /// The objects themselves.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.objects.clone()
    }

    /// The whole path of a file.
    pub fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    /// Writes a file; it would survive a power loss.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.put_at(&self.path(name), bytes).await
    }

    /// As [`Storage::put`], at a whole path.
    pub(crate) async fn put_at(&self, path: &Path, bytes: Bytes) -> Result<()> {
        self.objects.put(path, bytes.into()).await?;
        self.sync(path).await
    }

    /// Makes a file that is there such that it would survive a power loss.
    pub(crate) async fn sync(&self, path: &Path) -> Result<()> {
        if let Some(dir) = self.local.clone() {
            let file = dir.join(path.as_ref());
            let synced = tokio::task::spawn_blocking(move || -> Result<()> {
                std::fs::File::open(&file).and_then(|f| f.sync_all()).at(&file)?;
                // The directories may be as new as the file.
                for parent in file.ancestors().skip(1).take_while(|p| p.starts_with(&dir)) {
                    std::fs::File::open(parent).and_then(|f| f.sync_all()).at(parent)?;
                }
                Ok(())
            });
            synced.await.map_err(std::io::Error::other).at(std::path::Path::new(path.as_ref()))??;
        }
        Ok(())
    }

    /// Removes a file; it may have gone already.
    pub async fn delete(&self, name: &str) -> Result<()> {
        match self.objects.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// The bytes of a file; none when it is not there.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        match self.objects.get(&self.path(name)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Writes a file that must not be there yet; whether it was not.
    pub async fn put_new(&self, name: &str, bytes: Bytes) -> Result<bool> {
        let path = self.path(name);
        match self.objects.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => self.sync(&path).await.map(|()| true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes what a process that was killed while it wrote into a directory has left: object_store writes `NAME#1` and
    /// renames it, and lists no such name.
    pub fn remove_staged(&self, is_ours: impl Fn(&str) -> bool) -> Result<()> {
        let Some(root) = &self.local else { return Ok(()) };
        let mut directories = vec![root.clone()];
        while let Some(dir) = directories.pop() {
            for entry in std::fs::read_dir(&dir).at(&dir)? {
                let path = entry.at(&dir)?.path();
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                let name = path.strip_prefix(root).ok().and_then(|name| name.to_str());
                let staged = name
                    .and_then(|name| name.rsplit_once('#'))
                    .is_some_and(|(name, number)| number.bytes().all(|b| b.is_ascii_digit()) && is_ours(name));
                if staged {
                    std::fs::remove_file(&path).at(&path)?;
                }
            }
        }
        Ok(())
    }

    /// The names of all files below `below`.
    pub async fn list(&self, below: &str) -> Result<Vec<String>> {
        let prefix = self.path(below);
        let skip = self.prefix.as_ref().len() + usize::from(!self.prefix.as_ref().is_empty());
        let names = self.objects.list(Some(&prefix)).map(|o| o.map(|o| o.location.as_ref()[skip..].to_owned()));
        Ok(names.try_collect().await?)
    }
}

/// Reads one file, whose footer is known or is read first.
#[derive(Debug, Clone)]
pub struct FileReader {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    metadata: Option<Arc<ParquetMetaData>>,
}

impl FileReader {
    /// Of a file of this size.
    pub fn new(storage: &Storage, name: &str, size: u64, metadata: Option<Arc<ParquetMetaData>>) -> Self {
        FileReader { objects: storage.object_store(), path: storage.path(name), size, metadata }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.local {
            Some(dir) => write!(f, "{}", dir.display()),
            None => write!(f, "{}/{}", self.objects, self.prefix),
        }
    }
}

fn external(e: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(e))
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { self.objects.get_range(&self.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move { self.objects.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            if let Some(metadata) = &self.metadata {
                return Ok(metadata.clone());
            }
            let reader = parquet::file::metadata::ParquetMetaDataReader::new()
                .with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required);
            let size = self.size;
            let metadata = Arc::new(reader.load_and_finish(&mut *self, size).await?);
            self.metadata = Some(metadata.clone());
            Ok(metadata)
        }
        .boxed()
    }
}
