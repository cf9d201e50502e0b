//! Whose files a place has: it has the name of its store, so that no other store takes them for what a crash has left behind.
//!
//! Only a place that was chosen needs one: below the store's own directory nobody else has files.

use std::{fs::File, io::Write, path::Path};

use bytes::Bytes;
use hurtig_state::Clock;

use super::open::has_files;
use crate::{
    error::{At, Error, Result},
    magnetic::storage::Storage,
    manifest::Manifest,
};

/// In the store's directory.
const NAME: &str = "name";
/// In the place of its files.
const MARK: &str = "hurtig-store";

/// Makes sure that a place is this store's. One that nobody has becomes its own.
///
/// # Errors
/// A place that is another store's.
pub async fn claim(dir: &Path, place: &Storage, manifest: &Manifest, clock: &dyn Clock) -> Result<()> {
    let foreign = || Error::Foreign { dir: dir.display().to_string() };
    let own = own(dir)?;
    if let Some(mark) = place.get(MARK).await? {
        return if own.is_some_and(|own| own == mark) { Ok(()) } else { Err(foreign()) };
    }
    let knows_some = manifest.tables.values().any(|table| !table.files.is_empty());
    if !knows_some && has_files(place).await? {
        return Err(foreign());
    }
    let own = match own {
        Some(own) => own,
        None => make(dir, clock)?,
    };
    if place.put_new(MARK, own.clone()).await? {
        return Ok(());
    }
    // Somebody was faster; or it was this store, and the answer was lost.
    if place.get(MARK).await?.is_some_and(|mark| mark == own) { Ok(()) } else { Err(foreign()) }
}

fn own(dir: &Path) -> Result<Option<Bytes>> {
    let path = dir.join(NAME);
    match std::fs::read(&path) {
        // An empty one is of a store that was killed while it named itself.
        Ok(name) => Ok(Some(Bytes::from(name)).filter(|name| !name.is_empty())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).at(&path),
    }
}

/// A name that no other store has: by when and where it was made.
fn make(dir: &Path, clock: &dyn Clock) -> Result<Bytes> {
    let place = dir.canonicalize().at(dir)?;
    let name = format!("{}-{:08x}", clock.now_ms(), crc32fast::hash(place.as_os_str().as_encoded_bytes()));
    let path = dir.join(NAME);
    let mut file = File::create(&path).at(&path)?;
    file.write_all(name.as_bytes()).and_then(|()| file.sync_all()).at(&path)?;
    File::open(dir).and_then(|dir| dir.sync_all()).at(dir)?;
    Ok(name.into())
}
