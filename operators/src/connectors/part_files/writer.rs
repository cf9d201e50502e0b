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
    part::{Failure, Part, Then},
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
    /// Slots whose part is with the pool.
    away: Vec<usize>,
    /// Slots that had a full chunk when they were put here.
    full: Vec<usize>,
    /// Slots to empty when memory is short, the largest last.
    largest: Vec<usize>,
    /// Files that stay open between chunks.
    open: usize,
    /// No open part had its first record before.
    first_opened: Option<i64>,
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
            away: Vec::new(),
            full: Vec::new(),
            largest: Vec::new(),
            open: 0,
            first_opened: None,
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

    /// How many files take records.
    pub fn open_files(&self) -> usize {
        self.slots.len()
    }

    /// How many files stay open between chunks; beside them, a chunk with the pool may have its own.
    pub fn open_handles(&self) -> usize {
        self.open
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
            None => self.change_partition(place, record, now),
        }
    }

    fn change_partition(&mut self, place: Place<'_>, record: &Record<T>, now: i64) -> Result<usize, String> {
        // An empty range: the next record's name is looked up again.
        let (slot, times) = match place {
            Place::Root => (self.slot_of(Key::Root, String::new, now)?, 0..0),
            Place::Time(t) => {
                let span = self.partition_by.span(t)?;
                (self.slot_of(Key::Time(span.start), || span.path, now)?, span.start..span.end)
            }
            Place::Path(path) => match self.slots.named(&path) {
                Some(slot) => (slot, 0..0),
                None => (self.open(Key::Name(path.clone()), path, now)?, 0..0),
            },
            Place::Name(name) => match self.slots.named(name) {
                Some(slot) => (slot, 0..0),
                None => {
                    let path = self.partition_by.path(record, self.files)?;
                    (self.open(Key::Name(name.to_owned()), path, now)?, 0..0)
                }
            },
        };
        self.slots.turn_to(slot, times);
        Ok(slot)
    }

    /// The slot of a partition without a name.
    fn slot_of(&mut self, key: Key, path: impl FnOnce() -> String, now: i64) -> Result<usize, String> {
        match self.slots.of(&key) {
            Some(slot) => Ok(slot),
            None => self.open(key, path(), now),
        }
    }

    fn open(&mut self, key: Key, partition: String, now: i64) -> Result<usize, String> {
        check_path(&partition)?;
        let resumes = self.format.resumes();
        while !resumes && self.slots.len() >= self.options.max_open_files.max(1) {
            let Some(oldest) = self.slots.oldest() else { break };
            self.close(oldest);
        }
        let name = self.token.name(self.ctx.subtask, &self.ctx.attempt, self.files, self.format.extension());
        self.files += 1;
        self.first_opened = Some(self.first_opened.map_or(now, |first| first.min(now)));
        let pending = PendingFile { partition, name, bytes: 0, rows: 0 };
        // Spare chunks have memory of their own: not more of them than of open files.
        let chunk =
            if self.slots.len() < self.options.max_open_files { self.spare_chunk() } else { self.format.chunk() };
        Ok(self.slots.insert(key, Part::new(pending, chunk, now)))
    }

    /// Takes a part out of use, to be finished.
    fn close(&mut self, slot: usize) {
        let Some(part) = self.slots.take(slot) else { return };
        self.away.retain(|away| *away != slot);
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
        let mut i = 0;
        while let Some(&slot) = self.away.get(i) {
            let Some(part) = self.slots.part_mut(slot) else { break };
            let Some(done) = part.poll().map_err(|f| failed(&self.ctx.name, &self.root, f))? else {
                i += 1;
                continue;
            };
            self.away.swap_remove(i);
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
                self.open -= usize::from(part.open);
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
            part.send(&self.root, &self.format, &self.ctx.pool, spare, Then::Finish);
            self.in_flight += 1;
            self.finishing.push(part);
        }
        let mut i = 0;
        while let Some(&slot) = self.full.get(i) {
            // Its part may be another by now, or have been sent for want of memory.
            let full = self.slots.part(slot).is_some_and(|p| self.is_full(p));
            if full && !(self.has_room() && self.send_slot(slot)) {
                i += 1;
                continue;
            }
            self.full.swap_remove(i);
            if let Some(part) = self.slots.part_mut(slot) {
                part.queued = false;
            }
        }
        while self.buffered > self.options.max_buffered_bytes && self.has_room() {
            if self.largest.is_empty() {
                self.find_largest();
            }
            let Some(slot) = self.largest.pop() else { break };
            if self.slots.part(slot).is_some_and(|p| p.counted > 0) {
                self.send_slot(slot);
            }
        }
        // A few files may be closing while work goes on, so that it need not stop for each.
        let closing = self.closing_files() > 2 * self.options.max_in_flight.max(1);
        self.blocked = !self.full.is_empty() || closing || self.buffered > self.options.max_buffered_bytes;
    }

    #[inline]
    fn is_full(&self, part: &Part<T, F>) -> bool {
        self.format.is_full(&part.chunk) || part.counted as u64 >= self.options.rolling.max_bytes
    }

    /// The largest chunks that together are half of what may be in memory, so that not all
    /// partitions are looked at for each.
    fn find_largest(&mut self) {
        let here = self.slots.parts().filter(|(_, p)| !p.is_away() && p.counted > 0);
        let mut sizes: Vec<_> = here.map(|(slot, p)| (p.counted, slot)).collect();
        sizes.sort_unstable();
        let mut bytes = 0;
        let enough = sizes.iter().rposition(|(size, _)| {
            bytes += size;
            bytes >= self.options.max_buffered_bytes / 2
        });
        self.largest.extend(sizes[enough.unwrap_or(0)..].iter().map(|(_, slot)| *slot));
    }

    fn send_slot(&mut self, slot: usize) -> bool {
        let Some(part) = self.slots.part(slot).filter(|p| !p.is_away()) else { return false };
        let keep = part.open || !self.format.resumes() || self.open < self.options.max_open_files.max(1);
        // A partition that has no file open gets no chunk with memory of its own either.
        let spare = if keep { self.spare_chunk() } else { self.format.chunk() };
        let Some(part) = self.slots.part_mut(slot) else { return false };
        if keep && !std::mem::replace(&mut part.open, true) {
            self.open += 1;
        }
        let then = if keep { Then::Keep } else { Then::Park };
        part.send(&self.root, &self.format, &self.ctx.pool, spare, then);
        self.in_flight += 1;
        self.away.push(slot);
        true
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
                if full && !std::mem::replace(&mut part.queued, true) {
                    self.full.push(slot);
                }
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
            self.full.clear();
            self.largest.clear();
            self.first_opened = None;
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
            self.first_opened = self.slots.parts().map(|(_, p)| p.opened_at).min();
        }
        self.pump(ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        Some(self.first_opened?.saturating_add(millis(self.options.rolling.interval?)))
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
