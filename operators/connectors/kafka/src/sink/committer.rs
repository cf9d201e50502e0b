//! Publishes epochs: all records of a checkpoint in one transaction, together with a token that says so.
//!
//! A plain transaction that is open from one barrier to the next is lost with the process that began it, and the
//! checkpoint that was completed meanwhile has nothing to show for it. Here the checkpoint holds the records
//! themselves, and a transaction lasts no longer than publishing them takes. Whoever comes after a crash first has
//! what is under way decided (`init_transactions`, which also fences whoever is still there), then reads the token,
//! and publishes what it does not name. Publishing twice is impossible, forgetting too.

use std::{thread::sleep, time::Duration};

use hurtig_engine::{
    error::{Error, Result},
    sink::{Committer, CommitterContext},
};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tokio::time::Instant;

use super::{
    builder::limit_batches,
    chunk::{Chunk, ChunkHeader, StoredRecord},
    handed_over::Outcomes,
    limits::{Limits, TIMEOUT},
    published::Published,
    refusals::Refusals,
    serializer::owned_headers,
    standstill::Standstill,
    token,
};
use crate::{
    client::{Severity, severity},
    reach::{Unreached, reach},
};

/// How a sink's commits are made.
pub(super) struct Commits {
    /// The transactional id, and the key of the token.
    pub id: String,
    /// Where tokens are.
    pub topic: String,
    pub producer: ClientConfig,
    pub consumer: ClientConfig,
}

/// How often publishing is tried before the job is told.
const TRIES: u32 = 5;

/// How long is looked for a broker.
const LOOKING: Duration = Duration::from_secs(10);

/// After this no other try is begun. Nobody can interrupt a commit, so that whoever cancels the job waits for it.
const ENOUGH: Duration = Duration::from_secs(60);

/// librdkafka's default.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// After a try that failed; doubled each time.
const BACKOFF: Duration = Duration::from_millis(500);

/// How long is waited for acknowledgements until it is looked whether there are any.
const FLUSH: Duration = Duration::from_secs(1);

/// How often refusals are looked for while sending.
const POLL_EVERY: u64 = 1000;

/// The committer of an exactly-once sink.
pub struct KafkaCommitter {
    commits: Commits,
    outcomes: Outcomes,
    topics: Vec<String>,
    ctx: CommitterContext,
    open: Option<Open>,
    /// Somebody with the same transactional id came later: never again.
    fenced: bool,
    /// When the last transaction was begun.
    begun: Option<Instant>,
}

/// A producer whose transactions are initialized, and what is published.
struct Open {
    producer: BaseProducer<Refusals>,
    published: Published,
}

/// Why a try did not succeed.
enum Failed {
    /// It may at another time.
    Passing(String),
    /// Nobody is there, who was waited for already.
    Away(String),
    /// It will not.
    Final(Error),
    /// Somebody else has taken over.
    Fenced,
}

impl From<Error> for Failed {
    fn from(e: Error) -> Self {
        Failed::Final(e)
    }
}

impl KafkaCommitter {
    pub(super) fn new(commits: Commits, topics: Vec<String>, outcomes: Outcomes, ctx: CommitterContext) -> Self {
        KafkaCommitter { commits, outcomes, topics, ctx, open: None, fenced: false, begun: None }
    }

    /// Opens a producer: fences whoever was there, has open transactions decided, reads the token.
    fn open(&mut self) -> Result<(), Failed> {
        if self.open.is_some() {
            return Ok(());
        }
        let name = &self.ctx.name;
        // Its own topic may not be there yet, and must not be made by asking.
        reach(&self.commits.consumer, self.topics.first().map(String::as_str), LOOKING).map_err(|e| match e {
            Unreached::Silent(reason) => Failed::Away(reason),
            Unreached::Refused(reason) => Failed::Final(Error::sink(name, reason)),
        })?;
        let mut config = self.commits.producer.clone();
        limit_batches(&mut config, &Limits::ask(&self.commits.consumer, &self.topics, &self.ctx.runtime, name)?);
        token::make_topic(&self.commits, &self.ctx.runtime, name)?;
        let producer: BaseProducer<Refusals> =
            config.create_with_context(Refusals::default()).map_err(|e| Error::sink(name, e))?;
        producer.init_transactions(TIMEOUT).map_err(|e| self.failed(&producer, &e))?;
        let published = token::load(&self.commits, name)?;
        self.open = Some(Open { producer, published });
        Ok(())
    }

    fn commit_all(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        let mut chunks = committables.iter().map(|c| Chunk::open(c)).collect::<Result<Vec<_>>>()?;
        // A subtask's records in the order in which they were written.
        let order = |h: &ChunkHeader| (h.attempt.clone(), h.subtask, h.epoch, h.part);
        chunks.sort_by_cached_key(|(header, _)| order(header));
        let mut backoff = BACKOFF;
        let enough = Instant::now() + ENOUGH;
        for tried in 1.. {
            if self.fenced {
                return Err(self.fenced_off());
            }
            match self.open().and_then(|()| self.publish(&chunks)) {
                Ok(()) => {
                    chunks.iter().for_each(|(header, _)| self.outcomes.published(header));
                    return Ok(());
                }
                Err(Failed::Final(e)) => {
                    self.open = None;
                    return Err(e);
                }
                Err(Failed::Fenced) => {
                    self.open = None;
                    self.fenced = true;
                }
                Err(Failed::Away(reason)) => {
                    self.open = None;
                    return Err(self.later(&reason));
                }
                Err(Failed::Passing(reason)) => {
                    // Whatever has become of the transaction: it is decided when the next producer is opened.
                    self.open = None;
                    if tried == TRIES || Instant::now() >= enough {
                        return Err(self.later(&reason));
                    }
                    tracing::warn!("{}: publishing is tried again: {reason}", self.ctx.name);
                    sleep(backoff);
                    backoff *= 2;
                }
            }
        }
        Ok(())
    }

    /// Publishes in one transaction what is not published yet.
    fn publish(&mut self, chunks: &[(ChunkHeader, Chunk<'_>)]) -> Result<(), Failed> {
        self.begun = Some(Instant::now());
        let Some(Open { producer, published }) = &self.open else { return Ok(()) };
        let chunks: Vec<_> = chunks.iter().filter(|(header, _)| !published.contains(header)).collect();
        if chunks.is_empty() {
            return Ok(());
        }
        fail::fail_point!("kafka-commit", |_| Err(self.crash("kafka-commit")));
        producer.begin_transaction().map_err(|e| self.failed(producer, &e))?;
        let mut sent = 0;
        let mut then = published.clone();
        for (i, (header, chunk)) in chunks.iter().enumerate() {
            let raw = chunk.unpack(header)?;
            let mut rest = raw.as_slice();
            while let Some(record) = StoredRecord::decode(&mut rest)? {
                self.send(producer, &record)?;
                sent += 1;
                if sent % POLL_EVERY == 0 {
                    producer.poll(Duration::ZERO);
                    self.check(producer)?;
                }
            }
            then.add(header);
            if i == 0 {
                fail::fail_point!("kafka-mid-commit", |_| {
                    // What is in the broker already has to be seen to have no effect.
                    let _ = producer.flush(TIMEOUT);
                    Err(self.crash("kafka-mid-commit"))
                });
            }
        }
        let token = then.to_json()?;
        let (topic, key) = (self.commits.topic.as_str(), Some(self.commits.id.as_bytes()));
        let token = StoredRecord { topic, partition: Some(0), key, value: Some(&token), ..StoredRecord::default() };
        self.send(producer, &token)?;
        self.flush(producer)?;
        producer.commit_transaction(TIMEOUT).map_err(|e| self.failed(producer, &e))?;
        fail::fail_point!("kafka-committed", |_| Err(self.crash("kafka-committed")));
        tracing::debug!("{}: published {sent} records", self.ctx.name);
        if let Some(open) = &mut self.open {
            open.published = then;
        }
        Ok(())
    }

    fn send(&self, producer: &BaseProducer<Refusals>, record: &StoredRecord<'_>) -> Result<(), Failed> {
        let mut message = BaseRecord::<[u8], [u8]>::to(record.topic);
        message.key = record.key;
        message.payload = record.value;
        message.partition = record.partition;
        message.timestamp = record.timestamp;
        message.headers = owned_headers(record.headers.iter().copied());
        let mut full = None;
        loop {
            let Err((e, back)) = producer.send(message) else { return Ok(()) };
            if e.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(self.failed(producer, &e));
            }
            message = back;
            producer.poll(Duration::from_millis(10));
            self.check(producer)?;
            if full.get_or_insert_with(Standstill::watch).is_there(in_flight(producer)) {
                return Err(self.failed(producer, &e));
            }
        }
    }

    /// Waits for everything that was sent, as long as some of it goes out.
    fn flush(&self, producer: &BaseProducer<Refusals>) -> Result<(), Failed> {
        let mut standstill = Standstill::watch();
        loop {
            let flushed = producer.flush(FLUSH);
            self.check(producer)?;
            let Err(e) = flushed else { return Ok(()) };
            let timed_out = e.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut);
            if !timed_out || standstill.is_there(in_flight(producer)) {
                return Err(self.failed(producer, &e));
            }
        }
    }

    /// Whether a message was refused: then the transaction can only be given up.
    fn check(&self, producer: &BaseProducer<Refusals>) -> Result<(), Failed> {
        match producer.context().first() {
            None => Ok(()),
            Some(code) => Err(self.failed(producer, &KafkaError::MessageProduction(code))),
        }
    }

    #[cold]
    fn failed(&self, producer: &BaseProducer<Refusals>, e: &KafkaError) -> Failed {
        let fatal = producer.client().fatal_error();
        let code = match (&fatal, e) {
            (Some((code, _)), _) => *code,
            (None, KafkaError::Transaction(e)) => e.code(),
            (None, e) => e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown),
        };
        let why = fatal.map(|(_, reason)| reason).or_else(|| producer.context().context.0.take_trouble().map(|t| t.1));
        let why = why.map(|reason| format!(" ({reason})")).unwrap_or_default();
        use RDKafkaErrorCode as Code;
        match (code, severity(code)) {
            // The coordinator fences whoever takes longer, too; the token says what has become of it.
            (Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch, _) if self.is_overdue() => {
                Failed::Passing(format!("{e}{why}: the transaction took longer than transaction.timeout.ms"))
            }
            (Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch, _) => Failed::Fenced,
            (_, Severity::Final(hint)) if code != Code::Fatal => {
                Failed::Final(Error::sink(&self.ctx.name, format!("{e}{why}; {hint}")))
            }
            (Code::InvalidTransactionTimeout, _) => Failed::Final(Error::sink(
                &self.ctx.name,
                format!("{e}: the broker's transaction.max.timeout.ms is lower: set transaction.timeout.ms to that"),
            )),
            (
                Code::MessageSizeTooLarge
                | Code::InvalidRecord
                | Code::InvalidTimestamp
                | Code::UnknownPartition
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition,
                _,
            ) => Failed::Final(Error::sink(
                &self.ctx.name,
                format!(
                    "the topic does not take what the checkpoint holds: {e}{why}; change the topic so that it does \
                         (max.message.bytes, partitions, cleanup.policy, message.timestamp.*), and start again"
                ),
            )),
            _ => Failed::Passing(format!("{e}{why}")),
        }
    }

    /// Whether the coordinator has given up the last transaction.
    fn is_overdue(&self) -> bool {
        let timeout = self.commits.producer.get("transaction.timeout.ms").and_then(|ms| ms.parse().ok());
        let timeout = timeout.map_or(TRANSACTION_TIMEOUT, Duration::from_millis);
        self.begun.is_some_and(|begun| begun.elapsed() >= timeout)
    }

    fn later(&self, reason: &str) -> Error {
        let reason = format!("{reason}; nothing is lost: what is in the checkpoint is published later");
        Error::sink(&self.ctx.name, reason)
    }

    fn fenced_off(&self) -> Error {
        let reason = format!(
            "another run with the transactional id '{}' has taken over; this run must end: if both are wanted, give \
             one of them another transactional_id_prefix",
            self.commits.id
        );
        Error::sink(&self.ctx.name, reason)
    }

    /// What a failpoint does: the process is as good as dead, nothing is tidied up.
    fn crash(&self, point: &str) -> Failed {
        Failed::Final(Error::sink(&self.ctx.name, format!("the failpoint {point}")))
    }
}

/// How many messages the broker has not taken yet.
fn in_flight(producer: &BaseProducer<Refusals>) -> usize {
    usize::try_from(producer.in_flight_count()).unwrap_or(0)
}

impl Committer for KafkaCommitter {
    fn commit(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        self.commit_all(committables)
    }

    fn remove_orphans(&mut self) -> Result<()> {
        // Whoever was there before is fenced from the start, not only when there is something to publish.
        self.commit_all(&[])
    }
}
