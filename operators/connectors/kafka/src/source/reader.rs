//! Reads the partitions of one subtask with one consumer.
//!
//! librdkafka's threads fetch ahead into a bounded queue and wake the worker; a poll takes from the queue what is
//! there and never waits. Of a split that is too far ahead of others in event time some messages are kept; then it is
//! paused in librdkafka, which throws away what it has fetched of it, and later begins again behind what it has handed
//! over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use hurtig_engine::{
    checkpoint::CheckpointId,
    error::{Error, Result},
    metrics::Gauge,
    source::{ReaderContext, ReaderStatus, SourceOutput, SourceReader},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Message},
};

use super::{
    builder::NAME,
    discovery::Client,
    range::{OffsetOutOfRange, Range, ranges},
    record::{KafkaDeserializationSchema, KafkaRecord},
    split::KafkaSplit,
    tracked::{Tracked, arrival, record},
};
use crate::client::{Closing, Context, News, Severity, lock, one_line, severity};

/// How often to poll without being woken: statistics and errors come in so.
const PATIENCE: i64 = 100;

/// How often nothing may come (or something that is no message) before the queue counts as empty.
const QUIET: usize = 3;

/// What a reader is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReaderOptions {
    pub commit: bool,
    pub out_of_range: OffsetOutOfRange,
    pub may_pause: bool,
}

/// What came of asking for the splits' ranges: by split number, with the position that was asked about.
type Asked = Arc<Mutex<Option<Result<Option<Vec<(u32, i64, Range)>>>>>>;

/// Reads the partitions of one subtask.
pub struct KafkaReader<S: KafkaDeserializationSchema> {
    consumer: Arc<Closing<Client>>,
    news: Arc<News>,
    options: ReaderOptions,
    schema: S,
    values: Vec<S::Item>,
    ctx: ReaderContext,
    splits: Vec<Tracked>,
    /// Where the last message belonged to: messages of a partition come in runs.
    last: usize,
    /// Every topic there ever was: with one only, the end of a partition can be told from its number.
    topics: BTreeSet<String>,
    /// Offsets by checkpoint, until it is complete.
    snapshots: BTreeMap<CheckpointId, Vec<KafkaSplit>>,
    asked: Option<Asked>,
    /// There was another error since: its split may have moved after the question.
    ask_again: bool,
    connected: bool,
    gauges: Gauges,
}

struct Gauges {
    commits_succeeded: Gauge,
    commits_failed: Gauge,
    pending_records: Gauge,
    records_lag_max: Gauge,
    connection_count: Gauge,
    records_lost: Gauge,
}

impl<S: KafkaDeserializationSchema> KafkaReader<S> {
    pub(super) fn new(config: &ClientConfig, options: ReaderOptions, schema: S, ctx: ReaderContext) -> Result<Self> {
        let context = Context::default();
        let news = context.0.clone();
        let created: KafkaResult<BaseConsumer<Context>> = config.create_with_context(context);
        let mut consumer = created.map_err(|e| Error::source(NAME, e))?;
        let waker = ctx.waker.clone();
        consumer.set_nonempty_callback(move || waker.wake());
        let gauge = |name| ctx.metrics.gauge(name, &[]);
        let gauges = Gauges {
            commits_succeeded: gauge("commitsSucceeded"),
            commits_failed: gauge("commitsFailed"),
            pending_records: gauge("pendingRecords"),
            records_lag_max: gauge("records_lag_max"),
            connection_count: gauge("connection_count"),
            records_lost: gauge("recordsLost"),
        };
        Ok(KafkaReader {
            consumer: Arc::new(Closing::new(consumer)),
            news,
            options,
            schema,
            values: Vec::new(),
            ctx,
            splits: Vec::new(),
            last: 0,
            topics: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            asked: None,
            ask_again: false,
            connected: true,
            gauges,
        })
    }

    /// The split a message belongs to; none if it is at its end.
    #[inline]
    fn find(&mut self, topic: &str, partition: i32) -> Option<usize> {
        if !self.splits.get(self.last).is_some_and(|t| t.is(topic, partition)) {
            self.last = self.splits.iter().position(|t| t.is(topic, partition))?;
        }
        Some(self.last)
    }

    fn take<O: SourceOutput<S::Item>>(&mut self, message: &BorrowedMessage<'_>, out: &mut O) -> Result<()> {
        let before = self.last;
        let topic = message.topic();
        let Some(i) = self.find(topic, message.partition()) else { return Ok(()) };
        let split = &mut self.splits[i];
        if split.is_beyond(message.offset()) {
            split.at_end = true;
            return if split.held.is_empty() { self.finish(i, out) } else { Ok(()) };
        }
        if i != before && self.options.may_pause {
            split.ahead = out.is_paused(split.number);
        }
        if split.ahead || !split.held.is_empty() {
            if split.hold(message) && !split.paused {
                split.paused = true;
                split.doubt_until_begun_anew();
                self.consumer.pause(&one(&split.split)?).map_err(failed)?;
            }
            return Ok(());
        }
        emit(&mut self.schema, &mut self.values, split.number, &record(message, topic), out)?;
        split.split.offset = message.offset() + 1;
        Ok(())
    }

    /// Asks who is ahead, and lets go on who is not any more: what was kept comes first.
    fn align<O: SourceOutput<S::Item>>(&mut self, out: &mut O) -> Result<()> {
        let mut i = 0;
        while let Some(split) = self.splits.get_mut(i) {
            split.ahead = self.options.may_pause && out.is_paused(split.number);
            while !split.ahead && !out.is_full() {
                let Some(held) = split.take_held() else { break };
                emit(&mut self.schema, &mut self.values, split.number, &held.record(&split.split), out)?;
                split.split.offset = held.offset + 1;
            }
            if split.held.is_empty() && split.at_end {
                self.finish(i, out)?;
                continue;
            }
            if split.held.is_empty() && split.paused {
                begin_anew(&self.consumer, split)?;
            }
            i += 1;
        }
        Ok(())
    }

    fn finish<O: SourceOutput<S::Item>>(&mut self, i: usize, out: &mut O) -> Result<()> {
        let done = self.splits.swap_remove(i);
        for gauge in [&done.current_offset, &done.committed_offset] {
            self.ctx.metrics.remove(gauge);
        }
        self.consumer.incremental_unassign(&one(&done.split)?).map_err(failed)?;
        out.finish_split(done.number);
        Ok(())
    }

    /// What came instead of a message.
    fn trouble<O: SourceOutput<S::Item>>(&mut self, error: &KafkaError, out: &mut O) -> Result<()> {
        use RDKafkaErrorCode as Code;
        if let KafkaError::PartitionEOF(partition) = error {
            // The event has no topic: where there are several, the statistics tell.
            let of_split = self.splits.iter().position(|t| t.split.partition == *partition && !t.paused);
            return match of_split {
                Some(i) if self.topics.len() == 1 && self.splits[i].split.stopping.is_some() => {
                    self.splits[i].at_end = true;
                    if self.splits[i].held.is_empty() { self.finish(i, out) } else { Ok(()) }
                }
                _ => Ok(()),
            };
        }
        let (trouble, reason) = self.news.take_trouble().unzip();
        // What was told with its reason is known better: a lost connection may be called wrong credentials here.
        let code = match error.rdkafka_error_code().unwrap_or(Code::Unknown) {
            Code::Authentication => trouble.unwrap_or(Code::Authentication),
            code => code,
        };
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(Error::source(NAME, format!("the consumer cannot go on: {error}{reason}")));
        }
        match code {
            Code::AutoOffsetReset
            | Code::OffsetOutOfRange
            | Code::LogTruncation
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition => {
                self.ask();
                Ok(())
            }
            _ => match severity(code) {
                Severity::Final(hint) => Err(Error::source(NAME, format!("{error}{reason}; {hint}"))),
                Severity::Passing => {
                    if std::mem::take(&mut self.connected) {
                        tracing::warn!("kafka: {error}{reason}; positions are kept, and reading goes on when it can");
                    }
                    Ok(())
                }
            },
        }
    }

    /// Asks for the range of every split that is being fetched, in the background. Which one has the error is not
    /// said: it is one that does not move any more.
    fn ask(&mut self) {
        if self.asked.is_some() {
            self.ask_again = true;
            return;
        }
        let asked = Asked::default();
        self.asked = Some(asked.clone());
        let fetched = self.splits.iter().filter(|t| !t.paused);
        let (numbers, splits): (Vec<_>, Vec<_>) = fetched.map(|t| (t.number, t.fetching())).unzip();
        let (consumer, waker) = (self.consumer.clone(), self.ctx.waker.clone());
        // A thread of its own: the broker may not answer for long, and others need the runtime's.
        std::thread::spawn(move || {
            let about = |found: Vec<Range>| {
                let asked = numbers.into_iter().zip(&splits).zip(found);
                asked.map(|((number, split), range)| (number, split.offset, range)).collect()
            };
            let found = ranges(&consumer, &splits).map(|r| r.map(about));
            *lock(&asked) = Some(found);
            waker.wake();
        });
    }

    /// Acts on an answer: what has not moved since the question begins anew at its position, or where the policy
    /// says. What has moved has no error, and is not where it was asked about.
    fn answer(&mut self) -> Result<()> {
        let Some(answer) = self.asked.as_ref().and_then(|a| lock(a).take()) else { return Ok(()) };
        self.asked = None;
        let again = std::mem::take(&mut self.ask_again);
        let Some(ranges) = answer? else {
            self.ask();
            return Ok(());
        };
        for (number, position, range) in ranges {
            let Some(split) = self.splits.iter_mut().find(|t| t.number == number) else { continue };
            if split.paused || split.fetching().offset != position {
                continue;
            }
            if let Some(lost) = split.put_right(range, self.options.out_of_range)? {
                self.gauges.records_lost.add(lost);
            }
            begin_anew(&self.consumer, split)?;
        }
        if again {
            self.ask();
        }
        Ok(())
    }

    fn statistics<O: SourceOutput<S::Item>>(&mut self, out: &mut O) -> Result<()> {
        for split in &self.splits {
            split.current_offset.set(split.split.offset - 1);
        }
        for (topic, partition, offset) in self.news.take_committed() {
            if let Some(i) = self.find(&topic, partition) {
                self.splits[i].committed_offset.set(offset);
            }
        }
        self.gauges.commits_succeeded.set(self.news.commits_succeeded.load(Relaxed));
        self.gauges.commits_failed.set(self.news.commits_failed.load(Relaxed));
        let Some(statistics) = self.news.take_statistics() else { return Ok(()) };
        let connections = statistics.connected();
        self.gauges.connection_count.set(connections);
        if connections > 0 && !self.connected && !self.splits.is_empty() {
            self.connected = true;
            tracing::info!("kafka: there is a connection to a broker again");
        }
        let asking = self.asked.is_some();
        let mut i = 0;
        while let Some(split) = self.splits.get_mut(i) {
            let figures = statistics.partition(&split.split.topic, split.split.partition);
            match figures {
                // While there is a question open only what is emitted may move a split: whatever stands still is begun
                // anew.
                Some(figures) if !asking && split.take_figures(figures) => self.finish(i, out)?,
                _ => i += 1,
            }
        }
        self.gauges.pending_records.set(self.splits.iter().map(|t| t.lag).sum());
        self.gauges.records_lag_max.set(self.splits.iter().map(|t| t.lag).max().unwrap_or(0));
        Ok(())
    }
}

/// Fetches a split from its position on, whatever librdkafka did with it before. It goes on being paused over an
/// assignment, and an error that came before a pause is never heard of: so both are ended here.
fn begin_anew(consumer: &Client, split: &mut Tracked) -> Result<()> {
    let list = one(&split.fetching())?;
    if std::mem::take(&mut split.paused) {
        consumer.resume(&list).map_err(failed)?;
    }
    consumer.incremental_unassign(&list).map_err(failed)?;
    consumer.incremental_assign(&list).map_err(failed)?;
    split.has_begun_anew();
    Ok(())
}

/// One message's values, or its dead letter.
#[inline]
fn emit<S: KafkaDeserializationSchema>(
    schema: &mut S,
    values: &mut Vec<S::Item>,
    number: u32,
    record: &KafkaRecord<'_>,
    out: &mut impl SourceOutput<S::Item>,
) -> Result<()> {
    values.clear();
    let position = record.offset as u64;
    match schema.deserialize(record, values) {
        Ok(()) => values.drain(..).for_each(|v| out.emit(number, position, arrival(record), v)),
        Err(e) => {
            let reason = e.refused_or(|reason| Error::source(NAME, reason))?;
            let raw = record.value.or(record.key).unwrap_or_default();
            out.dead_letter(number, position, arrival(record), raw, &one_line(&reason));
        }
    }
    Ok(())
}

impl<S: KafkaDeserializationSchema> SourceReader for KafkaReader<S> {
    type Item = S::Item;
    type Split = KafkaSplit;

    fn add_split(&mut self, number: u32, split: KafkaSplit) -> Result<()> {
        self.consumer.incremental_assign(&one(&split)?).map_err(failed)?;
        self.topics.insert(split.topic.clone());
        self.splits.push(Tracked::new(number, split, &self.ctx.metrics));
        Ok(())
    }

    fn poll<O: SourceOutput<S::Item>>(&mut self, max: usize, out: &mut O) -> Result<ReaderStatus> {
        self.answer()?;
        self.align(out)?;
        let consumer = self.consumer.clone();
        let (mut taken, mut quiet) = (0, 0);
        while taken < max && quiet < QUIET && !out.is_full() {
            match consumer.poll(Duration::ZERO) {
                None => quiet += 1,
                Some(Ok(message)) => {
                    quiet = 0;
                    taken += 1;
                    self.take(&message, out)?;
                }
                Some(Err(e)) => self.trouble(&e, out)?,
            }
        }
        self.statistics(out)?;
        if quiet < QUIET {
            return Ok(ReaderStatus::MoreAvailable);
        }
        let until = (!self.splits.is_empty()).then(|| self.ctx.clock.now_ms() + PATIENCE);
        Ok(ReaderStatus::NothingAvailable { until })
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<(u32, KafkaSplit)>> {
        let splits: Vec<_> = self.splits.iter().map(|t| (t.number, t.split.clone())).collect();
        if self.options.commit {
            self.snapshots.insert(checkpoint, splits.iter().map(|(_, s)| s.clone()).collect());
        }
        Ok(splits)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) {
        let later = self.snapshots.split_off(&(checkpoint + 1));
        let done = std::mem::replace(&mut self.snapshots, later).remove(&checkpoint);
        let Some(splits) = done.filter(|s| !s.is_empty()) else { return };
        let committed = list(&splits).and_then(|l| self.consumer.commit(&l, CommitMode::Async));
        if let Err(e) = committed {
            self.news.commits_failed.fetch_add(1, Relaxed);
            tracing::warn!("kafka: offsets cannot be committed to the group (monitoring only): {e}");
        }
    }
}

fn list(splits: &[KafkaSplit]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(splits.len());
    for split in splits {
        list.add_partition_offset(&split.topic, split.partition, Offset::Offset(split.offset))?;
    }
    Ok(list)
}

fn one(split: &KafkaSplit) -> Result<TopicPartitionList> {
    list(std::slice::from_ref(split)).map_err(failed)
}

fn failed(e: KafkaError) -> Error {
    Error::source(NAME, e)
}
