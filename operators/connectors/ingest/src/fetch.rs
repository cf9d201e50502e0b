//! Gets the bytes of one range, a few requests ahead of whoever reads them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use hurtig_engine::task::pool::Waker;
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel, error::TryRecvError},
    task::AbortHandle,
};

use crate::{options::RangeOptions, split::FileVersion, store::FileStore};

/// Behind a range's end only what its last record still needs is read: in small pieces.
const BEHIND: u64 = 64 << 10;

/// What has come.
pub(crate) enum Fetched {
    Bytes(Bytes),
    /// Nothing comes after what has come.
    End,
    /// Not yet.
    Pending,
}

/// The bytes of a range, in order. Dropping it ends the reading.
pub(crate) struct Fetch {
    pieces: Receiver<hurtig_engine::Result<Bytes>>,
    task: AbortHandle,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fetch {
    /// Reads `file` from `from` on: in whole requests up to `until`, behind it in small pieces up to
    /// `last`.
    pub fn start(
        runtime: &Handle,
        waker: Waker,
        store: &FileStore,
        file: &Arc<FileVersion>,
        (from, until, last): (u64, u64, u64),
        options: &RangeOptions,
    ) -> Self {
        let ahead = options.read_ahead.max(1);
        let (sender, pieces) = channel(ahead);
        let (store, file, seed) = (store.clone(), file.clone(), options.seed ^ from);
        let request = options.request.max(1);
        let task = runtime.spawn(async move {
            read(&store, &file, (from, until.min(last)), request, ahead, seed, &sender, &waker).await;
            read(&store, &file, (until.max(from), last), BEHIND, 1, seed, &sender, &waker).await;
            // Who waits has to hear of the end, too.
            drop(sender);
            waker.wake();
        });
        Fetch { pieces, task: task.abort_handle() }
    }

    /// The next bytes, if they are there.
    pub fn next(&mut self) -> hurtig_engine::Result<Fetched> {
        match self.pieces.try_recv() {
            Ok(piece) => piece.map(Fetched::Bytes),
            Err(TryRecvError::Empty) => Ok(Fetched::Pending),
            Err(TryRecvError::Disconnected) => Ok(Fetched::End),
        }
    }

    /// Whether something can be had at once.
    pub fn has_news(&self) -> bool {
        !self.pieces.is_empty() || self.pieces.is_closed()
    }
}

/// Sends `[from, to)` in order, `ahead` requests under way, until it is all there or fails.
#[expect(clippy::too_many_arguments, reason = "one loop, called twice")]
async fn read(
    store: &FileStore,
    file: &FileVersion,
    (from, to): (u64, u64),
    request: u64,
    ahead: usize,
    seed: u64,
    sender: &Sender<hurtig_engine::Result<Bytes>>,
    waker: &Waker,
) {
    let mut offsets = (from..to).step_by(usize::try_from(request).unwrap_or(usize::MAX));
    let offsets = std::iter::from_fn(|| offsets.next());
    let requests = offsets.map(|at| store.read(&file.path, &file.etag, at..at.saturating_add(request).min(to), seed));
    let mut pieces = std::pin::pin!(stream::iter(requests).buffered(ahead));
    loop {
        // A place in the queue first: what is read waits here for somebody who wants it.
        let Ok(place) = sender.reserve().await else { return };
        let Some(piece) = pieces.next().await else { return };
        place.send(piece);
        waker.wake();
    }
}
