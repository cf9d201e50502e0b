//! Avro and Protobuf, with a schema file or a registry.
