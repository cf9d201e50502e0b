//! The write-ahead log: what was taken and is not in the magnetic store's files yet.
//!
//! It is one endless sequence of bytes; a place in it is a [`Position`]. [`Wal::append`] only puts a frame into memory; one
//! thread writes what has gathered and calls fsync once for all of it (group commit), so that many writers share the price of
//! a sync. [`Wal::durable`] waits for that. A record is acknowledged only then.
//!
//! A disk that is full is told to whoever waits, and tried again until it has room: what could not be written stays in memory,
//! and goes into a segment of its own, behind the last byte that is known to be on the disk.
//!
//! On disk the log is a row of segments `<position of its first byte>.wal`. A frame is its length, the CRC-32 of what it holds,
//! and that. When a machine loses power in the middle of a write the last segment's end is torn: what does not check there
//! was never acknowledged, and is cut off. Damage anywhere else is an error.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::error::{At, Error, Result};

/// A place in the log, in bytes from its beginning.
pub type Position = u64;

const HEADER: usize = 8;
/// A segment that is longer is followed by a new one.
const SEGMENT: u64 = 64 << 20;
/// Writers wait while more than this is not yet on the disk.
const UNWRITTEN: usize = 64 << 20;
/// What could not be written is tried again so often.
const AGAIN: Duration = Duration::from_millis(500);
/// A frame is never longer: a length beyond it is damage.
const FRAME: u32 = 1 << 30;

/// The log, open for appending.
#[derive(Debug)]
pub struct Wal {
    shared: Arc<Shared>,
    durable: watch::Receiver<Durable>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug)]
struct State {
    /// Frames that are not written yet.
    buffer: Vec<u8>,
    /// The place behind them.
    end: Position,
    is_closing: bool,
    is_read_only: bool,
}

/// How far the log is on the disk, and why it comes no further now.
#[derive(Debug, Clone, Default)]
struct Durable {
    position: Position,
    failed: Option<String>,
}

impl Wal {
    /// Opens the log in `dir`, gives every frame from `from` on to `replay`, and goes on behind the last.
    pub fn open(dir: &Path, from: Position, replay: impl FnMut(&[u8]) -> Result<()>) -> Result<Self> {
        std::fs::create_dir_all(dir).at(dir)?;
        let (end, last) = replay_all(dir, from, Torn::Cut, replay)?;
        let (sender, durable) = watch::channel(Durable { position: end, failed: None });
        let state = State { buffer: Vec::new(), end, is_closing: false, is_read_only: false };
        let shared = Arc::new(Shared { dir: dir.to_owned(), state: Mutex::new(state), work: Condvar::new() });
        let segment = match last {
            Some(path) => Segment::reopen(&path)?,
            None => Segment::create(dir, end)?,
        };
        let writer = Writer { shared: shared.clone(), durable: sender, segment, position: end };
        let thread = std::thread::Builder::new().name("store-log".into()).spawn(|| writer.run()).at(dir)?;
        Ok(Wal { shared, durable, thread: Some(thread) })
    }

    /// As [`Wal::open`], beside the process that writes it: nothing is changed, and nothing can be appended.
    pub fn open_read_only(dir: &Path, from: Position, replay: impl FnMut(&[u8]) -> Result<()>) -> Result<Self> {
        let (end, _) = replay_all(dir, from, Torn::Leave, replay)?;
        let (_, durable) = watch::channel(Durable { position: end, failed: None });
        let state = State { buffer: Vec::new(), end, is_closing: false, is_read_only: true };
        let shared = Arc::new(Shared { dir: dir.to_owned(), state: Mutex::new(state), work: Condvar::new() });
        Ok(Wal { shared, durable, thread: None })
    }
    /// Adds a frame, and returns the place behind it. It is durable when [`Wal::durable`] says so.
    pub fn append(&self, frame: &[u8]) -> Result<Position> {
        let mut state = self.shared.state.lock();
        if state.is_read_only {
            return Err(Error::ReadOnly);
        }
        let len = u32::try_from(frame.len()).ok().filter(|&len| len <= FRAME);
        let len = len.ok_or_else(|| Error::Log(format!("a frame of {} bytes", frame.len())))?;
        state.buffer.extend_from_slice(&len.to_le_bytes());
        state.buffer.extend_from_slice(&crc32fast::hash(frame).to_le_bytes());
        state.buffer.extend_from_slice(frame);
        state.end += (HEADER + frame.len()) as u64;
        let end = state.end;
        drop(state);
        self.shared.work.notify_one();
        Ok(end)
    }

    /// The place behind the last frame.
    pub fn end(&self) -> Position {
        self.shared.state.lock().end
    }

    /// Waits until everything before `position` would survive a power loss.
    pub async fn durable(&self, position: Position) -> Result<()> {
        let mut durable = self.durable.clone();
        let reached = durable.wait_for(|d| d.position >= position || d.failed.is_some()).await;
        match reached {
            Ok(d) if d.position >= position => Ok(()),
            Ok(d) => Err(Error::Log(d.failed.clone().unwrap_or_default())),
            Err(_) => Err(Error::Log("it was closed".into())),
        }
    }

    /// Waits until so little is on its way to the disk that more may be added.
    pub async fn room(&self) -> Result<()> {
        let end = self.end();
        self.durable(end.saturating_sub(UNWRITTEN as u64)).await
    }

    /// Whether everything before `position` would survive a power loss.
    pub fn is_durable(&self, position: Position) -> bool {
        self.durable.borrow().position >= position
    }

    /// Removes the segments that lie before `position`: what they hold is elsewhere.
    pub fn forget(&self, position: Position) -> Result<()> {
        let segments = segments(&self.shared.dir)?;
        for pair in segments.windows(2) {
            if pair[1].0 <= position {
                std::fs::remove_file(&pair[0].1).at(&pair[0].1)?;
            }
        }
        Ok(())
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.shared.state.lock().is_closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has no more to say than what `durable` has said.
            let _ = thread.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    durable: watch::Sender<Durable>,
    segment: Segment,
    position: Position,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            batch.clear();
            {
                let mut state = self.shared.state.lock();
                while state.buffer.is_empty() {
                    if state.is_closing {
                        return;
                    }
                    self.shared.work.wait(&mut state);
                }
                std::mem::swap(&mut state.buffer, &mut batch);
            }
            while let Err(e) = self.write(&batch) {
                if self.durable.borrow().failed.is_none() {
                    tracing::warn!("the write-ahead log cannot be written ({e}); it is tried again until it can");
                }
                self.durable.send_modify(|d| d.failed = Some(e.to_string()));
                if self.pause() {
                    return;
                }
            }
            self.position += batch.len() as u64;
            let position = self.position;
            self.durable.send_modify(|d| *d = Durable { position, failed: None });
        }
    }

    /// Returns whether the log is being closed.
    fn pause(&self) -> bool {
        std::thread::sleep(AGAIN);
        self.shared.state.lock().is_closing
    }

    fn write(&mut self, batch: &[u8]) -> Result<()> {
        if self.durable.borrow().failed.is_some() {
            // Nobody knows what of the last attempt is on the disk: behind what is known to be, the log begins anew.
            self.segment.cut()?;
            self.segment = Segment::create(&self.shared.dir, self.position)?;
        } else if self.segment.len >= SEGMENT {
            self.segment = Segment::create(&self.shared.dir, self.position)?;
        }
        self.segment.file.write_all(batch).at(&self.segment.path)?;
        self.segment.file.sync_data().at(&self.segment.path)?;
        self.segment.len += batch.len() as u64;
        Ok(())
    }
}

/// The file that is written to.
struct Segment {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Segment {
    fn create(dir: &Path, start: Position) -> Result<Self> {
        let path = dir.join(format!("{start:020}.wal"));
        let file = OpenOptions::new().create(true).append(true).open(&path).at(&path)?;
        file.sync_all().at(&path)?;
        File::open(dir).and_then(|d| d.sync_all()).at(dir)?;
        Ok(Segment { path, file, len: 0 })
    }

    /// Takes off what was written and not synced.
    fn cut(&self) -> Result<()> {
        self.file.set_len(self.len).and_then(|()| self.file.sync_all()).at(&self.path)
    }

    fn reopen(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).open(path).at(path)?;
        let len = file.metadata().at(path)?.len();
        Ok(Segment { path: path.to_owned(), file, len })
    }
}

/// What becomes of an end that was torn off in the middle of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Torn {
    /// It is cut off.
    Cut,
    /// It is passed over: it may be a write that is under way.
    Leave,
}

/// Replays the log, and returns where it ends, and its last segment.
fn replay_all(
    dir: &Path,
    from: Position,
    torn: Torn,
    mut replay: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(Position, Option<PathBuf>)> {
    let segments = segments(dir)?;
    let mut end = from;
    let begin = segments.iter().rposition(|&(start, _)| start <= from);
    if begin.is_none() && !segments.is_empty() {
        return Err(Error::Damaged {
            path: dir.display().to_string(),
            what: format!("the log begins after {from}, which is where it is needed from"),
        });
    }
    let needed = begin.map_or(&[][..], |begin| &segments[begin..]);
    for (i, (start, path)) in needed.iter().enumerate() {
        let torn = (i + 1 == needed.len()).then_some(torn);
        if i > 0 && *start != end {
            return Err(Error::Damaged {
                path: path.display().to_string(),
                what: format!("it begins at {start}, and the segment before it ends at {end}"),
            });
        }
        end = read_segment(path, *start, end.max(*start), torn, &mut replay)?;
    }
    Ok((end, needed.last().map(|(_, path)| path.clone())))
}

fn segments(dir: &Path) -> Result<Vec<(Position, PathBuf)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        let start = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".wal"));
        if let Some(start) = start.and_then(|n| n.parse().ok()) {
            all.push((start, path));
        }
    }
    all.sort();
    Ok(all)
}

/// Replays a segment from `from` on, and returns where it ends. Only the last may have a torn end.
fn read_segment(
    path: &Path,
    start: Position,
    from: Position,
    torn: Option<Torn>,
    replay: &mut impl FnMut(&[u8]) -> Result<()>,
) -> Result<Position> {
    let mut file = OpenOptions::new().read(true).write(torn == Some(Torn::Cut)).open(path).at(path)?;
    let len = file.metadata().at(path)?.len();
    let mut at = from - start;
    if at > len {
        let what = format!("it has {len} bytes, and is needed from {at} on");
        return Err(Error::Damaged { path: path.display().to_string(), what });
    }
    file.seek(SeekFrom::Start(at)).at(path)?;
    let mut reader = std::io::BufReader::with_capacity(1 << 20, &file);
    let mut frame = Vec::new();
    while at < len {
        let mut header = [0; HEADER];
        let whole = len - at >= HEADER as u64 && {
            reader.read_exact(&mut header).at(path)?;
            let [a, b, c, d, ..] = header;
            let size = u32::from_le_bytes([a, b, c, d]);
            size <= FRAME && u64::from(size) <= len - at - HEADER as u64 && {
                frame.resize(size as usize, 0);
                reader.read_exact(&mut frame).at(path)?;
                let [.., e, f, g, h] = header;
                // What a torn write leaves is often zeros, which are their own checksum.
                size > 0 && crc32fast::hash(&frame) == u32::from_le_bytes([e, f, g, h])
            }
        };
        if !whole {
            let Some(torn) = torn else {
                let what = format!("what is written at byte {at} does not check");
                return Err(Error::Damaged { path: path.display().to_string(), what });
            };
            if torn == Torn::Leave {
                break;
            }
            tracing::warn!(
                segment = %path.display(),
                bytes = len - at,
                "the log's end was torn off in the middle of a write, which was not acknowledged; it is cut off"
            );
            file.set_len(at).at(path)?;
            file.sync_all().at(path)?;
            break;
        }
        replay(&frame)?;
        at += (HEADER + frame.len()) as u64;
    }
    Ok(start + at)
}
