//! Rows and keys as they stand on SQLite's pages, without a connection: for comparing versions page by page.
//!
//! Whose a page is does not stand on it.

use crate::page::{PAGE_SIZE, PageNumber};

const INDEX_INTERIOR: u8 = 2;
const INDEX_LEAF: u8 = 10;
const TABLE_LEAF: u8 = 13;

/// Rowids and the local bytes of their records, of a table's leaf; nothing for any other page. Ends before bytes that
/// make no sense: damaged pages are what this is for.
pub(super) fn leaf_rows(page: &[u8; PAGE_SIZE], number: PageNumber) -> Vec<(i64, &[u8])> {
    let header = header_of(number);
    if page[header] != TABLE_LEAF {
        return Vec::new();
    }
    (0..cell_count(page, header)).map_while(|cell| leaf_row(page, header + 8 + 2 * cell)).collect()
}

/// The local bytes of the records of an index, or of a table without rowids, that are on this page; nothing for any
/// other page.
pub(super) fn index_records(page: &[u8; PAGE_SIZE], number: PageNumber) -> Vec<&[u8]> {
    let header = header_of(number);
    // Where the cell pointers begin, and the number of a child that stands before each record.
    let (pointers, child) = match page[header] {
        INDEX_LEAF => (header + 8, 0),
        INDEX_INTERIOR => (header + 12, 4),
        _ => return Vec::new(),
    };
    let count = cell_count(page, header);
    (0..count).map_while(|cell| index_record(page, pointers + 2 * cell, child)).collect()
}

/// Page 1 begins with the file's header.
fn header_of(number: PageNumber) -> usize {
    if number == 1 { 100 } else { 0 }
}

fn cell_count(page: &[u8; PAGE_SIZE], header: usize) -> usize {
    u16::from_be_bytes([page[header + 3], page[header + 4]]) as usize
}

/// The row that a cell pointer at this place leads to.
fn leaf_row(page: &[u8; PAGE_SIZE], pointer: usize) -> Option<(i64, &[u8])> {
    let start = page.get(pointer..pointer + 2)?;
    let mut bytes = page.get(u16::from_be_bytes([start[0], start[1]]) as usize..)?;
    let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
    let rowid = take_varint(&mut bytes)?;
    Some((rowid, bytes.get(..local_bytes(length, PAGE_SIZE - 35))?))
}

/// The record that a cell pointer at this place leads to, behind so many bytes for a child.
fn index_record(page: &[u8; PAGE_SIZE], pointer: usize, child: usize) -> Option<&[u8]> {
    let start = page.get(pointer..pointer + 2)?;
    let mut bytes = page.get(u16::from_be_bytes([start[0], start[1]]) as usize + child..)?;
    let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
    bytes.get(..local_bytes(length, (PAGE_SIZE - 12) * 64 / 255 - 23))
}

/// How much of a record of this length is on the page itself, where a page takes at most `max` (SQLite's file format,
/// 1.6).
fn local_bytes(length: usize, max: usize) -> usize {
    const MIN: usize = (PAGE_SIZE - 12) * 32 / 255 - 23;
    if length <= max {
        return length;
    }
    let local = MIN + (length - MIN) % (PAGE_SIZE - 4);
    if local <= max { local } else { MIN }
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
