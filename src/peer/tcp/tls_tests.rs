//! Who is heard over TLS, and what everybody else and this node are told.

use super::greeting;
use super::tests::{Keeper, PATIENCE, Side, other, side, side_with};
use super::tls::{Proof, named_in};
use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::path::PathBuf;

/// A CA, and where its files lie.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: tempfile::TempDir,
    name: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), directory, name: name.into() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// A certificate with these DNS names, changed somehow.
    fn signs(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> TlsFiles {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let file = format!("{}-{}", names.join("-"), std::fs::read_dir(self.directory.path()).unwrap().count());
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("a node of {}", self.name));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let (cert, of) = (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        std::fs::write(&cert, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&of, key.serialize_pem()).unwrap();
        TlsFiles { ca: self.path("ca.pem"), cert, key: of }
    }

    fn of_node(&self, node: NodeId) -> TlsFiles {
        self.signs(&[&format!("node-{node}")], |_| {})
    }
}

fn expire(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
}

/// A node that uses its files whatever they are worth.
fn secured(node: NodeId, files: &TlsFiles) -> Side {
    side_with(node, "a", 1 << 20, Some(Proof::read(files).unwrap().used(files).unwrap()))
}

/// What both sides of one connection make of each other: the dialer, who looks for the accepter, first.
async fn meet(one: &Side, two: &Side) -> (Result<NodeId, GreetingError>, Result<NodeId, GreetingError>) {
    let (one, two) = (&one.tcp.inner, &two.tcp.inner);
    let dials = async {
        let (mut stream, door) = one.dial(&two.listener.local_addr().unwrap().to_string()).await?;
        greeting::dial(&mut stream, one.options.node, Some(two.options.node), &door).await
    };
    let listener = tokio::net::TcpListener::from_std(two.listener.try_clone().unwrap()).unwrap();
    let accepts = async {
        let (mut stream, door) = two.admit(listener.accept().await.unwrap().0).await?;
        greeting::accept(&mut stream, two.options.node, &door).await
    };
    futures::future::join(dials, accepts).await
}

/// Neither side takes the other one for a node; what the dialer and the accepter say of it.
async fn strangers(one: &Side, two: &Side, dialer: &str, accepter: &str) {
    let (dialled, accepted) = meet(one, two).await;
    let (dialled, accepted) = (dialled.unwrap_err().to_string(), accepted.unwrap_err().to_string());
    assert!(dialled.contains(dialer), "the dialer: {dialled}");
    assert!(accepted.contains(accepter), "the accepter: {accepted}");
}

#[tokio::test]
async fn nodes_with_certificates_of_one_ca_talk() {
    let ca = Authority::new("ours");
    let tls = |node| Some(PeerTls::load(&ca.of_node(node), node).unwrap());
    let (one, two) = (side_with(1, "a", 1 << 20, tls(1)), side_with(2, "a", 1 << 20, tls(2)));
    let keeper = Arc::new(Keeper::default());
    let _listening = two.tcp.attach(2, keeper.clone());
    assert_eq!(one.tcp.introduce(&two.tcp.local_address().unwrap().to_string()).await.unwrap(), 2);
    one.connected(2).await;
    // Longer than any of TLS's records and buffers.
    let long = "x".repeat(300_000);
    let asked: Vec<_> = ["a", &long, "b"].map(|text| one.transport.request(2, other(text), PATIENCE)).into();
    for (asked, text) in asked.into_iter().zip(["a", &long, "b"]) {
        assert_eq!(asked.await, Ok(PeerReply::Bytes(text.to_string().into())));
    }
    assert_eq!(keeper.seen.lock().len(), 3);
}

#[tokio::test]
async fn a_certificate_that_names_no_node_is_good_for_any() {
    let ca = Authority::new("ours");
    let files = ca.signs(&["db.example.com"], |_| {});
    let tls = |node| Some(PeerTls::load(&files, node).unwrap());
    let (one, two) = (side_with(1, "a", 1 << 20, tls(1)), side_with(2, "a", 1 << 20, tls(2)));
    assert!(matches!(meet(&one, &two).await, (Ok(2), Ok(1))));
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_by_either_side() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (two, stranger) = (secured(2, &ours.of_node(2)), secured(1, &theirs.of_node(1)));
    let (told, seen) =
        ("does not know the CA of this node's certificate", "is not signed by the CA that this node knows");
    // The dialer sees the accepter's certificate first.
    strangers(&stranger, &two, seen, told).await;
    // It takes anybody, and is not taken.
    let trusting = TlsFiles { ca: ours.path("ca.pem"), ..theirs.of_node(1) };
    strangers(&secured(1, &trusting), &two, told, seen).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_either_side() {
    let ca = Authority::new("ours");
    let (two, late) = (secured(2, &ca.of_node(2)), secured(1, &ca.signs(&["node-1"], expire)));
    let (told, seen) = ("this node's certificate is expired", "the other side's certificate has expired");
    strangers(&late, &two, told, seen).await;
    strangers(&two, &late, seen, told).await;
}

#[tokio::test]
async fn the_certificate_of_one_node_does_not_pass_for_another_one() {
    let ca = Authority::new("ours");
    let (two, thief) = (secured(2, &ca.of_node(2)), secured(1, &ca.of_node(3)));
    let said = "the certificate of node-3 is no proof of being node 1";
    strangers(&thief, &two, said, said).await;
    assert!(!thief.door.refusal().unwrap().is_final);
    let (dialled, accepted) = meet(&two, &thief).await;
    assert!(dialled.unwrap_err().to_string().contains(said));
    // It learns of it when the connection ends.
    assert_eq!(accepted.unwrap(), 2);
}

#[tokio::test]
async fn a_final_word_of_somebody_in_another_nodes_place_is_not_final() {
    let ca = Authority::new("ours");
    let files = ca.of_node(3);
    let (two, thief) =
        (secured(2, &ca.of_node(2)), side_with(1, "b", 1 << 20, Proof::read(&files).unwrap().used(&files).ok()));
    assert!(meet(&two, &thief).await.0.is_err());
    assert!(!two.door.refusal().unwrap().is_final);
    let files = ca.of_node(1);
    let honest = side_with(1, "b", 1 << 20, Proof::read(&files).unwrap().used(&files).ok());
    assert!(meet(&two, &honest).await.0.is_err());
    assert!(two.door.refusal().unwrap().is_final);
}

#[tokio::test]
async fn with_and_without_tls_do_not_talk_and_both_say_why() {
    let ca = Authority::new("ours");
    let (plain, secure) = (side(1, "a", 1 << 20), secured(2, &ca.of_node(2)));
    let told = "node 2 talks to its peers over TLS, and this connection came without it";
    strangers(&plain, &secure, told, told).await;
    assert!(!plain.door.refusal().unwrap().is_final);
    let (secured, plainly) = (
        "this node talks to its peers over TLS, and the other side does not",
        "the other side talks to its peers over TLS, and this node does not",
    );
    strangers(&secure, &plain, secured, plainly).await;
}

#[test]
fn no_certificate_is_not_one_that_is_good_for_all() {
    assert!(named_in(None).is_err());
    assert!(named_in(Some(&[])).is_err());
    assert!(named_in(Some(&[vec![0].into()])).is_err());
}

/// Says hello over a connection, without any doubt about the other side; whether it is welcome.
async fn barges_in<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, as_node: &Side) -> Result<NodeId, GreetingError> {
    greeting::dial(&mut stream, as_node.tcp.inner.options.node, None, &*as_node.door).await
}

#[tokio::test]
async fn nobody_without_a_good_certificate_is_heard() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (two, keeper) = (secured(2, &ours.of_node(2)), Arc::new(Keeper::default()));
    let _listening = two.tcp.attach(2, keeper.clone());
    let trusting = TlsFiles { ca: ours.path("ca.pem"), ..theirs.of_node(1) };
    let bad = [
        side(1, "a", 1 << 20),
        secured(1, &trusting),
        secured(1, &ours.signs(&["node-1"], expire)),
        secured(1, &ours.of_node(3)),
        secured(
            1,
            &ours.signs(&["node-1"], |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
        ),
    ];
    for one in &bad {
        one.knows(2, &two);
        one.transport.send(2, other("bad"));
        let (stream, door) = one.tcp.inner.dial(&one.tcp.inner.address(2).unwrap()).await.unwrap();
        assert!(barges_in(stream, one).await.is_err());
        drop(door);
        assert!(!one.tcp.reaches(2));
    }
    let address = two.tcp.local_address().unwrap();
    let anonymous = Proof::read(&ours.of_node(1)).unwrap().anonymous();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = tokio_rustls::rustls::pki_types::ServerName::try_from("nobody").unwrap();
    let error = match anonymous.connect(name, stream).await {
        Ok(stream) => barges_in(stream, &bad[0]).await.unwrap_err(),
        Err(error) => error.into(),
    };
    assert!(error.to_string().contains("refuses this node's certificate (CertificateRequired)"), "{error}");
    let mut nonsense = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut nonsense, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let good = secured(1, &ours.of_node(1));
    good.knows(2, &two);
    good.connected(2).await;
    assert!(good.transport.request(2, other("good"), PATIENCE).await.is_ok());
    assert_eq!(*keeper.seen.lock(), ["good"]);
}

#[test]
fn files_that_cannot_work_are_refused_with_a_sentence() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let good = ours.of_node(2);
    assert!(PeerTls::load(&good, 2).is_ok());
    let empty = ours.path("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    let damaged = ours.path("damaged.pem");
    std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    let no_der = ours.path("no-der.pem");
    std::fs::write(&no_der, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let no_key = ours.path("no-key.pem");
    std::fs::write(&no_key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let with = |change: &dyn Fn(&mut TlsFiles)| {
        let mut files = good.clone();
        change(&mut files);
        files
    };
    for (files, words) in [
        (with(&|files| files.ca = ours.path("nowhere.pem")), "cannot read --peer-ca"),
        (with(&|files| files.key = ours.path("nowhere.key")), "cannot read --peer-key"),
        (with(&|files| files.ca = empty.clone()), "holds no certificate in PEM form"),
        (with(&|files| files.cert = empty.clone()), "holds no certificate in PEM form"),
        (with(&|files| files.key = good.cert.clone()), "holds no private key without a password"),
        (with(&|files| files.cert = damaged.clone()), "cannot be used"),
        (with(&|files| files.ca = no_der.clone()), "cannot be used"),
        (with(&|files| files.cert = no_der.clone()), "it cannot be used"),
        (with(&|files| files.key = no_key.clone()), "cannot be used"),
        (with(&|files| files.key = ours.of_node(2).key), "does not fit the certificate"),
        (with(&|files| files.cert = ours.path("ca.pem")), "it is the CA's own"),
        (with(&|files| files.ca = theirs.path("ca.pem")), "it is not signed by the CA"),
        (ours.signs(&["node-2"], expire), "it has expired"),
        (ours.signs(&["node-2"], |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1)), "it is not valid yet"),
        (
            ours.signs(&["node-2"], |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "no peer would accept",
        ),
        (ours.signs(&["node-1", "node-3", "db"], |_| {}), "is of node-1, node-3, not of node 2"),
    ] {
        let Err(error) = PeerTls::load(&files, 2) else { panic!("{words}: it was taken") };
        let error = error.to_string();
        eprintln!("{error}");
        assert!(error.contains(words), "{words}: {error}");
    }
}
