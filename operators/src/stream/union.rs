//! `union`: several streams of one type as one. Watermarks merge by minimum.

use hurtig_engine::{Data, operator::OperatorFactory};

use super::{DataStream, Fused, Head};

impl<T, H, Op> DataStream<T, Fused<H, Op>>
where
    T: Data,
    H: Head,
    Op: OperatorFactory<H::Item, Out = T>,
{
    /// Both streams as one, in no particular order.
    pub fn union<H2, Op2>(self, other: DataStream<T, Fused<H2, Op2>>) -> DataStream<T>
    where
        H2: Head,
        Op2: OperatorFactory<H2::Item, Out = T>,
    {
        let mut both = self.shared();
        both.upstreams.extend(other.shared().upstreams);
        both
    }
}
