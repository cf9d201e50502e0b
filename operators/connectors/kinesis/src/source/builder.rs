//! The builder of a Kinesis source, and the source itself.

use std::{sync::Arc, time::Duration};

use hurtig_aws::AwsConfig;
use hurtig_engine::{
    error::{Error, Result},
    source::{Boundedness, EnumeratorContext, ReaderContext, Source, SplitEnumerator},
};
use hurtig_operators::schema::DeserializationSchema;

use super::{
    enumerator::KinesisEnumerator,
    options::{InitialPosition, Options, ReaderType},
    reader::KinesisReader,
    record::{DataOnly, KinesisDeserializationSchema},
    split::KinesisSplit,
    unpack::OutOfRange,
};
use crate::service::is_stream;

/// Reads a stream: see the [module](super).
#[derive(Debug, Clone)]
pub struct KinesisSource<D> {
    options: Options,
    schema: D,
}

impl<S: DeserializationSchema> KinesisSource<DataOnly<S>> {
    /// The stream of this name or ARN, whose records' data `schema` turns into values.
    pub fn new(stream: impl Into<String>, schema: S) -> Self {
        Self::with_metadata(stream, DataOnly(schema))
    }
}

impl<D: KinesisDeserializationSchema> KinesisSource<D> {
    /// The stream of this name or ARN; `schema` sees all that Kinesis knows of a record.
    pub fn with_metadata(stream: impl Into<String>, schema: D) -> Self {
        KinesisSource { options: Options::new(stream.into()), schema }
    }

    /// Region, endpoint and credentials. From the environment by default.
    #[must_use]
    pub fn aws(mut self, aws: AwsConfig) -> Self {
        self.options.aws = aws;
        self
    }

    /// Where a first start begins (`source.init.position`): [`InitialPosition::Latest`] by default.
    #[must_use]
    pub fn initial_position(mut self, position: InitialPosition) -> Self {
        self.options.initial = position;
        self
    }

    /// Polling (the default) or enhanced fan-out (`source.reader.type`).
    #[must_use]
    pub fn reader_type(mut self, reader: ReaderType) -> Self {
        self.options.reader = reader;
        self
    }

    /// Reads each shard as far as it reaches at the first start, and ends. Start it at
    /// [`InitialPosition::TrimHorizon`] or at a time: there is nothing after `Latest`.
    #[must_use]
    pub fn bounded_at_now(mut self) -> Self {
        self.options.bounded = true;
        self
    }

    /// How often to look for new shards (`source.shard.discovery.interval`), 10 s by default. When
    /// a shard has ended, its children are looked for at once.
    #[must_use]
    pub fn discovery_interval(mut self, interval: Duration) -> Self {
        self.options.discovery_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// The least time between two GetRecords calls on a shard, 200 ms by default: Kinesis allows
    /// five calls a second, to all who poll the shard together.
    #[must_use]
    pub fn get_records_interval(mut self, interval: Duration) -> Self {
        self.options.pace.interval = interval;
        self
    }

    /// How many records to ask for at most (`source.shard.get-records.max-record-count`), 10,000
    /// by default. How many it is depends on their size.
    #[must_use]
    pub fn max_record_count(mut self, records: i32) -> Self {
        self.options.pace.max_records = records;
        self
    }

    /// The wait after an empty read (`source.reader.empty-records-fetch-interval`), 250 ms by
    /// default; it grows to a second on an idle shard.
    #[must_use]
    pub fn empty_records_fetch_interval(mut self, interval: Duration) -> Self {
        self.options.pace.empty = interval;
        self
    }

    /// How many bytes a second are read from a shard, 2,000,000 by default, which is what Kinesis
    /// gives. A local server gives more.
    #[must_use]
    pub fn shard_bytes_per_second(mut self, bytes: u64) -> Self {
        self.options.pace.bytes_per_second = bytes;
        self
    }

    /// How many bytes each reader may hold that were fetched and not yet emitted, 8 MiB by
    /// default. Every shard may hold one fetch (up to 1 MiB) in any case.
    #[must_use]
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.options.buffer_bytes = bytes;
        self
    }

    /// What happens to members of KPL aggregates that lie outside their shard's hash range:
    /// [`OutOfRange::Drop`] by default, as KCL has it.
    #[must_use]
    pub fn out_of_range_members(mut self, out_of_range: OutOfRange) -> Self {
        self.options.out_of_range = out_of_range;
        self
    }

    /// How long a subscription of enhanced fan-out may be silent before it is renewed
    /// (`source.efo.subscription.timeout`), 60 s by default.
    #[must_use]
    pub fn subscription_timeout(mut self, timeout: Duration) -> Self {
        self.options.subscription_timeout = timeout;
        self
    }

    fn check(&self) -> Result<()> {
        let o = &self.options;
        let wrong = |what: &str| Err(Error::Config(format!("kinesis: {what}")));
        if !is_stream(&o.stream) {
            return wrong(&format!(
                "'{}' is neither a stream's name nor its ARN (arn:aws:kinesis:…:stream/name)",
                o.stream
            ));
        }
        if !(1..=10_000).contains(&o.pace.max_records) {
            return wrong("max_record_count must lie between 1 and 10,000");
        }
        if o.pace.bytes_per_second == 0 || o.buffer_bytes == 0 {
            return wrong("shard_bytes_per_second and buffer_bytes must be above 0");
        }
        Ok(())
    }
}

impl<D: KinesisDeserializationSchema> Source for KinesisSource<D> {
    type Item = D::Item;
    type Split = KinesisSplit;
    type Reader = KinesisReader<D>;

    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<KinesisSplit>>> {
        self.check()?;
        let options = Arc::new(self.options.clone());
        Ok(Box::new(KinesisEnumerator::open(options, ctx, restored)?))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<KinesisReader<D>> {
        Ok(KinesisReader::new(Arc::new(self.options.clone()), self.schema.clone(), ctx))
    }

    fn boundedness(&self) -> Boundedness {
        if self.options.bounded { Boundedness::Bounded } else { Boundedness::ContinuousUnbounded }
    }
}
