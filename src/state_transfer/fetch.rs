//! The descent of a repairing node.

use super::message::{DatabaseHead, Reply, Request};
use crate::page::{Hash, PAGE_SIZE, Page, PageNumber, state_root};
use crate::page_store::checkpoint::node_hash;
use crate::page_store::{FANOUT, Replacement, Snapshot, StoreError, height, root_hash};
use crate::token::Accepted;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Nodes asked for in one request.
const NODES_MAX: usize = 64;
/// Pages asked for in one request: 1 MiB.
const PAGES_MAX: usize = 256;

/// The tree that a repair starts from; hashes as they are held, proved or not.
pub trait OwnTree {
    /// Pages.
    fn page_count(&self) -> u32;
    /// Hash of the top node.
    fn top(&self) -> Hash;
    /// The 64 hashes under a node; zeros where there is none.
    fn children(&self, level: u32, index: u32) -> Result<[Hash; FANOUT], StoreError>;
}

impl OwnTree for Snapshot {
    fn page_count(&self) -> u32 {
        Snapshot::page_count(self)
    }
    fn top(&self) -> Hash {
        self.top_hash()
    }
    fn children(&self, level: u32, index: u32) -> Result<[Hash; FANOUT], StoreError> {
        Snapshot::children(self, level, index)
    }
}

/// Why a source is of no use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FetchError {
    /// It no longer has the state.
    #[error("the source does not hold the state at index {0}")]
    NotHeld(u64),
    /// What it sent is not what the target root says.
    #[error("the source's reply does not match the hash above it")]
    Unproved,
    /// It answered another question.
    #[error("the source's reply does not fit the request")]
    Misfit,
}

/// One repair in progress.
pub struct Fetch {
    target: Accepted,
    own: BTreeMap<String, Box<dyn OwnTree + Send>>,
    damaged: BTreeMap<String, BTreeSet<PageNumber>>,
    /// Leaves of the own trees that cannot be read: what the target has there is fetched whatever the hashes above say.
    unread: BTreeMap<String, BTreeSet<u32>>,
    heads: Option<Vec<DatabaseHead>>,
    asked: Option<Request>,
    nodes: VecDeque<(Arc<str>, u32, u32, Hash)>,
    pages: VecDeque<(Arc<str>, PageNumber, Hash)>,
    /// Damaged pages with their own hashes; queued when no node is left that may say that the target has other ones.
    mends: BTreeMap<String, BTreeMap<PageNumber, Hash>>,
    done: BTreeMap<String, Replacement>,
    /// Nodes whose hashes were fetched.
    pub nodes_fetched: u64,
    /// Pages that were fetched.
    pub pages_fetched: u64,
}

impl Fetch {
    /// Starts from this node's own trees; `damaged` are pages of theirs whose bytes do not match their hash.
    pub fn new(
        target: Accepted,
        own: BTreeMap<String, Box<dyn OwnTree + Send>>,
        damaged: BTreeMap<String, BTreeSet<PageNumber>>,
    ) -> Self {
        let unread =
            damaged.iter().map(|(name, pages)| (name.clone(), unread_leaves(own.get(name).map(|tree| &**tree), pages)));
        Fetch {
            target,
            unread: unread.collect(),
            own,
            damaged,
            heads: None,
            asked: None,
            nodes: VecDeque::new(),
            pages: VecDeque::new(),
            mends: BTreeMap::new(),
            done: BTreeMap::new(),
            nodes_fetched: 0,
            pages_fetched: 0,
        }
    }

    /// The next request; nothing when all is there.
    pub fn request(&mut self) -> Option<Request> {
        let accepted_index = self.target.log_id.index;
        if self.nodes.is_empty() {
            for (database, mends) in std::mem::take(&mut self.mends) {
                let database: Arc<str> = database.into();
                self.pages.extend(mends.into_iter().map(|(page, hash)| (database.clone(), page, hash)));
            }
        }
        // Full requests for pages leave before more nodes are asked for: what is known and not here yet stays few.
        let is_full = self.pages.len() >= PAGES_MAX;
        let request = if self.heads.is_none() {
            Request::State(self.target)
        } else if let Some((database, ..)) = self.nodes.front().filter(|_| !is_full) {
            let same = self.nodes.iter().take(NODES_MAX).take_while(|(name, ..)| name == database);
            let nodes = same.map(|(_, level, index, _)| (*level, *index)).collect();
            Request::Nodes { accepted_index, database: database.to_string(), nodes }
        } else if let Some((database, ..)) = self.pages.front() {
            let same = self.pages.iter().take(PAGES_MAX).take_while(|(name, ..)| name == database);
            let pages = same.map(|(_, page, _)| *page).collect();
            Request::Pages { accepted_index, database: database.to_string(), pages }
        } else {
            return None;
        };
        self.asked = Some(request.clone());
        Some(request)
    }

    /// Takes the reply to the last request. After an error another source can be asked the same again.
    pub fn reply(&mut self, reply: Reply) -> Result<(), FetchError> {
        match (self.asked.take(), reply) {
            (_, Reply::NotHeld) => Err(FetchError::NotHeld(self.target.log_id.index)),
            (Some(Request::State(_)), Reply::State(heads)) => self.take_state(heads),
            (Some(Request::Nodes { nodes, .. }), Reply::Nodes(hashes)) if nodes.len() == hashes.len() => {
                self.take_nodes(hashes)
            }
            (Some(Request::Pages { pages, .. }), Reply::Pages(bytes)) if pages.len() == bytes.len() => {
                self.take_pages(bytes)
            }
            _ => Err(FetchError::Misfit),
        }
    }

    /// The pages that are here, if they are so many bytes at least; they are then held no more. The root of each is that
    /// of the whole.
    pub fn take_part(&mut self, bytes_min: usize) -> Option<BTreeMap<String, Replacement>> {
        let held: usize = self.done.values().map(|database| database.pages.len() * PAGE_SIZE).sum();
        if held < bytes_min {
            return None;
        }
        let take = |(name, database): (&String, &mut Replacement)| {
            let Replacement { root, page_count, ref mut pages } = *database;
            (name.clone(), Replacement { root, page_count, pages: std::mem::take(pages) })
        };
        let full = self.done.iter_mut().filter(|(_, database)| !database.pages.is_empty());
        Some(full.map(take).collect())
    }

    /// Pages of all databases of the target, once that is known.
    pub fn pages_of_target(&self) -> u64 {
        self.heads.iter().flatten().map(|head| u64::from(head.page_count)).sum()
    }

    /// What has to be installed, once [`Fetch::request`] has nothing more to ask. Databases that are not in it
    /// are not in the target state.
    pub fn finish(self) -> BTreeMap<String, Replacement> {
        self.done
    }

    fn take_state(&mut self, heads: Vec<DatabaseHead>) -> Result<(), FetchError> {
        let roots = heads.iter().map(|head| (head.name.as_str(), root_hash(head.top, head.page_count)));
        if state_root(roots) != self.target.root {
            return Err(FetchError::Unproved);
        }
        for head in &heads {
            let root = root_hash(head.top, head.page_count);
            self.done.insert(head.name.clone(), Replacement { root, page_count: head.page_count, pages: Vec::new() });
            let top_level = height(head.page_count) - 1;
            let is_same = self.own_hash(&head.name, top_level + 1, 0, 0) == head.top;
            if !is_same || self.is_unread_below(&head.name, top_level, 0) {
                self.nodes.push_back((head.name.as_str().into(), top_level, 0, head.top));
            }
            self.want_damaged(head);
        }
        self.heads = Some(heads);
        Ok(())
    }

    /// Damaged pages under an equal leaf: the descent does not come by, and their hash is the own one.
    fn want_damaged(&mut self, head: &DatabaseHead) {
        for page in self.damaged.get(&head.name).into_iter().flatten().filter(|page| **page <= head.page_count) {
            let hash = self.own_hash(&head.name, 0, (page - 1) / FANOUT as u32, (page - 1) as usize % FANOUT);
            if hash != Hash::default() {
                self.mends.entry(head.name.clone()).or_default().insert(*page, hash);
            }
        }
    }

    /// Whether a leaf at or below the node (level, index) cannot be read.
    fn is_unread_below(&self, database: &str, level: u32, index: u32) -> bool {
        let span = 1u64 << (6 * level);
        let (first, end) = (index as u64 * span, (index as u64 + 1) * span);
        let Some(leaves) = self.unread.get(database) else { return false };
        leaves.range(first as u32..).next().is_some_and(|leaf| (*leaf as u64) < end)
    }

    /// The own hash in slot `slot` of node (level, index). Above the own tree's top it is as if the tree had
    /// grown: its top node in slot 0, then nodes with nothing but that.
    fn own_hash(&self, database: &str, level: u32, index: u32, slot: usize) -> Hash {
        let Some(tree) = self.own.get(database) else { return Hash::default() };
        let own_height = height(tree.page_count());
        if level < own_height {
            // An own node that cannot be read counts as differing.
            return tree.children(level, index).map_or(Hash::default(), |hashes| hashes[slot]);
        }
        if index > 0 || slot > 0 {
            return Hash::default();
        }
        (own_height..level).fold(tree.top(), |below, _| {
            let mut node = [Hash::default(); FANOUT];
            node[0] = below;
            node_hash(&node)
        })
    }

    fn take_nodes(&mut self, replies: Vec<Vec<Hash>>) -> Result<(), FetchError> {
        for hashes in replies {
            let Some((database, level, index, expected)) = self.nodes.front().cloned() else {
                return Err(FetchError::Misfit);
            };
            let hashes: [Hash; FANOUT] = hashes.try_into().map_err(|_| FetchError::Misfit)?;
            if node_hash(&hashes) != expected {
                return Err(FetchError::Unproved);
            }
            self.nodes.pop_front();
            self.nodes_fetched += 1;
            for (slot, hash) in hashes.into_iter().enumerate() {
                let below = index * FANOUT as u32 + slot as u32;
                let is_same = hash == self.own_hash(&database, level, index, slot);
                if is_same && !(level > 0 && self.is_unread_below(&database, level - 1, below)) {
                    continue;
                }
                match (level, hash == Hash::default()) {
                    (0, true) => self.zero(&database, below + 1),
                    (0, false) => self.want(&database, below + 1, hash),
                    (_, true) => self.clear(&database, level - 1, below),
                    (_, false) => self.nodes.push_back((database.clone(), level - 1, below, hash)),
                }
            }
        }
        Ok(())
    }

    fn want(&mut self, database: &Arc<str>, page: PageNumber, hash: Hash) {
        self.forget_outdated(database, page);
        self.pages.push_back((database.clone(), page, hash));
    }

    /// A damaged page was noted with the own hash; the target has another one.
    fn forget_outdated(&mut self, database: &str, page: PageNumber) {
        if let Some(mends) = self.mends.get_mut(database) {
            mends.remove(&page);
        }
    }

    /// A page that is nothing but zeros in the target and something here.
    fn zero(&mut self, database: &str, page: PageNumber) {
        self.forget_outdated(database, page);
        self.keep(database, page, Box::new([0; PAGE_SIZE]));
    }

    /// A subtree that is nothing but zeros in the target and something here.
    fn clear(&mut self, database: &str, level: u32, index: u32) {
        let span = 1u64 << (6 * (level + 1));
        let page_count = self.done.get(database).map_or(0, |fetched| fetched.page_count) as u64;
        let first = index as u64 * span + 1;
        for page in first..(first + span).min(page_count + 1) {
            self.zero(database, page as PageNumber);
        }
    }

    fn keep(&mut self, database: &str, page: PageNumber, bytes: Page) {
        if let Some(fetched) = self.done.get_mut(database).filter(|fetched| page <= fetched.page_count) {
            fetched.pages.push((page, bytes));
        }
    }

    fn take_pages(&mut self, replies: Vec<Vec<u8>>) -> Result<(), FetchError> {
        for bytes in replies {
            let Some((database, page, expected)) = self.pages.front().cloned() else { return Err(FetchError::Misfit) };
            let bytes: Page = bytes.into_boxed_slice().try_into().map_err(|_| FetchError::Misfit)?;
            if Hash::of(&bytes[..]) != expected {
                return Err(FetchError::Unproved);
            }
            self.pages.pop_front();
            self.pages_fetched += 1;
            self.keep(&database, page, bytes);
        }
        Ok(())
    }
}

/// Numbers of the leaves above damaged pages of which a tree has no hashes left.
fn unread_leaves(tree: Option<&(dyn OwnTree + Send)>, damaged: &BTreeSet<PageNumber>) -> BTreeSet<u32> {
    let leaves: BTreeSet<u32> = damaged.iter().map(|page| (page - 1) / FANOUT as u32).collect();
    leaves.into_iter().filter(|leaf| tree.is_some_and(|tree| tree.children(0, *leaf).is_err())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::LogId;

    /// A tree of one leaf.
    struct Leaf([Hash; FANOUT], u32);

    impl OwnTree for Leaf {
        fn page_count(&self) -> u32 {
            self.1
        }
        fn top(&self) -> Hash {
            node_hash(&self.0)
        }
        fn children(&self, _: u32, _: u32) -> Result<[Hash; FANOUT], StoreError> {
            Ok(self.0)
        }
    }

    #[test]
    fn what_was_taken_as_a_part_is_not_in_the_rest() {
        let bytes = |byte| vec![byte; PAGE_SIZE];
        let mut hashes = [Hash::default(); FANOUT];
        (hashes[0], hashes[1]) = (Hash::of(&bytes(1)), Hash::of(&bytes(2)));
        let head = DatabaseHead { name: "d".into(), top: node_hash(&hashes), page_count: 2 };
        let root = state_root([("d", root_hash(head.top, head.page_count))]);
        let target = Accepted { root, log_id: LogId { index: 7, ..LogId::default() }, ..Accepted::default() };
        let mut fetch = Fetch::new(target, BTreeMap::new(), BTreeMap::new());
        fetch.request();
        fetch.reply(Reply::State(vec![head])).unwrap();
        assert_eq!(fetch.pages_of_target(), 2);
        fetch.request();
        fetch.reply(Reply::Nodes(vec![hashes.to_vec()])).unwrap();
        assert!(matches!(fetch.request(), Some(Request::Pages { pages, .. }) if pages == [1, 2]));
        assert!(fetch.take_part(1).is_none(), "nothing is here yet");
        fetch.reply(Reply::Pages(vec![bytes(1), bytes(2)])).unwrap();
        assert!(fetch.take_part(3 * PAGE_SIZE).is_none());
        let part = fetch.take_part(2 * PAGE_SIZE).unwrap();
        assert_eq!((part["d"].page_count, part["d"].pages.len()), (2, 2));
        assert_eq!(fetch.request(), None);
        let rest = fetch.finish();
        assert_eq!((rest["d"].root, rest["d"].pages.len()), (root_hash(node_hash(&hashes), 2), 0));
    }

    #[test]
    fn a_damaged_page_that_the_target_has_emptied_is_not_asked_for() {
        let mut hashes = [Hash::default(); FANOUT];
        (hashes[0], hashes[1]) = (Hash(1), Hash(2));
        let own = Box::new(Leaf(hashes, 2)) as Box<dyn OwnTree + Send>;
        hashes[1] = Hash::default();
        let head = DatabaseHead { name: "d".into(), top: node_hash(&hashes), page_count: 2 };
        let root = state_root([("d", root_hash(head.top, head.page_count))]);
        let target = Accepted { root, log_id: LogId { index: 7, ..LogId::default() }, ..Accepted::default() };
        let damaged = BTreeMap::from([("d".to_string(), BTreeSet::from([2]))]);
        let mut fetch = Fetch::new(target, BTreeMap::from([("d".to_string(), own)]), damaged);
        assert_eq!(fetch.request(), Some(Request::State(target)));
        fetch.reply(Reply::State(vec![head])).unwrap();
        assert!(matches!(fetch.request(), Some(Request::Nodes { .. })));
        fetch.reply(Reply::Nodes(vec![hashes.to_vec()])).unwrap();
        assert_eq!(fetch.request(), None, "its own hash is outdated, and no source has such a page");
        let pages = &fetch.finish()["d"].pages;
        assert!(matches!(pages.as_slice(), [(2, page)] if page.iter().all(|byte| *byte == 0)));
    }

    /// A tree of which the top hash alone is known: no copy of its leaf is left.
    struct Unread(Hash);

    impl OwnTree for Unread {
        fn page_count(&self) -> u32 {
            2
        }
        fn top(&self) -> Hash {
            self.0
        }
        fn children(&self, level: u32, index: u32) -> Result<[Hash; FANOUT], StoreError> {
            Err(StoreError::DamagedNode { level, index })
        }
    }

    #[test]
    fn what_lies_under_a_leaf_that_cannot_be_read_is_fetched_though_the_hash_above_it_is_the_target_s() {
        let page = vec![1; PAGE_SIZE];
        let mut hashes = [Hash::default(); FANOUT];
        hashes[0] = Hash::of(&page);
        let top = node_hash(&hashes);
        let head = DatabaseHead { name: "d".into(), top, page_count: 2 };
        let root = state_root([("d", root_hash(top, 2))]);
        let target = Accepted { root, log_id: LogId { index: 7, ..LogId::default() }, ..Accepted::default() };
        let damaged = BTreeMap::from([("d".to_string(), BTreeSet::from([1, 2]))]);
        let own = Box::new(Unread(top)) as Box<dyn OwnTree + Send>;
        let mut fetch = Fetch::new(target, BTreeMap::from([("d".to_string(), own)]), damaged);
        fetch.request();
        fetch.reply(Reply::State(vec![head])).unwrap();
        assert!(matches!(fetch.request(), Some(Request::Nodes { nodes, .. }) if nodes == [(0, 0)]));
        fetch.reply(Reply::Nodes(vec![hashes.to_vec()])).unwrap();
        assert!(matches!(fetch.request(), Some(Request::Pages { pages, .. }) if pages == [1]), "the other is zeros");
        fetch.reply(Reply::Pages(vec![page])).unwrap();
        assert_eq!(fetch.request(), None);
        assert_eq!(fetch.finish()["d"].pages.len(), 1);
    }
}
