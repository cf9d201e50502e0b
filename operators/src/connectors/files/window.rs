//! A window that moves over a file: what has been read and not yet been turned into records.

use std::io;

use super::input::Input;

/// The read and unread bytes, in one buffer that is used again and again.
#[derive(Default)]
pub(super) struct Window {
    buf: Vec<u8>,
    start: usize,
    end: usize,
    utf8: bool,
}

impl Window {
    /// What is waiting.
    pub fn unread(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// Whether everything up to the last line end (or to the end, after [`check_all`](Self::check_all))
    /// is valid UTF-8. Checked once a block, which is much cheaper than once a line.
    pub fn utf8(&self) -> bool {
        self.utf8
    }

    /// Moves past `n` bytes.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }

    /// Forgets everything, keeping the buffer.
    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Forgets everything and gives the memory back.
    pub fn release(&mut self) {
        *self = Window::default();
    }

    /// Reads about `block` more bytes behind the unread ones; 0 at the end of the input. There
    /// are never more than `limit` unread bytes: what record is too long must not depend on
    /// where reading began.
    pub fn refill(&mut self, input: &mut Input, block: usize, limit: usize) -> io::Result<usize> {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Room for a whole block only when the rest is long: usually it is a part of a line.
        let needed = (self.end * 2).max(block);
        if self.buf.len() < needed {
            self.buf.resize(needed, 0);
        }
        let room = self.buf.len().min(limit.max(self.end + 1));
        let n = input.read(&mut self.buf[self.end..room])?;
        self.end += n;
        let whole = memchr::memrchr(b'\n', self.unread()).map_or(0, |i| i + 1);
        self.utf8 = std::str::from_utf8(&self.unread()[..whole]).is_ok();
        Ok(n)
    }

    /// At the end of the input: the last line counts without a line end.
    pub fn check_all(&mut self) {
        self.utf8 = std::str::from_utf8(self.unread()).is_ok();
    }
}
