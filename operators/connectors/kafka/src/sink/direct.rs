//! Straight to the broker: for `none` and `at least once`.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use hurtig_engine::{
    error::{Error, Result},
    metrics::Gauge,
    sink::{SinkContext, WriterContext},
    task::pool::Waker,
};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Headers as _, Message, OwnedMessage, Timestamp},
    producer::{BaseRecord, Producer, ThreadedProducer},
};

use super::{
    delivery::{Deliveries, Failure, Fate, Mark, Verdict, verdict},
    limits::Limits,
    serializer::{ProducerRecord, owned_headers},
};
use crate::client::{Context, Severity, severity};

/// How long a barrier waits for messages that nothing is promised about: a job that ends would throw them away.
const LINGERING: Duration = Duration::from_secs(10);

/// Hands messages to librdkafka, whose queue is bounded, and keeps the books of what becomes of them.
pub(super) struct DirectWriter {
    producer: ThreadedProducer<Deliveries>,
    fate: Arc<Fate>,
    context: Context,
    name: String,
    limits: Limits,
    /// Every message is waited for at a barrier.
    acknowledged: bool,
    /// There was no room for these.
    waiting: VecDeque<(ProducerRecord, Mark)>,
    errors: Gauge,
    /// Until when a barrier waits although nothing is promised.
    lingers: Option<tokio::time::Instant>,
    runtime: tokio::runtime::Handle,
    waker: Waker,
}

impl DirectWriter {
    pub fn new(config: &ClientConfig, acknowledged: bool, limits: Limits, ctx: &WriterContext) -> Result<Self> {
        let most = config.get("queue.buffering.max.messages").and_then(|v| v.parse().ok()).unwrap_or(100_000usize);
        let fate = Arc::new(Fate::new(ctx.waker.clone(), most / 2));
        let context = Context::default();
        let deliveries = Deliveries { context: context.clone(), fate: fate.clone() };
        let producer: ThreadedProducer<Deliveries> =
            config.create_with_context(deliveries).map_err(|e| Error::sink(&ctx.name, e))?;
        Ok(DirectWriter {
            producer,
            fate,
            context,
            name: ctx.name.clone(),
            limits,
            acknowledged,
            waiting: VecDeque::new(),
            errors: ctx.metrics.gauge("numRecordsSendErrors", &[]),
            lingers: None,
            runtime: ctx.runtime.clone(),
            waker: ctx.waker.clone(),
        })
    }

    pub fn write(&mut self, record: &ProducerRecord, mark: Mark, ctx: &mut SinkContext<'_>) -> Result<()> {
        // Its time is the broker's to judge, which is asked at once.
        if let Some(reason) = self.limits.refuse(record, None, 0) {
            ctx.dead_letter(mark.0, mark.1, record.raw().to_vec(), reason);
            return Ok(());
        }
        if !self.waiting.is_empty() || !self.send(record, mark, ctx)? {
            self.waiting.push_back((record.clone(), mark));
        }
        Ok(())
    }

    /// `false`: there is no room.
    fn send(&mut self, record: &ProducerRecord, mark: Mark, ctx: &mut SinkContext<'_>) -> Result<bool> {
        let mut message = BaseRecord::<[u8], [u8], Box<Mark>>::with_opaque_to(record.topic(), Box::new(mark));
        message.key = record.key();
        message.payload = record.value();
        message.partition = record.partition;
        message.timestamp = record.timestamp;
        message.headers = owned_headers(record.headers().iter().map(|(n, v)| (n.as_str(), v.as_deref())));
        self.fate.in_flight.fetch_add(1, SeqCst);
        let Err((e, _)) = self.producer.send(message) else {
            if !self.acknowledged {
                ctx.written(1);
            }
            return Ok(true);
        };
        self.fate.in_flight.fetch_sub(1, SeqCst);
        let code = e.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if code == RDKafkaErrorCode::QueueFull {
            return Ok(false);
        }
        match verdict(code) {
            Verdict::Refused => {
                ctx.dead_letter(mark.0, mark.1, record.raw().to_vec(), format!("Kafka refuses it: {e}"));
                Ok(true)
            }
            _ => Err(self.error(code, &e)),
        }
    }

    /// Takes in what has become of messages, and hands on what waited. `true`: nothing waits any more.
    pub fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        let delivered = self.fate.delivered.swap(0, SeqCst);
        if self.acknowledged {
            ctx.written(delivered as u64);
        }
        for failure in self.fate.take_failures() {
            self.failed(failure, ctx)?;
        }
        while let Some((record, mark)) = self.waiting.pop_front() {
            if !self.send(&record, mark, ctx)? {
                self.waiting.push_front((record, mark));
                break;
            }
        }
        self.fate.waiting.store(!self.waiting.is_empty(), SeqCst);
        Ok(self.waiting.is_empty())
    }

    /// `true`: everything is acknowledged, or need not be and has had [`LINGERING`] to be.
    pub fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        let empty = self.ready(ctx)?;
        self.fate.waiting.store(true, SeqCst);
        if !empty || self.fate.in_flight.load(SeqCst) > 0 {
            return Ok(empty && self.has_lingered());
        }
        self.lingers = None;
        // What came between the two looks.
        let done = self.ready(ctx)? && self.fate.in_flight.load(SeqCst) == 0;
        Ok(done && self.fate.delivered.load(SeqCst) == 0)
    }

    /// Whether what nothing is promised about was waited for long enough. The worker is woken when it is.
    fn has_lingered(&mut self) -> bool {
        if self.acknowledged {
            return false;
        }
        let now = tokio::time::Instant::now();
        match self.lingers {
            Some(until) if now < until => false,
            Some(_) => {
                let left = self.fate.in_flight.load(SeqCst);
                tracing::warn!(
                    "{}: {left} messages are not delivered yet; they are lost if the job ends now",
                    self.name
                );
                self.lingers = None;
                true
            }
            None => {
                self.lingers = Some(now + LINGERING);
                let waker = self.waker.clone();
                self.runtime.spawn(async move {
                    tokio::time::sleep(LINGERING).await;
                    waker.wake();
                });
                false
            }
        }
    }

    fn failed(&mut self, failure: Failure, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.errors.add(1);
        let Failure { code, message, mark } = failure;
        if !self.acknowledged {
            // It counts as written already: that is what `none` means.
            tracing::warn!("{}: a message was lost: {code}", self.name);
            return Ok(());
        }
        match verdict(code) {
            Verdict::Refused => {
                let raw = message.payload().or(message.key()).unwrap_or_default().to_vec();
                let reason = format!("Kafka refuses it: {code} (topic '{}')", message.topic());
                ctx.dead_letter(mark.0, mark.1, raw, reason);
                Ok(())
            }
            Verdict::Again => {
                self.waiting.push_back((again(&message), mark));
                Ok(())
            }
            Verdict::Fatal => Err(self.error(code, &KafkaError::MessageProduction(code))),
        }
    }

    #[cold]
    fn error(&self, code: RDKafkaErrorCode, e: &KafkaError) -> Error {
        let trouble = self.context.0.take_trouble();
        let of_trouble = trouble.as_ref().map(|(code, _)| severity(*code));
        let why = trouble.map(|(_, reason)| format!(" ({reason})")).unwrap_or_default();
        let fatal = self.producer.client().fatal_error().map(|(_, reason)| format!(" ({reason})"));
        use RDKafkaErrorCode as Code;
        let hint = match (severity(code), of_trouble, code) {
            (Severity::Final(hint), ..) => hint,
            // Messages only time out; that the broker does not let the client in any more is said by the way.
            (_, Some(Severity::Final(hint)), Code::MessageTimedOut) => hint,
            (_, _, Code::UnknownTopic | Code::UnknownTopicOrPartition) => "create the topic, or correct its name",
            (_, _, Code::MessageTimedOut) => {
                "the broker did not take messages for message.timeout.ms; the job goes on from its checkpoint"
            }
            _ => "the job goes on from its checkpoint",
        };
        Error::sink(&self.name, format!("{e}{}; {hint}", fatal.unwrap_or(why)))
    }
}

/// A message that was refused for another's sake.
fn again(message: &OwnedMessage) -> ProducerRecord {
    let mut record = ProducerRecord::default();
    record.set_topic(message.topic());
    record.partition = Some(message.partition()).filter(|p| *p >= 0);
    record.timestamp = match message.timestamp() {
        Timestamp::CreateTime(t) => Some(t),
        _ => None,
    };
    if let Some(key) = message.key() {
        record.key_mut().extend_from_slice(key);
    }
    if let Some(value) = message.payload() {
        record.value_mut().extend_from_slice(value);
    }
    if let Some(headers) = message.headers() {
        for i in 0..headers.count() {
            let header = headers.get(i);
            record.header(header.key, header.value);
        }
    }
    record
}
