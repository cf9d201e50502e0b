//! Pieces of files on their way into a storage. A file is there when its last piece is, or not at all.

use std::collections::BTreeMap;

use object_store::{MultipartUpload, ObjectStoreExt, path::Path};

use super::files::Piece;
use crate::{error::Result, magnetic::storage::Storage};

/// A file that is there.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Where.
    pub path: Path,
    /// Rows in it.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// All files that are under way. What is not finished when this is dropped is given up.
pub struct Uploads {
    storage: Storage,
    /// Those of which a piece is there already, by their numbers.
    begun: BTreeMap<usize, Box<dyn MultipartUpload>>,
    finished: BTreeMap<usize, Finished>,
}

impl Uploads {
    /// None yet.
    pub fn new(storage: Storage) -> Self {
        Uploads { storage, begun: BTreeMap::new(), finished: BTreeMap::new() }
    }

    /// Brings a piece there.
    pub async fn take(&mut self, piece: Piece) -> Result<()> {
        let Piece { file, path, bytes, end } = piece;
        match (self.begun.contains_key(&file), end) {
            // A small one comes in one piece.
            (false, Some(_)) => self.storage.put_at(&path, bytes).await?,
            (is_begun, _) => {
                if !is_begun {
                    let upload = self.storage.object_store().put_multipart(&path).await?;
                    self.begun.insert(file, upload);
                }
                if let Some(upload) = self.begun.get_mut(&file) {
                    if !bytes.is_empty() {
                        upload.put_part(bytes.into()).await?;
                    }
                    if end.is_some() {
                        upload.complete().await?;
                        self.begun.remove(&file);
                        self.storage.sync(&path).await?;
                    }
                }
            }
        }
        if let Some((rows, bytes)) = end {
            self.finished.insert(file, Finished { path, rows, bytes });
        }
        Ok(())
    }

    /// The files, in the order in which they were begun.
    pub fn into_finished(mut self) -> Vec<Finished> {
        std::mem::take(&mut self.finished).into_values().collect()
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        if self.begun.is_empty() {
            return;
        }
        let begun = std::mem::take(&mut self.begun);
        // Without a runtime the process is at its end; a bucket's own rules remove what is left.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            for (_, mut upload) in begun {
                if let Err(e) = upload.abort().await {
                    tracing::warn!("an upload that UNLOAD has given up could not be removed: {e}");
                }
            }
        });
    }
}
