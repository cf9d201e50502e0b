//! Writes records to part files: the writer of every file sink.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hurtig_engine::{
    error::{Error, Result},
    record::Record,
    sink::{SinkContext, SinkWriter, WriterContext},
    task::pool::Ticket,
    time::millis,
};

use super::{
    committer::sync_dir,
    format::{PartFormat, Stored},
    part::Part,
    partition::{PartitionBy, Place, check_path},
    pending::{FileToken, PendingFile},
    rolling::PartOptions,
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
    /// Open parts by slot.
    parts: Vec<Option<Part<T, F>>>,
    slots: HashMap<Key, usize>,
    /// The part of the last record, and the times that belong to it.
    current: Option<(usize, i64, i64)>,
    /// Parts that are to be finished, or are being.
    closing: Vec<Part<T, F>>,
    spare: Vec<F::Chunk>,
    in_flight: usize,
    buffered: usize,
    /// Changes of partition so far.
    turn: u64,
    /// Whether something must come back from the pool before another record is taken.
    blocked: bool,
    flushing: bool,
    finished: Vec<PendingFile>,
    /// Directories with new entries.
    dirty: BTreeSet<PathBuf>,
    syncing: Option<Ticket<io::Result<()>>>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Root,
    Time(i64),
    Path(String),
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
        let made_root = !root.exists();
        let probed =
            fs::create_dir_all(&root).and_then(|()| fs::write(&probe, b"")).and_then(|()| fs::remove_file(&probe));
        probed.map_err(|e| unwritable(&ctx.name, &root, &e.to_string()))?;
        let dirty = if made_root { root.parent().map(Path::to_owned).into_iter().collect() } else { BTreeSet::new() };
        Ok(PartWriter {
            root,
            format: Arc::new(format),
            partition_by,
            options,
            ctx,
            token,
            files: 0,
            parts: Vec::new(),
            slots: HashMap::new(),
            current: None,
            closing: Vec::new(),
            spare: Vec::new(),
            in_flight: 0,
            buffered: 0,
            turn: 0,
            blocked: false,
            flushing: false,
            finished: Vec::new(),
            dirty,
            syncing: None,
        })
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.slots.len()
    }

    /// The slot of the record's partition, opened if it is not.
    #[inline]
    fn slot(&mut self, record: &Record<T>, now: i64) -> Result<usize, String> {
        let place = self.partition_by.place(record);
        if let Some((slot, start, end)) = self.current {
            let same = match &place {
                Place::Root => true,
                Place::Time(t) => (start..end).contains(t),
                Place::Path(path) => self.parts[slot].as_ref().is_some_and(|p| p.pending.partition == *path),
            };
            if same {
                return Ok(slot);
            }
        }
        self.change_partition(place, now)
    }

    fn change_partition(&mut self, place: Place, now: i64) -> Result<usize, String> {
        // An empty range: the next record's path is looked up again.
        let (key, path, start, end) = match place {
            Place::Root => (Key::Root, String::new(), 0, 0),
            Place::Time(t) => {
                let span = self.partition_by.span(t)?;
                (Key::Time(span.start), span.path, span.start, span.end)
            }
            Place::Path(path) => (Key::Path(path.clone()), path, 0, 0),
        };
        let slot = match self.slots.get(&key) {
            Some(&slot) => slot,
            None => {
                check_path(&path)?;
                self.open(key, path, now)
            }
        };
        self.turn += 1;
        if let Some(part) = &mut self.parts[slot] {
            part.last_used = self.turn;
        }
        self.current = Some((slot, start, end));
        Ok(slot)
    }

    fn open(&mut self, key: Key, partition: String, now: i64) -> usize {
        while self.slots.len() >= self.options.max_open_files.max(1) {
            let open = self.parts.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_ref()?)));
            let Some((oldest, _)) = open.min_by_key(|(_, p)| p.last_used) else { break };
            self.close(oldest);
        }
        let name = self.token.name(self.ctx.subtask, &self.ctx.attempt, self.files, self.format.extension());
        self.files += 1;
        let pending = PendingFile { partition, name, bytes: 0, rows: 0 };
        let part = Part::new(pending, self.spare_chunk(), now);
        let slot = match self.parts.iter().position(Option::is_none) {
            Some(slot) => {
                self.parts[slot] = Some(part);
                slot
            }
            None => {
                self.parts.push(Some(part));
                self.parts.len() - 1
            }
        };
        self.slots.insert(key, slot);
        slot
    }

    /// Takes a part out of use, to be finished.
    fn close(&mut self, slot: usize) {
        self.slots.retain(|_, s| *s != slot);
        if self.current.is_some_and(|(s, ..)| s == slot) {
            self.current = None;
        }
        if let Some(part) = self.parts[slot].take() {
            if part.is_new() && self.format.rows(&part.chunk) == 0 {
                // Its first records were refused: there is no file.
                self.spare.push(part.chunk);
                return;
            }
            self.closing.push(part);
            self.blocked = true;
        }
    }

    fn spare_chunk(&mut self) -> F::Chunk {
        self.spare.pop().unwrap_or_else(|| self.format.chunk())
    }

    /// Takes back what the pool is done with, and gives it what there is to do.
    fn pump(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        for slot in 0..self.parts.len() {
            let Some(part) = &mut self.parts[slot] else { continue };
            let Some(done) = part.poll().map_err(|e| unwritable(&self.ctx.name, &self.root, &e))? else { continue };
            part.pending.rows += done.stored.written;
            let roll = part.written >= self.options.rolling.max_bytes;
            let sent = std::mem::take(&mut part.sent);
            self.take_back(done.chunk, sent, done.stored, ctx);
            if roll {
                self.close(slot);
            }
        }
        let mut i = 0;
        while i < self.closing.len() {
            let part = &mut self.closing[i];
            match part.poll().map_err(|e| unwritable(&self.ctx.name, &self.root, &e))? {
                None => i += 1,
                Some(done) => {
                    part.pending.rows += done.stored.written;
                    part.pending.bytes = done.bytes;
                    let sent = std::mem::take(&mut part.sent);
                    if done.finished {
                        let part = self.closing.swap_remove(i);
                        self.file_finished(part.pending)?;
                    }
                    self.take_back(done.chunk, sent, done.stored, ctx);
                }
            }
        }
        self.send();
        Ok(())
    }

    /// Gives work to the pool: files to finish first, then full chunks, then, when memory is
    /// short, the largest.
    fn send(&mut self) {
        let room = |w: &Self| w.in_flight < w.options.max_in_flight.max(1);
        for i in 0..self.closing.len() {
            if room(self) && !self.closing[i].is_away() {
                let spare = self.spare_chunk();
                let part = &mut self.closing[i];
                part.send(&self.root, &self.format, &self.ctx.pool, spare, true);
                self.in_flight += 1;
            }
        }
        let mut waiting = false;
        for slot in 0..self.parts.len() {
            let full = self.parts[slot]
                .as_ref()
                .is_some_and(|p| self.format.is_full(&p.chunk) || p.counted as u64 >= self.options.rolling.max_bytes);
            if full && !(room(self) && self.send_slot(slot)) {
                waiting = true;
            }
        }
        while self.buffered > self.options.max_buffered_bytes && room(self) {
            let largest = self
                .parts
                .iter()
                .enumerate()
                .filter_map(|(i, p)| Some((i, p.as_ref().filter(|p| !p.is_away() && p.counted > 0)?)))
                .max_by_key(|(_, p)| p.counted);
            let Some((slot, _)) = largest else { break };
            self.send_slot(slot);
        }
        // A few files may be closing while work goes on, so that it need not stop for each.
        let closing = self.closing.len() > 2 * self.options.max_in_flight.max(1);
        self.blocked = waiting || closing || self.buffered > self.options.max_buffered_bytes;
    }

    fn send_slot(&mut self, slot: usize) -> bool {
        let spare = self.spare_chunk();
        match &mut self.parts[slot] {
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
        // The file's own directory, and those above it that may be new.
        let mut dir = self.root.clone();
        self.dirty.insert(dir.clone());
        for level in Path::new(&pending.partition).components() {
            dir.push(level);
            self.dirty.insert(dir.clone());
        }
        self.finished.push(pending);
        Ok(())
    }

    /// `true` when every directory with new entries is durable.
    fn sync_directories(&mut self) -> Result<bool> {
        if self.syncing.is_none() && !self.dirty.is_empty() {
            let dirs = std::mem::take(&mut self.dirty);
            self.syncing = Some(self.ctx.pool.spawn(move || {
                // The parent of a new root may be "", which is the current directory.
                dirs.iter().try_for_each(|d| sync_dir(if d.as_os_str().is_empty() { Path::new(".") } else { d }))
            }));
        }
        let Some(ticket) = &mut self.syncing else { return Ok(true) };
        let Some(synced) = ticket.poll()? else { return Ok(false) };
        self.syncing = None;
        synced.map_err(|e| unwritable(&self.ctx.name, &self.root, &e.to_string()))?;
        Ok(true)
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
        let Some(part) = &mut self.parts[slot] else { return Ok(()) };
        match self.format.gather(&mut part.chunk, record) {
            Ok(()) => {
                let bytes = self.format.bytes(&part.chunk);
                self.buffered += bytes - part.counted;
                part.counted = bytes;
                let full = self.format.is_full(&part.chunk) || bytes as u64 >= self.options.rolling.max_bytes;
                if full || self.buffered > self.options.max_buffered_bytes || self.blocked {
                    self.pump(ctx)?;
                }
            }
            Err(r) => ctx.dead_letter(r.origin, r.time, r.raw, r.reason),
        }
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        if self.blocked {
            self.pump(ctx)?;
        }
        Ok(!self.blocked)
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        if !self.flushing {
            self.flushing = true;
            for slot in 0..self.parts.len() {
                self.close(slot);
            }
        }
        self.pump(ctx)?;
        if !self.closing.is_empty() || !self.sync_directories()? {
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
            for slot in 0..self.parts.len() {
                if self.parts[slot].as_ref().is_some_and(|p| p.opened_at.saturating_add(interval) <= now) {
                    self.close(slot);
                }
            }
        }
        self.pump(ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        let interval = millis(self.options.rolling.interval?);
        self.parts.iter().flatten().map(|p| p.opened_at.saturating_add(interval)).min()
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
