//! COPY FROM STDIN: bytes in pieces of any size to rows of texts. Pure.

use crate::dialect::CopyFormat;
use crate::transaction::SqlError;

/// A value as it came: `None` is NULL; binary bytes or text.
pub type Field = Option<Vec<u8>>;

/// Splits what CopyData messages bring.
#[derive(Debug)]
pub struct CopyReader {
    format: CopyFormat,
    pending: Vec<u8>,
    line: u64,
    header: bool,
    ended: bool,
    signature: bool,
}

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

impl CopyReader {
    /// A reader of this format.
    pub fn new(format: CopyFormat) -> Self {
        let header = format.header;
        CopyReader { format, pending: Vec::new(), line: 0, header, ended: false, signature: false }
    }

    /// Number of the line that was read last, for error messages.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Takes more bytes; `row` is called with the fields of each complete row.
    ///
    /// Fails with 22P04 if they are not of the format, and with what `row` fails with.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        row: &mut impl FnMut(Vec<Field>) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut at = 0;
        while !self.ended {
            let used = match self.format.binary {
                true => self.binary_row(&pending[at..], row)?,
                false => self.text_row(&pending[at..], false, row)?,
            };
            match used {
                0 => break,
                used => at += used,
            }
        }
        self.pending = pending;
        match self.ended {
            true => self.pending.clear(),
            false => {
                self.pending.drain(..at);
            }
        }
        Ok(())
    }

    /// The data is over: a last line may lack its end.
    pub fn finish(&mut self, row: &mut impl FnMut(Vec<Field>) -> Result<(), SqlError>) -> Result<(), SqlError> {
        if self.pending.is_empty() || self.ended {
            return Ok(());
        }
        if self.format.binary {
            return Err(SqlError::new("22P04", "unexpected EOF in COPY data"));
        }
        let pending = std::mem::take(&mut self.pending);
        let used = self.text_row(&pending, true, row)?;
        if used == 0 {
            return Err(SqlError::new("22P04", "unterminated CSV quoted field"));
        }
        Ok(())
    }

    /// Reads one line, if it is whole; answers the bytes used.
    fn text_row(
        &mut self,
        bytes: &[u8],
        last: bool,
        row: &mut impl FnMut(Vec<Field>) -> Result<(), SqlError>,
    ) -> Result<usize, SqlError> {
        let Some(end) = self.line_end(bytes).or(last.then_some(bytes.len())) else { return Ok(0) };
        if last && self.format.csv && self.is_open(&bytes[..end]) {
            return Ok(0);
        }
        let mut line = &bytes[..end];
        if let Some(without) = line.strip_suffix(b"\r") {
            line = without;
        }
        let used = (end + 1).min(bytes.len()).max(usize::from(last));
        self.line += 1;
        if std::mem::take(&mut self.header) {
            return Ok(used);
        }
        if line == b"\\." {
            self.ended = true;
            return Ok(used);
        }
        let fields = if self.format.csv { self.csv_fields(line) } else { self.text_fields(line) };
        row(fields)?;
        Ok(used)
    }

    /// Position of the newline that ends the line: in CSV, one that is not quoted; in text, one that is
    /// not behind a backslash.
    fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        if !self.format.csv {
            let mut from = 0;
            loop {
                let at = from + bytes[from..].iter().position(|byte| *byte == b'\n')?;
                let slashes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                if slashes % 2 == 0 {
                    return Some(at);
                }
                from = at + 1;
            }
        }
        let mut quoted = false;
        let mut skip = false;
        for (at, byte) in bytes.iter().enumerate() {
            if std::mem::take(&mut skip) {
                continue;
            }
            if quoted && *byte == self.format.escape && self.format.escape != self.format.quote {
                skip = true;
            } else if *byte == self.format.quote {
                quoted = !quoted;
            } else if *byte == b'\n' && !quoted {
                return Some(at);
            }
        }
        None
    }

    /// Whether a quoted value is not closed.
    fn is_open(&self, bytes: &[u8]) -> bool {
        bytes.iter().filter(|byte| **byte == self.format.quote).count() % 2 == 1
            && self.format.escape == self.format.quote
    }

    fn text_fields(&self, line: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        let (mut start, mut at) = (0, 0);
        loop {
            let at_end = at >= line.len();
            if at_end || line[at] == self.format.delimiter {
                let raw = &line[start..at.min(line.len())];
                let is_null = raw == self.format.null.as_bytes();
                fields.push((!is_null).then(|| unescape(raw)));
                if at_end {
                    return fields;
                }
                start = at + 1;
            } else if line[at] == b'\\' {
                at += 1;
            }
            at += 1;
        }
    }

    fn csv_fields(&self, line: &[u8]) -> Vec<Field> {
        let (quote, escape) = (self.format.quote, self.format.escape);
        let mut fields = Vec::new();
        let (mut value, mut quoted, mut any_quotes) = (Vec::new(), false, false);
        let mut bytes = line.iter().copied().peekable();
        loop {
            match bytes.next() {
                Some(byte) if quoted && byte == escape && bytes.peek().is_some_and(|b| *b == quote || *b == escape) => {
                    value.extend(bytes.next());
                }
                Some(byte) if byte == quote => {
                    quoted = !quoted;
                    any_quotes = true;
                }
                Some(byte) if byte != self.format.delimiter || quoted => value.push(byte),
                end => {
                    let is_null = !any_quotes && value == self.format.null.as_bytes();
                    let text = std::mem::take(&mut value);
                    fields.push((!is_null).then_some(text));
                    any_quotes = false;
                    if end.is_none() {
                        return fields;
                    }
                }
            }
        }
    }

    fn binary_row(
        &mut self,
        bytes: &[u8],
        row: &mut impl FnMut(Vec<Field>) -> Result<(), SqlError>,
    ) -> Result<usize, SqlError> {
        if !self.signature {
            let Some((head, _)) = bytes.split_at_checked(SIGNATURE.len() + 8) else { return Ok(0) };
            let bad = || SqlError::new("22P04", "COPY file signature not recognized");
            let extension = head[SIGNATURE.len() + 4..].try_into().map(u32::from_be_bytes).map_err(|_| bad())?;
            if !head.starts_with(SIGNATURE) {
                return Err(bad());
            }
            let at = head.len() + extension as usize;
            if bytes.len() < at {
                return Ok(0);
            }
            self.signature = true;
            return Ok(at);
        }
        let Some((count, _)) = bytes.split_first_chunk::<2>() else { return Ok(0) };
        let mut at = 2;
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            self.ended = true;
            return Ok(at);
        }
        let mut fields = Vec::new();
        for _ in 0..count {
            let Some((length, _)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<4>()) else {
                return Ok(0);
            };
            at += 4;
            let length = i32::from_be_bytes(*length);
            if length < 0 {
                fields.push(None);
                continue;
            }
            let Some(value) = bytes.get(at..at + length as usize) else { return Ok(0) };
            fields.push(Some(value.to_vec()));
            at += length as usize;
        }
        self.line += 1;
        row(fields)?;
        Ok(at)
    }
}

/// Backslash sequences of the text format.
fn unescape(raw: &[u8]) -> Vec<u8> {
    if !raw.contains(&b'\\') {
        return raw.to_vec();
    }
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => value.push(b'\n'),
            Some(b't') => value.push(b'\t'),
            Some(b'r') => value.push(b'\r'),
            Some(b'b') => value.push(0x08),
            Some(b'f') => value.push(0x0c),
            Some(b'v') => value.push(0x0b),
            Some(b'x') if bytes.peek().is_some_and(u8::is_ascii_hexdigit) => {
                let mut number = 0u32;
                for _ in 0..2 {
                    match bytes.peek().and_then(|b| (*b as char).to_digit(16)) {
                        Some(digit) => number = number * 16 + digit,
                        None => break,
                    }
                    bytes.next();
                }
                value.push(number as u8);
            }
            Some(digit @ b'0'..=b'7') => {
                let mut number = u32::from(digit - b'0');
                for _ in 0..2 {
                    match bytes.peek() {
                        Some(next @ b'0'..=b'7') => number = number * 8 + u32::from(next - b'0'),
                        _ => break,
                    }
                    bytes.next();
                }
                value.push(number as u8);
            }
            Some(other) => value.push(other),
            None => value.push(b'\\'),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &CopyFormat, data: &[u8], chunk: usize) -> Vec<Vec<Option<String>>> {
        let mut reader = CopyReader::new(format.clone());
        let mut rows = Vec::new();
        let mut take = |fields: Vec<Field>| {
            rows.push(fields.into_iter().map(|f| f.map(|f| String::from_utf8(f).unwrap())).collect());
            Ok(())
        };
        for piece in data.chunks(chunk) {
            reader.feed(piece, &mut take).unwrap();
        }
        reader.finish(&mut take).unwrap();
        rows
    }

    fn row(fields: &[Option<&str>]) -> Vec<Option<String>> {
        fields.iter().map(|f| f.map(str::to_owned)).collect()
    }

    #[test]
    fn text_lines_cut_anywhere_give_the_same_rows() {
        let data = b"1\ta\\tb\t\\N\n2\t\\\\N\t\n3\tx\\\ny\tz\n\\.\nignored\n";
        for chunk in [1, 2, 3, 7, 1000] {
            let rows = read(&CopyFormat::default(), data, chunk);
            assert_eq!(
                rows,
                [
                    row(&[Some("1"), Some("a\tb"), None]),
                    row(&[Some("2"), Some("\\N"), Some("")]),
                    row(&[Some("3"), Some("x\ny"), Some("z")]),
                ],
                "pieces of {chunk}"
            );
        }
    }

    #[test]
    fn csv_knows_quotes_newlines_null_and_header() {
        let format =
            CopyFormat { csv: true, delimiter: b',', null: String::new(), header: true, ..CopyFormat::default() };
        for chunk in [1, 5, 1000] {
            let rows = read(&format, b"a,b,c\r\n1,\"x,\"\"y\"\"\n\",\r\n\"\",2,3", chunk);
            assert_eq!(
                rows,
                [row(&[Some("1"), Some("x,\"y\"\n"), None]), row(&[Some(""), Some("2"), Some("3")])],
                "pieces of {chunk}"
            );
        }
    }

    #[test]
    fn binary_tuples_are_read_up_to_the_trailer() {
        let format = CopyFormat { binary: true, ..CopyFormat::default() };
        let mut data = SIGNATURE.to_vec();
        data.extend([0u8; 8]);
        data.extend([0, 2, 0, 0, 0, 2, b'h', b'i', 0xff, 0xff, 0xff, 0xff]);
        data.extend([0xff, 0xff]);
        for chunk in [1, 1000] {
            assert_eq!(read(&format, &data, chunk), [row(&[Some("hi"), None])]);
        }
    }
}
