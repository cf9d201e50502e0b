//! The events by which S3 says that there is a new object, from an SQS queue.

use std::time::Duration;

use aws_sdk_sqs::{Client, types::Message};
use hurtig_engine::error::{Error, Result};
use serde_json::Value;

use crate::{search::Search, store::NAME};

/// How long an event stays invisible; it is extended when half of it is over.
const VISIBILITY: Duration = Duration::from_secs(60);
/// How long a request waits for events; in between events are deleted and extended.
const WAIT: Duration = Duration::from_secs(1);
/// So many events are kept at once: more wait in the queue.
const KEPT: usize = 1_000;

/// A queue of events.
pub(crate) struct Queue {
    client: Client,
    url: String,
    visibility: Duration,
}

/// An event whose files are not all done.
struct Kept {
    receipt: String,
    files: Vec<String>,
    extended: tokio::time::Instant,
}

impl Queue {
    /// Sees that the queue is there.
    pub async fn open(url: &str) -> Result<Self> {
        let failed = |e: String| Error::source(NAME, format!("the queue '{url}' cannot be read: {e}"));
        let config = hurtig_aws::AwsConfig::new().load().await.map_err(|e| failed(e.to_string()))?;
        let client = Client::new(&config);
        let attributes = client.get_queue_attributes().queue_url(url).send().await;
        attributes.map_err(|e| failed(hurtig_aws::describe(&e)))?;
        Ok(Queue { client, url: url.to_owned(), visibility: VISIBILITY })
    }

    /// Takes events as they come, for as long as the job runs.
    pub async fn serve(self, search: &mut Search) -> Result<()> {
        let mut kept: Vec<Kept> = Vec::new();
        loop {
            if kept.len() < KEPT {
                match self.receive().await {
                    Ok(messages) => {
                        for message in messages {
                            kept.extend(self.take(search, message).await?);
                        }
                    }
                    Err(e) => {
                        tracing::warn!("{e}; it is tried again");
                        tokio::time::sleep(WAIT).await;
                    }
                }
            } else {
                tokio::time::sleep(WAIT).await;
            }
            self.settle(search, &mut kept).await;
        }
    }

    async fn receive(&self) -> Result<Vec<Message>> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .visibility_timeout(seconds(self.visibility))
            .wait_time_seconds(seconds(WAIT))
            .send()
            .await
            .map_err(|e| {
                Error::source(NAME, format!("the queue '{}' cannot be read: {}", self.url, hurtig_aws::describe(&e)))
            })?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Cuts the files of one event. `None`: it is not to be kept.
    async fn take(&self, search: &mut Search, message: Message) -> Result<Option<Kept>> {
        let (Some(receipt), Some(body)) = (message.receipt_handle, message.body) else { return Ok(None) };
        let objects = match created(&body) {
            Ok(objects) => objects,
            Err(reason) => {
                // The queue's own redrive policy says what becomes of it.
                tracing::warn!("an event in '{}' is not understood ({reason}); it is left there", self.url);
                return Ok(None);
            }
        };
        let mut files = Vec::new();
        for (bucket, key) in objects {
            if search.store.bucket() != Some(&bucket) || !search.store.is_meant(&key) {
                tracing::debug!("s3://{bucket}/{key} is not among the files that are read");
                continue;
            }
            match search.store.head(&key).await {
                Ok(Some(found)) => {
                    search.take(vec![found.clone()], true).await?;
                    match search.known_as(&found) {
                        Some(name) => files.push(name),
                        // It could not be looked at now: the event comes again.
                        None => return Ok(None),
                    }
                }
                // It was deleted since.
                Ok(None) => {}
                Err(e) => {
                    tracing::warn!("{e}; its event comes again");
                    return Ok(None);
                }
            }
        }
        Ok(Some(Kept { receipt, files, extended: tokio::time::Instant::now() }))
    }

    /// Deletes the events whose files are done for good, and keeps the others invisible.
    async fn settle(&self, search: &Search, kept: &mut Vec<Kept>) {
        let mut i = 0;
        while i < kept.len() {
            kept[i].files.retain(|name| !search.shared.is_durable(name));
            if kept[i].files.is_empty() {
                let gone = kept.swap_remove(i);
                let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(gone.receipt);
                if let Err(e) = delete.send().await {
                    // It comes again, and finds its files done.
                    tracing::warn!("an event could not be deleted: {}", hurtig_aws::describe(&e));
                }
                continue;
            }
            if kept[i].extended.elapsed() > self.visibility / 2 {
                kept[i].extended = tokio::time::Instant::now();
                let extend = self.client.change_message_visibility().queue_url(&self.url);
                let extend = extend.receipt_handle(&kept[i].receipt).visibility_timeout(seconds(self.visibility));
                if let Err(e) = extend.send().await {
                    tracing::warn!("an event could not be kept: {}", hurtig_aws::describe(&e));
                }
            }
            i += 1;
        }
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// The objects that an event says were created: bucket and key.
fn created(body: &str) -> Result<Vec<(String, String)>, String> {
    let event: Value = serde_json::from_str(body).map_err(|e| format!("not JSON: {e}"))?;
    if event["Type"] == "Notification" {
        // SNS hands on what it was given, as text.
        return created(event["Message"].as_str().ok_or("a notification without a message")?);
    }
    if event["detail-type"].is_string() {
        if event["detail-type"] != "Object Created" {
            return Ok(Vec::new());
        }
        let (bucket, key) = (&event["detail"]["bucket"]["name"], &event["detail"]["object"]["key"]);
        let (Some(bucket), Some(key)) = (bucket.as_str(), key.as_str()) else {
            return Err("an EventBridge event without bucket or key".into());
        };
        return Ok(vec![(bucket.to_owned(), key.to_owned())]);
    }
    if event["Event"] == "s3:TestEvent" {
        return Ok(Vec::new());
    }
    let records = event["Records"].as_array().ok_or("neither an S3 notification nor an EventBridge event")?;
    let mut objects = Vec::new();
    for record in records {
        if !record["eventName"].as_str().is_some_and(|n| n.trim_start_matches("s3:").starts_with("ObjectCreated")) {
            continue;
        }
        let (bucket, key) = (&record["s3"]["bucket"]["name"], &record["s3"]["object"]["key"]);
        let (Some(bucket), Some(key)) = (bucket.as_str(), key.as_str()) else {
            return Err("an S3 notification without bucket or key".into());
        };
        objects.push((bucket.to_owned(), url_decoded(key)));
    }
    Ok(objects)
}

/// S3's own notifications write keys as a form does: `+` is a blank, `%41` an `A`.
fn url_decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match first {
            b'+' => b' ',
            b'%' => {
                let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok());
                match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
                    Some(byte) => {
                        rest = &tail[2..];
                        byte
                    }
                    None => b'%',
                }
            }
            other => *other,
        };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_names_its_objects() {
        let s3 = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a+b/%C3%A9.csv"}}},
            {"eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"b"},"object":{"key":"gone"}}}]}"#;
        let one = vec![("b".to_owned(), "a b/é.csv".to_owned())];
        assert_eq!(created(s3), Ok(one.clone()));
        let sns = serde_json::json!({ "Type": "Notification", "Message": s3 }).to_string();
        assert_eq!(created(&sns), Ok(one));
        let bridge = r#"{"detail-type":"Object Created","detail":{"bucket":{"name":"b"},"object":{"key":"a+b.csv"}}}"#;
        assert_eq!(created(bridge), Ok(vec![("b".into(), "a+b.csv".into())]));
        assert_eq!(created(r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#), Ok(Vec::new()));
        for other in ["{}", "x", r#"{"Records":[{"eventName":"ObjectCreated:Put"}]}"#] {
            assert!(created(other).is_err(), "{other}");
        }
    }
}
