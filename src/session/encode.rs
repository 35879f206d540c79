//! Rows to the client: DataRow and COPY lines, written straight from where SQLite keeps the values.

use crate::dialect::codec::{TextStyle, encode_binary, encode_text};
use crate::dialect::{CopyFormat, OutputColumn};
use crate::transaction::{SqlError, ValueRef};
use crate::wire::message::{self, ColumnDescription};
use bytes::{BufMut, BytesMut};
use std::cell::Cell;

/// Result formats as Bind gives them: none means text, one is for all columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Formats {
    /// All text.
    #[default]
    Text,
    /// All binary.
    Binary,
    /// Column by column; true is binary.
    Each(Box<[bool]>),
}

impl Formats {
    /// Whether this column is sent in binary.
    #[inline]
    pub fn is_binary(&self, column: usize) -> bool {
        match self {
            Formats::Text => false,
            Formats::Binary => true,
            Formats::Each(each) => each.get(column).copied().unwrap_or(false),
        }
    }
}

/// A COPY TO STDOUT under way.
pub struct CopyOut<'a> {
    format: &'a CopyFormat,
    /// In binary, what COPY begins with shares a message with the first row, as from PostgreSQL: psycopg takes each
    /// message for a row.
    begun: Cell<bool>,
}

impl<'a> CopyOut<'a> {
    /// One that has sent nothing.
    pub fn new(format: &'a CopyFormat) -> CopyOut<'a> {
        CopyOut { format, begun: Cell::new(false) }
    }

    /// Begins a message with a row or the end of a binary COPY.
    fn begin(&self, buffer: &mut BytesMut) -> usize {
        let at = message::begin(buffer, b'd');
        if !self.begun.replace(true) {
            buffer.put_slice(b"PGCOPY\n\xff\r\n\0");
            buffer.put_u64(0);
        }
        at
    }
}

/// How the rows of one result are written.
pub struct RowWriter<'a> {
    /// Columns with their types.
    pub columns: &'a [OutputColumn],
    /// DataRow formats.
    pub formats: &'a Formats,
    /// How texts are written.
    pub style: &'a TextStyle,
    /// COPY lines instead of DataRows.
    pub copy: Option<CopyOut<'a>>,
}

impl RowWriter<'_> {
    /// RowDescription, or CopyOutResponse and what COPY begins with.
    pub fn head(&self, buffer: &mut BytesMut) {
        match &self.copy {
            None => message::row_description(
                buffer,
                self.columns.iter().enumerate().map(|(at, column)| describe(column, self.formats.is_binary(at))),
            ),
            Some(copy) => self.copy_head(buffer, copy.format),
        }
    }

    fn copy_head(&self, buffer: &mut BytesMut, format: &CopyFormat) {
        copy_response(buffer, b'H', format.binary, self.columns.len());
        if format.header && !format.binary {
            let at = message::begin(buffer, b'd');
            for (number, column) in self.columns.iter().enumerate() {
                if number > 0 {
                    buffer.put_u8(format.delimiter);
                }
                copy_field(buffer, column.name.as_bytes(), format, false);
            }
            buffer.put_u8(b'\n');
            message::end(buffer, at);
        }
    }

    /// What COPY ends with.
    pub fn tail(&self, buffer: &mut BytesMut) {
        if let Some(copy) = &self.copy {
            if copy.format.binary {
                let at = copy.begin(buffer);
                buffer.put_i16(-1);
                message::end(buffer, at);
            }
            buffer.put_slice(&[b'c', 0, 0, 0, 4]);
        }
    }

    /// One row. On an error the buffer is as before.
    #[inline]
    pub fn row<'v>(&self, buffer: &mut BytesMut, value: impl Fn(usize) -> ValueRef<'v>) -> Result<(), SqlError> {
        let start = buffer.len();
        let written = match &self.copy {
            None => self.data_row(buffer, value),
            Some(copy) if copy.format.binary => self.copy_binary(buffer, copy, value),
            Some(copy) => self.copy_line(buffer, copy.format, value),
        };
        if written.is_err() {
            buffer.truncate(start);
        }
        written
    }

    #[inline]
    fn data_row<'v>(&self, buffer: &mut BytesMut, value: impl Fn(usize) -> ValueRef<'v>) -> Result<(), SqlError> {
        let at = message::begin(buffer, b'D');
        buffer.put_u16(self.columns.len() as u16);
        for (number, column) in self.columns.iter().enumerate() {
            self.field(buffer, column, self.formats.is_binary(number), value(number))?;
        }
        message::end(buffer, at);
        Ok(())
    }

    /// Length and bytes of a value; -1 for NULL.
    #[inline]
    fn field(
        &self,
        buffer: &mut BytesMut,
        column: &OutputColumn,
        binary: bool,
        value: ValueRef<'_>,
    ) -> Result<(), SqlError> {
        if value.is_null() {
            buffer.put_i32(-1);
            return Ok(());
        }
        let at = buffer.len();
        buffer.put_i32(0);
        if binary {
            encode_binary(value, column.ty, column.typmod, buffer)?;
        } else {
            encode_text(value, column.ty, column.typmod, self.style, buffer)?;
        }
        let length = (buffer.len() - at - 4) as i32;
        buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn copy_binary<'v>(
        &self,
        buffer: &mut BytesMut,
        copy: &CopyOut<'_>,
        value: impl Fn(usize) -> ValueRef<'v>,
    ) -> Result<(), SqlError> {
        let at = copy.begin(buffer);
        buffer.put_i16(self.columns.len() as i16);
        for (number, column) in self.columns.iter().enumerate() {
            self.field(buffer, column, true, value(number))?;
        }
        message::end(buffer, at);
        Ok(())
    }

    fn copy_line<'v>(
        &self,
        buffer: &mut BytesMut,
        format: &CopyFormat,
        value: impl Fn(usize) -> ValueRef<'v>,
    ) -> Result<(), SqlError> {
        let at = message::begin(buffer, b'd');
        let mut text = BytesMut::new();
        for (number, column) in self.columns.iter().enumerate() {
            if number > 0 {
                buffer.put_u8(format.delimiter);
            }
            let value = value(number);
            if value.is_null() {
                buffer.put_slice(format.null.as_bytes());
                continue;
            }
            text.clear();
            encode_text(value, column.ty, column.typmod, self.style, &mut text)?;
            let force = format.force_quote.iter().any(|name| name == "*" || *name == column.name);
            copy_field(buffer, &text, format, force);
        }
        buffer.put_u8(b'\n');
        message::end(buffer, at);
        Ok(())
    }
}

/// A column as RowDescription tells it.
pub fn describe(column: &OutputColumn, binary: bool) -> ColumnDescription<'_> {
    ColumnDescription {
        name: &column.name,
        table_oid: column.table_oid,
        column_number: column.column_number,
        type_oid: column.ty.0,
        type_length: column.ty.type_len(),
        type_modifier: column.typmod,
        format: i16::from(binary),
    }
}

/// CopyInResponse (`G`) or CopyOutResponse (`H`).
pub fn copy_response(buffer: &mut BytesMut, tag: u8, binary: bool, columns: usize) {
    let at = message::begin(buffer, tag);
    buffer.put_u8(u8::from(binary));
    buffer.put_u16(columns as u16);
    for _ in 0..columns {
        buffer.put_u16(u16::from(binary));
    }
    message::end(buffer, at);
}

/// One value of a COPY line, escaped or quoted as the format wants.
fn copy_field(buffer: &mut BytesMut, text: &[u8], format: &CopyFormat, force: bool) {
    if format.csv {
        let special = |byte: &u8| [format.delimiter, format.quote, b'\n', b'\r'].contains(byte);
        // A value that looks like NULL, or like the end of the data, is quoted.
        if !force && !text.iter().any(special) && text != format.null.as_bytes() && text != b"\\." {
            buffer.put_slice(text);
            return;
        }
        buffer.put_u8(format.quote);
        for byte in text {
            if *byte == format.quote || *byte == format.escape {
                buffer.put_u8(format.escape);
            }
            buffer.put_u8(*byte);
        }
        buffer.put_u8(format.quote);
        return;
    }
    for byte in text {
        let letter = match byte {
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x0b => b'v',
            byte if *byte == format.delimiter => *byte,
            byte => {
                buffer.put_u8(*byte);
                continue;
            }
        };
        buffer.put_slice(&[b'\\', letter]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_values_are_escaped_in_text_and_quoted_in_csv() {
        let text = CopyFormat::default();
        let csv = CopyFormat { csv: true, delimiter: b',', null: String::new(), ..CopyFormat::default() };
        let written = |value: &str, format: &CopyFormat| {
            let mut buffer = BytesMut::new();
            copy_field(&mut buffer, value.as_bytes(), format, false);
            String::from_utf8(buffer.to_vec()).unwrap()
        };
        assert_eq!(written("a\tb\\c\n", &text), "a\\tb\\\\c\\n");
        assert_eq!(written("plain", &csv), "plain");
        assert_eq!(written("a,\"b\"", &csv), "\"a,\"\"b\"\"\"");
        assert_eq!(written("", &csv), "\"\"", "an empty text is not NULL");
    }
}
