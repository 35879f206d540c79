//! What a divergence is about: which table or index owns a differing page, and which rows lie on it.
//! For the report that users find concurrency bugs and bad disks by.

use crate::engine::{Connection, Failure, LocalError, Options};
use crate::page::{PAGE_SIZE, PageNumber};
use crate::page_store::Snapshot;
use crate::transaction::Value;
use std::collections::{BTreeMap, HashMap};

/// A differing page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageDetail {
    /// Its number.
    pub page: PageNumber,
    /// Table or index that owns it; none for a free page or one that does not exist in this version.
    pub owner: Option<String>,
    /// `leaf`, `internal` or `overflow`; `free` without an owner.
    pub kind: String,
    /// First and last rowid on it, for a leaf of a table.
    pub rowids: Option<(i64, i64)>,
}

/// Explains pages of one version of a database. Walks all of it: for reports, not for every day.
pub(super) fn explain(snapshot: &Snapshot, pages: &[PageNumber]) -> Result<Vec<PageDetail>, LocalError> {
    let mut connection = Connection::view(snapshot, Options::default())?;
    let rows = connection.query("SELECT pageno, name, pagetype FROM dbstat", &[]).map_err(Failure::into_local)?;
    let mut owners: HashMap<PageNumber, (String, String)> = HashMap::new();
    for row in rows {
        if let [Value::Integer(page), Value::Text(name), Value::Text(kind)] = row.as_slice() {
            owners.insert(*page as PageNumber, (name.to_string(), kind.to_string()));
        }
    }
    let explain_one = |page: &PageNumber| {
        let owner = owners.get(page);
        let rowids = snapshot.page(*page).ok().and_then(|bytes| {
            let rows = leaf_rows(&bytes, *page);
            Some((*rows.keys().next()?, *rows.keys().next_back()?))
        });
        PageDetail {
            page: *page,
            owner: owner.map(|(name, _)| name.clone()),
            kind: owner.map_or("free".into(), |(_, kind)| kind.clone()),
            rowids: rowids.filter(|_| owner.is_some_and(|(_, kind)| kind == "leaf")),
        }
    };
    Ok(pages.iter().map(explain_one).collect())
}

impl super::Replica {
    /// Which tables, indexes and rows some pages of a database belong to, in the newest version.
    ///
    /// # Errors
    /// [`LocalError`] if the database is not there or cannot be read.
    pub fn divergence_detail(&self, database: &str, pages: &[PageNumber]) -> Result<Vec<PageDetail>, LocalError> {
        let version = self.newest_version().databases.get(database);
        let version = version.ok_or_else(|| LocalError::internal(format!("no database {database}")))?;
        explain(&version.snapshot, pages)
    }
}

/// Rowids whose rows differ between two pages with this number, if both are leaves of a table.
pub fn differing_rows(ours: &[u8; PAGE_SIZE], theirs: &[u8; PAGE_SIZE], page: PageNumber) -> Vec<i64> {
    let (ours, theirs) = (leaf_rows(ours, page), leaf_rows(theirs, page));
    let mut rowids: Vec<i64> =
        ours.iter().filter(|(rowid, cell)| theirs.get(rowid) != Some(cell)).map(|(rowid, _)| *rowid).collect();
    rowids.extend(theirs.keys().filter(|rowid| !ours.contains_key(rowid)));
    rowids.sort_unstable();
    rowids
}

/// Rowids and the local bytes of their records, of a table's leaf; nothing for any other page. Bytes that
/// make no sense are passed over: damaged pages are what this is for.
fn leaf_rows(page: &[u8; PAGE_SIZE], number: PageNumber) -> BTreeMap<i64, &[u8]> {
    const TABLE_LEAF: u8 = 13;
    let header = if number == 1 { 100 } else { 0 };
    let mut rows = BTreeMap::new();
    if page[header] != TABLE_LEAF {
        return rows;
    }
    let cells = u16::from_be_bytes([page[header + 3], page[header + 4]]) as usize;
    for cell in 0..cells {
        let Some(pointer) = page.get(header + 8 + 2 * cell..header + 10 + 2 * cell) else { break };
        let start = u16::from_be_bytes([pointer[0], pointer[1]]) as usize;
        let Some(mut bytes) = page.get(start..) else { continue };
        let (Some(length), Some(rowid)) = (take_varint(&mut bytes), take_varint(&mut bytes)) else { continue };
        let local = (length as usize).min(bytes.len()).min(PAGE_SIZE - 35);
        rows.insert(rowid, &bytes[..local]);
    }
    rows
}

/// SQLite's variable-length integer: up to 8 bytes of 7 bits, big-endian, a ninth of 8.
fn take_varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0u64;
    for count in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if count == 8 {
            return Some((number << 8 | u64::from(*byte)) as i64);
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number as i64)
}
