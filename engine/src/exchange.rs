//! Between chains: channels, outlets that write into them, gates that read from them.

pub mod channel;
pub mod gate;
pub mod outlet;

pub use channel::{ByteBudget, Control, Receiver, Sender, channel};
pub use gate::{GateEvent, InputGate};
pub use outlet::{EdgeSenders, ForwardOutlet, KeyedOutlet, NoOutlet, Outlet};
