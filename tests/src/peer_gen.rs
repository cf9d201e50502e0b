//! The peers' readings, byte for byte: `Gen.java` of the comparison with Flink, in Rust.
//!
//! Reading *i* of *n* goes to split *i* mod 2; 10,000 readings a second of event time, 1 % out of
//! order by less than 30 s, 2 % exact repeats of one of the thousand before. The benchmarks use
//! [`PeerSource`] where Flink's use its own generator, and [`write_line`] to make the files.
//!
//! ```ignore
//! let mut line = Vec::new();
//! write_line(&mut line, &reading(0, 100_000));
//! ```

use compact_str::CompactString;
use hurtig_engine::{
    checkpoint::CheckpointId,
    error::Result,
    source::{
        Boundedness, EnumeratorContext, ReaderContext, ReaderStatus, Source, SourceOutput, SourceReader, Split,
        SplitEnumerator,
    },
    time::NO_TIMESTAMP,
};
use serde::{Deserialize, Serialize};

use crate::{all_at_once::AllAtOnce, mix::mix, stop::Stop};

/// The event time of the first reading.
pub const T0: i64 = 1_700_000_000_000;
/// How many files or splits there are.
pub const SPLITS: u64 = 2;
/// How many readings of one split are sent before the other's turn.
const SLICE: usize = 500;

/// One reading, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerReading {
    /// The meter's number.
    pub meter: u32,
    /// Event time in milliseconds.
    pub ts: i64,
    /// Energy in watt-hours.
    pub kwh_milli: u32,
    /// Voltage in tenths of a volt.
    pub voltage_deci: u32,
    /// The region's number.
    pub region: u32,
}

/// One reading as jobs have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// `m-0012345`
    pub meter_id: CompactString,
    /// Event time in milliseconds.
    pub ts: i64,
    /// Energy.
    pub kwh: f64,
    /// Voltage.
    pub voltage: f64,
    /// `r-07`
    pub region: CompactString,
}

/// Reading `i` of a fleet of `m` meters.
#[inline]
pub fn reading(i: u64, m: u64) -> PeerReading {
    let mut i = i;
    let mut h = mix(i);
    if i > 1000 && (h >> 40) % 100 < 2 {
        i = i - 1 - (h >> 48) % 1000;
        h = mix(i);
    }
    let mut ts = T0 + (i / 10) as i64;
    if h >> 1 != 0 && h.is_multiple_of(100) {
        ts -= 1 + ((h >> 8) % 29_800) as i64;
    }
    let meter = ((i % m) * 7919 + (i / m) * 31) % m;
    PeerReading {
        meter: meter as u32,
        ts,
        kwh_milli: ((h >> 16) % 5000) as u32,
        voltage_deci: (2200 + (h >> 20) % 200) as u32,
        region: (meter % 100) as u32,
    }
}

/// Writes the reading as a line, its end included, as `Gen.java` does.
pub fn write_line(line: &mut Vec<u8>, r: &PeerReading) {
    line.extend_from_slice(b"{\"meter_id\":\"m-");
    digits::<7>(line, u64::from(r.meter));
    line.extend_from_slice(b"\",\"ts\":");
    digits::<13>(line, r.ts as u64);
    line.extend_from_slice(b",\"kwh\":");
    digits::<1>(line, u64::from(r.kwh_milli / 1000));
    line.push(b'.');
    digits::<3>(line, u64::from(r.kwh_milli % 1000));
    line.extend_from_slice(b",\"voltage\":");
    digits::<3>(line, u64::from(r.voltage_deci / 10));
    line.push(b'.');
    digits::<1>(line, u64::from(r.voltage_deci % 10));
    line.extend_from_slice(b",\"region\":\"r-");
    digits::<2>(line, u64::from(r.region));
    line.extend_from_slice(b"\"}\n");
}

#[inline]
fn digits<const N: usize>(line: &mut Vec<u8>, value: u64) {
    line.extend_from_slice(&as_digits::<N>(value));
}

#[inline]
fn as_digits<const N: usize>(mut value: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for b in text.iter_mut().rev() {
        *b = b'0' + (value % 10) as u8;
        value /= 10;
    }
    text
}

impl From<PeerReading> for Reading {
    #[inline]
    fn from(r: PeerReading) -> Self {
        let (mut meter, mut region) = (*b"m-0000000", *b"r-00");
        meter[2..].copy_from_slice(&as_digits::<7>(u64::from(r.meter)));
        region[2..].copy_from_slice(&as_digits::<2>(u64::from(r.region)));
        Reading {
            meter_id: text(&meter),
            ts: r.ts,
            kwh: f64::from(r.kwh_milli) / 1000.0,
            voltage: f64::from(r.voltage_deci) / 10.0,
            region: text(&region),
        }
    }
}

#[inline]
fn text(ascii: &[u8]) -> CompactString {
    std::str::from_utf8(ascii).map(CompactString::new).unwrap_or_default()
}

/// The first `n` readings of `m` meters, `rounds` times over: each time the same, with event
/// time moved on by what one round covers (`n` / 10 milliseconds).
#[derive(Debug, Clone)]
pub struct PeerSource {
    /// Readings in a round.
    pub n: u64,
    /// Meters.
    pub m: u64,
    /// Rounds.
    pub rounds: u64,
    /// Ends it earlier.
    pub stop: Stop,
}

impl PeerSource {
    /// `rounds` times the first `n` readings of `m` meters, unless `stop` ends it earlier.
    pub fn new(n: u64, m: u64, rounds: u64, stop: Stop) -> Self {
        PeerSource { n, m, rounds, stop }
    }
}

/// Every second reading.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerSplit {
    /// 0 or 1.
    pub split: u64,
    /// The round that is being sent.
    pub round: u64,
    /// The next reading in it.
    pub next: u64,
}

impl Split for PeerSplit {
    fn id(&self) -> String {
        format!("part-{}", self.split)
    }
}

impl Source for PeerSource {
    type Item = Reading;
    type Split = PeerSplit;
    type Reader = PeerReader;

    fn enumerator(
        &self,
        _ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<PeerSplit>>> {
        let split = |split| PeerSplit { split, round: 0, next: split };
        AllAtOnce::boxed(restored, || Ok((0..SPLITS).map(split).collect()))
    }

    fn reader(&self, _ctx: ReaderContext) -> Result<PeerReader> {
        Ok(PeerReader { source: self.clone(), splits: Vec::new() })
    }

    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
}

/// Sends the readings of its splits, in step.
#[derive(Debug)]
pub struct PeerReader {
    source: PeerSource,
    splits: Vec<(u32, PeerSplit)>,
}

impl SourceReader for PeerReader {
    type Item = Reading;
    type Split = PeerSplit;

    fn add_split(&mut self, number: u32, split: PeerSplit) -> Result<()> {
        self.splits.push((number, split));
        Ok(())
    }

    fn poll<O: SourceOutput<Reading>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        let PeerSource { n, m, rounds, ref stop } = self.source;
        if stop.is_set() {
            self.splits.drain(..).for_each(|(number, _)| out.finish_split(number));
        }
        let mut left = max;
        while left > 0 && !out.is_full() {
            let behind = self.splits.iter().enumerate().min_by_key(|(_, (_, s))| (s.round, s.next));
            let Some(i) = behind.map(|(i, _)| i) else { break };
            let (number, at) = &mut self.splits[i];
            let moved_on = (at.round * (n / 10)) as i64;
            let mut sent = 0;
            while sent < SLICE.min(left) && at.next < n && at.round < rounds && !out.is_full() {
                let mut r = reading(at.next, m);
                r.ts += moved_on;
                out.emit(*number, at.round * n + at.next, NO_TIMESTAMP, r.into());
                at.next += SPLITS;
                sent += 1;
            }
            left -= sent;
            if at.next >= n {
                at.round += 1;
                at.next = at.split;
            }
            if at.round >= rounds || n <= at.split {
                let number = *number;
                self.splits.swap_remove(i);
                out.finish_split(number);
            }
        }
        Ok(if self.splits.is_empty() {
            ReaderStatus::NothingAvailable { until: None }
        } else {
            ReaderStatus::MoreAvailable
        })
    }

    fn snapshot(&mut self, _checkpoint: CheckpointId) -> Result<Vec<(u32, PeerSplit)>> {
        Ok(self.splits.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-32 of the files that `java Gen OUT 100000 METERS 2` writes.
    #[test]
    fn the_same_bytes_as_gen_java() {
        for (m, crcs) in [(100_000, CRC_100K), (77, CRC_77)] {
            for (split, crc) in crcs.iter().enumerate() {
                let mut all = Vec::new();
                for i in (split as u64..100_000).step_by(2) {
                    write_line(&mut all, &reading(i, m));
                }
                assert_eq!(crc32(&all), *crc, "{m} meters, file {split}");
            }
        }
    }

    /// CRC-32 of the files that `Gen.java` wrote.
    const CRC_100K: [u32; 2] = [1_769_291_756, 697_678_018];
    const CRC_77: [u32; 2] = [1_077_762_472, 2_750_289_109];

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[derive(Default)]
    struct Kept {
        records: Vec<(u64, Reading)>,
        finished: usize,
    }

    impl SourceOutput<Reading> for Kept {
        fn emit(&mut self, _: u32, position: u64, _: i64, r: Reading) {
            self.records.push((position, r));
        }
        fn dead_letter(&mut self, _: u32, _: u64, _: i64, _: &[u8], _: &str) {}
        fn is_full(&self) -> bool {
            false
        }
        fn split_watermark(&self, _: u32) -> i64 {
            i64::MIN
        }
        fn finish_split(&mut self, _: u32) {
            self.finished += 1;
        }
    }

    #[test]
    fn rounds_repeat_with_time_moved_on_and_restore_anywhere() {
        let source = PeerSource::new(5_001, 50, 3, Stop::default());
        let new = || PeerReader { source: source.clone(), splits: Vec::new() };
        let mut reader = new();
        for split in 0..SPLITS {
            reader.add_split(split as u32, PeerSplit { split, round: 0, next: split }).expect("added");
        }
        let mut out = Kept::default();
        while reader.poll(777, &mut out).expect("read") == ReaderStatus::MoreAvailable {
            // A new reader at every poll goes on where the last one was.
            let splits = reader.snapshot(1).expect("snapshot");
            reader = new();
            for (number, split) in splits {
                reader.add_split(number, split).expect("added");
            }
        }
        assert_eq!(out.finished, 2);
        let mut records = out.records;
        records.sort_by_key(|r| r.0);
        assert_eq!(records.len(), 15_003);
        for (i, (position, r)) in records.iter().enumerate() {
            let i = i as u64;
            let mut expected: Reading = reading(i % 5_001, 50).into();
            expected.ts += (i / 5_001 * 500) as i64;
            assert_eq!((*position, r), (i, &expected));
        }
    }
}
