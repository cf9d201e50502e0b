//! Reading a shard by enhanced fan-out: SubscribeToShard pushes for up to five minutes, then we
//! subscribe again where its last event said.
//!
//! What pushes is held back by not taking the next event while the queue has no room: HTTP/2's
//! window does the rest. A subscription that Kinesis gives up meanwhile is simply renewed.

use aws_sdk_kinesis::{
    error::ProvideErrorMetadata,
    types::{StartingPosition, SubscribeToShardEventStream::SubscribeToShardEvent},
};
use tokio::time::timeout;

use super::{
    fetch::{Fetcher, Then},
    split::Position,
};
use crate::{error::Result, service::Failure};

impl Fetcher {
    /// Reads to the end, as the consumer of this ARN.
    pub async fn subscribe(mut self, consumer_arn: String) -> Result<()> {
        loop {
            self.queue.room().await;
            let failure = match self.subscription(&consumer_arn).await {
                Ok(Then::Stop) => return Ok(()),
                Ok(Then::Again) => continue,
                Err(failure) => failure,
            };
            if self.recover("SubscribeToShard", failure).await? == Then::Stop {
                return Ok(());
            }
        }
    }

    /// One subscription, until it or the shard ends. One that brought nothing has failed: it must not be
    /// renewed without a wait.
    async fn subscription(&mut self, consumer_arn: &str) -> Result<Then, Failure> {
        let patience = self.shared.options.subscription_timeout;
        let late = |_| Failure::Retry(format!("nothing was heard for {patience:?}"));
        let (kind, sequence_number, timestamp) = self.position.to_request();
        let start = StartingPosition::builder().r#type(kind).set_timestamp(timestamp);
        let start = start.set_sequence_number(sequence_number).build();
        let start = start.map_err(|e| Failure::Refused(e.to_string()))?;
        let request = self.client.data.subscribe_to_shard().shard_id(&self.split.shard.id);
        let sent = request.consumer_arn(consumer_arn).starting_position(start).send();
        let mut events = timeout(patience, sent).await.map_err(late)?.map_err(|e| Failure::of(&e))?.event_stream;
        let mut heard = false;
        loop {
            self.queue.room().await;
            // Kinesis sends an event, if an empty one, every five seconds.
            let event = timeout(patience, events.recv()).await.map_err(late)?.map_err(|e| {
                Failure::classify(e.as_service_error().and_then(|e| e.code()), None, hurtig_aws::describe(&e))
            })?;
            let event = match event {
                Some(SubscribeToShardEvent(event)) => event,
                Some(_) => continue,
                None if heard => return Ok(Then::Again),
                None => return Err(Failure::Retry("the subscription ended without an event".into())),
            };
            heard = true;
            let ended = event.continuation_sequence_number.is_empty() || !event.child_shards().is_empty();
            let (at_bound, ..) = self.deliver(event.records, Some(event.millis_behind_latest));
            if ended || at_bound {
                return Ok(Then::Stop);
            }
            self.position = Position::After(event.continuation_sequence_number);
        }
    }
}
