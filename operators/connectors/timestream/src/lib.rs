//! Timestream for LiveAnalytics: hurtig's sink.
