//! Reactive ingestion: big files in byte ranges, only as fast as a stream takes them.
