//! The bytes of one file: plain, or decompressed on the way.

use std::{
    fs::File,
    io::{self, BufRead, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

/// How much of a compressed file is read at once.
const COMPRESSED_BLOCK: usize = 32 << 10;

/// An open file.
pub(super) enum Input {
    /// Bytes as they are.
    Plain(File),
    /// One or more gzip members.
    Gzip(Box<MultiGzDecoder<Compressed>>),
}

impl Input {
    /// Opens a file; what it is shows in its first bytes, not in its name.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        let mut magic = [0; 2];
        let gzip = file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
        file.rewind()?;
        Ok(if gzip {
            let compressed = Compressed {
                path: path.to_owned(),
                file: Some(file),
                offset: 0,
                block: vec![0; COMPRESSED_BLOCK].into_boxed_slice(),
                read: 0..0,
            };
            Input::Gzip(Box::new(MultiGzDecoder::new(compressed)))
        } else {
            Input::Plain(file)
        })
    }

    /// Whether positions are record numbers.
    pub fn is_gzip(&self) -> bool {
        matches!(self, Input::Gzip(_))
    }

    /// Reads what there is, 0 at the end.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = match self {
                Input::Plain(f) => f.read(into),
                Input::Gzip(d) => d.read(into),
            };
            match n {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                n => return n,
            }
        }
    }

    /// Goes to a byte of a plain file.
    pub fn seek(&mut self, offset: u64) -> io::Result<()> {
        match self {
            Input::Plain(f) => f.seek(SeekFrom::Start(offset)).map(drop),
            Input::Gzip(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "a gzip stream cannot seek")),
        }
    }

    /// Gives the file descriptor of a gzip stream back; it is opened again by itself.
    pub fn release(&mut self) {
        if let Input::Gzip(d) = self {
            d.get_mut().file = None;
        }
    }
}

/// Whether `e` says that the compressed bytes are wrong (and not that reading failed).
pub(super) fn is_broken_stream(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
}

/// A compressed file that is opened when it is needed: a decoder's state must be kept, or
/// everything would be decompressed again, but a file descriptor need not.
pub(super) struct Compressed {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
    block: Box<[u8]>,
    read: std::ops::Range<usize>,
}

impl Read for Compressed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Compressed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read.is_empty() {
            let file = match &mut self.file {
                Some(f) => f,
                closed => {
                    let mut f = File::open(&self.path)?;
                    f.seek(SeekFrom::Start(self.offset))?;
                    closed.insert(f)
                }
            };
            let n = file.read(&mut self.block)?;
            self.offset += n as u64;
            self.read = 0..n;
        }
        Ok(&self.block[self.read.clone()])
    }

    fn consume(&mut self, n: usize) {
        self.read.start = (self.read.start + n).min(self.read.end);
    }
}
