//! Repair: pages that were fetched from peers take the place of wrong or damaged ones (rule 19).

use super::accepted::AcceptedState;
use super::database::Database;
use super::divergence::explain;
use super::{Replica, Version};
use crate::engine::LocalError;
use crate::page::{PageNumber, state_root};
use crate::page_store::Replacement;
use crate::token::Accepted;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a repair replaced, for the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Their numbers, database after database.
    pub pages: Vec<PageNumber>,
    /// Tables and indexes that own them, as `database.table`, with rows where they are known.
    pub tables: Vec<String>,
}

impl Replica {
    /// Becomes the accepted state: databases in `to` are made or get the replaced pages, others go. All
    /// versions are gone afterwards but this one.
    ///
    /// # Errors
    /// [`LocalError`] if the roots are not those of the accepted state (nothing is changed then), or a
    /// database's pages do not give its root (the repair must be tried again).
    pub fn install(&mut self, accepted: &Accepted, to: BTreeMap<String, Replacement>) -> Result<Replaced, LocalError> {
        let root = state_root(to.iter().map(|(name, database)| (name.as_str(), database.root)));
        if root != accepted.root {
            return Err(LocalError::internal(format!("the fetched databases have root {root}, not {}", accepted.root)));
        }
        self.databases.retain(|name, _| to.contains_key(&**name));
        let mut replaced: Vec<(String, PageNumber)> = Vec::new();
        for (name, Replacement { root, page_count, pages }) in to {
            replaced.extend(pages.iter().map(|(page, _)| (name.clone(), *page)));
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
        self.versions = VecDeque::from([Version::of(accepted, databases.clone())]);
        self.accepted.send_replace(Arc::new(AcceptedState { accepted: *accepted, databases }));
        let tables = self.owners(&replaced);
        Ok(Replaced { pages: replaced.into_iter().map(|(_, page)| page).collect(), tables })
    }

    /// Who owns these pages; what cannot be told is left out.
    fn owners(&self, pages: &[(String, PageNumber)]) -> Vec<String> {
        let mut owners: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for of_one in pages.chunk_by(|a, b| a.0 == b.0) {
            let numbers: Vec<PageNumber> = of_one.iter().map(|(_, page)| *page).collect();
            let Some(version) = self.newest_version().databases.get(of_one[0].0.as_str()) else { continue };
            for detail in explain(&version.snapshot, &numbers).unwrap_or_default() {
                let Some(owner) = detail.owner else { continue };
                let rows = owners.entry(format!("{}.{owner}", of_one[0].0)).or_insert((i64::MAX, i64::MIN));
                if let Some((first, last)) = detail.rowids {
                    *rows = (rows.0.min(first), rows.1.max(last));
                }
            }
        }
        let describe = |(owner, (first, last)): (String, (i64, i64))| match first <= last {
            true => format!("{owner} (rows {first} to {last})"),
            false => owner,
        };
        owners.into_iter().map(describe).collect()
    }
}
