//! Rules that change while the server runs: read again when their files change; mistakes keep the old ones in force.

use super::{RulesError, RulesFile, parse, paths, read_files};
use crate::mixer::rules::RuleSet;
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The rules in force, for those who use them; cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct SharedRules(Arc<RwLock<Arc<RuleSet>>>);

impl SharedRules {
    /// The rules of this moment. They never change; take them once for each batch.
    pub fn load(&self) -> Arc<RuleSet> {
        self.0.read().clone()
    }

    /// Puts the rules of a text in force, for tests of those who use them.
    #[cfg(test)]
    pub(crate) fn set(&self, text: &str) {
        let file = RulesFile { name: "rules.toml".into(), text: text.into() };
        *self.0.write() = Arc::new(parse(&[file], None).rules.expect("sound rules"));
    }
}

/// Within this time after a file's last change another one may leave the same time on it.
const UNCERTAIN: Duration = Duration::from_secs(2);

/// When a file changed, and its length.
type Stamp = (PathBuf, SystemTime, u64);

/// Watches a directory (or one file) of rules. It does nothing by itself: somebody calls [`RulesWatcher::poll`], once a
/// second or so, off the threads that serve.
#[derive(Debug)]
pub struct RulesWatcher {
    path: PathBuf,
    rules: SharedRules,
    stamps: Vec<Stamp>,
    /// What was read last, whether it was right or wrong.
    files: Option<Vec<RulesFile>>,
    /// A file was so young when it was read that a later change may not show in its stamp.
    is_uncertain: bool,
    /// What the last poll failed with, so that it is told once.
    failure: Option<String>,
}

/// What a poll found.
#[derive(Debug)]
pub enum Polled {
    /// Nothing new.
    Unchanged,
    /// Other rules are in force now.
    Reloaded,
    /// The files changed, but cannot be used; the old rules stay in force. Told once for each change.
    Kept(RulesError),
}

impl RulesWatcher {
    /// Reads the rules for the first time.
    ///
    /// # Errors
    /// What cannot be read, or the first mistake in it.
    pub fn open(path: &Path) -> Result<RulesWatcher, RulesError> {
        let mut watcher = RulesWatcher {
            path: path.into(),
            rules: SharedRules::default(),
            stamps: Vec::new(),
            files: None,
            is_uncertain: true,
            failure: None,
        };
        watcher.read_again()?;
        Ok(watcher)
    }

    /// The rules in force, now and later.
    pub fn rules(&self) -> SharedRules {
        self.rules.clone()
    }

    /// Looks whether the files changed; reads them if so. Costs a `stat` for each file. Logs one sentence for each
    /// change.
    pub fn poll(&mut self) -> Polled {
        match self.read_again() {
            Ok(changed) => {
                self.failure = None;
                if !changed {
                    return Polled::Unchanged;
                }
                tracing::info!(rules = self.rules.load().len(), "rules were reloaded from {}", self.path.display());
                Polled::Reloaded
            }
            Err(error) => {
                let words = Some(error.to_string());
                if self.failure == words {
                    return Polled::Unchanged;
                }
                self.failure = words;
                tracing::warn!("rules were not reloaded, the old ones stay in force: {error}");
                Polled::Kept(error)
            }
        }
    }

    /// Whether other rules are in force now.
    fn read_again(&mut self) -> Result<bool, RulesError> {
        let stamps = stamps(&self.path)?;
        if stamps == self.stamps && !self.is_uncertain {
            return Ok(false);
        }
        let now = SystemTime::now();
        let files = read_files(&self.path)?;
        // A change in the future is as uncertain as a young one.
        let is_old = |(_, changed, _): &Stamp| now.duration_since(*changed).is_ok_and(|age| age >= UNCERTAIN);
        self.is_uncertain = !stamps.iter().all(is_old);
        self.stamps = stamps;
        if self.files.as_ref() == Some(&files) {
            return Ok(false);
        }
        let reading = parse(&files, None);
        self.files = Some(files);
        if let Some(error) = reading.error() {
            return Err(RulesError::Wrong(error.clone()));
        }
        for finding in &reading.findings {
            tracing::warn!("{finding}");
        }
        *self.rules.0.write() = Arc::new(reading.rules.unwrap_or_default());
        Ok(true)
    }
}

fn stamps(path: &Path) -> Result<Vec<Stamp>, RulesError> {
    let stamp = |path: PathBuf| {
        let unreadable =
            |error: std::io::Error| RulesError::Unreadable { path: path.clone(), reason: error.to_string() };
        let metadata = std::fs::metadata(&path).map_err(unreadable)?;
        let changed = metadata.modified().map_err(unreadable)?;
        Ok((path.clone(), changed, metadata.len()))
    };
    paths(path)?.into_iter().map(stamp).collect()
}
