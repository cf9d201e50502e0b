//! An object's lines as its bytes come, unpacked where its name ends in `.gz`.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::{StreamExt, stream::BoxStream};
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::Cause;

/// Bytes that are read from a file at once.
const PIECE: usize = 1 << 20;

/// The lines of one object.
pub(crate) struct Lines {
    pieces: BoxStream<'static, Result<Bytes, Cause>>,
    unpack: Option<MultiGzDecoder<Vec<u8>>>,
    /// What has come and is not a whole line yet; before `from` it is used up.
    held: Vec<u8>,
    from: usize,
    /// Up to where no line end is.
    searched: usize,
    ended: bool,
}

/// What keeps an object from being read: a name's ending that stands for what is not unpacked here.
pub(crate) fn packed_otherwise(meta: &ObjectMeta) -> Option<&str> {
    let ending = meta.location.extension()?;
    ["bz2", "zst", "snappy", "lz4", "lzo", "deflate", "xz", "zip"]
        .into_iter()
        .find(|known| ending.eq_ignore_ascii_case(known))
}

impl Lines {
    /// Asks for an object.
    pub async fn open(store: &dyn ObjectStore, meta: &ObjectMeta) -> Result<Self, object_store::Error> {
        let found = store.get(&meta.location).await?;
        let pieces = match found.payload {
            GetResultPayload::File(file, _) => from_file(file),
            GetResultPayload::Stream(stream) => stream.map(|piece| piece.map_err(Cause::from)).boxed(),
        };
        let packed = meta.location.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
        let unpack = packed.then(|| MultiGzDecoder::new(Vec::new()));
        Ok(Lines { pieces, unpack, held: Vec::new(), from: 0, searched: 0, ended: false })
    }

    /// The next line, without its end.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, Cause> {
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.held[self.searched..]) {
                let (from, end) = (self.from, self.searched + found);
                self.from = end + 1;
                self.searched = self.from;
                return Ok(Some(without_return(&self.held[from..end])));
            }
            self.searched = self.held.len();
            if self.ended {
                let from = std::mem::replace(&mut self.from, self.held.len());
                return Ok((from < self.held.len()).then(|| without_return(&self.held[from..])));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Cause> {
        self.held.drain(..self.from);
        self.searched -= self.from;
        self.from = 0;
        match (self.pieces.next().await.transpose()?, &mut self.unpack) {
            (Some(piece), None) => self.held.extend_from_slice(&piece),
            (Some(piece), Some(unpack)) => {
                unpack.write_all(&piece)?;
                self.held.append(unpack.get_mut());
            }
            (None, unpack) => {
                self.ended = true;
                if let Some(unpack) = unpack {
                    unpack.try_finish()?;
                    self.held.append(unpack.get_mut());
                }
            }
        }
        Ok(())
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A file's bytes, read where blocking is allowed.
fn from_file(file: std::fs::File) -> BoxStream<'static, Result<Bytes, Cause>> {
    futures::stream::try_unfold(file, |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece)?;
            piece.truncate(read);
            Ok::<_, std::io::Error>((file, piece))
        });
        let (file, piece) = read.await.map_err(Cause::from)?.map_err(Cause::from)?;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
    })
    .boxed()
}
