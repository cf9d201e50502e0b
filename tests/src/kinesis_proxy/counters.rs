//! What the proxy has done.

/// How often what has happened since the proxy's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls of any operation.
    pub calls: u64,
    /// Records that the server has taken, also those whose answer was cut off.
    pub records_in: u64,
    /// Their bytes, keys included.
    pub bytes_in: u64,
    /// Records given by GetRecords.
    pub records_out: u64,
    /// Records refused with `ProvisionedThroughputExceededException`.
    pub throttled_records: u64,
    /// Records refused with `InternalFailure`.
    pub internal_failures: u64,
    /// Calls of GetRecords and GetShardIterator refused with `ProvisionedThroughputExceededException`.
    pub throttled_reads: u64,
    /// Calls of GetRecords refused with `ExpiredIteratorException`.
    pub expired_iterators: u64,
    /// Calls of SubscribeToShard refused with `ResourceInUseException`.
    pub subscribed_too_soon: u64,
    /// Calls refused because more was asked than AWS takes at once.
    pub too_much: u64,
    /// Calls that ended with status 500.
    pub server_errors: u64,
    /// Connections cut before the server has seen what was asked.
    pub cut_before: u64,
    /// Connections cut when the server had done it.
    pub cut_after: u64,
    /// Calls that the server did not answer, as while it is restarted: the client's connection is cut.
    pub unanswered: u64,
}
