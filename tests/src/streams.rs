//! The smart-meter job on real streams, while everything is done to them that is done to streams.
//!
//! One thread is the [`world`]: it puts readings on a stream and then splits and merges it, adds
//! partitions, restarts the server, changes what the proxy does. Meanwhile the real binary reads the
//! stream and is killed with SIGKILL again and again, and started from its latest checkpoint at another
//! parallelism ([`lives`]). In the end everything that it wrote must be what the [`fleet`] has sent:
//! each reading once, and every keyed result exact. [`kinesis`] and [`kafka`] are the two worlds there
//! are. [`ingest`] is the other direction: a large file into a stream that live traffic is on.
//! `bin streams` is the command line.

pub mod autoscale;
pub mod fleet;
pub mod ingest;
pub mod kafka;
pub mod kinesis;
pub mod lives;
pub mod settings;
pub mod world;

use anyhow::Result;

use self::{
    lives::in_directory,
    settings::{Case, Settings},
};

/// Runs every case that `settings` name. `say` is told what happens.
pub fn run(settings: &Settings, mut say: impl FnMut(&str)) -> Result<()> {
    for case in &settings.cases {
        let name = format!("{case:?}").to_lowercase();
        let size = match case {
            Case::Ingest => format!("a file of {} MB", settings.file_megabytes),
            Case::Autoscale => "10 shards, a load that climbs to 18 MB/s".to_owned(),
            _ => format!("about {} readings", settings.readings),
        };
        say(&format!("{name}: {size}, seed {}", settings.seed));
        in_directory(settings.dir.as_deref(), &name, |dir| match case {
            Case::Kafka => kafka::run(settings, dir, &mut say),
            Case::Ingest => ingest::run(settings, dir, &mut say),
            Case::Autoscale => autoscale::run(settings, &mut say),
            Case::Kinesis | Case::Kinesalite => kinesis::run(*case, settings, dir, &mut say),
        })?;
    }
    Ok(())
}
