//! Where records begin and end: one set of rules for reading a range and for finding legal cuts.
//!
//! JSON lines end at `\n`. CSV rows end at `\n`, `\r` or `\r\n` outside of quotes, as csv-core has
//! it: a quote opens a field only at its very beginning, `""` inside stands for a quote. A record
//! of which no end is found within `max_record` bytes is a bad line: reading goes on behind its
//! first line end. The answer depends on the file's bytes alone, never on how many of them happen
//! to be in memory, which is why a file cut anywhere legal reads as the whole.

/// How the records of a file are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// CSV's delimiter; `None`: one record a line.
    pub delimiter: Option<u8>,
    /// Whether quotes hide line ends (CSV only).
    pub quoting: bool,
    /// The longest record, without its line end.
    pub max_record: usize,
}

/// What stands at the beginning of some bytes, which are the beginning of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Line ends: this many bytes that belong to no record.
    Blank(usize),
    /// A record of this length; its line end comes after it.
    Record(usize),
    /// A line of this length with a quote that is not closed (in time): no record.
    Unclosed(usize),
    /// A line longer than `max_record`: it ends at the next line end, wherever that is.
    Overlong,
    /// More bytes are needed.
    Starved,
}

impl Rules {
    /// Whether `byte` ends a line.
    #[inline]
    pub fn ends_line(&self, byte: u8) -> bool {
        byte == b'\n' || byte == b'\r' && self.delimiter.is_some()
    }

    /// The first line end in `bytes`.
    #[inline]
    pub fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        if self.delimiter.is_some() { memchr::memchr2(b'\n', b'\r', bytes) } else { memchr::memchr(b'\n', bytes) }
    }

    /// Whether a line end is the end of a record wherever it stands: then any cut is legal.
    pub fn cuts_freely(&self) -> bool {
        self.delimiter.is_none() || !self.quoting
    }

    /// What `bytes` begin with. `last`: nothing comes after them.
    pub fn step(&self, bytes: &[u8], last: bool) -> Step {
        let blank = bytes.iter().take_while(|b| self.ends_line(**b)).count();
        if blank > 0 {
            return Step::Blank(blank);
        }
        if bytes.is_empty() {
            return Step::Starved;
        }
        let window = &bytes[..bytes.len().min(self.max_record.saturating_add(1))];
        let (end, open) = match self.delimiter {
            Some(delimiter) if self.quoting => quoted_end(window, delimiter),
            _ => (self.line_end(window), false),
        };
        match end {
            Some(end) => Step::Record(end),
            None if window.len() > self.max_record => self.line_end(window).map_or(Step::Overlong, Step::Unclosed),
            None if !last => Step::Starved,
            None if open => Step::Unclosed(self.line_end(window).unwrap_or(window.len())),
            None => Step::Record(window.len()),
        }
    }
}

/// The end of the row at the beginning of `bytes`, and whether a quote is open at their end.
#[inline]
fn quoted_end(bytes: &[u8], delimiter: u8) -> (Option<usize>, bool) {
    let mut at = 0;
    loop {
        // Outside of quotes; `at` is the beginning of the row or stands behind a closing quote.
        let Some(i) = memchr::memchr3(b'"', b'\n', b'\r', &bytes[at..]) else { return (None, false) };
        let found = at + i;
        if bytes[found] != b'"' {
            return (Some(found), false);
        }
        at = found + 1;
        if found > 0 && bytes[found - 1] != delimiter {
            // In the middle of a field, or behind a closed one: an ordinary character.
            continue;
        }
        loop {
            let Some(i) = memchr::memchr(b'"', &bytes[at..]) else { return (None, true) };
            at += i + 1;
            match bytes.get(at) {
                Some(b'"') => at += 1,
                _ => break,
            }
        }
    }
}

/// Finds legal cuts in a file whose quotes hide line ends: runs over it once with the same rules
/// by which it will be read, at the speed of `memchr` where there are no quotes.
pub(crate) struct CutFinder {
    rules: Rules,
    /// What of the file is not passed yet.
    rest: Vec<u8>,
    /// Where `rest` begins in the file.
    offset: u64,
    /// In a line that is too long: only a line end counts.
    overlong: bool,
    /// The next cut is the first beginning of a record at or behind this.
    target: u64,
    size: u64,
    end: u64,
    cuts: Vec<u64>,
}

impl CutFinder {
    /// Cuts `[start, end)` about every `size` bytes; `start` is the beginning of a record.
    pub fn new(rules: Rules, start: u64, end: u64, size: u64) -> Self {
        let target = start.saturating_add(size.max(1));
        CutFinder {
            rules,
            rest: Vec::new(),
            offset: start,
            overlong: false,
            target,
            size: size.max(1),
            end,
            cuts: Vec::new(),
        }
    }

    /// Takes the bytes that follow. `last`: none do.
    pub fn push(&mut self, bytes: &[u8], last: bool) {
        self.rest.extend_from_slice(bytes);
        let plain = memchr::memchr(b'"', &self.rest).is_none();
        let passed = if plain && !self.overlong { self.pass_plain() } else { self.pass_rows(last) };
        self.rest.drain(..passed);
        self.offset += passed as u64;
    }

    /// Where to cut: inner boundaries, in order.
    pub fn cuts(self) -> Vec<u64> {
        self.cuts
    }

    fn cut(&mut self, at: u64) {
        if at < self.end {
            self.cuts.push(at);
        }
        self.target = at.saturating_add(self.size);
    }

    /// There is no quote: every line end is the end of a record (also of one that is too long).
    fn pass_plain(&mut self) -> usize {
        let end = if self.rules.delimiter.is_some() {
            memchr::memrchr2(b'\n', b'\r', &self.rest)
        } else {
            memchr::memrchr(b'\n', &self.rest)
        };
        let passed = end.map_or(0, |i| i + 1);
        loop {
            // A record begins at the target if the byte before it ends a line.
            let from = usize::try_from(self.target.saturating_sub(self.offset)).unwrap_or(usize::MAX).saturating_sub(1);
            let Some(i) = self.rest.get(from..passed).and_then(|b| self.rules.line_end(b)) else { break };
            self.cut(self.offset + (from + i + 1) as u64);
        }
        if self.rest.len() - passed > self.rules.max_record {
            self.overlong = true;
            return self.rest.len();
        }
        passed
    }

    fn pass_rows(&mut self, last: bool) -> usize {
        let mut at = 0;
        loop {
            if self.overlong {
                match self.rules.line_end(&self.rest[at..]) {
                    Some(i) => at += i,
                    None => return self.rest.len(),
                }
                self.overlong = false;
            }
            match self.rules.step(&self.rest[at..], last) {
                Step::Blank(n) => at += n,
                Step::Record(n) | Step::Unclosed(n) => {
                    self.begin(at);
                    at += n;
                }
                Step::Overlong => {
                    self.begin(at);
                    self.overlong = true;
                }
                Step::Starved => return at,
            }
        }
    }

    /// A record begins at `at` of the rest.
    fn begin(&mut self, at: usize) {
        let here = self.offset + at as u64;
        if here >= self.target {
            self.cut(here);
        }
    }
}
