//! Where running jobs can be found: small files that name each job's REST address.
//!
//! A job writes `rest.json` into its data directory, and the same under its id into a directory
//! of its user, so that `hurtig jobs` finds it without being told where. Both are removed at the
//! end; what a killed job leaves behind is found out by asking, and removed then.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A running job, as its files say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The job's id.
    pub id: String,
    /// The job's name.
    pub name: String,
    /// The process.
    pub pid: u32,
    /// Where it answers: `http://127.0.0.1:8081`.
    pub url: String,
    /// Its data directory, absolute.
    pub data_dir: PathBuf,
}

/// The files of this process's job; they go when this is dropped.
#[derive(Debug)]
pub struct Registration {
    files: Vec<PathBuf>,
    id: String,
}

/// An entry and the file it was read from.
#[derive(Debug, Clone)]
pub struct Found {
    /// What the file says.
    pub entry: Entry,
    /// The file.
    pub file: PathBuf,
}

/// Makes a job known. A place that cannot be written is no reason not to run.
pub fn register(entry: &Entry) -> Registration {
    let mut files = Vec::new();
    let user = user_directory();
    let in_user_directory = make_private(&user).map(|()| user.join(format!("{}.json", entry.id)));
    for file in [in_user_directory, Ok(entry.data_dir.join(FILE))] {
        match file.and_then(|file| write(&file, entry).map(|()| file)) {
            Ok(file) => files.push(file),
            Err(e) => tracing::debug!("the job is not listed: {e}"),
        }
    }
    Registration { files, id: entry.id.clone() }
}

/// All jobs of this user whose files are there, whether they still run or not.
pub fn of_user() -> Vec<Found> {
    in_directory(&user_directory())
}

/// The job of a data directory.
pub fn of_data_dir(data_dir: &Path) -> Option<Found> {
    read(data_dir.join(FILE))
}

/// Whether nobody works on the job's data directory any more.
pub fn is_over(entry: &Entry) -> bool {
    // A process that is not there works on nothing. Where there is no /proc, the lock has the answer
    // alone; it is asked second, because whoever starts there at this very moment would find it taken.
    let proc = Path::new("/proc");
    if proc.join("self").exists() && !proc.join(entry.pid.to_string()).exists() {
        return true;
    }
    match fs::File::open(entry.data_dir.join("lock")) {
        Ok(lock) => lock.try_lock_shared().is_ok(),
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes what a killed job has left.
pub fn forget(found: &Found) {
    let _ = fs::remove_file(&found.file);
}

const FILE: &str = "rest.json";

impl Drop for Registration {
    fn drop(&mut self) {
        for file in self.files.drain(..) {
            // Another run may have taken the data directory over in the meantime.
            if read(file.clone()).is_some_and(|found| found.entry.id == self.id) {
                let _ = fs::remove_file(file);
            }
        }
    }
}

fn in_directory(directory: &Path) -> Vec<Found> {
    let Ok(files) = fs::read_dir(directory) else { return Vec::new() };
    let paths = files.filter_map(|f| Some(f.ok()?.path()));
    let mut found: Vec<Found> = paths.filter(|p| p.extension().is_some_and(|e| e == "json")).filter_map(read).collect();
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

fn read(file: PathBuf) -> Option<Found> {
    let entry = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
    Some(Found { entry, file })
}

/// All at once, so that nobody reads half a file.
fn write(file: &Path, entry: &Entry) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(entry)?;
    let temporary = file.with_extension(format!("{}.tmp", entry.pid));
    fs::write(&temporary, text)?;
    fs::rename(&temporary, file)
}

fn user_directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty()) {
        return PathBuf::from(directory).join("hurtig");
    }
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "user".into());
    let user: String = user.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    std::env::temp_dir().join(format!("hurtig-{user}"))
}

/// Only its user may say what is in there.
fn make_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, data_dir: &Path) -> Entry {
        Entry {
            id: id.into(),
            name: "meters".into(),
            pid: 1,
            url: "http://127.0.0.1:1".into(),
            data_dir: data_dir.into(),
        }
    }

    #[test]
    fn a_job_is_found_by_its_data_directory_until_it_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = entry("a", dir.path());
        let registration = register(&first);
        assert_eq!(of_data_dir(dir.path()).map(|f| f.entry), Some(first));
        // A second run takes over; the first one's end does not hide it.
        let second = entry("b", dir.path());
        let later = register(&second);
        drop(registration);
        assert_eq!(of_data_dir(dir.path()).map(|f| f.entry), Some(second));
        drop(later);
        assert!(of_data_dir(dir.path()).is_none());
    }

    #[test]
    fn other_files_are_no_jobs() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("a.json"), "{torn").expect("a file");
        fs::write(dir.path().join("b.txt"), "{}").expect("a file");
        assert!(in_directory(dir.path()).is_empty());
        assert!(in_directory(&dir.path().join("missing")).is_empty());
    }
}
