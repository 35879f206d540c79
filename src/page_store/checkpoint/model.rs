//! For tests: real SQLite databases as lists of pages with the plainest Merkle tree, and a replica of one
//! database that checkpoints them.

use super::*;
use crate::page::{Hash, PAGE_SIZE, PageNumber};
use crate::page_store::{FANOUT, height};
use crate::seam::{Disk, SimulatedDisk};
use rusqlite::Connection;
use std::path::Path;
use std::sync::OnceLock;

pub const ROOT: &str = "/replica";

/// One version of a database.
#[derive(Clone, Default)]
pub struct Version {
    pub pages: Vec<[u8; PAGE_SIZE]>,
    /// What stock SQLite says is in it.
    pub content: String,
    tree: Tree,
}

/// Blocks of hashes by level, then index.
type Tree = Vec<Vec<[Hash; FANOUT]>>;

impl Version {
    fn new(pages: Vec<[u8; PAGE_SIZE]>, content: String) -> Self {
        let mut level: Vec<Hash> = pages.iter().map(page_hash).collect();
        let mut tree: Tree = Vec::new();
        for _ in 0..height(pages.len() as u32) {
            let blocks: Vec<[Hash; FANOUT]> = level
                .chunks(FANOUT)
                .map(|chunk| std::array::from_fn(|slot| chunk.get(slot).copied().unwrap_or_default()))
                .collect();
            level = blocks.iter().map(node_hash).collect();
            tree.push(blocks);
        }
        Version { pages, content, tree }
    }

    pub fn top(&self) -> Hash {
        self.tree.last().and_then(|top| top.first()).map_or(Hash::default(), node_hash)
    }

    fn page_count(&self) -> u32 {
        self.pages.len() as u32
    }

    /// Pages and blocks that differ from an older version.
    fn changed_since(&self, old: &Version) -> (Vec<PageNumber>, Vec<BlockChange>) {
        let pages = (1..=self.page_count())
            .filter(|&page| old.pages.get(page as usize - 1) != self.pages.get(page as usize - 1));
        let (old_tree, tree) = (&old.tree, &self.tree);
        let mut blocks = Vec::new();
        for (level, level_blocks) in tree.iter().enumerate() {
            for (index, hashes) in level_blocks.iter().enumerate() {
                let durable =
                    old_tree.get(level).and_then(|blocks| blocks.get(index)).map_or(Hash::default(), node_hash);
                if durable != node_hash(hashes) {
                    blocks.push(BlockChange { level: level as u32, index: index as u32, durable, hashes: *hashes });
                }
            }
        }
        (pages.collect(), blocks)
    }
}

/// A history of one database, made by SQLite itself: it grows over a border of the tree's height.
pub fn history() -> &'static [Version] {
    static HISTORY: OnceLock<Vec<Version>> = OnceLock::new();
    HISTORY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA page_size=4096; PRAGMA secure_delete=ON; CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB); CREATE INDEX i ON t(x);").unwrap();
        let steps = [
            "INSERT INTO t SELECT value, randomblob(300) FROM n WHERE value <= 60",
            "UPDATE t SET x = randomblob(310) WHERE id % 7 = 0",
            "INSERT INTO t SELECT 1000 + value, randomblob(400) FROM n WHERE value <= 260",
            "DELETE FROM t WHERE id BETWEEN 1005 AND 1040",
            "INSERT INTO t SELECT 2000 + value, zeroblob(9000) FROM n WHERE value <= 6",
            "UPDATE t SET x = randomblob(20) WHERE id > 1100",
        ];
        let numbers = "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1000)";
        let version = |step: &&str| {
            connection.execute_batch(&format!("{numbers} {step}")).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let pages = bytes.chunks(PAGE_SIZE).map(|page| page.try_into().unwrap()).collect();
            Version::new(pages, content(&connection))
        };
        steps.iter().map(version).collect()
    })
}

/// All rows, in short.
fn content(connection: &Connection) -> String {
    let rows = "SELECT count(*) || ' ' || coalesce(group_concat(id || hex(substr(x, 1, 6)) || length(x)), '') FROM t";
    connection.query_row(rows, [], |row| row.get(0)).unwrap()
}

/// What stock SQLite reads in exported files: which version, by content; 0 for the empty database that a new
/// one starts as. Panics if it finds the files damaged.
pub fn stock_version(disk: &SimulatedDisk) -> usize {
    let directory = tempfile::tempdir().unwrap();
    disk.export(directory.path()).unwrap();
    let connection = Connection::open(directory.path().join("replica/shop/evesql.db")).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok", "stock SQLite finds damage");
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    if tables == 0 {
        return 0;
    }
    let found = content(&connection);
    1 + history().iter().position(|version| version.content == found).expect("stock SQLite reads a mixture")
}

/// A replica with one database, "shop".
pub struct Replica {
    pub disk: SimulatedDisk,
    pub files: DatabaseFiles,
    /// Versions checkpointed so far; the mark says the same.
    pub version: usize,
}

impl Replica {
    pub fn create(disk: &SimulatedDisk) -> Result<Self, CheckpointError> {
        disk.create_directory(Path::new(ROOT)).unwrap();
        let files = DatabaseFiles::create(disk, Path::new(ROOT), "shop", "shop")?;
        Ok(Replica { disk: disk.clone(), files, version: 0 })
    }

    /// Opens what the manifest says, or begins anew.
    pub fn open(disk: &SimulatedDisk, notices: &mut Vec<Notice>) -> Result<Self, CheckpointError> {
        let Some(manifest) = Manifest::read(disk, Path::new(ROOT))? else { return Self::create(disk) };
        let files = DatabaseFiles::open(disk, Path::new(ROOT), &manifest.sections[0], notices)?;
        let version = manifest.mark[0] as usize;
        assert_eq!(manifest.sections[0].top, history()[version - 1].top(), "mark and root are bound (invariant 6)");
        Ok(Replica { disk: disk.clone(), files, version })
    }

    /// Checkpoints the next version of the history.
    pub fn checkpoint(&mut self) -> Result<(), CheckpointError> {
        let nothing = Version::default();
        let old = if self.version == 0 { &nothing } else { &history()[self.version - 1] };
        let new = &history()[self.version];
        let (pages, blocks) = new.changed_since(old);
        let change = Change { pages: &pages, blocks: &blocks, page_count: new.page_count(), top: new.top() };
        let prepared = self.files.prepare(&change, &mut |page, buffer| {
            *buffer = new.pages[page as usize - 1];
            Ok(page_hash(buffer))
        })?;
        let manifest = Manifest { mark: vec![self.version as u8 + 1], sections: vec![prepared.section().clone()] };
        match manifest.commit(&self.disk, Path::new(ROOT)) {
            Ok(()) => self.files.accept(prepared),
            Err(error) => {
                self.files.abandon(prepared);
                return Err(error);
            }
        }
        self.version += 1;
        Ok(())
    }

    /// Backfills until nothing moves any more.
    pub fn backfill(&self, pages_a_step: usize) -> Result<(), CheckpointError> {
        loop {
            let step = self.files.backfill(pages_a_step, &|_| false)?;
            if step.log_restarted || step.pending == 0 {
                return Ok(());
            }
        }
    }

    /// Reads the whole of a version through the hash blocks and proves it.
    pub fn read_all(&self, version: usize) -> Result<(), CheckpointError> {
        let version = &history()[version - 1];
        self.walk(version, height(version.page_count()) - 1, 0, version.top())
    }

    fn walk(&self, version: &Version, level: u32, index: u32, expected: Hash) -> Result<(), CheckpointError> {
        let damaged = CheckpointError::DamagedBlock { path: self.files.hash_path().to_path_buf(), level, index };
        let hashes = self.files.read_block(level, index, expected)?.ok_or(damaged)?;
        for (slot, hash) in hashes.into_iter().enumerate().filter(|(_, hash)| *hash != Hash::default()) {
            let position = index * FANOUT as u32 + slot as u32;
            if level > 0 {
                self.walk(version, level - 1, position, hash)?;
                continue;
            }
            let mut bytes = [0u8; PAGE_SIZE];
            self.files.read_page(position + 1, hash, &mut bytes)?;
            assert!(bytes == version.pages[position as usize], "page {} proves itself and is wrong", position + 1);
        }
        Ok(())
    }
}
