//! PutRecords and PutRecord: record by record under the limits of its shard.

use std::sync::Arc;

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{
    forward::{Answer, Whole, error, json_answer},
    server::{Proxy, now},
    shards::{OpenShards, ShardName, hash_key, stream_name},
};

/// What one call takes at most.
const RECORDS: usize = 500;
const BYTES: usize = 10 << 20;
const RECORD_BYTES: usize = 1 << 20;

const THROTTLED: &str = "ProvisionedThroughputExceededException";

#[derive(Deserialize)]
struct PutRecords<'a> {
    #[serde(rename = "StreamName", borrow)]
    name: Option<&'a str>,
    #[serde(rename = "StreamARN", borrow)]
    arn: Option<&'a str>,
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct Accepted<'a> {
    #[serde(rename = "StreamName", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    arn: Option<&'a str>,
    #[serde(rename = "Records")]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "StreamName")]
    name: Option<String>,
    #[serde(rename = "StreamARN")]
    arn: Option<String>,
    #[serde(rename = "Data")]
    data: Base64Length,
    #[serde(rename = "PartitionKey")]
    partition_key: String,
    #[serde(rename = "ExplicitHashKey")]
    explicit_hash_key: Option<String>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.data.0 + self.partition_key.len()
    }
}

/// How many bytes base64 stands for.
pub struct Base64Length(pub usize);

impl<'de> Deserialize<'de> for Base64Length {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let digits = text.trim_end_matches('=').len();
        Ok(Base64Length(digits * 3 / 4))
    }
}

/// Answers a PutRecords.
pub async fn put_records(proxy: &Proxy, headers: &HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    let (accepted, failed) = {
        let Ok(put) = serde_json::from_slice::<PutRecords>(&body) else { return pass_on(proxy, headers, body).await };
        let entries: Result<Vec<Entry>, _> = put.records.iter().map(|raw| serde_json::from_str(raw.get())).collect();
        let (Ok(entries), Some(stream)) = (entries, stream_name(put.name, put.arn)) else {
            return pass_on(proxy, headers, body).await;
        };
        if let Some(too_much) = too_much(&entries) {
            proxy.count(|counters| counters.too_much += 1);
            return Ok(error(StatusCode::BAD_REQUEST, "ValidationException", too_much));
        }
        let Some(open) = proxy.open_shards(&stream).await else { return pass_on(proxy, headers, body).await };
        let failed: Vec<_> = entries.iter().map(|entry| refuse(proxy, &open, &stream, entry)).collect();
        let accepted = put.records.iter().zip(&failed).filter(|(_, failed)| failed.is_none());
        let records: Vec<_> = accepted.map(|(raw, _)| *raw).collect();
        let (count, bytes) = entries.iter().zip(&failed).fold((0, 0), |(count, bytes), (entry, failed)| {
            if failed.is_none() { (count + 1, bytes + entry.bytes() as u64) } else { (count, bytes) }
        });
        let accepted = if records.is_empty() {
            None
        } else if count as usize == entries.len() {
            Some((body.clone(), count, bytes))
        } else {
            let accepted = Accepted { name: put.name, arn: put.arn, records };
            Some((serde_json::to_vec(&accepted).unwrap_or_default().into(), count, bytes))
        };
        (accepted, failed)
    };

    let mut taken = Vec::new();
    if let Some((body, count, bytes)) = accepted {
        let whole = Whole::of(proxy.ask(headers, body).await?).await?;
        if !whole.status.is_success() {
            return Ok(whole.given());
        }
        proxy.count(|counters| {
            counters.records_in += count;
            counters.bytes_in += bytes;
        });
        let answer: Value = serde_json::from_slice(&whole.body).unwrap_or_default();
        taken = answer["Records"].as_array().cloned().unwrap_or_default();
    }
    let mut taken = taken.into_iter();
    let records: Vec<Value> = failed.into_iter().filter_map(|failed| failed.or_else(|| taken.next())).collect();
    let failed = records.iter().filter(|record| record.get("ErrorCode").is_some_and(|code| !code.is_null())).count();
    Ok(json_answer(StatusCode::OK, &json!({ "FailedRecordCount": failed, "Records": records })))
}

/// Answers a PutRecord.
pub async fn put_record(proxy: &Proxy, headers: &HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    let Ok(entry) = serde_json::from_slice::<Entry>(&body) else { return pass_on(proxy, headers, body).await };
    let Some(stream) = stream_name(entry.name.as_deref(), entry.arn.as_deref()) else {
        return pass_on(proxy, headers, body).await;
    };
    let Some(open) = proxy.open_shards(&stream).await else { return pass_on(proxy, headers, body).await };
    if let Some(failed) = refuse(proxy, &open, &stream, &entry) {
        let text = |name: &str| failed[name].as_str().unwrap_or_default().to_owned();
        let status =
            if text("ErrorCode") == THROTTLED { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
        return Ok(error(status, &text("ErrorCode"), &text("ErrorMessage")));
    }
    let whole = Whole::of(proxy.ask(headers, body).await?).await?;
    if whole.status.is_success() {
        proxy.count(|counters| {
            counters.records_in += 1;
            counters.bytes_in += entry.bytes() as u64;
        });
    }
    Ok(whole.given())
}

/// What the real server has to say of what the proxy does not understand.
async fn pass_on(proxy: &Proxy, headers: &HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    Ok(Whole::of(proxy.ask(headers, body).await?).await?.given())
}

fn too_much(entries: &[Entry]) -> Option<&'static str> {
    if entries.len() > RECORDS {
        return Some("1 validation error detected: Value at 'records' must have length less than or equal to 500");
    }
    if entries.iter().any(|entry| entry.data.0 > RECORD_BYTES) {
        return Some("1 validation error detected: Value at 'data' must have length less than or equal to 1048576");
    }
    if entries.iter().map(Entry::bytes).sum::<usize>() > BYTES {
        return Some("Records size exceeds 10 MB limit");
    }
    None
}

/// Why a record is not taken, as PutRecords says it.
fn refuse(proxy: &Proxy, open: &OpenShards, stream: &Arc<str>, entry: &Entry) -> Option<Value> {
    let shard = open.of(hash_key(&entry.partition_key, entry.explicit_hash_key.as_deref()))?;
    let faults = proxy.faults();
    let throttled = || {
        proxy.count(|counters| counters.throttled_records += 1);
        let message = format!("Rate exceeded for shard {shard} in stream {stream} under account 000000000000.");
        Some(json!({ "ErrorCode": THROTTLED, "ErrorMessage": message }))
    };
    if proxy.chance(faults.throttled_records) {
        return throttled();
    }
    if proxy.chance(faults.internal_failures) {
        proxy.count(|counters| counters.internal_failures += 1);
        return Some(json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure." }));
    }
    let name = ShardName { stream: stream.clone(), shard: shard.clone() };
    let fits = proxy.with_buckets(&name, |buckets| buckets.put(entry.bytes(), now()));
    if fits == Some(false) { throttled() } else { None }
}
