//! Kills the running job again and again, and compares what it wrote with what it writes undisturbed.
//!
//! A [`campaign`] is one job from its first record to its last: the real binary on a generated
//! fleet with all faults, ended by SIGKILL at random moments or at a failpoint ([`kill`]), started
//! again with `--from latest` at another parallelism ([`life`]), until it has come to its end. Then
//! everything that it wrote ([`written`]), record by record, and its books must be what one run
//! that nobody disturbed has written. `bin chaos` runs as many campaigns as it takes.

pub mod campaign;
pub mod kill;
pub mod life;
pub mod settings;
pub mod written;
