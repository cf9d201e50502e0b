//! Kafka, with partitions added, its broker restarted and killed; what comes out is a topic too.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};

use super::{
    fleet::Fleet,
    lives::{Job, beside},
    settings::Settings,
    world::Shared,
};
use crate::servers::Kafka;

const IN: &str = "readings";
const OUT: &str = "rows";
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends a fleet over Kafka, twice: into the tables of the embedded store, and into a topic by
/// exactly-once transactions.
pub fn run(settings: &Settings, dir: &Path, say: &mut impl FnMut(&str)) -> Result<()> {
    let fleet = Fleet::of(settings.readings);
    for to_topic in [false, true] {
        let dir = dir.join(if to_topic { "topic" } else { "tables" });
        std::fs::create_dir_all(&dir)?;
        let kafka = Kafka::start()?;
        kafka.create_topic(IN, 2)?;
        kafka.create_topic(OUT, 3)?;
        let bootstrap = kafka.bootstrap().to_owned();
        let shared = Shared::default();
        let mut options: Vec<String> = format!(
            "run smart-meters --source kafka:{IN} --bootstrap-servers {bootstrap} --checkpoint-interval 500ms \
             --idle-after 1s --max-out-of-orderness 30d"
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect();
        if to_topic {
            options.extend([
                "--sink".into(),
                format!("kafka:{OUT}"),
                "--delivery-guarantee".into(),
                "exactly-once".into(),
            ]);
        }
        let job = Job { dir: &dir, options, environment: Vec::new() };
        let mut world = World { kafka, fleet, sent: 0, shared: &shared };
        let kills = beside(&shared, || world.turn(), || job.run(settings.seed, &shared, say))?;
        if to_topic {
            each_once(&world.kafka, fleet)?;
        } else {
            fleet.check(&dir.join("data"))?;
        }
        let what = if to_topic { "rows on an exactly-once topic" } else { "readings in the tables" };
        say(&format!("{} {what}, each once, after {kills} kills", fleet.readings()));
    }
    Ok(())
}

struct World<'a> {
    kafka: Kafka,
    fleet: Fleet,
    sent: u64,
    shared: &'a Shared,
}

impl World<'_> {
    fn turn(&mut self) -> Result<()> {
        let part = self.fleet.seconds.div_ceil(5);
        self.send(part)?;
        self.shared.until_killed()?;
        self.kafka.add_partitions(IN, 4)?;
        self.send(part)?;
        self.shared.until_killed()?;
        self.shared.outage(|| self.kafka.restart())?;
        self.send(part)?;
        self.shared.until_killed()?;
        self.shared.outage(|| {
            self.kafka.kill9();
            self.kafka.start_again()
        })?;
        self.send(part)?;
        self.kafka.add_partitions(IN, 5)?;
        self.shared.until_killed()?;
        self.send(self.fleet.seconds - self.sent)?;
        self.shared.until_killed()
    }

    /// Sends so many more seconds of every meter, each reading once.
    fn send(&mut self, seconds: u64) -> Result<()> {
        let seconds = self.sent..(self.sent + seconds).min(self.fleet.seconds);
        self.sent = seconds.end;
        let mut config = self.kafka.client();
        // A new one knows of new partitions at once; an idempotent one writes nothing twice.
        let producer: BaseProducer = config.set("enable.idempotence", "true").set("linger.ms", "20").create()?;
        for second in seconds {
            for meter in 0..self.fleet.meters {
                let (key, message) = (Fleet::meter(meter), Fleet::message(meter, second));
                let mut record = BaseRecord::to(IN).key(&key).payload(&message);
                while let Err((e, back)) = producer.send(record) {
                    if !matches!(e, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                        return Err(e).context("the reading cannot be sent");
                    }
                    producer.poll(Duration::from_millis(50));
                    record = back;
                }
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(PATIENCE).context("the readings cannot be sent")
    }
}

/// Reads the rows as a consumer sees them that reads what is committed.
fn each_once(kafka: &Kafka, fleet: Fleet) -> Result<()> {
    let mut config = kafka.client();
    config.set("group.id", "check").set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("auto.offset.reset", "earliest").create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..3 {
        partitions.add_partition_offset(OUT, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let (mut seen, mut ends, mut silent) = (HashSet::new(), HashSet::new(), 0);
    while ends.len() < 3 {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                silent = 0;
                let row: serde_json::Value = serde_json::from_slice(message.payload().unwrap_or_default())?;
                let key = (row["meter_id"].as_str().unwrap_or_default().to_owned(), row["time"].as_i64());
                if !seen.insert(key) {
                    bail!("a row is there twice: {row}");
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.insert(partition);
            }
            Some(Err(e)) => return Err(e.into()),
            None if silent > PATIENCE.as_secs() => bail!("the topic '{OUT}' has no end"),
            None => silent += 1,
        }
    }
    if seen.len() as u64 != fleet.readings() {
        bail!("{} rows are committed, and {} were sent", seen.len(), fleet.readings());
    }
    Ok(())
}
