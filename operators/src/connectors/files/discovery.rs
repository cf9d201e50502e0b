//! Which files a path, a directory or a pattern means.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hurtig_engine::error::{Error, Result};

use super::source::NAME;

/// Deeper directories are taken for a loop of links.
const MAX_DEPTH: usize = 64;

/// The files of a source: paths relative to `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub root: PathBuf,
    /// Relative path and size, the largest first, then by name: dealt out in this order the
    /// readers get about the same number of bytes.
    pub files: Vec<(String, u64)>,
}

/// Where relative paths of `pattern` start, without looking for the files.
pub(super) fn root_of(pattern: &str) -> PathBuf {
    let path = Path::new(pattern);
    if path.is_dir() {
        return path.to_owned();
    }
    let mut root = PathBuf::new();
    let mut rest = path.components().peekable();
    while let Some(part) = rest.next() {
        // The last part is the file's name, and a part with a wildcard is no place.
        if rest.peek().is_none() || has_wildcard(&part.as_os_str().to_string_lossy()) {
            break;
        }
        root.push(part);
    }
    if root.as_os_str().is_empty() { PathBuf::from(".") } else { root }
}

/// Finds the files behind `pattern`. In directories, only those that end in one of `suffixes`
/// (also followed by `.gz`; none given: all), and nothing hidden or pending.
pub(super) fn find(pattern: &str, suffixes: &[String]) -> Result<Found> {
    let path = Path::new(pattern);
    let root = root_of(pattern);
    let mut files = Vec::new();
    let mut skipped = 0;
    if path.is_dir() {
        walk(path, &root, suffixes, 0, &mut files, &mut skipped)?;
        if files.is_empty() {
            return Err(nothing(pattern, suffixes, skipped));
        }
    } else if path.exists() {
        files.push(entry(path, &root)?);
    } else if has_wildcard(pattern) {
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let paths = glob::glob_with(pattern, options).map_err(|e| {
            Error::source(NAME, format!("'{pattern}' is not a valid pattern: {e}; use *, ?, [..] and **"))
        })?;
        for found in paths {
            let found = found.map_err(|e| unreadable(e.path(), e.error()))?;
            if found.is_dir() {
                walk(&found, &root, suffixes, 0, &mut files, &mut skipped)?;
            } else if !is_hidden(&found) {
                files.push(entry(&found, &root)?);
            }
        }
        if files.is_empty() {
            return Err(Error::source(NAME, format!("no file matches '{pattern}'; check the pattern")));
        }
    } else {
        return Err(Error::source(
            NAME,
            format!("'{pattern}' does not exist; give a file, a directory or a pattern such as 'dir/*.json'"),
        ));
    }
    // `**` can name a file twice.
    files.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    files.dedup();
    Ok(Found { root, files })
}

fn walk(
    dir: &Path,
    root: &Path,
    suffixes: &[String],
    depth: usize,
    files: &mut Vec<(String, u64)>,
    skipped: &mut usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        let reason = format!("'{}' is nested too deeply; is there a loop of links?", dir.display());
        return Err(Error::source(NAME, reason));
    }
    for item in fs::read_dir(dir).map_err(|e| unreadable(dir, &e))? {
        let path = item.map_err(|e| unreadable(dir, &e))?.path();
        if is_hidden(&path) {
            continue;
        }
        if path.is_dir() {
            walk(&path, root, suffixes, depth + 1, files, skipped)?;
        } else if has_suffix(&path, suffixes) {
            files.push(entry(&path, root)?);
        } else {
            *skipped += 1;
        }
    }
    Ok(())
}

fn entry(path: &Path, root: &Path) -> Result<(String, u64)> {
    let size = fs::metadata(path).map_err(|e| unreadable(path, &e))?.len();
    let below = path.strip_prefix(root).unwrap_or(path);
    let name = below.to_str().ok_or_else(|| {
        Error::source(NAME, format!("the name of '{}' is not UTF-8; rename the file", path.display()))
    })?;
    Ok((name.replace(std::path::MAIN_SEPARATOR, "/"), size))
}

/// Hidden files, unfinished ones, and those that other systems put beside data (`_SUCCESS`).
fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|n| n.to_string_lossy().starts_with(['.', '_']) || n.to_string_lossy().ends_with(".pending"))
}

fn has_suffix(path: &Path, suffixes: &[String]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    suffixes.is_empty() || suffixes.iter().any(|s| name.ends_with(&s.to_ascii_lowercase()))
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    Error::source(NAME, format!("'{}' cannot be read: {e}; check the path and its permissions", path.display()))
}

fn nothing(dir: &str, suffixes: &[String], skipped: usize) -> Error {
    let wanted = if suffixes.is_empty() {
        "there is no file in it".to_owned()
    } else if skipped == 0 {
        format!("there is no file in it (looked for {})", suffixes.join(", "))
    } else {
        format!(
            "none of its {skipped} files ends in {} (or these with .gz); rename them or set `suffixes`",
            suffixes.join(", ")
        )
    };
    Error::source(NAME, format!("nothing to read in '{dir}': {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &Found) -> Vec<&str> {
        found.files.iter().map(|f| f.0.as_str()).collect()
    }

    #[test]
    fn directories_patterns_and_files() {
        let dir = tempfile::tempdir().expect("dir");
        let at = |p: &str| dir.path().join(p);
        fs::create_dir_all(at("a/b")).expect("dirs");
        fs::create_dir_all(at("a/.hidden")).expect("dirs");
        for (path, size) in [
            ("a/small.json", 1),
            ("a/b/large.json.gz", 9),
            ("a/b/other.csv", 5),
            ("a/.x.json", 3),
            ("a/b/y.json.pending", 3),
            ("a/.hidden/z.json", 3),
            ("a/_SUCCESS", 3),
            ("a/b/also.JSON", 1),
        ] {
            fs::write(at(path), vec![b'x'; size]).expect("file");
        }
        let json = [".json".to_owned()];
        let root = at("a");
        let all = find(root.to_str().expect("utf8"), &json).expect("found");
        assert_eq!(names(&all), ["b/large.json.gz", "b/also.JSON", "small.json"]);
        assert_eq!(all.root, root);

        let one = find(at("a/b/other.csv").to_str().expect("utf8"), &json).expect("found");
        assert_eq!((names(&one), &one.root), (vec!["other.csv"], &at("a/b")));

        let some = find(at("a/*/*.json*").to_str().expect("utf8"), &json).expect("found");
        assert_eq!((names(&some), &some.root), (vec!["b/large.json.gz"], &root));
        let deep = find(at("**/*.csv").to_str().expect("utf8"), &json).expect("found");
        assert_eq!(names(&deep), ["a/b/other.csv"]);
    }

    #[test]
    fn what_is_not_there_is_one_clear_line() {
        let dir = tempfile::tempdir().expect("dir");
        let at = |p: &str| dir.path().join(p).to_str().expect("utf8").to_owned();
        fs::write(at("a.txt"), "x").expect("file");
        let json = [".json".to_owned()];
        for (pattern, word) in [
            (at("missing"), "does not exist"),
            (at("*.json"), "no file matches"),
            (at("["), "not a valid pattern"),
            (at(""), "none of its 1 files ends in .json"),
        ] {
            let e = find(&pattern, &json).expect_err("an error").to_string();
            assert!(e.contains(word) && !e.contains('\n'), "{e}");
        }
    }
}
