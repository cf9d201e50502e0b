//! The fields of one CSV row, by csv-core.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Splits rows, using its buffers again and again.
pub(crate) struct Fields {
    core: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
}

impl Fields {
    pub fn new(delimiter: u8, quoting: bool) -> Self {
        let core = ReaderBuilder::new().delimiter(delimiter).quoting(quoting).build();
        let mut fields = Fields { core, text: vec![0; 512], ends: vec![0; 32], fields: 0 };
        // What looks like a byte order mark is one at the beginning of a file only.
        fields.core.read_record(b"\n", &mut fields.text, &mut fields.ends);
        fields
    }

    /// Splits `row`, which is whole and without its line end. `None`: it is not UTF-8.
    pub fn split(&mut self, row: &[u8]) -> Option<impl Iterator<Item = &str>> {
        self.read(row);
        let text = self.text()?;
        let mut start = 0;
        Some(self.ends().iter().map(move |&end| {
            let field = text.get(start..end).unwrap_or_default();
            start = end;
            field
        }))
    }

    /// Splits `row` into [`text`](Self::text) and [`ends`](Self::ends).
    pub fn read(&mut self, row: &[u8]) {
        self.fields = 0;
        let (mut read, mut written) = (0, 0);
        loop {
            let at_end = read >= row.len();
            let input = if at_end { &b"\n"[..] } else { &row[read..] };
            let (result, n, out, ends) =
                self.core.read_record(input, &mut self.text[written..], &mut self.ends[self.fields..]);
            read += n;
            written += out;
            self.fields += ends;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => return,
                // A quote is open after all: the row ends here nevertheless.
                ReadRecordResult::InputEmpty if at_end => {
                    self.core.reset();
                    self.core.read_record(b"\n", &mut [], &mut []);
                    return;
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
    }

    /// All fields one after the other, without quotes; `None`: they are not UTF-8.
    pub fn text(&self) -> Option<&str> {
        let end = self.fields.checked_sub(1).map_or(0, |i| self.ends[i]);
        std::str::from_utf8(&self.text[..end]).ok()
    }

    /// Where each field ends.
    pub fn ends(&self) -> &[usize] {
        &self.ends[..self.fields]
    }
}
