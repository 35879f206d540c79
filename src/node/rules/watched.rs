//! The thread of `serve` that polls the rules.

use super::{RulesError, RulesWatcher, SharedRules};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at the files.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Rules that follow their files until this is dropped.
#[derive(Debug)]
pub struct WatchedRules {
    rules: SharedRules,
    thread: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl WatchedRules {
    /// Reads the rules and starts to watch their files.
    ///
    /// # Errors
    /// What cannot be read, the first mistake in it, or that there is no thread.
    pub fn start(path: &Path) -> Result<WatchedRules, RulesError> {
        WatchedRules::start_polling(path, POLL_INTERVAL)
    }

    pub(super) fn start_polling(path: &Path, interval: Duration) -> Result<WatchedRules, RulesError> {
        let mut watcher = RulesWatcher::open(path)?;
        let rules = watcher.rules();
        let (stop, stopped) = mpsc::channel();
        let poll = move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                watcher.poll();
            }
        };
        let thread = std::thread::Builder::new()
            .name("rules".into())
            .spawn(poll)
            .map_err(|e| RulesError::Unreadable { path: path.into(), reason: e.to_string() })?;
        Ok(WatchedRules { rules, thread: Some((stop, thread)) })
    }

    /// The rules in force, now and later.
    pub fn rules(&self) -> SharedRules {
        self.rules.clone()
    }
}

impl Drop for WatchedRules {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
