//! Kills a replica while browsers are at work, brings it back, and notes when it is what again.

use super::cluster::Cluster;
use super::{Death, Disk, Marks, Options};
use crate::evesql::Node;
use crate::run::Measured;
use crate::session::{self, Error, Statement, Synchronous};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A replica that is not healthy so long after browsers have stopped will not be.
const PATIENCE: Duration = Duration::from_secs(60);
/// How closely a replica is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// One that is well answers within this time.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Somebody leads at any time, but for a moment.
const LEADER_WAIT: Duration = Duration::from_secs(10);

/// A strict read of something small.
static READ: Statement = Statement::same("SELECT i_stock FROM item WHERE i_id = 1");

/// From the first moment that is measured until the replica is well, or nothing more is to be expected.
///
/// # Errors
/// Nobody leads, or the replica cannot be started or let in.
pub(super) fn watch(cluster: &mut Cluster, options: &Options, measured: Measured) -> Result<Death, Error> {
    let disk = options.disk;
    let seconds = || measured.from.elapsed().as_secs_f64();
    sleep_until(measured.from + options.before);
    let (leader, follower) = roles(cluster)?;
    let node = if options.leader { leader } else { follower };
    let had_accepted = cluster.own(node).map_or(0, |own| own.accepted_index);
    let killed = Instant::now();
    let mut marks = Marks { killed_s: seconds(), ..Marks::default() };
    cluster.kill(node, disk)?;
    sleep_until(killed + options.dead);
    let (newest, logged) = (cluster.newest_beside(node).unwrap_or(had_accepted), cluster.logged(node));
    marks.started_s = seconds();
    let returned_as = cluster.bring_back(node, disk)?;
    // A new one begins with nothing.
    let (had_accepted, logged) = if returned_as == node { (had_accepted, logged) } else { (0, 0) };
    let deadline = measured.until + PATIENCE;
    let answered = first_answer(cluster.url_of(returned_as), deadline);
    while Instant::now() < deadline && cluster.last_word(returned_as).is_none() {
        // The others first: what they had then it can have now.
        let newest = cluster.newest_beside(returned_as);
        let own = cluster.own(returned_as).filter(Node::serves);
        let has_all = |own: &Node| newest.is_some_and(|newest| own.accepted_index >= newest);
        if marks.caught_up_s.is_none() && own.as_ref().is_some_and(has_all) {
            marks.caught_up_s = Some(seconds());
            if disk == Disk::Lost {
                cluster.replace(node, returned_as)?;
                marks.voter_s = Some(seconds());
            }
        }
        if marks.caught_up_s.is_some() && own.is_some_and(|own| own.state == "healthy") {
            marks.healthy_s = Some(seconds());
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let answered = answered.recv_timeout(ANSWER_WAIT).ok();
    marks.answers_s = answered.map(|at| at.duration_since(measured.from).as_secs_f64());
    Ok(Death {
        node,
        was_leader: node == leader,
        disk,
        returned_as,
        marks,
        batches_behind: newest.saturating_sub(had_accepted),
        pages_fetched: cluster.pages_fetched(returned_as, logged),
    })
}

fn sleep_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn roles(cluster: &Cluster) -> Result<(u64, u64), Error> {
    let deadline = Instant::now() + LEADER_WAIT;
    loop {
        match cluster.roles() {
            Some(roles) => return Ok(roles),
            None if Instant::now() > deadline => return Err(Error::Failed("no node leads the cluster".into())),
            None => std::thread::sleep(PAUSE),
        }
    }
}

/// When a node has first answered a read, asked on a thread that a silent node holds up alone.
fn first_answer(url: String, deadline: Instant) -> Receiver<Instant> {
    let (sender, answered) = channel();
    std::thread::spawn(move || {
        while Instant::now() < deadline {
            let database = session::database(&url, Synchronous::Full);
            let read = database.and_then(|database| database.open()?.query(&READ, &[]));
            if read.is_ok() {
                // Whoever asked may have gone.
                let _ = sender.send(Instant::now());
                return;
            }
            std::thread::sleep(PAUSE / 5);
        }
    });
    answered
}
