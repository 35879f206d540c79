//! Temporary tables of clients whose node is killed: its next process drops them.

use super::world::World;

const LEFT: &str = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg_temp%'";

#[test]
fn temporary_tables_of_a_node_that_was_killed_are_dropped_when_it_is_back() {
    let mut world = World::start(&[]);
    let [victim, other] = world.followers();
    let client = world.connect(victim);
    let made = "CREATE TEMP TABLE t (id serial PRIMARY KEY, x int); INSERT INTO t (x) VALUES (1), (2)";
    world.runtime.block_on(client.batch_execute(made)).unwrap();
    let left = |world: &World, node: u64| -> i64 {
        let client = world.connect(node);
        world.runtime.block_on(client.query_one(LEFT, &[])).unwrap().get(0)
    };
    assert_eq!(left(&world, other), 1);
    world.node(victim).kill();
    assert_eq!(left(&world, other), 1, "nobody else can know that they are nobody's");
    world.start_nodes(&[victim]);
    // Its first client has it look.
    let first = world.connect(victim);
    world.wait_until("they stay", |world| left(world, other) == 0);
    drop((client, first));
    world.end();
}
