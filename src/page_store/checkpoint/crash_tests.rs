//! Crash, fill up and fail at every disk operation, and flip bits: what is left is the old or the new
//! checkpoint, whole, for us and for stock SQLite.

use super::model::{ROOT, Replica, history, stock_version};
use super::*;
use crate::seam::{Disk, DiskFault, SimulatedDisk};

/// A replica's life from its first checkpoint on: grows, backfills in part and in whole, starts the log again.
fn live(replica: &mut Replica) -> Result<(), CheckpointError> {
    while replica.version < history().len() {
        replica.checkpoint()?;
        match replica.version {
            1 | 4 => replica.backfill(1000)?,
            2 => drop(replica.files.backfill(5, &|_| false)?),
            5 => replica.backfill(7)?,
            _ => {}
        }
    }
    replica.backfill(16)
}

fn operations_of_a_life() -> u64 {
    let disk = SimulatedDisk::new(0);
    live(&mut Replica::create(&disk).unwrap()).unwrap();
    disk.operations()
}

#[test]
fn stock_sqlite_reads_base_and_log_after_every_step() {
    let disk = SimulatedDisk::new(1);
    let mut replica = Replica::create(&disk).unwrap();
    assert_eq!(stock_version(&disk), 0);
    for version in 1..=history().len() {
        replica.checkpoint().unwrap();
        assert_eq!(stock_version(&disk), version);
        loop {
            let step = replica.files.backfill(9, &|_| false).unwrap();
            assert_eq!(stock_version(&disk), version);
            replica.read_all(version).unwrap();
            if step.pending == 0 || version % 3 == 1 {
                break;
            }
        }
    }
    assert_eq!(check(&disk, Path::new(ROOT)).unwrap(), Vec::new());
}

#[test]
fn a_crash_at_every_operation_leaves_the_old_or_the_new_checkpoint() {
    for crash_at in 0..operations_of_a_life() {
        let disk = SimulatedDisk::new(crash_at);
        disk.fault_at(crash_at, DiskFault::Crash);
        let mut known = 0;
        if let Ok(mut replica) = Replica::create(&disk) {
            let _ = live(&mut replica);
            known = replica.version;
        }
        assert!(disk.crashed());
        disk.restart();
        if disk.exists(Path::new("/replica/shop/evesql.db-wal")) {
            let stock = stock_version(&disk);
            assert!(stock == known || stock == known + 1, "operation {crash_at}: {known} durable, stock reads {stock}");
        }
        let mut notices = Vec::new();
        let mut replica = Replica::open(&disk, &mut notices).unwrap();
        let found = replica.version;
        assert!(found == known || found == known + 1, "operation {crash_at}: {known} durable, found {found}");
        assert_eq!(notices, Vec::new(), "operation {crash_at}");
        assert_eq!(stock_version(&disk), found, "operation {crash_at}, opened");
        if found > 0 {
            replica.read_all(found).unwrap_or_else(|error| panic!("operation {crash_at}: {error}"));
        }
        live(&mut replica).unwrap_or_else(|error| panic!("operation {crash_at}, life after: {error}"));
        assert_eq!(check(&disk, Path::new(ROOT)).unwrap(), Vec::new());
    }
}

#[test]
fn a_second_crash_during_recovery_changes_nothing() {
    let operations = operations_of_a_life();
    for round in 0..100u64 {
        let disk = SimulatedDisk::new(round);
        disk.fault_at(round * operations / 100, DiskFault::Crash);
        let known = Replica::create(&disk).map_or(0, |mut replica| {
            let _ = live(&mut replica);
            replica.version
        });
        for again in 0..3 {
            disk.restart();
            disk.fault_at(disk.operations() + again, DiskFault::Crash);
            let _ = Replica::open(&disk, &mut Vec::new())
                .and_then(|mut replica| if replica.version < history().len() { replica.checkpoint() } else { Ok(()) });
        }
        disk.restart();
        let replica = Replica::open(&disk, &mut Vec::new()).unwrap();
        assert!((known..=known + 4).contains(&replica.version), "round {round}");
        if replica.version > 0 {
            replica.read_all(replica.version).unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        assert_eq!(stock_version(&disk), replica.version, "round {round}");
    }
}

#[test]
fn a_failed_or_full_operation_can_be_tried_again() {
    for fault in [DiskFault::Full, DiskFault::Error] {
        for fail_at in 0..operations_of_a_life() {
            let disk = SimulatedDisk::new(fail_at);
            disk.fault_at(fail_at, fault);
            let mut replica = match Replica::create(&disk) {
                Ok(replica) => replica,
                Err(_) => Replica::create(&disk).unwrap(),
            };
            match live(&mut replica) {
                Ok(()) => {}
                Err(CheckpointError::SwitchUnknown { .. }) => {
                    let at_least = replica.version;
                    replica = Replica::open(&disk, &mut Vec::new()).unwrap();
                    assert!(replica.version == at_least || replica.version == at_least + 1);
                    live(&mut replica).unwrap();
                }
                Err(CheckpointError::Io { .. }) => {
                    if replica.version > 0 {
                        replica.read_all(replica.version).unwrap();
                    }
                    live(&mut replica).unwrap();
                }
                Err(other) => panic!("{fault:?} at {fail_at}: {other}"),
            }
            disk.restart();
            let replica = Replica::open(&disk, &mut Vec::new()).unwrap();
            replica.read_all(history().len()).unwrap_or_else(|error| panic!("{fault:?} at {fail_at}: {error}"));
            assert_eq!(stock_version(&disk), history().len(), "{fault:?} at {fail_at}");
        }
    }
}

#[test]
fn a_flipped_bit_is_reported_and_never_read() {
    let disk = SimulatedDisk::new(1);
    let mut replica = Replica::create(&disk).unwrap();
    while replica.version < 5 {
        replica.checkpoint().unwrap();
        if replica.version == 2 || replica.version == 3 {
            replica.backfill(1000).unwrap();
        }
    }
    drop(replica);
    let mut found = 0;
    for (path, bytes) in disk.contents().into_iter().filter(|(path, _)| !path.ends_with("manifest")) {
        for offset in (0..bytes.len()).step_by(787) {
            disk.flip_bit(&path, offset as u64, offset as u8);
            let damages = check(&disk, Path::new(ROOT)).unwrap();
            let read = Replica::open(&disk, &mut Vec::new()).unwrap().read_all(5);
            assert!(read.is_ok() || !damages.is_empty(), "{} at {offset}: {read:?}", path.display());
            found += usize::from(!damages.is_empty());
            disk.flip_bit(&path, offset as u64, offset as u8);
        }
    }
    assert!(found > 100, "only {found} found");
    assert_eq!(check(&disk, Path::new(ROOT)).unwrap(), Vec::new());
}

#[test]
fn a_page_that_a_pinned_version_needs_stays_in_the_base_file() {
    let disk = SimulatedDisk::new(1);
    let mut replica = Replica::create(&disk).unwrap();
    replica.checkpoint().unwrap();
    replica.backfill(1000).unwrap();
    replica.checkpoint().unwrap();
    let (old, new) = (&history()[0], &history()[1]);
    let needs_older = |page: PageNumber| {
        page as usize <= old.pages.len() && old.pages[page as usize - 1] != new.pages[page as usize - 1]
    };
    let step = replica.files.backfill(1000, &needs_older).unwrap();
    assert!(step.held > 0 && !step.log_restarted);
    for (page, bytes) in (1..).zip(&old.pages) {
        let mut read = [0; PAGE_SIZE];
        replica.files.read_page(page, page_hash(bytes), &mut read).unwrap();
        assert!(read == *bytes);
    }
    replica.read_all(2).unwrap();
    replica.backfill(1000).unwrap();
    replica.read_all(2).unwrap();
    assert_eq!(replica.files.wal_bytes(), 0);
}

#[test]
fn files_without_their_manifest_are_not_overwritten() {
    let disk = SimulatedDisk::new(1);
    let mut replica = Replica::create(&disk).unwrap();
    replica.checkpoint().unwrap();
    replica.backfill(1000).unwrap();
    disk.remove(&Manifest::path(Path::new(ROOT))).unwrap();
    assert!(matches!(Replica::open(&disk, &mut Vec::new()), Err(CheckpointError::NoManifest { .. })));
}

#[test]
fn a_log_that_stock_sqlite_backfilled_and_removed_is_not_missed() {
    let disk = SimulatedDisk::new(1);
    let mut replica = Replica::create(&disk).unwrap();
    replica.checkpoint().unwrap();
    replica.checkpoint().unwrap();
    let directory = tempfile::tempdir().unwrap();
    disk.export(directory.path()).unwrap();
    let at = directory.path().join("replica");
    drop(
        rusqlite::Connection::open(at.join("shop/evesql.db"))
            .map(|c| c.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")),
    );
    let real = crate::seam::RealDisk;
    let manifest = Manifest::read(&real, &at).unwrap().unwrap();
    let mut notices = Vec::new();
    let files = DatabaseFiles::open(&real, &at, &manifest.sections[0], &mut notices).unwrap();
    for (page, bytes) in (1..).zip(&history()[1].pages) {
        files.read_page(page, page_hash(bytes), &mut [0; PAGE_SIZE]).unwrap();
    }
    assert!(!notices.is_empty());
}
