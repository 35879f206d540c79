//! Answers out: one send buffer per connection, written when a Sync or a simple query is done.
//!
//! A large result writes itself out at [`Outbox::STREAM_BYTES`] and waits for the socket, so a slow
//! client holds back its own statement and never the server's memory.

use super::stream::Writer;
use crate::transaction::SqlError;
use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use std::io;

/// Bytes that an idle connection keeps.
const KEPT_BYTES: usize = 64 * 1024;

/// What a prepared statement comes to when its columns are others by now, in PostgreSQL's words.
pub const CACHED_PLAN: &str = "cached plan must not change result type";

/// Send buffer of one connection.
#[derive(Debug)]
pub struct Outbox {
    /// Messages to be sent, appended with [`super::message`].
    pub buffer: BytesMut,
    socket: Option<Writer>,
    due: bool,
}

impl Outbox {
    /// A result is written out, and waited for, whenever this much has gathered.
    pub const STREAM_BYTES: usize = 64 * 1024;

    /// An empty buffer before a socket.
    pub(super) fn new(socket: Writer) -> Self {
        Outbox { buffer: BytesMut::with_capacity(8 * 1024), socket: Some(socket), due: false }
    }

    /// A buffer that is only gathered, never sent: for tests.
    pub fn detached() -> Self {
        Outbox { buffer: BytesMut::new(), socket: None, due: false }
    }

    /// Marks what is there as to be written before the connection next waits.
    pub fn flush_soon(&mut self) {
        self.due = true;
    }

    /// Whether [`Outbox::flush_soon`] was called since the last write.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// Writes everything.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.due = false;
        if let Some(socket) = &mut self.socket {
            if !self.buffer.is_empty() {
                socket.send(&self.buffer).await?;
            }
            self.buffer.clear();
            if self.buffer.capacity() > 4 * KEPT_BYTES {
                self.buffer = BytesMut::with_capacity(KEPT_BYTES);
            }
        }
        Ok(())
    }

    /// Writes what earlier Syncs left, if anything: called before waiting for something slow.
    pub async fn flush_if_due(&mut self) -> io::Result<()> {
        if self.due { self.flush().await } else { Ok(()) }
    }

    /// Whether a streaming result should call [`Outbox::flush`] now.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= Self::STREAM_BYTES
    }

    /// ErrorResponse with severity ERROR.
    pub fn error(&mut self, error: &SqlError) {
        self.error_with_severity("ERROR", error);
    }

    /// ErrorResponse with severity FATAL: the connection ends after it.
    pub fn fatal(&mut self, error: &SqlError) {
        self.error_with_severity("FATAL", error);
    }

    /// Errors are due at once: a client that sent Flush need not send Sync before it has heard of them.
    fn error_with_severity(&mut self, severity: &str, error: &SqlError) {
        self.due = true;
        let response = ErrorResponse::new(fields(severity, error));
        if response.encode(&mut self.buffer).is_err() {
            tracing::warn!(message = %error.message, "an error was too long to be sent");
        }
    }

    /// NoticeResponse; severity is WARNING, NOTICE or INFO.
    pub fn notice(&mut self, severity: &str, notice: &SqlError) {
        let response = NoticeResponse::new(fields(severity, notice));
        if response.encode(&mut self.buffer).is_err() {
            tracing::warn!(message = %notice.message, "a notice was too long to be sent");
        }
    }
}

/// The fields of an error or notice, each a one-byte name and a text without zero bytes.
fn fields(severity: &str, error: &SqlError) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.code().to_owned()),
        (b'M', error.message.replace('\0', " ")),
    ];
    let optional = [
        (b'D', &error.detail),
        (b'H', &error.hint),
        (b't', &error.table),
        (b'c', &error.column),
        (b'n', &error.constraint),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            fields.push((name, value.replace('\0', " ")));
        }
    }
    if let Some(position) = error.position {
        fields.push((b'P', position.to_string()));
    }
    // Drivers know by this name that a statement must be prepared again.
    if error.code() == "0A000" && error.message == CACHED_PLAN {
        fields.push((b'R', "RevalidateCachedQuery".to_owned()));
    }
    if error.table.is_some() {
        fields.push((b's', "public".to_owned()));
    }
    fields
}
