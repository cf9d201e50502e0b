//! One open part file: its chunk in memory, and its file, which is here or with the pool.

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
    file: State<F::File, F::Chunk>,
}

enum State<O, C> {
    /// Nothing has been appended yet: there is no file.
    New,
    Here(O),
    Away(Ticket<Result<Done<O, C>, String>>),
    /// Failed; the writer has the error.
    Lost,
}

/// What the pool did for a format.
type DoneFor<T, F> = Done<<F as PartFormat<T>>::File, <F as PartFormat<T>>::Chunk>;

/// What the pool did.
pub(super) struct Done<O, C> {
    /// `None`: it was finished.
    file: Option<O>,
    /// Empty, to be used again.
    pub chunk: C,
    pub stored: Stored,
    /// Length of the file; the true one if it was finished.
    bytes: u64,
    /// Whether it is closed and durable.
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
        Part { pending, chunk, counted: 0, sent: 0, opened_at, written: 0, file: State::New }
    }

    /// Whether nothing was sent yet, so that there is no file.
    pub fn is_new(&self) -> bool {
        matches!(self.file, State::New)
    }

    pub fn is_away(&self) -> bool {
        matches!(self.file, State::Away(_))
    }

    /// Sends the chunk to the pool, to be appended (`finish`: and the file closed).
    pub fn send(&mut self, root: &Path, format: &Arc<F>, pool: &Pool, spare: F::Chunk, finish: bool) {
        let mut chunk = std::mem::replace(&mut self.chunk, spare);
        self.sent = std::mem::take(&mut self.counted);
        let path = self.pending.pending_path(root);
        let format = format.clone();
        let file = match std::mem::replace(&mut self.file, State::Lost) {
            State::Here(file) => Some(file),
            _ => None,
        };
        self.file = State::Away(pool.spawn(move || {
            let said = |e: io::Error| format!("{e}");
            let mut file = match file {
                Some(file) => file,
                None => create(&path).and_then(|f| format.create(f)).map_err(said)?,
            };
            let stored = format.append(&mut file, &mut chunk).map_err(said)?;
            if !finish {
                let bytes = format.written(&file);
                return Ok(Done { file: Some(file), chunk, stored, bytes, finished: false });
            }
            fail::fail_point!("sink-flush", |_| Err("the failpoint sink-flush".into()));
            let file = format.finish(file).map_err(said)?;
            file.sync_all().map_err(said)?;
            let bytes = file.metadata().map_err(said)?.len();
            Ok(Done { file: None, chunk, stored, bytes, finished: true })
        }));
    }

    /// What the pool did, if it has.
    pub fn poll(&mut self) -> Result<Option<DoneFor<T, F>>, Failure> {
        let State::Away(ticket) = &mut self.file else { return Ok(None) };
        match ticket.poll() {
            Ok(None) => Ok(None),
            Ok(Some(Ok(mut done))) => {
                self.written = done.bytes;
                self.pending.rows += done.stored.written;
                self.pending.bytes = done.bytes;
                self.file = done.file.take().map_or(State::Lost, State::Here);
                Ok(Some(done))
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
