//! The talk with a client before it is admitted: questions and short answers. Nothing that it sends makes this server
//! allocate.

use super::connection::{Link, Read, read};
use super::greeting::Hello;
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::stream::{Reader, Stream};
use crate::transaction::SqlError;
use std::io;
use std::rc::Rc;

/// Longest message of a client that is not admitted yet, in bytes, as in Postgres.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Why a client is not admitted.
#[derive(Debug)]
pub enum NotAdmitted {
    /// It is told.
    Sql(Box<SqlError>),
    /// It left, or the socket failed.
    Gone(io::Error),
}

impl From<SqlError> for NotAdmitted {
    fn from(error: SqlError) -> Self {
        NotAdmitted::Sql(Box::new(error))
    }
}

impl From<io::Error> for NotAdmitted {
    fn from(error: io::Error) -> Self {
        NotAdmitted::Gone(error)
    }
}

/// A connection whose client is not admitted yet.
pub struct Talk {
    /// Answers and questions.
    pub out: Outbox,
    pub(super) inbox: Inbox,
    pub(super) reader: Reader,
    link: Rc<Link>,
}

impl Talk {
    pub(super) fn new(stream: Stream, hello: &Hello, link: Rc<Link>) -> Talk {
        let (reader, writer) = stream.split();
        Talk { out: Outbox::new(writer), inbox: Inbox::new(MESSAGE_BYTES_MAX, &hello.rest), reader, link }
    }

    /// Sends what is in `out`, and waits for the client's answer, which must be a message of this type.
    pub async fn ask(&mut self, tag: u8) -> Result<&[u8], NotAdmitted> {
        self.out.flush().await?;
        loop {
            match self.inbox.next_frame() {
                Ok(Some((found, range))) if found == tag => return Ok(self.inbox.body(range)),
                Ok(Some((b'X', _))) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(Some(_)) => return Err(SqlError::new("08P01", "unexpected message before authentication").into()),
                Ok(None) => {}
                Err(error) => return Err(SqlError::new("08P01", error.to_string()).into()),
            }
            match read(&mut self.inbox, &mut self.reader, &self.link, None).await? {
                // Nobody is told anything yet.
                Read::Bytes | Read::News => {}
                Read::Ended | Read::TimedOut(_) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Read::Closing => return Err(self.link.reason().into()),
            }
        }
    }
}
