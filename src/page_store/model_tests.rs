//! The tree against a map from page number to content, over generated histories: writes, truncation, roll back, repair
//! by installation, checkpoints, eviction under a tiny budget, reopening from a source with nothing loaded.

use super::checkpoint::CheckpointError;
use super::node::{FANOUT, block_hash};
use super::*;
use crate::page::PAGE_SIZE;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A version as the plainest thing there is: what byte fills each page that is not zeros, and the number of pages.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    pages: BTreeMap<PageNumber, u8>,
    page_count: u32,
}

fn fill(byte: u8) -> [u8; PAGE_SIZE] {
    [byte; PAGE_SIZE]
}

impl Model {
    fn page_hash(&self, page: PageNumber) -> Hash {
        self.pages.get(&page).map_or(Hash::default(), |byte| Hash::of(&fill(*byte)))
    }

    /// All blocks, by level; computed from nothing but the pages.
    fn blocks(&self) -> Vec<Vec<[Hash; FANOUT]>> {
        let mut row: Vec<Hash> = (1..=self.page_count).map(|page| self.page_hash(page)).collect();
        let mut levels = Vec::new();
        for _ in 0..height(self.page_count) {
            let block = |part: &[Hash]| std::array::from_fn(|slot| part.get(slot).copied().unwrap_or_default());
            let blocks: Vec<[Hash; FANOUT]> = row.chunks(FANOUT).map(block).collect();
            row = blocks.iter().map(hash_of_block).collect();
            levels.push(blocks);
        }
        levels
    }

    fn top(&self) -> Hash {
        self.blocks().last().and_then(|top| top.first()).map_or(Hash::default(), hash_of_block)
    }

    fn diff(&self, other: &Model) -> Vec<PageNumber> {
        (1..=self.page_count.max(other.page_count))
            .filter(|page| self.pages.get(page) != other.pages.get(page))
            .collect()
    }
}

fn hash_of_block(block: &[Hash; FANOUT]) -> Hash {
    let is_empty = *block == [Hash::default(); FANOUT];
    if is_empty { Hash::default() } else { Hash::from_bytes(block_hash(&block.map(Hash::to_bytes))) }
}

/// Files that keep everything that a checkpoint ever wrote, by its hash.
#[derive(Default)]
struct Files {
    pages: Mutex<HashMap<Hash, u8>>,
    blocks: Mutex<HashMap<Hash, [Hash; FANOUT]>>,
    newest: Mutex<Model>,
    /// Blocks cannot be read: the tree must compute them from pages.
    has_lost_blocks: bool,
}

impl Files {
    fn checkpoint(&self, model: &Model) {
        for block in model.blocks().into_iter().flatten() {
            self.blocks.lock().insert(hash_of_block(&block), block);
        }
        for (page, byte) in &model.pages {
            self.pages.lock().insert(model.page_hash(*page), *byte);
        }
        *self.newest.lock() = model.clone();
    }
}

impl PageSource for Files {
    fn block(&self, _: u32, _: u32, expected: Hash) -> Result<Option<[Hash; FANOUT]>, CheckpointError> {
        Ok(self.blocks.lock().get(&expected).copied().filter(|_| !self.has_lost_blocks))
    }
    fn page(&self, page: PageNumber, expected: Hash, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        match self.pages.lock().get(&expected) {
            Some(byte) => *buffer = fill(*byte),
            None => return Err(CheckpointError::DamagedPage { path: "model".into(), page }),
        }
        Ok(())
    }
    fn newest(&self, page: PageNumber, buffer: &mut [u8; PAGE_SIZE]) -> Result<(), CheckpointError> {
        *buffer = fill(self.newest.lock().pages.get(&page).copied().unwrap_or(0));
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(PageNumber, u8)>),
    Truncate(u32),
    TruncateAndGrow(u32, u32),
    RollBack(usize),
    Install(Vec<(PageNumber, u8)>),
    Forget(usize),
    Reclaim,
    Checkpoint,
    Reopen { has_lost_blocks: bool },
}

/// Page 1 is left alone: publishing normalises its bytes 96..100.
fn page() -> impl Strategy<Value = PageNumber> {
    prop_oneof![4 => 2u32..200, 2 => 2u32..4500, 1 => Just(64u32), 1 => Just(65u32), 1 => 4090u32..4100]
}

fn pages() -> impl Strategy<Value = Vec<(PageNumber, u8)>> {
    prop_oneof![
        3 => proptest::collection::vec((page(), 0u8..4), 1..12),
        1 => (page(), 1u32..200, 0u8..4).prop_map(|(first, count, byte)| (first..first + count).map(|p| (p, byte)).collect()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => pages().prop_map(Step::Write),
        2 => page().prop_map(Step::Truncate),
        1 => (page(), page()).prop_map(|(a, b)| Step::TruncateAndGrow(a.min(b), a.max(b))),
        2 => (0usize..6).prop_map(Step::RollBack),
        1 => pages().prop_map(Step::Install),
        3 => (0usize..6).prop_map(Step::Forget),
        3 => Just(Step::Reclaim),
        2 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(|has_lost_blocks| Step::Reopen { has_lost_blocks }),
    ]
}

struct Run {
    files: Arc<Files>,
    store: Arc<PageStore>,
    view: View,
    /// Pinned versions, the head last.
    versions: Vec<(Snapshot, Model)>,
}

const OPTIONS: StoreOptions = StoreOptions { memory_budget_bytes: 40 * PAGE_SIZE, pending_byte_page: 77 };

impl Run {
    fn new() -> Self {
        Self::open(Arc::default(), Model::default())
    }

    fn open(files: Arc<Files>, model: Model) -> Self {
        let tree = StoredTree { top: model.top(), page_count: model.page_count };
        let store = PageStore::from_source(OPTIONS, files.clone(), tree);
        let view = View::canonical(&store);
        Run { versions: vec![(store.head(), model)], files, store, view }
    }

    fn head(&self) -> &(Snapshot, Model) {
        self.versions.last().expect("the head is never forgotten")
    }

    /// Writes through the view and publishes.
    fn publish(&mut self, write: impl Fn(&mut view::ViewState), change: impl Fn(&mut Model)) {
        write(&mut self.view.lock().expect("not in use"));
        let mut model = self.head().1.clone();
        change(&mut model);
        model.pages.remove(&OPTIONS.pending_byte_page);
        model.pages.retain(|page, byte| *byte != 0 && *page <= model.page_count);
        let snapshot = self.store.publish(&self.view).expect("publish");
        self.versions.push((snapshot, model));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(pages) => self.publish(
                |state| pages.iter().for_each(|(page, byte)| state.write(*page, 0, &fill(*byte)).expect("write")),
                |model| pages.iter().for_each(|(page, byte)| write(model, *page, *byte)),
            ),
            Step::Truncate(page_count) => {
                self.publish(|state| state.truncate(*page_count), |model| truncate(model, *page_count));
            }
            Step::TruncateAndGrow(low, high) => self.publish(
                |state| {
                    state.truncate(*low);
                    state.write(*high, 0, &fill(1)).expect("write");
                },
                |model| {
                    truncate(model, *low);
                    write(model, *high, 1);
                },
            ),
            Step::RollBack(back) => {
                let kept = self.versions.len().saturating_sub(*back).max(1);
                let dropped = self.versions.split_off(kept);
                self.store.roll_back(&self.head().0).expect("roll back");
                // Readers of dropped versions still see them.
                dropped.iter().for_each(check_version);
            }
            Step::Install(pages) => {
                let (base, mut model) = self.head().clone();
                pages.iter().for_each(|(page, byte)| write(&mut model, *page, *byte));
                model.pages.remove(&OPTIONS.pending_byte_page);
                let bytes: Vec<_> = pages.iter().map(|(page, byte)| (*page, Box::new(fill(*byte)))).collect();
                let root = root_hash(model.top(), model.page_count);
                let wrong = self.store.install(&base, &bytes, model.page_count + 1, root);
                assert!(matches!(wrong, Err(StoreError::WrongRoot { .. })));
                assert_eq!(self.store.head().root(), base.root());
                let snapshot = self.store.install(&base, &bytes, model.page_count, root).expect("install");
                self.versions.push((snapshot, model));
            }
            Step::Forget(index) => {
                if index + 1 < self.versions.len() {
                    self.versions.remove(*index);
                }
            }
            Step::Reclaim => {
                self.store.reclaim();
            }
            Step::Checkpoint => {
                let (snapshot, model) = self.head();
                self.files.checkpoint(model);
                let pages: Vec<PageNumber> = model.pages.keys().copied().collect();
                self.store.set_stored(snapshot, &pages).expect("stored");
            }
            Step::Reopen { has_lost_blocks } => {
                let newest = self.files.newest.lock().clone();
                let files = Files { has_lost_blocks: *has_lost_blocks, ..Files::default() };
                files.checkpoint(&newest);
                *self = Run::open(Arc::new(files), newest);
            }
        }
        check_version(self.head());
    }

    /// All pinned versions are what they were, and nothing else is kept.
    fn finish(mut self) {
        for pair in self.versions.windows(2) {
            let diff = self.store.diff(&pair[0].0, &pair[1].0).expect("diff");
            assert_eq!(diff, pair[0].1.diff(&pair[1].1));
        }
        self.versions.iter().for_each(check_version);
        let head = self.head().1.clone();
        self.versions.clear();
        self.store.reclaim();
        let stats = self.store.stats();
        assert_eq!(stats.retired, 0);
        let nodes = head.blocks().into_iter().flatten().filter(|block| hash_of_block(block) != Hash::default()).count();
        // What was never read is not in memory.
        assert!(stats.descriptors <= head.pages.len() && stats.nodes <= nodes, "{stats:?}");
        assert_eq!(self.store.rehash(&self.store.head()), [] as [PageNumber; 0]);
        let stats = self.store.stats();
        assert_eq!((stats.descriptors, stats.nodes), (head.pages.len(), nodes));
    }
}

fn write(model: &mut Model, page: PageNumber, byte: u8) {
    model.page_count = model.page_count.max(page);
    model.pages.insert(page, byte);
    model.pages.retain(|_, byte| *byte != 0);
}

fn truncate(model: &mut Model, page_count: u32) {
    model.page_count = page_count;
    model.pages.retain(|page, _| *page <= page_count);
}

fn check_version((snapshot, model): &(Snapshot, Model)) {
    assert_eq!(snapshot.page_count(), model.page_count);
    assert_eq!(snapshot.root(), root_hash(model.top(), model.page_count));
    for page in 1..=model.page_count {
        let byte = model.pages.get(&page).copied().unwrap_or(0);
        // Every page is looked at where it is cheap, a sample elsewhere.
        if byte != 0 || page % 97 == 0 {
            assert_eq!(*snapshot.page(page).expect("page"), fill(byte), "page {page}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn the_tree_agrees_with_a_map_of_pages(steps in proptest::collection::vec(step(), 1..40)) {
        let mut run = Run::new();
        steps.iter().for_each(|step| run.take(step));
        run.finish();
    }
}

#[test]
fn a_damaged_page_on_disk_is_noticed_at_first_touch() {
    let mut run = Run::new();
    run.take(&Step::Write((2..=100).map(|page| (page, (page % 3 + 1) as u8)).collect()));
    run.take(&Step::Checkpoint);
    let model = run.head().1.clone();
    run.files.pages.lock().remove(&model.page_hash(50));
    let tree = StoredTree { top: model.top(), page_count: model.page_count };
    let store = PageStore::from_source(OPTIONS, run.files.clone(), tree);
    let head = store.head();
    assert!(matches!(head.page(50), Err(StoreError::Damaged { page: 50 })));
    assert!(head.page(51).is_ok());
    assert_eq!(store.take_damage(), [50]);
}

#[test]
fn frames_of_stored_pages_go_when_memory_is_short_and_come_back() {
    let mut run = Run::new();
    run.take(&Step::Write((2..=300).map(|page| (page, 1)).collect()));
    run.store.reclaim();
    assert_eq!(run.store.stats().frames, 298, "pages that are nowhere else stay; page 77 is zeros");
    run.take(&Step::Checkpoint);
    run.store.evict();
    assert!(run.store.stats().frames <= 40, "{:?}", run.store.stats());
    let pinned: Vec<_> = (2..=60).map(|page| run.head().0.page(page).expect("page")).collect();
    run.store.evict();
    assert!(pinned.iter().all(|bytes| **bytes == fill(1)));
    drop(pinned);
    check_version(run.head());
}

#[test]
fn readers_fault_and_evict_beside_writer_checkpoints_and_reclamation() {
    let mut run = Run::new();
    let all = |byte: u8| (2..=150).filter(|page| *page != 77).map(|page| (page, byte)).collect::<Vec<_>>();
    run.take(&Step::Write(all(1)));
    let done = std::sync::atomic::AtomicBool::new(false);
    let store = run.store.clone();
    std::thread::scope(|scope| {
        for thread in 0..3u32 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut page = thread;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let snapshot = store.head();
                    let byte = snapshot.page(2).expect("page 2")[0];
                    for _ in 0..200 {
                        page = (page * 31 + 7) % 75 + 2;
                        assert_eq!(*snapshot.page(page % 75 + 2).expect("page"), fill(byte), "one version, one byte");
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                store.reclaim();
            }
        });
        for round in 0..150u32 {
            run.take(&Step::Write(all((round % 250) as u8 + 2)));
            if round % 2 == 0 {
                run.take(&Step::Checkpoint);
            }
            if round % 16 == 15 {
                run.take(&Step::RollBack(3));
            }
            run.take(&Step::Forget(0));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    run.finish();
}
