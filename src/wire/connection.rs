//! The loop of one connection: read, hand whole messages to the [`Handler`], write, wait.
//!
//! ```text
//!            frames in the buffer                 none left
//!   handle ------------------------> handle   --------------> write what is due -> wait -> read -> handle
//!      | Terminate, broken frame, fatal error                     | closing, time-out, end of stream
//!      v                                                          v
//!    close                                                      close
//! ```

use super::inbox::Inbox;
use super::outbox::Outbox;
use super::registry::Registration;
use super::stream::{Reader, Stream};
use super::talk::{NotAdmitted, Talk};
use super::{FrameError, Hello};
use crate::transaction::SqlError;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// What a connection does after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on.
    Continue,
    /// Ends, after what is in the send buffer has been written.
    Close,
}

/// What the messages of one connection mean.
pub trait Handler {
    /// Handles one message. Answers go into `out`; an `Err` is one of the socket and ends the connection.
    fn message(&mut self, tag: u8, body: &[u8], out: &mut Outbox) -> impl Future<Output = io::Result<Flow>>;
    /// How long to wait for the next message, and the error that ends the connection after that.
    fn read_timeout(&self) -> Option<(Duration, SqlError)>;
    /// Writes what its client did not ask for, while it waits for the next message; see [`Link::has_news`].
    fn news(&mut self, _out: &mut Outbox) {}
}

/// Makes a [`Handler`] for each connection of one front thread.
pub trait Service: 'static {
    /// What it makes.
    type Handler: Handler;
    /// Admits a client after what there is to talk about, writes the start-up answers, or says why not.
    fn open(
        &self,
        hello: &Hello,
        registration: Arc<Registration>,
        link: &Rc<Link>,
        talk: &mut Talk,
    ) -> impl Future<Output = Result<Self::Handler, NotAdmitted>>;
}

/// How the front thread tells a connection to end.
#[derive(Debug, Default)]
pub struct Link {
    closing: Cell<bool>,
    cut: Cell<bool>,
    news: Cell<bool>,
    /// What the client is told; that the server stops, without it.
    error: RefCell<Option<SqlError>>,
    waker: RefCell<Option<Waker>>,
}

impl Link {
    /// Ends the connection as soon as its current message is handled.
    pub fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// As [`Link::close`], for this reason.
    pub fn end(&self, error: SqlError) {
        self.error.replace(Some(error));
        self.close();
    }

    /// Ends the connection in the middle of a message: its client takes no answer.
    pub fn cut(&self) {
        self.cut.set(true);
        self.wake();
    }

    /// There is something to tell the client, as soon as its connection waits for a message.
    pub fn has_news(&self) {
        self.news.set(true);
        self.wake();
    }

    /// What its client is told of the end.
    pub(super) fn reason(&self) -> SqlError {
        let stops = || SqlError::new("57P01", "terminating connection due to administrator command");
        self.error.take().unwrap_or_else(stops)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Is told of an end by waking this task.
    fn wakes(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Does some work; nothing comes of it if the connection is cut meanwhile.
    async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if self.cut.get() {
                return Poll::Ready(None);
            }
            let done = work.as_mut().poll(cx).map(Some);
            if done.is_pending() {
                self.wakes(cx);
            }
            done
        })
        .await
    }
}

/// Why reading stopped.
pub(super) enum Read {
    Bytes,
    News,
    Ended,
    Closing,
    TimedOut(SqlError),
}

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// When a client must have been admitted.
    pub admitted_by: Instant,
    /// Longest message of a client that was admitted.
    pub message_bytes_max: usize,
}

/// Serves one connection to its end.
pub(super) async fn serve<S: Service>(
    service: Rc<S>,
    stream: Stream,
    hello: Hello,
    registration: Arc<Registration>,
    link: Rc<Link>,
    limits: Limits,
) -> io::Result<()> {
    let mut talk = Talk::new(stream, &hello, link.clone());
    let opened = service.open(&hello, registration, &link, &mut talk);
    let opened = match tokio::time::timeout_at(limits.admitted_by, opened).await {
        Ok(opened) => opened,
        Err(_) => Err(SqlError::new("57014", "canceling authentication due to timeout").into()),
    };
    let Talk { mut out, mut inbox, mut reader, .. } = talk;
    let mut handler = match opened {
        Ok(handler) => handler,
        Err(NotAdmitted::Sql(error)) => {
            out.fatal(&error);
            return out.flush().await;
        }
        Err(NotAdmitted::Gone(error)) => return Err(error),
    };
    drop(hello);
    inbox.admit_messages(limits.message_bytes_max);
    out.flush().await?;
    loop {
        loop {
            match inbox.next_frame() {
                Ok(Some((tag, range))) => {
                    match link.unless_cut(handler.message(tag, inbox.body(range), &mut out)).await.transpose()? {
                        Some(Flow::Continue) => {}
                        Some(Flow::Close) => return out.flush().await,
                        None => return Ok(()),
                    }
                }
                Ok(None) => break,
                Err(error) => return refuse(&mut out, &error).await,
            }
        }
        out.flush_if_due().await?;
        match read(&mut inbox, &mut reader, &link, handler.read_timeout()).await? {
            Read::Bytes => {}
            Read::News => {
                handler.news(&mut out);
                out.flush().await?;
            }
            Read::Ended => return Ok(()),
            Read::Closing => {
                out.fatal(&link.reason());
                return out.flush().await;
            }
            Read::TimedOut(error) => {
                out.fatal(&error);
                return out.flush().await;
            }
        }
    }
}

/// A frame that cannot be read: nothing after it can be understood, so the connection ends.
async fn refuse(out: &mut Outbox, error: &FrameError) -> io::Result<()> {
    out.fatal(&SqlError::new("08P01", error.to_string()));
    out.flush().await
}

pub(super) async fn read(
    inbox: &mut Inbox,
    reader: &mut Reader,
    link: &Link,
    timeout: Option<(Duration, SqlError)>,
) -> io::Result<Read> {
    let bytes = poll_fn(|cx| {
        if link.closing.get() {
            return Poll::Ready(Ok(Read::Closing));
        }
        if link.news.take() {
            return Poll::Ready(Ok(Read::News));
        }
        match inbox.poll_fill(cx, reader) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Read::Ended)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(Read::Bytes)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                link.wakes(cx);
                Poll::Pending
            }
        }
    });
    match timeout {
        None => bytes.await,
        Some((limit, error)) => tokio::time::timeout(limit, bytes).await.unwrap_or(Ok(Read::TimedOut(error))),
    }
}
