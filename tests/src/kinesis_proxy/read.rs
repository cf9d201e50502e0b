//! GetShardIterator, GetRecords, SubscribeToShard.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
};
use futures::{StreamExt, stream, stream::BoxStream};
use serde::Deserialize;
use serde_json::Value;

use super::{
    forward::{Answer, Whole, error, passed_back},
    put::Base64Length,
    server::{Proxy, now},
    shards::{ShardName, stream_name},
};

/// A consumer that subscribes to the same shard sooner than this is told to wait.
const RESUBSCRIBE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct GetRecords {
    #[serde(rename = "NextShardIterator")]
    next: Option<String>,
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "Data")]
    data: Base64Length,
}

/// Answers a GetShardIterator, and remembers what it gives.
pub async fn get_shard_iterator(proxy: &Proxy, headers: &HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let stream = stream_name(asked["StreamName"].as_str(), asked["StreamARN"].as_str());
    let name = stream.zip(asked["ShardId"].as_str()).map(|(stream, shard)| ShardName { stream, shard: shard.into() });
    let may = name.as_ref().and_then(|name| proxy.with_buckets(name, |buckets| buckets.iterator(now())));
    if may == Some(false) {
        return Ok(throttled(proxy, name.as_ref()));
    }
    let whole = Whole::of(proxy.ask(headers, body).await?).await?;
    let given: Value = serde_json::from_slice(&whole.body).unwrap_or_default();
    if let (Some(name), Some(iterator)) = (name, given["ShardIterator"].as_str()) {
        proxy.iterators(|iterators| iterators.add(iterator.to_owned(), name, now()));
    }
    Ok(whole.given())
}

/// Answers a GetRecords.
pub async fn get_records(proxy: &Proxy, headers: &HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    let mut asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let known = asked["ShardIterator"].as_str().and_then(|it| proxy.iterators(|iterators| iterators.get(it)));
    // One that the proxy has not given out: the server may know what to do with it.
    let Some((name, given)) = known else { return Ok(Whole::of(proxy.ask(headers, body).await?).await?.given()) };
    let faults = proxy.faults();
    if now() - given >= faults.iterator_lifetime || proxy.chance(faults.expired_iterators) {
        proxy.count(|counters| counters.expired_iterators += 1);
        return Ok(error(StatusCode::BAD_REQUEST, "ExpiredIteratorException", "Iterator expired."));
    }
    let may = proxy.with_buckets(&name, |buckets| buckets.read(now()));
    if may == Some(false) || proxy.chance(faults.throttled_reads) {
        return Ok(throttled(proxy, Some(&name)));
    }
    let most = faults.limits.map_or(usize::MAX, |limits| limits.bytes_per_read);
    let mut body = body;
    loop {
        let whole = Whole::of(proxy.ask(headers, body).await?).await?;
        let Ok(got) = serde_json::from_slice::<GetRecords>(&whole.body) else { return Ok(whole.given()) };
        let bytes: usize = got.records.iter().map(|record| record.data.0).sum();
        if bytes > most && got.records.len() > 1 {
            // The servers give whatever is there: ask again for as many as fit. Iterators can be used again.
            let fit = got.records.len() as u64 * most as u64 / bytes as u64;
            asked["Limit"] = fit.clamp(1, got.records.len() as u64 - 1).into();
            body = serde_json::to_vec(&asked).unwrap_or_default().into();
            continue;
        }
        proxy.with_buckets(&name, |buckets| buckets.has_read(bytes));
        proxy.count(|counters| counters.records_out += got.records.len() as u64);
        if let Some(next) = got.next {
            proxy.iterators(|iterators| iterators.add(next, name, now()));
        }
        return Ok(whole.given());
    }
}

/// Passes a SubscribeToShard on as what it is, a stream, which may be cut after an event.
pub async fn subscribe_to_shard(proxy: &Proxy, headers: &HeaderMap, body: Bytes) -> Result<Answer, Answer> {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (consumer, shard) = (asked["ConsumerARN"].as_str(), asked["ShardId"].as_str());
    if let (true, Some((consumer, shard))) = (proxy.faults().limits.is_some(), consumer.zip(shard))
        && proxy.subscribes_too_soon(consumer, shard, RESUBSCRIBE)
    {
        proxy.count(|counters| counters.subscribed_too_soon += 1);
        let message = "Another active subscription exists for this consumer and shard.";
        return Ok(error(StatusCode::BAD_REQUEST, "ResourceInUseException", message));
    }
    let response = proxy.ask(headers, body).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let proxy = proxy.shared();
    let passed = stream::unfold(Subscription::Open(response.bytes_stream().boxed()), move |subscription| {
        let proxy = proxy.clone();
        async move {
            let Subscription::Open(mut events) = subscription else {
                let cut = io::Error::from(io::ErrorKind::ConnectionReset);
                return matches!(subscription, Subscription::Cut).then_some((Err(cut), Subscription::Over));
            };
            // An end that is none of the server's making is one for the client too.
            let event = events.next().await?.map_err(io::Error::other);
            let next = if event.is_err() {
                Subscription::Over
            } else if proxy.chance(proxy.faults().cut_after) {
                proxy.count(|counters| counters.cut_after += 1);
                Subscription::Cut
            } else {
                Subscription::Open(events)
            };
            Some((event, next))
        }
    });
    Ok(Answer::Given(passed_back(status, &headers, Body::from_stream(passed))))
}

/// What becomes of a subscription's stream next.
enum Subscription {
    Open(BoxStream<'static, reqwest::Result<Bytes>>),
    Cut,
    Over,
}

fn throttled(proxy: &Proxy, name: Option<&ShardName>) -> Answer {
    proxy.count(|counters| counters.throttled_reads += 1);
    let (shard, stream) = name.map_or(("", ""), |name| (&*name.shard, &*name.stream));
    let message = format!("Rate exceeded for shard {shard} in stream {stream} under account 000000000000.");
    error(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException", &message)
}
