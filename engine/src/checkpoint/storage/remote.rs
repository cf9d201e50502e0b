//! A prefix of an object store (S3) as a store.
//!
//! Files stream in both directions: memory is bounded by a few parts a file, however large it is.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::store::Content;
use crate::checkpoint::error::{CheckpointError, Result};

/// Larger files are uploaded in parts of this size.
const PART: usize = 8 << 20;
/// How many parts of one file are under way at once.
const PARTS_AT_ONCE: usize = 2;

/// A prefix of an object store.
#[derive(Clone, Debug)]
pub(crate) struct RemoteStore {
    store: Arc<dyn ObjectStore>,
    /// How people write the store's root: `s3://bucket`.
    scheme: String,
    prefix: object_store::path::Path,
}

impl RemoteStore {
    /// `scheme` is how people write the store's root, e.g. `s3://bucket`.
    pub fn new(store: Arc<dyn ObjectStore>, scheme: &str, prefix: &str) -> Self {
        RemoteStore { store, scheme: scheme.to_owned(), prefix: prefix.into() }
    }

    /// `rest` is `bucket/prefix`; everything else comes from the environment's `AWS_…`.
    #[cfg(feature = "s3")]
    pub fn open_s3(location: &str, rest: &str) -> Result<Self> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let store =
            object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).build().map_err(|error| {
                CheckpointError::Remote { doing: "open", location: location.to_owned(), source: Box::new(error) }
            })?;
        Ok(Self::new(Arc::new(store), &format!("s3://{bucket}"), prefix))
    }

    /// This build has no S3.
    #[cfg(not(feature = "s3"))]
    pub fn open_s3(location: &str, _rest: &str) -> Result<Self> {
        let reason = "this build has no S3: build with the feature `s3`, or give a directory".to_owned();
        Err(CheckpointError::Location { location: location.to_owned(), reason })
    }

    pub fn child(&self, name: &str) -> Self {
        RemoteStore { prefix: self.key(name), ..self.clone() }
    }

    pub fn url(&self, key: &str) -> String {
        format!("{}/{}", self.scheme, self.key(key))
    }

    pub async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        match self.store.get(&self.key(key)).await {
            Ok(result) => result.bytes().await.map(Some).map_err(self.error("read", key)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read", key)(error)),
        }
    }

    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.key(key), bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.error("write", key)(error)),
        }
    }

    pub async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let prefix = self.key(folder);
        let objects: Vec<_> = self.store.list(Some(&prefix)).try_collect().await.map_err(self.error("list", folder))?;
        let below = |path: &object_store::path::Path| {
            let parts: Vec<_> = path.prefix_match(&prefix)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        let mut keys: Vec<_> = objects.iter().filter_map(|object| below(&object.location)).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    pub async fn put_file(&self, key: &str, from: &Path) -> Result<Content> {
        let mut file = tokio::fs::File::open(from).await.map_err(CheckpointError::io("read", from))?;
        let mut upload = Upload::new(self, key);
        loop {
            let mut part = Vec::with_capacity(PART);
            let read = (&mut file).take(PART as u64).read_to_end(&mut part).await;
            match read.map_err(CheckpointError::io("read", from)) {
                Ok(0) => return upload.finish().await,
                Ok(_) => upload.write(part.into()).await?,
                Err(error) => return Err(upload.abandon(error).await),
            }
        }
    }

    pub async fn get_file(&self, key: &str, to: &Path) -> Result<Content> {
        let failed = || CheckpointError::io("write", to);
        let mut chunks = self.get(key).await?.into_stream();
        let mut file = tokio::fs::File::create_new(to).await.map_err(failed())?;
        let mut sum = Sum::default();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(self.error("read", key))?;
            sum.add(&chunk);
            file.write_all(&chunk).await.map_err(failed())?;
        }
        file.sync_all().await.map_err(failed())?;
        Ok(sum.content())
    }

    pub async fn copy_to(&self, key: &str, other: &RemoteStore, other_key: &str) -> Result<Content> {
        let mut chunks = self.get(key).await?.into_stream();
        let mut upload = Upload::new(other, other_key);
        while let Some(chunk) = chunks.next().await {
            match chunk.map_err(self.error("read", key)) {
                Ok(chunk) => upload.write(chunk).await?,
                Err(error) => return Err(upload.abandon(error).await),
            }
        }
        upload.finish().await
    }

    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.store.delete(&self.key(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("delete", key)(error)),
        }
    }

    async fn get(&self, key: &str) -> Result<GetResult> {
        self.store.get(&self.key(key)).await.map_err(self.error("read", key))
    }

    fn key(&self, key: &str) -> object_store::path::Path {
        self.prefix.parts().chain(object_store::path::Path::from(key).parts()).collect()
    }

    fn error(&self, doing: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> CheckpointError + use<> {
        let location = self.url(key);
        move |source| CheckpointError::Remote { doing, location, source: Box::new(source) }
    }
}

/// One object on its way up: in one piece if it is small, else in parts.
struct Upload<'a> {
    to: &'a RemoteStore,
    key: String,
    sum: Sum,
    /// The first part waits here: it may be the only one.
    pending: Vec<Bytes>,
    pending_len: usize,
    parts: Option<WriteMultipart>,
}

impl<'a> Upload<'a> {
    fn new(to: &'a RemoteStore, key: &str) -> Self {
        Upload { to, key: key.to_owned(), sum: Sum::default(), pending: Vec::new(), pending_len: 0, parts: None }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.sum.add(&bytes);
        self.pending_len += bytes.len();
        self.pending.push(bytes);
        if self.pending_len <= PART {
            return Ok(());
        }
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => {
                let upload = self.to.store.put_multipart(&self.to.key(&self.key)).await;
                WriteMultipart::new_with_chunk_size(upload.map_err(self.failed())?, PART)
            }
        };
        for bytes in self.pending.drain(..) {
            parts.put(bytes);
        }
        self.pending_len = 0;
        let capacity = parts.wait_for_capacity(PARTS_AT_ONCE).await;
        self.parts = Some(parts);
        match capacity.map_err(self.failed()) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.abandon(error).await),
        }
    }

    async fn finish(mut self) -> Result<Content> {
        let failed = self.failed();
        let rest: PutPayload = self.pending.drain(..).collect();
        match self.parts {
            None => self.to.store.put(&self.to.key(&self.key), rest).await.map_err(failed)?,
            Some(mut parts) => {
                rest.into_iter().for_each(|bytes| parts.put(bytes));
                parts.finish().await.map_err(failed)?
            }
        };
        Ok(self.sum.content())
    }

    /// Gives up, so that the store need not keep the parts; the error that made it necessary.
    async fn abandon(&mut self, error: CheckpointError) -> CheckpointError {
        if let Some(parts) = self.parts.take() {
            // The first error counts.
            let _ = parts.abort().await;
        }
        error
    }

    fn failed(&self) -> impl FnOnce(object_store::Error) -> CheckpointError + use<> {
        self.to.error("write", &self.key)
    }
}

#[derive(Default)]
struct Sum {
    len: u64,
    hasher: crc32fast::Hasher,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    fn content(self) -> Content {
        Content { len: self.len, crc32: self.hasher.finalize() }
    }
}
