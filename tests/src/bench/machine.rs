//! What a figure was measured on.

use std::fmt;

/// Cores and their make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// How many cores this process may use.
    pub cores: usize,
    /// What they call themselves.
    pub model: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Machine { cores: std::thread::available_parallelism().map_or(1, usize::from), model: model(&cpus) }
    }
}

fn model(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split_once(':'));
    model.map_or_else(|| format!("unknown {}", std::env::consts::ARCH), |(_, model)| model.trim().to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores, {}", self.cores, self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert!(model("").starts_with("unknown "));
        assert!(Machine::this().cores > 0);
    }
}
