//! How late readings come: a histogram of arrival minus event time, for whoever watches the job.

use hurtig_engine::{error::Result, metrics::Gauge, operator::Output, task::RuntimeContext, time::NO_TIMESTAMP};
use hurtig_operators::{collector::Collector, process::ProcessFunction};

use super::payload::TimestreamPayload;

/// Passes everything on, and counts: `latenessBucket` with the label `le`, each bucket by itself, since the attempt began.
/// A reading without an arrival is not counted; one from a clock that is fast counts as in time.
#[derive(Debug, Clone, Default)]
pub struct Lateness {
    buckets: Vec<Gauge>,
}

/// Upper bounds, in ms, and what they are called.
pub const BUCKETS: [(i64, &str); 8] = [
    (1_000, "1s"),
    (10_000, "10s"),
    (60_000, "1m"),
    (600_000, "10m"),
    (3_600_000, "1h"),
    (21_600_000, "6h"),
    (86_400_000, "1d"),
    (i64::MAX, "inf"),
];

fn bucket(late_ms: i64) -> usize {
    BUCKETS.partition_point(|(bound, _)| *bound < late_ms)
}

impl ProcessFunction<TimestreamPayload> for Lateness {
    type Out = TimestreamPayload;

    fn open(&mut self, ctx: &mut RuntimeContext<'_>, _restored: Vec<Vec<u8>>) -> Result<()> {
        let metrics = ctx.metrics();
        self.buckets = BUCKETS.iter().map(|(_, le)| metrics.gauge("latenessBucket", &[("le", le)])).collect();
        Ok(())
    }

    #[inline]
    fn process_element<O: Output<TimestreamPayload>>(
        &mut self,
        payload: TimestreamPayload,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        if payload.arrival != NO_TIMESTAMP
            && let Some(gauge) = self.buckets.get(bucket(payload.arrival.saturating_sub(payload.time_ms())))
        {
            gauge.add(1);
        }
        out.collect(payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let of = |late_ms| BUCKETS[bucket(late_ms)].1;
        let named = [i64::MIN, -5, 0, 1_000, 1_001, 60_000, 86_400_000, 86_400_001, i64::MAX].map(of);
        assert_eq!(named, ["1s", "1s", "1s", "1s", "10s", "1m", "1d", "inf", "inf"]);
    }
}
