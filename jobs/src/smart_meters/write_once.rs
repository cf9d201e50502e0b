//! One row per (dimensions, time, measure name), as Timestream keeps it.
//!
//! Meters and streams repeat themselves. Timestream takes a row that it has already without
//! storing it again, and refuses one that says something else about the same moment. The same is
//! decided here, in front of every store and stream, from a short memory of every meter: bounded,
//! keyed, in the checkpoint, and without a look at any clock. So a job has the same books wherever
//! it writes, and when a restore makes it write a row again, the row's verdict is what it was.

use std::collections::VecDeque;

use compact_str::CompactString;
use hurtig_engine::{error::Result, operator::Output};
use hurtig_operators::{
    collector::Collector,
    keyed_process::{KeyedContextOf, KeyedProcessFunction},
};
use hurtig_state::{ValueState, ValueStateDescriptor};
use serde::{Deserialize, Serialize};

use super::{
    payload::{Measure, TimestreamPayload},
    time_series::{Novelty, TimeSeriesRecord},
};

/// How many of a meter's last rows are remembered.
const MEMORY: usize = 32;

/// Turns payloads into rows, one a measure, each with its [`Novelty`]. Keyed by meter.
#[derive(Debug, Clone, Default)]
pub struct WriteOnce {
    seen: ValueState<Seen>,
}

/// A meter's last rows, oldest first: what identifies each, and its value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Seen(VecDeque<(u64, u64)>);

impl Seen {
    fn judge(&mut self, identity: u64, value: f64) -> Novelty {
        let bits = value.to_bits();
        match self.0.iter().find(|(seen, _)| *seen == identity) {
            Some((_, same)) if *same == bits => Novelty::Repeat,
            Some(_) => Novelty::Conflict,
            None => {
                if self.0.len() == MEMORY {
                    self.0.pop_front();
                }
                self.0.push_back((identity, bits));
                Novelty::New
            }
        }
    }
}

impl KeyedProcessFunction<CompactString, TimestreamPayload> for WriteOnce {
    type Out = TimeSeriesRecord;

    fn open(&mut self, ctx: &mut KeyedContextOf<'_, CompactString>) -> Result<()> {
        self.seen = ctx.state().value_state(ValueStateDescriptor::new("seen"))?;
        Ok(())
    }

    fn process_element<O: Output<TimeSeriesRecord>>(
        &mut self,
        payload: TimestreamPayload,
        ctx: &mut KeyedContextOf<'_, CompactString>,
        out: &mut Collector<'_, O>,
    ) -> Result<()> {
        let seen = self.seen.get_or_insert_with(ctx, Seen::default)?;
        let moment = Moment::of(&payload);
        for measure in &payload.measures {
            let novelty = seen.judge(moment.with(measure), measure.value);
            out.collect(TimeSeriesRecord::new(&payload, measure, novelty));
        }
        Ok(())
    }
}

/// Dimensions and time as one number. The time is the one that was read: the repeat of a reading
/// from a fast clock is a repeat, though each was given a time of its own.
#[derive(Clone, Copy)]
struct Moment(u64);

impl Moment {
    fn of(payload: &TimestreamPayload) -> Self {
        // Key and region are part of it, but the meter need not be: the memory is the meter's own.
        let mut hash = Fnv::new();
        hash.write(&payload.time_as_read().to_le_bytes());
        hash.write(payload.region.as_bytes());
        for dimension in &payload.dimensions {
            hash.write(&[0]);
            hash.write(dimension.name.as_bytes());
            hash.write(&[1]);
            hash.write(dimension.value.as_bytes());
        }
        Moment(hash.0)
    }

    fn with(self, measure: &Measure) -> u64 {
        let mut hash = Fnv(self.0);
        hash.write(&[2]);
        hash.write(measure.name.as_bytes());
        hash.0
    }
}

/// FNV-1a, 64 bits: these numbers are in checkpoints, so their making must never change.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_is_the_published_one() {
        let hash = |text: &str| {
            let mut h = Fnv::new();
            h.write(text.as_bytes());
            h.0
        };
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let mut seen = Seen::default();
        for i in 0..=MEMORY as u64 {
            assert_eq!(seen.judge(i, 1.0), Novelty::New);
        }
        assert_eq!(seen.0.len(), MEMORY);
        assert_eq!(seen.judge(1, 1.0), Novelty::Repeat);
        assert_eq!(seen.judge(1, 2.0), Novelty::Conflict);
        assert_eq!(seen.judge(0, 1.0), Novelty::New, "forgotten");
    }

    #[test]
    fn what_makes_a_row_the_same() {
        let payload = |line: &str| TimestreamPayload::from_json(line).expect(line);
        let identity = |line: &str| {
            let p = payload(line);
            Moment::of(&p).with(&p.measures[0])
        };
        let base = identity(r#"{"meter_id":"m","time":5,"region":"a","kwh_measure":1,"model":"x"}"#);
        assert_eq!(base, identity(r#"{"time":5,"kwh_measure":2,"region":"a","meter_id":"m","model":"x"}"#));
        for other in [
            r#"{"meter_id":"m","time":6,"region":"a","kwh_measure":1,"model":"x"}"#,
            r#"{"meter_id":"m","time":5,"region":"b","kwh_measure":1,"model":"x"}"#,
            r#"{"meter_id":"m","time":5,"region":"a","kwh_measure":1,"model":"y"}"#,
            r#"{"meter_id":"m","time":5,"region":"a","kwh_measure":1}"#,
            r#"{"meter_id":"m","time":5,"region":"a","volt_measure":1,"model":"x"}"#,
        ] {
            assert_ne!(base, identity(other), "{other}");
        }
        let mut clamped = payload(r#"{"meter_id":"m","time":5,"region":"a","kwh_measure":1,"model":"x"}"#);
        clamped.original_time = Some(clamped.time);
        clamped.time = 99;
        assert_eq!(base, Moment::of(&clamped).with(&clamped.measures[0]));
    }
}
