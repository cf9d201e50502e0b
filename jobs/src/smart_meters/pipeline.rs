//! The job graph: what is connected to what.

use std::{path::Path, time::Duration};

use compact_str::CompactString;
use hurtig_engine::{
    error::Result,
    operator::OperatorFactory,
    source::Source,
    time::{hours, mins},
    watermark::WatermarkStrategy,
};
use hurtig_operators::{
    stream::{DataStream, Environment, Fused, Head},
    window::TumblingEventTimeWindows,
};

#[cfg(feature = "firehose")]
use super::sinks::firehose;
#[cfg(any(feature = "store", feature = "timestream", feature = "influx"))]
use super::stores;
#[cfg(any(feature = "kinesis", feature = "kafka"))]
use super::streams;
use super::{
    Layout, Message, Options,
    aggregate::{Aggregate, Energy, SumEnergy},
    in_time::{InTime, RowsOfOne, after_the_window, late_rows},
    judged::Judged,
    lateness::Lateness,
    mapping::{self, MapToTimestreamPayload, raw_lines},
    offset_future::OffsetFutureTimestreamPoints,
    payload::TimestreamPayload,
    reading::Reading,
    sinks::{dead_letters, json_lines, typed},
    sources::{self, FileKind},
    span::Span,
    spec::{SinkSpec, SourceSpec},
    time_series::{TimeSeriesRecord, TimeSeriesSink},
    window::outside_window,
    write_once::WriteOnce,
};
#[cfg(feature = "store")]
use crate::embedded::EmbeddedStore;

/// The sinks' uids: what their books are found by.
pub mod uids {
    /// The messages as they were read.
    pub const RAW: &str = "raw-lake";
    /// The table `readings`.
    pub const READINGS: &str = "readings-lake";
    /// The time-series store.
    pub const TIME_SERIES: &str = "timeseries";
    /// The same, where it is a Kinesis stream: what a sink keeps in checkpoints means nothing to another.
    pub const TIME_SERIES_KINESIS: &str = "timeseries-kinesis";
    /// The same, where it is a Kafka topic.
    pub const TIME_SERIES_KAFKA: &str = "timeseries-kafka";
    /// The same, where it is Timestream itself.
    pub const TIME_SERIES_TIMESTREAM: &str = "timeseries-timestream";
    /// The same, where it is an InfluxDB.
    pub const TIME_SERIES_INFLUX: &str = "timeseries-influx";
    /// Readings outside of the time-series store's window.
    pub const OUTSIDE_WINDOW: &str = "outside-window";
    /// The table `aggregates_1m`.
    pub const MINUTES: &str = "aggregates-1m";
    /// The table `aggregates_1h`.
    pub const HOURS: &str = "aggregates-1h";
}

/// How far apart in event time the subtasks may read a fleet, whose readings are dense: the windows
/// in between have to be kept.
const APART_IN_A_FLEET: Duration = mins(5);
/// The same for files: a meter's readings may be an hour apart, and waiting at each would take longer
/// than reading.
const APART_IN_FILES: Duration = hours(24);

/// Puts the job together. What cannot work is an error here, before anything runs.
pub fn build(env: &Environment, options: &Options, data_dir: &Path) -> Result<()> {
    #[cfg(feature = "store")]
    return build_on(env, options, data_dir, &stores::embedded::store(options, data_dir));
    #[cfg(not(feature = "store"))]
    put_together(Job { env, options, layout: &Layout::of(options, data_dir), kind: options.reads()?.kind() })
}

/// As [`build`], with an embedded store that others use too.
#[cfg(feature = "store")]
pub fn build_on(env: &Environment, options: &Options, data_dir: &Path, store: &EmbeddedStore) -> Result<()> {
    let layout = Layout::of(options, data_dir);
    put_together(Job { env, options, layout: &layout, kind: options.reads()?.kind(), store })
}

fn put_together(job: Job<'_>) -> Result<()> {
    let options = job.options;
    options.check()?;
    let spec = options.reads()?;
    match &spec {
        SourceSpec::File(path) => match sources::file_kind(path, options.format)? {
            FileKind::Json => job.from(sources::json_files(path, options)?, APART_IN_FILES),
            FileKind::Csv => job.from(sources::csv_files(path, options), APART_IN_FILES),
        },
        SourceSpec::Generator => job.from(sources::generator(options)?, APART_IN_A_FLEET),
        #[cfg(feature = "kinesis")]
        SourceSpec::Kinesis(stream) => job.from(streams::kinesis::source(stream, options)?, APART_IN_A_FLEET),
        #[cfg(feature = "kafka")]
        SourceSpec::Kafka(topic) => job.from(streams::kafka::source(topic, options)?, APART_IN_A_FLEET),
        // `options.reads()` has said so already.
        #[cfg(not(all(feature = "kinesis", feature = "kafka")))]
        SourceSpec::Kinesis(_) | SourceSpec::Kafka(_) => {
            Err(super::options::config(format!("--source {spec} is not in this binary")))
        }
    }
}

struct Job<'a> {
    env: &'a Environment,
    options: &'a Options,
    layout: &'a Layout,
    kind: &'static str,
    #[cfg(feature = "store")]
    store: &'a EmbeddedStore,
}

impl Job<'_> {
    /// The same operators behind every source: live data and backfill have one code path.
    fn from<S: Source<Item = Message>>(&self, source: S, drift: Duration) -> Result<()> {
        let Job { env, options, layout, kind, .. } = *self;
        let watermarks = WatermarkStrategy::bounded_out_of_orderness(options.max_out_of_orderness.duration());
        let is_stream = matches!(options.reads()?, SourceSpec::Kinesis(_) | SourceSpec::Kafka(_));
        // Generator and files are never silent: they are read, or at their end.
        let watermarks =
            if is_stream { watermarks.with_idleness(options.streams.idle_after.duration()) } else { watermarks };
        let by_meter = |p: &TimestreamPayload| p.meter_id.clone();

        let watermarks = watermarks
            .with_watermark_alignment(drift)
            .with_max_ahead(options.future_threshold.duration())
            .with_timestamp_assigner(|m: &Message, _arrival: i64| m.event_time());
        let mapped = env
            .from_source(source, watermarks, "readings")
            // Positions in files mean nothing to the generator: another source, another uid.
            .uid(format!("readings-{kind}"))
            .process(MapToTimestreamPayload::default().leaving_out(options.json_arrival.as_deref()))
            .name(mapping::NAME)
            .uid("payload");

        // The lake: as read, repeats and wrong clocks included.
        let raw = mapped.side_output(&raw_lines());
        match &options.firehose {
            #[cfg(feature = "firehose")]
            Some(config) => raw.sink_to(firehose(&layout.raw, config)?).name("RawLake").uid(uids::RAW),
            _ => raw.sink_to(json_lines(&layout.raw, options)).name("RawLake").uid(uids::RAW),
        };
        let payloads = mapped.process(Lateness::default()).name("Lateness").uid("lateness").shared();
        let source = CompactString::const_new(kind);
        payloads
            .clone()
            .flat_map(move |p| Reading::all(p, source.clone()))
            .name("ToReadings")
            .uid("to-readings")
            .sink_to(typed::<Reading>(&layout.readings, options))
            .name("ReadingsLake")
            .uid(uids::READINGS);

        // The operational view: times made good, then one row per dimensions, time and measure.
        let points = payloads
            .key_by(by_meter)
            .process(
                OffsetFutureTimestreamPoints::default()
                    .future_threshold(options.future_threshold)
                    .future_policy(options.future_policy)
                    .retention(options.retention())
                    .late_policy(options.late_policy),
            )
            .name("OffsetFutureTimestreamPoints")
            .uid("offset");
        points
            .side_output(&outside_window())
            .sink_to(Judged::new(json_lines(&layout.outside_window, options)))
            .name("OutsideWindow")
            .uid(uids::OUTSIDE_WINDOW);
        let points = points.shared();
        let rows = points.clone().key_by(by_meter).process(WriteOnce::default()).name("WriteOnce").uid("write-once");
        match &options.sink {
            #[cfg(feature = "store")]
            SinkSpec::Embedded => {
                write_to(rows, &stores::embedded::Target { store: self.store, options }, uids::TIME_SERIES)?;
            }
            #[cfg(feature = "timestream")]
            SinkSpec::Timestream { database, table } => {
                write_to(rows, &stores::timestream::Target { database, table, options }, uids::TIME_SERIES_TIMESTREAM)?;
            }
            #[cfg(feature = "influx")]
            SinkSpec::Influx(url) => {
                write_to(rows, &stores::influx::Target { url, options }, uids::TIME_SERIES_INFLUX)?;
            }
            #[cfg(feature = "kinesis")]
            SinkSpec::Kinesis(stream) => {
                write_to(rows, &streams::kinesis::Target { stream, options }, uids::TIME_SERIES_KINESIS)?;
            }
            #[cfg(feature = "kafka")]
            SinkSpec::Kafka(topic) => {
                write_to(rows, &streams::kafka::Target { topic, options }, uids::TIME_SERIES_KAFKA)?;
            }
            // `options.check()` has said so already.
            #[cfg(not(all(
                feature = "store",
                feature = "timestream",
                feature = "influx",
                feature = "kinesis",
                feature = "kafka"
            )))]
            other => return Err(super::options::config(format!("--sink {other} is not in this binary"))),
        }

        // Energy by meter and region.
        let energy = points.flat_map(Energy::all).name("Energy").uid("energy").shared();
        for (size, uid, dir) in [
            (Span::mins(1), uids::MINUTES, &layout.aggregates_1m),
            (Span::hours(1), uids::HOURS, &layout.aggregates_1h),
        ] {
            let name = uid.replace('-', "_");
            let in_time = energy
                .clone()
                .process(InTime::for_windows(size, options.max_out_of_orderness))
                .name(format!("InTime {name}"))
                .uid(format!("in-time-{uid}"));
            let late = in_time.side_output(&late_rows());
            let sums = in_time
                .key_by(Energy::key)
                .window(TumblingEventTimeWindows::of(size.duration()))
                .side_output_late_data(&after_the_window())
                .aggregate(SumEnergy, Aggregate::of)
                .name(format!("Sum {name}"))
                .uid(format!("sum-{uid}"));
            let later = sums
                .side_output(&after_the_window())
                .process(RowsOfOne::for_windows(size))
                .name(format!("Late {name}"))
                .uid(format!("late-{uid}"));
            sums.union(late).union(later).sink_to(typed::<Aggregate>(dir, options)).name(name).uid(uid);
        }
        env.dead_letters_to(dead_letters(layout));
        Ok(())
    }
}

/// Time series end here.
fn write_to<H: Head, Op: OperatorFactory<H::Item, Out = TimeSeriesRecord>>(
    rows: DataStream<TimeSeriesRecord, Fused<H, Op>>,
    place: &impl TimeSeriesSink,
    uid: &str,
) -> Result<()> {
    rows.sink_to(place.sink()?).name(place.name()).uid(uid);
    Ok(())
}
