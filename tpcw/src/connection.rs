//! How browsers reach the database: a connection each or a pool, and transactions that are run again after conflicts.

use crate::random::Random;
use crate::session::{Database, Error, Session, Statement};
use crate::value::{Row, Value};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an interaction is tried again: longer than a cluster takes for a new leader.
const RETRY_FOR: Duration = Duration::from_secs(30);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A place for a session, which is opened when it is first used and again when it was lost.
pub struct Connection {
    database: Arc<dyn Database>,
    session: Option<Box<dyn Session>>,
}

impl Connection {
    /// To this database, not open yet.
    pub fn new(database: Arc<dyn Database>) -> Self {
        Connection { database, session: None }
    }

    fn session(&mut self) -> Result<&mut dyn Session, Error> {
        let usable = self.session.take().filter(|session| !session.is_lost());
        let session = match usable {
            Some(session) => session,
            None => self.database.open()?,
        };
        Ok(self.session.insert(session).as_mut())
    }
}

/// Connections that browsers share.
pub struct Pool {
    idle: Mutex<Vec<Connection>>,
    given_back: Condvar,
}

impl Pool {
    /// So many connections.
    pub fn new(database: &Arc<dyn Database>, count: usize) -> Self {
        let idle = (0..count.max(1)).map(|_| Connection::new(database.clone())).collect();
        Pool { idle: Mutex::new(idle), given_back: Condvar::new() }
    }

    fn take(&self) -> Connection {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match idle.pop() {
                Some(connection) => return connection,
                None => idle = self.given_back.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.given_back.notify_one();
    }
}

/// A browser's way to the database.
pub enum Way {
    /// A connection of its own.
    Own(Connection),
    /// Any of a pool, for one interaction at a time.
    Shared(Arc<Pool>),
}

impl Way {
    /// Does something with a connection. Waiting for one of a pool is part of it.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Connection) -> T) -> T {
        match self {
            Way::Own(connection) => work(connection),
            Way::Shared(pool) => {
                let mut connection = pool.take();
                let done = work(&mut connection);
                pool.give_back(connection);
                done
            }
        }
    }
}

/// One interaction's use of a connection.
pub struct Visit<'a> {
    connection: &'a mut Connection,
    /// For pauses only: what a browser does must not depend on conflicts.
    pauses: Random,
    began: Instant,
    retries: u64,
}

impl<'a> Visit<'a> {
    /// Begins one; the seed is that of the pauses between attempts.
    pub fn new(connection: &'a mut Connection, seed: u64) -> Self {
        Visit { connection, pauses: Random::new(seed), began: Instant::now(), retries: 0 }
    }

    /// How often something was tried again so far.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Rows of a statement that is a transaction of its own.
    pub fn read(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<Vec<Row>, Error> {
        self.repeat(|session| session.query(statement, parameters))
    }

    /// A change that is a transaction of its own and does no harm when it is done twice.
    pub fn change(&mut self, statement: &'static Statement, parameters: &[Value]) -> Result<u64, Error> {
        self.repeat(|session| session.execute(statement, parameters))
    }

    /// A transaction that writes. It is run again as a whole, so that `work` must depend on its captures only.
    pub fn transaction<T>(&mut self, mut work: impl FnMut(&mut dyn Session) -> Result<T, Error>) -> Result<T, Error> {
        self.repeat(|session| {
            session.begin()?;
            match work(session) {
                Ok(done) => session.commit().map(|()| done),
                Err(error) => {
                    if !session.is_lost() {
                        session.rollback();
                    }
                    Err(error)
                }
            }
        })
    }

    fn repeat<T>(&mut self, mut attempt: impl FnMut(&mut dyn Session) -> Result<T, Error>) -> Result<T, Error> {
        let mut pause_max = Duration::from_millis(1);
        loop {
            let why = match self.connection.session().and_then(&mut attempt) {
                Err(Error::Retry(why) | Error::Lost(why)) => why,
                other => return other,
            };
            if self.began.elapsed() > RETRY_FOR {
                return Err(Error::Failed(format!("given up after {} s: {why}", RETRY_FOR.as_secs())));
            }
            self.retries += 1;
            std::thread::sleep(pause_max.mul_f64(self.pauses.fraction()));
            pause_max = (pause_max * 2).min(PAUSE_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Dialect;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    /// Counts what is called; commits conflict twice, and the first session is lost at its first commit.
    #[derive(Clone, Default)]
    struct Fake(Arc<[AtomicU64; 3]>);

    const OPENED: usize = 0;
    const BEGUN: usize = 1;
    const COMMITS: usize = 2;

    impl Fake {
        fn count(&self, what: usize) -> u64 {
            self.0[what].fetch_add(1, SeqCst) + 1
        }
    }

    struct FakeSession(Fake, bool);

    impl Database for Fake {
        fn open(&self) -> Result<Box<dyn Session>, Error> {
            self.count(OPENED);
            Ok(Box::new(FakeSession(self.clone(), false)))
        }
    }

    impl Session for FakeSession {
        fn dialect(&self) -> Dialect {
            Dialect::Postgres
        }
        fn query(&mut self, _: &'static Statement, _: &[Value]) -> Result<Vec<Row>, Error> {
            Ok(Vec::new())
        }
        fn execute(&mut self, _: &'static Statement, _: &[Value]) -> Result<u64, Error> {
            Ok(1)
        }
        fn begin(&mut self) -> Result<(), Error> {
            match self.0.count(BEGUN) {
                1 => {
                    self.1 = true;
                    Err(Error::Lost("gone".into()))
                }
                _ => Ok(()),
            }
        }
        fn commit(&mut self) -> Result<(), Error> {
            match self.0.count(COMMITS) {
                1 | 2 => Err(Error::Retry("conflict".into())),
                3 => Ok(()),
                _ => Err(Error::Unknown("gone".into())),
            }
        }
        fn rollback(&mut self) {}
        fn is_lost(&self) -> bool {
            self.1
        }
        fn script(&mut self, _: &str) -> Result<(), Error> {
            Ok(())
        }
        fn insert(&mut self, _: &str, _: &[&str], _: &[Vec<Value>]) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn a_transaction_is_run_again_after_conflicts_and_lost_sessions_and_not_when_its_outcome_is_unknown() {
        let fake = Fake::default();
        let mut connection = Connection::new(Arc::new(fake.clone()));
        let (mut visit, mut works) = (Visit::new(&mut connection, 1), 0);
        let mut work = |_: &mut dyn Session| {
            works += 1;
            Ok(works)
        };
        assert_eq!(visit.transaction(&mut work).unwrap(), 3);
        assert_eq!(visit.retries(), 3);
        assert!(matches!(visit.transaction(&mut work), Err(Error::Unknown(_))));
        let seen: Vec<u64> = fake.0.iter().map(|count| count.load(SeqCst)).collect();
        assert_eq!(seen, [2, 5, 4], "sessions, begins, commits");
    }
}
