//! The embedded time-series store that speaks Timestream's API.
