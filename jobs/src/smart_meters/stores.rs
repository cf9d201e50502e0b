//! The places for time series that are databases: the embedded store, Timestream, InfluxDB.

use hurtig_engine::error::Result;

#[cfg(any(feature = "store", feature = "timestream"))]
use super::span::Span;
use super::{
    Options,
    judged::Judged,
    time_series::{TimeSeriesRecord, TimeSeriesSink},
};

/// How many units a span has, a begun one counted whole.
#[cfg(any(feature = "store", feature = "timestream"))]
fn begun(span: Span, unit: Span) -> u32 {
    let (span, unit) = (span.millis(), unit.millis());
    u32::try_from(span.saturating_add(unit - 1) / unit).unwrap_or(u32::MAX)
}

#[cfg(feature = "store")]
pub mod embedded {
    //! The store in this process. It keeps what Timestream would keep, and refuses what Timestream would refuse.

    use std::path::Path;

    use hurtig_store::{Measure, MeasureValue, Record, Retention};

    use super::*;
    use crate::{
        embedded::{EmbeddedStore, StoreSink, TableSpec},
        smart_meters::Layout,
    };

    /// The store that `options` ask for.
    pub fn store(options: &Options, data_dir: &Path) -> EmbeddedStore {
        // Readings have been judged by their arrival when they come here, which for a replay is long ago: the store takes
        // them all, and drops them when their time is over.
        let retention = Retention {
            memory_hours: begun(options.memory_retention, Span::hours(1)).clamp(1, 8_766),
            magnetic_days: begun(options.magnetic_retention, Span::days(1)).clamp(1, 73_000),
            magnetic_writes: true,
        };
        let table = TableSpec::new(&options.timestream_db_name, &options.timestream_table_name).retention(retention);
        EmbeddedStore::new(Layout::of(options, data_dir).store).memory(options.store_memory).table(table)
    }

    /// The table as a place for time series.
    pub struct Target<'a> {
        /// The store.
        pub store: &'a EmbeddedStore,
        /// Which table.
        pub options: &'a Options,
    }

    impl TimeSeriesSink for Target<'_> {
        type Sink = Judged<StoreSink<TimeSeriesRecord, fn(&TimeSeriesRecord) -> Record>>;

        fn name(&self) -> String {
            format!("TimestreamSink<{}, {}>", self.options.timestream_db_name, self.options.timestream_table_name)
        }

        fn sink(&self) -> Result<Self::Sink> {
            let (database, table) = (&*self.options.timestream_db_name, &*self.options.timestream_table_name);
            let record: fn(&TimeSeriesRecord) -> Record = record;
            Ok(Judged::new(StoreSink::new(self.store, database, table, record)))
        }
    }

    fn record(row: &TimeSeriesRecord) -> Record {
        Record {
            dimensions: row.all_dimensions().map(|(name, value)| (name.into(), value.into())).collect(),
            measure_name: row.measure.name.clone(),
            measure: Measure::Single(MeasureValue::Double(row.measure.value)),
            time: row.time,
            version: 1,
        }
    }
}

#[cfg(feature = "timestream")]
pub mod timestream {
    //! A table of Timestream for LiveAnalytics, or of whatever speaks its API.

    use hurtig_timestream::{TimeUnit, TimestreamRecord, TimestreamSink, TooOld};

    use super::*;
    use crate::smart_meters::{LatePolicy, aws};

    /// The table as a place for time series.
    pub struct Target<'a> {
        /// The database.
        pub database: &'a str,
        /// The table.
        pub table: &'a str,
        /// How to write.
        pub options: &'a Options,
    }

    impl TimeSeriesSink for Target<'_> {
        type Sink = Judged<TimestreamSink<TimeSeriesRecord, fn(&TimeSeriesRecord) -> TimestreamRecord>>;

        fn name(&self) -> String {
            format!("TimestreamSink<{}, {}>", self.database, self.table)
        }

        fn sink(&self) -> Result<Self::Sink> {
            let options = self.options;
            let too_old = if options.late_policy == LatePolicy::Drop { TooOld::Reject } else { TooOld::DeadLetter };
            let hours = begun(options.memory_retention, Span::hours(1)).clamp(1, 8_766);
            let days = begun(options.magnetic_retention, Span::days(1)).clamp(1, 73_000);
            let record: fn(&TimeSeriesRecord) -> TimestreamRecord = record;
            let sink = TimestreamSink::new(self.database, self.table, record)
                .aws(aws(options))
                .create_if_missing(hours.into(), days.into())
                .max_batch_size(options.timestream_ingest_batch_size as usize)
                .too_old(too_old);
            Ok(Judged::new(sink))
        }
    }

    fn record(row: &TimeSeriesRecord) -> TimestreamRecord {
        let record = TimestreamRecord::single(row.measure.name.as_str(), row.measure.value, row.time);
        let record = record.time_unit(TimeUnit::Nanoseconds);
        row.all_dimensions().fold(record, |record, (name, value)| record.dimension(name, value))
    }
}

#[cfg(feature = "influx")]
pub mod influx {
    //! A server that takes InfluxDB's line protocol.

    use hurtig_influx::{InfluxSink, Point};

    use super::*;
    use crate::smart_meters::influx_url::InfluxUrl;

    /// The server as a place for time series.
    pub struct Target<'a> {
        /// Where it is.
        pub url: &'a InfluxUrl,
        /// What the measurement is called: as the table.
        pub options: &'a Options,
    }

    /// Makes a point of a row: the measurement is the table, the dimensions are tags, the measure is a field.
    #[derive(Clone)]
    pub struct Points {
        measurement: String,
    }

    impl hurtig_influx::PointSchema<TimeSeriesRecord> for Points {
        fn points(
            &mut self,
            row: &TimeSeriesRecord,
            _timestamp: i64,
            out: &mut Vec<Point>,
        ) -> Result<(), hurtig_operators::schema::SchemaError> {
            let point =
                Point::new(&self.measurement).field(row.measure.name.as_str(), row.measure.value).at_ns(row.time);
            out.push(row.all_dimensions().fold(point, |point, (name, value)| point.tag(name, value)));
            Ok(())
        }
    }

    impl TimeSeriesSink for Target<'_> {
        type Sink = Judged<InfluxSink<TimeSeriesRecord, Points>>;

        fn name(&self) -> String {
            format!("InfluxSink<{}>", self.url)
        }

        fn sink(&self) -> Result<Self::Sink> {
            let points = Points { measurement: self.options.timestream_table_name.clone() };
            Ok(Judged::new(self.url.credentials(InfluxSink::new(self.url.base(), self.url.api(), points))))
        }
    }
}
