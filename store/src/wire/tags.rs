//! Tags of databases, tables and scheduled queries.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    arn::{Arns, Resource},
    databases::with_token,
    fault::{Fault, Kind},
    listing,
    request::{Text, in_range, length, parse, required},
    scheduled::Kept,
};
use crate::store::Store;

/// Of a resource at most.
const TAGS: usize = 200;

/// A tag.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
struct TagResource<'a> {
    #[serde(rename = "ResourceARN", borrow)]
    arn: Option<Text<'a>>,
    #[serde(rename = "Tags")]
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
struct UntagResource<'a> {
    #[serde(rename = "ResourceARN", borrow)]
    arn: Option<Text<'a>>,
    #[serde(rename = "TagKeys")]
    keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ListTagsForResource<'a> {
    #[serde(rename = "ResourceARN", borrow)]
    arn: Option<Text<'a>>,
    #[serde(rename = "NextToken", borrow)]
    next_token: Option<Text<'a>>,
    #[serde(rename = "MaxResults")]
    max_results: Option<i64>,
}

/// `TagResource`
pub fn tag(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: TagResource<'_> = parse(body)?;
    let arn = existing(store, arns, request.arn)?;
    let tags = required(request.tags, "tags")?;
    check(&tags)?;
    let all = store.change(|manifest| {
        let all = manifest.tags.entry(arn).or_default();
        all.extend(tags.into_iter().map(|tag| (tag.key, tag.value)));
        match all.len() {
            0..=TAGS => Ok(()),
            n => Err(crate::Error::QuotaExceeded(format!(
                "The resource would have {n} tags; at most {TAGS} are allowed."
            ))),
        }
    });
    Ok(all.map(|()| json!({}))?)
}

/// `UntagResource`
pub fn untag(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: UntagResource<'_> = parse(body)?;
    let arn = existing(store, arns, request.arn)?;
    let keys = required(request.keys, "tagKeys")?;
    store.change(|manifest| {
        if let Some(tags) = manifest.tags.get_mut(&arn) {
            tags.retain(|key, _| !keys.contains(key));
        }
        Ok(())
    })?;
    Ok(json!({}))
}

/// `ListTagsForResource`
pub fn list(store: &Store, arns: &Arns, body: &[u8]) -> Result<Value, Fault> {
    let request: ListTagsForResource<'_> = parse(body)?;
    let arn = existing(store, arns, request.arn)?;
    let most = in_range(request.max_results, "maxResults", 1, TAGS, TAGS)?;
    let after = listing::after::<String>(request.next_token.as_deref())?;
    let tags = store.with_manifest(|manifest| manifest.tags.get(&arn).cloned().unwrap_or_default());
    let rest = tags.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let (page, token) =
        listing::page(rest.map(|(key, value)| (key.clone(), json!({ "Key": key, "Value": value }))), most);
    Ok(with_token(json!({ "Tags": page }), token))
}

/// Whether they may be tags.
pub fn check(tags: &[Tag]) -> Result<(), Fault> {
    if tags.len() > TAGS {
        let rule = format!("Member must have length less than or equal to {TAGS}");
        return Err(Fault::constraint(format!("{} tags", tags.len()), "tags", rule));
    }
    tags.iter().try_for_each(|tag| {
        length(&tag.key, "tags.member.key", 1, 128)?;
        length(&tag.value, "tags.member.value", 0, 256)
    })
}

/// Gives a new resource its tags, and takes those of one that is gone.
pub fn replace(store: &Store, arn: &str, tags: Vec<Tag>) -> Result<(), Fault> {
    if tags.is_empty() && !store.with_manifest(|manifest| manifest.tags.contains_key(arn)) {
        return Ok(());
    }
    let tags: BTreeMap<String, String> = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    Ok(store.change(|manifest| {
        match tags.is_empty() {
            true => manifest.tags.remove(arn),
            false => manifest.tags.insert(arn.to_owned(), tags),
        };
        Ok(())
    })?)
}

/// The name of a resource that is there.
fn existing(store: &Store, arns: &Arns, arn: Option<Text<'_>>) -> Result<String, Fault> {
    let arn = required(arn, "resourceARN")?;
    match arns.resource(&arn)? {
        Resource::Database(name) => store.database(&name).map(|_| ())?,
        Resource::Table(database, name) => store.table(&database, &name).map(|_| ())?,
        Resource::ScheduledQuery(id) => {
            if !store.with_manifest(|manifest| Kept::is_there(manifest, &id)) {
                let message = format!("There is no scheduled query {}.", &*arn);
                return Err(Fault::new(Kind::ResourceNotFound, message));
            }
        }
    }
    Ok(arn.to_string())
}
