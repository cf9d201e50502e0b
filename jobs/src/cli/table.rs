//! Tables for terminals: columns as wide as they need to be, numbers to the right.

use std::io::{self, Write};

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Writes a table with a header line and two spaces between columns.
pub fn write(out: &mut impl Write, columns: &[(&str, Align)], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |c: usize| {
        let cells = rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count());
        cells.chain([columns[c].0.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (c, cell) in cells.take(columns.len()).enumerate() {
            let pad = " ".repeat(widths[c].saturating_sub(cell.chars().count()));
            match columns[c].1 {
                Align::Left => text.extend([cell, pad.as_str(), "  "]),
                Align::Right => text.extend([pad.as_str(), cell, "  "]),
            }
        }
        writeln!(out, "{}", text.trim_end())
    };
    line(&mut columns.iter().map(|(name, _)| *name))?;
    for row in rows {
        line(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["smart-meters".to_owned(), "7".to_owned()], vec!["ä".to_owned(), "1,234".to_owned()]];
        let mut out = Vec::new();
        assert!(write(&mut out, &[("JOB", Align::Left), ("READ", Align::Right)], &rows).is_ok());
        let text = String::from_utf8(out).unwrap_or_default();
        assert_eq!(text, "JOB            READ\nsmart-meters      7\nä             1,234\n");
    }
}
