//! InfluxDB line protocol over HTTP: hurtig's sink.
