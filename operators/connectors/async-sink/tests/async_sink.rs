//! A sink of numbers, against a destination that refuses some, is slow, or breaks.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use hurtig_async_sink::{
    Answers, AsyncWriter, Batch, BatchQueue, Destination, Settled, SinkMetrics, dead_letter_as_json,
};
use hurtig_engine::{
    error::Result,
    record::Record,
    sink::{Sink, SinkContext, SinkWriter, WriterContext},
};
use hurtig_operators::connectors::testing::SinkHarness;
use tokio::sync::Semaphore;

/// Two items a batch, two batches under way.
#[derive(Default)]
struct Pairs {
    items: VecDeque<(u64, u64)>,
    forced: bool,
    in_flight: usize,
    batches: u64,
}

struct Pair(u64, Vec<(u64, u64)>);

impl Batch for Pair {
    fn number(&self) -> u64 {
        self.0
    }

    fn values(&self) -> impl Iterator<Item = u64> {
        self.1.iter().map(|(value, _)| *value)
    }
}

impl BatchQueue for Pairs {
    type Batch = Pair;

    fn force(&mut self) {
        self.forced = true;
    }

    fn next_batch(&mut self) -> Option<Pair> {
        let go = self.in_flight < 2 && (self.items.len() > 1 || (self.forced && !self.items.is_empty()));
        if !go {
            return None;
        }
        let items: Vec<_> = (0..2).map_while(|_| self.items.pop_front()).collect();
        self.forced &= !self.items.is_empty();
        self.in_flight += 1;
        self.batches += 1;
        Some(Pair(self.batches, items))
    }

    fn answered(&mut self, _: &Pair) {
        self.in_flight -= 1;
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }
}

/// Refuses what is odd, breaks at 1,000, is closed for good at 1,001, and counts what it stores.
#[derive(Clone)]
struct Numbers {
    stored: Arc<AtomicU64>,
    gate: Arc<Semaphore>,
}

impl Destination<Pair> for Numbers {
    type Refusal = String;

    async fn deliver(&self, batch: &Pair) -> Answers<String> {
        self.gate.acquire().await.map_err(|e| e.to_string())?.forget();
        assert!(batch.1.iter().all(|(_, item)| *item != 1_000), "a bug");
        if batch.1.iter().any(|(_, item)| *item == 1_001) {
            return Err("there is no table: create it".into());
        }
        let answer = |(_, item): &(u64, u64)| {
            let is_odd = item % 2 == 1;
            self.stored.fetch_add(u64::from(!is_odd), SeqCst);
            is_odd.then(|| format!("{item} is odd"))
        };
        Ok(batch.1.iter().map(answer).collect())
    }
}

#[derive(Clone)]
struct NumberSink {
    numbers: Numbers,
    /// Why it cannot be reached.
    away: Option<&'static str>,
}

impl NumberSink {
    fn with(permits: usize) -> Self {
        let numbers = Numbers { stored: Arc::default(), gate: Arc::new(Semaphore::new(permits)) };
        NumberSink { numbers, away: None }
    }
}

struct NumberWriter(AsyncWriter<Vec<u64>, Pairs, String, ()>);

impl Sink<Vec<u64>> for NumberSink {
    type Writer = NumberWriter;

    fn writer(&self, ctx: WriterContext, _: Vec<Vec<u8>>) -> Result<NumberWriter> {
        let metrics = SinkMetrics::new(&ctx.metrics, "place", "numbers");
        let (numbers, away) = (self.numbers.clone(), self.away);
        let connect = async move { away.map_or(Ok((numbers, ())), |why| Err(why.to_owned())) };
        let bounds = (3, Duration::from_secs(1));
        Ok(NumberWriter(AsyncWriter::start(ctx, "numbers".into(), Pairs::default(), metrics, bounds, connect)))
    }
}

impl NumberWriter {
    fn collect(&mut self, ctx: &mut SinkContext<'_>) -> Result<()> {
        for Settled { record, refusals } in self.0.collect()? {
            match refusals.as_slice() {
                [] => ctx.written(1),
                _ => dead_letter_as_json(record, refusals.join("; "), ctx),
            }
        }
        Ok(())
    }
}

impl SinkWriter<Vec<u64>> for NumberWriter {
    fn write(&mut self, record: Record<Vec<u64>>, _: &mut SinkContext<'_>) -> Result<()> {
        let items = record.value.clone();
        self.0.push(record, items.len(), Vec::new(), |queue, value| {
            queue.items.extend(items.into_iter().map(|item| (value, item)));
            queue.items.len() > 1
        });
        Ok(())
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        Ok(self.0.ready())
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        self.collect(ctx)?;
        Ok(self.0.is_flushed())
    }

    fn on_processing_time(&mut self, now: i64, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.0.on_processing_time(now);
        self.collect(ctx)
    }

    fn next_wakeup(&self) -> Option<i64> {
        self.0.next_wakeup()
    }
}

const MANY: usize = 1_000_000;

#[test]
fn a_value_is_written_when_all_its_items_are_and_its_letter_has_all_reasons() {
    let sink = NumberSink::with(MANY);
    let mut harness = SinkHarness::start(&sink, "1").expect("a writer");
    for n in 0..200 {
        harness.write(Record::new(vec![4 * n, 4 * n + 2, 4 * n + n % 2])).expect("taken");
    }
    harness.write(Record::new(vec![1, 2, 3])).expect("taken");
    harness.checkpoint().expect("acknowledged");
    assert!(harness.books.balance(), "{:?}", harness.books);
    assert_eq!((harness.books.written, harness.letters.len()), (100, 101));
    let (.., reason) = harness.letters.iter().find(|(.., raw, _)| raw == b"[1,2,3]").expect("its letter");
    assert!(["1 is odd; 3 is odd", "3 is odd; 1 is odd"].contains(&reason.as_str()), "{reason}");
    assert_eq!(sink.numbers.stored.load(SeqCst), 501);
}

#[test]
fn no_more_is_taken_than_may_be_buffered_and_what_waits_for_company_goes_after_its_time() {
    let sink = NumberSink::with(0);
    let mut harness = SinkHarness::start(&sink, "1").expect("a writer");
    for n in [2, 4, 6] {
        harness.write(Record::new(vec![n])).expect("taken");
    }
    assert!(!harness.write_if_ready(|| Record::new(vec![8])).expect("full"), "three wait");
    sink.numbers.gate.add_permits(MANY);
    harness.write(Record::new(vec![8])).expect("taken when there is room again");
    harness.checkpoint().expect("acknowledged");

    harness.write(Record::new(vec![10])).expect("taken");
    assert_eq!(harness.writer.next_wakeup(), Some(1_000), "ms");
    harness.advance(1_000).expect("time");
    assert_eq!(harness.writer.next_wakeup(), None, "it is on its way");
    while harness.books.written < 5 {
        // Asking whether it is ready takes note of what was written.
        harness.write_if_ready(|| Record::new(vec![12])).expect("ready");
    }
}

#[test]
fn what_ends_the_sending_is_told_in_one_line() {
    let away = NumberSink { away: Some("numbers cannot be reached: start them"), ..NumberSink::with(MANY) };
    for (sink, item, words) in [
        (NumberSink::with(MANY), 1_000, "numbers: the sending task ended by a panic, which the log has"),
        (NumberSink::with(MANY), 1_001, "there is no table: create it"),
        (away, 2, "numbers cannot be reached: start them"),
    ] {
        let mut harness = SinkHarness::start(&sink, "1").expect("a writer");
        let end = harness.write(Record::new(vec![item])).and_then(|()| harness.checkpoint());
        let line = end.expect_err("it cannot be written").to_string();
        assert!(line.contains(words) && !line.contains('\n'), "{line}");
    }
}
