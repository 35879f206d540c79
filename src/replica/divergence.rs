//! What a divergence is about: which tables and indexes own the pages that a repair replaced, and which rows of
//! them differed. For the report that users find concurrency bugs and bad disks by.

use super::cells::leaf_rows;
use super::once::Once;
use crate::engine::{Connection, Failure, LocalError, Options};
use crate::page::PageNumber;
use crate::page_store::Snapshot;
use crate::transaction::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows are compared where a repair replaced at most so many pages of a database: more is no difference in some rows,
/// but a node that was away.
const PAGES_COMPARED_MAX: usize = 1_024;

/// A page and who owns it.
struct PageDetail {
    page: PageNumber,
    /// Table or index.
    owner: String,
    /// Of an overflow page of a table: the row whose record goes on there, and its place in that row's chain.
    overflow: Option<(i64, u32)>,
}

/// Rows by table and rowid: the parts of a record on the pages that were looked at, by their place in it.
type Rows = BTreeMap<(String, i64), BTreeMap<u32, Vec<u8>>>;

/// Tables and indexes by name; rows by table and rowid.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    pub owners: BTreeSet<String>,
    pub rows: BTreeSet<(String, i64)>,
}

/// What replacing these pages changed in a database. What cannot be told is left out: rows of indexes, and
/// all rows of a version that cannot be read.
pub(super) fn differences(old: Option<&Snapshot>, new: &Snapshot, pages: &[PageNumber]) -> Differences {
    let details = explain(new, pages).unwrap_or_default();
    let owners = details.iter().map(|detail| detail.owner.clone()).collect();
    let rows = match old {
        Some(old) if pages.len() <= PAGES_COMPARED_MAX => differing_rows(old, new, pages, &details),
        _ => BTreeSet::new(),
    };
    Differences { owners, rows }
}

/// Rows that are in one version only, or not the same in both. Over all pages at once: a row that only moved from one
/// to another is the same.
fn differing_rows(
    old: &Snapshot,
    new: &Snapshot,
    pages: &[PageNumber],
    new_details: &[PageDetail],
) -> BTreeSet<(String, i64)> {
    // Rows may have been on pages that are gone.
    let old_pages: Vec<PageNumber> = pages.iter().copied().chain(new.page_count() + 1..=old.page_count()).collect();
    let old_details = explain(old, &old_pages);
    let old_rows = rows_on(old, old_details.as_deref().unwrap_or(new_details));
    let new_rows = rows_on(new, new_details);
    let (in_old, in_new) = (old_rows.keys(), new_rows.keys());
    in_old.chain(in_new).filter(|row| old_rows.get(row) != new_rows.get(row)).cloned().collect()
}

/// The rows on these pages.
fn rows_on(snapshot: &Snapshot, details: &[PageDetail]) -> Rows {
    let mut rows = Rows::new();
    // Which transactions were executed is no row of anybody's.
    for PageDetail { page, owner, overflow } in details.iter().filter(|detail| detail.owner != Once::TABLE) {
        let Ok(bytes) = snapshot.page(*page) else { continue };
        let mut note = |rowid: i64, place: u32, part: &[u8]| {
            rows.entry((owner.clone(), rowid)).or_default().insert(place, part.to_vec());
        };
        match overflow {
            // Behind the number of the next page, which says nothing of the row.
            Some((rowid, place)) => note(*rowid, place + 1, &bytes[4..]),
            None => leaf_rows(&bytes, *page).into_iter().for_each(|(rowid, local)| note(rowid, 0, local)),
        }
    }
    rows
}

/// Who owns these pages in one version of a database; pages that nobody does are left out. Walks all of it: for
/// reports, not for every day.
fn explain(snapshot: &Snapshot, pages: &[PageNumber]) -> Result<Vec<PageDetail>, LocalError> {
    let mut connection = Connection::view(snapshot, Options::default())?;
    let rows = connection.query("SELECT pageno, name, path FROM dbstat", &[]).map_err(Failure::into_local)?;
    let (mut places, mut numbers) = (HashMap::new(), HashMap::new());
    for row in &rows {
        if let [Value::Integer(page), Value::Text(name), Value::Text(path)] = row.as_slice() {
            places.insert(*page as PageNumber, (&**name, &**path));
            numbers.insert((&**name, &**path), *page as PageNumber);
        }
    }
    let detail = |page: &PageNumber| {
        let (owner, path) = *places.get(page)?;
        let overflow = overflow_place(path).and_then(|(leaf, cell, place)| {
            let number = *numbers.get(&(owner, leaf.as_str()))?;
            let bytes = snapshot.page(number).ok()?;
            Some((leaf_rows(&bytes, number).get(cell)?.0, place))
        });
        Some(PageDetail { page: *page, owner: owner.to_string(), overflow })
    };
    Ok(pages.iter().filter_map(detail).collect())
}

/// What dbstat's path says of an overflow page, as `/000/001+000002`: the path of its leaf, the cell, and the place in
/// the chain.
fn overflow_place(path: &str) -> Option<(String, usize, u32)> {
    let (cell, place) = path.rsplit_once('+')?;
    let (leaf, cell) = cell.rsplit_once('/')?;
    Some((format!("{leaf}/"), usize::from_str_radix(cell, 16).ok()?, u32::from_str_radix(place, 16).ok()?))
}
