//! Frames of a connection between two nodes: a header, and a value in postcard's encoding.
//!
//! ```text
//!   length u32 │ kind u8 │ number u64 │ crc32c u32 │ value, length bytes        (little endian)
//! ```
//!
//! The checksum covers kind, number and value. TCP's own is weak, and what arrives here is written to a log.

use crc32c::{crc32c, crc32c_append};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest value. Appends hold 4 MiB of entries or one entry; a transaction is bounded far below.
pub const VALUE_BYTES_MAX: usize = 256 << 20;
/// Bytes reserved before any of a value has arrived: a length is only a claim.
const RESERVED_BYTES: usize = 1 << 20;
const HEADER_BYTES: usize = 17;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A message without a reply.
    Message = 1,
    /// A message whose reply carries the same number.
    Request = 2,
    /// A reply.
    Reply = 3,
    /// A sign of life is asked for.
    Ping = 4,
    /// The sign of life.
    Pong = 5,
    /// The first frame of each side.
    Greeting = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        use Kind::*;
        [Message, Request, Reply, Ping, Pong, Greeting].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Of a request and its reply.
    pub number: u64,
    value: Vec<u8>,
}

impl Frame {
    /// Its value.
    pub fn decode<T: DeserializeOwned>(&self) -> io::Result<T> {
        postcard::from_bytes(&self.value).map_err(|error| invalid(format!("a value does not decode: {error}")))
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Appends a frame to what waits to be written; a value that is too long leaves nothing behind.
pub fn put<T: Serialize>(buffer: &mut Vec<u8>, kind: Kind, number: u64, value: &T) -> io::Result<()> {
    let start = buffer.len();
    buffer.resize(start + HEADER_BYTES, 0);
    // Plain values into a growing buffer: postcard has nothing that can fail here.
    let mut filled = postcard::to_extend(value, std::mem::take(buffer)).expect("a plain value encodes");
    let length = filled.len() - start - HEADER_BYTES;
    if length > VALUE_BYTES_MAX {
        filled.truncate(start);
        *buffer = filled;
        return Err(invalid(format!("a message of {length} bytes is too long")));
    }
    let (header, value) = filled[start..].split_at_mut(HEADER_BYTES);
    header[..4].copy_from_slice(&(length as u32).to_le_bytes());
    header[4] = kind as u8;
    header[5..13].copy_from_slice(&number.to_le_bytes());
    let sum = crc32c_append(crc32c(&header[4..13]), value);
    header[13..].copy_from_slice(&sum.to_le_bytes());
    *buffer = filled;
    Ok(())
}

/// Reads the next frame, whose value is at most `bytes_max` long. Not to be dropped half-way.
pub async fn read<R: AsyncRead + Unpin>(reader: &mut R, bytes_max: usize) -> io::Result<Frame> {
    let mut header = [0; HEADER_BYTES];
    reader.read_exact(&mut header).await?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if length > bytes_max {
        return Err(invalid(format!("a frame of {length} bytes is announced, at most {bytes_max} are allowed")));
    }
    let kind = Kind::of(header[4]).ok_or_else(|| invalid(format!("there is no kind {} of frames", header[4])))?;
    let mut value = Vec::with_capacity(length.min(RESERVED_BYTES));
    if (&mut *reader).take(length as u64).read_to_end(&mut value).await? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (number, sum) = header[5..].split_at(8);
    let said = u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]);
    if crc32c_append(crc32c(&header[4..13]), &value) != said {
        return Err(invalid("a frame does not match its checksum".into()));
    }
    let number = number.try_into().map_or(0, u64::from_le_bytes);
    Ok(Frame { kind, number, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut bytes: &[u8], max: usize) -> io::Result<Frame> {
        read(&mut bytes, max).await
    }

    #[tokio::test]
    async fn frames_come_back_as_they_were_and_in_order() {
        let mut buffer = Vec::new();
        put(&mut buffer, Kind::Request, 7, &"a question").unwrap();
        put(&mut buffer, Kind::Pong, 0, &()).unwrap();
        let mut bytes = &buffer[..];
        let first = read(&mut bytes, 100).await.unwrap();
        assert_eq!(
            (first.kind, first.number, first.decode::<String>().unwrap()),
            (Kind::Request, 7, "a question".into())
        );
        assert_eq!(read(&mut bytes, 100).await.unwrap().kind, Kind::Pong);
        assert_eq!(read(&mut bytes, 100).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn damage_anywhere_is_an_error_and_never_a_frame() {
        let mut buffer = Vec::new();
        put(&mut buffer, Kind::Message, 3, &"twelve bytes").unwrap();
        for bit in 0..buffer.len() * 8 {
            let mut bent = buffer.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(read_all(&bent, 1000).await.is_err(), "bit {bit}");
        }
        for cut in 0..buffer.len() {
            assert!(read_all(&buffer[..cut], 1000).await.is_err(), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_long_claim_reserves_nothing_and_is_refused() {
        let mut header = vec![0xff; 4];
        header.resize(HEADER_BYTES, 0);
        let error = read_all(&header, VALUE_BYTES_MAX).await.unwrap_err();
        assert!(error.to_string().contains("is announced"), "{error}");
    }
}
