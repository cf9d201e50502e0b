//! `hurtig lake`: the lake's tables, looked after and made known to others.

#[cfg(feature = "delta")]
mod compact;
mod ddl;
mod partitions;

use clap::{Args, Subcommand};

use super::Failure;

/// The lake's tables: their DDL for others, their partitions, their files.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct LakeCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the DDL of the tables that the smart-meter job writes
    #[command(after_help = ddl::DDL)]
    Ddl(ddl::DdlOptions),
    /// Make small files large ones, remove repeats and what nobody needs any more, as a running job does by itself
    #[cfg(feature = "delta")]
    #[command(after_help = compact::COMPACT)]
    Compact(compact::CompactOptions),
    /// List the tables' partitions: files, rows, and how many of them came late
    #[command(after_help = partitions::PARTITIONS)]
    Partitions(partitions::PartitionsOptions),
}

impl LakeCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        match &self.command {
            Command::Ddl(options) => options.run(),
            #[cfg(feature = "delta")]
            Command::Compact(options) => options.run(),
            Command::Partitions(options) => options.run(),
        }
    }
}
