//! Kills the running job again and again, and compares what it wrote with what it writes undisturbed.
//!
//! A [`campaign`] is one job from its first record to its last: the real binary on a generated
//! fleet with all faults or on real meters, ended by SIGKILL at random moments or at a failpoint
//! ([`kill`]), started again with `--from latest` at another parallelism ([`life`]), until it has
//! come to its end. Every life but those that are killed while they start completes a checkpoint,
//! and what was visible at a kill stays as it was ([`visible`]). In the end everything that was
//! [`written`], record by record, and the books must be what one run that nobody disturbed has
//! written. `bin chaos` runs as many campaigns as it takes.

pub mod campaign;
pub mod figures;
pub mod kill;
pub mod life;
pub mod settings;
pub mod visible;
pub mod written;
