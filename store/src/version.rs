//! Which of two records with the same dimensions, measure name and time is kept: Timestream's rule of versions
//! ("Upserting data", Timestream Developer Guide).
//!
//! | new version | same value | another value |
//! |---|---|---|
//! | higher | kept, the version rises | kept, the value is replaced |
//! | equal | taken, nothing changes | rejected |
//! | lower | rejected | rejected |

use std::cmp::Ordering;

/// What is to be done with the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the old one's place.
    Replace,
    /// It is the old one.
    Same,
    /// It is rejected, for this reason.
    Reject(String),
}

/// Judges a record of version `new` where one of version `old` is.
pub fn judge(old: u64, new: u64, same_value: bool) -> Verdict {
    match new.cmp(&old) {
        Ordering::Greater => Verdict::Replace,
        Ordering::Equal if same_value => Verdict::Same,
        Ordering::Equal => Verdict::Reject(
            "A record already exists with the same time, dimensions, measure name, and record version. A higher record \
             version must be specified in order to update the measure value. Specifying record version is supported by \
             the latest SDKs."
                .into(),
        ),
        Ordering::Less => Verdict::Reject(format!(
            "The record version {new} is lower than the existing version {old}. A higher version is required to update \
             the measure value."
        )),
    }
}
