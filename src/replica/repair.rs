//! Repair: pages that were fetched from peers take the place of wrong or damaged ones (rule 19).

use super::Replica;
use super::database::Database;
use super::divergence::differences;
use crate::engine::LocalError;
use crate::page::{PageNumber, state_root};
use crate::page_store::{Replacement, Snapshot};
use crate::token::Accepted;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a repair replaced, for the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Their numbers, database after database.
    pub pages: Vec<PageNumber>,
    /// Tables and indexes that own them, as `database.table`.
    pub tables: Vec<String>,
    /// Rows that are other ones now or were not there on one side, as `database.table rowid 7`, where that is known.
    pub rows: Vec<String>,
}

/// Rows named for one repair.
const ROWS_NAMED_MAX: usize = 100;

impl Replica {
    /// Becomes the accepted state: databases in `to` are made or get the replaced pages, others go. All
    /// versions are gone afterwards but this one. What was replaced is told if `parts` are given: the pages that
    /// [`Replica::install_part`] took in before. Rows are told where there are none.
    ///
    /// # Errors
    /// [`LocalError`] if the roots are not those of the accepted state (nothing is changed then), or a
    /// database's pages do not give its root (the repair must be tried again).
    pub fn install(
        &mut self,
        accepted: &Accepted,
        to: BTreeMap<String, Replacement>,
        parts: Option<BTreeMap<String, Vec<PageNumber>>>,
    ) -> Result<Replaced, LocalError> {
        let root = state_root(to.iter().map(|(name, database)| (name.as_str(), database.root)));
        if root != accepted.root {
            return Err(LocalError::internal(format!("the fetched databases have root {root}, not {}", accepted.root)));
        }
        // With parts in it, it is the state before no more.
        let before: BTreeMap<String, Snapshot> = match &parts {
            Some(parts) if parts.is_empty() => self.newest_snapshots().into_iter().collect(),
            _ => BTreeMap::new(),
        };
        self.databases.retain(|name, _| to.contains_key(&**name));
        let mut replaced: BTreeMap<String, Vec<PageNumber>> = BTreeMap::new();
        for (name, Replacement { root, page_count, pages }) in to {
            replaced.insert(name.clone(), pages.iter().map(|(page, _)| *page).collect());
            let known = match self.databases.get_mut(name.as_str()) {
                Some(known) => known,
                None => {
                    let store = self.options.new_store(&name)?;
                    store.install(&store.head(), &pages, page_count, root)?;
                    let database = Database::over(&store.head(), &self.options)?;
                    self.databases.insert(name.into(), database);
                    continue;
                }
            };
            known.install(&pages, page_count, root, &self.options)?;
        }
        let databases = self.current()?;
        self.begin_at(*accepted, databases);
        let Some(parts) = parts else { return Ok(Replaced::default()) };
        for (name, mut pages) in parts {
            pages.append(replaced.entry(name.clone()).or_default());
            replaced.insert(name, pages);
        }
        Ok(self.tell(&before, replaced))
    }

    /// Takes in a part of what [`Replica::install`] needs, so that it need not be held in memory until all is there. The
    /// state that this replica had is gone afterwards: nobody may be answered before the rest is installed (the caller
    /// sees to it).
    ///
    /// # Errors
    /// [`LocalError`] if a page of the old tree cannot be read, or there is no room.
    pub fn install_part(&mut self, part: BTreeMap<String, Replacement>) -> Result<(), LocalError> {
        let mut versions = self.newest_version().databases.clone();
        for (name, Replacement { page_count, pages, .. }) in part {
            let name: Arc<str> = name.into();
            if !self.databases.contains_key(&name) {
                let store = self.options.new_store(&name)?;
                self.databases.insert(name.clone(), Database::unread(&store.head(), &self.options)?);
            }
            if let Some(database) = self.databases.get_mut(&name) {
                versions.insert(name, database.install_part(&pages, page_count)?);
            }
        }
        self.begin_at(self.newest(), versions);
        Ok(())
    }

    /// What was replaced, in words.
    fn tell(&self, before: &BTreeMap<String, Snapshot>, replaced: BTreeMap<String, Vec<PageNumber>>) -> Replaced {
        let mut told = Replaced::default();
        for (name, pages) in replaced.into_iter().filter(|(_, pages)| !pages.is_empty()) {
            let Some(version) = self.newest_version().databases.get(name.as_str()) else { continue };
            let found = differences(before.get(&name), &version.snapshot, &pages);
            told.pages.extend(pages);
            told.tables.extend(found.owners.iter().map(|owner| format!("{name}.{owner}")));
            told.rows.extend(found.rows.iter().map(|(table, rowid)| format!("{name}.{table} rowid {rowid}")));
        }
        told.rows.truncate(ROWS_NAMED_MAX);
        told
    }
}
