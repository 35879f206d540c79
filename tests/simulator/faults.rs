//! What goes wrong, one node at a time: the promise is progress with at most one of three nodes faulty, and a node that
//! comes or goes is as good a victim as any. Networks and clocks may misbehave beside that, and all machines may lose their power at once.

use crate::world::{World, calm};
use evesql::node::core::{Drill, Input};
use evesql::peer::Faults;
use evesql::seam::DiskFault;
use evesql::token::NodeId;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{self, Instant};

/// A faulty node must have healed this long after its fault has ended.
const HEALING: Duration = Duration::from_secs(20);

/// Injects one fault and waits until it is over. Returns its name.
pub async fn inject(world: &World) -> &'static str {
    let _hands = world.hands.lock().await;
    let node = world.any();
    let name = match world.below(16) {
        0..3 => crash(world, node).await,
        3 | 4 => crash_in_an_operation(world, node).await,
        5 | 6 => isolate(world, node).await,
        7 => bad_network(world).await,
        8 => skew(world, node).await,
        9 => drill(world, node, Drill::WrongAnswer, "wrong answer").await,
        10 => drill(world, node, Drill::Misorder, "misorder").await,
        11 => {
            let page = 1 + world.below(60) as u32;
            world.flipped.set(Some(node));
            drill(world, node, Drill::FlipBit { page }, "bit flip in memory").await
        }
        12 => flip_on_disk(world, node).await,
        13 => disk_full(world, node).await,
        14 => disk_error(world, node).await,
        _ => match world.below(2) {
            0 => transfer(world, node).await,
            _ => power_failure(world).await,
        },
    };
    heal(world, name).await;
    name
}

/// Waits until all nodes are up, and all members well.
pub async fn heal(world: &World, after: &str) {
    let deadline = Instant::now() + HEALING;
    while world.failure().is_none() {
        world.supervise().await;
        for node in world.ids() {
            if world.node(node).is_none() {
                world.bring_up(node).await;
            }
        }
        if world.is_healthy() {
            world.flipped.set(None);
            return;
        }
        if Instant::now() > deadline {
            let why = world.agreement().err().unwrap_or_default();
            return world.fail(format!("after {after} the cluster does not heal: {why}; {:#?}", world.states()));
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}

async fn crash(world: &World, node: NodeId) -> &'static str {
    world.note(&format!("FAULT crash of node {node}"));
    world.crash(node).await;
    world.sleep_ms(20, 1500).await;
    "a crash"
}

async fn crash_in_an_operation(world: &World, node: NodeId) -> &'static str {
    let disk = world.disk(node);
    let after = world.below(150);
    world.note(&format!("FAULT crash of node {node} in disk operation {after} from now"));
    disk.fault_at(disk.operations() + after, DiskFault::Crash);
    let deadline = Instant::now() + Duration::from_secs(3);
    while !disk.crashed() && Instant::now() < deadline {
        time::sleep(Duration::from_millis(2)).await;
    }
    world.crash(node).await;
    if world.below(2) == 0 {
        // And once more while it recovers.
        disk.fault_at(disk.operations() + world.below(40), DiskFault::Crash);
        if world.start(node, true).await {
            world.sleep_ms(0, 100).await;
            world.crash(node).await;
        }
    }
    "a crash in a disk operation"
}

async fn isolate(world: &World, node: NodeId) -> &'static str {
    world.note(&format!("FAULT node {node} is cut off"));
    let one_way = world.below(3) == 0;
    let others: Vec<NodeId> = world.ids().into_iter().filter(|other| *other != node).collect();
    for other in &others {
        match one_way {
            true => world.network.set_direction(node, *other, false),
            false => world.network.set_link(node, *other, false),
        }
    }
    world.sleep_ms(50, 2500).await;
    for other in others {
        world.network.set_link(node, other, true);
    }
    "a partition"
}

async fn bad_network(world: &World) -> &'static str {
    world.note("FAULT the network loses and delays");
    let loss = world.below(30) as f64 / 100.0;
    let delay_max = Duration::from_millis(1 + world.below(60));
    world.network.set_faults(Faults { loss, delay_min: Duration::from_micros(100), delay_max });
    world.sleep_ms(200, 2000).await;
    world.network.set_faults(calm());
    "a bad network"
}

async fn skew(world: &World, node: NodeId) -> &'static str {
    let offset_us = world.below(20_000_000) as i64 - 10_000_000;
    world.note(&format!("FAULT clock of node {node} is off by {offset_us} us"));
    world.clock(node).offset_us.store(offset_us, Ordering::Relaxed);
    "a wrong clock"
}

async fn drill(world: &World, node: NodeId, drill: Drill, name: &'static str) -> &'static str {
    world.note(&format!("FAULT {name} at node {node}"));
    if let Some(node) = world.node(node) {
        node.inbox.put(Input::Drill(drill));
    }
    world.sleep_ms(100, 500).await;
    name
}

/// A bit of some file of a stopped node. One that refuses what it finds is right: then the bit is put back.
async fn flip_on_disk(world: &World, node: NodeId) -> &'static str {
    world.crash(node).await;
    let disk = world.disk(node);
    let files: Vec<(PathBuf, usize)> = disk
        .contents()
        .into_iter()
        .map(|(path, bytes)| (path, bytes.len()))
        .filter(|(_, length)| *length > 0)
        .collect();
    let databases: Vec<_> = files.iter().filter(|(path, _)| path.to_string_lossy().contains("databases")).collect();
    if databases.is_empty() {
        return "a crash";
    }
    let (path, length) = databases[world.below(databases.len() as u64) as usize];
    let (offset, bit) = (world.below(*length as u64), world.below(8) as u8);
    world.note(&format!("FAULT bit {bit} of byte {offset} of {} at node {node} flips", path.display()));
    disk.flip_bit(path, offset, bit);
    world.flipped.set(Some(node));
    world.sleep_ms(20, 500).await;
    if !world.start(node, true).await {
        world.note("the damage is refused: the bit is put back");
        disk.flip_bit(path, offset, bit);
    }
    "a bit flip on disk"
}

async fn disk_full(world: &World, node: NodeId) -> &'static str {
    world.note(&format!("FAULT the disk of node {node} is full"));
    let disk = world.disk(node);
    disk.set_capacity_bytes(Some(0));
    world.sleep_ms(200, 2500).await;
    disk.set_capacity_bytes(None);
    world.sleep_ms(10, 100).await;
    "a full disk"
}

async fn disk_error(world: &World, node: NodeId) -> &'static str {
    let disk = world.disk(node);
    let after = world.below(100);
    world.note(&format!("FAULT disk operation {after} from now of node {node} fails"));
    disk.fault_at(disk.operations() + after, DiskFault::Error);
    world.sleep_ms(100, 1000).await;
    disk.clear_faults();
    "a disk error"
}

async fn transfer(world: &World, node: NodeId) -> &'static str {
    world.note(&format!("FAULT the leadership goes to node {node}"));
    if let Some(leader) = world.leader() {
        let _ = leader.consensus.transfer_leader(node).await;
    }
    world.sleep_ms(50, 500).await;
    "a leader change"
}

async fn power_failure(world: &World) -> &'static str {
    world.note("FAULT all machines lose their power");
    for node in world.ids() {
        world.crash(node).await;
    }
    world.sleep_ms(10, 100).await;
    "a power failure"
}
