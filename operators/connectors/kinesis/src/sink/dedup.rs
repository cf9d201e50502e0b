//! What a reader needs to see each record once.
//!
//! Kinesis gives a reader a record's data, its partition key and its sequence number, and a record
//! that was sent twice has two sequence numbers. (The explicit hash key is not given back, and the
//! KCL does not show the KPL's tags.) So what identifies a record must stand in its data, as meter
//! and time do in a reading, or in its partition key: that is where
//! [`with_dedup_key`](super::KinesisSink::with_dedup_key) puts it.

use hurtig_engine::{Data, error::Result, operator::Output};
use hurtig_operators::state::{Key, StateTtlConfig, ValueState, ValueStateDescriptor};
use hurtig_operators::{
    collector::Collector,
    keyed_process::{KeyedContextOf, KeyedProcessFunction},
};

/// Between the partition key and the deduplication key: U+001F, the unit separator.
pub const DEDUP_SEPARATOR: char = '\u{1f}';

/// Partition key and deduplication key out of a partition key as a reader gets it.
///
/// ```
/// use hurtig_kinesis::sink::dedup_key_of;
///
/// assert_eq!(dedup_key_of("meter-7\u{1f}1720184399999"), ("meter-7", Some("1720184399999")));
/// assert_eq!(dedup_key_of("meter-7"), ("meter-7", None));
/// ```
pub fn dedup_key_of(partition_key: &str) -> (&str, Option<&str>) {
    match partition_key.rsplit_once(DEDUP_SEPARATOR) {
        Some((key, dedup)) => (key, Some(dedup)),
        None => (partition_key, None),
    }
}

/// Lets the first record of every key pass, and no other until the key is forgotten: for the job that
/// reads. Key the stream by what identifies a record.
///
/// ```
/// # use hurtig_operators::prelude::*;
/// use std::time::Duration;
/// use hurtig_kinesis::sink::Deduplicate;
///
/// # fn job(readings: DataStream<(String, i64, f64)>) {
/// let once = readings.key_by(|r| (r.0.clone(), r.1)).process(Deduplicate::new(Duration::from_secs(3600)));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Deduplicate {
    ttl: StateTtlConfig,
    seen: ValueState<()>,
}

impl Deduplicate {
    /// A key is remembered for `ttl` (processing time) after it was first seen. Repetitions come as
    /// late as the writing job took to notice and restart, with the records since its last
    /// checkpoint: an hour is generous. State grows with the keys of that time.
    pub fn new(ttl: std::time::Duration) -> Self {
        let ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        Deduplicate { ttl: StateTtlConfig::new(ms.max(1)), seen: ValueState::default() }
    }
}

impl<K: Key, T: Data> KeyedProcessFunction<K, T> for Deduplicate {
    type Out = T;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, K>) -> Result<()> {
        self.seen = ctx.state().value_state(ValueStateDescriptor::new("seen").ttl(self.ttl))?;
        Ok(())
    }

    fn process_element<O: Output<T>>(
        &mut self,
        value: T,
        ctx: &mut KeyedContextOf<'_, K>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        if self.seen.value(ctx)?.is_none() {
            self.seen.update(ctx, ())?;
            out.collect(value);
        }
        Ok(())
    }
}
