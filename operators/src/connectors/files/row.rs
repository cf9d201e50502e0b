//! A CSV row as its mapper sees it: fields by column name, borrowed from the file's buffer.

use super::csv::CsvColumns;

/// One row. Empty fields and the word `Null` are there as they are: what they mean is the
/// mapper's business ([`value`](Self::value) and [`opt_f64`](Self::opt_f64) take them as absent).
#[derive(Debug, Clone, Copy)]
pub struct CsvRow<'a> {
    pub(super) columns: &'a CsvColumns,
    pub(super) file: &'a str,
    pub(super) position: u64,
    /// All fields one after the other.
    pub(super) text: &'a str,
    /// Where each of them ends.
    pub(super) ends: &'a [usize],
}

impl<'a> CsvRow<'a> {
    /// A row of `file` at `position`: `text` is all fields one after the other, without quotes, and
    /// `ends` where each of them ends in it.
    pub fn new(columns: &'a CsvColumns, file: &'a str, position: u64, text: &'a str, ends: &'a [usize]) -> Self {
        CsvRow { columns, file, position, text, ends }
    }

    /// The file's path below the source's root.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// The file's name without directories, `.gz` and the ending before it: often the meter's id.
    pub fn file_stem(&self) -> &'a str {
        file_stem(self.file)
    }

    /// The row's byte offset in its file (gzip: its number).
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The columns' names.
    pub fn names(&self) -> &'a [String] {
        &self.columns.names
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (text, ends) = (self.text, self.ends);
        (0..ends.len()).map(move |i| field(text, ends, i))
    }

    /// The field of the column `name`.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let i = self.columns.names.iter().position(|n| n == name)?;
        self.at(i)
    }

    /// The field of the column `name`, which must be there.
    pub fn text(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("there is no column '{name}'"))
    }

    /// The column `name` as a number.
    pub fn f64(&self, name: &str) -> Result<f64, String> {
        number(name, self.text(name)?)
    }

    /// The column `name` as a number that may be absent (empty, `Null`, `NA`).
    pub fn opt_f64(&self, name: &str) -> Result<Option<f64>, String> {
        opt_number(name, self.text(name)?)
    }

    /// The column `name` as a time in milliseconds since the epoch, read as the options say.
    pub fn time_ms(&self, name: &str) -> Result<i64, String> {
        self.columns.times.parse(self.text(name)?).map_err(|e| format!("column '{name}': {e}"))
    }

    /// The time in the column that the options name.
    pub fn time(&self) -> Result<i64, String> {
        let text = self.role(self.columns.time, "time")?;
        self.columns.times.parse(text).map_err(|e| format!("column '{}': {e}", self.name(self.columns.time)))
    }

    /// The value in the column that the options name; `None` if it is absent.
    pub fn value(&self) -> Result<Option<f64>, String> {
        let text = self.role(self.columns.value, "value")?;
        opt_number(self.name(self.columns.value), text)
    }

    /// The meter: the file's name, or the column that the options name.
    pub fn meter(&self) -> Result<&'a str, String> {
        match self.columns.meter {
            None => Ok(self.file_stem()),
            some => self.role(some, "meter"),
        }
    }

    /// The region, if the options name a column for it.
    pub fn region(&self) -> Option<&'a str> {
        self.columns.region.and_then(|i| self.at(i))
    }

    /// The unit, if the options name a column for it.
    pub fn unit(&self) -> Option<&'a str> {
        self.columns.unit.and_then(|i| self.at(i))
    }

    pub(super) fn arrival(&self) -> Result<Option<i64>, String> {
        let Some(i) = self.columns.arrival else { return Ok(None) };
        let text = self.at(i).unwrap_or_default();
        self.columns.times.parse(text).map(Some).map_err(|e| format!("column '{}': {e}", self.name(Some(i))))
    }

    #[inline]
    fn at(&self, i: usize) -> Option<&'a str> {
        (i < self.ends.len()).then(|| field(self.text, self.ends, i))
    }

    fn role(&self, column: Option<usize>, option: &str) -> Result<&'a str, String> {
        let i = column.ok_or_else(|| format!("no column is named for `{option}` in the CSV options"))?;
        self.at(i).ok_or_else(|| format!("the row has no field for column '{}'", self.name(column)))
    }

    fn name(&self, column: Option<usize>) -> &'a str {
        column.and_then(|i| self.columns.names.get(i)).map_or("?", String::as_str)
    }
}

#[inline]
fn field<'a>(text: &'a str, ends: &[usize], i: usize) -> &'a str {
    let start = if i == 0 { 0 } else { ends[i - 1] };
    // A field can only end inside a character if the delimiter were no ASCII character.
    text.get(start..ends[i]).unwrap_or_default()
}

fn number(name: &str, text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("column '{name}': '{text}' is not a number"))
}

fn opt_number(name: &str, text: &str) -> Result<Option<f64>, String> {
    let t = text.trim();
    if t.is_empty() || t.eq_ignore_ascii_case("null") || t.eq_ignore_ascii_case("na") {
        return Ok(None);
    }
    number(name, text).map(Some)
}

/// `a/b/meter-7.csv.gz` → `meter-7`.
pub(super) fn file_stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems() {
        for (path, stem) in [("a/b/m-7.csv.gz", "m-7"), ("m.csv", "m"), ("m", "m"), ("x/m.gz", "m"), ("m.1.csv", "m.1")]
        {
            assert_eq!(file_stem(path), stem);
        }
    }
}
