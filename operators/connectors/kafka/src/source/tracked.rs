//! A split with its reader: its position, whether it is paused, and when it is at its end.

use std::collections::VecDeque;

use hurtig_engine::{
    metrics::{Gauge, Metrics},
    time::NO_TIMESTAMP,
};
use rdkafka::message::{BorrowedMessage, Headers as _, Message, Timestamp};

use super::{
    record::{Headers, KafkaRecord, TimestampType},
    split::KafkaSplit,
};
use crate::client::Partition;

/// So many messages of a split that is ahead are kept before its fetching is stopped: going on is then at once, while
/// librdkafka would have to fetch again what it throws away.
const HELD: usize = 1000;

/// The same in bytes.
const HELD_BYTES: usize = 1 << 20;

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
    /// librdkafka's figures may be older than the last pause or jump: they cannot be trusted for positions.
    disturbed: bool,
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
            disturbed: false,
            lag: 0,
            current_offset,
            committed_offset,
        }
    }

    pub fn is(&self, topic: &str, partition: i32) -> bool {
        self.split.partition == partition && self.split.topic == topic
    }

    /// Notes that librdkafka has thrown away what it had fetched, or is about to.
    pub fn disturb(&mut self) {
        self.disturbed = true;
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

    /// Forgets what was kept: it is fetched again.
    pub fn drop_held(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
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
    /// the signal as it was, so that nothing can be learned from it any more.
    pub fn take_figures(&mut self, figures: Partition) -> bool {
        let end = if figures.ls_offset >= 0 { figures.ls_offset } else { figures.hi_offset };
        let all_emitted = !self.disturbed && figures.fetchq_cnt == 0 && self.held.is_empty();
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
        t.disturb();
        assert!(!t.take_figures(figures(0, 12)));
        assert_eq!(t.split.offset, 10);
    }
}
