//! Nodes that prove to each other who they are.

use super::harness::free_port;
use super::node::Node;
use super::wires::State;
use super::world::{ALL, World, rounds};
use evesql::admin::NodeStatus;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A CA for the nodes of one cluster.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let (key, directory) = (KeyPair::generate().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), directory }
    }

    /// What a node is started with, certificate and key made for it.
    fn options(&self, node: u64) -> Vec<String> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![format!("node-{node}")]).unwrap();
        let path = |file: String| self.directory.path().join(file);
        let (cert, of) = (path(format!("{node}.pem")), path(format!("{node}.key")));
        std::fs::write(&cert, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&of, key.serialize_pem()).unwrap();
        let files = [("--peer-ca", path("ca.pem".into())), ("--peer-cert", cert), ("--peer-key", of)];
        files.iter().flat_map(|(option, file)| [option.to_string(), file.to_str().unwrap().into()]).collect()
    }
}

fn said(world: &World, node: u64, words: &str) {
    let waits = format!("node {node} does not say: {words}");
    world.wait_until(&waits, |world| world.nodes[&node].said().contains(words));
}

#[test]
fn nodes_with_certificates_serve_under_load_and_hear_nobody_without_one() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut world = World::start_each(|id| ours.options(id));
    for _ in 0..rounds() {
        let load = world.load();
        load.goes_on(100);
        let cut = world.followers()[0];
        world.wires.isolate(cut, State::Closed);
        load.goes_on(50);
        world.wires.heal();
        world.agree_under_load(&ALL);
        world.wires.slow_down(cut, std::time::Duration::from_millis(20), 1 << 20);
        load.goes_on(50);
        world.wires.heal();
        let leader = world.leader(&ALL);
        world.node(leader).kill();
        load.goes_on(100);
        world.start_nodes(&[leader]);
        world.agree_under_load(&ALL);
        load.finish(&world.runtime);
    }
    let load = world.load();
    let [plain, _] = world.followers();
    let sees_it = world.leader(&ALL);
    world.node(plain).kill();
    let options = std::mem::take(&mut world.node(plain).more);
    world.node(plain).start();
    said(&world, plain, "the other side talks to its peers over TLS, and this node does not");
    said(&world, plain, "talks to its peers over TLS, and this connection came without it");
    said(&world, sees_it, "this node talks to its peers over TLS, and the other side does not");
    said(&world, sees_it, "talks to its peers over TLS, and this connection came without it");
    load.goes_on(50);
    let [alone, other] = [plain, sees_it].map(|id| world.nodes[&id].own_status());
    let hears_nobody = |node: NodeStatus| node.accepted_index < other.as_ref().unwrap().accepted_index;
    assert!(alone.is_none_or(hears_nobody), "it follows somebody");
    world.node(plain).kill();
    world.node(plain).more = options;
    world.start_nodes(&[plain]);
    world.agree_under_load(&ALL);

    let at = format!("127.0.0.1:{}", world.nodes[&1].peer_port);
    let mut fourth = Node::joining(4, world.directory.path().join("of-4"), free_port(), at, &[]);
    fourth.more = theirs.options(4);
    fourth.start();
    world.nodes.insert(4, fourth);
    said(&world, 4, "is not signed by the CA that this node knows");
    said(&world, 1, "does not know the CA of this node's certificate");
    world.node(4).kill();
    world.node(4).more = ours.options(4);
    world.start_nodes(&[4]);
    load.goes_on(50);
    load.finish(&world.runtime);
    world.end_with(&[1, 2, 3, 4]);
}
