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
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

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
    /// Admits a client, writes the start-up answers, or says why not.
    fn open(
        &self,
        hello: &Hello,
        registration: Arc<Registration>,
        link: &Rc<Link>,
        out: &mut Outbox,
    ) -> impl Future<Output = Result<Self::Handler, SqlError>>;
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
enum Read {
    Bytes,
    News,
    Ended,
    Closing,
    TimedOut(SqlError),
}

/// Serves one connection to its end.
pub async fn serve<S: Service>(
    service: Rc<S>,
    stream: TcpStream,
    hello: Hello,
    registration: Arc<Registration>,
    link: Rc<Link>,
    message_bytes_max: usize,
) -> io::Result<()> {
    let (mut reader, writer) = stream.into_split();
    let mut out = Outbox::new(writer);
    let mut handler = match service.open(&hello, registration, &link, &mut out).await {
        Ok(handler) => handler,
        Err(error) => {
            out.fatal(&error);
            return out.flush().await;
        }
    };
    out.flush().await?;
    let mut inbox = Inbox::new(message_bytes_max, &hello.rest);
    drop(hello);
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
                let stops = || SqlError::new("57P01", "terminating connection due to administrator command");
                out.fatal(&link.error.take().unwrap_or_else(stops));
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

async fn read(
    inbox: &mut Inbox,
    reader: &mut OwnedReadHalf,
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
