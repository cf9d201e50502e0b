//! Directories whose contents may be thrown away.
//!
//! A benchmark begins with an empty directory, and empties what it is given. That must not be
//! somebody's home: only what is empty or carries the mark of an earlier run is taken.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context, Result, bail};

/// Says that everything beside it may go.
const MARK: &str = ".hurtig-scratch";

/// Makes `dir` an empty directory that this and later runs may empty again.
pub fn claim(dir: &Path) -> Result<()> {
    let shown = || dir.display().to_string();
    match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(shown),
        Ok(_) if dir.join(MARK).exists() => fs::remove_dir_all(dir).with_context(shown)?,
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!(
                    "'{}' is not empty and was not made by a benchmark: it would be emptied, so name another directory",
                    dir.display()
                );
            }
        }
    }
    fs::create_dir_all(dir).with_context(shown)?;
    fs::write(dir.join(MARK), "Benchmarks empty this directory when they begin.\n").with_context(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_empty_or_marked_is_emptied() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = place.path().join("a/b");
        for _ in 0..2 {
            claim(&dir).expect("new, then its own");
            fs::write(dir.join("result"), "1").expect("a file");
        }
        claim(&dir).expect("its own");
        assert!(!dir.join("result").exists());
        let home = place.path().join("home");
        fs::create_dir(&home).expect("a directory");
        claim(&home).expect("an empty one");
        fs::remove_file(home.join(MARK)).expect("a mark");
        fs::write(home.join("letters"), "dear").expect("a file");
        let refused = claim(&home).expect_err("somebody's").to_string();
        assert!(refused.contains("not empty") && home.join("letters").exists(), "{refused}");
    }
}
