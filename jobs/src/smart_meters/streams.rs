//! The job's streams: Kinesis and Kafka, read as messages and written as rows.

use hurtig_engine::error::Result;

use super::{
    Options,
    judged::Judged,
    stream_lines::StreamLines,
    stream_message::FlatJson,
    stream_options::{Guarantee, StartFrom, StreamOptions},
    time_series::{TimeSeriesRecord, TimeSeriesSink},
};

#[cfg(feature = "kinesis")]
pub mod kinesis {
    //! A Kinesis stream.

    use hurtig_engine::source::Source;
    use hurtig_kinesis::{
        sink::KinesisSink,
        source::{EfoConsumer, InitialPosition, KinesisSource, ReaderType},
    };

    use super::*;
    use crate::smart_meters::{Message, Messages, aws};

    /// The stream's messages.
    pub fn source(stream: &str, options: &Options) -> Result<impl Source<Item = Message> + use<>> {
        let position = match options.streams.start_from {
            StartFrom::Earliest | StartFrom::Committed => InitialPosition::TrimHorizon,
            StartFrom::Latest => InitialPosition::Latest,
            StartFrom::Time(ms) => InitialPosition::AtTimestamp(ms),
        };
        let mut source = KinesisSource::new(stream, StreamLines).aws(aws(options)).initial_position(position);
        if let Some(consumer) = &options.streams.fan_out {
            let consumer = match consumer.starts_with("arn:") {
                true => EfoConsumer::Arn(consumer.clone()),
                false => EfoConsumer::Name(consumer.clone()),
            };
            source = source.reader_type(ReaderType::Efo(consumer));
        }
        if options.bounded {
            source = source.bounded_at_now();
        }
        Ok(Messages::new(source, |line: Vec<u8>| line))
    }

    /// The stream as a place for time series.
    pub struct Target<'a> {
        /// Its name.
        pub stream: &'a str,
        /// How to write.
        pub options: &'a Options,
    }

    impl TimeSeriesSink for Target<'_> {
        type Sink = Judged<KinesisSink<TimeSeriesRecord, FlatJson>>;

        fn name(&self) -> String {
            format!("KinesisSink<{}>", self.stream)
        }

        fn sink(&self) -> Result<Self::Sink> {
            let by_meter = |row: &TimeSeriesRecord| row.meter_id.to_string();
            let mut sink = KinesisSink::new(self.stream, FlatJson, by_meter).aws(aws(self.options));
            if self.options.streams.aggregate {
                sink = sink.aggregate();
            }
            Ok(Judged::new(sink))
        }
    }
}

#[cfg(feature = "kafka")]
pub mod kafka {
    //! A Kafka topic.

    use hurtig_engine::source::Source;
    use hurtig_kafka::{DeliveryGuarantee, KafkaSink, KafkaSource, OffsetsInitializer, TopicSerializer};

    use super::*;
    use crate::smart_meters::{Message, Messages};

    /// The topic's messages.
    pub fn source(topic: &str, options: &Options) -> Result<impl Source<Item = Message> + use<>> {
        let StreamOptions { start_from, bootstrap_servers, group_id, kafka_property, .. } = &options.streams;
        let offsets = match start_from {
            StartFrom::Earliest => OffsetsInitializer::Earliest,
            StartFrom::Latest => OffsetsInitializer::Latest,
            StartFrom::Committed => OffsetsInitializer::committed_or(OffsetsInitializer::Earliest),
            StartFrom::Time(ms) => OffsetsInitializer::Timestamp(*ms),
        };
        let mut source = KafkaSource::builder()
            .bootstrap_servers(bootstrap_servers.as_str())
            .topics([topic])
            .group_id(group_id.as_str())
            .starting_offsets(offsets)
            .value_only(StreamLines);
        for (key, value) in kafka_property {
            source = source.property(key.as_str(), value.as_str());
        }
        if options.bounded {
            source = source.bounded();
        }
        Ok(Messages::new(source.build()?, |line: Vec<u8>| line))
    }

    /// The topic as a place for time series.
    pub struct Target<'a> {
        /// Its name.
        pub topic: &'a str,
        /// How to write.
        pub options: &'a Options,
    }

    impl TimeSeriesSink for Target<'_> {
        type Sink = Judged<KafkaSink<TimeSeriesRecord, TopicSerializer<TimeSeriesRecord, FlatJson>>>;

        fn name(&self) -> String {
            format!("KafkaSink<{}>", self.topic)
        }

        fn sink(&self) -> Result<Self::Sink> {
            let StreamOptions { bootstrap_servers, delivery_guarantee, kafka_property, .. } = &self.options.streams;
            let guarantee = match delivery_guarantee {
                Guarantee::None => DeliveryGuarantee::None,
                Guarantee::AtLeastOnce => DeliveryGuarantee::AtLeastOnce,
                Guarantee::ExactlyOnce => DeliveryGuarantee::ExactlyOnce,
            };
            let by_meter = |row: &TimeSeriesRecord, key: &mut Vec<u8>| key.extend(row.meter_id.as_bytes());
            let mut sink = KafkaSink::builder()
                .bootstrap_servers(bootstrap_servers.as_str())
                .delivery_guarantee(guarantee)
                .record_serializer(TopicSerializer::new(self.topic, FlatJson).key(by_meter));
            for (key, value) in kafka_property {
                sink = sink.property(key.as_str(), value.as_str());
            }
            Ok(Judged::new(sink.build()?))
        }
    }
}
