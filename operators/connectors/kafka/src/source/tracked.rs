//! A split with its reader: its position, whether it is paused, and when it is at its end.

use std::collections::VecDeque;

use hurtig_engine::{
    error::Result,
    metrics::{Gauge, Metrics},
    time::NO_TIMESTAMP,
};
use rdkafka::message::{BorrowedMessage, Headers as _, Message, Timestamp};

use super::{
    range::{OffsetOutOfRange, Range, judge},
    record::{Headers, KafkaRecord, TimestampType},
    split::KafkaSplit,
};
use crate::client::Partition;

/// So many messages of a split that is ahead are kept before its fetching is stopped: going on is then at once, while
/// librdkafka would have to fetch again what it throws away.
const HELD: usize = 1000;

/// The same in bytes.
const HELD_BYTES: usize = 1 << 20;

/// So many figures are let go by after a split has begun anew: one may be read already, another in the queue, and
/// librdkafka has the third's interval to begin.
const OUTDATED: u8 = 3;

/// Whether figures may be older than the last pause or jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// What was fetched has been thrown away, and the end that was signalled before stands.
    Paused,
    /// So many are still not to be trusted.
    Outdated(u8),
    None,
}

/// One partition that is being read.
pub(super) struct Tracked {
    pub number: u32,
    /// At its position.
    pub split: KafkaSplit,
    /// Too far ahead of others in event time.
    pub ahead: bool,
    /// What came while it was ahead; it is emitted first.
    pub held: VecDeque<Held>,
    held_bytes: usize,
    /// Enough is held: librdkafka fetches nothing of it.
    pub paused: bool,
    /// Nothing comes after what is held.
    pub at_end: bool,
    /// Whether librdkafka's figures can be trusted for positions.
    doubt: Doubt,
    pub lag: i64,
    pub current_offset: Gauge,
    pub committed_offset: Gauge,
}

impl Tracked {
    pub fn new(number: u32, split: KafkaSplit, metrics: &Metrics) -> Self {
        let partition = split.partition.to_string();
        let labels = [("topic", split.topic.as_str()), ("partition", partition.as_str())];
        let current_offset = metrics.gauge("currentOffset", &labels);
        let committed_offset = metrics.gauge("committedOffset", &labels);
        current_offset.set(split.offset - 1);
        committed_offset.set(-1);
        Tracked {
            number,
            split,
            ahead: false,
            held: VecDeque::new(),
            held_bytes: 0,
            paused: false,
            at_end: false,
            doubt: Doubt::None,
            lag: 0,
            current_offset,
            committed_offset,
        }
    }

    pub fn is(&self, topic: &str, partition: i32) -> bool {
        self.split.partition == partition && self.split.topic == topic
    }

    /// Notes that librdkafka throws away what it has fetched.
    pub fn doubt_until_begun_anew(&mut self) {
        self.doubt = Doubt::Paused;
    }

    /// Notes that fetching has begun anew, for which librdkafka forgets the end that it had signalled.
    pub fn has_begun_anew(&mut self) {
        self.doubt = Doubt::Outdated(OUTDATED);
        self.at_end = false;
    }

    /// What librdkafka hands over next: behind what is held.
    pub fn fetching(&self) -> KafkaSplit {
        let offset = self.held.back().map_or(self.split.offset, |h| h.offset + 1);
        KafkaSplit { offset, ..self.split.clone() }
    }

    /// Goes to where `policy` says if `range` does not have what comes next; then, how many records are lost.
    pub fn put_right(&mut self, range: Range, policy: OffsetOutOfRange) -> Result<Option<i64>> {
        if judge(&self.fetching(), range, policy)?.is_none() {
            return Ok(None);
        }
        // What is held comes again if it is still there, and is lost if not.
        self.held.clear();
        self.held_bytes = 0;
        let jump = judge(&self.split, range, policy)?;
        Ok(jump.map(|jump| {
            self.split.offset = jump.to;
            jump.lost
        }))
    }

    /// Keeps a message for later. `true`: that is enough, no more should be fetched.
    pub fn hold(&mut self, message: &BorrowedMessage<'_>) -> bool {
        let held = Held::new(message);
        self.held_bytes += held.bytes();
        self.held.push_back(held);
        self.held.len() >= HELD || self.held_bytes >= HELD_BYTES
    }

    /// The first message that was kept.
    pub fn take_held(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.held_bytes -= held.bytes();
        Some(held)
    }

    /// Whether this offset is not to be read any more.
    pub fn is_beyond(&self, offset: i64) -> bool {
        self.split.stopping.is_some_and(|s| offset >= s)
    }

    /// Takes in figures that were made at a moment before now. The end of a partition may be markers of
    /// transactions, which are no records: the position goes past them, or one day retention would make it look as if
    /// records had been lost. `true`: the split is at its end.
    ///
    /// At the moment of the figures, when librdkafka's queue was empty, everything before the end that it had
    /// signalled had been handed over, and by now it has been emitted. A pause throws away what was fetched and leaves
    /// the signal as it was, so that nothing can be learned from it until fetching begins anew, and from figures that
    /// were made until then.
    pub fn take_figures(&mut self, figures: Partition) -> bool {
        let end = if figures.ls_offset >= 0 { figures.ls_offset } else { figures.hi_offset };
        let quiet = figures.fetchq_cnt == 0;
        let all_emitted = self.doubt == Doubt::None && quiet && self.held.is_empty();
        // Figures that wait in the queue are counted there: of those before now only the oldest can be quiet.
        if let (Doubt::Outdated(n), true) = (self.doubt, quiet) {
            self.doubt = if n > 1 { Doubt::Outdated(n - 1) } else { Doubt::None };
        }
        if all_emitted && figures.eof_offset > self.split.offset {
            self.split.offset = figures.eof_offset;
        }
        self.lag = (end - self.split.offset).max(0);
        self.held.is_empty() && self.is_beyond(self.split.offset)
    }
}

/// A message that waits for its split to go on.
pub(super) struct Held {
    pub offset: i64,
    timestamp: Option<(i64, TimestampType)>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Held {
    fn bytes(&self) -> usize {
        let of_headers = self.headers.iter().map(|(n, v)| n.len() + v.as_ref().map_or(0, Vec::len));
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + of_headers.sum::<usize>()
    }

    pub fn new(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|all| {
            let owned = |i| {
                let header = all.get(i);
                (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
            };
            (0..all.count()).map(owned).collect()
        });
        Held {
            offset: message.offset(),
            timestamp: timestamp(message),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
    }

    pub fn record<'a>(&'a self, split: &'a KafkaSplit) -> KafkaRecord<'a> {
        KafkaRecord {
            topic: &split.topic,
            partition: split.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::new(&self.headers),
        }
    }
}

/// The message as a schema sees it.
pub(super) fn record<'a>(message: &'a BorrowedMessage<'_>, topic: &'a str) -> KafkaRecord<'a> {
    KafkaRecord {
        topic,
        partition: message.partition(),
        offset: message.offset(),
        timestamp: timestamp(message),
        key: message.key(),
        value: message.payload(),
        headers: Headers::borrowed(message.headers()),
    }
}

/// The time as an arrival.
pub(super) fn arrival(record: &KafkaRecord<'_>) -> i64 {
    record.timestamp.map_or(NO_TIMESTAMP, |(time, _)| time)
}

fn timestamp(message: &BorrowedMessage<'_>) -> Option<(i64, TimestampType)> {
    match message.timestamp() {
        Timestamp::NotAvailable => None,
        Timestamp::CreateTime(t) => Some((t, TimestampType::CreateTime)),
        Timestamp::LogAppendTime(t) => Some((t, TimestampType::LogAppendTime)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(offset: i64, stopping: Option<i64>) -> Tracked {
        let split = KafkaSplit { topic: "t".into(), partition: 0, offset, stopping };
        Tracked::new(0, split, &Metrics::default())
    }

    #[test]
    fn positions_go_past_markers_only_when_nothing_can_be_under_way() {
        let figures = |fetchq_cnt, eof_offset| Partition { fetchq_cnt, eof_offset, hi_offset: 20, ls_offset: 12 };
        let mut t = tracked(10, Some(12));
        assert!(!t.take_figures(figures(3, 12)));
        assert_eq!((t.split.offset, t.lag), (10, 2));
        assert!(!t.take_figures(figures(0, -1001)));
        assert!(t.take_figures(figures(0, 12)));
        assert_eq!((t.split.offset, t.lag), (12, 0));
        // What was fetched before a pause is thrown away.
        let mut t = tracked(10, Some(12));
        t.doubt_until_begun_anew();
        for _ in 0..10 {
            assert!(!t.take_figures(figures(0, 12)));
        }
        assert_eq!(t.split.offset, 10);
        // Fetched again: figures from before that may still come, then they are believed again.
        t.has_begun_anew();
        for quiet in [0, 1, 0, 1, 0] {
            assert!(!t.take_figures(figures(quiet, 12)));
        }
        assert_eq!(t.split.offset, 10);
        assert!(t.take_figures(figures(0, 12)));
        assert_eq!(t.split.offset, 12);
    }

    #[test]
    fn what_is_held_is_not_lost_when_its_successor_is_there() {
        let held = |offset| Held { offset, timestamp: None, key: None, value: None, headers: Vec::new() };
        let mut t = tracked(4, None);
        t.held.extend([held(4), held(9)]);
        assert_eq!(t.fetching().offset, 10);
        let range = |low| Range { low, high: 20 };
        assert_eq!(t.put_right(range(10), OffsetOutOfRange::Fail).expect("there"), None);
        assert_eq!((t.split.offset, t.held.len()), (4, 2));
        t.put_right(range(12), OffsetOutOfRange::Fail).expect_err("lost");
        assert_eq!(t.put_right(range(12), OffsetOutOfRange::Earliest).expect("a jump"), Some(8));
        assert_eq!((t.split.offset, t.held.len()), (12, 0));
    }
}
