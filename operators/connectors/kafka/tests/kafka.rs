//! What can be said without a broker. What needs one is in the whole-job tests, which start the real one.

#[path = "kafka/epochs.rs"]
mod epochs;
#[path = "kafka/messages.rs"]
mod messages;
#[path = "kafka/mock.rs"]
mod mock;
#[path = "kafka/options.rs"]
mod options;
#[path = "kafka/owner.rs"]
mod owner;
