//! Who belongs to the cluster changes while it works: new nodes come empty, learn, become voters and lead; old ones go.

use crate::clients::Ledger;
use crate::world::{World, address};
use evesql::node::Change;
use evesql::token::NodeId;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{self, Instant};

/// A change that is asked for again and again must have come within this time, faults or not.
const PATIENCE: Duration = Duration::from_secs(120);
/// And within this time where nothing else goes wrong.
const PATIENCE_IN_CALM: Duration = Duration::from_secs(10);
/// Members, at least and at most.
const MEMBERS: (usize, usize) = (3, 5);

/// Changes members until the clients stop, and once at least.
pub async fn administer(world: Rc<World>, ledger: Rc<Ledger>) {
    loop {
        world.sleep_ms(0, 1500).await;
        if take_in(&world).await.is_none() || let_go(&world).await.is_none() || ledger.stop.get() {
            return;
        }
    }
}

/// A new node joins, and mostly becomes a voter. Nothing after a failure.
async fn take_in(world: &World) -> Option<()> {
    let new = {
        let _hands = world.hands.lock().await;
        let new = world.buy_machine();
        world.note(&format!("node {new} is new"));
        world.bring_up(new).await;
        new
    };
    if world.below(2) == 0 {
        stumble(world, new).await;
    }
    join(world, new).await?;
    world.set_member(new, true);
    world.sleep_ms(0, 1000).await;
    if world.below(8) == 0 {
        return leave(world, new).await;
    }
    // Every second one in calm: among faults a node that keeps its results to itself is asked for them.
    let (calm, patience) = match world.below(2) {
        0 => (Some(world.hands.lock().await), PATIENCE_IN_CALM),
        _ => (None, PATIENCE),
    };
    insist(world, Change::Promote(new), patience).await?;
    drop(calm);
    if world.below(2) == 0 {
        // Somebody may be faulty just now: no promise.
        let _ = wish(world, Change::Lead(new)).await;
    }
    Some(())
}

/// Some old nodes go.
async fn let_go(world: &World) -> Option<()> {
    world.sleep_ms(0, 1000).await;
    while world.members().len() > MEMBERS.0 {
        if world.members().len() < MEMBERS.1 && world.below(3) == 0 {
            break;
        }
        let members = world.members();
        leave(world, members[world.below(members.len() as u64) as usize]).await?;
    }
    Some(())
}

async fn leave(world: &World, node: NodeId) -> Option<()> {
    insist(world, Change::Remove(node), PATIENCE).await?;
    world.set_member(node, false);
    // It does not know, and wants to go on.
    world.sleep_ms(0, 2000).await;
    let _hands = world.hands.lock().await;
    world.note(&format!("node {node} is scrapped"));
    world.scrap_machine(node).await;
    Some(())
}

/// As a node does by itself that is new: it asks until it is taken in.
async fn join(world: &World, new: NodeId) -> Option<()> {
    insist_on(world, &format!("node {new} joins"), PATIENCE, async || {
        let through = somebody(world);
        let node = world.node(new).ok_or("the new node is down")?;
        node.join(through, &address(new)).await
    })
    .await
}

/// A new node that goes down as soon as it has asked: the cluster may have taken it in, and goes on without it.
async fn stumble(world: &World, new: NodeId) {
    let through = somebody(world);
    if let Some(node) = world.node(new) {
        let _ = time::timeout(Duration::from_millis(world.below(100)), node.join(through, &address(new))).await;
    }
    let hands = world.hands.lock().await;
    world.crash(new).await;
    drop(hands);
    world.sleep_ms(50, 800).await;
    let _hands = world.hands.lock().await;
    world.bring_up(new).await;
}

async fn insist(world: &World, change: Change, patience: Duration) -> Option<()> {
    insist_on(world, &format!("{change:?}"), patience, async || {
        let wished = wish(world, change.clone()).await;
        match (&wished, &change) {
            // The wish before this one came true, and nobody said so.
            (Err(reason), Change::Remove(node)) if *reason == format!("node {node} is no member") => Ok(reason.clone()),
            (Err(reason), Change::Remove(_)) if reason.contains("hand that over first") => {
                let _ = wish(world, Change::Lead(somebody(world))).await;
                wished
            }
            _ => wished,
        }
    })
    .await
}

/// Asks again and again until it is done.
async fn insist_on(
    world: &World,
    what: &str,
    patience: Duration,
    attempt: impl AsyncFn() -> Result<String, String>,
) -> Option<()> {
    let deadline = Instant::now() + patience;
    let mut said = String::from("no answer");
    while world.failure().is_none() {
        match time::timeout_at(deadline, attempt()).await {
            Ok(Ok(done)) => {
                world.note(&format!("DONE {what}: {done}"));
                let counts = world.counts.get();
                world.counts.set(crate::world::Counts { changes: counts.changes + 1, ..counts });
                return Some(());
            }
            Ok(Err(reason)) => said = reason,
            Err(_) => world.fail(format!("{what}: never comes: {said}; {:#?}", world.states())),
        }
        world.sleep_ms(50, 500).await;
    }
    None
}

/// Asks any member, once.
async fn wish(world: &World, change: Change) -> Result<String, String> {
    let node = world.node(somebody(world)).ok_or("the node that is asked is down")?;
    world.note(&format!("node {} is asked: {change:?}", node.shared.id));
    let answer = node.change(change).await;
    world.note(&format!("node {} answers: {answer:?}", node.shared.id));
    answer
}

fn somebody(world: &World) -> NodeId {
    let members = world.members();
    members[world.below(members.len() as u64) as usize]
}
