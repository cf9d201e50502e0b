//! Apache Kafka: hurtig's source and sink.
