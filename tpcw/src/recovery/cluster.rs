//! Three `evesql node` processes that talk on loopback, and a fourth that may take the place of one.

use super::Disk;
use crate::evesql::{self, Node, Process, free_address};
use crate::random::Random;
use crate::session::Error;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The one that comes in place of one whose disk is lost.
const NEW: u64 = 4;
/// Settings of nodes whose log does not reach back to the beginning, as in a cluster that is old.
const FORGETFUL: &str = "checkpoint_batches = 50\nlog_keep_entries = 50\n";
/// Nodes that nobody writes to agree within this time.
const AGREEMENT_WAIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);
const PAGE_BYTES: u64 = 4096;
/// As it logs that pages came from another node.
const REPAIRED: &str = "repaired by page transfer";

/// Its processes end with it.
pub(super) struct Cluster {
    program: PathBuf,
    directory: PathBuf,
    nodes: BTreeMap<u64, Process>,
    /// Where they reach each other.
    peers: BTreeMap<u64, String>,
}

impl Cluster {
    /// All three, once they take connections.
    pub fn start(program: &Path, directory: &Path, disk: Disk) -> Result<Cluster, Error> {
        let (nodes, peers) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Cluster { program: program.into(), directory: directory.into(), nodes, peers };
        let settings = match disk {
            Disk::Kept | Disk::Damaged => "",
            Disk::Lost => FORGETFUL,
        };
        let file = cluster.settings();
        let written = fs::write(&file, settings);
        written.map_err(|error| Error::Failed(format!("{} cannot be written: {error}", file.display())))?;
        for id in 1..=3 {
            cluster.peers.insert(id, free_address()?);
        }
        let all: Vec<String> = cluster.peers.iter().map(|(id, address)| format!("{id}={address}")).collect();
        for id in 1..=3 {
            cluster.add(id, ["--peers", &all.join(",")])?;
        }
        cluster.start_all()?;
        Ok(cluster)
    }

    fn start_all(&mut self) -> Result<(), Error> {
        // None of them is ready without another one.
        self.nodes.values_mut().try_for_each(Process::start)?;
        self.nodes.values_mut().try_for_each(Process::ready)
    }

    /// Stops all in order and starts them again: then what was written stands in the databases' files, and the log
    /// begins behind it.
    pub fn restart(&mut self) -> Result<(), Error> {
        // All at once: one that is left alone has nobody to finish with.
        self.nodes.values().try_for_each(Process::stop)?;
        self.nodes.values_mut().for_each(Process::ended);
        self.start_all()
    }

    fn add(&mut self, id: u64, way_in: [&str; 2]) -> Result<(), Error> {
        let (number, settings, peer) = (id.to_string(), self.settings().display().to_string(), &self.peers[&id]);
        let words = ["node", "--id", &number, "--config", &settings, "--peer-listen", peer].into_iter().chain(way_in);
        let process = Process::new(&self.program, words.map(str::to_string), &self.data(id))?;
        self.nodes.insert(id, process);
        Ok(())
    }

    fn settings(&self) -> PathBuf {
        self.directory.join("evesql.toml")
    }

    fn data(&self, id: u64) -> PathBuf {
        self.directory.join(format!("of-{id}"))
    }

    fn node(&mut self, id: u64) -> Result<&mut Process, Error> {
        self.nodes.get_mut(&id).ok_or_else(|| Error::Failed(format!("there is no node {id}")))
    }

    /// For clients: those that are there now, one as good as another.
    pub fn url(&self) -> String {
        evesql::url(self.nodes.values().map(|node| node.listen.as_str()))
    }

    /// For clients of this one.
    pub fn url_of(&self, id: u64) -> String {
        self.nodes.get(&id).map(Process::url).unwrap_or_default()
    }

    /// What a node says of itself.
    pub fn own(&self, id: u64) -> Option<Node> {
        self.nodes.get(&id)?.status()?.nodes.into_iter().find(|node| node.id == id)
    }

    fn all(&self) -> Option<Vec<Node>> {
        self.nodes.keys().map(|id| self.own(*id)).collect()
    }

    /// Who leads, and the last of those who do not.
    pub fn roles(&self) -> Option<(u64, u64)> {
        let all = self.all()?;
        let newest = all.iter().map(|node| node.term).max();
        let leader = all.iter().find(|node| node.role == "leader" && Some(node.term) == newest)?.id;
        let follower = all.iter().rev().find(|node| node.id != leader)?.id;
        Some((leader, follower))
    }

    /// The newest batch that another one than this has accepted.
    pub fn newest_beside(&self, id: u64) -> Option<u64> {
        let others = self.nodes.keys().filter(|other| **other != id);
        others.filter_map(|other| self.own(*other)).map(|node| node.accepted_index).max()
    }

    /// Ends a node, and does to its disk what is to be done.
    pub fn kill(&mut self, id: u64, disk: Disk) -> Result<(), Error> {
        self.node(id)?.kill();
        let data = self.data(id);
        let done = match disk {
            Disk::Kept => Ok(()),
            Disk::Damaged => damage(&data, &mut Random::new(id)),
            Disk::Lost => fs::remove_dir_all(&data),
        };
        done.map_err(|error| Error::Failed(format!("{} cannot be damaged: {error}", data.display())))
    }

    /// Starts it again, or a new one in its place; who that is.
    pub fn bring_back(&mut self, id: u64, disk: Disk) -> Result<u64, Error> {
        let returned = match disk {
            Disk::Kept | Disk::Damaged => id,
            Disk::Lost => {
                let others = self.peers.iter().find(|(other, _)| **other != id);
                let at = others.map(|(_, address)| address.clone()).unwrap_or_default();
                self.peers.insert(NEW, free_address()?);
                self.nodes.remove(&id);
                self.add(NEW, ["--join", &at])?;
                NEW
            }
        };
        self.node(returned)?.start()?;
        Ok(returned)
    }

    /// Makes the new one a voter in place of another one.
    pub fn replace(&self, id: u64, by: u64) -> Result<(), Error> {
        let asked = self.nodes.iter().find(|(other, _)| **other != by).map(|(_, process)| process);
        let asked = asked.ok_or_else(|| Error::Failed("no node is left".into()))?;
        asked.wish(&format!("/member/add/{by}"))?;
        asked.wish(&format!("/member/remove/{id}"))
    }

    /// How much a node has logged.
    pub fn logged(&self, id: u64) -> usize {
        self.nodes.get(&id).map_or(0, |node| node.log().len())
    }

    /// Pages that a node fetched from others, as far as it has logged behind this place.
    pub fn pages_fetched(&self, id: u64, from: usize) -> u64 {
        let log = self.nodes.get(&id).map(Process::log).unwrap_or_default();
        pages_in(log.get(from..).unwrap_or_default())
    }

    /// What a node said last, if it has ended.
    pub fn last_word(&mut self, id: u64) -> Option<String> {
        let node = self.nodes.get_mut(&id)?;
        (!node.is_up()).then(|| node.log().lines().last().unwrap_or("nothing").to_string())
    }

    /// What keeps its nodes from being one database, once they had time to become it.
    pub fn disagreement(&self, may_diverge: bool) -> Vec<String> {
        let mut findings = Vec::new();
        let deadline = Instant::now() + AGREEMENT_WAIT;
        let agreed = loop {
            let all = self.all().filter(|all| is_one(all));
            if all.is_some() || Instant::now() > deadline {
                break all;
            }
            std::thread::sleep(PAUSE);
        };
        match agreed {
            None => findings.push(format!("the nodes do not agree: {:?}", self.all())),
            Some(all) => {
                let found = all.iter().filter(|node| node.audits_found > 0);
                findings.extend(found.map(|node| format!("an audit of node {} found a difference", node.id)));
            }
        }
        if !may_diverge {
            let status = self.nodes.values().find_map(Process::status).unwrap_or_default();
            let each = status.divergences.iter();
            findings.extend(each.map(|one| format!("nodes {:?} diverged at batch {}", one.minority, one.index)));
        }
        findings
    }
}

/// One root at one index.
fn is_one(all: &[Node]) -> bool {
    let same = |pair: &[Node]| (pair[0].accepted_index, &pair[0].root) == (pair[1].accepted_index, &pair[1].root);
    all.iter().all(Node::serves) && all.windows(2).all(same)
}

/// Of what a node logged.
fn pages_in(log: &str) -> u64 {
    let repairs = log.lines().filter(|line| line.contains(REPAIRED));
    let pages = |line: &str| line.split_once(" pages=")?.1.split(' ').next()?.parse::<u64>().ok();
    repairs.filter_map(pages).sum()
}

/// Flips a bit of each page of the databases below a directory, in base files and logs of pages.
fn damage(directory: &Path, random: &mut Random) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            damage(&path, random)?;
        } else if name == "evesql.db" || name == "evesql.db-wal" {
            let mut bytes = fs::read(&path)?;
            for page in bytes.chunks_mut(PAGE_BYTES as usize) {
                let bit = random.between(0, page.len() as i64 * 8 - 1) as usize;
                page[bit / 8] ^= 1 << (bit % 8);
            }
            fs::write(&path, bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_one_if_all_serve_one_root_at_one_index() {
        let node = |accepted_index, root: &str, state: &str| Node {
            accepted_index,
            root: root.into(),
            state: state.into(),
            ..Node::default()
        };
        assert!(is_one(&[node(7, "a", "healthy"), node(7, "a", "verifying")]));
        assert!(!is_one(&[node(7, "a", "healthy"), node(8, "a", "healthy")]));
        assert!(!is_one(&[node(7, "a", "healthy"), node(7, "b", "healthy")]));
        assert!(!is_one(&[node(7, "a", "healthy"), node(7, "a", "quarantined")]));
    }

    #[test]
    fn pages_are_counted_over_all_repairs_and_in_nothing_else() {
        let log = "WARN evesql: joining by pages node=4 pages=7\n\
                   WARN evesql: repaired by page transfer node=4 index=9 nodes=2 pages=30 tables=[\"item\"]\n\
                   WARN evesql: repaired by page transfer node=4 index=12 nodes=1 pages=4";
        assert_eq!(pages_in(log), 34);
        assert_eq!(pages_in(""), 0);
    }

    #[test]
    fn damage_flips_one_bit_of_each_page_of_databases_and_of_no_other_file() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("databases");
        fs::create_dir(&below).unwrap();
        let zeros = vec![0; 2 * PAGE_BYTES as usize + 24];
        let files = ["evesql.db", "evesql.db-wal", "evesql.db-hashes"].map(|name| below.join(name));
        files.iter().for_each(|file| fs::write(file, &zeros).unwrap());
        damage(directory.path(), &mut Random::new(1)).unwrap();
        let ones: [Vec<u32>; 3] = files.map(|file| {
            let pages = fs::read(file).unwrap();
            pages.chunks(PAGE_BYTES as usize).map(|page| page.iter().map(|byte| byte.count_ones()).sum()).collect()
        });
        assert_eq!(ones, [vec![1, 1, 1], vec![1, 1, 1], vec![0, 0, 0]]);
    }
}
