//! What goes together.

/// What is delivered at once.
pub trait Batch: Send + 'static {
    /// Counted from 0: the seed of what is random about it.
    fn number(&self) -> u64;

    /// Of every item the number of the value that it was made of.
    fn values(&self) -> impl Iterator<Item = u64>;
}

/// The items that are to be sent: what may go together, in which order, and how much at once.
pub trait BatchQueue: Send + 'static {
    /// What it gives.
    type Batch: Batch;

    /// What has come so far goes without waiting for more.
    fn force(&mut self);

    /// The next batch that may be sent now, counted as under way until it is [`answered`](Self::answered).
    fn next_batch(&mut self) -> Option<Self::Batch>;

    /// A batch has its answers: what has waited for it may go.
    fn answered(&mut self, batch: &Self::Batch);

    /// Batches under way.
    fn in_flight(&self) -> usize;
}
