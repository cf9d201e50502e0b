//! What all campaigns came to.

use std::{collections::BTreeMap, fmt};

use super::kill::failpoints;

/// Counts over all lives of all campaigns.
#[derive(Debug, Default)]
pub struct Figures {
    /// Kills at random moments.
    pub random: u64,
    /// How often each failpoint was where the job died.
    pub at: BTreeMap<&'static str, u64>,
    /// Lives that were to die at a failpoint and did not come by it. They were ended, and are not
    /// counted as kills.
    pub missed: u64,
    /// Jobs that came to their end.
    pub campaigns: u64,
    /// Lives.
    pub lives: u64,
    /// Of these, how many completed a new checkpoint. All others were killed while they started.
    pub with_progress: u64,
    /// Completed checkpoints.
    pub checkpoints: u64,
    /// Files that were visible at some kill.
    pub files: usize,
    /// What undisturbed runs have written.
    pub rows: Vec<String>,
}

impl Figures {
    /// Kills that did kill.
    pub fn kills(&self) -> u64 {
        self.random + self.at.values().sum::<u64>()
    }

    /// Whether every failpoint was where the job died at least once.
    pub fn all_failpoints_hit(&self) -> bool {
        failpoints().all(|name| self.at.contains_key(name))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: Vec<_> = self.at.iter().map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(
            f,
            "{} kills in {} campaigns: {} at random moments, at failpoints {}; {} failpoints not come by",
            self.kills(),
            self.campaigns,
            self.random,
            at.join(", "),
            self.missed
        )?;
        writeln!(
            f,
            "{} lives, {} of them with a new checkpoint, the others killed while they started; {} checkpoints",
            self.lives, self.with_progress, self.checkpoints
        )?;
        write!(
            f,
            "identical each time: {}; books equal, and equal to the rows; {} committed files never changed; no \
             restart, no pending file left",
            self.rows.join("; "),
            self.files
        )
    }
}
