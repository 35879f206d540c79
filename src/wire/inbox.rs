//! Frames in: one read buffer per connection, from which messages are handed out in place.
//!
//! Invariants
//! 1. `start <= end <= bytes.len()`; the bytes in between are received and not yet handed out.
//! 2. A frame is handed out only when it is whole, and never a longer one than `message_bytes_max`.
//! 3. The buffer grows with what has arrived, not with what a header claims.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that an idle connection keeps.
const BUFFER_BYTES: usize = 16 * 1024;
/// Tag and length.
const HEADER_BYTES: usize = 5;

/// Why a frame cannot be read: the connection is beyond repair, as in Postgres.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length below its own four bytes or above the limit.
    #[error("invalid message length {0}")]
    Length(i64),
    /// A message type that the protocol does not have.
    #[error("invalid frontend message type {0}")]
    Tag(u8),
}

/// Read buffer of one connection.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    message_bytes_max: usize,
}

impl Inbox {
    /// An empty buffer; `already` are bytes that were read with the start-up packet.
    pub fn new(message_bytes_max: usize, already: &[u8]) -> Self {
        let mut bytes = vec![0; BUFFER_BYTES.max(already.len())];
        bytes[..already.len()].copy_from_slice(already);
        Inbox { bytes, start: 0, end: already.len(), message_bytes_max }
    }

    /// Longer messages than before are taken: the client has been admitted.
    pub fn admit_messages(&mut self, message_bytes_max: usize) {
        self.message_bytes_max = message_bytes_max;
    }

    /// The next whole message: its tag and where its body lies (see [`Inbox::body`]).
    pub fn next_frame(&mut self) -> Result<Option<(u8, std::ops::Range<usize>)>, FrameError> {
        let received = &self.bytes[self.start..self.end];
        let Some((header, _)) = received.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let tag = header[0];
        if !b"QPBEDCSHFXdcfp".contains(&tag) {
            return Err(FrameError::Tag(tag));
        }
        let length = i32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        if length < 4 || length as usize > self.message_bytes_max {
            return Err(FrameError::Length(i64::from(length)));
        }
        let whole = length as usize + 1;
        if received.len() < whole {
            return Ok(None);
        }
        let body = self.start + HEADER_BYTES..self.start + whole;
        self.start += whole;
        Ok(Some((tag, body)))
    }

    /// Bytes of a frame that was just handed out.
    pub fn body(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Reads once from the socket; 0 bytes is the end of the stream.
    pub fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<std::io::Result<usize>> {
        self.make_room();
        let mut free = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(reader).poll_read(cx, &mut free))?;
        let count = free.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Moves what is left to the front, or doubles a full buffer; gives back a large one once it is empty.
    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.bytes.len() > 4 * BUFFER_BYTES {
                self.bytes = vec![0; BUFFER_BYTES];
            }
        } else if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
    }
}

/// Reads the fields of one message body; every method answers `None` past the end.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    /// Two bytes, big-endian.
    pub fn i16(&mut self) -> Option<i16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*first))
    }
    /// Four bytes, big-endian.
    pub fn i32(&mut self) -> Option<i32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*first))
    }
    /// `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(first)
    }
    /// Zero-terminated UTF-8.
    pub fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(&self.0[..end]).ok()?;
        self.0 = &self.0[end + 1..];
        Some(text)
    }
    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend((body.len() as i32 + 4).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[tokio::test]
    async fn frames_cut_anywhere_come_out_whole_and_in_order() {
        let bodies: Vec<Vec<u8>> = (0..40usize).map(|n| vec![n as u8; n * n * 37]).collect();
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(b'd', body)).collect();
        for chunk in [1, 7, 4096, 100_000] {
            let mut inbox = Inbox::new(1 << 20, b"");
            let mut seen = Vec::new();
            for mut piece in stream.chunks(chunk) {
                while !piece.is_empty() {
                    poll_fn(|cx| inbox.poll_fill(cx, &mut piece)).await.expect("a slice reads");
                    while let Some((tag, range)) = inbox.next_frame().expect("valid") {
                        assert_eq!(tag, b'd');
                        seen.push(inbox.body(range).to_vec());
                    }
                }
            }
            assert_eq!(seen, bodies, "chunks of {chunk}");
        }
    }

    #[test]
    fn lengths_out_of_bounds_and_unknown_tags_are_refused() {
        let next = |bytes: &[u8]| Inbox::new(1000, bytes).next_frame();
        assert_eq!(next(&[b'Q', 0, 0, 0, 3]), Err(FrameError::Length(3)));
        assert_eq!(next(&[b'Q', 0xff, 0xff, 0xff, 0xff]), Err(FrameError::Length(-1)));
        assert_eq!(next(&[b'Q', 0, 0, 4, 0]), Err(FrameError::Length(1024)));
        assert_eq!(next(b"GET / HTTP"), Err(FrameError::Tag(b'G')));
        assert_eq!(next(&[b'Q', 0, 0, 0]), Ok(None));
    }
}
