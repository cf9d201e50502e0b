//! Which files there are, by asking the store: several locations at once, and no more than so many.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore, path::Path};

use crate::{
    error::{Error, Result},
    location::Location,
};

/// A file and the partition it is of.
#[derive(Debug, Clone)]
pub(crate) struct FoundFile {
    pub meta: ObjectMeta,
    /// One value a partition column.
    pub partition: Arc<[ScalarValue]>,
}

/// The visible files below each of `places`, in the places' order.
pub(crate) async fn files(
    store: &Arc<dyn ObjectStore>,
    location: &Location,
    places: Vec<(Path, Arc<[ScalarValue]>)>,
    at_once: usize,
) -> Result<Vec<FoundFile>> {
    let listings = places.into_iter().map(|(path, partition)| {
        let (store, location) = (store.clone(), location.at(&path));
        async move {
            let found = below(&*store, &path).await.map_err(|reason| unlisted(&location, reason))?;
            Ok::<_, Error>(found.into_iter().map(move |meta| FoundFile { meta, partition: partition.clone() }))
        }
    });
    let listings: Vec<_> = stream::iter(listings).buffered(at_once.max(1)).try_collect().await?;
    Ok(listings.into_iter().flatten().collect())
}

/// What stands directly below each of `places`: their directories, in the places' order.
pub(crate) async fn directories<T>(
    store: &Arc<dyn ObjectStore>,
    location: &Location,
    places: Vec<(Path, T)>,
    at_once: usize,
) -> Result<Vec<(Path, T)>>
where
    T: Clone + Send,
{
    let listings = places.into_iter().map(|(path, carried)| {
        let (store, location) = (store.clone(), location.at(&path));
        async move {
            match store.list_with_delimiter(Some(&path)).await {
                Ok(listing) => Ok(listing.common_prefixes.into_iter().map(|below| (below, carried.clone())).collect()),
                Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
                Err(reason) => Err(unlisted(&location, reason)),
            }
        }
    });
    let listings: Vec<Vec<_>> = stream::iter(listings).buffered(at_once.max(1)).try_collect().await?;
    Ok(listings.into_iter().flatten().collect())
}

/// The visible files below a place; a place that is not there has none.
async fn below(store: &dyn ObjectStore, place: &Path) -> Result<Vec<ObjectMeta>, object_store::Error> {
    let prefix = (!place.is_root()).then_some(place);
    let mut found: Vec<ObjectMeta> = match store.list(prefix).try_collect().await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(reason) => return Err(reason),
    };
    found.retain(|meta| meta.size > 0 && is_visible(place, &meta.location));
    found.sort_by(|one, other| one.location.cmp(&other.location));
    Ok(found)
}

/// Whether nothing on the way from a place to a file begins with `_` or `.`, as what is hidden or under way does.
fn is_visible(place: &Path, file: &Path) -> bool {
    let parts = file.prefix_match(place);
    parts.is_some_and(|mut parts| parts.all(|part| !part.as_ref().starts_with(['_', '.'])))
}

fn unlisted(location: &Location, reason: object_store::Error) -> Error {
    Error::Store { location: location.to_string(), action: "listed", reason: reason.into() }
}
