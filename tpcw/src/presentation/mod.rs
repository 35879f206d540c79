//! What results have in common where they are shown: where they come from, plots, pages.

pub(crate) mod drawing;
pub(crate) mod page;

use serde::{Deserialize, Serialize};

/// Where results come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// When, as seconds since 1970.
    pub began_at: u64,
    /// What was typed.
    pub command: String,
    /// Processor, cores and memory.
    pub machine: String,
}

impl Origin {
    /// This machine, now.
    pub fn here(command: String) -> Self {
        let began_at = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        Origin { began_at, command, machine: machine() }
    }
}

/// As the system tells.
fn machine() -> String {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let after = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.starts_with(word)).and_then(|line| line.split_once(':'));
        line.map(|(_, value)| value.trim().to_string()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kib: u64 =
        after(&read("/proc/meminfo"), "MemTotal").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    format!(
        "{cores} cores ({}), {:.0} GiB of memory",
        after(&read("/proc/cpuinfo"), "model name"),
        kib as f64 / 1048576.0
    )
}
