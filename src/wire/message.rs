//! Backend messages that every statement sends, encoded by hand straight into the send buffer.
//!
//! Rare ones (start-up, authentication, errors) go through pgwire's codecs; these are written so often
//! that building a value first would cost more than the statement.

use bytes::{BufMut, BytesMut};

/// Starts a message of unknown length; [`end`] fills the length in.
#[inline]
pub fn begin(buffer: &mut BytesMut, tag: u8) -> usize {
    buffer.put_u8(tag);
    let at = buffer.len();
    buffer.put_i32(0);
    at
}

/// Ends the message that [`begin`] started at `at`.
#[inline]
pub fn end(buffer: &mut BytesMut, at: usize) {
    let length = (buffer.len() - at) as i32;
    buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// ParseComplete.
#[inline]
pub fn parse_complete(buffer: &mut BytesMut) {
    buffer.put_slice(&[b'1', 0, 0, 0, 4]);
}

/// BindComplete.
#[inline]
pub fn bind_complete(buffer: &mut BytesMut) {
    buffer.put_slice(&[b'2', 0, 0, 0, 4]);
}

/// CloseComplete.
#[inline]
pub fn close_complete(buffer: &mut BytesMut) {
    buffer.put_slice(&[b'3', 0, 0, 0, 4]);
}

/// NoData: the statement described has no rows.
#[inline]
pub fn no_data(buffer: &mut BytesMut) {
    buffer.put_slice(&[b'n', 0, 0, 0, 4]);
}

/// PortalSuspended: Execute stopped at its row limit.
#[inline]
pub fn portal_suspended(buffer: &mut BytesMut) {
    buffer.put_slice(&[b's', 0, 0, 0, 4]);
}

/// EmptyQueryResponse.
#[inline]
pub fn empty_query(buffer: &mut BytesMut) {
    buffer.put_slice(&[b'I', 0, 0, 0, 4]);
}

/// ReadyForQuery with the transaction's status: `I`, `T` or `E`.
#[inline]
pub fn ready_for_query(buffer: &mut BytesMut, status: u8) {
    buffer.put_slice(&[b'Z', 0, 0, 0, 5, status]);
}

/// CommandComplete with a tag that needs no number.
#[inline]
pub fn command_complete(buffer: &mut BytesMut, tag: &str) {
    buffer.put_u8(b'C');
    buffer.put_i32(tag.len() as i32 + 5);
    buffer.put_slice(tag.as_bytes());
    buffer.put_u8(0);
}

/// CommandComplete `prefix count`, as in `SELECT 3` or `INSERT 0 1` (whose prefix is `INSERT 0`).
#[inline]
pub fn command_complete_count(buffer: &mut BytesMut, prefix: &str, count: u64) {
    let at = begin(buffer, b'C');
    buffer.put_slice(prefix.as_bytes());
    buffer.put_u8(b' ');
    put_decimal(buffer, count);
    buffer.put_u8(0);
    end(buffer, at);
}

/// Decimal digits of a number.
fn put_decimal(buffer: &mut BytesMut, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    buffer.put_slice(&digits[at..]);
}

/// ParameterDescription: the type OIDs of a statement's parameters.
pub fn parameter_description(buffer: &mut BytesMut, oids: impl ExactSizeIterator<Item = u32>) {
    let at = begin(buffer, b't');
    buffer.put_u16(oids.len() as u16);
    for oid in oids {
        buffer.put_u32(oid);
    }
    end(buffer, at);
}

/// One column in a RowDescription.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDescription<'a> {
    /// Name that the client sees.
    pub name: &'a str,
    /// OID of the table that it comes from unchanged, or 0.
    pub table_oid: u32,
    /// Its number there, from 1, or 0.
    pub column_number: i16,
    /// OID of its type.
    pub type_oid: u32,
    /// Bytes of the type, negative if they vary.
    pub type_length: i16,
    /// Type modifier, -1 for none.
    pub type_modifier: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// RowDescription.
pub fn row_description<'a>(buffer: &mut BytesMut, columns: impl ExactSizeIterator<Item = ColumnDescription<'a>>) {
    let at = begin(buffer, b'T');
    buffer.put_u16(columns.len() as u16);
    for column in columns {
        buffer.put_slice(column.name.as_bytes());
        buffer.put_u8(0);
        buffer.put_u32(column.table_oid);
        buffer.put_i16(column.column_number);
        buffer.put_u32(column.type_oid);
        buffer.put_i16(column.type_length);
        buffer.put_i32(column.type_modifier);
        buffer.put_i16(column.format);
    }
    end(buffer, at);
}

/// NotificationResponse.
pub fn notification(buffer: &mut BytesMut, process: i32, channel: &str, payload: &str) {
    let at = begin(buffer, b'A');
    buffer.put_i32(process);
    for text in [channel, payload] {
        buffer.put_slice(text.as_bytes());
        buffer.put_u8(0);
    }
    end(buffer, at);
}

/// ParameterStatus: a setting that clients track has this value now.
pub fn parameter_status(buffer: &mut BytesMut, name: &str, value: &str) {
    let at = begin(buffer, b'S');
    for text in [name, value] {
        buffer.put_slice(text.as_bytes());
        buffer.put_u8(0);
    }
    end(buffer, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_tags_carry_length_digits_and_a_final_zero() {
        let mut buffer = BytesMut::new();
        command_complete_count(&mut buffer, "INSERT 0", 1_205);
        assert_eq!(&buffer[..], b"C\0\0\0\x12INSERT 0 1205\0");
        buffer.clear();
        command_complete_count(&mut buffer, "SELECT", 0);
        assert_eq!(&buffer[..], b"C\0\0\0\x0dSELECT 0\0");
        buffer.clear();
        command_complete(&mut buffer, "BEGIN");
        assert_eq!(&buffer[..], b"C\0\0\0\x0aBEGIN\0");
    }
}
