//! ListShards, all pages of it.

use aws_sdk_kinesis::Client;

use super::{failure::Failure, shard::Shard, stream_name::name_or_arn};

/// All shards of a stream that the retention still holds, closed ones too.
pub(crate) async fn list_shards(client: &Client, stream: &str) -> Result<Vec<Shard>, Failure> {
    let mut shards = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let request = client.list_shards().max_results(1000);
        let request = match token {
            // A stream and a token exclude each other.
            Some(_) => request.set_next_token(token),
            None => {
                let (name, arn) = name_or_arn(stream);
                request.set_stream_name(name).set_stream_arn(arn)
            }
        };
        let page = request.send().await.map_err(|e| Failure::of(&e))?;
        shards.extend(page.shards().iter().map(Shard::from));
        match page.next_token {
            Some(next) => token = Some(next),
            None => return Ok(shards),
        }
    }
}
