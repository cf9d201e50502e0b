//! What tests put into topics, and what they find there.

use std::time::Duration;

use hurtig_tests::servers::Kafka;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes `values`, each to the partition that `partition` says.
pub fn produce(kafka: &Kafka, topic: &str, values: impl Iterator<Item = u64>, partition: impl Fn(u64) -> i32) {
    let producer: BaseProducer = kafka.client().create().expect("a producer");
    for n in values {
        let (key, value) = ((n % 100).to_string(), format!("[{},{n}]", n % 100));
        loop {
            let record = BaseRecord::to(topic).partition(partition(n)).key(&key).payload(&value);
            if producer.send(record).is_ok() {
                break;
            }
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(PATIENCE).expect("delivered");
}

/// The values of a topic up to its end, partition by partition.
pub fn values(kafka: &Kafka, topic: &str, isolation: &str) -> Vec<String> {
    let mut config = kafka.client();
    config.set("group.id", "test").set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.set("isolation.level", isolation).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
    let partitions: Vec<i32> = metadata.topics()[0].partitions().iter().map(|p| p.id()).collect();
    let mut values = Vec::new();
    for partition in partitions {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        consumer.assign(&list).expect("assigned");
        loop {
            match consumer.poll(PATIENCE).expect("an answer") {
                Ok(m) => values.push(String::from_utf8_lossy(m.payload().unwrap_or_default()).into_owned()),
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(e) => panic!("{topic}: {e}"),
            }
        }
    }
    values
}

/// What a reader with `read_committed` sees.
pub fn committed(kafka: &Kafka, topic: &str) -> Vec<String> {
    values(kafka, topic, "read_committed")
}
