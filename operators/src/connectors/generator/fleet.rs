//! The fleet: every event as a pure function of the seed and its index.
//!
//! The meters send in rounds, one round an interval, always in the same shuffled order, evenly
//! spread. Index = round × meters + place in the round. Place modulo the number of splits is the
//! split, so that a meter stays in its split, and all splits move forward together.

use std::ops::Range;

use hurtig_engine::error::Result;

use super::{
    config::GeneratorConfig,
    event::{Fault, FleetEvent, MeterReading},
    load::{Load, mix},
};

/// How far ahead of its arrival a reading may be before it counts as from the future.
const FUTURE: i64 = 15 * 60 * 1000;
/// A repeated reading is at most this many readings of its split back.
const REPEAT_WITHIN: u64 = 64;

/// A fleet of meters.
#[derive(Debug, Clone)]
pub struct Fleet {
    seed: u64,
    meters: u64,
    interval: u64,
    start: i64,
    regions: u32,
    splits: u64,
    len: Option<u64>,
    /// From place to meter: a stride without a common divisor with `meters`.
    stride: u64,
    /// Late, duplicate, null, corrupt, future: running sums, in 2^32ths.
    shares: [u64; 5],
    late_by: u64,
    load: Load,
}

/// How many events of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Injected {
    /// All of them.
    pub events: u64,
    /// Late ones, repeats of late ones included; so with the next.
    pub late: u64,
    /// Without a value.
    pub nulls: u64,
    /// No valid JSON.
    pub corrupt: u64,
    /// From the future.
    pub future: u64,
    /// Repeats of an earlier event.
    pub duplicates: u64,
}

impl Injected {
    /// Counts one event.
    pub fn add(&mut self, event: &FleetEvent) {
        self.count(event.fault, event.repeats.is_some());
    }

    fn count(&mut self, fault: Option<Fault>, repeat: bool) {
        self.events += 1;
        self.duplicates += u64::from(repeat);
        match fault {
            None => {}
            Some(Fault::Late) => self.late += 1,
            Some(Fault::Null) => self.nulls += 1,
            Some(Fault::Corrupt) => self.corrupt += 1,
            Some(Fault::Future) => self.future += 1,
        }
    }
}

/// What chance has in store for an index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lot {
    Plain,
    Fault(Fault),
    Repeat,
}

impl Fleet {
    /// The fleet with these settings.
    pub fn new(config: &GeneratorConfig) -> Result<Self> {
        config.check()?;
        let meters = u64::from(config.meters);
        let interval = u64::try_from(config.interval.as_millis()).unwrap_or(u64::MAX);
        // About the golden section: neighbours in a round are far from each other.
        let mut stride = (meters as f64 * 0.618) as u64 | 1;
        while gcd(stride, meters) != 1 {
            stride += 2;
        }
        let mut sum = 0.0;
        let shares = config.shares().map(|s| {
            sum += s;
            (sum * 4_294_967_296.0).round() as u64
        });
        let mut fleet = Fleet {
            seed: mix(config.seed),
            meters,
            interval,
            start: config.start,
            regions: u32::from(config.regions),
            splits: u64::from(config.splits).min(meters),
            len: None,
            stride,
            shares,
            late_by: u64::try_from(config.late_by.as_millis()).unwrap_or(u64::MAX),
            load: Load::new(config.seed, interval),
        };
        let by_time = config.duration.map(|d| fleet.events_before(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)));
        fleet.len = match (config.count, by_time) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Ok(fleet)
    }

    /// How many events there are; `None`: no end.
    #[expect(clippy::len_without_is_empty, reason = "a fleet is no collection")]
    pub fn len(&self) -> Option<u64> {
        self.len
    }

    /// How many splits there are.
    pub fn splits(&self) -> u32 {
        self.splits as u32
    }

    /// The event at `index`.
    pub fn event(&self, index: u64) -> FleetEvent {
        self.event_at(index / self.meters, index % self.meters)
    }

    /// What the meter means to say at `index`.
    pub fn reading(&self, index: u64) -> MeterReading {
        self.event(index).reading
    }

    /// What is injected into these events: exactly what a reader of all of them finds.
    pub fn injected(&self, range: Range<u64>) -> Injected {
        let mut injected = Injected::default();
        for index in range {
            let (round, place) = (index / self.meters, index % self.meters);
            let (original_round, original_place) = self.original(round, place);
            let lot = self.lot(self.chance(original_round, original_place));
            let fault = if let Lot::Fault(f) = lot { Some(f) } else { None };
            injected.count(fault, (original_round, original_place) != (round, place));
        }
        injected
    }

    /// Writes the event as a line of JSON without its end; a corrupt one so that no parser
    /// takes it.
    pub fn write_line(&self, event: &FleetEvent, line: &mut Vec<u8>) {
        let begin = line.len();
        event.reading.write_json(line);
        if event.fault != Some(Fault::Corrupt) {
            return;
        }
        let chance = mix(self.seed ^ event.repeats.unwrap_or(event.index) ^ 0xbad);
        let length = line.len() - begin;
        match chance % 3 {
            // Cut off, as when a connection breaks.
            0 => line.truncate(begin + 1 + (chance >> 32) as usize % (length - 1)),
            // A number with two points.
            1 => {
                let end = line.len() - 1;
                line.splice(end..end, *b".0");
            }
            // A byte that is no character, inside the meter's name.
            _ => line[begin + 14] = 0xff,
        }
    }

    #[inline]
    pub(super) fn event_at(&self, round: u64, place: u64) -> FleetEvent {
        let index = round * self.meters + place;
        let chance = self.chance(round, place);
        let due = self.due(round, place);
        let arrival = due + delay(chance);
        let lot = self.lot(chance);
        if lot == Lot::Repeat {
            let (r, p) = self.original(round, place);
            if (r, p) != (round, place) {
                let original = self.event_at(r, p);
                return FleetEvent { index, arrival, repeats: Some(original.index), ..original };
            }
        }
        let meter = (place * self.stride % self.meters) as u32;
        let own = mix(chance);
        let (time, fault) = match lot {
            Lot::Plain | Lot::Repeat => (due, None),
            Lot::Fault(Fault::Late) => (due - self.lateness(own), Some(Fault::Late)),
            Lot::Fault(Fault::Future) => (arrival + FUTURE + 1 + (own % (24 * 3_600_000)) as i64, Some(Fault::Future)),
            Lot::Fault(f) => (due, Some(f)),
        };
        let wh = if fault == Some(Fault::Null) { None } else { Some(self.load.wh(meter, time, own)) };
        let reading = MeterReading {
            time,
            meter,
            wh,
            region: (meter % self.regions) as u16,
            decivolts: self.load.decivolts(own),
        };
        FleetEvent { index, arrival, reading, fault, repeats: None }
    }

    /// The place after `place` in its split; the next round begins where this one ends.
    #[inline]
    pub(super) fn after(&self, round: u64, place: u64) -> (u64, u64) {
        let next = place + self.splits;
        if next < self.meters { (round, next) } else { (round + 1, place % self.splits) }
    }

    /// Round and place of an index.
    pub(super) fn place(&self, index: u64) -> (u64, u64) {
        (index / self.meters, index % self.meters)
    }

    pub(super) fn index(&self, round: u64, place: u64) -> u64 {
        round * self.meters + place
    }

    #[inline]
    fn chance(&self, round: u64, place: u64) -> u64 {
        mix(self.seed ^ (round * self.meters + place))
    }

    #[inline]
    fn due(&self, round: u64, place: u64) -> i64 {
        self.start.saturating_add((round * self.interval + place * self.interval / self.meters) as i64)
    }

    #[inline]
    fn lot(&self, chance: u64) -> Lot {
        let draw = chance >> 32;
        // Most readings have no fault: one comparison.
        if draw >= self.shares[4] {
            return Lot::Plain;
        }
        match self.shares.iter().position(|&s| draw < s) {
            Some(0) => Lot::Fault(Fault::Late),
            Some(1) => Lot::Repeat,
            Some(2) => Lot::Fault(Fault::Null),
            Some(3) => Lot::Fault(Fault::Corrupt),
            _ => Lot::Fault(Fault::Future),
        }
    }

    /// The event that this one repeats in the end, or itself.
    fn original(&self, mut round: u64, mut place: u64) -> (u64, u64) {
        loop {
            let chance = self.chance(round, place);
            if self.lot(chance) != Lot::Repeat {
                return (round, place);
            }
            let split = place % self.splits;
            let per_round = (self.meters - split).div_ceil(self.splits);
            let at = round * per_round + place / self.splits;
            if at == 0 {
                // Nothing before it: then it is a plain reading.
                return (round, place);
            }
            let before = at - 1 - mix(chance ^ 0xd0b1e) % at.min(REPEAT_WITHIN);
            (round, place) = (before / per_round, before % per_round * self.splits + split);
        }
    }

    /// A minute up to `late_by`, more often little than much. Never a whole interval, so that
    /// the meter does not contradict what it sent in time.
    fn lateness(&self, own: u64) -> i64 {
        let span = (self.late_by / 60_000).max(1);
        let octaves = u64::from(span.ilog2()) + 1;
        let up_to = (60_000 << (1 + own % octaves)).min(self.late_by.max(60_001));
        let by = 60_000 + (own >> 8) % (up_to - 60_000).max(1);
        (by + u64::from(by.is_multiple_of(self.interval))) as i64
    }

    /// How many events are due before `ms` milliseconds have passed.
    fn events_before(&self, ms: u64) -> u64 {
        let rounds = ms / self.interval;
        let rest = u128::from(ms % self.interval) * u128::from(self.meters);
        let part = rest.div_ceil(u128::from(self.interval)) as u64;
        rounds.saturating_mul(self.meters).saturating_add(part)
    }
}

/// The way from the meter to the source: 0.2 to 2.2 seconds.
#[inline]
fn delay(chance: u64) -> i64 {
    200 + (chance & 0xffff_ffff).wrapping_mul(2000).wrapping_shr(32) as i64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
