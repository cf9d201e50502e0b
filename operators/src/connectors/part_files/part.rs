//! One open part file: its chunk in memory, and its file, which is here, with the pool or parked:
//! closed, to be opened again for the next chunk.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hurtig_engine::{
    error::Error,
    task::pool::{Pool, Ticket},
};

use super::{
    format::{PartFormat, Stored},
    pending::PendingFile,
};

/// A file that is being written.
pub(super) struct Part<T, F: PartFormat<T>> {
    pub pending: PendingFile,
    pub chunk: F::Chunk,
    /// How much of the chunk is counted in the writer's sum.
    pub counted: usize,
    /// How much of that sum is with the pool.
    pub sent: usize,
    /// Processing time of its first record.
    pub opened_at: i64,
    /// Bytes in the file after the last append.
    pub written: u64,
    /// Whether its file stays open between chunks.
    pub open: bool,
    /// Whether it is in the writer's list of those with a full chunk.
    pub queued: bool,
    file: State<F::File, F::Chunk>,
}

/// What becomes of a file when its chunk has been appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It stays open.
    Keep,
    /// It is ended and closed, to be gone on with.
    Park,
    /// It is ended and made durable.
    Finish,
}

enum State<O, C> {
    /// Nothing has been appended yet: there is no file.
    New,
    Here(O),
    /// Closed at this length, to be opened again.
    Parked(u64),
    Away(Ticket<Result<Done<O, C>, String>>),
    /// Failed; the writer has the error.
    Lost,
}

/// What the pool did.
struct Done<O, C> {
    file: Now<O>,
    chunk: C,
    stored: Stored,
    /// Length of the file, about; the true one if it was finished.
    bytes: u64,
}

/// What became of a file.
enum Now<O> {
    Open(O),
    /// Closed at this length.
    Parked(u64),
    /// Closed and durable.
    Finished,
}

/// What comes back from the pool.
pub(super) struct Back<C> {
    /// Empty, to be used again.
    pub chunk: C,
    pub stored: Stored,
    /// Whether the file is closed and durable.
    pub finished: bool,
}

/// What went wrong with a file.
pub(super) enum Failure {
    /// The system refused, in these words.
    Unwritable(String),
    /// It was never done: the work panicked, or the runtime is gone.
    Lost(Error),
}

impl<T: 'static, F: PartFormat<T>> Part<T, F> {
    pub fn new(pending: PendingFile, chunk: F::Chunk, opened_at: i64) -> Self {
        Part {
            pending,
            chunk,
            counted: 0,
            sent: 0,
            opened_at,
            written: 0,
            open: false,
            queued: false,
            file: State::New,
        }
    }

    /// Whether nothing was sent yet, so that there is no file.
    pub fn is_new(&self) -> bool {
        matches!(self.file, State::New)
    }

    pub fn is_away(&self) -> bool {
        matches!(self.file, State::Away(_))
    }

    /// Sends the chunk to the pool, to be appended.
    pub fn send(&mut self, root: &Path, format: &Arc<F>, pool: &Pool, spare: F::Chunk, then: Then) {
        let mut chunk = std::mem::replace(&mut self.chunk, spare);
        self.sent = std::mem::take(&mut self.counted);
        let (path, written, format) = (self.pending.pending_path(root), self.written, format.clone());
        let (file, parked) = match std::mem::replace(&mut self.file, State::Lost) {
            State::Here(file) => (Some(file), None),
            State::Parked(length) => (None, Some(length)),
            _ => (None, None),
        };
        self.file = State::Away(pool.spawn(move || {
            let said = |e: io::Error| format!("{e}");
            if let Some(length) = parked
                && then == Then::Finish
                && format.rows(&chunk) == 0
            {
                // Everything is in it; an encoder would only add its empty beginning and end.
                let bytes = durable(reopen(&path, length).map_err(said)?)?;
                return Ok(Done { file: Now::Finished, chunk, stored: Stored::default(), bytes });
            }
            let mut file = match (file, parked) {
                (Some(file), _) => file,
                (None, Some(length)) => reopen(&path, length).and_then(|f| format.resume(f, written)).map_err(said)?,
                (None, None) => create(&path).and_then(|f| format.create(f)).map_err(said)?,
            };
            let stored = format.append(&mut file, &mut chunk).map_err(said)?;
            let bytes = format.written(&file);
            match then {
                Then::Keep => Ok(Done { file: Now::Open(file), chunk, stored, bytes }),
                Then::Park => {
                    // By now what the encoder held back is in the file.
                    let ended = format.finish(file).and_then(|f| f.metadata()).map_err(said)?.len();
                    Ok(Done { file: Now::Parked(ended), chunk, stored, bytes: bytes.max(ended) })
                }
                Then::Finish => {
                    let bytes = durable(format.finish(file).map_err(said)?)?;
                    Ok(Done { file: Now::Finished, chunk, stored, bytes })
                }
            }
        }));
    }

    /// What the pool did, if it has.
    pub fn poll(&mut self) -> Result<Option<Back<F::Chunk>>, Failure> {
        let State::Away(ticket) = &mut self.file else { return Ok(None) };
        match ticket.poll() {
            Ok(None) => Ok(None),
            Ok(Some(Ok(done))) => {
                self.written = done.bytes;
                self.pending.rows += done.stored.written;
                self.pending.bytes = done.bytes;
                let finished = matches!(done.file, Now::Finished);
                self.file = match done.file {
                    Now::Open(file) => State::Here(file),
                    Now::Parked(length) => State::Parked(length),
                    Now::Finished => State::Lost,
                };
                Ok(Some(Back { chunk: done.chunk, stored: done.stored, finished }))
            }
            Ok(Some(Err(e))) => {
                self.file = State::Lost;
                Err(Failure::Unwritable(e))
            }
            Err(e) => {
                self.file = State::Lost;
                Err(Failure::Lost(e))
            }
        }
    }
}

/// A new file in a directory that may be new too. Never one that is there already.
fn create(path: &PathBuf) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

/// A file that was parked, at its end.
fn reopen(path: &Path, length: u64) -> io::Result<File> {
    let file = fs::OpenOptions::new().append(true).open(path)?;
    let found = file.metadata()?.len();
    if found == length {
        return Ok(file);
    }
    Err(io::Error::other(format!("'{}' has {found} bytes, not the {length} that were written", path.display())))
}

/// Makes a file that was ended durable, and gives its length.
fn durable(file: File) -> Result<u64, String> {
    fail::fail_point!("sink-flush", |_| Err("the failpoint sink-flush".into()));
    let synced = file.sync_all().and_then(|()| file.metadata());
    synced.map(|m| m.len()).map_err(|e| format!("{e}"))
}
