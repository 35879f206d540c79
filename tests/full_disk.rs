//! The disk becomes full under load, and has room again: clients are told within moments, nothing acknowledged is
//! lost, reads go on, and the same process writes again by itself. And clients that do not want to wait for an outcome.

mod harness;

use evesql::seam::{Disk, DiskFile, RealDisk};
use harness::disk::{Changed, Changes};
use harness::{InProcess, PATIENCE, code, connect, runtime};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// The machine's disk, on which nothing can grow while it is full.
#[derive(Clone, Default)]
struct Filling(Arc<AtomicBool>);

struct FillingFile(Arc<dyn DiskFile>, Arc<AtomicBool>);

impl Changes for Filling {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FillingFile(RealDisk.open(path, create)?, self.0.clone())))
    }
}

impl FillingFile {
    fn grow(&self, to: u64) -> io::Result<()> {
        match self.1.load(Ordering::Relaxed) && to > self.0.length_bytes()? {
            true => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            false => Ok(()),
        }
    }
}

impl DiskFile for FillingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.grow(offset + bytes.len() as u64)?;
        self.0.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn length_bytes(&self) -> io::Result<u64> {
        self.0.length_bytes()
    }
    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        self.grow(length_bytes)?;
        self.0.set_length(length_bytes)
    }
}

/// Inserts large rows until it hears an error: the rows that were acknowledged, the error's code, and when it came.
async fn insert_until_refused(address: SocketAddr, from: i32) -> (Vec<i32>, String, Instant) {
    let client = connect(address).await;
    let body = "x".repeat(64 << 10);
    let mut acknowledged = Vec::new();
    for id in from.. {
        match client.execute("INSERT INTO t VALUES ($1, $2)", &[&id, &body]).await {
            Ok(_) => acknowledged.push(id),
            Err(error) => return (acknowledged, code(&error), Instant::now()),
        }
    }
    unreachable!("there are more numbers than bytes on the disk")
}

async fn ids(client: &Client) -> Vec<i32> {
    let rows = client.query("SELECT id FROM t ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn wait_until(server: &InProcess, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}:\n{}", server.cluster().status(0).render());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_full_disk_is_told_at_once_loses_nothing_and_is_left_behind_without_a_restart() {
    let disk = Filling::default();
    let server = InProcess::start_on(Arc::new(Changed(disk.clone())), |config| config);
    let (runtime, address) = (runtime(), server.address());
    let client = runtime.block_on(connect(address));
    runtime.block_on(client.batch_execute("CREATE TABLE t (id int PRIMARY KEY, body text)")).unwrap();
    disk.0.store(true, Ordering::Relaxed);
    let load: Vec<_> = (0..4).map(|me| runtime.spawn(insert_until_refused(address, me * 10_000))).collect();
    let down = || server.cluster().nodes().iter().filter(|node| node.shared.is_down()).count();
    wait_until(&server, "the logs are not full", || down() >= 2);
    let full_at = Instant::now();
    let mut acknowledged = Vec::new();
    for client in load {
        let (own, code, at) = runtime.block_on(client).unwrap();
        assert!(code == "53100" || code == "08007", "{code}");
        assert!(at.saturating_duration_since(full_at) < Duration::from_secs(5), "{code} came late");
        acknowledged.extend(own);
    }
    assert!(acknowledged.len() > 100, "the disk was full from the start");

    let asked_at = Instant::now();
    let refused = runtime.block_on(client.execute("INSERT INTO t VALUES (-1, '')", &[])).unwrap_err();
    assert_eq!(code(&refused), "53100", "{refused:?}");
    assert!(refused.as_db_error().unwrap().message().contains("No space left"), "{refused:?}");
    assert!(asked_at.elapsed() < Duration::from_secs(2));
    let read = runtime.block_on(ids(&client));
    assert!(acknowledged.iter().all(|id| read.contains(id)), "a read misses what was acknowledged");
    wait_until(&server, "not all nodes are down", || down() == 3);
    let status = server.cluster().status(0);
    assert!(status.nodes.iter().all(|node| node.state == "down"), "{}", status.render());
    assert!(status.render().contains("free space on its disk"), "{}", status.render());
    // Starting again is tried in vain, and takes away nothing.
    std::thread::sleep(Duration::from_secs(3));
    assert!(runtime.block_on(ids(&client)).len() >= acknowledged.len());

    disk.0.store(false, Ordering::Relaxed);
    wait_until(&server, "no writes again", || {
        runtime.block_on(client.execute("INSERT INTO t VALUES (-2, '') ON CONFLICT DO NOTHING", &[])).is_ok()
    });
    let read = runtime.block_on(ids(&client));
    assert!(acknowledged.iter().all(|id| read.contains(id)), "what was acknowledged is lost");
    assert!(!read.contains(&-1), "what was refused took effect");
    wait_until(&server, "not all nodes are back", || server.cluster().nodes().len() == 3 && down() == 0);
    server.agree();
}

#[test]
fn a_client_need_not_wait_for_an_outcome_that_does_not_come() {
    let server = InProcess::start(|config| config);
    let runtime = runtime();
    runtime.block_on(async {
        let client = connect(server.address()).await;
        client.batch_execute("CREATE TABLE t (id int PRIMARY KEY)").await.unwrap();
        let others = server.cluster().home().map(|home| home.shared.id).unwrap();
        let others: Vec<u64> = (1..=3).filter(|node| *node != others).collect();
        others.iter().for_each(|node| assert!(server.cluster().kill(*node)));
        client.batch_execute("SET statement_timeout = 300").await.unwrap();
        let asked_at = Instant::now();
        let error = client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap_err();
        assert_eq!(code(&error), "08007");
        assert!(error.as_db_error().unwrap().message().contains("statement timeout"), "{error:?}");

        client.batch_execute("SET statement_timeout = 0").await.unwrap();
        let cancel = client.cancel_token();
        let canceled = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel_query(NoTls).await.unwrap();
        });
        let error = client.batch_execute("BEGIN; INSERT INTO t VALUES (2); COMMIT").await.unwrap_err();
        assert_eq!(code(&error), "08007");
        assert!(error.as_db_error().unwrap().message().contains("user canceled"), "{error:?}");
        canceled.await.unwrap();
        assert!(asked_at.elapsed() < Duration::from_secs(10), "{:?}", asked_at.elapsed());
        others.iter().for_each(|node| server.cluster().restart(*node).unwrap());
        client.batch_execute("INSERT INTO t VALUES (3)").await.unwrap();
        assert!(ids(&client).await.contains(&3));
    });
    server.agree();
}
