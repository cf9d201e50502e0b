//! From messages to the target that was named.

use hurtig_engine::operator::OperatorFactory;
use hurtig_ingest::{Message, Paced, Pacing};
use hurtig_lake::{ParquetSchema, ParquetSink};
use hurtig_operators::{
    connectors::{
        json_files::JsonFilesSink,
        part_files::{EventTimePartition, PartitionBy},
    },
    stream::{DataStream, Fused, Head},
};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::{
    lake::{IntegratedReading, ToReading},
    options::{IngestOptions, Rows, Target},
};

/// Rows that may wait in a Parquet writer's memory.
const BUFFERED: usize = 8 << 20;

/// What the sink's books are found by.
const UID: &str = "target";

/// Messages as a source hands them on.
type Files<H, Op> = DataStream<Message, Fused<H, Op>>;

/// Ends `messages` in the target, as fast as `pacing` says.
pub fn sink<H: Head, Op: OperatorFactory<H::Item, Out = Message>>(
    messages: Files<H, Op>,
    options: &IngestOptions,
    pacing: Option<&Pacing>,
) -> anyhow::Result<()> {
    if matches!(options.to, Target::Lake(_)) && options.rows == Rows::Row {
        let reason = "--rows row: the lake's table has a row for each reading: leave it out, or write to files:DIR";
        return Err(hurtig_engine::Error::Config(reason.into()).into());
    }
    match &options.to {
        Target::Kinesis(stream) => kinesis(messages, options, pacing, stream),
        Target::Kafka(topic) => kafka(messages, options, pacing, topic),
        Target::Lake(dir) => {
            let sink = ParquetSink::new(dir, ParquetSchema::<IntegratedReading>::of())
                .partition_by(PartitionBy::event_time(EventTimePartition::Day))
                .max_buffered_bytes(BUFFERED);
            let rows = messages.process(ToReading::new()).name("Readings").uid("readings");
            match pacing {
                Some(pacing) => rows.sink_to(Paced::new(sink, pacing.clone(), |_| 128)).name("Lake").uid(UID),
                None => rows.sink_to(sink).name("Lake").uid(UID),
            };
            Ok(())
        }
        Target::Files(dir) => {
            let sink = JsonFilesSink::<JsonText>::new(dir).partition_by(PartitionBy::Nothing);
            let lines = messages.map(JsonText::from).name("Lines").uid("lines");
            match pacing {
                Some(pacing) => {
                    let size = |line: &JsonText| line.0.len();
                    lines.sink_to(Paced::new(sink, pacing.clone(), size)).name("Files").uid(UID)
                }
                None => lines.sink_to(sink).name("Files").uid(UID),
            };
            Ok(())
        }
    }
}

/// A message that is written as it is.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct JsonText(String);

impl From<Message> for JsonText {
    fn from(message: Message) -> Self {
        // It was read as JSON, or written here: it is UTF-8.
        JsonText(String::from_utf8_lossy(&message.data).into_owned())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(feature = "kinesis")]
fn kinesis<H: Head, Op: OperatorFactory<H::Item, Out = Message>>(
    messages: Files<H, Op>,
    options: &IngestOptions,
    pacing: Option<&Pacing>,
    stream: &str,
) -> anyhow::Result<()> {
    use hurtig_ingest::AggregateByKey;
    use hurtig_kinesis::{scaling::LoadMeter, sink::KinesisSink};
    use hurtig_operators::schema::RawFormat;

    use super::options::{Aggregate, RateOption};

    let meter = LoadMeter::default();
    let sink = KinesisSink::new(stream, RawFormat, |m: &Message| m.key.to_string()).load_meter(meter.clone());
    let sink = if options.aggregate == Aggregate::Kpl { sink.aggregate() } else { sink };
    let name = format!("kinesis:{stream}");
    let Some(pacing) = pacing else {
        match options.aggregate {
            Aggregate::Json => {
                let packed = messages.transform("AggregateByKey", AggregateByKey::default()).uid("aggregate");
                packed.sink_to(sink).name(name).uid(UID);
            }
            Aggregate::Kpl | Aggregate::None => {
                messages.sink_to(sink).name(name).uid(UID);
            }
        }
        return Ok(());
    };
    // Packed by the KPL's format, messages are not what a shard counts as records.
    let counts_records = options.aggregate != Aggregate::Kpl;
    let by_shards = !matches!(options.rate, Some(RateOption::Bytes(_)));
    let mut last = None;
    pacing.watch_stream(move |now, seen| {
        let seconds = last.map_or(0.0, |at: i64| (now - at) as f64 / 1_000.0);
        last = Some(now);
        let load = meter.read(seconds);
        seen.throttled = load.iter().map(|l| l.throttled_per_second * seconds.max(1e-3)).sum::<f64>().round() as u64;
        if by_shards && !load.is_empty() {
            let mut capacity = hurtig_ingest::Rate::shards(load.len());
            if !counts_records {
                capacity.records = f64::INFINITY;
            }
            seen.capacity = Some(capacity);
        }
    });
    let size = |m: &Message| m.data.len() + m.key.len();
    match options.aggregate {
        Aggregate::Json => {
            let packed = messages.transform("AggregateByKey", AggregateByKey::default()).uid("aggregate");
            packed.sink_to(Paced::new(sink, pacing.clone(), size)).name(name).uid(UID);
        }
        Aggregate::Kpl | Aggregate::None => {
            messages.sink_to(Paced::new(sink, pacing.clone(), size)).name(name).uid(UID);
        }
    }
    Ok(())
}

#[cfg(not(feature = "kinesis"))]
fn kinesis<H: Head, Op: OperatorFactory<H::Item, Out = Message>>(
    _messages: Files<H, Op>,
    _options: &IngestOptions,
    _pacing: Option<&Pacing>,
    _stream: &str,
) -> anyhow::Result<()> {
    let reason = "this build has no Kinesis: build with the feature `kinesis`";
    Err(hurtig_engine::Error::Config(reason.into()).into())
}

#[cfg(feature = "kafka")]
fn kafka<H: Head, Op: OperatorFactory<H::Item, Out = Message>>(
    messages: Files<H, Op>,
    options: &IngestOptions,
    pacing: Option<&Pacing>,
    topic: &str,
) -> anyhow::Result<()> {
    use hurtig_kafka::{DeliveryGuarantee, KafkaSink, TopicSerializer};
    use hurtig_operators::schema::RawFormat;

    let serializer = TopicSerializer::new(topic, RawFormat)
        .key(|m: &Message, key: &mut Vec<u8>| key.extend_from_slice(m.key.as_bytes()));
    let guarantee = if options.exactly_once { DeliveryGuarantee::ExactlyOnce } else { DeliveryGuarantee::AtLeastOnce };
    let mut builder = KafkaSink::builder()
        .bootstrap_servers(&options.bootstrap_servers)
        .delivery_guarantee(guarantee)
        // Every such job has this name: two of them may write at the same time, each to its topic.
        .transactional_id_prefix(format!("hurtig-{topic}"));
    for (name, value) in &options.kafka_property {
        builder = builder.property(name, value);
    }
    let sink = builder.record_serializer(serializer).build()?;
    let name = format!("kafka:{topic}");
    match pacing {
        Some(pacing) => {
            let size = |m: &Message| m.data.len() + m.key.len();
            messages.sink_to(Paced::new(sink, pacing.clone(), size)).name(name).uid(UID)
        }
        None => messages.sink_to(sink).name(name).uid(UID),
    };
    Ok(())
}

#[cfg(not(feature = "kafka"))]
fn kafka<H: Head, Op: OperatorFactory<H::Item, Out = Message>>(
    _messages: Files<H, Op>,
    _options: &IngestOptions,
    _pacing: Option<&Pacing>,
    _topic: &str,
) -> anyhow::Result<()> {
    let reason = "this build has no Kafka: build with the feature `kafka`";
    Err(hurtig_engine::Error::Config(reason.into()).into())
}
