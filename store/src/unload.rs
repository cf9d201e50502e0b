//! UNLOAD: a query's result as files, in a bucket or a directory.
//!
//! ```text
//! batches ─▶ Files (by partition; encoding, on the CPU pool) ─▶ pieces ─▶ Uploads ─▶ results/…
//!                                                                                     at the end: …_metadata.json, …_manifest.json
//! ```
//!
//! No more than about [`files::MEMORY`] is held, however large the result is. The manifest comes last and in one piece: where
//! it is, everything is. An UNLOAD that fails or is cancelled leaves files that were finished, as Timestream's does, and no
//! manifest; uploads that it had begun are given up.

mod encoder;
mod files;
mod manifest;
mod place;
mod upload;

use std::sync::Arc;

use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use hurtig_timestream_sql::{Error, Prepared, Result, unload::UnloadOptions};

pub use self::place::UnloadPlace;
use self::{files::Files, manifest::Manifest, place::Folder, upload::Uploads};

/// What an UNLOAD has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unloaded {
    /// Rows of the result.
    pub rows: u64,
    /// Where the file is that says which columns there are.
    pub metadata_file: String,
    /// Where the file is that names the result's files.
    pub manifest_file: String,
}

/// An UNLOAD that was planned, and may begin.
#[derive(Debug)]
pub struct Unload {
    query: Prepared,
    options: UnloadOptions,
    folder: Folder,
    id: String,
}

impl Unload {
    /// Of a statement that is an UNLOAD; `id` is in all its files' names, and no other UNLOAD's.
    ///
    /// # Errors
    /// [`Error::Validation`] when it may not write there, or when its result cannot be written like that.
    pub fn new(place: &UnloadPlace, id: &str, statement: Prepared) -> Result<Self> {
        let (query, options) = statement.into_unload().ok_or_else(|| Error::validation("This is no UNLOAD."))?;
        let folder = place.folder(&options.to)?;
        encoder::check(query.columns(), &options)?;
        Ok(Unload { query, options, folder, id: id.to_owned() })
    }

    /// Runs the query and writes its result. Whoever drops this ends it.
    ///
    /// # Errors
    /// What goes wrong with the query; [`Error::Unload`] when something cannot be written.
    pub async fn run(self) -> Result<Unloaded> {
        let Unload { query, options, folder, id } = self;
        let columns = query.columns().to_vec();
        let mut execution = query.execute().await?;
        let mut files = Files::new(&folder, &id, execution.schema(), &options);
        let mut uploads = Uploads::new(folder.storage().clone());
        loop {
            let batch = execution.next().await?;
            let is_last = batch.is_none();
            let encode = move || -> Result<_> {
                let pieces = match batch {
                    Some(batch) => files.write(&batch)?,
                    None => files.finish()?,
                };
                Ok((files, pieces))
            };
            let encoded = tokio::task::spawn_blocking(encode).await;
            let (back, pieces) = encoded.map_err(|e| Error::Unload(Box::new(crate::error::encoder(e))))??;
            files = back;
            for piece in pieces {
                uploads.take(piece).await.map_err(failed)?;
                fail::fail_point!("store-unload-piece", |_| Err(failed(std::io::Error::other("store-unload-piece"))));
            }
            if is_last {
                break;
            }
        }
        let manifest = Manifest::new(uploads.into_finished(), &folder, &options);
        let (metadata_file, manifest_file) =
            (folder.file(&format!("{id}_metadata.json")), folder.file(&format!("{id}_manifest.json")));
        let unloaded = Unloaded {
            rows: manifest.rows(),
            metadata_file: folder.url(&metadata_file),
            manifest_file: folder.url(&manifest_file),
        };
        folder.storage().put_at(&metadata_file, manifest::metadata(&columns)?).await.map_err(failed)?;
        folder.storage().put_at(&manifest_file, manifest.to_json()?).await.map_err(failed)?;
        Ok(unloaded)
    }
}

impl Unloaded {
    /// The statement's one row: `rows`, `metadataFile`, `manifestFile`.
    ///
    /// # Errors
    /// None that is known.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let text = |name| Field::new(name, DataType::Utf8, false);
        let fields = vec![Field::new("rows", DataType::Int64, false), text("metadataFile"), text("manifestFile")];
        let rows = Int64Array::from(vec![i64::try_from(self.rows).unwrap_or(i64::MAX)]);
        let (metadata, manifest) = (&*self.metadata_file, &*self.manifest_file);
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(rows),
            Arc::new(StringArray::from(vec![metadata])),
            Arc::new(StringArray::from(vec![manifest])),
        ];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
    }
}

/// An error of writing.
fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unload(Box::new(error))
}
