//! Kinesis, split, merged, scaled, throttled, cut, restarted.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use aws_sdk_kinesis::{
    Client,
    config::StalledStreamProtectionConfig,
    primitives::Blob,
    types::{PutRecordsRequestEntry, ScalingType, Shard},
};
use aws_smithy_types::timeout::TimeoutConfig;
use hurtig_kinesis::kpl::{AggregatedRecord, Record, encode};
use tokio::runtime::Runtime;

use super::{
    fleet::Fleet,
    lives::{Job, beside},
    settings::{Case, Settings},
    world::Shared,
};
use crate::{
    kinesis_proxy::{Counters, Faults, KinesisProxy},
    servers::{CREDENTIALS, Kinesalite, KinesisLocal, REGION, aws_config},
};

const STREAM: &str = "readings";
/// How many records one request writes: less than AWS takes.
const BATCH: usize = 250;
/// Readings of a meter that go into one record.
const MEMBERS: u64 = 50;
/// kinesis-local writes all it has each time: for so many readings it is given another second between.
const WRITTEN_IN_A_SECOND: u64 = 50_000;
/// Nothing takes longer than so many tries a tenth of a second apart.
const TRIES: u32 = 600;

enum Server {
    Local(KinesisLocal),
    Lite(Kinesalite),
}

/// Sends a fleet over Kinesis and checks what the job makes of it.
pub fn run(case: Case, settings: &Settings, dir: &Path, say: &mut impl FnMut(&str)) -> Result<()> {
    let fleet = Fleet::of(settings.readings);
    let (server, endpoint) = match case {
        Case::Kinesalite => {
            let server = Kinesalite::start()?;
            let endpoint = server.endpoint();
            (Server::Lite(server), endpoint)
        }
        _ => {
            let seconds = fleet.readings().div_ceil(WRITTEN_IN_A_SECOND);
            let server = KinesisLocal::start_writing_every(Duration::from_secs(seconds))?;
            let endpoint = server.endpoint();
            (Server::Local(server), endpoint)
        }
    };
    let proxy = KinesisProxy::start(&endpoint, settings.seed, bad_reads())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = patient_client(&runtime, &endpoint)?;
    let shared = Shared::default();
    let mut world = World { runtime, client, server, proxy: &proxy, fleet, sent: 0, shared: &shared };
    world.create(2)?;
    let job = Job {
        dir,
        options: words(&format!(
            "run smart-meters --source kinesis:{STREAM} --checkpoint-interval 500ms --idle-after 1s \
             --max-out-of-orderness 30d"
        )),
        environment: vec![
            ("AWS_ENDPOINT_URL", proxy.endpoint()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", CREDENTIALS.into()),
            ("AWS_SECRET_ACCESS_KEY", CREDENTIALS.into()),
        ],
    };
    let kills = beside(&shared, || world.turn(), || job.run(settings.seed, &shared, say))?;
    fleet.check(&dir.join("data"))?;
    let counters = proxy.counters();
    say(&format!("{} readings, each once, after {kills} kills; the proxy: {counters:?}", fleet.readings()));
    was_disturbed(&counters)
}

/// A client that asks once and waits for the answer: a PutRecords that is sent again may be on the stream
/// twice, and what is sent here is to be there once. kinesis-local is deaf while it writes its data.
fn patient_client(runtime: &Runtime, endpoint: &str) -> Result<Client> {
    let sdk = runtime.block_on(aws_config(endpoint).attempts(1).load())?;
    // node closes what has not been used for 5 s: a request on its way then would be lost.
    let http = aws_smithy_http_client::Builder::new().pool_idle_timeout(Duration::from_secs(1)).build_http();
    let config = aws_sdk_kinesis::config::Builder::from(&sdk)
        .http_client(http)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(TimeoutConfig::disabled());
    Ok(Client::from_conf(config.build()))
}

/// A bad day on which reading is worse still: packed readings take few calls.
fn bad_reads() -> Faults {
    Faults { throttled_reads: 0.2, expired_iterators: 0.05, ..Faults::bad_day() }
}

/// A run in which nothing went wrong shows nothing.
fn was_disturbed(counters: &Counters) -> Result<()> {
    let Counters { throttled_reads, cut_before, cut_after, unanswered, .. } = counters;
    if *throttled_reads == 0 || cut_before + cut_after + unanswered == 0 {
        bail!("nothing was throttled or cut: {counters:?}");
    }
    Ok(())
}

struct World<'a> {
    runtime: Runtime,
    client: Client,
    server: Server,
    proxy: &'a KinesisProxy,
    fleet: Fleet,
    /// Seconds of the fleet that are on the stream.
    sent: u64,
    shared: &'a Shared,
}

impl World<'_> {
    /// Everything that happens, in turn; each to another life of the job.
    fn turn(&mut self) -> Result<()> {
        let part = self.fleet.seconds.div_ceil(6);
        self.send(part)?;
        self.shared.until_killed()?;
        self.split()?;
        self.send(part)?;
        self.shared.until_killed()?;
        self.merge()?;
        self.send(part)?;
        self.shared.until_killed()?;
        self.restart()?;
        self.send(part)?;
        self.shared.until_killed()?;
        // kinesalite has no such call.
        if matches!(self.server, Server::Local(_)) {
            self.scale(4)?;
        } else {
            self.split()?;
        }
        self.send(part)?;
        // A parent is split before anybody has read it.
        self.split()?;
        self.shared.until_killed()?;
        self.send(self.fleet.seconds - self.sent)?;
        self.shared.until_killed()
    }

    fn create(&self, shards: i32) -> Result<()> {
        let create = self.client.create_stream().stream_name(STREAM).shard_count(shards);
        self.runtime.block_on(create.send())?;
        self.until_active()
    }

    fn until_active(&self) -> Result<()> {
        for _ in 0..TRIES {
            let summary = self.client.describe_stream_summary().stream_name(STREAM);
            let summary = self.runtime.block_on(summary.send())?;
            if summary.stream_description_summary().is_some_and(|s| s.stream_status().as_str() == "ACTIVE") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("the stream does not become active")
    }

    /// Sends so many more seconds of every meter, each reading once: past the proxy, and nobody
    /// disturbs it.
    fn send(&mut self, seconds: u64) -> Result<()> {
        let seconds = self.sent..(self.sent + seconds).min(self.fleet.seconds);
        self.sent = seconds.end;
        let sending = (seconds.end - seconds.start) * self.fleet.meters;
        self.shared.note(format!("{sending} readings are sent, of {}", self.fleet.readings()));
        // As many readings in a record as the server needs to be fast; all of one meter, so that no
        // reshard can part them.
        let members = if matches!(self.server, Server::Local(_)) { MEMBERS } else { 1 };
        let mut records = Vec::with_capacity(BATCH);
        let mut first = seconds.start;
        while first < seconds.end {
            let last = (first + members).min(seconds.end);
            for meter in 0..self.fleet.meters {
                let messages: Vec<_> = (first..last).map(|second| Fleet::message(meter, second)).collect();
                records.push(record(&Fleet::meter(meter), messages)?);
                if records.len() == BATCH {
                    self.put(std::mem::take(&mut records))?;
                }
            }
            first = last;
        }
        self.put(records)
    }

    fn put(&self, records: Vec<PutRecordsRequestEntry>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let put = self.client.put_records().stream_name(STREAM).set_records(Some(records));
        let put = self.runtime.block_on(put.send()).context("PutRecords")?;
        if put.failed_record_count() != Some(0) {
            bail!("the server has refused records: {put:?}");
        }
        Ok(())
    }

    fn open(&self) -> Result<Vec<(u128, u128, String)>> {
        let mut shards: Vec<Shard> = Vec::new();
        let mut next = None;
        loop {
            let list = self.client.list_shards();
            let list = match next {
                None => list.stream_name(STREAM),
                Some(token) => list.next_token(token),
            };
            let page = self.runtime.block_on(list.send())?;
            shards.extend_from_slice(page.shards());
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        let open = shards.iter().filter(|shard| {
            shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none())
        });
        let mut ranges = Vec::new();
        for shard in open {
            let keys = shard.hash_key_range().context("a shard has a range")?;
            ranges.push((keys.starting_hash_key().parse()?, keys.ending_hash_key().parse()?, shard.shard_id().into()));
        }
        ranges.sort();
        Ok(ranges)
    }

    /// Splits the widest shard in its middle.
    fn split(&self) -> Result<()> {
        self.shared.note("a shard is split");
        let (start, end, shard) = self.open()?.into_iter().max_by_key(|(start, end, _)| end - start).context("none")?;
        let middle = start + (end - start) / 2 + 1;
        let split = self.client.split_shard().stream_name(STREAM).shard_to_split(shard);
        self.runtime.block_on(split.new_starting_hash_key(middle.to_string()).send()).context("SplitShard")?;
        self.until_active()
    }

    /// Merges the first two.
    fn merge(&self) -> Result<()> {
        self.shared.note("two shards are merged");
        let open = self.open()?;
        let [(_, _, one), (_, _, other), ..] = open.as_slice() else { bail!("there are no two shards") };
        let merge = self.client.merge_shards().stream_name(STREAM).shard_to_merge(one).adjacent_shard_to_merge(other);
        self.runtime.block_on(merge.send()).context("MergeShards")?;
        self.until_active()
    }

    fn scale(&self, shards: i32) -> Result<()> {
        self.shared.note(format!("the stream is scaled to {shards} shards"));
        let update = self.client.update_shard_count().stream_name(STREAM).target_shard_count(shards);
        let update = update.scaling_type(ScalingType::UniformScaling);
        self.runtime.block_on(update.send()).context("UpdateShardCount")?;
        self.until_active()
    }

    /// For a while nobody answers.
    fn restart(&mut self) -> Result<()> {
        let (server, proxy) = (&mut self.server, self.proxy);
        self.shared.note("the server is restarted");
        self.shared.outage(|| match server {
            Server::Local(server) => {
                let before = proxy.faults().cut_before;
                proxy.update(|faults| faults.cut_before = 1.0);
                noticed(proxy, |counters| counters.cut_before)?;
                server.restart()?;
                proxy.update(|faults| faults.cut_before = before);
                Ok(())
            }
            Server::Lite(server) => {
                server.kill9();
                noticed(proxy, |counters| counters.unanswered)?;
                server.start_again()
            }
        })
    }
}

/// Waits until the job has come to feel it.
fn noticed(proxy: &KinesisProxy, count: impl Fn(&Counters) -> u64) -> Result<()> {
    let before = count(&proxy.counters());
    for _ in 0..TRIES {
        if count(&proxy.counters()) > before {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("nobody asks the server any more")
}

fn record(key: &str, messages: Vec<String>) -> Result<PutRecordsRequestEntry> {
    let data = match <[String; 1]>::try_from(messages) {
        Ok([message]) => message.into_bytes(),
        Err(messages) => {
            let members = messages.into_iter().map(|data| Record {
                partition_key_index: 0,
                data: data.into_bytes().into(),
                ..Record::default()
            });
            encode(&AggregatedRecord {
                partition_key_table: vec![key.to_owned()],
                records: members.collect(),
                ..AggregatedRecord::default()
            })
        }
    };
    Ok(PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data)).build()?)
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
