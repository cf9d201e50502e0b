//! Writes records to part files: the writer of every file sink.
//!
//! Chunks of records go to the pool and come back empty; so do whole files that are to be
//! finished. The writer says that it is not ready when too much is with the pool, or waits to be.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use hurtig_engine::{
    error::{Error, Result},
    record::Record,
    sink::{SinkContext, SinkWriter, WriterContext},
    time::millis,
};

use super::{
    directories::Directories,
    format::{PartFormat, Stored},
    part::{Failure, Part},
    partition::{PartitionBy, Place, check_path},
    pending::{FileToken, PendingFile},
    rolling::PartOptions,
    slots::{Key, Slots},
};

/// Writes the records of one subtask.
pub struct PartWriter<T: 'static, F: PartFormat<T>> {
    root: PathBuf,
    format: Arc<F>,
    partition_by: PartitionBy<T>,
    options: PartOptions,
    ctx: WriterContext,
    token: FileToken,
    /// Files so far: the number in their names.
    files: u64,
    slots: Slots<T, F>,
    /// Parts that are to be finished, and are here.
    closing: VecDeque<Part<T, F>>,
    /// Parts that are to be finished, and are with the pool: for the last time, or with a chunk.
    finishing: Vec<Part<T, F>>,
    spare: Vec<F::Chunk>,
    in_flight: usize,
    /// Bytes in memory, here and with the pool.
    buffered: usize,
    /// Whether something must come back from the pool before another record is taken.
    blocked: bool,
    flushing: bool,
    finished: Vec<PendingFile>,
    directories: Directories,
}

/// How many spare chunks are kept.
const SPARES: usize = 4;

impl<T: 'static, F: PartFormat<T>> PartWriter<T, F> {
    /// A writer into `root`, which is made if it is not there.
    pub fn new(
        root: impl Into<PathBuf>,
        format: F,
        partition_by: PartitionBy<T>,
        options: PartOptions,
        ctx: WriterContext,
    ) -> Result<Self> {
        let root = root.into();
        let token = FileToken::new(&ctx.job, &ctx.uid);
        // A directory that cannot be written is said before anything runs.
        let probe = root.join(format!(".{}.probe", token.name(ctx.subtask, &ctx.attempt, 0, "tmp")));
        let directories = Directories::make(&root)
            .and_then(|made| fs::write(&probe, b"").map(|()| made))
            .and_then(|made| fs::remove_file(&probe).map(|()| made))
            .map_err(|e| unwritable(&ctx.name, &root, &e.to_string()))?;
        Ok(PartWriter {
            root,
            format: Arc::new(format),
            partition_by,
            options,
            ctx,
            token,
            files: 0,
            slots: Slots::new(),
            closing: VecDeque::new(),
            finishing: Vec::new(),
            spare: Vec::new(),
            in_flight: 0,
            buffered: 0,
            blocked: false,
            flushing: false,
            finished: Vec::new(),
            directories,
        })
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.slots.len()
    }

    /// How many files take no more records, and are not durable yet.
    pub fn closing_files(&self) -> usize {
        self.closing.len() + self.finishing.len()
    }

    /// How many bytes of records are in memory.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered
    }

    /// The slot of the record's partition, opened if it is not.
    #[inline]
    fn slot(&mut self, record: &Record<T>, now: i64) -> Result<usize, String> {
        let place = self.partition_by.place(record);
        match self.slots.same(&place) {
            Some(slot) => Ok(slot),
            None => self.change_partition(place, now),
        }
    }

    fn change_partition(&mut self, place: Place, now: i64) -> Result<usize, String> {
        // An empty range: the next record's path is looked up again.
        let (key, path, times) = match place {
            Place::Root => (Key::Root, String::new(), 0..0),
            Place::Time(t) => {
                let span = self.partition_by.span(t)?;
                (Key::Time(span.start), span.path, span.start..span.end)
            }
            Place::Path(path) => (Key::Path(path.clone()), path, 0..0),
        };
        let slot = match self.slots.of(&key) {
            Some(slot) => slot,
            None => {
                check_path(&path)?;
                self.open(key, path, now)
            }
        };
        self.slots.turn_to(slot, times);
        Ok(slot)
    }

    fn open(&mut self, key: Key, partition: String, now: i64) -> usize {
        while self.slots.len() >= self.options.max_open_files.max(1) {
            let Some(oldest) = self.slots.oldest() else { break };
            self.close(oldest);
        }
        let name = self.token.name(self.ctx.subtask, &self.ctx.attempt, self.files, self.format.extension());
        self.files += 1;
        let pending = PendingFile { partition, name, bytes: 0, rows: 0 };
        let chunk = self.spare_chunk();
        self.slots.insert(key, Part::new(pending, chunk, now))
    }

    /// Takes a part out of use, to be finished.
    fn close(&mut self, slot: usize) {
        let Some(part) = self.slots.take(slot) else { return };
        if part.is_new() && self.format.rows(&part.chunk) == 0 {
            // Its first records were refused: there is no file.
            self.spare.push(part.chunk);
            return;
        }
        if part.is_away() {
            self.finishing.push(part);
        } else {
            self.closing.push_back(part);
        }
        self.blocked = true;
    }

    fn spare_chunk(&mut self) -> F::Chunk {
        self.spare.pop().unwrap_or_else(|| self.format.chunk())
    }

    fn has_room(&self) -> bool {
        self.in_flight < self.options.max_in_flight.max(1)
    }

    /// Takes back what the pool is done with, and gives it what there is to do.
    fn pump(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        for slot in self.slots.all() {
            let Some(part) = self.slots.part_mut(slot) else { continue };
            let Some(done) = part.poll().map_err(|f| failed(&self.ctx.name, &self.root, f))? else { continue };
            let roll = part.written >= self.options.rolling.max_bytes;
            let sent = std::mem::take(&mut part.sent);
            self.take_back(done.chunk, sent, done.stored, ctx);
            if roll {
                self.close(slot);
            }
        }
        let mut i = 0;
        while let Some(part) = self.finishing.get_mut(i) {
            let Some(done) = part.poll().map_err(|f| failed(&self.ctx.name, &self.root, f))? else {
                i += 1;
                continue;
            };
            let sent = std::mem::take(&mut part.sent);
            let part = self.finishing.swap_remove(i);
            if done.finished {
                self.file_finished(part.pending)?;
            } else {
                self.closing.push_front(part);
            }
            self.take_back(done.chunk, sent, done.stored, ctx);
        }
        self.send();
        Ok(())
    }

    /// Gives work to the pool: files to finish first, then full chunks, then, when memory is
    /// short, the largest.
    fn send(&mut self) {
        while self.has_room()
            && let Some(mut part) = self.closing.pop_front()
        {
            let spare = self.spare_chunk();
            part.send(&self.root, &self.format, &self.ctx.pool, spare, true);
            self.in_flight += 1;
            self.finishing.push(part);
        }
        let mut waiting = false;
        for slot in self.slots.all() {
            let Some(part) = self.slots.part(slot) else { continue };
            let full = self.format.is_full(&part.chunk) || part.counted as u64 >= self.options.rolling.max_bytes;
            if full && !(self.has_room() && self.send_slot(slot)) {
                waiting = true;
            }
        }
        while self.buffered > self.options.max_buffered_bytes && self.has_room() {
            let here = self.slots.parts().filter(|(_, p)| !p.is_away() && p.counted > 0);
            let Some((largest, _)) = here.max_by_key(|(_, p)| p.counted) else { break };
            self.send_slot(largest);
        }
        // A few files may be closing while work goes on, so that it need not stop for each.
        let closing = self.closing_files() > 2 * self.options.max_in_flight.max(1);
        self.blocked = waiting || closing || self.buffered > self.options.max_buffered_bytes;
    }

    fn send_slot(&mut self, slot: usize) -> bool {
        let spare = self.spare_chunk();
        match self.slots.part_mut(slot) {
            Some(part) if !part.is_away() => {
                part.send(&self.root, &self.format, &self.ctx.pool, spare, false);
                self.in_flight += 1;
                true
            }
            _ => {
                self.spare.push(spare);
                false
            }
        }
    }

    fn take_back(&mut self, chunk: F::Chunk, bytes: usize, stored: Stored, ctx: &mut SinkContext<'_>) {
        self.in_flight -= 1;
        self.buffered -= bytes;
        if self.spare.len() < SPARES {
            self.spare.push(chunk);
        }
        ctx.written(stored.written);
        for r in stored.refused {
            ctx.dead_letter(r.origin, r.time, r.raw, r.reason);
        }
    }

    fn file_finished(&mut self, pending: PendingFile) -> Result<()> {
        if pending.rows == 0 {
            // All its records were refused.
            let path = pending.pending_path(&self.root);
            return fs::remove_file(&path).map_err(|e| unwritable(&self.ctx.name, &self.root, &e.to_string()));
        }
        self.directories.new_file(&pending.partition);
        self.finished.push(pending);
        Ok(())
    }
}

impl<T: 'static, F: PartFormat<T>> SinkWriter<T> for PartWriter<T, F> {
    #[inline]
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        let slot = match self.slot(&record, ctx.now()) {
            Ok(slot) => slot,
            Err(reason) => {
                ctx.dead_letter(record.origin, record.timestamp, self.format.raw(&record.value), reason);
                return Ok(());
            }
        };
        let Some(part) = self.slots.part_mut(slot) else { return Ok(()) };
        match self.format.gather(&mut part.chunk, record) {
            Ok(()) => {
                let bytes = self.format.bytes(&part.chunk);
                self.buffered += bytes - part.counted;
                part.counted = bytes;
                let full = self.format.is_full(&part.chunk) || bytes as u64 >= self.options.rolling.max_bytes;
                // Who goes on writing to a writer that is not ready should not make it work more.
                if !self.blocked && (full || self.buffered > self.options.max_buffered_bytes) {
                    self.pump(ctx)?;
                }
            }
            Err(r) => ctx.dead_letter(r.origin, r.time, r.raw, r.reason),
        }
        Ok(())
    }

    #[inline]
    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        if self.blocked {
            self.pump(ctx)?;
        }
        Ok(!self.blocked)
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        if !self.flushing {
            self.flushing = true;
            for slot in self.slots.all() {
                self.close(slot);
            }
        }
        self.pump(ctx)?;
        if self.closing_files() > 0 {
            return Ok(false);
        }
        let synced = self.directories.sync(&self.ctx.pool);
        if !synced.map_err(|f| failed(&self.ctx.name, &self.root, f))? {
            return Ok(false);
        }
        self.flushing = false;
        self.blocked = false;
        Ok(true)
    }

    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        std::mem::take(&mut self.finished).iter().map(PendingFile::to_bytes).collect()
    }

    fn on_processing_time(&mut self, now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        if let Some(interval) = self.options.rolling.interval.map(millis) {
            for slot in self.slots.all() {
                if self.slots.part(slot).is_some_and(|p| p.opened_at.saturating_add(interval) <= now) {
                    self.close(slot);
                }
            }
        }
        self.pump(ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        let interval = millis(self.options.rolling.interval?);
        self.slots.parts().map(|(_, p)| p.opened_at.saturating_add(interval)).min()
    }
}

/// What went wrong on the pool, as what it is.
#[cold]
fn failed(name: &str, root: &Path, failure: Failure) -> Error {
    match failure {
        Failure::Unwritable(reason) => unwritable(name, root, &reason),
        Failure::Lost(e) => Error::sink(name, format!("a file below '{}' could not be finished: {e}", root.display())),
    }
}

/// One line that names the directory.
#[cold]
fn unwritable(name: &str, root: &Path, reason: &str) -> Error {
    Error::sink(
        name,
        format!(
            "'{}' cannot be written: {reason}; what is committed is safe: make room or mend the directory, and start \
             again from the latest checkpoint",
            root.display()
        ),
    )
}
