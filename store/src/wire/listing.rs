//! Lists in pages: a page's token is the last name that was on it, so that it stays right while things come and go.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::fault::Fault;

/// Where to go on, from a token.
pub fn after<K: DeserializeOwned>(token: Option<&str>) -> Result<Option<K>, Fault> {
    let Some(token) = token else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    key.map(Some).ok_or_else(|| Fault::validation("Invalid pagination token"))
}

/// The first so many, and the token of what follows, if anything does.
pub fn page<K: Serialize, T>(mut all: impl Iterator<Item = (K, T)>, most: usize) -> (Vec<T>, Option<String>) {
    let (mut page, mut last) = (Vec::new(), None);
    for (key, item) in all.by_ref().take(most) {
        page.push(item);
        last = Some(key);
    }
    let token = all.next().and(last).and_then(|key| serde_json::to_vec(&key).ok());
    (page, token.map(|key| URL_SAFE_NO_PAD.encode(key)))
}
