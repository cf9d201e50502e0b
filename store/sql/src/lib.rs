//! Timestream's SQL dialect on DataFusion.
