//! Threads: one that greets, and a few front threads to which connections are pinned.

use super::connection::{Limits, Link, Service, serve};
use super::greeting::{Greeting, Hello, greet};
use super::local::LocalSocket;
use super::outbox::Outbox;
use super::registry::{Registration, Registry};
use super::stream::{Parcel, Stream};
use super::tls::ClientTls;
use crate::transaction::SqlError;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::Instant;

/// How often deadlines of running statements are looked at, and how often none is there before nobody looks until one is.
const DEADLINE_TICK: Duration = Duration::from_millis(5);
const IDLE_TICKS_MAX: u32 = 200;

/// Settings of the front.
#[derive(Clone)]
pub struct FrontOptions {
    /// Threads that run sessions.
    pub threads: usize,
    /// Clients at a time; one more is answered 53300.
    pub connections_max: usize,
    /// Longest message in bytes; a longer one ends its connection.
    pub message_bytes_max: usize,
    /// Time for a client to say who it is, and to prove it.
    pub greeting_timeout: Duration,
    /// Clients may use TLS.
    pub tls: Option<ClientTls>,
    /// Time for running statements to finish when the front shuts down.
    pub shutdown_grace: Duration,
}

impl Default for FrontOptions {
    fn default() -> Self {
        FrontOptions {
            threads: 2,
            connections_max: 500,
            message_bytes_max: 64 << 20,
            greeting_timeout: Duration::from_secs(60),
            tls: None,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// A greeted client on its way to a front thread.
struct Arrival {
    stream: Parcel,
    admitted_by: Instant,
    hello: Hello,
    registration: Arc<Registration>,
}

/// A running front.
pub struct Front {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Front {
    /// Starts the threads. `make_service` is called once on each front thread, with its number.
    ///
    /// Fails if the listener's address cannot be read or a thread cannot be started.
    pub fn start<S: Service>(
        listener: TcpListener,
        local: Option<LocalSocket>,
        options: FrontOptions,
        make_service: impl Fn(usize) -> S + Send + Sync + 'static,
    ) -> io::Result<Front> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let registry = Arc::new(Registry::new(options.connections_max));
        let make_service = Arc::new(make_service);
        let mut threads = Vec::new();
        let mut desks = Vec::new();
        for number in 0..options.threads.max(1) {
            let (desk, arrivals) = mpsc::unbounded_channel();
            desks.push(desk);
            let (make_service, registry, options) = (make_service.clone(), registry.clone(), options.clone());
            threads.push(spawn(format!("front-{number}"), move || async move {
                run_front(Rc::new(make_service(number)), arrivals, registry, options).await
            })?);
        }
        let (stop, stopped) = oneshot::channel();
        threads.push(spawn("greeting".to_owned(), move || {
            run_greeting(listener, local, desks, registry, options, stopped)
        })?);
        Ok(Front { address, stop: Some(stop), threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets running statements finish, ends every connection with 57P01.
    pub fn shutdown(mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a front thread had panicked");
            }
        }
    }
}

/// A thread with a current-thread runtime that runs one future.
fn spawn<F: Future<Output = ()>>(
    name: String,
    make: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name).spawn(move || {
        let local = LocalSet::new();
        local.block_on(&runtime, make());
    })
}

/// Accepts, greets, hands over; serves cancels and deadlines meanwhile. Ends when `stopped` resolves.
async fn run_greeting(
    listener: TcpListener,
    local: Option<LocalSocket>,
    desks: Vec<mpsc::UnboundedSender<Arrival>>,
    registry: Arc<Registry>,
    options: FrontOptions,
    mut stopped: oneshot::Receiver<()>,
) {
    let doors = tokio::net::TcpListener::from_std(listener)
        .and_then(|tcp| Ok(Doors { tcp, local: local.as_ref().map(LocalSocket::listener).transpose()? }));
    let doors = match doors {
        Ok(doors) => doors,
        Err(error) => {
            tracing::error!(%error, "a listening socket cannot be used");
            return;
        }
    };
    let desks = Rc::new(desks);
    let mut tick = tokio::time::interval(DEADLINE_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut idle_ticks = IDLE_TICKS_MAX;
    let mut turn = 0usize;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => return,
            _ = tick.tick(), if idle_ticks < IDLE_TICKS_MAX => {
                idle_ticks = if registry.check_deadlines() { 0 } else { idle_ticks + 1 };
            }
            () = registry.deadline_begun(), if idle_ticks == IDLE_TICKS_MAX => idle_ticks = 0,
            accepted = doors.accept() => match accepted {
                Ok(stream) => {
                    turn += 1;
                    let (desks, registry) = (desks.clone(), registry.clone());
                    let (tls, by) = (options.tls.clone(), Instant::now() + options.greeting_timeout);
                    let desk = turn % desks.len();
                    tokio::task::spawn_local(async move {
                        let welcome = welcome(stream, by, tls.as_ref(), &desks[desk], &registry);
                        let greeted = tokio::time::timeout_at(by, welcome).await;
                        if let Ok(Err(error)) = greeted {
                            tracing::debug!(%error, "a client left before it said who it is");
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: give connections time to end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
}

/// Where clients come in.
struct Doors {
    tcp: tokio::net::TcpListener,
    local: Option<tokio::net::UnixListener>,
}

impl Doors {
    /// The next client.
    async fn accept(&self) -> io::Result<Stream> {
        let local = async {
            match &self.local {
                Some(local) => local.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.tcp.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                Ok(Stream::Plain(stream))
            }
            accepted = local => Ok(Stream::Local(accepted?.0)),
        }
    }
}

/// Greets one client and passes it on.
async fn welcome(
    stream: Stream,
    admitted_by: Instant,
    tls: Option<&ClientTls>,
    desk: &mpsc::UnboundedSender<Arrival>,
    registry: &Registry,
) -> io::Result<()> {
    let (stream, greeting) = greet(stream, tls).await?;
    match greeting {
        Greeting::Session(hello) => match registry.register() {
            Some(registration) => {
                let process = registration.process;
                let sent = stream.depart().map(|stream| {
                    let arrival = Arrival { stream, admitted_by, hello, registration };
                    desk.send(arrival).is_ok()
                });
                if !matches!(sent, Ok(true)) {
                    registry.remove(process);
                }
                sent.map(|_| ())
            }
            None => refuse(stream, &SqlError::new("53300", "sorry, too many clients already")).await,
        },
        Greeting::Cancel(process, secret) => {
            registry.cancel(process, secret);
            Ok(())
        }
        Greeting::Refused(reason) => refuse(stream, &SqlError::new("08P01", reason)).await,
        Greeting::Nothing => Ok(()),
    }
}

async fn refuse(stream: Stream, error: &SqlError) -> io::Result<()> {
    let (_reader, writer) = stream.split();
    let mut out = Outbox::new(writer);
    out.fatal(error);
    out.flush().await
}

/// Runs the connections of one front thread until the greeting thread is gone.
async fn run_front<S: Service>(
    service: Rc<S>,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    registry: Arc<Registry>,
    options: FrontOptions,
) {
    let links: Rc<RefCell<HashMap<i32, Rc<Link>>>> = Rc::default();
    while let Some(Arrival { stream, admitted_by, hello, registration }) = arrivals.recv().await {
        let process = registration.process;
        let link = Rc::new(Link::default());
        links.borrow_mut().insert(process, link.clone());
        let departure = Departure { process, links: links.clone(), registry: registry.clone() };
        let limits = Limits { admitted_by, message_bytes_max: options.message_bytes_max };
        let service = service.clone();
        tokio::task::spawn_local(async move {
            let _departure = departure;
            let served = match stream.arrive() {
                Ok(stream) => serve(service, stream, hello, registration, link, limits).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::debug!(%error, process, "a connection broke");
            }
        });
    }
    for link in links.borrow().values() {
        link.close();
    }
    let all_gone = async {
        while !links.borrow().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if tokio::time::timeout(options.shutdown_grace, all_gone).await.is_err() {
        tracing::warn!("connections still busy at shutdown were dropped");
    }
}

/// Forgets a connection however its task ends.
struct Departure {
    process: i32,
    links: Rc<RefCell<HashMap<i32, Rc<Link>>>>,
    registry: Arc<Registry>,
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.registry.remove(self.process);
        self.links.borrow_mut().remove(&self.process);
    }
}
